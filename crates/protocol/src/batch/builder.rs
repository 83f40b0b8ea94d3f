//! Making batches.

use bytes::{BufMut, Bytes, BytesMut};
use waybill_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

use super::header::{Attributes, BatchHeader, HEADER_LEN, TimestampType};
use super::varint::{put_varint, put_varlong, varint_len, varlong_len};
use super::view::{RecordBatch, crc_of};
use crate::compression::{Compression, CompressionError};

/// A record to be appended to a batch, by reference.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewRecord<'a> {
    /// Its timestamp.
    pub timestamp: TimestampMs,
    /// Its key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is null.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Why a batch can not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A field is longer, or there are more records, than 32 bits can say.
    #[error("{0} does not fit in 32 bits")]
    TooLarge(&'static str),
    /// A record's offset does not lie behind the one before it.
    #[error("offset {offset} does not lie behind {last}")]
    Order {
        /// The record's offset.
        offset: Offset,
        /// The offset of the record before.
        last: Offset,
    },
    /// The codec failed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

/// Builds one batch. Records go into one buffer as they come and are compressed at the end.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    compression: Compression,
    level: Option<i32>,
    append_time: Option<TimestampMs>,
    body: BytesMut,
}

impl BatchBuilder {
    /// An empty batch of no producer, with base offset 0 and no leader epoch.
    pub fn new(compression: Compression) -> Self {
        let header = BatchHeader {
            base_offset: Offset::ZERO,
            size: HEADER_LEN,
            leader_epoch: LeaderEpoch::NONE,
            crc: 0,
            attributes: Attributes::default().with_compression(compression),
            last_offset_delta: -1,
            base_timestamp: TimestampMs::NONE,
            max_timestamp: TimestampMs::NONE,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: Sequence::NONE,
            record_count: 0,
        };
        Self { header, compression, level: None, append_time: None, body: BytesMut::new() }
    }

    /// Sets the codec's level.
    #[must_use]
    pub const fn level(mut self, level: i32) -> Self {
        self.level = Some(level);
        self
    }

    /// Sets the base offset; to be called before records are pushed.
    #[must_use]
    pub const fn base_offset(mut self, offset: Offset) -> Self {
        self.header.base_offset = offset;
        self
    }

    /// Sets the leader epoch.
    #[must_use]
    pub const fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.header.leader_epoch = epoch;
        self
    }

    /// Makes it a batch of an idempotent producer.
    #[must_use]
    pub const fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: Sequence) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Makes it part of a transaction, or not.
    #[must_use]
    pub const fn transactional(mut self, on: bool) -> Self {
        self.header.attributes = self.header.attributes.with_transactional(on);
        self
    }

    /// Makes it a control batch, or not.
    #[must_use]
    pub const fn control(mut self, on: bool) -> Self {
        self.header.attributes = self.header.attributes.with_control(on);
        self
    }

    /// Gives all records the append time `now`.
    #[must_use]
    pub const fn log_append_time(mut self, now: TimestampMs) -> Self {
        self.header.attributes = self.header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.append_time = Some(now);
        self
    }

    /// Appends a record at the next offset.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`]; the batch is as before then.
    pub fn push(&mut self, record: NewRecord<'_>) -> Result<(), BuildError> {
        let delta =
            self.header.last_offset_delta.checked_add(1).ok_or(BuildError::TooLarge("record count"))?;
        self.append(delta, record)
    }

    /// Appends a record at `offset`, leaving a hole before it where needed, as compaction does.
    ///
    /// # Errors
    /// [`BuildError::Order`] when it does not lie behind the last one, [`BuildError::TooLarge`]; the batch is as
    /// before then.
    pub fn push_at(&mut self, offset: Offset, record: NewRecord<'_>) -> Result<(), BuildError> {
        let last = self.header.last_offset();
        if offset <= last {
            return Err(BuildError::Order { offset, last });
        }
        let delta = i32::try_from(offset.get().saturating_sub(self.header.base_offset.get()))
            .map_err(|_| BuildError::TooLarge("offset range"))?;
        self.append(delta, record)
    }

    fn append(&mut self, offset_delta: i32, record: NewRecord<'_>) -> Result<(), BuildError> {
        if self.header.record_count == 0 {
            self.header.base_timestamp = self.append_time.unwrap_or(record.timestamp);
        }
        let timestamp = self.append_time.unwrap_or(record.timestamp);
        let timestamp_delta = timestamp.get().wrapping_sub(self.header.base_timestamp.get());
        let length = body_len(offset_delta, timestamp_delta, &record)?;
        let out = &mut self.body;
        out.reserve(length + 5);
        put_varint(out, i32::try_from(length).map_err(|_| BuildError::TooLarge("record"))?);
        out.put_u8(0);
        put_varlong(out, timestamp_delta);
        put_varint(out, offset_delta);
        put_nullable(out, record.key);
        put_nullable(out, record.value);
        put_varint(out, record.headers.len() as i32);
        for (key, value) in record.headers {
            put_nullable(out, Some(key.as_bytes()));
            put_nullable(out, *value);
        }
        self.header.last_offset_delta = offset_delta;
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        self.header.record_count += 1;
        Ok(())
    }

    /// Records so far.
    pub const fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// Whether nothing has been pushed.
    pub const fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// Bytes that the batch would have without compression.
    pub fn plain_size(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    /// Compresses the body and writes the batch. A batch without records is what compaction leaves of one whose
    /// producer must be remembered; clients must not send it.
    ///
    /// # Errors
    /// [`BuildError::Compression`]; [`BuildError::TooLarge`] beyond 2 GiB.
    pub fn build(mut self) -> Result<RecordBatch, BuildError> {
        let packed;
        let body: &[u8] = if self.compression == Compression::None {
            &self.body
        } else {
            packed = self.compression.compress(&self.body, self.level)?;
            &packed
        };
        self.header.size = HEADER_LEN + body.len();
        i32::try_from(self.header.size).map_err(|_| BuildError::TooLarge("batch"))?;
        let mut out = BytesMut::with_capacity(self.header.size);
        out.put_slice(&self.header.to_bytes());
        out.put_slice(body);
        self.header.crc = crc_of(&out);
        if let Some(place) = out.first_chunk_mut::<HEADER_LEN>() {
            *place = self.header.to_bytes();
        }
        Ok(RecordBatch::from_parts(self.header, out.freeze()))
    }

    /// [`Self::build`], for those who only want the bytes.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_bytes(self) -> Result<Bytes, BuildError> {
        self.build().map(RecordBatch::into_bytes)
    }
}

/// Bytes of a record behind its length (`DefaultRecord.sizeOfBodyInBytes`), all of whose parts fit in 32 bits.
fn body_len(offset_delta: i32, timestamp_delta: i64, record: &NewRecord<'_>) -> Result<usize, BuildError> {
    let headers = i32::try_from(record.headers.len()).map_err(|_| BuildError::TooLarge("header count"))?;
    let mut length = 1 + varlong_len(timestamp_delta) + varint_len(offset_delta) + varint_len(headers);
    length += nullable_len(record.key)? + nullable_len(record.value)?;
    for (key, value) in record.headers {
        length += nullable_len(Some(key.as_bytes()))? + nullable_len(*value)?;
    }
    i32::try_from(length).map_err(|_| BuildError::TooLarge("record"))?;
    Ok(length)
}

fn nullable_len(bytes: Option<&[u8]>) -> Result<usize, BuildError> {
    let Some(bytes) = bytes else { return Ok(1) };
    let length = i32::try_from(bytes.len()).map_err(|_| BuildError::TooLarge("field"))?;
    Ok(varint_len(length) + bytes.len())
}

/// Writes a field whose length [`nullable_len`] has checked.
fn put_nullable(out: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, bytes.len() as i32);
            out.put_slice(bytes);
        }
    }
}
