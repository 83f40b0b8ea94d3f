//! What the fuzz targets and the seeded tests call: bytes in, a broken promise panics.
//!
//! Promises of batches: no panic; memory bounded by the limits of the policy; what is accepted is one well-formed
//! batch whose records can be read, under offsets without a hole, with a right checksum.

use bytes::{Bytes, BytesMut};
use waybill_protocol::batch::{
    BatchHeader, BodyCheck, Origin, Policy, TimestampType, patch_in_place, prepare, sole_batch_len,
    split_batches,
};
use waybill_protocol::compression::{Compression, CompressionError};
use waybill_types::{LeaderEpoch, Offset, TimestampMs};

/// Most bytes that a body may grow to.
pub(crate) const LIMIT: usize = 64 * 1024;
/// Most bytes of a batch.
pub(crate) const MAX_BATCH: usize = 128 * 1024;

/// The records of a produce request: the first byte chooses the topic's rules, the second whether length and checksum
/// are put right first, so that what lies behind them is reached. Answers whether they were accepted.
pub(crate) fn produce(data: &[u8]) -> bool {
    let Some(([rules, mend], records)) = data.split_first_chunk::<2>() else { return false };
    let mut records = BytesMut::from(records);
    if mend & 1 == 0 {
        put_right(&mut records);
    }
    let policy = policy(*rules);
    let Ok(length) = sole_batch_len(&records, 9) else { return false };
    assert!(length <= records.len(), "a batch of {length} in {} bytes", records.len());
    records.truncate(length);
    let Ok(prepared) = prepare(records, &policy) else { return false };
    assert!(prepared.size() <= MAX_BATCH, "a batch of {} bytes was taken", prepared.size());
    let batch = prepared.assign(Offset(1000), LeaderEpoch(5));
    assert!(batch.verify_crc().is_ok(), "a prepared batch has a wrong checksum");
    let again = BatchHeader::parse(batch.bytes());
    assert_eq!(again.as_ref(), Ok(batch.header()), "the header says something else than its bytes");
    assert_eq!(batch.header().base_offset, Offset(1000));
    if policy.body == BodyCheck::HeaderOnly || policy.origin == Origin::Broker {
        return true;
    }
    let mut next = batch.header().base_offset;
    let mut newest = TimestampMs(-1);
    for record in batch.records(LIMIT) {
        let record = record.unwrap_or_else(|error| panic!("a record of a good batch: {error}"));
        assert_eq!(record.offset, next);
        assert!(record.key.is_some() || !policy.keys_required, "a null key on a compacted topic");
        next = next.next();
        newest = newest.max(record.timestamp);
    }
    assert_eq!(next, batch.header().next_offset());
    assert_eq!(newest, batch.header().max_timestamp);
    true
}

/// Bytes as a segment or a fetch response holds them: every batch is read, whatever its checksum says.
pub(crate) fn row(data: &[u8]) {
    let whole = data.len();
    let mut batches = split_batches(Bytes::copy_from_slice(data));
    let mut taken = 0;
    for batch in batches.by_ref().flatten() {
        taken += batch.bytes().len();
        let records: Result<Vec<_>, _> = batch.records(LIMIT).collect();
        let mut scanned = Vec::new();
        let scan = batch.scan(LIMIT, |facts| {
            scanned.push((facts.timestamp, facts.has_key, facts.has_value));
            true
        });
        if let (Ok(records), Ok(())) = (records, scan) {
            let read: Vec<_> =
                records.iter().map(|one| (one.timestamp, one.key.is_some(), one.value.is_some())).collect();
            assert_eq!(read, scanned, "two ways to walk a batch differ");
        }
    }
    assert_eq!(taken + batches.rest().len(), whole, "bytes got lost between batches");
    assert!(patch_in_place(&mut data.to_vec(), Offset(1), LeaderEpoch(1)).is_ok() == (data.len() >= 61));
}

/// Compressed bytes: the first byte chooses the codec.
pub(crate) fn decompress(data: &[u8]) {
    let Some((codec, packed)) = data.split_first() else { return };
    let codec = Compression::from_id(i16::from(codec % 5)).unwrap_or_default();
    match codec.decompress(packed, LIMIT) {
        Ok(plain) => assert!(plain.len() <= LIMIT, "{codec} gave {} bytes", plain.len()),
        Err(CompressionError::TooLarge { limit }) => assert_eq!(limit, LIMIT),
        Err(_) => {}
    }
}

fn policy(rules: u8) -> Policy {
    let bit = |at: u8| rules & (1 << at) != 0;
    Policy {
        now: TimestampMs(1_700_000_000_000),
        timestamp_type: if bit(0) { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
        keys_required: bit(1),
        compression: bit(2).then(|| Compression::from_id(i16::from(rules >> 6)).unwrap_or_default()),
        body: if bit(3) { BodyCheck::HeaderOnly } else { BodyCheck::Full },
        origin: if bit(4) { Origin::Broker } else { Origin::Client },
        before_max_ms: if bit(5) { 1000 } else { i64::MAX },
        after_max_ms: i64::MAX,
        max_batch_bytes: MAX_BATCH,
        max_decompressed_bytes: LIMIT,
        ..Policy::default()
    }
}

/// Makes base offset, length, magic and checksum those of one batch that fills the bytes.
fn put_right(records: &mut BytesMut) {
    let length = records.len().saturating_sub(12) as u32;
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = records.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, &[0; 8]);
    put(8, &length.to_be_bytes());
    put(16, &[2]);
    let crc = crc32c::crc32c(records.get(21..).unwrap_or_default());
    if let Some(place) = records.get_mut(17..21) {
        place.copy_from_slice(&crc.to_be_bytes());
    }
}
