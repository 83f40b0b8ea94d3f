//! What the fuzz target for record batches and the seeded tests call: bytes in, a broken promise panics.
//!
//! Promises: no panic; no output beyond the limit; a batch that passes a broker's checks has a right checksum and
//! exactly the records its header declares, whoever reads it later.

use bytes::{Bytes, BytesMut};
use waybill_protocol::batch::{BodyCheck, HEADER_LEN, Policy, RecordBatch, prepare, split_batches};
use waybill_protocol::compression::Compression;
use waybill_types::{LeaderEpoch, Offset, TimestampMs};

/// Most bytes that a body may grow to here.
const LIMIT: usize = 256 * 1024;

/// One byte chooses a topic's settings; the rest is what a client sent, as it is and with length and checksum made
/// right, so that damage reaches the records.
pub(crate) fn record_batch(data: &[u8]) {
    let Some((choice, sent)) = data.split_first() else { return };
    let policy = policy(*choice);
    produce(sent, &policy);
    if let Some(sealed) = seal(sent) {
        produce(&sealed, &policy);
    }
}

fn policy(choice: u8) -> Policy {
    let compression = match choice & 7 {
        0 => Some(Compression::None),
        1 => Some(Compression::Gzip),
        2 => Some(Compression::Snappy),
        3 => Some(Compression::Lz4),
        4 => Some(Compression::Zstd),
        _ => None,
    };
    Policy {
        now: TimestampMs(i64::MAX / 2),
        keys_required: choice & 8 != 0,
        compression,
        max_decompressed_bytes: LIMIT,
        body: if choice & 16 != 0 { BodyCheck::HeaderOnly } else { BodyCheck::Full },
        ..Policy::default()
    }
}

/// The same bytes as one batch of magic 2 with the right length and checksum.
fn seal(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let size = i32::try_from(bytes.len()).ok()?.checked_sub(12)?;
    if bytes.len() < HEADER_LEN {
        return None;
    }
    bytes.get_mut(8..12)?.copy_from_slice(&size.to_be_bytes());
    *bytes.get_mut(16)? = 2;
    let checksum = crc32c::crc32c(bytes.get(21..)?);
    bytes.get_mut(17..21)?.copy_from_slice(&checksum.to_be_bytes());
    Some(bytes)
}

fn produce(sent: &[u8], policy: &Policy) {
    for batch in split_batches(Bytes::copy_from_slice(sent)).flatten() {
        let read = batch.records(LIMIT).take(10_000).filter(Result::is_ok).count();
        let mut walked = 0;
        let _ = batch.scan(LIMIT, |_| {
            walked += 1;
            walked < 10_000
        });
        // Below zero, the reader goes on to the end of the body before it complains; the walker does not begin.
        let comparable = batch.header().record_count >= 0 && walked < 10_000;
        assert!(!comparable || read <= walked, "the reader found {read} records, the walker {walked}");
        let Ok(prepared) = prepare(BytesMut::from(&batch.bytes()[..]), policy) else { continue };
        kept(&prepared.assign(Offset(7), LeaderEpoch(1)), policy);
    }
}

/// What a broker keeps must be readable by anyone.
fn kept(batch: &RecordBatch, policy: &Policy) {
    let again = RecordBatch::new(batch.bytes().clone()).expect("a batch that was accepted is one batch");
    assert_eq!(again.header(), batch.header());
    if let Err(error) = again.verify_crc() {
        panic!("accepted with a wrong checksum: {error}");
    }
    if matches!(policy.body, BodyCheck::HeaderOnly) {
        return;
    }
    let records: Result<Vec<_>, _> = again.records(LIMIT).collect();
    let records = records.expect("accepted records can be read");
    assert_eq!(
        records.len(),
        again.header().record_count as usize,
        "accepted with another number of records"
    );
}
