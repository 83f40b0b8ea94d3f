//! Writing into a batch in place.
//!
//! A produce request's frame is one allocation that nobody else holds until its batches are frozen, so the broker
//! cuts it into disjoint mutable parts (`crate::framing::carve`, which copies nothing) and writes 12 bytes into each.
//! The alternative, a patched header as a part of its own before the untouched body, was refused: every later holder
//! (log frame, cache, fetch response) would carry two parts per batch instead of one, and the 61 bytes would be
//! copied; in place costs two stores into a cache line that validation has just read.

use waybill_types::{LeaderEpoch, Offset, TimestampMs};

use super::error::BatchError;
use super::header::{
    ATTRIBUTES_AT, Attributes, BatchHeader, CRC_AT, HEADER_LEN, LEADER_EPOCH_AT, MAX_TIMESTAMP_AT,
};
use super::view::crc_of;

fn put<const N: usize>(batch: &mut [u8], at: usize, bytes: [u8; N]) -> Result<(), BatchError> {
    let available = batch.len();
    match batch.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
        Some(place) => {
            *place = bytes;
            Ok(())
        }
        None => Err(BatchError::Truncated { needed: HEADER_LEN, available }),
    }
}

/// Writes base offset and leader epoch into the batch at the front of `batch`. Both lie outside the checksum.
///
/// # Errors
/// [`BatchError::Truncated`] when `batch` is shorter than a header; nothing is written then.
pub fn patch_in_place(
    batch: &mut [u8],
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
) -> Result<(), BatchError> {
    if batch.len() < HEADER_LEN {
        return Err(BatchError::Truncated { needed: HEADER_LEN, available: batch.len() });
    }
    put(batch, 0, base_offset.get().to_be_bytes())?;
    put(batch, LEADER_EPOCH_AT, leader_epoch.get().to_be_bytes())
}

/// Writes attributes and max timestamp into `batch`, which holds exactly one batch, and makes its checksum new. That
/// reads the whole batch once more, so it is only done where the header lied or the broker stamps the time.
///
/// # Errors
/// As [`BatchHeader::parse`], and [`BatchError::Truncated`] or [`BatchError::SeveralBatches`] when `batch` is not
/// exactly one batch; nothing is written then.
pub fn restamp_in_place(
    batch: &mut [u8],
    attributes: Attributes,
    max_timestamp: TimestampMs,
) -> Result<(), BatchError> {
    let header = BatchHeader::parse(batch)?;
    if batch.len() < header.size {
        return Err(BatchError::Truncated { needed: header.size, available: batch.len() });
    }
    if batch.len() > header.size {
        return Err(BatchError::SeveralBatches);
    }
    put(batch, ATTRIBUTES_AT, attributes.0.to_be_bytes())?;
    put(batch, MAX_TIMESTAMP_AT, max_timestamp.get().to_be_bytes())?;
    let crc = crc_of(batch);
    put(batch, CRC_AT, crc.to_be_bytes())
}
