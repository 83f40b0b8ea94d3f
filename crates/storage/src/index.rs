//! A partition's index in memory: which slice holds an offset. Pure.

use std::ops::Range;
use std::sync::Arc;

use waybill_meta::IndexRecord;
use waybill_types::{Offset, TimestampMs};

/// A slice that the index names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) base_offset: Offset,
    pub(crate) record: IndexRecord,
}

impl Slice {
    /// Bytes that a slice takes in its object: batches and block index.
    pub(crate) fn bytes_of(record: &IndexRecord) -> u64 {
        record.data_length.saturating_add(record.index_length)
    }

    /// Where it lies in its object: its batches and its block index.
    pub(crate) fn extent(&self) -> Range<u64> {
        let record = &self.record;
        let data = record.data_position..record.data_position.saturating_add(record.data_length);
        let index = record.index_position..record.index_position.saturating_add(record.index_length);
        data.start.min(index.start)..data.end.max(index.end)
    }
}

/// The slices of a partition, by offset. They do not overlap; there may be holes.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartitionIndex {
    slices: Vec<Arc<Slice>>,
}

impl PartitionIndex {
    /// Slices in order of their offsets, as a scan of the metadata store gives them.
    pub(crate) fn new(slices: Vec<Arc<Slice>>) -> Self {
        Self { slices }
    }

    /// Adds a slice behind all others.
    pub(crate) fn push(&mut self, slice: Arc<Slice>) {
        debug_assert!(
            self.slices.last().is_none_or(|last| last.record.last_offset < slice.base_offset),
            "slices do not overlap"
        );
        self.slices.push(slice);
    }

    /// The first slice with records at or behind `offset`.
    pub(crate) fn find(&self, offset: Offset) -> Option<&Arc<Slice>> {
        self.slices.get(self.slices.partition_point(|slice| slice.record.last_offset < offset))
    }

    /// The slices from the one that [`Self::find`] gives on.
    pub(crate) fn from(&self, offset: Offset) -> &[Arc<Slice>] {
        let first = self.slices.partition_point(|slice| slice.record.last_offset < offset);
        self.slices.get(first..).unwrap_or_default()
    }

    /// The first slice at or behind `from` with a record at or after `timestamp`.
    pub(crate) fn first_at(&self, timestamp: TimestampMs, from: Offset) -> Option<&Arc<Slice>> {
        self.from(from).iter().find(|slice| slice.record.max_timestamp >= timestamp)
    }

    /// The first slice at or behind `from` with the largest timestamp.
    pub(crate) fn latest(&self, from: Offset) -> Option<&Arc<Slice>> {
        self.from(from).iter().reduce(|best, slice| {
            if slice.record.max_timestamp > best.record.max_timestamp { slice } else { best }
        })
    }

    /// Drops the slices that lie wholly below `log_start`.
    pub(crate) fn truncate_start(&mut self, log_start: Offset) {
        let dead = self.slices.partition_point(|slice| slice.record.last_offset < log_start);
        self.slices.drain(..dead);
    }

    /// The slices that lie wholly below `log_start`.
    pub(crate) fn below(&self, log_start: Offset) -> &[Arc<Slice>] {
        let dead = self.slices.partition_point(|slice| slice.record.last_offset < log_start);
        self.slices.get(..dead).unwrap_or_default()
    }

    /// Whether `inputs` are slices of the index that stand next to each other, exactly as they are.
    pub(crate) fn holds(&self, inputs: &[Arc<Slice>]) -> bool {
        let Some(first) = inputs.first() else { return false };
        let at = self.slices.partition_point(|slice| slice.base_offset < first.base_offset);
        self.slices.get(at..).is_some_and(|rest| rest.starts_with(inputs))
    }

    /// Puts slices over the same stretch in the place of `inputs`, which it [`Self::holds`].
    pub(crate) fn replace(&mut self, inputs: &[Arc<Slice>], outputs: Vec<Arc<Slice>>) {
        let Some(first) = inputs.first() else { return };
        let at = self.slices.partition_point(|slice| slice.base_offset < first.base_offset);
        let end = (at + inputs.len()).min(self.slices.len());
        self.slices.splice(at.min(end)..end, outputs);
    }

    pub(crate) fn slices(&self) -> &[Arc<Slice>] {
        &self.slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use waybill_meta::ObjectId;

    pub(crate) fn slice(base: i64, last: i64, timestamp: i64) -> Arc<Slice> {
        Arc::new(Slice {
            base_offset: Offset(base),
            record: IndexRecord {
                object: ObjectId(base as u64),
                placement: String::new(),
                data_position: 0,
                data_length: 10,
                index_position: 0,
                index_length: 0,
                last_offset: Offset(last),
                max_timestamp: TimestampMs(timestamp),
                first_append: TimestampMs(0),
                last_append: TimestampMs(0),
                aborted: 0,
            },
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        /// Against a list searched from the front.
        #[test]
        fn lookups_agree_with_a_naive_search(
            lengths in proptest::collection::vec((1i64..5, 0i64..3, 0i64..9), 0..12),
            offset in 0i64..60, timestamp in 0i64..10, start in 0i64..60,
        ) {
            let (mut index, mut naive, mut at) = (PartitionIndex::default(), Vec::new(), 0);
            for (length, hole, time) in lengths {
                at += hole;
                index.push(slice(at, at + length - 1, time));
                naive.push((at, at + length - 1, time));
                at += length;
            }
            let base = |slice: Option<&Arc<Slice>>| slice.map(|slice| slice.base_offset.get());
            let live = || naive.iter().filter(|(_, last, _)| *last >= start);
            prop_assert_eq!(
                base(index.find(Offset(offset))),
                naive.iter().find(|(_, last, _)| *last >= offset).map(|(base, ..)| *base)
            );
            prop_assert_eq!(
                base(index.first_at(TimestampMs(timestamp), Offset(start))),
                live().find(|(.., time)| *time >= timestamp).map(|(base, ..)| *base)
            );
            let latest = live().map(|(.., time)| *time).max();
            prop_assert_eq!(
                base(index.latest(Offset(start))),
                live().find(|(.., time)| Some(*time) == latest).map(|(base, ..)| *base)
            );
            prop_assert_eq!(index.below(Offset(start)).len(), naive.len() - live().count());
            index.truncate_start(Offset(start));
            prop_assert_eq!(index.slices().len(), live().count());
        }
    }
}
