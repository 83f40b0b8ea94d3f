//! Reading slices that are to be replaced: whole, past the caches of readers, held against every checksum.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use waybill_meta::ObjectId;

use super::RewriteError;
use crate::index::Slice;
use crate::runs::{self, runs};
use crate::segment::{
    Batched, Piece, SegmentFault, SliceIndex, check_batches, object_name, parse_slice_index,
};
use crate::shared::Shared;

/// Slices of an object that are no further apart are read in one request.
const GAP: u64 = 16 << 10;
/// One request reads about this much.
const REQUEST: u64 = 8 << 20;
/// A slice that is read piece by piece is read in pieces of about this much.
const CHUNK: u64 = 1 << 20;

/// A slice that was read whole and found sound.
pub(crate) struct SoundSlice {
    pub(crate) slice: Arc<Slice>,
    pub(crate) index: SliceIndex,
    pub(crate) data: Bytes,
    pub(crate) batched: Batched,
}

impl SoundSlice {
    /// Takes a slice out of bytes that begin at `start` in its object.
    fn cut(slice: Arc<Slice>, bytes: &Bytes, start: u64) -> Result<Self, SegmentFault> {
        let (data, index) = runs::cut(bytes, start, &slice)?;
        let batched = check_batches(data.clone(), slice.base_offset, slice.record.last_offset)?;
        Ok(Self { slice, index, data, batched })
    }

    /// Its batches by block, as references.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        let length = self.slice.record.data_length;
        self.index.blocks.iter().enumerate().map(move |(at, block)| {
            let part = |at| usize::try_from(self.index.start_of(at, length)).unwrap_or(usize::MAX);
            let (from, to) = (part(at).min(self.data.len()), part(at + 1).min(self.data.len()));
            let bytes = self.data.slice(from..to.max(from));
            Piece { base_offset: block.base_offset, max_timestamp: block.max_timestamp, bytes }
        })
    }
}

/// Reads a slice of any length from its start, some whole blocks at a time.
pub(crate) struct SliceReader<'a> {
    shared: &'a Shared,
    slice: Arc<Slice>,
    index: SliceIndex,
    next: usize,
    /// All of it, when it is small.
    whole: Option<Bytes>,
}

impl<'a> SliceReader<'a> {
    /// Begins to read a slice: a small one in one request.
    pub(crate) async fn open(shared: &'a Shared, slice: &Arc<Slice>) -> Result<Self, RewriteError> {
        let (record, slice) = (&slice.record, Arc::clone(slice));
        let range = slice.extent();
        if range.end - range.start <= CHUNK {
            let sound = shared.read_slices(std::slice::from_ref(&slice)).await?;
            let sound = sound.into_iter().next().ok_or(RewriteError::GaveUp)?;
            return Ok(Self { shared, slice, index: sound.index, next: 0, whole: Some(sound.data) });
        }
        let index = record.index_position..record.index_position.saturating_add(record.index_length);
        let bytes = shared.read_range(record.object, index).await?;
        let index = parse_slice_index(&bytes)
            .map_err(|fault| RewriteError::Damaged(record.object, fault.to_string()))?;
        Ok(Self { shared, slice, index, next: 0, whole: None })
    }

    /// The next whole batches, held against their checksums; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, RewriteError> {
        let record = &self.slice.record;
        let count = self.index.blocks.len();
        if self.next >= count {
            return Ok(None);
        }
        if let Some(whole) = self.whole.take() {
            self.next = count;
            return Ok(Some(whole));
        }
        let start = self.index.start_of(self.next, record.data_length);
        let ends = (self.next + 1..=count).map(|at| (at, self.index.start_of(at, record.data_length)));
        let mut end = (self.next + 1, self.index.start_of(self.next + 1, record.data_length));
        for (at, position) in ends {
            if position.saturating_sub(start) > CHUNK {
                break;
            }
            end = (at, position);
        }
        let range = record.data_position + start..record.data_position + end.1.max(start);
        let bytes = self.shared.read_range(record.object, range).await?;
        let sound = self.index.verify(self.next, end.0, &bytes);
        sound.map_err(|fault| RewriteError::Damaged(record.object, fault.to_string()))?;
        self.next = end.0;
        Ok(Some(bytes))
    }

    pub(crate) fn index(&self) -> &SliceIndex {
        &self.index
    }

    pub(crate) fn into_index(self) -> SliceIndex {
        self.index
    }
}

impl Shared {
    /// Reads slices, in as few requests as go. They come back in the order given.
    pub(crate) async fn read_slices(&self, slices: &[Arc<Slice>]) -> Result<Vec<SoundSlice>, RewriteError> {
        let mut found: Vec<Option<SoundSlice>> = slices.iter().map(|_| None).collect();
        let wanted = slices.iter().zip(&mut found).map(|(slice, place)| (Arc::clone(slice), place)).collect();
        for run in runs(wanted, GAP, REQUEST) {
            let bytes = self.read_range(run.object, run.range.clone()).await?;
            for (slice, place) in run.slices {
                let sound = SoundSlice::cut(slice, &bytes, run.range.start);
                *place = Some(sound.map_err(|fault| RewriteError::Damaged(run.object, fault.to_string()))?);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Reads a range of an object, all of it.
    pub(crate) async fn read_range(&self, id: ObjectId, range: Range<u64>) -> Result<Bytes, RewriteError> {
        let length = range.end.saturating_sub(range.start);
        self.pace(length).await?;
        let bytes = self.services.store.get(&object_name(id), range).await?;
        self.services.metrics.compaction_read.inc_by(bytes.len() as u64);
        if bytes.len() as u64 == length {
            Ok(bytes)
        } else {
            Err(RewriteError::Damaged(id, SegmentFault::Short("object").to_string()))
        }
    }
}
