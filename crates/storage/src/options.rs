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
    /// How often retention is looked at (`log.retention.check.interval.ms`).
    pub retention_check: Duration,
    /// How long an idle producer is remembered, in ms (`producer.id.expiration.ms`).
    pub producer_expiration_ms: i64,
    /// The largest body that is decompressed to look for a timestamp, in bytes.
    pub max_decompressed_bytes: usize,
    /// The rule that is left out; nothing without the feature `sim`.
    pub sabotage: Sabotage,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            node: BrokerId(1),
            region: "local".to_owned(),
            placement: "local".to_owned(),
            incarnation: None,
            log_cache_bytes: 64 << 20,
            unflushed_cache_bytes: 96 << 20,
            flush_bytes: 32 << 20,
            block_cache_bytes: 32 << 20,
            catch_up_bytes: 32 << 20,
            index_cache_bytes: 8 << 20,
            read_ahead_bytes: 1 << 20,
            retention_check: Duration::from_secs(300),
            producer_expiration_ms: 86_400_000,
            max_decompressed_bytes: 16 << 20,
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
}

impl Sabotage {
    /// Whether `self` is `rule` and may be: constant `false` without the feature `sim`.
    pub(crate) fn breaks(self, rule: Self) -> bool {
        cfg!(feature = "sim") && self == rule
    }
}
