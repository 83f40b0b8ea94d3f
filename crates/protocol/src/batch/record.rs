//! One record.

use bytes::Bytes;
use waybill_types::{Offset, Sequence, TimestampMs};

use super::error::RecordFault;
use super::header::BatchHeader;
use super::scan::record_timestamp;
use super::varint::{SliceSource, Source};

/// A record, its key, value and headers sliced out of its batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp; the append time where the topic says so.
    pub timestamp: TimestampMs,
    /// Its sequence, or none.
    pub sequence: Sequence,
    /// Its key; `None` is null, which is not the empty key.
    pub key: Option<Bytes>,
    /// Its value; `None` is null: a tombstone on a compacted topic.
    pub value: Option<Bytes>,
    /// Its headers in order; keys may occur more than once.
    pub headers: Vec<RecordHeader>,
}

/// A record's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// Its name: UTF-8 by contract, not by any check.
    pub key: Bytes,
    /// Its value; `None` is null.
    pub value: Option<Bytes>,
}

impl Record {
    /// The last header of that name, as Kafka's `lastHeader`.
    pub fn header(&self, name: &str) -> Option<&RecordHeader> {
        self.headers.iter().rev().find(|header| header.key == name.as_bytes())
    }

    /// Takes the record at the front of `body`, the uncompressed body of the batch with this header.
    pub(super) fn take(header: &BatchHeader, body: &mut Bytes) -> Result<Self, RecordFault> {
        let mut source = SliceSource::new(body);
        let length = source.varint()?;
        let length = usize::try_from(length).map_err(|_| RecordFault::Length)?;
        let start = source.position();
        let end = start.checked_add(length).filter(|end| *end <= body.len()).ok_or(RecordFault::Truncated)?;
        source.byte()?;
        let timestamp = record_timestamp(header, source.varlong()?);
        let offset_delta = source.varint()?;
        let key = slice_nullable(&mut source, body)?;
        let value = slice_nullable(&mut source, body)?;
        let headers = take_headers(&mut source, body, end)?;
        if source.position() != end {
            return Err(RecordFault::Length);
        }
        let sequence = match header.base_sequence {
            none if none.get() < 0 => Sequence::NONE,
            base => base.plus(offset_delta),
        };
        let record = Self {
            offset: header.base_offset.plus(i64::from(offset_delta)),
            timestamp,
            sequence,
            key,
            value,
            headers,
        };
        drop(body.split_to(end));
        Ok(record)
    }
}

fn slice_nullable(source: &mut SliceSource<'_>, body: &Bytes) -> Result<Option<Bytes>, RecordFault> {
    let Ok(length) = usize::try_from(source.varint()?) else { return Ok(None) };
    let start = source.position();
    source.skip(length)?;
    Ok(Some(body.slice(start..start + length)))
}

fn take_headers(
    source: &mut SliceSource<'_>,
    body: &Bytes,
    end: usize,
) -> Result<Vec<RecordHeader>, RecordFault> {
    let count = source.varint()?;
    // A header takes at least two bytes, so a forged count reserves no more than the record holds.
    let room = end.saturating_sub(source.position()) / 2;
    let count = usize::try_from(count).ok().filter(|count| *count <= room).ok_or(RecordFault::HeaderCount)?;
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let key = slice_nullable(source, body)?.ok_or(RecordFault::HeaderKey)?;
        let value = slice_nullable(source, body)?;
        headers.push(RecordHeader { key, value });
    }
    Ok(headers)
}
