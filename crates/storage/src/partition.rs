//! One partition: its state in memory and what can be asked of it without I/O.
//!
//! Locks, each held for a short time and in this order where two are: `append` (assigning), `acks`, `transactions`;
//! `durable`, `committed`, `index` and `stride` alone. None is held across an await.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use waybill_types::{LeaderEpoch, Offset, TimestampMs, TopicPartition};

use crate::ack::AckQueue;
use crate::ahead::Stride;
use crate::committed::Committed;
use crate::epochs::Epochs;
use crate::index::PartitionIndex;
use crate::producers::ProducerStates;
use crate::services::Services;
use crate::tail::Tail;
use crate::transactions::Transactions;
use crate::watch::{Waiter, Watchers};

/// One partition of a topic, led by this process.
pub struct Partition {
    pub(crate) id: TopicPartition,
    /// Smaller is older: the order in which append locks are taken.
    pub(crate) serial: u64,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) services: Arc<Services>,
    log_start: AtomicI64,
    high_watermark: AtomicI64,
    last_stable: AtomicI64,
    removed: AtomicBool,
    pub(crate) has_transactions: AtomicBool,
    pub(crate) segment_bytes: AtomicU64,
    pub(crate) append: Mutex<AppendState>,
    pub(crate) acks: Mutex<AckQueue>,
    pub(crate) transactions: Mutex<Transactions>,
    pub(crate) durable: Mutex<Durable>,
    pub(crate) committed: Mutex<Committed>,
    /// `None` until it is needed.
    pub(crate) index: Mutex<Option<PartitionIndex>>,
    /// How far its readers are read ahead of.
    pub(crate) stride: Mutex<Stride>,
    pub(crate) watchers: Watchers,
}

/// What assigning needs: the state after every batch that was handed to the WAL, durable or not.
pub(crate) struct AppendState {
    pub(crate) next_offset: Offset,
    pub(crate) last_append: TimestampMs,
    pub(crate) producers: ProducerStates,
    pub(crate) removed: bool,
}

/// What readers see.
pub(crate) struct Durable {
    pub(crate) tail: Tail,
    pub(crate) epochs: Epochs,
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Partition({}, {}..{})", self.id, self.log_start(), self.high_watermark())
    }
}

impl Partition {
    /// A partition whose log ends where its segments do.
    pub(crate) fn new(
        id: TopicPartition,
        serial: u64,
        epoch: LeaderEpoch,
        committed: Committed,
        services: Arc<Services>,
    ) -> Arc<Self> {
        let end = committed.end;
        let mut transactions = Transactions::default();
        for (first, producer) in committed.producers.open_transactions() {
            transactions.begin(first, producer);
        }
        let last_stable = transactions.last_stable(end);
        Arc::new(Self {
            id,
            serial,
            epoch,
            services,
            log_start: AtomicI64::new(committed.log_start.get()),
            high_watermark: AtomicI64::new(end.get()),
            last_stable: AtomicI64::new(last_stable.get()),
            removed: AtomicBool::new(false),
            has_transactions: AtomicBool::new(!transactions.is_quiet()),
            segment_bytes: AtomicU64::new(committed.bytes),
            append: Mutex::new(AppendState {
                next_offset: end,
                last_append: committed.last_append,
                producers: committed.producers.clone(),
                removed: false,
            }),
            acks: Mutex::new(AckQueue::default()),
            transactions: Mutex::new(transactions),
            durable: Mutex::new(Durable { tail: Tail::new(end), epochs: committed.epochs.clone() }),
            committed: Mutex::new(committed),
            index: Mutex::new(None),
            stride: Mutex::default(),
            watchers: Watchers::default(),
        })
    }

    /// Which partition this is.
    #[must_use]
    pub fn id(&self) -> TopicPartition {
        self.id
    }

    /// The leader epoch in which this process appends.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The first offset of the log.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        Offset(self.log_start.load(Ordering::Acquire))
    }

    /// The offset behind the last durable record: where consumers stop.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark.load(Ordering::SeqCst))
    }

    /// The first offset that may still turn out aborted; the high watermark when no transaction is open.
    #[must_use]
    pub fn last_stable_offset(&self) -> Offset {
        Offset(self.last_stable.load(Ordering::SeqCst))
    }

    /// The offset that the next record will get: above the high watermark while batches are in flight.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.append.lock().next_offset
    }

    /// Whether the topic was deleted while this was held.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// The largest epoch at or below `epoch` and the offset behind its last record; (none, -1) when `epoch` is above
    /// the current one (KIP-279, OffsetForLeaderEpoch).
    #[must_use]
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let end = self.high_watermark();
        self.durable.lock().epochs.end_of(epoch, end)
    }

    /// The leader epoch in which the record at `offset` was appended.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> LeaderEpoch {
        self.durable.lock().epochs.epoch_at(offset)
    }

    /// Bytes of record batches in the log.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.segment_bytes.load(Ordering::Relaxed) + self.durable.lock().tail.unflushed_bytes()
    }

    /// How many idempotent producers are known.
    #[must_use]
    pub fn producers(&self) -> usize {
        self.append.lock().producers.len()
    }

    /// Arms `waiter` to fire `token` once: when a record at or behind `from` is durable, or the partition is removed
    /// or its log start moves. Returns false, and does not arm it, when there is such a record already.
    pub fn watch(&self, waiter: &Waiter, token: u32, from: Offset) -> bool {
        self.watchers.arm(waiter, token, || self.high_watermark() > from || self.is_removed())
    }

    /// Waits until the high watermark lies behind `from`, or the partition is removed.
    pub async fn wait_beyond(&self, from: Offset) {
        let waiter = Waiter::new();
        while self.watch(&waiter, 0, from) {
            waiter.fired().await;
        }
    }

    /// Everything below `end` is durable now: acks, then readers.
    pub(crate) fn advance(&self, end: Offset) {
        self.high_watermark.store(end.get(), Ordering::SeqCst);
        let stable = if self.has_transactions.load(Ordering::Acquire) {
            let mut transactions = self.transactions.lock();
            let stable = transactions.last_stable(end);
            self.has_transactions.store(!transactions.is_quiet(), Ordering::Release);
            stable
        } else {
            end
        };
        self.last_stable.store(stable.get(), Ordering::SeqCst);
        self.acks.lock().advance(end);
        self.watchers.fire();
    }

    /// The log starts here now; the commit that says so is durable.
    pub(crate) fn set_log_start(&self, start: Offset) {
        self.log_start.fetch_max(start.get(), Ordering::AcqRel);
        self.durable.lock().epochs.truncate_start(start);
        if let Some(index) = &mut *self.index.lock() {
            index.truncate_start(start);
        }
        self.watchers.fire();
    }

    /// No more appends; everybody who waits is told.
    pub(crate) fn remove(&self) {
        self.removed.store(true, Ordering::Release);
        self.append.lock().removed = true;
        self.acks.lock().fail_all(&crate::ack::AckError::Removed);
        self.durable.lock().tail.clear();
        self.watchers.fire();
    }
}
