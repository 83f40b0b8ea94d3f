//! What a chain counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use waybill_rt::Metrics;

/// Counters of one chain. Cheap to clone: clones share the numbers.
#[derive(Debug, Clone)]
pub struct ChainMetrics {
    /// Bytes of objects sent, each counted once.
    pub bytes: Counter,
    /// Objects sent, each counted once.
    pub objects: Counter,
    /// Batches in them.
    pub frames: Counter,
    /// Creates sent, hedges and repeats included.
    pub creates: Counter,
    /// Creates sent a second time because the first was slow.
    pub hedges: Counter,
    /// Slots read back because a create was not answered with success.
    pub read_backs: Counter,
    /// Seconds that the oldest batch of an object waited before the object was sent.
    pub queue_seconds: Histogram,
    /// Seconds from sending an object to knowing that it is durable.
    pub upload_seconds: Histogram,
    /// Seconds that a durable object waited for those before it.
    pub order_seconds: Histogram,
    /// Bytes of records that are not durable yet.
    pub queued_bytes: Gauge,
    /// Objects in flight.
    pub in_flight: Gauge,
    /// How often an object that was due waited because the depth bound was reached.
    pub depth_waits: Counter,
    /// How often the chain was full and waited for the next incarnation.
    pub full: Counter,
    /// 1 once the chain has ended for its writer.
    pub poisoned: Gauge,
}

impl Default for ChainMetrics {
    fn default() -> Self {
        // 0.5 ms to 33 s.
        let seconds = || Histogram::new(exponential_buckets(0.000_5, 2.0, 17));
        Self {
            bytes: Counter::default(),
            objects: Counter::default(),
            frames: Counter::default(),
            creates: Counter::default(),
            hedges: Counter::default(),
            read_backs: Counter::default(),
            queue_seconds: seconds(),
            upload_seconds: seconds(),
            order_seconds: seconds(),
            queued_bytes: Gauge::default(),
            in_flight: Gauge::default(),
            depth_waits: Counter::default(),
            full: Counter::default(),
            poisoned: Gauge::default(),
        }
    }
}

impl ChainMetrics {
    /// Adds all of them to a registry, as `waybill_wal_…`.
    pub fn register(&self, metrics: &Metrics) {
        let add = |name: &str, help: &str, counter: &Counter| metrics.register(name, help, counter.clone());
        add("wal_written_bytes", "Bytes written to the WAL", &self.bytes);
        add("wal_objects", "Objects written to the WAL", &self.objects);
        add("wal_frames", "Batches written to the WAL", &self.frames);
        add("wal_creates", "Creates of WAL objects sent, repeats and hedges included", &self.creates);
        add("wal_hedges", "Creates of WAL objects sent again because the first was slow", &self.hedges);
        add("wal_read_backs", "WAL objects read back after a create of unknown outcome", &self.read_backs);
        add("wal_depth_waits", "Times that a WAL object waited for those in flight", &self.depth_waits);
        add("wal_chain_full", "Times that a full WAL chain waited for the next", &self.full);
        let help = "Seconds that the oldest batch of a WAL object waited before it was sent";
        metrics.register("wal_queue_seconds", help, self.queue_seconds.clone());
        let help = "Seconds from sending a WAL object to knowing that it is durable";
        metrics.register("wal_upload_seconds", help, self.upload_seconds.clone());
        let help = "Seconds that a durable WAL object waited for those before it";
        metrics.register("wal_order_seconds", help, self.order_seconds.clone());
        let help = "Bytes of records that are not durable yet";
        metrics.register("wal_queued_bytes", help, self.queued_bytes.clone());
        metrics.register("wal_in_flight", "WAL objects in flight", self.in_flight.clone());
        metrics.register(
            "wal_poisoned",
            "1 once the WAL chain has ended for its writer",
            self.poisoned.clone(),
        );
    }
}
