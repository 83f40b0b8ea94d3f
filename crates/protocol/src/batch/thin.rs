//! What log compaction leaves of a batch: the records that are kept, at their offsets, under the same header.
//!
//! Rules: `MemoryRecords.filterTo` of Apache Kafka and KIP-534. Base offset, last offset, producer, epoch and base sequence
//! stay, so that offsets and sequences follow from the header as before; the codec stays. Kept records are copied byte for byte,
//! unless a delete horizon is set: it takes the place of the base timestamp, from which the records' timestamps count.

use bytes::{BufMut, BytesMut};
use waybill_types::{Offset, TimestampMs};

use super::builder::BuildError;
use super::error::{BatchError, RecordFault};
use super::header::{Attributes, BatchHeader, HEADER_LEN, TimestampType};
use super::scan::record_timestamp;
use super::varint::{SliceSource, Source, put_varint, put_varlong, varlong_len};
use super::view::{RecordBatch, crc_of};
use crate::compression::Compression;

/// A record in the uncompressed body of its batch, by reference.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: TimestampMs,
    /// Its key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Whether its value is not null: else it is a tombstone.
    pub has_value: bool,
    /// All of it, its length included.
    whole: &'a [u8],
    attributes: u8,
    /// From its offset delta on.
    rest: &'a [u8],
}

/// Iterator over the records of an uncompressed body. It ends at the first error, and tells when the body is not the
/// declared number of records.
#[derive(Debug)]
pub struct RawRecords<'a> {
    header: BatchHeader,
    rest: &'a [u8],
    index: usize,
    done: bool,
}

impl<'a> RawRecords<'a> {
    /// The records of `body`, which is the plain body ([`RecordBatch::plain_body`]) of the batch with this header.
    #[must_use]
    pub const fn new(header: &BatchHeader, body: &'a [u8]) -> Self {
        Self { header: *header, rest: body, index: 0, done: false }
    }

    fn step(&mut self) -> Result<Option<RawRecord<'a>>, BatchError> {
        let declared = self.header.record_count;
        let whole = usize::try_from(declared).is_ok_and(|count| self.index >= count);
        match (whole, self.rest.is_empty()) {
            (true, true) => return Ok(None),
            (true, false) => return Err(BatchError::RecordCount { declared, extra: true }),
            (false, true) => return Err(BatchError::RecordCount { declared, extra: false }),
            (false, false) => {}
        }
        let index = self.index;
        self.index += 1;
        let (record, rest) =
            take(&self.header, self.rest).map_err(|fault| BatchError::Malformed { index, fault })?;
        self.rest = rest;
        Ok(Some(record))
    }
}

impl<'a> Iterator for RawRecords<'a> {
    type Item = Result<RawRecord<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step().transpose();
        self.done = !matches!(step, Some(Ok(_)));
        step
    }
}

/// Takes the record at the front of `bytes`.
fn take<'a>(header: &BatchHeader, bytes: &'a [u8]) -> Result<(RawRecord<'a>, &'a [u8]), RecordFault> {
    let mut source = SliceSource::new(bytes);
    let length = usize::try_from(source.varint()?).map_err(|_| RecordFault::Length)?;
    let end = source.position().checked_add(length).ok_or(RecordFault::Truncated)?;
    let (whole, behind) = bytes.split_at_checked(end).ok_or(RecordFault::Truncated)?;
    let start = source.position();
    let mut source = SliceSource::new(whole);
    source.skip(start)?;
    let attributes = source.byte()?;
    let timestamp = record_timestamp(header, source.varlong()?);
    let rest = whole.get(source.position()..).unwrap_or_default();
    let offset = header.base_offset.plus(i64::from(source.varint()?));
    let key = nullable(&mut source, whole)?;
    let has_value = nullable(&mut source, whole)?.is_some();
    Ok((RawRecord { offset, timestamp, key, has_value, whole, attributes, rest }, behind))
}

fn nullable<'a>(source: &mut SliceSource<'a>, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, RecordFault> {
    let Ok(length) = usize::try_from(source.varint()?) else { return Ok(None) };
    let start = source.position();
    source.skip(length)?;
    Ok(bytes.get(start..start + length))
}

/// A batch with some of its records.
#[derive(Debug)]
pub struct ThinBatch {
    header: BatchHeader,
    new_base: bool,
    body: BytesMut,
}

impl ThinBatch {
    /// Begins with none of the records of the batch with this header. `horizon`: tombstones and markers in it may be
    /// dropped from then on; `None` leaves a horizon that it has.
    #[must_use]
    pub fn new(header: &BatchHeader, horizon: Option<TimestampMs>) -> Self {
        let max_timestamp = match header.attributes.timestamp_type() {
            TimestampType::CreateTime => TimestampMs::NONE,
            TimestampType::LogAppendTime => header.max_timestamp,
        };
        let mut header = BatchHeader { record_count: 0, max_timestamp, ..*header };
        if let Some(horizon) = horizon {
            header.base_timestamp = horizon;
            header.attributes = header.attributes.with_delete_horizon(true);
        }
        Self { header, new_base: horizon.is_some(), body: BytesMut::new() }
    }

    /// Keeps a record, which lies behind those kept before.
    pub fn keep(&mut self, record: &RawRecord<'_>) {
        self.header.record_count += 1;
        self.header.max_timestamp = self.header.max_timestamp.max(record.timestamp);
        if !self.new_base {
            self.body.put_slice(record.whole);
            return;
        }
        let delta = record.timestamp.get().wrapping_sub(self.header.base_timestamp.get());
        let length = 1 + varlong_len(delta) + record.rest.len();
        // A record that fits in 32 bits still does with ten bytes more, but for the very largest, which no broker takes.
        put_varint(&mut self.body, i32::try_from(length).unwrap_or(i32::MAX));
        self.body.put_u8(record.attributes);
        put_varlong(&mut self.body, delta);
        self.body.put_slice(record.rest);
    }

    /// The batch, compressed as the original was.
    ///
    /// # Errors
    /// [`BuildError::Compression`]; [`BuildError::TooLarge`] beyond 2 GiB.
    pub fn build(self) -> Result<RecordBatch, BuildError> {
        let codec = self.header.attributes.compression().unwrap_or(Compression::None);
        let packed;
        let body: &[u8] = if codec == Compression::None {
            &self.body
        } else {
            packed = codec.compress(&self.body, None)?;
            &packed
        };
        finish(self.header, body)
    }

    /// The batch without any record, which keeps its producer's last sequence (`DefaultRecordBatch.writeEmptyHeader`).
    ///
    /// # Errors
    /// None in practice: it is a header.
    pub fn empty(header: &BatchHeader) -> Result<RecordBatch, BuildError> {
        let attributes = Attributes::default()
            .with_timestamp_type(header.attributes.timestamp_type())
            .with_transactional(header.attributes.is_transactional())
            .with_control(header.attributes.is_control());
        finish(BatchHeader { attributes, base_timestamp: TimestampMs::NONE, record_count: 0, ..*header }, &[])
    }
}

fn finish(mut header: BatchHeader, body: &[u8]) -> Result<RecordBatch, BuildError> {
    header.size = HEADER_LEN + body.len();
    i32::try_from(header.size).map_err(|_| BuildError::TooLarge("batch"))?;
    let mut out = BytesMut::with_capacity(header.size);
    out.put_slice(&header.to_bytes());
    out.put_slice(body);
    header.crc = crc_of(&out);
    if let Some(place) = out.first_chunk_mut::<HEADER_LEN>() {
        *place = header.to_bytes();
    }
    Ok(RecordBatch::from_parts(header, out.freeze()))
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, NewRecord, Record};
    use super::*;
    use waybill_types::{LeaderEpoch, ProducerEpoch, ProducerId, Sequence};

    fn original(codec: Compression) -> RecordBatch {
        let mut builder = BatchBuilder::new(codec)
            .base_offset(Offset(100))
            .leader_epoch(LeaderEpoch(3))
            .producer(ProducerId(7), ProducerEpoch(2), Sequence(40));
        for at in 0..6i64 {
            let key = [at as u8; 3];
            builder
                .push(NewRecord {
                    timestamp: TimestampMs(5_000 - at),
                    key: (at != 5).then_some(&key[..]),
                    value: (at != 2).then_some(b"value"),
                    headers: &[("h", Some(b"1")), ("h", None)],
                })
                .unwrap();
        }
        builder.build().unwrap()
    }

    fn thinned(batch: &RecordBatch, horizon: Option<i64>, keep: &[i64]) -> RecordBatch {
        let body = batch.plain_body(1 << 20).unwrap();
        let mut thin = ThinBatch::new(batch.header(), horizon.map(TimestampMs));
        for record in RawRecords::new(batch.header(), &body) {
            let record = record.unwrap();
            if keep.contains(&record.offset.get()) {
                thin.keep(&record);
            }
        }
        thin.build().unwrap()
    }

    fn records(batch: &RecordBatch) -> Vec<Record> {
        batch.records(1 << 20).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn kept_records_are_as_they_were() {
        for codec in Compression::ALL {
            let batch = original(codec);
            let whole = records(&batch);
            for horizon in [None, Some(90_000), Some(4_000)] {
                let thin = thinned(&batch, horizon, &[101, 102, 105]);
                thin.verify_crc().unwrap();
                assert_eq!(records(&thin), [whole[1].clone(), whole[2].clone(), whole[5].clone()]);
                let (before, after) = (batch.header(), thin.header());
                assert_eq!(
                    (after.base_offset, after.last_offset()),
                    (before.base_offset, before.last_offset())
                );
                assert_eq!(
                    (after.producer_id, after.base_sequence),
                    (before.producer_id, before.base_sequence)
                );
                assert_eq!(after.leader_epoch, before.leader_epoch);
                assert_eq!((after.record_count, after.max_timestamp), (3, TimestampMs(4_999)));
                assert_eq!(after.attributes.has_delete_horizon(), horizon.is_some());
                assert_eq!(after.attributes.compression(), before.attributes.compression());
                if let Some(horizon) = horizon {
                    assert_eq!(after.base_timestamp, TimestampMs(horizon));
                }
                // A horizon that is set stays, and nothing moves any more.
                let again = thinned(&thin, None, &[102]);
                assert_eq!(records(&again), [whole[2].clone()]);
                assert_eq!(again.header().base_timestamp, after.base_timestamp);
                assert_eq!(again.header().attributes, after.attributes);
            }
        }
    }

    #[test]
    fn without_any_record_the_header_remembers_the_producer() {
        let batch = original(Compression::Zstd);
        let empty = ThinBatch::empty(batch.header()).unwrap();
        empty.verify_crc().unwrap();
        let header = empty.header();
        assert_eq!(header.size, HEADER_LEN);
        assert_eq!((header.base_offset, header.last_offset()), (Offset(100), Offset(105)));
        assert_eq!((header.base_sequence, header.producer_epoch), (Sequence(40), ProducerEpoch(2)));
        assert_eq!(header.base_timestamp, TimestampMs::NONE);
        assert!(records(&empty).is_empty() && empty.scan(1, |_| true).is_ok());
    }

    #[test]
    fn bodies_that_are_not_their_records_are_refused() {
        let batch = original(Compression::None);
        let body = batch.plain_body(1 << 20).unwrap();
        let walk = |bytes: &[u8]| RawRecords::new(batch.header(), bytes).find_map(Result::err);
        assert!(walk(&body).is_none());
        assert!(walk(&body[..body.len() - 1]).is_some());
        assert!(walk(&[&body[..], &[0]].concat()).is_some());
        for at in 0..body.len() {
            let mut damaged = body.to_vec();
            damaged[at] ^= 0xff;
            // Any bytes are an error or records.
            RawRecords::new(batch.header(), &damaged).for_each(drop);
        }
    }
}
