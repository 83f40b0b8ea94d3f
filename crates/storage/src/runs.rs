//! Slices that are read whole, with their block indexes: neighbours of one object in one request. Pure.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use waybill_meta::ObjectId;

use crate::index::Slice;
use crate::segment::{SegmentFault, SliceIndex, parse_slice_index};

/// Slices of one object that are read in one request, each with what its reader wants to know again.
#[derive(Debug)]
pub(crate) struct Run<T> {
    pub(crate) object: ObjectId,
    pub(crate) range: Range<u64>,
    pub(crate) slices: Vec<(Arc<Slice>, T)>,
}

/// In which requests slices are read: those no further apart than `gap` together, at most `longest` bytes unless a slice alone
/// is longer.
pub(crate) fn runs<T>(mut slices: Vec<(Arc<Slice>, T)>, gap: u64, longest: u64) -> Vec<Run<T>> {
    slices.sort_by_key(|(slice, _)| (slice.record.object, slice.record.data_position));
    let mut runs: Vec<Run<T>> = Vec::new();
    for (slice, wanted) in slices {
        let (object, extent) = (slice.record.object, slice.extent());
        let fits = |run: &&mut Run<T>| {
            run.object == object
                && extent.start <= run.range.end.saturating_add(gap)
                && extent.end.saturating_sub(run.range.start) <= longest
        };
        match runs.last_mut().filter(fits) {
            Some(run) => {
                run.range.end = run.range.end.max(extent.end);
                run.slices.push((slice, wanted));
            }
            None => runs.push(Run { object, range: extent, slices: vec![(slice, wanted)] }),
        }
    }
    runs
}

/// Takes a slice's batches and block index out of bytes that begin at `start` in its object, held against their checksums.
pub(crate) fn cut(bytes: &Bytes, start: u64, slice: &Slice) -> Result<(Bytes, SliceIndex), SegmentFault> {
    let part = |position: u64, length: u64| {
        let from = usize::try_from(position.checked_sub(start)?).ok()?;
        let to = from.checked_add(usize::try_from(length).ok()?)?;
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    };
    let record = &slice.record;
    let data = part(record.data_position, record.data_length).ok_or(SegmentFault::Short("slice"))?;
    let index = part(record.index_position, record.index_length).ok_or(SegmentFault::Short("block index"))?;
    let index = parse_slice_index(&index)?;
    index.verify(0, index.blocks.len(), &data)?;
    Ok((data, index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_meta::IndexRecord;
    use waybill_types::{Offset, TimestampMs};

    /// A slice of an object whose batches and index lie in a range, the index last.
    fn slice(object: u64, range: Range<u64>) -> (Arc<Slice>, ()) {
        let record = IndexRecord {
            object: ObjectId(object),
            placement: String::new(),
            data_position: range.start,
            data_length: range.end - range.start - 1,
            index_position: range.end - 1,
            index_length: 1,
            last_offset: Offset(0),
            max_timestamp: TimestampMs(0),
            first_append: TimestampMs(0),
            last_append: TimestampMs(0),
            aborted: 0,
        };
        (Arc::new(Slice { base_offset: Offset(0), record }), ())
    }

    #[test]
    fn neighbours_are_read_together() {
        let read = |slices: &[(u64, Range<u64>)]| -> Vec<(u64, Range<u64>, usize)> {
            let slices = slices.iter().map(|(object, range)| slice(*object, range.clone())).collect();
            let told = |run: Run<()>| (run.object.0, run.range, run.slices.len());
            runs(slices, 5, 100).into_iter().map(told).collect()
        };
        assert_eq!(read(&[(1, 10..30), (1, 0..10), (1, 30..32)]), [(1, 0..32, 3)]);
        assert_eq!(read(&[(1, 0..10), (1, 15..20), (1, 26..30)]), [(1, 0..20, 2), (1, 26..30, 1)]);
        assert_eq!(read(&[(1, 0..10), (2, 10..20)]), [(1, 0..10, 1), (2, 10..20, 1)]);
        assert_eq!(
            read(&[(1, 0..99), (1, 99..104), (1, 104..400)]).len(),
            3,
            "none is too long but who is alone"
        );
    }
}
