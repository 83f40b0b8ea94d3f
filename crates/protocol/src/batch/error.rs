//! What can be wrong with a batch.

use crate::compression::CompressionError;

/// Why a batch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end inside a batch.
    #[error("batch is cut: {needed} bytes needed, {available} there")]
    Truncated {
        /// Bytes that the batch (or its header) takes.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// The length field is below the size of a header.
    #[error("batch length {length} is smaller than a batch header")]
    BadLength {
        /// The length field.
        length: i32,
    },
    /// Not the record format that has been current since Kafka 0.11.
    #[error("batch has magic {magic}, only 2 is accepted")]
    BadMagic {
        /// The magic byte.
        magic: i8,
    },
    /// The checksum does not fit the bytes.
    #[error("batch is corrupt (stored crc = {stored}, computed crc = {computed})")]
    BadCrc {
        /// The header's checksum.
        stored: u32,
        /// That of the bytes.
        computed: u32,
    },
    /// A produce request holds no batch for a partition.
    #[error("produce request must have one record batch per partition, found none")]
    NoBatch,
    /// A produce request holds several batches for a partition.
    #[error("produce request is only allowed to contain exactly one record batch per partition")]
    SeveralBatches,
    /// The batch is larger than the topic takes.
    #[error("record batch of {size} bytes exceeds the maximum of {limit} bytes")]
    TooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The topic's `max.message.bytes`.
        limit: usize,
    },
    /// The body is larger than the cap once decompressed.
    #[error("decompressed records exceed the maximum of {limit} bytes")]
    DecompressedTooLarge {
        /// The cap, `max.decompressed.message.bytes`.
        limit: usize,
    },
    /// The attributes name a codec that does not exist.
    #[error("unknown compression id {id}")]
    UnknownCompression {
        /// The id, 5 to 7.
        id: i16,
    },
    /// The request's version does not allow the codec.
    #[error("produce requests with version {version} are not allowed to use zstd")]
    CompressionNotAllowed {
        /// The request's version, below 7.
        version: i16,
    },
    /// The body can not be decompressed.
    #[error("records can not be decompressed: {0}")]
    Compression(CompressionError),
    /// The header contradicts itself or says what clients may not say.
    #[error("{0}")]
    Header(HeaderFault),
    /// The body is not a sequence of records.
    #[error("record {index}: {fault}")]
    Malformed {
        /// Which record, from 0.
        index: usize,
        /// What is wrong.
        fault: RecordFault,
    },
    /// The body ends before or goes on after the declared number of records.
    #[error("batch declares {declared} records but its records {}", if *.extra { "go on" } else { "end sooner" })]
    RecordCount {
        /// The header's record count.
        declared: i32,
        /// Whether bytes were left over; else they ended too soon.
        extra: bool,
    },
    /// Well-formed records that the topic does not take (KIP-467).
    #[error("{0}")]
    Rejected(RejectedRecords),
}

/// What is wrong with a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// Clients send base offset 0.
    #[error("the base offset of the record batch should be 0, but it is {0}")]
    BaseOffset(i64),
    /// The offset range is empty or does not hold as many offsets as there are records.
    #[error("inconsistent batch: last offset delta {last_offset_delta}, {record_count} records")]
    OffsetRange {
        /// The header's last offset delta.
        last_offset_delta: i32,
        /// The header's record count.
        record_count: i32,
    },
    /// Only brokers write control batches.
    #[error("clients are not allowed to write control records")]
    Control,
    /// Only compaction sets delete horizons.
    #[error("clients are not allowed to set a delete horizon")]
    DeleteHorizon,
    /// An idempotent batch needs a sequence.
    #[error("invalid sequence number {sequence} in record batch with producer id {producer_id}")]
    Sequence {
        /// The header's base sequence.
        sequence: i32,
        /// The header's producer id.
        producer_id: i64,
    },
    /// A transaction needs a producer.
    #[error("transactional record batch without a producer id")]
    TransactionalWithoutProducer,
}

/// What is wrong with the bytes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The bytes end inside the record.
    #[error("ends inside the record")]
    Truncated,
    /// A varint of more than 5 (or 10) bytes.
    #[error("a variable-length number does not end")]
    Varint,
    /// The record's length is negative, or larger or smaller than its fields.
    #[error("the declared length does not fit the fields")]
    Length,
    /// A negative number of headers, or more than the record could hold.
    #[error("impossible number of headers")]
    HeaderCount,
    /// A header without a key.
    #[error("negative header key length")]
    HeaderKey,
}

/// Records that the topic's rules refuse, as a produce response tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRecords {
    /// Whether any was refused for its timestamp: the response's code then is INVALID_TIMESTAMP.
    pub timestamp: bool,
    /// How many were refused.
    pub total: usize,
    /// The first of them, at most [`super::validate::MAX_RECORD_ERRORS`].
    pub records: Vec<RejectedRecord>,
}

/// One refused record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRecord {
    /// Its place in the batch, from 0.
    pub index: i32,
    /// Why, for people.
    pub message: String,
}

impl std::fmt::Display for RejectedRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.timestamp {
            return f.write_str("One or more records have been rejected due to invalid timestamp");
        }
        write!(f, "One or more records have been rejected due to {} record errors in total", self.total)?;
        for (at, record) in self.records.iter().take(3).enumerate() {
            let lead = if at == 0 { ", first: " } else { "; " };
            write!(f, "{lead}record {}: {}", record.index, record.message)?;
        }
        Ok(())
    }
}

/// What sort of answer a [`BatchError`] deserves; each has one Kafka error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchErrorKind {
    /// Damaged on the way: CORRUPT_MESSAGE, which clients retry.
    Corrupt,
    /// INVALID_RECORD, which they do not.
    InvalidRecord,
    /// INVALID_TIMESTAMP.
    InvalidTimestamp,
    /// MESSAGE_TOO_LARGE, on which Java producers split the batch.
    TooLarge,
    /// UNSUPPORTED_COMPRESSION_TYPE.
    UnsupportedCompression,
}

impl BatchError {
    /// The answer it deserves. A body that does not decode behind a good checksum is the client's making, not the
    /// network's, so it is an invalid record: a retry would fail for ever.
    pub fn kind(&self) -> BatchErrorKind {
        match self {
            Self::Truncated { .. } | Self::BadLength { .. } | Self::BadCrc { .. } => BatchErrorKind::Corrupt,
            Self::TooLarge { .. } | Self::DecompressedTooLarge { .. } => BatchErrorKind::TooLarge,
            Self::UnknownCompression { .. } | Self::CompressionNotAllowed { .. } => {
                BatchErrorKind::UnsupportedCompression
            }
            Self::Rejected(rejected) if rejected.timestamp => BatchErrorKind::InvalidTimestamp,
            Self::BadMagic { .. }
            | Self::NoBatch
            | Self::SeveralBatches
            | Self::Compression(_)
            | Self::Header(_)
            | Self::Malformed { .. }
            | Self::RecordCount { .. }
            | Self::Rejected(_) => BatchErrorKind::InvalidRecord,
        }
    }

    /// The refused records, for the response's record errors; empty when the batch as a whole is at fault.
    pub fn record_errors(&self) -> &[RejectedRecord] {
        match self {
            Self::Rejected(rejected) => &rejected.records,
            _ => &[],
        }
    }
}

impl From<CompressionError> for BatchError {
    fn from(error: CompressionError) -> Self {
        match error {
            CompressionError::TooLarge { limit } => Self::DecompressedTooLarge { limit },
            other => Self::Compression(other),
        }
    }
}
