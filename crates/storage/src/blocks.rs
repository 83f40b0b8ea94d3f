//! Pieces of segments in memory: block indexes, and chunks of batches. Bounded, least recently used go first, and each
//! piece is read once however many readers want it at the same time.

use std::sync::Arc;

use bytes::Bytes;
use waybill_rt::{Budget, BudgetPermit};
use waybill_store::{SharedStore, StoreError};

use crate::cache::{Cache, Key};
use crate::error::ReadError;
use crate::index::Slice;
use crate::metrics::StorageMetrics;
use crate::options::EngineOptions;
use crate::runs::{Run, cut};
use crate::segment::{SegmentFault, SliceIndex, object_name, parse_slice_index};

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
        let room = self.held.try_take(length);
        if room.is_some() || patience == Patience::None {
            return room;
        }
        // What was given up is in the hands of readers still; the rest of the cache may not be.
        self.chunks.give_up(usize::MAX);
        Some(self.held.take(length).await)
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
        let whole = Slice::bytes_of(record);
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
            let cost = index_cost(&index);
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
        let extent = slice.extent();
        let start = extent.start;
        let bytes = hold(get_exactly(store, name, extent).await?, room);
        let (data, index) = cut(&bytes, start, slice).map_err(|fault| damaged(name, fault))?;
        self.keep_whole(slice, data);
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

    /// The block index of a slice, if it is in memory.
    pub(crate) fn index_now(&self, slice: &Slice) -> Option<Arc<SliceIndex>> {
        self.indexes.loaded((slice.record.object, slice.record.index_position, 0))
    }

    /// The block behind the chunk that holds `block`.
    pub(crate) fn end_of_chunk(&self, slice: &Slice, index: &SliceIndex, block: usize) -> usize {
        self.span(slice, index, block).end
    }

    /// Says that the chunk of `block` will be read ahead, for as long as it is not there or on its way, and no more than
    /// half of the cache waits for its readers: more would push itself out before it is read. Without the slice's index it is the
    /// slice's first chunk. The partition stands for its readers.
    pub(crate) fn claim_ahead(
        &self,
        slice: &Slice,
        index: Option<&SliceIndex>,
        block: usize,
        partition: u64,
    ) -> Option<Claim> {
        let (key, length) = match index {
            Some(index) => {
                let span = self.span(slice, index, block);
                (span.key, span.length())
            }
            None => {
                let length = slice.record.data_length.min(self.read_ahead);
                let key = (slice.record.object, slice.record.data_position, 0);
                (key, usize::try_from(length).unwrap_or(usize::MAX))
            }
        };
        self.chunks.claim_ahead(key, length, partition).then_some(Claim(key))
    }

    /// Reads a claimed chunk into the cache, if there is memory for it. Failures are left to the reader who comes for it.
    pub(crate) async fn read_ahead(
        &self,
        store: &SharedStore,
        slice: &Slice,
        index: Option<Arc<SliceIndex>>,
        block: usize,
        claim: Claim,
    ) {
        let index = match index {
            Some(index) => Some(index),
            None => self.index(store, slice).await.ok(),
        };
        let span = index.as_ref().map(|index| (index, self.span(slice, index, block)));
        let loaded = match span.filter(|(_, span)| span.key == claim.0) {
            Some((index, span)) if self.chunks.peek(span.key).is_none() => {
                match self.held.try_take(span.length()) {
                    Some(room) => self.load(store, slice, index, &span, room).await.is_ok(),
                    None => false,
                }
            }
            Some(_) => true,
            // The first block is so large that its chunk has another number.
            None => false,
        };
        if !loaded {
            self.chunks.not_ahead(claim.0);
        }
    }

    /// Reads neighbouring small slices with one request. Failures are left to the readers.
    pub(crate) async fn load_run(&self, store: &SharedStore, run: Run<Claim>) {
        if self.try_load_run(store, &run).await.is_none() {
            for (_, claim) in &run.slices {
                self.chunks.not_ahead(claim.0);
            }
        }
    }

    async fn try_load_run(&self, store: &SharedStore, run: &Run<Claim>) -> Option<()> {
        let room = self.held.try_take(usize::try_from(run.range.end - run.range.start).ok()?)?;
        let bytes = hold(get_exactly(store, &object_name(run.object), run.range.clone()).await.ok()?, room);
        for (slice, _) in &run.slices {
            let (data, index) = cut(&bytes, run.range.start, slice).ok()?;
            let cost = index_cost(&index);
            self.keep_whole(slice, data);
            let key = (slice.record.object, slice.record.index_position, 0);
            self.indexes.put(key, Arc::new(index), cost);
        }
        Some(())
    }

    /// Keeps all batches of a small slice. They pin what they were read with.
    fn keep_whole(&self, slice: &Slice, data: Bytes) {
        let held = usize::try_from(Slice::bytes_of(&slice.record)).unwrap_or(usize::MAX);
        self.chunks.put((slice.record.object, slice.record.data_position, 0), data, held);
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

/// A chunk that is about to be read ahead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim(Key);

fn index_cost(index: &SliceIndex) -> usize {
    64 + index.blocks.len() * 24 + index.aborted.len() * 24 + index.producers.len() * 200
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
