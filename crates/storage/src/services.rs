//! What partitions and tasks share: the stores, the caches, the ledger.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::Notify;
use waybill_meta::{Batch, ChainRecord, ObjectId, SharedMeta};
use waybill_rt::{Budget, SharedClock, Supervisor};
use waybill_store::SharedStore;
use waybill_types::{ClusterId, Incarnation, TimestampMs};
use waybill_wal::{Sabotage as WalSabotage, SharedWal, WalError, WalPosition};

use crate::blocks::Blocks;
use crate::chains::ChainRules;
use crate::ledger::Ledger;
use crate::metrics::StorageMetrics;
use crate::options::EngineOptions;

/// Shared by everything in the engine; knows no partition, so that nothing keeps itself alive.
pub(crate) struct Services {
    pub(crate) options: EngineOptions,
    pub(crate) cluster: ClusterId,
    /// Which lead of the log this is. Leader epochs and objects are stamped with it, so it grows with each process that
    /// leads, whichever node that is of. In a folder it is the node's incarnation.
    pub(crate) incarnation: Incarnation,
    pub(crate) clock: SharedClock,
    pub(crate) meta: SharedMeta,
    pub(crate) store: SharedStore,
    pub(crate) supervisor: Supervisor,
    pub(crate) metrics: StorageMetrics,
    pub(crate) blocks: Blocks,
    /// What compaction has in memory.
    pub(crate) compaction: Budget,
    /// Objects that are durably dead, and since when.
    pub(crate) dying: Mutex<BTreeMap<ObjectId, TimestampMs>>,
    pub(crate) sweep_wake: Notify,
    /// Grows with every commit that changes objects.
    pub(crate) objects_changed: AtomicU64,
    /// Held for every commit that touches partitions, index or objects.
    pub(crate) ledger: tokio::sync::Mutex<Ledger>,
    /// The committed trim, to be read without the ledger.
    trim: AtomicU64,
    /// This process's chain, as it is committed, where the WAL is one. Changed only while the ledger is held.
    chain: Mutex<OwnChain>,
    /// Set once recovery is committed.
    wal: OnceLock<SharedWal>,
    poisoned: OnceLock<Arc<str>>,
}

/// A chain's record, and what it is once the commit under way is durable.
#[derive(Debug, Default)]
struct OwnChain {
    durable: Option<ChainRecord>,
    next: Option<ChainRecord>,
}

impl Services {
    #[allow(clippy::too_many_arguments, reason = "called once")]
    pub(crate) fn new(
        options: EngineOptions,
        cluster: ClusterId,
        incarnation: Incarnation,
        clock: SharedClock,
        meta: SharedMeta,
        store: SharedStore,
        supervisor: Supervisor,
        metrics: StorageMetrics,
        ledger: Ledger,
    ) -> Arc<Self> {
        let trim = AtomicU64::new(ledger.trim.0);
        let blocks = Blocks::new(&options, metrics.clone());
        let compaction = Budget::new("compaction", options.compaction.budget_bytes);
        Arc::new(Self {
            options,
            cluster,
            incarnation,
            clock,
            meta,
            store,
            supervisor,
            metrics,
            blocks,
            compaction,
            dying: Mutex::default(),
            sweep_wake: Notify::new(),
            objects_changed: AtomicU64::new(1),
            ledger: tokio::sync::Mutex::new(ledger),
            trim,
            chain: Mutex::default(),
            wal: OnceLock::new(),
            poisoned: OnceLock::new(),
        })
    }

    pub(crate) fn set_wal(&self, wal: SharedWal) {
        // Set once, by open.
        let _ = self.wal.set(wal);
    }

    /// The WAL, unless it has not started or failed.
    pub(crate) fn wal(&self) -> Result<&SharedWal, WalError> {
        if let Some(why) = self.poisoned.get() {
            return Err(WalError::Poisoned(Arc::clone(why)));
        }
        self.wal.get().ok_or(WalError::Closed)
    }

    /// A commit has changed objects or what they hold.
    pub(crate) fn note_objects_changed(&self) {
        self.objects_changed.fetch_add(1, Ordering::Relaxed);
    }

    /// The committed trim.
    pub(crate) fn trim(&self) -> WalPosition {
        WalPosition(self.trim.load(Ordering::Relaxed))
    }

    /// This process's chain is registered.
    pub(crate) fn registered(&self, chain: ChainRecord) {
        self.chain.lock().durable = Some(chain);
    }

    /// Adds to a batch with a trim what the chain's rules say about it: that the chain is this process's and not being
    /// recovered, and which slots are not needed any more.
    pub(crate) fn trim_chain(&self, trim: WalPosition, batch: &mut Batch) {
        let mut chain = self.chain.lock();
        let Some(record) = chain.durable else { return };
        let kept = self.wal.get().and_then(|wal| wal.first_kept(trim));
        let slot = kept.map_or(record.trim, |kept| kept.max(record.trim));
        // An open chain whose trim does not go back: nothing is refused.
        if let Ok(step) = (ChainRules { record, sabotage: WalSabotage::None }).index(slot) {
            batch.ops.extend(step.ops);
            chain.next = Some(ChainRecord { trim: slot, ..record });
        }
    }

    /// The commit that moves the trim is durable: the WAL may reuse what lies below.
    pub(crate) fn trimmed(&self, trim: WalPosition) {
        {
            let mut chain = self.chain.lock();
            chain.durable = chain.next.take().or(chain.durable);
        }
        self.trim.fetch_max(trim.0, Ordering::Relaxed);
        if let Some(wal) = self.wal.get() {
            wal.trim(trim);
        }
    }

    /// Nothing is appended any more, and the process is to stop.
    pub(crate) fn poison(&self, task: &'static str, why: &str) {
        if self.poisoned.set(why.into()).is_ok() {
            self.supervisor.fail(task, why);
        }
    }

    pub(crate) fn poisoned(&self) -> Option<Arc<str>> {
        self.poisoned.get().cloned()
    }
}
