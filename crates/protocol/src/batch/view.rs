//! One batch over shared bytes.

use bytes::Bytes;

use super::error::BatchError;
use super::header::{BatchHeader, CRC_FROM, HEADER_LEN};
use super::records::Records;
use super::scan::{self, RecordFacts};
use crate::compression::Compression;

/// One batch: its header read out, its bytes shared. Cloning copies no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl RecordBatch {
    /// Views `bytes`, which must hold exactly one batch. Neither checksum nor body is looked at.
    ///
    /// # Errors
    /// As [`BatchHeader::parse`]; [`BatchError::Truncated`] when bytes are missing, [`BatchError::SeveralBatches`]
    /// when some are left over.
    pub fn new(bytes: Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(&bytes)?;
        match bytes.len() {
            available if available < header.size => {
                Err(BatchError::Truncated { needed: header.size, available })
            }
            available if available > header.size => Err(BatchError::SeveralBatches),
            _ => Ok(Self { header, bytes }),
        }
    }

    /// A batch whose header is known to be that of its bytes.
    pub(super) const fn from_parts(header: BatchHeader, bytes: Bytes) -> Self {
        Self { header, bytes }
    }

    /// The header's fields.
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The whole batch, without another reference to it.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The records' bytes, compressed as they are.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEADER_LEN..).unwrap_or_default()
    }

    /// Compares the checksum with the bytes.
    ///
    /// # Errors
    /// [`BatchError::BadCrc`] when they differ.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        verify_crc(&self.bytes, self.header.crc)
    }

    /// The records in order, keys and values sliced out of the (decompressed) body. At most `limit` bytes are
    /// decompressed, all at the first call of `next`.
    pub fn records(&self, limit: usize) -> Records {
        Records::new(self, limit)
    }

    /// The body uncompressed: a slice of the batch when it is not compressed, else at most `limit` new bytes.
    ///
    /// # Errors
    /// [`BatchError::DecompressedTooLarge`] beyond the limit; [`BatchError::Compression`],
    /// [`BatchError::UnknownCompression`] when the codec fails.
    pub fn plain_body(&self, limit: usize) -> Result<Bytes, BatchError> {
        match self.header.compression()? {
            Compression::None => Ok(self.bytes.slice(HEADER_LEN..)),
            codec => Ok(codec.decompress(self.body(), limit)?.into()),
        }
    }

    /// Walks the records without keeping keys, values or decompressed bytes, until `visit` returns false.
    ///
    /// # Errors
    /// As [`Self::plain_body`], and [`BatchError::Malformed`] or [`BatchError::RecordCount`] for a body that is
    /// not the declared number of records.
    pub fn scan(&self, limit: usize, visit: impl FnMut(RecordFacts) -> bool) -> Result<(), BatchError> {
        scan::scan_body(&self.header, self.body(), limit, visit)
    }
}

/// Compares `stored` with the checksum of the batch in `bytes`.
pub(super) fn verify_crc(bytes: &[u8], stored: u32) -> Result<(), BatchError> {
    let computed = crc_of(bytes);
    if computed == stored { Ok(()) } else { Err(BatchError::BadCrc { stored, computed }) }
}

/// CRC-32C of a batch from its attributes on.
pub(super) fn crc_of(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes.get(CRC_FROM..).unwrap_or_default())
}
