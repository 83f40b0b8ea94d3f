//! A batch's records.

use bytes::Bytes;

use super::error::BatchError;
use super::header::BatchHeader;
use super::record::Record;
use super::view::RecordBatch;

/// Iterator over a batch's records. It ends at the first error, and tells when the body is not the declared number
/// of records.
#[derive(Debug)]
pub struct Records {
    header: BatchHeader,
    body: Body,
    index: usize,
}

#[derive(Debug)]
enum Body {
    /// Not decompressed yet; the limit in bytes.
    Untouched(RecordBatch, usize),
    /// What is left of it.
    Plain(Bytes),
    Done,
}

impl Records {
    pub(super) fn new(batch: &RecordBatch, limit: usize) -> Self {
        let body =
            if batch.header().record_count == 0 { Body::Done } else { Body::Untouched(batch.clone(), limit) };
        Self { header: *batch.header(), body, index: 0 }
    }

    fn step(&mut self) -> Result<Option<Record>, BatchError> {
        if let Body::Untouched(batch, limit) = &self.body {
            self.body = Body::Plain(batch.plain_body(*limit)?);
        }
        let Body::Plain(body) = &mut self.body else { return Ok(None) };
        let declared = self.header.record_count;
        let whole = usize::try_from(declared).is_ok_and(|count| self.index >= count);
        match (whole, body.is_empty()) {
            (true, true) => Ok(None),
            (true, false) => Err(BatchError::RecordCount { declared, extra: true }),
            (false, true) => Err(BatchError::RecordCount { declared, extra: false }),
            (false, false) => {
                let index = self.index;
                self.index += 1;
                Record::take(&self.header, body)
                    .map(Some)
                    .map_err(|fault| BatchError::Malformed { index, fault })
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if !matches!(step, Some(Ok(_))) {
            self.body = Body::Done;
        }
        step
    }
}
