//! Reading slices that are to be replaced: whole, past the caches of readers, held against every checksum.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use waybill_meta::ObjectId;

use super::RewriteError;
use crate::index::Slice;
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
    fn check(slice: Arc<Slice>, data: Bytes, index: &Bytes) -> Result<Self, SegmentFault> {
        let index = parse_slice_index(index)?;
        index.verify(0, index.blocks.len(), &data)?;
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

/// Where a slice lies in its object, with its index.
pub(crate) fn extent(slice: &Slice) -> Range<u64> {
    let record = &slice.record;
    let data = record.data_position..record.data_position.saturating_add(record.data_length);
    let index = record.index_position..record.index_position.saturating_add(record.index_length);
    data.start.min(index.start)..data.end.max(index.end)
}

/// Which requests read these extents, which are in order.
pub(crate) fn requests(extents: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut requests: Vec<Range<u64>> = Vec::new();
    for extent in extents {
        match requests.last_mut() {
            Some(last)
                if extent.start <= last.end.saturating_add(GAP)
                    && extent.end.saturating_sub(last.start) <= REQUEST =>
            {
                last.end = last.end.max(extent.end);
            }
            _ => requests.push(extent),
        }
    }
    requests
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
        let range = extent(&slice);
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
        let mut by_object: HashMap<ObjectId, Vec<(usize, &Arc<Slice>)>> = HashMap::new();
        for (at, slice) in slices.iter().enumerate() {
            by_object.entry(slice.record.object).or_default().push((at, slice));
        }
        let mut objects: Vec<_> = by_object.into_iter().collect();
        objects.sort_unstable_by_key(|(id, _)| *id);
        let mut found: Vec<Option<SoundSlice>> = slices.iter().map(|_| None).collect();
        for (id, mut wanted) in objects {
            wanted.sort_unstable_by_key(|(_, slice)| slice.record.data_position);
            let mut wanted = wanted.into_iter().peekable();
            let extents: Vec<_> = wanted.clone().map(|(_, slice)| extent(slice)).collect();
            for range in requests(extents.into_iter()) {
                let bytes = self.read_range(id, range.clone()).await?;
                while let Some((at, slice)) = wanted.next_if(|(_, slice)| extent(slice).end <= range.end) {
                    let sound = cut(&bytes, range.start, slice);
                    let sound = sound.map_err(|fault| RewriteError::Damaged(id, fault.to_string()))?;
                    if let Some(place) = found.get_mut(at) {
                        *place = Some(sound);
                    }
                }
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

/// Takes a slice out of bytes that begin at `start` in its object.
fn cut(bytes: &Bytes, start: u64, slice: &Arc<Slice>) -> Result<SoundSlice, SegmentFault> {
    let part = |position: u64, length: u64| {
        let from = usize::try_from(position.checked_sub(start)?).ok()?;
        let to = from.checked_add(usize::try_from(length).ok()?)?;
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    };
    let record = &slice.record;
    let data = part(record.data_position, record.data_length).ok_or(SegmentFault::Short("slice"))?;
    let index = part(record.index_position, record.index_length).ok_or(SegmentFault::Short("block index"))?;
    SoundSlice::check(Arc::clone(slice), data, &index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "lists of ranges")]
    fn neighbours_are_read_together() {
        let read = |extents: &[Range<u64>]| requests(extents.iter().cloned());
        assert_eq!(read(&[0..10, 10..30, 30..31]), [0..31]);
        let far = 31 + GAP + 1;
        assert_eq!(read(&[0..10, 20..31, far..far + 1]), [0..31, far..far + 1]);
        assert_eq!(read(&[0..REQUEST, REQUEST..REQUEST + 5]), [0..REQUEST, REQUEST..REQUEST + 5]);
    }
}
