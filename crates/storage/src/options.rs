//! How the log engine is run and what it is given.

use std::sync::Arc;
use std::time::Duration;

use waybill_meta::SharedMeta;
use waybill_rt::{Metrics, SharedClock, SharedEntropy, Supervisor};
use waybill_store::SharedStore;
use waybill_types::{BrokerId, Incarnation};

use crate::driver::WalDriver;

/// How the engine is run. None of this is written down: it may differ at each start.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The node whose WAL this is.
    pub node: BrokerId,
    /// The region of the data store, kept in every segment.
    pub region: String,
    /// The name of the data store, kept in every index entry.
    pub placement: String,
    /// The incarnation that this process has claimed, above the registered one. `None`: the lock makes it the next.
    pub incarnation: Option<Incarnation>,
    /// The controller's term that this process holds, 0 where a lock stands in for it. It orders the recoveries of chains.
    pub term: u64,
    /// Bytes of batches kept in memory for readers at the end of the log (`log cache`).
    pub log_cache_bytes: usize,
    /// Bytes of batches kept in memory until segments have them, when writing segments falls behind. At three quarters
    /// producers are slowed; beyond, batches leave memory and are read back from the WAL.
    pub unflushed_cache_bytes: usize,
    /// A segment is written once this many bytes of batches are not in segments.
    pub flush_bytes: u64,
    /// Bytes of segments kept in memory (`block cache`).
    pub block_cache_bytes: usize,
    /// Bytes of segments that readers may hold beside the block cache (`catch-up reads`).
    pub catch_up_bytes: usize,
    /// Bytes of block indexes kept in memory.
    pub index_cache_bytes: usize,
    /// Segments are read in pieces of about this many bytes.
    pub read_ahead_bytes: u64,
    /// How many such pieces are on their way for a reader in order, at most. More than one is for stores far away, where small
    /// slices are also read with their neighbours; a folder's store does that by itself.
    pub read_ahead_depth: usize,
    /// How often retention is looked at (`log.retention.check.interval.ms`).
    pub retention_check: Duration,
    /// How long an idle producer is remembered, in ms (`producer.id.expiration.ms`).
    pub producer_expiration_ms: i64,
    /// The largest body that is decompressed to look for a timestamp, in bytes.
    pub max_decompressed_bytes: usize,
    /// How segments are rewritten, and what is dead deleted.
    pub compaction: CompactionOptions,
    /// The rule that is left out; nothing without the feature `sim`.
    pub sabotage: Sabotage,
}

/// How segments are rewritten, and what is dead deleted.
#[derive(Debug, Clone)]
pub struct CompactionOptions {
    /// Whether segments are merged and rewritten.
    pub merge: bool,
    /// Whether the logs of topics that ask for it are compacted (`log.cleaner.enable`).
    pub clean: bool,
    /// Bytes that it may hold in memory: a new segment is about as large at most.
    pub budget_bytes: usize,
    /// Bytes read or written a second (`log.cleaner.io.max.bytes.per.second`); 0 is without bound.
    pub bytes_per_second: u64,
    /// How often it looks for work (`log.cleaner.backoff.ms`).
    pub check: Duration,
    /// A partition's stretch of this many bytes gets a segment of its own.
    pub partition_bytes: u64,
    /// Objects merged at once, at most.
    pub fan_in: usize,
    /// What a merge must save.
    pub prices: Prices,
    /// The active end of a compacted log, which is not compacted, is at most this many bytes, whatever `segment.bytes` says.
    pub active_bytes: u64,
    /// How long a dead object is left for readers that are on their way to it.
    pub grace: Duration,
    /// How often objects that nothing names are looked for, beside at each start.
    pub orphan_sweep: Duration,
    /// How long an object may be prepared before it is given up.
    pub prepared_for: Duration,
}

/// What requests and bytes cost, in millionths of a unit of money, and how often history is read: a merge is done when
/// it saves more than it costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    /// Creating an object.
    pub put: f64,
    /// Reading a range of an object.
    pub get: f64,
    /// Keeping a GiB for a month.
    pub gib_month: f64,
    /// Moving a GiB: processor and network.
    pub gib_moved: f64,
    /// How often each byte will be read back.
    pub reads: f64,
    /// How often, once it is older than [`Self::old`].
    pub reads_old: f64,
    /// From when on data are old.
    pub old: Duration,
}

impl Default for Prices {
    /// About those of S3 Standard in 2026, in millionths of a dollar, with four readers of what is new and one of the rest.
    fn default() -> Self {
        Self {
            put: 5.0,
            get: 0.4,
            gib_month: 23_000.0,
            gib_moved: 500.0,
            reads: 4.0,
            reads_old: 1.0,
            old: Duration::from_secs(7 * 86_400),
        }
    }
}

impl Default for CompactionOptions {
    fn default() -> Self {
        Self {
            merge: true,
            clean: true,
            budget_bytes: 32 << 20,
            bytes_per_second: 16 << 20,
            check: Duration::from_secs(15),
            partition_bytes: 8 << 20,
            fan_in: 16,
            prices: Prices::default(),
            active_bytes: 8 << 20,
            grace: Duration::from_secs(60),
            orphan_sweep: Duration::from_secs(86_400),
            prepared_for: Duration::from_secs(3_600),
        }
    }
}

impl EngineOptions {
    /// The same for a data store where a request takes long and costs money: larger pieces, more of them on their way.
    #[must_use]
    pub fn far_away(self) -> Self {
        Self { read_ahead_bytes: 2 << 20, read_ahead_depth: 8, ..self }
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            node: BrokerId(1),
            region: "local".to_owned(),
            placement: "local".to_owned(),
            incarnation: None,
            term: 0,
            log_cache_bytes: 64 << 20,
            unflushed_cache_bytes: 96 << 20,
            flush_bytes: 32 << 20,
            block_cache_bytes: 32 << 20,
            catch_up_bytes: 32 << 20,
            index_cache_bytes: 8 << 20,
            read_ahead_bytes: 1 << 20,
            read_ahead_depth: 1,
            retention_check: Duration::from_secs(300),
            producer_expiration_ms: 86_400_000,
            max_decompressed_bytes: 16 << 20,
            compaction: CompactionOptions::default(),
            sabotage: Sabotage::None,
        }
    }
}

/// What the engine is given.
pub struct EngineDeps {
    /// Time.
    pub clock: SharedClock,
    /// Chance, for ids.
    pub entropy: SharedEntropy,
    /// The metadata store, of which this process holds the lock.
    pub meta: SharedMeta,
    /// The data store.
    pub store: SharedStore,
    /// The WAL, not opened yet.
    pub wal: Arc<dyn WalDriver>,
    /// Where counters are registered.
    pub metrics: Metrics,
    /// Who runs the background tasks.
    pub supervisor: Supervisor,
}

impl std::fmt::Debug for EngineDeps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineDeps").finish_non_exhaustive()
    }
}

/// Rules that can be left out to prove that the tests would see it. Only with the cargo feature `sim`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// Every rule holds.
    #[default]
    None,
    /// A retry of a batch in flight is answered without waiting for the original.
    DuplicateAckedInFlight,
    /// The snapshot in a commit is of the assigned state instead of the state at the committed end.
    SnapshotOfMemory,
    /// A commit moves the committed end without the producer state at that end.
    CommitWithoutSnapshot,
    /// A dead object is deleted before the commit that drops its name.
    DeleteBeforeCommit,
    /// A rewrite is committed although the index does not hold what it replaces any more.
    CommitWithoutInputs,
    /// An object becomes live although its preparation was given up.
    CommitWithoutPrepare,
    /// Log compaction goes beyond the last stable offset.
    CleanBeyondStable,
    /// Log compaction drops tombstones at once.
    DropTombstonesEarly,
    /// Log compaction drops the last batch of a producer once it is empty.
    DropLastBatch,
    /// A process that goes on from another's chain stamps leader epochs as that one did.
    LeadStays,
}

impl Sabotage {
    /// Whether `self` is `rule` and may be: constant `false` without the feature `sim`.
    pub(crate) fn breaks(self, rule: Self) -> bool {
        cfg!(feature = "sim") && self == rule
    }
}
