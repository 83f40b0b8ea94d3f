//! Batches in a row, as fetch responses and segments hold them.

use bytes::Bytes;

use super::error::BatchError;
use super::header::{BatchHeader, LOG_OVERHEAD};
use super::view::RecordBatch;

/// Cuts `bytes` into batches without copying. Neither checksums nor bodies are looked at.
pub fn split_batches(bytes: Bytes) -> Batches {
    Batches { rest: bytes, strict: false, failed: false }
}

/// Iterator over the batches in a buffer. It ends at the first error, and at an incomplete last batch, which fetch
/// responses may hold: see [`Batches::rest`] and [`Batches::strict`].
#[derive(Debug, Clone)]
pub struct Batches {
    rest: Bytes,
    strict: bool,
    failed: bool,
}

impl Batches {
    /// Makes an incomplete last batch an error.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// What has not been handed out yet; after the end, the incomplete batch or what begins with the bad one.
    pub const fn rest(&self) -> &Bytes {
        &self.rest
    }

    fn step(&mut self) -> Result<Option<RecordBatch>, BatchError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let needed = match BatchHeader::parse(&self.rest) {
            Ok(header) if header.size <= self.rest.len() => {
                let bytes = self.rest.split_to(header.size);
                return RecordBatch::new(bytes).map(Some);
            }
            Ok(header) => header.size,
            Err(BatchError::Truncated { needed, .. }) => needed.max(LOG_OVERHEAD),
            Err(error) => return Err(error),
        };
        if self.strict { Err(BatchError::Truncated { needed, available: self.rest.len() }) } else { Ok(None) }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step().transpose();
        self.failed = matches!(step, Some(Err(_)));
        step
    }
}
