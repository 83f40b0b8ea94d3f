//! What the engine's tasks share, and the WAL's sink.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use tokio::sync::Notify;
use waybill_types::{TopicId, TopicPartition};
use waybill_wal::{DurableFrame, WalError, WalSink};

use crate::ack::AckError;
use crate::clean::CleanRules;
use crate::log_cache::{LogCache, WalEntry};
use crate::partition::Partition;
use crate::retention::Retention;
use crate::services::Services;
use crate::tail::TailEntry;

/// The partitions of this process and what spans them.
pub(crate) struct Shared {
    pub(crate) services: Arc<Services>,
    pub(crate) partitions: RwLock<HashMap<TopicPartition, Arc<Partition>>>,
    pub(crate) retentions: RwLock<HashMap<TopicId, Retention>>,
    /// The rules of topics whose logs are compacted.
    pub(crate) cleanups: RwLock<HashMap<TopicId, CleanRules>>,
    pub(crate) cache: LogCache,
    /// Held while a segment is written and committed.
    pub(crate) flushing: tokio::sync::Mutex<()>,
    /// When the last flush ended.
    pub(crate) last_flush: parking_lot::Mutex<Option<std::time::Duration>>,
    pub(crate) flush_wake: Notify,
    /// Told after each flush.
    pub(crate) flushed: Notify,
    /// Bytes that the WAL may hold beyond its trim before segments are written, however little is in it.
    pub(crate) wal_pressure: u64,
    pub(crate) next_serial: AtomicU64,
}

impl Shared {
    pub(crate) fn partition(&self, id: &TopicPartition) -> Option<Arc<Partition>> {
        self.partitions.read().get(id).cloned()
    }

    /// All partitions, in order: nothing here may depend on a hash map's order.
    pub(crate) fn all_partitions(&self) -> Vec<Arc<Partition>> {
        let mut all: Vec<_> = self.partitions.read().values().cloned().collect();
        all.sort_unstable_by_key(|partition| partition.id);
        all
    }

    /// Whether segments should be written now.
    pub(crate) fn wants_flush(&self, unflushed: u64) -> bool {
        unflushed >= self.services.options.flush_bytes || self.wal_is_pressed()
    }

    fn wal_is_pressed(&self) -> bool {
        let Ok(wal) = self.services.wal() else { return false };
        let trimmed = self.services.trim();
        wal.flushable_end().0.saturating_sub(trimmed.0) >= self.wal_pressure || wal.wants_trim()
    }

    fn durable(&self, frames: Vec<DurableFrame>) {
        let mut entries = Vec::with_capacity(frames.len());
        {
            let partitions = self.partitions.read();
            let mut frames = frames.into_iter().peekable();
            while let Some(first) = frames.next() {
                let id = first.frame.header.partition;
                let Some(partition) = partitions.get(&id) else { continue };
                let mut end = first.frame.header.last_offset.next();
                {
                    let mut durable = partition.durable.lock();
                    durable.epochs.appended(first.frame.header.leader_epoch, first.frame.header.base_offset);
                    let mut next = Some(first);
                    while let Some(frame) = next {
                        end = frame.frame.header.last_offset.next();
                        entries.push(WalEntry {
                            partition: Arc::clone(partition),
                            base: frame.frame.header.base_offset,
                            position: frame.position,
                            length: frame.frame.records.len(),
                        });
                        durable.tail.push(TailEntry {
                            header: frame.frame.header,
                            length: frame.frame.records.len(),
                            records: Some(frame.frame.records),
                            position: frame.position,
                        });
                        next = frames.next_if(|frame| frame.frame.header.partition == id);
                    }
                }
                partition.advance(end);
            }
        }
        // Everything below the flushable end was reported by now: in this call or in earlier ones.
        let flushable = self.services.wal().map(|wal| wal.flushable_end()).unwrap_or_default();
        let unflushed = self.cache.push(entries, flushable);
        self.cache.evict();
        if self.wants_flush(unflushed) {
            self.flush_wake.notify_one();
        }
    }

    fn poisoned(&self, why: &WalError) {
        self.services.poison("wal", &why.to_string());
        let failure = AckError::Poisoned(why.to_string().into());
        for partition in self.all_partitions() {
            partition.acks.lock().fail_all(&failure);
            partition.watchers.fire();
        }
    }

    pub(crate) fn serial(&self) -> u64 {
        self.next_serial.fetch_add(1, Ordering::Relaxed)
    }
}

/// What the WAL tells; it must not keep the engine alive.
pub(crate) struct Sink(pub(crate) Weak<Shared>);

impl WalSink for Sink {
    fn durable(&self, frames: Vec<DurableFrame>) {
        if let Some(shared) = self.0.upgrade() {
            shared.durable(frames);
        }
    }

    fn poisoned(&self, why: &WalError) {
        if let Some(shared) = self.0.upgrade() {
            shared.poisoned(why);
        }
    }
}
