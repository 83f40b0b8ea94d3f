//! Frames: one record batch each, with what recovery, indexing and retention must know without opening it.

use bytes::Bytes;
use waybill_types::{
    CoordinatorEpoch, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicPartition,
};

/// What a control batch says, and whether a batch is transactional.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameFlags(pub u8);

impl FrameFlags {
    /// The batch is part of a transaction.
    pub const TRANSACTIONAL: Self = Self(1);
    /// The batch is a control batch.
    pub const CONTROL: Self = Self(2);
    /// With `CONTROL`: the marker commits; without this bit it aborts.
    pub const COMMIT: Self = Self(4);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The facts about a batch, kept beside it in the WAL, in footers and in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader epoch under which offsets were assigned.
    pub leader_epoch: LeaderEpoch,
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// The largest record timestamp in the batch.
    pub max_timestamp: TimestampMs,
    /// When the broker appended the batch; monotone per partition.
    pub append_time: TimestampMs,
    /// The idempotent producer, or `NONE`.
    pub producer_id: ProducerId,
    /// Its epoch, or `NONE`.
    pub producer_epoch: ProducerEpoch,
    /// The sequence of the first record, or `NONE`.
    pub base_sequence: Sequence,
    /// Transactional and control bits.
    pub flags: FrameFlags,
    /// For control batches the coordinator's epoch, else -1.
    pub coordinator_epoch: CoordinatorEpoch,
}

impl FrameHeader {
    /// The facts about an empty batch of a producer that is not idempotent, to be filled in.
    #[must_use]
    pub fn plain(partition: TopicPartition) -> Self {
        Self {
            partition,
            leader_epoch: LeaderEpoch(0),
            base_offset: Offset::ZERO,
            last_offset: Offset::ZERO,
            max_timestamp: TimestampMs::NONE,
            append_time: TimestampMs::NONE,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: Sequence::NONE,
            flags: FrameFlags::default(),
            coordinator_epoch: CoordinatorEpoch(-1),
        }
    }
}

/// A batch on its way into the WAL.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The facts.
    pub header: FrameHeader,
    /// The record batch as readers get it: base offset and leader epoch are already in place.
    pub records: Bytes,
}
