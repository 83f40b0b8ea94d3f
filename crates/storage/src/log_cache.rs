//! The order of the WAL over all partitions: which batches are not in segments, and which leave memory first.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use waybill_types::Offset;
use waybill_wal::WalPosition;

use crate::metrics::StorageMetrics;
use crate::partition::Partition;

/// What an entry takes in memory beside its batch, about.
const OVERHEAD: usize = 256;

/// A durable batch, by reference.
#[derive(Clone)]
pub(crate) struct WalEntry {
    pub(crate) partition: Arc<Partition>,
    pub(crate) base: Offset,
    pub(crate) position: WalPosition,
    pub(crate) length: usize,
}

/// Batches in the order of the WAL.
pub(crate) struct LogCache {
    state: Mutex<State>,
    limit: usize,
    unflushed_limit: usize,
    metrics: StorageMetrics,
}

#[derive(Default)]
struct State {
    /// Not in segments, and not on the way there.
    unflushed: VecDeque<WalEntry>,
    unflushed_bytes: u64,
    /// Bytes on the way into segments.
    flushing_bytes: u64,
    /// In memory.
    cached: VecDeque<WalEntry>,
    cached_bytes: usize,
    /// Everything below is in segments.
    flushed_below: WalPosition,
    /// Everything below has been reported durable, and trimming to it frees space.
    flushable: WalPosition,
}

/// What is to be flushed.
pub(crate) struct ToFlush {
    pub(crate) entries: Vec<WalEntry>,
    /// Where the WAL can be trimmed once `entries` are in segments.
    pub(crate) trim: Option<WalPosition>,
    /// The position behind which nothing of `entries` lies.
    pub(crate) below: WalPosition,
}

impl LogCache {
    pub(crate) fn new(limit: usize, unflushed_limit: usize, metrics: StorageMetrics) -> Self {
        Self { state: Mutex::new(State::default()), limit, unflushed_limit, metrics }
    }

    /// Notes batches that became durable, in order. `flushable` is the WAL's flushable end after they were reported.
    /// Returns the bytes that are not in segments.
    pub(crate) fn push(&self, entries: Vec<WalEntry>, flushable: WalPosition) -> u64 {
        let mut state = self.state.lock();
        for entry in entries {
            state.unflushed_bytes += entry.length as u64;
            state.cached_bytes += entry.length + OVERHEAD;
            state.cached.push_back(entry.clone());
            state.unflushed.push_back(entry);
        }
        state.flushable = state.flushable.max(flushable);
        state.unflushed_bytes
    }

    /// Drops batches from memory until the budgets hold.
    pub(crate) fn evict(&self) {
        loop {
            let entry = {
                let mut state = self.state.lock();
                let Some(front) = state.cached.front() else { return };
                let flushed = front.position < state.flushed_below;
                let limit = if flushed { self.limit } else { self.unflushed_limit };
                if state.cached_bytes <= limit {
                    self.metrics.cache_bytes.set(i64::try_from(state.cached_bytes).unwrap_or(i64::MAX));
                    return;
                }
                if !flushed {
                    self.metrics.evicted_unflushed.inc();
                }
                let Some(entry) = state.cached.pop_front() else { return };
                state.cached_bytes = state.cached_bytes.saturating_sub(entry.length + OVERHEAD);
                entry
            };
            entry.partition.durable.lock().tail.evict(entry.base);
        }
    }

    /// Notes where the WAL can be trimmed. Only while the WAL reports nothing.
    pub(crate) fn set_flushable(&self, flushable: WalPosition) {
        let mut state = self.state.lock();
        state.flushable = state.flushable.max(flushable);
    }

    pub(crate) fn unflushed_bytes(&self) -> u64 {
        self.state.lock().unflushed_bytes
    }

    /// Whether so much waits for segments that producers should be slowed before batches must leave memory and be
    /// read back.
    pub(crate) fn is_behind(&self) -> bool {
        let state = self.state.lock();
        state.unflushed_bytes + state.flushing_bytes > self.unflushed_limit as u64 / 4 * 3
    }

    /// Takes up to `max_bytes` of what is not in segments, the oldest first.
    pub(crate) fn take_unflushed(&self, max_bytes: u64) -> ToFlush {
        let mut state = self.state.lock();
        let mut bytes = 0u64;
        let mut entries = Vec::new();
        while bytes < max_bytes
            && let Some(entry) = state.unflushed.pop_front()
        {
            bytes += entry.length as u64;
            entries.push(entry);
        }
        state.unflushed_bytes = state.unflushed_bytes.saturating_sub(bytes);
        state.flushing_bytes = bytes;
        let next = state.unflushed.front().map(|entry| entry.position);
        let trim = Some(state.flushable).filter(|flushable| next.is_none_or(|next| next >= *flushable));
        let below = entries.last().map_or(WalPosition(0), |entry| WalPosition(entry.position.0 + 1));
        ToFlush { entries, trim, below }
    }

    /// Gives back what was taken and could not be flushed: it is the oldest again.
    pub(crate) fn put_back(&self, entries: Vec<WalEntry>) {
        let mut state = self.state.lock();
        state.flushing_bytes = 0;
        for entry in entries.into_iter().rev() {
            state.unflushed_bytes += entry.length as u64;
            state.unflushed.push_front(entry);
        }
    }

    pub(crate) fn note_flushed(&self, below: WalPosition) {
        let mut state = self.state.lock();
        state.flushed_below = state.flushed_below.max(below);
        state.flushing_bytes = 0;
        self.metrics.unflushed_bytes.set(i64::try_from(state.unflushed_bytes).unwrap_or(i64::MAX));
    }

    /// Lets go of everything, so that nothing keeps partitions alive.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock();
        state.unflushed.clear();
        state.cached.clear();
    }
}
