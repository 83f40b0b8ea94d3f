//! A partition: its epochs, its committed end, and the producer state exactly at that end.

use bytes::{BufMut, BytesMut};
use waybill_types::{Incarnation, LeaderEpoch, Offset, TimestampMs};

use crate::codec::{Fault, FieldWriter, Fields, Record, take};
use crate::records::ProducerSnapshot;

/// What is durable about a partition beside its index. Everything between `committed_end` and the log's end is in
/// the WAL of the partition's leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRecord {
    /// The leader epoch that incarnation [`Self::epoch_incarnation`] of the leader had. Each later incarnation of the
    /// same node has as many more as it is later, so that a start writes no record for a partition.
    pub leader_epoch: LeaderEpoch,
    /// The incarnation that [`Self::leader_epoch`] belongs to.
    pub epoch_incarnation: Incarnation,
    /// The first offset of the log.
    pub log_start: Offset,
    /// Everything below is in the index (or deleted).
    pub committed_end: Offset,
    /// Bytes of record batches that the index names.
    pub bytes: u64,
    /// When the last batch below `committed_end` was appended.
    pub last_append: TimestampMs,
    /// The first offset of each leader epoch that has records, ascending.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// The producers exactly at `committed_end`, by id.
    pub producers: Vec<ProducerSnapshot>,
    /// Log compaction has gone over everything below, once.
    pub cleaned_end: Offset,
}

impl PartitionRecord {
    /// A new, empty partition, led by `incarnation` in epoch 0.
    #[must_use]
    pub fn new(incarnation: Incarnation) -> Self {
        Self {
            leader_epoch: LeaderEpoch(0),
            epoch_incarnation: incarnation,
            log_start: Offset::ZERO,
            committed_end: Offset::ZERO,
            bytes: 0,
            last_append: TimestampMs::NONE,
            epochs: Vec::new(),
            producers: Vec::new(),
            cleaned_end: Offset::ZERO,
        }
    }

    /// The leader epoch in `incarnation`.
    #[must_use]
    pub fn epoch_in(&self, incarnation: Incarnation) -> LeaderEpoch {
        let later = incarnation.get().saturating_sub(self.epoch_incarnation.get());
        LeaderEpoch(self.leader_epoch.get().saturating_add(i32::try_from(later).unwrap_or(i32::MAX)))
    }
}

impl Record for PartitionRecord {
    const KIND: &'static str = "partition";

    fn write(&self, out: &mut FieldWriter) {
        out.i32(1, self.leader_epoch.get());
        out.u64(2, self.epoch_incarnation.get());
        out.i64(3, self.log_start.get());
        out.i64(4, self.committed_end.get());
        out.u64(5, self.bytes);
        out.i64(6, self.last_append.get());
        let mut epochs = BytesMut::with_capacity(self.epochs.len() * 12);
        for (epoch, start) in &self.epochs {
            epochs.put_i32(epoch.get());
            epochs.put_i64(start.get());
        }
        out.bytes(7, &epochs);
        let mut producers = BytesMut::with_capacity(self.producers.len() * 151);
        for producer in &self.producers {
            producer.write_to(&mut producers);
        }
        out.bytes(8, &producers);
        if self.cleaned_end > Offset::ZERO {
            out.i64(9, self.cleaned_end.get());
        }
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let mut record = Self::new(Incarnation(0));
        let mut seen = 0u16;
        while let Some(field) = fields.next_field()? {
            match field.tag {
                1 => record.leader_epoch = LeaderEpoch(field.i32()?),
                2 => record.epoch_incarnation = Incarnation(field.u64()?),
                3 => record.log_start = Offset(field.i64()?),
                4 => record.committed_end = Offset(field.i64()?),
                5 => record.bytes = field.u64()?,
                6 => record.last_append = TimestampMs(field.i64()?),
                7 => record.epochs = read_epochs(field.payload).ok_or_else(|| field.malformed())?,
                8 => record.producers = read_producers(field.payload).ok_or_else(|| field.malformed())?,
                9 => record.cleaned_end = Offset(field.i64()?),
                _ => continue,
            }
            seen |= 1 << field.tag;
        }
        match (1..=8).find(|tag| seen & (1 << tag) == 0) {
            Some(tag) => Err(Fault::Missing(tag)),
            None => Ok(record),
        }
    }
}

fn read_epochs(mut rest: &[u8]) -> Option<Vec<(LeaderEpoch, Offset)>> {
    let mut epochs = Vec::with_capacity(rest.len() / 12);
    while !rest.is_empty() {
        let epoch = LeaderEpoch(i32::from_be_bytes(take(&mut rest)?));
        epochs.push((epoch, Offset(i64::from_be_bytes(take(&mut rest)?))));
    }
    Some(epochs)
}

fn read_producers(mut rest: &[u8]) -> Option<Vec<ProducerSnapshot>> {
    let mut producers = Vec::new();
    while !rest.is_empty() {
        producers.push(ProducerSnapshot::read_from(&mut rest)?);
    }
    Some(producers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::producers::tests::any_snapshot;
    use crate::records::testing::golden;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let sample = PartitionRecord {
            leader_epoch: LeaderEpoch(4),
            epoch_incarnation: Incarnation(2),
            log_start: Offset(1),
            committed_end: Offset(100),
            bytes: 5000,
            last_append: TimestampMs(8),
            epochs: vec![(LeaderEpoch(0), Offset(0)), (LeaderEpoch(4), Offset(50))],
            producers: Vec::new(),
            cleaned_end: Offset::ZERO,
        };
        golden(
            &sample,
            "01 0104 00000004 0208 0000000000000002 0308 0000000000000001 0408 0000000000000064
             0508 0000000000001388 0608 0000000000000008
             0718 00000000 0000000000000000 00000004 0000000000000032 0800",
        );
        golden(
            &PartitionRecord { cleaned_end: Offset(60), ..sample },
            "01 0104 00000004 0208 0000000000000002 0308 0000000000000001 0408 0000000000000064
             0508 0000000000001388 0608 0000000000000008
             0718 00000000 0000000000000000 00000004 0000000000000032 0800 0908 000000000000003c",
        );
    }

    #[test]
    fn the_epoch_grows_with_each_incarnation() {
        let record = PartitionRecord::new(Incarnation(3));
        assert_eq!(record.epoch_in(Incarnation(3)), LeaderEpoch(0));
        assert_eq!(record.epoch_in(Incarnation(5)), LeaderEpoch(2));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn round_trip(
            epoch: i32, incarnation: u64, start: i64, end: i64, bytes: u64, last: i64,
            epochs in proptest::collection::vec(any::<(i32, i64)>(), 0..4),
            producers in proptest::collection::vec(any_snapshot(), 0..4),
            cleaned in 0..i64::MAX,
        ) {
            let record = PartitionRecord {
                leader_epoch: LeaderEpoch(epoch),
                epoch_incarnation: Incarnation(incarnation),
                log_start: Offset(start),
                committed_end: Offset(end),
                bytes,
                last_append: TimestampMs(last),
                epochs: epochs.into_iter().map(|(epoch, start)| (LeaderEpoch(epoch), Offset(start))).collect(),
                producers,
                cleaned_end: Offset(cleaned),
            };
            prop_assert_eq!(PartitionRecord::decode(&record.encode()), Ok(record));
        }
    }
}
