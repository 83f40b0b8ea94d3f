//! Pieces of segments in memory: block indexes, and chunks of batches. Bounded, least recently used go first, and each
//! piece is read once however many readers want it at the same time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use waybill_meta::ObjectId;
use waybill_rt::{Budget, BudgetPermit};
use waybill_store::{SharedStore, StoreError};

use crate::error::ReadError;
use crate::index::Slice;
use crate::metrics::StorageMetrics;
use crate::options::EngineOptions;
use crate::segment::{SegmentFault, SliceIndex, object_name, parse_slice_index};

/// Object, position of the slice in it, number of the chunk in the slice.
type Key = (ObjectId, u64, u64);

/// A chunk: the blocks of a slice from `first` on, checked.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    pub(crate) first: usize,
    /// The block behind its last one.
    pub(crate) end: usize,
}

/// Whether a reader waits for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until others let go of theirs: only for who holds nothing that others may wait for.
    Wait,
    /// It takes what is free or goes without.
    None,
}

/// The caches over the data store.
pub(crate) struct Blocks {
    chunks: Cache<Bytes>,
    indexes: Cache<Arc<SliceIndex>>,
    /// What readers and the block cache hold together.
    held: Budget,
    read_ahead: u64,
    metrics: StorageMetrics,
}

/// Bytes that give back their share of a budget when the last reader lets go.
struct Held {
    bytes: Bytes,
    _permit: BudgetPermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Blocks {
    pub(crate) fn new(options: &EngineOptions, metrics: StorageMetrics) -> Self {
        let held = options.block_cache_bytes.saturating_add(options.catch_up_bytes);
        Self {
            chunks: Cache::new(options.block_cache_bytes),
            indexes: Cache::new(options.index_cache_bytes),
            held: Budget::new("segment_reads", held),
            read_ahead: options.read_ahead_bytes.max(1),
            metrics,
        }
    }

    /// What readers and the block cache hold together.
    pub(crate) fn held(&self) -> &Budget {
        &self.held
    }

    /// Memory for `length` bytes of a segment; `None` when there is none and the reader does not wait. It is taken
    /// before a piece is looked for, so that whoever loads a piece waits for nobody but the store, and never in the
    /// midst of a load that others have joined. What the block cache keeps is given up first.
    pub(crate) async fn room(&self, length: usize, patience: Patience) -> Option<BudgetPermit> {
        if let Some(room) = self.held.try_take(length) {
            return Some(room);
        }
        self.chunks.give_up(length);
        match patience {
            Patience::Wait => Some(self.held.take(length).await),
            Patience::None => self.held.try_take(length),
        }
    }

    /// The block index of a slice. It never waits for memory.
    pub(crate) async fn index(
        &self,
        store: &SharedStore,
        slice: &Slice,
    ) -> Result<Arc<SliceIndex>, ReadError> {
        let record = &slice.record;
        let key = (record.object, record.index_position, 0);
        if let Some(index) = self.indexes.loaded(key) {
            return Ok(index);
        }
        let whole = record.data_length.saturating_add(record.index_length);
        let room = (whole <= self.read_ahead)
            .then(|| self.held.try_take(usize::try_from(whole).unwrap_or(usize::MAX)));
        let load = || async {
            let name = object_name(record.object);
            let index = if let Some(room) = room.flatten() {
                self.load_whole(store, slice, &name, room).await?
            } else {
                let range = record.index_position..record.index_position.saturating_add(record.index_length);
                let bytes = get_exactly(store, &name, range).await?;
                parse_slice_index(&bytes).map_err(|fault| damaged(&name, fault))?
            };
            let cost = 64 + index.blocks.len() * 24 + index.aborted.len() * 24 + index.producers.len() * 200;
            Ok((Arc::new(index), cost))
        };
        self.indexes.get(key, load).await.map(|(index, _)| index)
    }

    /// Reads a small slice with its block index in one request, and keeps its batches: whoever asks for the index
    /// wants them next.
    async fn load_whole(
        &self,
        store: &SharedStore,
        slice: &Slice,
        name: &str,
        room: BudgetPermit,
    ) -> Result<SliceIndex, ReadError> {
        let record = &slice.record;
        let length = record.data_length.saturating_add(record.index_length);
        let range = record.data_position..record.data_position.saturating_add(length);
        let data = usize::try_from(record.data_length).unwrap_or(usize::MAX);
        let held = usize::try_from(length).unwrap_or(usize::MAX);
        let mut bytes = hold(get_exactly(store, name, range).await?, room);
        let at_end = bytes.get(data..).ok_or_else(|| damaged(name, SegmentFault::Short("slice")))?;
        let index = parse_slice_index(at_end).map_err(|fault| damaged(name, fault))?;
        bytes.truncate(data);
        index.verify(0, index.blocks.len(), &bytes).map_err(|fault| damaged(name, fault))?;
        self.chunks.put((record.object, record.data_position, 0), bytes, held);
        Ok(index)
    }

    /// The chunk that holds block `block` of a slice, waiting for memory.
    pub(crate) async fn chunk(
        &self,
        store: &SharedStore,
        slice: &Slice,
        index: &SliceIndex,
        block: usize,
    ) -> Result<Chunk, ReadError> {
        loop {
            if let Some(chunk) = self.chunk_with(store, slice, index, block, Patience::Wait).await? {
                return Ok(chunk);
            }
        }
    }

    /// The chunk that holds block `block` of a slice; `None` when there is no memory for it now and the reader does not
    /// wait.
    pub(crate) async fn chunk_with(
        &self,
        store: &SharedStore,
        slice: &Slice,
        index: &SliceIndex,
        block: usize,
        patience: Patience,
    ) -> Result<Option<Chunk>, ReadError> {
        let span = self.span(slice, index, block);
        let chunk = |bytes| Ok(Some(Chunk { bytes, first: span.first, end: span.end }));
        if let Some(bytes) = self.chunks.loaded(span.key) {
            self.metrics.block_hits.inc();
            return chunk(bytes);
        }
        let Some(room) = self.room(span.length(), patience).await else { return Ok(None) };
        let (bytes, hit) = self.load(store, slice, index, &span, room).await?;
        self.chunks.used_by_reader(span.key);
        if hit {
            self.metrics.block_hits.inc()
        } else {
            self.metrics.block_misses.inc()
        };
        self.metrics.block_bytes.set(i64::try_from(self.chunks.used()).unwrap_or(i64::MAX));
        chunk(bytes)
    }

    /// Says that the chunk of `block` will be read ahead, for as long as it is not there or on its way, and no more than
    /// half of the cache waits for its readers: more would push itself out before it is read.
    pub(crate) fn claim_ahead(&self, slice: &Slice, index: &SliceIndex, block: usize) -> bool {
        let span = self.span(slice, index, block);
        self.chunks.claim_ahead(span.key, span.length())
    }

    /// Reads a claimed chunk into the cache, if there is memory for it. Failures are left to the reader who comes for it.
    pub(crate) async fn read_ahead(
        &self,
        store: &SharedStore,
        slice: &Slice,
        index: &SliceIndex,
        block: usize,
    ) {
        let span = self.span(slice, index, block);
        let loaded = match self.held.try_take(span.length()) {
            Some(room) => self.load(store, slice, index, &span, room).await.is_ok(),
            None => false,
        };
        if !loaded {
            self.chunks.not_ahead(span.key);
        }
    }

    fn span(&self, slice: &Slice, index: &SliceIndex, block: usize) -> Span {
        let record = &slice.record;
        // By where blocks end: a block of about the size of a chunk is a chunk of its own.
        let chunk_of =
            |at: usize| index.start_of(at + 1, record.data_length).saturating_sub(1) / self.read_ahead;
        let number = chunk_of(block);
        let first = (0..block).rev().take_while(|at| chunk_of(*at) == number).last().unwrap_or(block);
        let end = (block..index.blocks.len()).find(|at| chunk_of(*at) > number).unwrap_or(index.blocks.len());
        let start = index.start_of(first, record.data_length);
        let stop = index.start_of(end, record.data_length);
        Span { key: (record.object, record.data_position, number), first, end, start, stop }
    }

    /// The bytes of a chunk, and whether they were there.
    async fn load(
        &self,
        store: &SharedStore,
        slice: &Slice,
        index: &SliceIndex,
        span: &Span,
        room: BudgetPermit,
    ) -> Result<(Bytes, bool), ReadError> {
        let record = &slice.record;
        let load = || async {
            let name = object_name(record.object);
            let range = record.data_position + span.start..record.data_position + span.stop;
            let bytes = hold(get_exactly(store, &name, range).await?, room);
            index.verify(span.first, span.end, &bytes).map_err(|fault| damaged(&name, fault))?;
            Ok::<_, ReadError>((bytes, span.length()))
        };
        self.chunks.get(span.key, load).await
    }
}

/// Where a chunk lies.
struct Span {
    key: Key,
    /// Its blocks.
    first: usize,
    end: usize,
    /// Its bytes within the slice.
    start: u64,
    stop: u64,
}

impl Span {
    fn length(&self) -> usize {
        usize::try_from(self.stop.saturating_sub(self.start)).unwrap_or(usize::MAX)
    }
}

/// Bytes that keep their share of a budget until the last reader lets go.
pub(crate) fn hold(bytes: Bytes, room: BudgetPermit) -> Bytes {
    Bytes::from_owner(Held { bytes, _permit: room })
}

fn damaged(name: &str, fault: SegmentFault) -> ReadError {
    ReadError::Damaged { object: name.into(), fault }
}

async fn get_exactly(
    store: &SharedStore,
    name: &str,
    range: std::ops::Range<u64>,
) -> Result<Bytes, ReadError> {
    let length = range.end.saturating_sub(range.start);
    let bytes = store.get(name, range).await?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(damaged(name, SegmentFault::Short("segment"))) }
}

/// Whether the object is gone: the index must be asked again.
pub(crate) fn is_gone(error: &ReadError) -> bool {
    matches!(error, ReadError::Store(StoreError::NotFound(_)))
}

/// A bounded map of values that are loaded once.
struct Cache<V> {
    limit: usize,
    state: Mutex<State<V>>,
}

struct State<V> {
    slots: HashMap<Key, Slot<V>>,
    /// Ages are unique, so that what is dropped first does not depend on the map's order.
    ages: BTreeMap<u64, Key>,
    clock: u64,
    used: usize,
    /// Values read ahead, or about to be, that no reader came for yet, with their costs.
    ahead: HashMap<Key, usize>,
    ahead_used: usize,
    /// How well reading ahead went lately: up with each value that found its reader, down with each that did not.
    ahead_score: i32,
    ahead_asked: u64,
}

/// The score stays within this of zero.
const SCORE_BOUND: i32 = 8;
/// While the score is negative, one in so many is read ahead all the same, to see whether it would go better now.
const PROBE: u64 = 64;

struct Slot<V> {
    cell: Arc<OnceCell<V>>,
    age: u64,
    cost: usize,
}

impl<V: Clone> Cache<V> {
    fn new(limit: usize) -> Self {
        let state = State {
            slots: HashMap::new(),
            ages: BTreeMap::new(),
            clock: 0,
            used: 0,
            ahead: HashMap::new(),
            ahead_used: 0,
            ahead_score: 0,
            ahead_asked: 0,
        };
        Self { limit, state: Mutex::new(state) }
    }

    fn used(&self) -> usize {
        self.state.lock().used
    }

    /// The value, if it is there.
    fn loaded(&self, key: Key) -> Option<V> {
        let mut state = self.state.lock();
        let value = state.slots.get(&key)?.cell.get()?.clone();
        state.touch(key);
        state.no_longer_ahead(key);
        Some(value)
    }

    /// Whether to load a value before anybody asks for it: it is not here, and not too many such wait for their readers.
    fn claim_ahead(&self, key: Key, cost: usize) -> bool {
        let mut state = self.state.lock();
        state.ahead_asked += 1;
        if state.slots.contains_key(&key)
            || state.ahead.contains_key(&key)
            || state.ahead_used.saturating_add(cost) > self.limit / 2
            || state.ahead_score < 0 && !state.ahead_asked.is_multiple_of(PROBE)
        {
            return false;
        }
        state.ahead.insert(key, cost);
        state.ahead_used += cost;
        true
    }

    /// A value that was claimed will not come.
    fn not_ahead(&self, key: Key) {
        self.state.lock().take_ahead(key);
    }

    /// A value has found its reader.
    fn used_by_reader(&self, key: Key) {
        self.state.lock().no_longer_ahead(key);
    }

    /// Drops the values used least recently until `cost` is gone or nothing is left.
    fn give_up(&self, cost: usize) {
        let mut state = self.state.lock();
        let limit = state.used.saturating_sub(cost);
        state.shrink(limit);
    }

    /// Adds a value that was loaded on the way.
    fn put(&self, key: Key, value: V, cost: usize) {
        let mut state = self.state.lock();
        if state.touch(key).set(value).is_ok() {
            state.charge(key, cost, self.limit);
        }
    }

    /// The value, and whether it was there already. `load` gives it and what it costs.
    async fn get<E, F>(&self, key: Key, load: impl FnOnce() -> F) -> Result<(V, bool), E>
    where
        F: Future<Output = Result<(V, usize), E>>,
    {
        let cell = self.state.lock().touch(key);
        if let Some(value) = cell.get() {
            return Ok((value.clone(), true));
        }
        let loading = || async {
            let (value, cost) = load().await?;
            self.state.lock().charge(key, cost, self.limit);
            Ok(value)
        };
        let value = cell.get_or_try_init(loading).await;
        if value.is_err() {
            self.state.lock().forget_unloaded(key, &cell);
        }
        value.map(|value| (value.clone(), false))
    }
}

impl<V> State<V> {
    fn touch(&mut self, key: Key) -> Arc<OnceCell<V>> {
        self.clock += 1;
        let age = self.clock;
        let slot =
            self.slots.entry(key).or_insert_with(|| Slot { cell: Arc::new(OnceCell::new()), age, cost: 0 });
        self.ages.remove(&slot.age);
        slot.age = age;
        self.ages.insert(age, key);
        Arc::clone(&slot.cell)
    }

    fn charge(&mut self, key: Key, cost: usize, limit: usize) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        self.used = self.used - slot.cost + cost;
        slot.cost = cost;
        self.shrink(limit);
    }

    fn no_longer_ahead(&mut self, key: Key) {
        if self.take_ahead(key) {
            self.ahead_score = (self.ahead_score + 1).min(SCORE_BOUND);
        }
    }

    fn take_ahead(&mut self, key: Key) -> bool {
        let cost = self.ahead.remove(&key);
        self.ahead_used = self.ahead_used.saturating_sub(cost.unwrap_or_default());
        cost.is_some()
    }

    fn shrink(&mut self, limit: usize) {
        while self.used > limit {
            let Some((_, oldest)) = self.ages.pop_first() else { break };
            if self.take_ahead(oldest) {
                self.ahead_score = (self.ahead_score - 1).max(-SCORE_BOUND);
            }
            if let Some(slot) = self.slots.remove(&oldest) {
                self.used -= slot.cost;
            }
        }
    }

    fn forget_unloaded(&mut self, key: Key, cell: &Arc<OnceCell<V>>) {
        let same = self.slots.get(&key).is_some_and(|slot| Arc::ptr_eq(&slot.cell, cell) && slot.cost == 0);
        if same && let Some(slot) = self.slots.remove(&key) {
            self.ages.remove(&slot.age);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn key(number: u64) -> Key {
        (ObjectId(1), 0, number)
    }

    #[tokio::test]
    async fn values_are_loaded_once_and_the_oldest_go_first() {
        let cache: Cache<u64> = Cache::new(30);
        let loads = Cell::new(0);
        let (cache, loads) = (&cache, &loads);
        let get = |number: u64| {
            cache.get(key(number), move || async move {
                loads.set(loads.get() + 1);
                tokio::task::yield_now().await;
                Ok::<_, ()>((number, 10))
            })
        };
        let (one, two) = tokio::join!(get(1), get(1));
        assert_eq!((one.unwrap().0, two.unwrap().0, loads.get()), (1, 1, 1));
        for number in [2, 3, 1, 4] {
            get(number).await.unwrap();
        }
        assert_eq!((loads.get(), cache.used()), (4, 30));
        // 2 was used least recently.
        assert!(get(1).await.unwrap().1);
        assert!(!get(2).await.unwrap().1);
    }

    #[tokio::test]
    async fn what_is_read_ahead_waits_for_readers_within_half_the_cache() {
        let cache: Cache<u64> = Cache::new(40);
        assert!(cache.claim_ahead(key(1), 10));
        assert!(!cache.claim_ahead(key(1), 10), "it is on its way");
        assert!(cache.claim_ahead(key(2), 10));
        assert!(!cache.claim_ahead(key(3), 10), "half of the cache waits for readers");
        cache.put(key(1), 1, 10);
        assert_eq!(cache.loaded(key(1)), Some(1));
        assert!(!cache.claim_ahead(key(1), 10), "it is here");
        assert!(cache.claim_ahead(key(3), 10), "a reader came for the first");
        for number in 10..20 {
            cache.put(key(number), number, 10);
        }
        cache.put(key(2), 2, 10);
        cache.put(key(3), 3, 10);
        cache.give_up(40);
        assert_eq!(cache.state.lock().ahead_used, 0, "what was dropped waits for nobody");
        // Two were dropped unread, one was read: it goes badly, so only now and then one is tried.
        let claimed = (100..100 + 2 * PROBE).filter(|number| {
            let claimed = cache.claim_ahead(key(*number), 1);
            cache.not_ahead(key(*number));
            claimed
        });
        assert_eq!(claimed.count(), 2);
    }

    #[tokio::test]
    async fn a_failed_load_is_tried_again() {
        let cache: Cache<u64> = Cache::new(30);
        assert_eq!(cache.get(key(1), || async { Err::<(u64, usize), _>("no") }).await, Err("no"));
        assert_eq!(cache.get(key(1), || async { Ok::<_, &str>((5, 1)) }).await, Ok((5, false)));
    }
}
