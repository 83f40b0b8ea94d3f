//! Walking a body's records in one pass, without keeping them.

use waybill_types::TimestampMs;

use super::error::{BatchError, RecordFault};
use super::header::{BatchHeader, TimestampType};
use super::varint::{SliceSource, Source};
use crate::compression::{Compression, CompressionError, Decompressor};

/// What a walk over a body tells of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordFacts {
    /// Its place in the body, from 0.
    pub index: usize,
    /// Its offset less the batch's base offset.
    pub offset_delta: i32,
    /// Its timestamp; the batch's max timestamp where that is the append time.
    pub timestamp: TimestampMs,
    /// Whether its key is not null.
    pub has_key: bool,
    /// Whether its value is not null: else it is a tombstone on a compacted topic.
    pub has_value: bool,
    /// Bytes it takes in the uncompressed body.
    pub size: usize,
}

/// A record's scalars, read past its key, value and headers.
struct Scalars {
    timestamp_delta: i64,
    offset_delta: i32,
    has_key: bool,
    has_value: bool,
    size: usize,
}

/// Reads one record (`DefaultRecord.readFrom`): length, attributes, timestamp delta, offset delta, key, value,
/// headers. The declared length must be exactly that of the fields.
#[inline]
fn scan_record<S: Source>(source: &mut S) -> Result<Scalars, S::Error> {
    let start = source.position();
    let length = source.varint()?;
    let body = source.position();
    let length = usize::try_from(length).map_err(|_| RecordFault::Length)?;
    source.byte()?;
    let timestamp_delta = source.varlong()?;
    let offset_delta = source.varint()?;
    let key = source.varint()?;
    skip_nullable(source, key)?;
    let value = source.varint()?;
    skip_nullable(source, value)?;
    let headers = source.varint()?;
    if headers != 0 {
        skip_headers(source, headers, body, length)?;
    }
    if source.position() - body != length {
        return Err(RecordFault::Length.into());
    }
    Ok(Scalars {
        timestamp_delta,
        offset_delta,
        has_key: key >= 0,
        has_value: value >= 0,
        size: source.position() - start,
    })
}

#[inline]
fn skip_nullable<S: Source>(source: &mut S, length: i32) -> Result<(), S::Error> {
    match usize::try_from(length) {
        Ok(length) => source.skip(length),
        Err(_) => Ok(()),
    }
}

fn skip_headers<S: Source>(source: &mut S, count: i32, body: usize, length: usize) -> Result<(), S::Error> {
    let room = length.saturating_sub(source.position() - body);
    if usize::try_from(count).map_or(true, |count| count > room) {
        return Err(RecordFault::HeaderCount.into());
    }
    for _ in 0..count {
        let key = source.varint()?;
        let key = usize::try_from(key).map_err(|_| RecordFault::HeaderKey)?;
        source.skip(key)?;
        let value = source.varint()?;
        skip_nullable(source, value)?;
    }
    Ok(())
}

/// What stops a walk over decompressed bytes.
enum StreamFault {
    Record(RecordFault),
    Codec(CompressionError),
}

impl From<RecordFault> for StreamFault {
    fn from(fault: RecordFault) -> Self {
        Self::Record(fault)
    }
}

impl StreamFault {
    fn at(self, index: usize) -> BatchError {
        match self {
            Self::Record(fault) => BatchError::Malformed { index, fault },
            Self::Codec(error) => error.into(),
        }
    }
}

/// A codec's output as a source, for the records that cross its chunks.
struct StreamSource<'r, 'a> {
    reader: &'r mut Decompressor<'a>,
    position: usize,
}

impl Source for StreamSource<'_, '_> {
    type Error = StreamFault;

    fn byte(&mut self) -> Result<u8, StreamFault> {
        let byte = *self.reader.fill().map_err(StreamFault::Codec)?.first().ok_or(RecordFault::Truncated)?;
        self.reader.consume(1);
        self.position += 1;
        Ok(byte)
    }

    fn skip(&mut self, count: usize) -> Result<(), StreamFault> {
        let mut left = count;
        while left > 0 {
            let there = self.reader.fill().map_err(StreamFault::Codec)?.len();
            if there == 0 {
                return Err(RecordFault::Truncated.into());
            }
            let taken = there.min(left);
            self.reader.consume(taken);
            left -= taken;
        }
        self.position += count;
        Ok(())
    }

    fn position(&self) -> usize {
        self.position
    }
}

/// Turns scalars into facts and hands them on.
struct Walk<'h, V> {
    header: &'h BatchHeader,
    index: usize,
    visit: V,
}

impl<V: FnMut(RecordFacts) -> bool> Walk<'_, V> {
    #[inline]
    fn tell(&mut self, scalars: &Scalars) -> bool {
        let timestamp = record_timestamp(self.header, scalars.timestamp_delta);
        let facts = RecordFacts {
            index: self.index,
            offset_delta: scalars.offset_delta,
            timestamp,
            has_key: scalars.has_key,
            has_value: scalars.has_value,
            size: scalars.size,
        };
        self.index += 1;
        (self.visit)(facts)
    }
}

/// The timestamp of a record with this delta. Sums wrap, as Java's do.
pub(super) fn record_timestamp(header: &BatchHeader, delta: i64) -> TimestampMs {
    match header.attributes.timestamp_type() {
        TimestampType::CreateTime => TimestampMs(header.base_timestamp.get().wrapping_add(delta)),
        TimestampType::LogAppendTime => header.max_timestamp,
    }
}

/// Walks the records of `body` until `visit` returns false; see [`super::RecordBatch::scan`].
pub(super) fn scan_body(
    header: &BatchHeader,
    body: &[u8],
    limit: usize,
    visit: impl FnMut(RecordFacts) -> bool,
) -> Result<(), BatchError> {
    let walk = Walk { header, index: 0, visit };
    let codec = header.compression()?;
    let count = usize::try_from(header.record_count)
        .map_err(|_| BatchError::RecordCount { declared: header.record_count, extra: false })?;
    if codec == Compression::None {
        scan_slice(walk, body, count)
    } else {
        scan_stream(walk, codec, body, limit, count)
    }
}

fn scan_slice<V: FnMut(RecordFacts) -> bool>(
    mut walk: Walk<'_, V>,
    body: &[u8],
    count: usize,
) -> Result<(), BatchError> {
    let declared = walk.header.record_count;
    let mut source = SliceSource::new(body);
    for index in 0..count {
        if source.remaining() == 0 {
            return Err(BatchError::RecordCount { declared, extra: false });
        }
        let scalars = scan_record(&mut source).map_err(|fault| BatchError::Malformed { index, fault })?;
        if !walk.tell(&scalars) {
            return Ok(());
        }
    }
    if source.remaining() > 0 { Err(BatchError::RecordCount { declared, extra: true }) } else { Ok(()) }
}

fn scan_stream<V: FnMut(RecordFacts) -> bool>(
    mut walk: Walk<'_, V>,
    codec: Compression,
    body: &[u8],
    limit: usize,
    count: usize,
) -> Result<(), BatchError> {
    if count == 0 {
        // What compaction has emptied has no body to decompress.
        return Ok(());
    }
    let declared = walk.header.record_count;
    let mut reader = Decompressor::new(codec, body, limit)?;
    let mut index = 0;
    while index < count {
        let chunk = reader.fill()?;
        if chunk.is_empty() {
            return Err(BatchError::RecordCount { declared, extra: false });
        }
        // Records that lie wholly in the chunk are read from it as from a slice.
        let mut source = SliceSource::new(chunk);
        let mut whole = 0;
        while index < count && next_is_whole(&source) {
            let scalars = scan_record(&mut source).map_err(|fault| BatchError::Malformed { index, fault })?;
            whole = source.position();
            index += 1;
            if !walk.tell(&scalars) {
                return Ok(());
            }
        }
        reader.consume(whole);
        if whole == 0 {
            let mut source = StreamSource { reader: &mut reader, position: 0 };
            let scalars = scan_record(&mut source).map_err(|fault| fault.at(index))?;
            index += 1;
            if !walk.tell(&scalars) {
                return Ok(());
            }
        }
    }
    if reader.fill()?.is_empty() { Ok(()) } else { Err(BatchError::RecordCount { declared, extra: true }) }
}

/// Whether the next record's declared length lies within the slice.
fn next_is_whole(source: &SliceSource<'_>) -> bool {
    let mut ahead = source.clone();
    ahead.varint().is_ok_and(|length| usize::try_from(length).is_ok_and(|length| length <= ahead.remaining()))
}
