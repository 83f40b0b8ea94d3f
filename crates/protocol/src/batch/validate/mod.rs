//! What Kafka checks before it appends, and what it corrects.
//!
//! Sources, in Apache Kafka: `ProduceRequest.validateRecords` (one batch of magic 2 per partition, zstd from version
//! 7), `UnifiedLog.analyzeAndValidateRecords` (base offset 0, size, checksum), `LogValidator` (offset range, count,
//! control batches, sequences, keys, timestamps, recompression, max timestamp), `DefaultRecord.readFrom` (lengths).
//!
//! Stricter than Kafka where it stores what readers can not use: records whose offset deltas are not 0..n-1 are
//! refused (Kafka checks that in compressed batches only and then renumbers), lengths inside compressed bodies are
//! checked too, and clients may set neither a delete horizon nor the transactional bit without a producer.
//!
//! Order of work for the broker: [`sole_batch_len`], [`prepare`] (checks and corrects; may decompress), then, where
//! offsets are assigned, [`PreparedBatch::assign`], which only writes 12 bytes.

mod body;
mod prepare;

pub use prepare::{PreparedBatch, prepare};

use waybill_types::TimestampMs;

use super::error::{BatchError, HeaderFault};
use super::header::{Attributes, BatchHeader, HEADER_LEN, TimestampType};
use super::view::verify_crc;
use crate::compression::Compression;

/// How many refused records an error names; a batch may hold millions.
pub const MAX_RECORD_ERRORS: usize = 64;
/// Default of `max.decompressed.message.bytes`: 16 MiB.
pub const DEFAULT_MAX_DECOMPRESSED: usize = 16 * 1024 * 1024;

/// Who made a batch (`AppendOrigin`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Origin {
    /// A client's produce request.
    #[default]
    Client,
    /// The broker itself: coordinators and transaction markers.
    Broker,
}

/// Whether the records are looked at (`waybill.validate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BodyCheck {
    /// Header, checksum and every record.
    #[default]
    Full,
    /// Header and checksum; the header's max timestamp is believed.
    HeaderOnly,
}

/// The rules a batch is held against: a topic's configuration at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The broker's time.
    pub now: TimestampMs,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub after_max_ms: i64,
    /// Whether null keys are refused: the topic is compacted.
    pub keys_required: bool,
    /// `compression.type`; `None` is `producer`, which keeps what the client chose.
    pub compression: Option<Compression>,
    /// `compression.<codec>.level` (KIP-390) for when the body is compressed anew.
    pub compression_level: Option<i32>,
    /// `max.message.bytes`, counting header and body.
    pub max_batch_bytes: usize,
    /// Most bytes that a compressed body may grow to.
    pub max_decompressed_bytes: usize,
    /// Whether the records are looked at.
    pub body: BodyCheck,
    /// Who made the batch.
    pub origin: Origin,
}

impl Default for Policy {
    /// Kafka's topic defaults, at time 0.
    fn default() -> Self {
        Self {
            now: TimestampMs(0),
            timestamp_type: TimestampType::CreateTime,
            before_max_ms: i64::MAX,
            after_max_ms: 3_600_000,
            keys_required: false,
            compression: None,
            compression_level: None,
            max_batch_bytes: 1_048_588,
            max_decompressed_bytes: DEFAULT_MAX_DECOMPRESSED,
            body: BodyCheck::Full,
            origin: Origin::Client,
        }
    }
}

/// What validation found out, and what must still be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validated {
    /// The header as it was sent.
    pub header: BatchHeader,
    /// Max timestamp to be kept: that of the records, or the append time.
    pub max_timestamp: TimestampMs,
    /// Attributes to be kept.
    pub attributes: Attributes,
    /// The codec to compress the body with anew, where the topic demands another one.
    pub recompress: Option<Compression>,
}

impl Validated {
    /// Whether attributes or max timestamp differ from what was sent, so that the checksum must be made new.
    pub fn needs_restamp(&self) -> bool {
        self.attributes != self.header.attributes || self.max_timestamp != self.header.max_timestamp
    }
}

/// The length of the one batch in a produce request's records of a partition. Bytes behind it that are no whole
/// batch are ignored, as Kafka trims them.
///
/// # Errors
/// [`BatchError::NoBatch`], [`BatchError::SeveralBatches`], [`BatchError::BadMagic`], [`BatchError::BadLength`], and
/// [`BatchError::CompressionNotAllowed`] for zstd below request version 7.
pub fn sole_batch_len(records: &[u8], version: i16) -> Result<usize, BatchError> {
    let header = match BatchHeader::parse(records) {
        Err(BatchError::Truncated { .. }) => return Err(BatchError::NoBatch),
        other => other?,
    };
    let rest = records.get(header.size..).ok_or(BatchError::NoBatch)?;
    if version < 7 && header.compression() == Ok(Compression::Zstd) {
        return Err(BatchError::CompressionNotAllowed { version });
    }
    match BatchHeader::parse(rest) {
        Ok(second) if second.size <= rest.len() => Err(BatchError::SeveralBatches),
        Err(BatchError::Truncated { .. }) | Ok(_) => Ok(header.size),
        Err(error) => Err(error),
    }
}

/// Checks `batch`, which must be exactly one batch, without changing it. An uncompressed body is walked once after
/// the checksum; a compressed one is decompressed chunk by chunk and not kept.
///
/// # Errors
/// What is wrong first, in Kafka's order: size and shape, checksum, header, records.
pub fn validate(batch: &[u8], policy: &Policy) -> Result<Validated, BatchError> {
    let header = BatchHeader::parse(batch)?;
    match batch.len() {
        available if available < header.size => {
            return Err(BatchError::Truncated { needed: header.size, available });
        }
        available if available > header.size => return Err(BatchError::SeveralBatches),
        _ => {}
    }
    if policy.origin == Origin::Client && header.base_offset.get() != 0 {
        return Err(BatchError::Header(HeaderFault::BaseOffset(header.base_offset.get())));
    }
    if header.size > policy.max_batch_bytes {
        return Err(BatchError::TooLarge { size: header.size, limit: policy.max_batch_bytes });
    }
    verify_crc(batch, header.crc)?;
    let source = header.compression()?;
    check_header(&header, policy.origin)?;

    let body = batch.get(HEADER_LEN..).unwrap_or_default();
    let max_of_records = match policy.body {
        BodyCheck::Full => body::check(&header, body, policy)?,
        BodyCheck::HeaderOnly => body::check_header_times(&header, policy)?,
    };
    let max_timestamp = match policy.timestamp_type {
        TimestampType::CreateTime => max_of_records,
        TimestampType::LogAppendTime => policy.now,
    };
    // Control records are not compressed unless they came so (`LogValidator`).
    let keeps_codec = header.attributes.is_control() && source == Compression::None;
    let recompress = policy.compression.filter(|target| *target != source && !keeps_codec);
    let attributes = header.attributes.with_timestamp_type(policy.timestamp_type);
    let attributes = recompress.map_or(attributes, |target| attributes.with_compression(target));
    Ok(Validated { header, max_timestamp, attributes, recompress })
}

/// `LogValidator.validateBatch`.
fn check_header(header: &BatchHeader, origin: Origin) -> Result<(), BatchError> {
    if origin == Origin::Broker {
        return Ok(());
    }
    let BatchHeader { last_offset_delta, record_count, .. } = *header;
    let fault = if record_count <= 0 || i64::from(last_offset_delta) + 1 != i64::from(record_count) {
        HeaderFault::OffsetRange { last_offset_delta, record_count }
    } else if header.attributes.is_control() {
        HeaderFault::Control
    } else if header.attributes.has_delete_horizon() {
        HeaderFault::DeleteHorizon
    } else if header.has_producer_id() && header.base_sequence.get() < 0 {
        HeaderFault::Sequence { sequence: header.base_sequence.get(), producer_id: header.producer_id.get() }
    } else if header.attributes.is_transactional() && !header.has_producer_id() {
        HeaderFault::TransactionalWithoutProducer
    } else {
        return Ok(());
    };
    Err(BatchError::Header(fault))
}

#[cfg(test)]
mod tests;
