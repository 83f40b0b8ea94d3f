//! Log compaction (`cleanup.policy=compact`): of each key the newest record stays.
//!
//! - [`plan`]: whether a log is to be compacted now, and how far: pure.
//! - [`keys`]: the newest offset of each key, in bounded memory; [`filter`]: what is kept: pure.
//! - [`output`]: what is kept, as slices; [`run`]: reading, filtering, committing.
//!
//! Two passes over a log: the first notes the newest offset of each key of its dirty part, as far as memory goes; the second reads
//! the log from its start up to there and writes what is kept. Runs of slices are replaced one after the other,
//! each in one commit, and those in which nothing changes stay as they are. Only the last commit moves the point up to which the log is
//! clean, so whatever stops it, the next round goes over the same dirty part again and finds less to do.
//!
//! Offsets stay, with gaps. A slice's stretch stays too: together they still cover the log, and a slice ends with a batch.

mod filter;
mod keys;
mod output;
mod plan;
mod run;

/// The rules by which a topic's logs are compacted.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanRules {
    /// `delete.retention.ms`: how long tombstones stay once the log before them is clean.
    pub delete_retention_ms: i64,
    /// `min.cleanable.dirty.ratio`.
    pub min_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: what is newer is left.
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms`: what is older is compacted whatever the ratio.
    pub max_lag_ms: i64,
    /// `segment.bytes`: the active end of the log is at most this long.
    pub segment_bytes: u64,
    /// `segment.ms`: nor older than this.
    pub segment_ms: i64,
    /// The largest body that is decompressed (`max.decompressed.message.bytes`).
    pub max_decompressed_bytes: usize,
}

impl CleanRules {
    /// After how long the active end is rolled (`LogConfig.maxSegmentMs`).
    fn roll_ms(&self) -> i64 {
        self.segment_ms.min(self.max_lag_ms)
    }
}

impl Default for CleanRules {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            delete_retention_ms: 86_400_000,
            min_dirty_ratio: 0.5,
            min_lag_ms: 0,
            max_lag_ms: i64::MAX,
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            max_decompressed_bytes: 16 << 20,
        }
    }
}
