//! What a partition knows about an idempotent producer: part of the partition record and of segment footers.
//!
//! The layout is fixed; a new one gets a new tag where it is used. Numbers are big-endian.

use bytes::{BufMut, BytesMut};
use waybill_types::{CoordinatorEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

use crate::codec::take;

/// One of the last batches of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerBatchSnapshot {
    /// The sequence of its first record.
    pub base_sequence: Sequence,
    /// How many records it has, less one.
    pub last_delta: i32,
    /// The offset of its first record.
    pub base_offset: Offset,
    /// When the broker appended it.
    pub append_time: TimestampMs,
}

/// What a partition knows about a producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerSnapshot {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// The epoch of the coordinator that wrote its last marker, or -1.
    pub coordinator_epoch: CoordinatorEpoch,
    /// When the broker last appended something of this producer.
    pub last_update: TimestampMs,
    /// The first offset of its open transaction.
    pub transaction_start: Option<Offset>,
    /// Its last batches, oldest first, at most five.
    pub batches: Vec<ProducerBatchSnapshot>,
}

impl ProducerSnapshot {
    /// Appends the fixed layout to `out`.
    pub fn write_to(&self, out: &mut BytesMut) {
        out.put_i64(self.producer_id.get());
        out.put_i16(self.epoch.get());
        out.put_i32(self.coordinator_epoch.get());
        out.put_i64(self.last_update.get());
        out.put_i64(self.transaction_start.map_or(-1, Offset::get));
        out.put_u8(u8::try_from(self.batches.len()).unwrap_or(u8::MAX));
        for batch in self.batches.iter().take(usize::from(u8::MAX)) {
            out.put_i32(batch.base_sequence.get());
            out.put_i32(batch.last_delta);
            out.put_i64(batch.base_offset.get());
            out.put_i64(batch.append_time.get());
        }
    }

    /// Reads one from the front of `rest`; `None` when the bytes are no such snapshot.
    pub fn read_from(rest: &mut &[u8]) -> Option<Self> {
        let producer_id = ProducerId(i64::from_be_bytes(take(rest)?));
        let epoch = ProducerEpoch(i16::from_be_bytes(take(rest)?));
        let coordinator_epoch = CoordinatorEpoch(i32::from_be_bytes(take(rest)?));
        let last_update = TimestampMs(i64::from_be_bytes(take(rest)?));
        let start = i64::from_be_bytes(take(rest)?);
        let [count] = take::<1>(rest)?;
        let mut batches = Vec::new();
        for _ in 0..count {
            batches.push(ProducerBatchSnapshot {
                base_sequence: Sequence(i32::from_be_bytes(take(rest)?)),
                last_delta: i32::from_be_bytes(take(rest)?),
                base_offset: Offset(i64::from_be_bytes(take(rest)?)),
                append_time: TimestampMs(i64::from_be_bytes(take(rest)?)),
            });
        }
        let transaction_start = (start >= 0).then_some(Offset(start));
        Some(Self { producer_id, epoch, coordinator_epoch, last_update, transaction_start, batches })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::records::testing::hex;
    use proptest::prelude::*;

    prop_compose! {
        pub(crate) fn any_snapshot()(
            id: i64, epoch: i16, coordinator: i32, update: i64, start in proptest::option::of(0..i64::MAX),
            batches in proptest::collection::vec(any::<(i32, i32, i64, i64)>(), 0..6),
        ) -> ProducerSnapshot {
            ProducerSnapshot {
                producer_id: ProducerId(id),
                epoch: ProducerEpoch(epoch),
                coordinator_epoch: CoordinatorEpoch(coordinator),
                last_update: TimestampMs(update),
                transaction_start: start.map(Offset),
                batches: batches.into_iter().map(|(sequence, delta, offset, time)| ProducerBatchSnapshot {
                    base_sequence: Sequence(sequence),
                    last_delta: delta,
                    base_offset: Offset(offset),
                    append_time: TimestampMs(time),
                }).collect(),
            }
        }
    }

    #[test]
    fn golden_bytes() {
        let sample = ProducerSnapshot {
            producer_id: ProducerId(1),
            epoch: ProducerEpoch(2),
            coordinator_epoch: CoordinatorEpoch(-1),
            last_update: TimestampMs(3),
            transaction_start: None,
            batches: vec![ProducerBatchSnapshot {
                base_sequence: Sequence(4),
                last_delta: 5,
                base_offset: Offset(6),
                append_time: TimestampMs(7),
            }],
        };
        let mut out = BytesMut::new();
        sample.write_to(&mut out);
        assert_eq!(
            hex(&out),
            "00000000000000010002ffffffff0000000000000003ffffffffffffffff01\
             000000040000000500000000000000060000000000000007"
        );
    }

    proptest! {
        #[test]
        fn round_trip(snapshot in any_snapshot()) {
            let mut out = BytesMut::new();
            snapshot.write_to(&mut out);
            let mut rest = &out[..];
            prop_assert_eq!(ProducerSnapshot::read_from(&mut rest), Some(snapshot));
            prop_assert!(rest.is_empty());
        }
    }
}
