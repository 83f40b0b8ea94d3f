//! The entry that stands before a batch in a group, and once per batch in the footers of objects: one format for both.
//!
//! 88 bytes, little-endian. Fields are never reordered; a change takes a new version of what holds the entry.

use bytes::{Buf, BufMut};
use waybill_types::{
    CoordinatorEpoch, LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, TimestampMs,
    TopicId, TopicPartition,
};

use crate::frame::{FrameFlags, FrameHeader};

/// Length of an encoded entry in bytes.
pub const ENTRY_LEN: usize = 88;

/// The facts about a batch, where its records stand, how long they are, and their checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The facts.
    pub header: FrameHeader,
    /// Where the records begin, in bytes from the start of the group or object.
    pub at: u32,
    /// Length of the records in bytes.
    pub length: u32,
    /// CRC-32C of the records.
    pub crc: u32,
}

impl Entry {
    /// The bytes as they stand on disk.
    #[must_use]
    pub fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        let mut out: &mut [u8] = &mut bytes;
        let header = &self.header;
        out.put_slice(header.partition.topic.as_bytes());
        out.put_i32_le(header.partition.partition.get());
        out.put_i32_le(header.leader_epoch.get());
        out.put_i64_le(header.base_offset.get());
        out.put_i64_le(header.last_offset.get());
        out.put_i64_le(header.max_timestamp.get());
        out.put_i64_le(header.append_time.get());
        out.put_i64_le(header.producer_id.get());
        out.put_i32_le(header.base_sequence.get());
        out.put_i16_le(header.producer_epoch.get());
        out.put_u8(header.flags.0);
        out.put_u8(0);
        out.put_i32_le(header.coordinator_epoch.get());
        out.put_u32_le(self.at);
        out.put_u32_le(self.length);
        out.put_u32_le(self.crc);
        bytes
    }

    /// Reads an entry from the first [`ENTRY_LEN`] bytes; `None` when there are fewer.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = bytes.get(..ENTRY_LEN)?;
        let mut topic = [0; 16];
        from.copy_to_slice(&mut topic);
        let partition = TopicPartition::new(TopicId(topic), PartitionId(from.get_i32_le()));
        let leader_epoch = LeaderEpoch(from.get_i32_le());
        let base_offset = Offset(from.get_i64_le());
        let last_offset = Offset(from.get_i64_le());
        let max_timestamp = TimestampMs(from.get_i64_le());
        let append_time = TimestampMs(from.get_i64_le());
        let producer_id = ProducerId(from.get_i64_le());
        let base_sequence = Sequence(from.get_i32_le());
        let producer_epoch = ProducerEpoch(from.get_i16_le());
        let flags = FrameFlags(from.get_u8());
        from.advance(1);
        let coordinator_epoch = CoordinatorEpoch(from.get_i32_le());
        let header = FrameHeader {
            partition,
            leader_epoch,
            base_offset,
            last_offset,
            max_timestamp,
            append_time,
            producer_id,
            producer_epoch,
            base_sequence,
            flags,
            coordinator_epoch,
        };
        Some(Self { header, at: from.get_u32_le(), length: from.get_u32_le(), crc: from.get_u32_le() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn entries_survive_their_encoding(
            topic: [u8; 16], small: [i32; 4], large: [i64; 5], epoch: i16, flags: u8, tail: [u32; 3],
        ) {
            let entry = Entry {
                header: FrameHeader {
                    partition: TopicPartition::new(TopicId(topic), PartitionId(small[0])),
                    leader_epoch: LeaderEpoch(small[1]),
                    base_offset: Offset(large[0]),
                    last_offset: Offset(large[1]),
                    max_timestamp: TimestampMs(large[2]),
                    append_time: TimestampMs(large[3]),
                    producer_id: ProducerId(large[4]),
                    producer_epoch: ProducerEpoch(epoch),
                    base_sequence: Sequence(small[2]),
                    flags: FrameFlags(flags),
                    coordinator_epoch: CoordinatorEpoch(small[3]),
                },
                at: tail[0],
                length: tail[1],
                crc: tail[2],
            };
            let bytes = entry.encode();
            prop_assert_eq!(Entry::decode(&bytes), Some(entry));
            prop_assert_eq!(Entry::decode(&bytes[..ENTRY_LEN - 1]), None);
        }
    }
}
