//! The durable end of a partition: batches that are not in segments yet, and those still in memory.
//!
//! Entries follow each other without gaps up to the high watermark. Their bytes leave memory from the front; an entry
//! without bytes stays until a segment has it, because only the WAL holds it then.

use std::collections::VecDeque;

use bytes::Bytes;
use waybill_types::{Offset, TimestampMs};
use waybill_wal::{FrameHeader, WalPosition};

/// A durable batch.
#[derive(Debug, Clone)]
pub(crate) struct TailEntry {
    pub(crate) header: FrameHeader,
    /// `None` once evicted.
    pub(crate) records: Option<Bytes>,
    pub(crate) length: usize,
    pub(crate) position: WalPosition,
}

/// What a read finds in memory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TailRead {
    /// Whole batches, the first of which holds the offset.
    Found(Vec<Bytes>),
    /// The batch is here but its bytes are only in the WAL.
    Evicted { position: WalPosition, length: usize },
    /// The offset lies below the first entry: segments have it.
    Below,
    /// Nothing at or behind the offset.
    End,
}

#[derive(Debug, Default)]
pub(crate) struct Tail {
    entries: VecDeque<TailEntry>,
    /// Everything below is in segments.
    committed_end: Offset,
    /// Bytes of the entries that are not in segments.
    unflushed_bytes: u64,
}

impl Tail {
    pub(crate) fn new(committed_end: Offset) -> Self {
        Self { entries: VecDeque::new(), committed_end, unflushed_bytes: 0 }
    }

    pub(crate) fn push(&mut self, entry: TailEntry) {
        debug_assert!(
            self.entries.back().is_none_or(|last| last.header.last_offset.next() == entry.header.base_offset),
            "entries follow each other"
        );
        self.unflushed_bytes += entry.length as u64;
        self.entries.push_back(entry);
    }

    pub(crate) fn unflushed_bytes(&self) -> u64 {
        self.unflushed_bytes
    }

    /// The index of the entry that holds `offset`, or of the first one behind it.
    fn find(&self, offset: Offset) -> usize {
        self.entries.partition_point(|entry| entry.header.last_offset < offset)
    }

    /// Batches from the one that holds `from` on, those that start below `upper` and fit in `max_bytes`; the first
    /// one even if it does not fit, when `at_least_one`.
    pub(crate) fn read(&self, from: Offset, upper: Offset, max_bytes: usize, at_least_one: bool) -> TailRead {
        let first = self.find(from);
        let Some(entry) = self.entries.get(first) else { return TailRead::End };
        if first == 0 && from < entry.header.base_offset {
            return TailRead::Below;
        }
        if entry.records.is_none() {
            return TailRead::Evicted { position: entry.position, length: entry.length };
        }
        let mut batches = Vec::new();
        let mut bytes = 0usize;
        for entry in self.entries.range(first..) {
            let Some(records) = &entry.records else { break };
            let fits = bytes.saturating_add(records.len()) <= max_bytes;
            if entry.header.base_offset >= upper || !(fits || batches.is_empty() && at_least_one) {
                break;
            }
            bytes = bytes.saturating_add(records.len());
            batches.push(records.clone());
        }
        TailRead::Found(batches)
    }

    /// The entries from `base` on that are not in segments, `count` of them at most.
    pub(crate) fn unflushed(&self, base: Offset, count: usize) -> impl Iterator<Item = &TailEntry> {
        self.entries.range(self.find(base)..).take(count)
    }

    /// The first durable batch here whose largest timestamp is at least `timestamp`.
    pub(crate) fn first_at(&self, timestamp: TimestampMs, from: Offset) -> Option<&TailEntry> {
        self.entries.range(self.find(from)..).find(|entry| entry.header.max_timestamp >= timestamp)
    }

    /// The first durable batch not in segments with the largest timestamp.
    pub(crate) fn latest(&self, from: Offset) -> Option<&TailEntry> {
        let entries = self.entries.range(self.find(from.max(self.committed_end))..);
        entries.reduce(
            |best, entry| {
                if entry.header.max_timestamp > best.header.max_timestamp { entry } else { best }
            },
        )
    }

    /// The oldest batch that is not in segments.
    pub(crate) fn oldest_unflushed(&self) -> Option<&TailEntry> {
        self.entries.get(self.find(self.committed_end))
    }

    /// Drops the bytes of the batch at `base`.
    pub(crate) fn evict(&mut self, base: Offset) {
        let index = self.find(base);
        if let Some(entry) = self.entries.get_mut(index).filter(|entry| entry.header.base_offset == base) {
            entry.records = None;
        }
        self.drop_front();
    }

    /// Everything below `end` is in segments now.
    pub(crate) fn flushed(&mut self, end: Offset) {
        let (old, new) = (self.find(self.committed_end), self.find(end));
        let flushed: u64 = self.entries.range(old.min(new)..new).map(|entry| entry.length as u64).sum();
        self.unflushed_bytes = self.unflushed_bytes.saturating_sub(flushed);
        self.committed_end = self.committed_end.max(end);
        self.drop_front();
    }

    /// Forgets what is in segments and wholly below `end`: they hold something else there now.
    pub(crate) fn forget(&mut self, end: Offset) {
        let end = end.min(self.committed_end);
        while self.entries.front().is_some_and(|entry| entry.header.last_offset < end) {
            self.entries.pop_front();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.unflushed_bytes = 0;
    }

    fn drop_front(&mut self) {
        let end = self.committed_end;
        while self
            .entries
            .front()
            .is_some_and(|entry| entry.records.is_none() && entry.header.last_offset < end)
        {
            self.entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_types::{
        CoordinatorEpoch, LeaderEpoch, PartitionId, ProducerEpoch, ProducerId, Sequence, TopicId,
        TopicPartition,
    };
    use waybill_wal::FrameFlags;

    fn entry(base: i64, last: i64, timestamp: i64) -> TailEntry {
        let header = FrameHeader {
            partition: TopicPartition::new(TopicId([1; 16]), PartitionId(0)),
            leader_epoch: LeaderEpoch(0),
            base_offset: Offset(base),
            last_offset: Offset(last),
            max_timestamp: TimestampMs(timestamp),
            append_time: TimestampMs(0),
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: Sequence::NONE,
            flags: FrameFlags::default(),
            coordinator_epoch: CoordinatorEpoch(-1),
        };
        let records = Bytes::from(vec![base as u8; 10]);
        TailEntry { header, records: Some(records), length: 10, position: WalPosition(base as u64) }
    }

    fn tail() -> Tail {
        let mut tail = Tail::new(Offset(10));
        for (base, last, timestamp) in [(10, 14, 5), (15, 15, 9), (16, 20, 9)] {
            tail.push(entry(base, last, timestamp));
        }
        tail
    }

    fn found(read: TailRead) -> Vec<u8> {
        match read {
            TailRead::Found(batches) => batches.iter().map(|batch| batch[0]).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_read_starts_with_the_batch_that_holds_the_offset() {
        let tail = tail();
        let read = |from, upper, max, one| tail.read(Offset(from), Offset(upper), max, one);
        assert_eq!(found(read(12, 21, 100, true)), [10, 15, 16]);
        assert_eq!(found(read(14, 21, 29, true)), [10, 15]);
        assert_eq!(found(read(15, 16, 100, true)), [15]);
        assert_eq!(found(read(16, 21, 1, true)), [16]);
        assert_eq!(found(read(16, 21, 1, false)), Vec::<u8>::new());
        assert_eq!(read(21, 21, 100, true), TailRead::End);
        assert_eq!(read(9, 21, 100, true), TailRead::Below);
    }

    #[test]
    fn evicted_batches_stay_until_they_are_flushed() {
        let mut tail = tail();
        tail.evict(Offset(10));
        let read = tail.read(Offset(11), Offset(21), 100, true);
        assert_eq!(read, TailRead::Evicted { position: WalPosition(10), length: 10 });
        assert_eq!(tail.unflushed_bytes(), 30);
        tail.flushed(Offset(16));
        assert_eq!(tail.unflushed_bytes(), 10);
        assert_eq!(tail.read(Offset(11), Offset(21), 100, true), TailRead::Below);
        // Flushed but still in memory.
        assert_eq!(found(tail.read(Offset(15), Offset(21), 100, true)), [15, 16]);
        tail.evict(Offset(15));
        assert_eq!(tail.read(Offset(15), Offset(21), 100, true), TailRead::Below);
        assert_eq!(found(tail.read(Offset(16), Offset(21), 100, true)), [16]);
    }

    #[test]
    fn what_segments_hold_otherwise_is_forgotten() {
        let mut tail = tail();
        tail.flushed(Offset(16));
        tail.forget(Offset(15));
        assert_eq!(tail.read(Offset(12), Offset(21), 100, true), TailRead::Below);
        tail.forget(Offset(21));
        assert_eq!(found(tail.read(Offset(16), Offset(21), 100, true)), [16], "it is nowhere else yet");
        assert_eq!(tail.unflushed_bytes(), 10);
    }

    #[test]
    fn batches_are_found_by_time() {
        let tail = tail();
        let first = |timestamp| {
            tail.first_at(TimestampMs(timestamp), Offset(0)).map(|entry| entry.header.base_offset.get())
        };
        assert_eq!((first(0), first(5), first(6), first(10)), (Some(10), Some(10), Some(15), None));
        assert_eq!(tail.latest(Offset(0)).map(|entry| entry.header.base_offset), Some(Offset(15)));
        assert_eq!(tail.oldest_unflushed().map(|entry| entry.header.base_offset), Some(Offset(10)));
    }
}
