//! Reading: the end of the log from memory, the rest from segments.
//!
//! A read starts with the batch that holds the offset and returns whole batches. Where an object turns out to be gone,
//! the index is asked again: "gone" never means "end" or "skip".

use std::sync::Arc;

use bytes::Bytes;
use waybill_protocol::batch::BatchHeader;
use waybill_types::Offset;
use waybill_wal::WalError;

use crate::blocks::{Chunk, Patience, hold, is_gone};
use crate::error::ReadError;
use crate::index::Slice;
use crate::partition::Partition;
use crate::segment::{SegmentFault, SliceIndex, object_name};
use crate::tail::TailRead;
use crate::transactions::AbortedTransaction;

/// How often a read resolves its offset anew when data moves underneath it.
const TRIES: usize = 8;

/// A read takes this many pieces of segments at most, once it has something.
const PIECES: usize = 4;

/// Where a read ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadBound {
    /// At the high watermark (`read_uncommitted`).
    #[default]
    HighWatermark,
    /// At the last stable offset (`read_committed`).
    LastStable,
}

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest {
    /// The first offset wanted.
    pub from: Offset,
    /// Whole batches up to this many bytes.
    pub max_bytes: usize,
    /// Return the first batch even if it is larger (KIP-74), and wait for memory to read it into. Without it, nothing is
    /// waited for but the store, and a reader that finds no memory free gets nothing: whoever has batches already, as a
    /// fetch over many partitions has, must not wait for memory that others may be waiting for it to give back.
    pub at_least_one: bool,
    /// Where to end.
    pub bound: ReadBound,
}

impl ReadRequest {
    fn patience(self) -> Patience {
        if self.at_least_one { Patience::Wait } else { Patience::None }
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOutcome {
    /// Whole batches back to back, in pieces of one or more; the first holds the offset asked for.
    pub batches: Vec<Bytes>,
    /// The offset behind the last durable record.
    pub high_watermark: Offset,
    /// The first offset that may still turn out aborted.
    pub last_stable: Offset,
    /// The first offset of the log.
    pub log_start: Offset,
    /// For [`ReadBound::LastStable`], the aborted transactions that touch what was read.
    pub aborted: Vec<AbortedTransaction>,
}

impl ReadOutcome {
    /// Bytes of batches.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.batches.iter().map(Bytes::len).sum()
    }
}

/// What memory alone can answer.
enum Memory {
    Done(ReadOutcome),
    Evicted(waybill_wal::WalPosition, usize),
    Segments(Offset),
}

impl Partition {
    /// Answers from memory when that is possible; `None` means that [`Self::read`] must be asked. Never blocks.
    pub fn read_now(&self, request: ReadRequest) -> Option<Result<ReadOutcome, ReadError>> {
        match self.read_memory(request) {
            Ok(Memory::Done(outcome))
                if request.bound == ReadBound::HighWatermark || outcome.batches.is_empty() =>
            {
                Some(Ok(outcome))
            }
            // Aborted transactions may have to be looked up in segments.
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Reads batches.
    ///
    /// # Errors
    /// A [`ReadError`].
    pub async fn read(&self, request: ReadRequest) -> Result<ReadOutcome, ReadError> {
        let mut tries = 0;
        let mut outcome = loop {
            tries += 1;
            let read = match self.read_memory(request)? {
                Memory::Done(outcome) => break outcome,
                Memory::Evicted(position, length) => self.read_wal(request, position, length).await,
                Memory::Segments(upper) => self.read_segments(request, upper).await,
            };
            match read {
                Ok(Some(batches)) => break self.outcome(batches),
                Ok(None) if tries < TRIES => {}
                Ok(None) => break self.outcome(Vec::new()),
                Err(error) if tries < TRIES && (is_gone(&error) || is_trimmed(&error)) => {}
                Err(error) => return Err(error),
            }
        };
        if request.bound == ReadBound::LastStable && !outcome.batches.is_empty() {
            outcome.aborted = self.aborted_between(request.from, end_of(&outcome.batches)).await?;
        }
        Ok(outcome)
    }

    fn outcome(&self, batches: Vec<Bytes>) -> ReadOutcome {
        ReadOutcome {
            batches,
            high_watermark: self.high_watermark(),
            last_stable: self.last_stable_offset(),
            log_start: self.log_start(),
            aborted: Vec::new(),
        }
    }

    /// Where a read ends, or why it can not start.
    fn upper(&self, request: ReadRequest) -> Result<Offset, ReadError> {
        if self.is_removed() {
            return Err(ReadError::Removed);
        }
        let (log_start, high_watermark) = (self.log_start(), self.high_watermark());
        if request.from < log_start || request.from > high_watermark && request.from > self.next_offset() {
            return Err(ReadError::OutOfRange { offset: request.from, log_start, high_watermark });
        }
        Ok(match request.bound {
            ReadBound::HighWatermark => high_watermark,
            ReadBound::LastStable => self.last_stable_offset().min(high_watermark),
        })
    }

    fn read_memory(&self, request: ReadRequest) -> Result<Memory, ReadError> {
        let upper = self.upper(request)?;
        if request.from >= upper || request.max_bytes == 0 && !request.at_least_one {
            return Ok(Memory::Done(self.outcome(Vec::new())));
        }
        let read =
            self.durable.lock().tail.read(request.from, upper, request.max_bytes, request.at_least_one);
        Ok(match read {
            TailRead::Found(batches) => {
                self.services.metrics.tail_reads.inc();
                Memory::Done(self.outcome(batches))
            }
            TailRead::Evicted { position, length } => Memory::Evicted(position, length),
            TailRead::Below | TailRead::End => Memory::Segments(upper),
        })
    }

    async fn read_wal(
        &self,
        request: ReadRequest,
        position: waybill_wal::WalPosition,
        length: usize,
    ) -> Result<Option<Vec<Bytes>>, ReadError> {
        self.services.metrics.segment_reads.inc();
        if length > request.max_bytes && !request.at_least_one {
            return Ok(Some(Vec::new()));
        }
        let wal = self.services.wal()?;
        let Some(room) = self.services.blocks.room(length, request.patience()).await else {
            return Ok(Some(Vec::new()));
        };
        Ok(Some(vec![hold(wal.read(position, length).await?, room)]))
    }

    /// Reads from segments. `None` when the index has nothing at or behind the offset, which then must be in memory.
    async fn read_segments(
        &self,
        request: ReadRequest,
        upper: Offset,
    ) -> Result<Option<Vec<Bytes>>, ReadError> {
        self.services.metrics.segment_reads.inc();
        self.load_index().await?;
        let (mut batches, mut bytes, mut from) = (Vec::new(), 0usize, request.from);
        let mut pieces = 0;
        loop {
            let slice = self.index.lock().as_ref().and_then(|index| index.find(from).cloned());
            let Some(slice) = slice.filter(|slice| slice.base_offset < upper) else {
                return Ok((!batches.is_empty()).then_some(batches));
            };
            let (blocks, store) = (&self.services.blocks, &self.services.store);
            let patience = if batches.is_empty() { request.patience() } else { Patience::None };
            let index = blocks.index(store, &slice).await?;
            let block = index.block_at(from);
            let Some(chunk) = blocks.chunk_with(store, &slice, &index, block, patience).await? else {
                return Ok(Some(batches));
            };
            if block == chunk.first {
                // Whoever starts at the start of a chunk most likely came from the one before.
                self.read_ahead(&slice, &index, block, chunk.end);
            }
            let rest = request.max_bytes.saturating_sub(bytes);
            let at_least_one = request.at_least_one && batches.is_empty();
            let cut = cut(&chunk, &slice, &index, block, Cut { from, upper, max_bytes: rest, at_least_one })?;
            bytes += cut.bytes.len();
            let (full, empty) = (cut.full, cut.bytes.is_empty());
            if !empty {
                batches.push(cut.bytes);
            }
            // A piece of some size is enough, or a few small ones: the reader comes again, and others wait. Who reads many
            // partitions then finds the neighbours of these in the same places.
            pieces += 1;
            if full || bytes >= request.max_bytes / 2 || pieces >= PIECES && bytes > 0 {
                return Ok(Some(batches));
            }
            from = cut.next;
        }
    }

    /// [`Self::aborted_in`], asked again where segments go away underneath it.
    pub(crate) async fn aborted_between(
        &self,
        from: Offset,
        to: Offset,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.aborted_in(from, to).await {
                Err(error) if tries < TRIES && is_gone(&error) => {}
                other => return other,
            }
        }
    }

    /// The aborted transactions that touch `from..to`. A transaction's abort is told by the segment that holds its
    /// marker, which may lie behind `to`.
    async fn aborted_in(&self, from: Offset, to: Offset) -> Result<Vec<AbortedTransaction>, ReadError> {
        let mut aborted: Vec<_> = self.transactions.lock().aborted_in(from, to).collect();
        self.load_index().await?;
        let slices: Vec<Arc<Slice>> = {
            let index = self.index.lock();
            let slices = index.iter().flat_map(|index| index.from(from));
            slices.filter(|slice| slice.record.aborted > 0).cloned().collect()
        };
        for slice in slices {
            let index = self.services.blocks.index(&self.services.store, &slice).await?;
            let touching =
                index.aborted.iter().filter(|txn| txn.last_offset >= from && txn.first_offset < to);
            aborted.extend(touching);
        }
        // What moved from memory into a segment meanwhile was seen twice.
        aborted.sort_by_key(|txn| (txn.first_offset, txn.producer_id));
        aborted.dedup();
        Ok(aborted)
    }
}

fn is_trimmed(error: &ReadError) -> bool {
    matches!(error, ReadError::Wal(WalError::Trimmed(_)))
}

/// The offset behind the last of these batches.
fn end_of(batches: &[Bytes]) -> Offset {
    let mut end = Offset::ZERO;
    for piece in batches {
        let mut rest: &[u8] = piece;
        while let Ok(header) = BatchHeader::parse(rest) {
            end = end.max(header.next_offset());
            rest = rest.get(header.size..).unwrap_or_default();
        }
    }
    end
}

/// Which batches to cut out of a chunk.
struct Cut {
    from: Offset,
    upper: Offset,
    max_bytes: usize,
    at_least_one: bool,
}

/// What was cut.
struct CutBatches {
    bytes: Bytes,
    /// The offset behind the last batch, or behind the chunk.
    next: Offset,
    /// The reader has all it wants.
    full: bool,
}

/// Cuts whole batches out of a chunk, the first of which holds `from` (or is the first behind it).
fn cut(
    chunk: &Chunk,
    slice: &Slice,
    index: &SliceIndex,
    block: usize,
    want: Cut,
) -> Result<CutBatches, ReadError> {
    let mismatch = || {
        let object = object_name(slice.record.object).into();
        ReadError::Damaged { object, fault: SegmentFault::Batches }
    };
    let length = slice.record.data_length;
    let origin = index.start_of(chunk.first, length);
    let start = index.start_of(block, length).checked_sub(origin).ok_or_else(mismatch)?;
    let mut at = usize::try_from(start).map_err(|_| mismatch())?;
    let mut first = None;
    let mut next = want.from;
    let mut full = false;
    while at < chunk.bytes.len() {
        let header = BatchHeader::parse(chunk.bytes.get(at..).unwrap_or_default()).map_err(|_| mismatch())?;
        let end = at.checked_add(header.size).filter(|end| *end <= chunk.bytes.len()).ok_or_else(mismatch)?;
        if header.last_offset() >= want.from {
            let begin = first.unwrap_or(at);
            let fits = end - begin <= want.max_bytes || first.is_none() && want.at_least_one;
            if header.base_offset >= want.upper || !fits {
                full = true;
                break;
            }
            first = Some(begin);
        }
        next = header.next_offset();
        at = end;
    }
    let bytes = first.map_or_else(Bytes::new, |begin| chunk.bytes.slice(begin..at));
    Ok(CutBatches { bytes, next: next.max(want.from), full })
}
