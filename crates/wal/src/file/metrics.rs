//! What a file WAL counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use waybill_rt::Metrics;

/// Counters of one WAL. Cheap to clone: clones share the numbers.
#[derive(Debug, Clone)]
pub struct WalMetrics {
    /// Bytes written in groups, headers and padding included.
    pub bytes: Counter,
    /// Groups written.
    pub groups: Counter,
    /// Frames written.
    pub frames: Counter,
    /// Seconds from the start of a group's write to the end of its sync.
    pub sync_seconds: Histogram,
    /// Bytes of records that wait or are in flight.
    pub queued_bytes: Gauge,
    /// How often the writer found the ring full and waited for a trim.
    pub ring_full: Counter,
    /// How often the writer waited for a file to be zeroed.
    pub zero_waits: Counter,
    /// How often the disk had no space for a group or for zeroing.
    pub no_space: Counter,
    /// 1 once the WAL is poisoned.
    pub poisoned: Gauge,
}

impl Default for WalMetrics {
    fn default() -> Self {
        Self {
            bytes: Counter::default(),
            groups: Counter::default(),
            frames: Counter::default(),
            // 50 us to 13 s.
            sync_seconds: Histogram::new(exponential_buckets(0.000_05, 2.0, 19)),
            queued_bytes: Gauge::default(),
            ring_full: Counter::default(),
            zero_waits: Counter::default(),
            no_space: Counter::default(),
            poisoned: Gauge::default(),
        }
    }
}

impl WalMetrics {
    /// Adds all of them to a registry, as `waybill_wal_…`.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register(
            "wal_written_bytes",
            "Bytes written to the WAL, padding included",
            self.bytes.clone(),
        );
        metrics.register("wal_groups", "Groups written to the WAL", self.groups.clone());
        metrics.register("wal_frames", "Batches written to the WAL", self.frames.clone());
        let help = "Seconds from the start of a WAL group's write to the end of its sync";
        metrics.register("wal_sync_seconds", help, self.sync_seconds.clone());
        let help = "Bytes of records that are not durable yet";
        metrics.register("wal_queued_bytes", help, self.queued_bytes.clone());
        let help = "Times that the WAL waited for segments to be written before it could go on";
        metrics.register("wal_ring_full", help, self.ring_full.clone());
        metrics.register("wal_zero_waits", "Times that the WAL waited for zeroing", self.zero_waits.clone());
        metrics.register("wal_no_space", "Times that the disk was full for the WAL", self.no_space.clone());
        metrics.register("wal_poisoned", "1 once a write or sync of the WAL failed", self.poisoned.clone());
    }
}
