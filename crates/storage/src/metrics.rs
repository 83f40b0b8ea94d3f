//! What storage counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use waybill_rt::Metrics;

/// Counters of the log engine. Clones share the numbers.
#[derive(Debug, Clone)]
pub(crate) struct StorageMetrics {
    pub(crate) cache_bytes: Gauge,
    pub(crate) unflushed_bytes: Gauge,
    pub(crate) evicted_unflushed: Counter,
    pub(crate) slowed: Counter,
    pub(crate) segments: Counter,
    pub(crate) segment_bytes: Counter,
    pub(crate) flush_seconds: Histogram,
    pub(crate) flush_failures: Counter,
    pub(crate) meta_no_space: Counter,
    pub(crate) retained_bytes: Counter,
    pub(crate) objects_deleted: Counter,
    pub(crate) block_hits: Counter,
    pub(crate) block_misses: Counter,
    pub(crate) block_bytes: Gauge,
    pub(crate) tail_reads: Counter,
    pub(crate) segment_reads: Counter,
    pub(crate) compactions: Counter,
    pub(crate) compaction_read: Counter,
    pub(crate) compaction_written: Counter,
    pub(crate) compaction_failures: Counter,
    pub(crate) compaction_waits: Counter,
    pub(crate) compaction_memory: Gauge,
    pub(crate) cleaned: Counter,
    pub(crate) cleaned_records: Counter,
}

impl Default for StorageMetrics {
    fn default() -> Self {
        Self {
            cache_bytes: Gauge::default(),
            unflushed_bytes: Gauge::default(),
            evicted_unflushed: Counter::default(),
            slowed: Counter::default(),
            segments: Counter::default(),
            segment_bytes: Counter::default(),
            // 1 ms to 33 s.
            flush_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            flush_failures: Counter::default(),
            meta_no_space: Counter::default(),
            retained_bytes: Counter::default(),
            objects_deleted: Counter::default(),
            block_hits: Counter::default(),
            block_misses: Counter::default(),
            block_bytes: Gauge::default(),
            tail_reads: Counter::default(),
            segment_reads: Counter::default(),
            compactions: Counter::default(),
            compaction_read: Counter::default(),
            compaction_written: Counter::default(),
            compaction_failures: Counter::default(),
            compaction_waits: Counter::default(),
            compaction_memory: Gauge::default(),
            cleaned: Counter::default(),
            cleaned_records: Counter::default(),
        }
    }
}

impl StorageMetrics {
    /// Adds all of them to a registry, as `waybill_log_…`.
    pub(crate) fn register(&self, metrics: &Metrics) {
        metrics.register("log_cache_bytes", "Bytes in the log cache", self.cache_bytes.clone());
        let help = "Bytes of durable batches that are not in segments yet";
        metrics.register("log_unflushed_bytes", help, self.unflushed_bytes.clone());
        let help = "Batches that left the log cache before a segment had them";
        metrics.register("log_evicted_unflushed", help, self.evicted_unflushed.clone());
        let help = "Requests held for a while because segments are behind the write-ahead log";
        metrics.register("log_slowed_requests", help, self.slowed.clone());
        metrics.register("log_segments", "Segments written", self.segments.clone());
        metrics.register("log_segment_bytes", "Bytes of segments written", self.segment_bytes.clone());
        let help = "Seconds from the choice of a segment's batches to the commit that names it";
        metrics.register("log_flush_seconds", help, self.flush_seconds.clone());
        metrics.register(
            "log_flush_failures",
            "Segments that could not be written",
            self.flush_failures.clone(),
        );
        let help = "Metadata commits that met a full disk and are tried again";
        metrics.register("log_metadata_no_space", help, self.meta_no_space.clone());
        metrics.register("log_retention_bytes", "Bytes let go by retention", self.retained_bytes.clone());
        metrics.register("log_objects_deleted", "Dead objects deleted", self.objects_deleted.clone());
        metrics.register("log_block_cache_hits", "Segment reads served from memory", self.block_hits.clone());
        metrics.register("log_block_cache_misses", "Segment reads from the store", self.block_misses.clone());
        metrics.register("log_block_cache_bytes", "Bytes in the block cache", self.block_bytes.clone());
        metrics.register("log_tail_reads", "Reads served from the log cache", self.tail_reads.clone());
        metrics.register(
            "log_segment_reads",
            "Reads served from segments or the WAL",
            self.segment_reads.clone(),
        );
        self.register_compaction(metrics);
    }

    fn register_compaction(&self, metrics: &Metrics) {
        metrics.register("log_compactions", "Merges of segments done", self.compactions.clone());
        let help = "Bytes of segments read to be written anew";
        metrics.register("log_compaction_read_bytes", help, self.compaction_read.clone());
        let help = "Bytes of segments written anew";
        metrics.register("log_compaction_written_bytes", help, self.compaction_written.clone());
        let help = "Segments that could not be written anew; nothing is lost by it";
        metrics.register("log_compaction_failures", help, self.compaction_failures.clone());
        let help = "Times that compaction stood back because new data waited for their segments";
        metrics.register("log_compaction_waits", help, self.compaction_waits.clone());
        let help = "Bytes that compaction holds in memory";
        metrics.register("log_compaction_memory_bytes", help, self.compaction_memory.clone());
        metrics.register("log_cleaned_logs", "Logs compacted", self.cleaned.clone());
        let help = "Records dropped by log compaction";
        metrics.register("log_cleaned_records", help, self.cleaned_records.clone());
    }
}
