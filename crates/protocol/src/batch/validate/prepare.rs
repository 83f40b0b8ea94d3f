//! Correcting a batch and making it ready for its offsets.

use bytes::{BufMut, BytesMut};
use waybill_types::{LeaderEpoch, Offset};

use super::super::error::BatchError;
use super::super::header::{BatchHeader, HEADER_LEN};
use super::super::patch::{patch_in_place, restamp_in_place};
use super::super::view::{RecordBatch, crc_of};
use super::{Policy, Validated, validate};
use crate::compression::Compression;

/// A batch that passed validation and has all its corrections, waiting for its offsets.
#[derive(Debug)]
pub struct PreparedBatch {
    header: BatchHeader,
    bytes: BytesMut,
}

/// Checks and corrects `batch`, which must be exactly one batch. In place, unless the topic demands another codec.
///
/// # Errors
/// As [`validate`]; [`BatchError::TooLarge`] also when the batch has grown beyond the limit by compressing it anew.
pub fn prepare(mut batch: BytesMut, policy: &Policy) -> Result<PreparedBatch, BatchError> {
    let validated = validate(&batch, policy)?;
    if let Some(target) = validated.recompress {
        batch = recompress(&batch, &validated, target, policy)?;
    } else if validated.needs_restamp() {
        restamp_in_place(&mut batch, validated.attributes, validated.max_timestamp)?;
    } else {
        return Ok(PreparedBatch { header: validated.header, bytes: batch });
    }
    let header = BatchHeader::parse(&batch)?;
    if header.size > policy.max_batch_bytes {
        return Err(BatchError::TooLarge { size: header.size, limit: policy.max_batch_bytes });
    }
    Ok(PreparedBatch { header, bytes: batch })
}

/// The same records under another codec. Their bytes stay as they are: timestamps, deltas and headers included.
fn recompress(
    batch: &[u8],
    validated: &Validated,
    target: Compression,
    policy: &Policy,
) -> Result<BytesMut, BatchError> {
    let body = batch.get(HEADER_LEN..).unwrap_or_default();
    let plain;
    let plain = match validated.header.compression()? {
        Compression::None => body,
        source => {
            plain = source.decompress(body, policy.max_decompressed_bytes)?;
            &plain
        }
    };
    let packed = target.compress(plain, policy.compression_level)?;
    let size = HEADER_LEN + packed.len();
    let mut header = BatchHeader {
        size,
        attributes: validated.attributes,
        max_timestamp: validated.max_timestamp,
        ..validated.header
    };
    let mut out = BytesMut::with_capacity(size);
    out.put_slice(&header.to_bytes());
    out.put_slice(&packed);
    header.crc = crc_of(&out);
    if let Some(place) = out.first_chunk_mut::<HEADER_LEN>() {
        *place = header.to_bytes();
    }
    Ok(out)
}

impl PreparedBatch {
    /// The header as it will be kept, but for base offset and leader epoch.
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Bytes of the batch.
    pub const fn size(&self) -> usize {
        self.header.size
    }

    /// The batch's bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes offset and epoch and freezes the batch: 12 bytes are written, none copied.
    pub fn assign(mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> RecordBatch {
        // A prepared batch is never shorter than its header, the only way in which this can fail.
        let patched = patch_in_place(&mut self.bytes, base_offset, leader_epoch);
        debug_assert!(patched.is_ok(), "a prepared batch has a header");
        self.header.base_offset = base_offset;
        self.header.leader_epoch = leader_epoch;
        RecordBatch::from_parts(self.header, self.bytes.freeze())
    }
}
