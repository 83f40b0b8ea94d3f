//! The header of a record batch.
//!
//! Layout (big-endian), from `DefaultRecordBatch.java` of Apache Kafka: base offset i64, length i32 of what follows
//! it, leader epoch i32, magic i8, CRC-32C u32 of everything behind it, attributes i16, last offset delta i32, base
//! timestamp i64, max timestamp i64, producer id i64, producer epoch i16, base sequence i32, record count i32.

use waybill_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

use super::error::BatchError;
use crate::compression::Compression;

/// Bytes of a batch's header.
pub const HEADER_LEN: usize = 61;
/// Bytes of base offset and length, which the length field does not count.
pub const LOG_OVERHEAD: usize = 12;
/// The only magic that is accepted.
pub const MAGIC: i8 = 2;
/// Where the checksum begins to count: the attributes.
pub(super) const CRC_FROM: usize = 21;

const LENGTH_AT: usize = 8;
pub(super) const LEADER_EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
pub(super) const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
const BASE_TIMESTAMP_AT: usize = 27;
pub(super) const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;
const RECORD_COUNT_AT: usize = 57;

/// Who set the timestamps of a batch's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// The client, per record.
    #[default]
    CreateTime,
    /// The broker: every record has the batch's max timestamp.
    LogAppendTime,
}

/// The attribute bits of a batch: compression 0-2, timestamp type 3, transactional 4, control 5, delete horizon 6
/// (KIP-534). Bits 7 to 15 are unused, and kept as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const COMPRESSION: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// The codec of the body.
    ///
    /// # Errors
    /// [`BatchError::UnknownCompression`] for the ids 5 to 7, which Kafka has not given out.
    pub fn compression(self) -> Result<Compression, BatchError> {
        let id = self.0 & Self::COMPRESSION;
        Compression::from_id(id).ok_or(BatchError::UnknownCompression { id })
    }

    /// Who set the timestamps.
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    pub const fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch holds control records, written by brokers only.
    pub const fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is a delete horizon (KIP-534).
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// The same attributes with another codec.
    #[must_use]
    pub const fn with_compression(self, compression: Compression) -> Self {
        Self((self.0 & !Self::COMPRESSION) | compression.id())
    }

    /// The same attributes with another timestamp type.
    #[must_use]
    pub const fn with_timestamp_type(self, kind: TimestampType) -> Self {
        match kind {
            TimestampType::CreateTime => Self(self.0 & !Self::LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Self(self.0 | Self::LOG_APPEND_TIME),
        }
    }

    /// The same attributes with the transactional bit set or cleared.
    #[must_use]
    pub const fn with_transactional(self, on: bool) -> Self {
        if on { Self(self.0 | Self::TRANSACTIONAL) } else { Self(self.0 & !Self::TRANSACTIONAL) }
    }

    /// The same attributes with the delete horizon bit set or cleared.
    #[must_use]
    pub const fn with_delete_horizon(self, on: bool) -> Self {
        if on { Self(self.0 | Self::DELETE_HORIZON) } else { Self(self.0 & !Self::DELETE_HORIZON) }
    }

    /// The same attributes with the control bit set or cleared.
    #[must_use]
    pub const fn with_control(self, on: bool) -> Self {
        if on { Self(self.0 | Self::CONTROL) } else { Self(self.0 & !Self::CONTROL) }
    }
}

/// A batch's header, read once into plain fields (magic is always 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record; 0 in what clients send.
    pub base_offset: Offset,
    /// Bytes of the whole batch, base offset and length field included: at least [`HEADER_LEN`].
    pub size: usize,
    /// Leader epoch under which the batch was appended; -1 in what clients send.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// Offset of the last record less the base offset; holds also when compaction removed that record.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from (or the delete horizon, see [`Attributes`]).
    pub base_timestamp: TimestampMs,
    /// Largest timestamp of the records, or the append time.
    pub max_timestamp: TimestampMs,
    /// Idempotent producer, or none.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of the first record, or none.
    pub base_sequence: Sequence,
    /// Records in the body: fewer than the offset range holds after compaction, 0 in an emptied batch.
    pub record_count: i32,
}

/// `N` bytes of the header at `at`; the fields' places lie inside it by construction.
fn field<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    header.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}

fn put<const N: usize>(header: &mut [u8; HEADER_LEN], at: usize, bytes: [u8; N]) {
    if let Some(place) = header.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
        *place = bytes;
    }
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`, which may hold more than this batch, or less.
    ///
    /// # Errors
    /// [`BatchError::Truncated`] when fewer than [`HEADER_LEN`] bytes are there, [`BatchError::BadLength`] when the
    /// length field says less than a header, [`BatchError::BadMagic`] for another magic than 2.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        // The magic lies at the same place in all formats, so an old batch is named as such even when it is short.
        if let Some(&magic) = bytes.get(MAGIC_AT)
            && i8::from_be_bytes([magic]) != MAGIC
        {
            return Err(BatchError::BadMagic { magic: i8::from_be_bytes([magic]) });
        }
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(BatchError::Truncated { needed: HEADER_LEN, available: bytes.len() });
        };
        let length = i32::from_be_bytes(field(header, LENGTH_AT));
        let size = usize::try_from(length).unwrap_or(0).saturating_add(LOG_OVERHEAD);
        if size < HEADER_LEN {
            return Err(BatchError::BadLength { length });
        }
        Ok(Self {
            base_offset: Offset(i64::from_be_bytes(field(header, 0))),
            size,
            leader_epoch: LeaderEpoch(i32::from_be_bytes(field(header, LEADER_EPOCH_AT))),
            crc: u32::from_be_bytes(field(header, CRC_AT)),
            attributes: Attributes(i16::from_be_bytes(field(header, ATTRIBUTES_AT))),
            last_offset_delta: i32::from_be_bytes(field(header, LAST_OFFSET_DELTA_AT)),
            base_timestamp: TimestampMs(i64::from_be_bytes(field(header, BASE_TIMESTAMP_AT))),
            max_timestamp: TimestampMs(i64::from_be_bytes(field(header, MAX_TIMESTAMP_AT))),
            producer_id: ProducerId(i64::from_be_bytes(field(header, PRODUCER_ID_AT))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(field(header, PRODUCER_EPOCH_AT))),
            base_sequence: Sequence(i32::from_be_bytes(field(header, BASE_SEQUENCE_AT))),
            record_count: i32::from_be_bytes(field(header, RECORD_COUNT_AT)),
        })
    }

    /// The header's bytes, with [`Self::crc`] as it stands. A size beyond 2^31 is written as the largest length.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let length = i32::try_from(self.size.saturating_sub(LOG_OVERHEAD)).unwrap_or(i32::MAX);
        put(&mut out, 0, self.base_offset.get().to_be_bytes());
        put(&mut out, LENGTH_AT, length.to_be_bytes());
        put(&mut out, LEADER_EPOCH_AT, self.leader_epoch.get().to_be_bytes());
        put(&mut out, MAGIC_AT, MAGIC.to_be_bytes());
        put(&mut out, CRC_AT, self.crc.to_be_bytes());
        put(&mut out, ATTRIBUTES_AT, self.attributes.0.to_be_bytes());
        put(&mut out, LAST_OFFSET_DELTA_AT, self.last_offset_delta.to_be_bytes());
        put(&mut out, BASE_TIMESTAMP_AT, self.base_timestamp.get().to_be_bytes());
        put(&mut out, MAX_TIMESTAMP_AT, self.max_timestamp.get().to_be_bytes());
        put(&mut out, PRODUCER_ID_AT, self.producer_id.get().to_be_bytes());
        put(&mut out, PRODUCER_EPOCH_AT, self.producer_epoch.get().to_be_bytes());
        put(&mut out, BASE_SEQUENCE_AT, self.base_sequence.get().to_be_bytes());
        put(&mut out, RECORD_COUNT_AT, self.record_count.to_be_bytes());
        out
    }

    /// The codec of the body.
    ///
    /// # Errors
    /// As [`Attributes::compression`].
    pub fn compression(&self) -> Result<Compression, BatchError> {
        self.attributes.compression()
    }

    /// Offset of the last record.
    pub const fn last_offset(&self) -> Offset {
        self.base_offset.plus(self.last_offset_delta as i64)
    }

    /// The offset behind the batch.
    pub const fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// Sequence of the last record, or none; wraps as Kafka's `incrementSequence` does.
    pub const fn last_sequence(&self) -> Sequence {
        if self.base_sequence.get() < 0 {
            Sequence::NONE
        } else {
            self.base_sequence.plus(self.last_offset_delta)
        }
    }

    /// Whether an idempotent producer made it.
    pub const fn has_producer_id(&self) -> bool {
        self.producer_id.get() >= 0
    }

    /// When tombstones and abort markers in it may go (KIP-534), if that has been set.
    pub fn delete_horizon(&self) -> Option<TimestampMs> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }
}
