use super::*;
use crate::batch::{BatchBuilder, BatchErrorKind, NewRecord, RecordBatch, RecordFault, patch_in_place};
use bytes::BytesMut;
use waybill_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

const NOW: i64 = 1_700_000_000_000;

fn policy() -> Policy {
    Policy { now: TimestampMs(NOW), ..Policy::default() }
}

fn records(builder: &mut BatchBuilder, count: i64) {
    for n in 0..count {
        builder
            .push(NewRecord {
                timestamp: TimestampMs(NOW - n),
                key: Some(b"key"),
                value: Some(&vec![n as u8; 300]),
                headers: &[("h", Some(b"v")), ("h", None)],
            })
            .unwrap();
    }
}

fn batch(compression: Compression) -> BytesMut {
    let mut builder = BatchBuilder::new(compression);
    records(&mut builder, 5);
    BytesMut::from(&builder.build_bytes().unwrap()[..])
}

/// Changes the header and makes the checksum right again.
fn forge(batch: &mut BytesMut, change: impl FnOnce(&mut BatchHeader)) {
    let mut header = BatchHeader::parse(batch).unwrap();
    change(&mut header);
    batch[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn fault(batch: &[u8]) -> BatchError {
    validate(batch, &policy()).unwrap_err()
}

#[test]
fn good_batches_pass_unchanged() {
    for codec in Compression::ALL {
        let batch = batch(codec);
        let before = batch.clone();
        let prepared = prepare(batch, &policy()).unwrap();
        assert_eq!(prepared.bytes(), &before[..], "{codec}");
        let assigned = prepared.assign(Offset(1000), LeaderEpoch(7));
        assigned.verify_crc().unwrap();
        assert_eq!(assigned.header(), &BatchHeader::parse(assigned.bytes()).unwrap());
        assert_eq!(assigned.header().last_offset(), Offset(1004));
        assert_eq!(assigned.header().leader_epoch, LeaderEpoch(7));
        assert_eq!(&assigned.bytes()[16..], &before[16..]);
    }
}

#[test]
fn every_flipped_bit_is_noticed_or_outside_the_checksum() {
    for codec in Compression::ALL {
        let good = batch(codec);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // Base offset must be 0; the leader epoch (12..16) is not covered, and the broker writes it anyway.
            let outside = (12..16).contains(&(bit / 8));
            assert_eq!(validate(&bad, &policy()).is_ok(), outside, "{codec} bit {bit}");
        }
    }
}

#[test]
fn every_prefix_is_refused() {
    for codec in Compression::ALL {
        let good = batch(codec);
        for cut in 0..good.len() {
            assert!(validate(&good[..cut], &policy()).is_err(), "{codec} cut at {cut}");
            assert_eq!(sole_batch_len(&good[..cut], 9), Err(BatchError::NoBatch));
        }
    }
}

/// Bodies cut or lengthened under a right checksum: what a hostile client would send.
#[test]
fn bodies_that_are_not_the_declared_records() {
    for codec in Compression::ALL {
        let good = batch(codec);
        let plain = RecordBatch::new(good.clone().freeze()).unwrap().plain_body(1 << 20).unwrap();
        for cut in 0..plain.len() {
            let bad = with_body(&good, codec, &plain[..cut]);
            assert_eq!(fault(&bad).kind(), BatchErrorKind::InvalidRecord, "{codec} cut at {cut}");
        }
        let mut longer = plain.to_vec();
        longer.push(0);
        let error = fault(&with_body(&good, codec, &longer));
        assert_eq!(error, BatchError::RecordCount { declared: 5, extra: true }, "{codec}");
    }
}

fn with_body(good: &[u8], codec: Compression, plain: &[u8]) -> BytesMut {
    let mut bad = BytesMut::from(&good[..HEADER_LEN]);
    bad.extend_from_slice(&codec.compress(plain, None).unwrap());
    let size = bad.len();
    forge(&mut bad, |header| header.size = size);
    bad
}

#[test]
fn every_changed_body_byte_under_a_right_checksum_does_no_harm() {
    for codec in Compression::ALL {
        let good = batch(codec);
        for at in HEADER_LEN..good.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                forge(&mut bad, |_| {});
                let _ = validate(&bad, &policy());
                let batch = RecordBatch::new(bad.freeze()).unwrap();
                assert!(batch.records(1 << 20).count() <= 6);
            }
        }
    }
}

#[test]
fn headers_that_lie() {
    let mut builder =
        BatchBuilder::new(Compression::None).producer(ProducerId(5), ProducerEpoch(0), Sequence(3));
    records(&mut builder, 2);
    let good = BytesMut::from(&builder.build_bytes().unwrap()[..]);
    validate(&good, &policy()).unwrap();
    type Lie = fn(&mut BatchHeader);
    let lies: [(&str, Lie); 8] = [
        ("base offset", |h| h.base_offset = Offset(1)),
        ("count", |h| h.record_count = 3),
        ("no records", |h| (h.record_count, h.last_offset_delta) = (0, -1)),
        ("range overflows", |h| (h.record_count, h.last_offset_delta) = (i32::MIN, i32::MAX)),
        ("control", |h| h.attributes = h.attributes.with_control(true)),
        ("delete horizon", |h| h.attributes.0 |= 0x40),
        ("sequence", |h| h.base_sequence = Sequence::NONE),
        ("transaction", |h| {
            h.attributes = h.attributes.with_transactional(true);
            h.producer_id = ProducerId::NONE;
        }),
    ];
    for (name, lie) in lies {
        let mut bad = good.clone();
        forge(&mut bad, lie);
        assert!(matches!(fault(&bad), BatchError::Header(_)), "{name}: {}", fault(&bad));
        assert_eq!(fault(&bad).kind(), BatchErrorKind::InvalidRecord);
    }
    let mut more = good.clone();
    forge(&mut more, |h| (h.record_count, h.last_offset_delta) = (3, 2));
    assert_eq!(fault(&more), BatchError::RecordCount { declared: 3, extra: false });
    let mut huge = good.clone();
    forge(&mut huge, |h| (h.record_count, h.last_offset_delta) = (i32::MAX, i32::MAX - 1));
    assert_eq!(fault(&huge), BatchError::RecordCount { declared: i32::MAX, extra: false });
    let mut codec = good;
    forge(&mut codec, |h| h.attributes.0 |= 5);
    assert_eq!(fault(&codec).kind(), BatchErrorKind::UnsupportedCompression);
}

#[test]
fn a_wrong_checksum_is_corruption_and_old_formats_are_named() {
    let mut bad = batch(Compression::None);
    let last = bad.len() - 1;
    bad[last] ^= 1;
    assert_eq!(fault(&bad).kind(), BatchErrorKind::Corrupt);
    bad[16] = 1;
    assert_eq!(fault(&bad), BatchError::BadMagic { magic: 1 });
    assert_eq!(sole_batch_len(&bad, 9), Err(BatchError::BadMagic { magic: 1 }));
}

#[test]
fn max_timestamps_that_lie_are_corrected() {
    for codec in Compression::ALL {
        let mut lying = batch(codec);
        let right = BatchHeader::parse(&lying).unwrap().max_timestamp;
        forge(&mut lying, |header| header.max_timestamp = TimestampMs::NONE);
        let prepared = prepare(lying, &policy()).unwrap();
        assert_eq!(prepared.header().max_timestamp, right);
        prepared.assign(Offset(0), LeaderEpoch(0)).verify_crc().unwrap();
    }
}

#[test]
fn the_broker_stamps_the_time_where_the_topic_says_so() {
    let policy = Policy { timestamp_type: TimestampType::LogAppendTime, ..policy() };
    for codec in Compression::ALL {
        let batch = prepare(batch(codec), &policy).unwrap().assign(Offset(9), LeaderEpoch(1));
        batch.verify_crc().unwrap();
        assert_eq!(batch.header().attributes.timestamp_type(), TimestampType::LogAppendTime);
        let times: Vec<_> = batch.records(1 << 20).map(|record| record.unwrap().timestamp).collect();
        assert_eq!(times, [TimestampMs(NOW); 5]);
    }
    let mut claimed = batch(Compression::None);
    forge(&mut claimed, |h| h.attributes = h.attributes.with_timestamp_type(TimestampType::LogAppendTime));
    let error = validate(&claimed, &policy).unwrap_err();
    assert_eq!(error.kind(), BatchErrorKind::InvalidTimestamp);
    assert_eq!(error.record_errors().len(), 5);
}

#[test]
fn timestamps_out_of_range_are_named_record_by_record() {
    let mut builder = BatchBuilder::new(Compression::Lz4);
    for timestamp in [NOW, NOW - 1001, NOW + 11, -1, NOW - 1000, NOW + 10] {
        builder.push(NewRecord { timestamp: TimestampMs(timestamp), ..NewRecord::default() }).unwrap();
    }
    let batch = builder.build_bytes().unwrap();
    let policy = Policy { before_max_ms: 1000, after_max_ms: 10, ..policy() };
    let error = validate(&batch, &policy).unwrap_err();
    assert_eq!(error.kind(), BatchErrorKind::InvalidTimestamp);
    assert_eq!(error.to_string(), "One or more records have been rejected due to invalid timestamp");
    let named: Vec<_> = error.record_errors().iter().map(|record| record.index).collect();
    assert_eq!(named, [1, 2]);
    assert!(error.record_errors()[0].message.contains("out of range"));
}

#[test]
fn compacted_topics_need_keys() {
    let mut builder = BatchBuilder::new(Compression::None);
    for n in 0..200 {
        let key: Option<&[u8]> = if n % 2 == 0 { None } else { Some(b"") };
        builder.push(NewRecord { timestamp: TimestampMs(NOW), key, ..NewRecord::default() }).unwrap();
    }
    let batch = builder.build_bytes().unwrap();
    validate(&batch, &policy()).unwrap();
    let error = validate(&batch, &Policy { keys_required: true, ..policy() }).unwrap_err();
    assert_eq!(error.kind(), BatchErrorKind::InvalidRecord);
    assert_eq!(error.record_errors().len(), MAX_RECORD_ERRORS);
    assert!(error.to_string().contains("100 record errors in total"), "{error}");
    assert_eq!(error.record_errors()[1].index, 2);
}

#[test]
fn offset_deltas_must_be_their_places() {
    let mut builder = BatchBuilder::new(Compression::None);
    for offset in [0, 1, 3] {
        builder
            .push_at(Offset(offset), NewRecord { timestamp: TimestampMs(NOW), ..NewRecord::default() })
            .unwrap();
    }
    let mut batch = BytesMut::from(&builder.build_bytes().unwrap()[..]);
    forge(&mut batch, |header| header.last_offset_delta = 2);
    let error = fault(&batch);
    assert_eq!(error.record_errors().len(), 1);
    assert_eq!(error.record_errors()[0].index, 2);
    let broker = Policy { origin: Origin::Broker, ..policy() };
    validate(&batch, &broker).unwrap();
}

#[test]
fn compression_type_of_the_topic() {
    for source in Compression::ALL {
        for target in Compression::ALL {
            let policy = Policy { compression: Some(target), ..policy() };
            let before = batch(source);
            let was = RecordBatch::new(before.clone().freeze()).unwrap();
            let now = prepare(before, &policy).unwrap().assign(Offset(0), LeaderEpoch(0));
            now.verify_crc().unwrap();
            assert_eq!(now.header().compression(), Ok(target));
            assert_eq!(now.plain_body(1 << 20).unwrap(), was.plain_body(1 << 20).unwrap());
            assert_eq!(now.header().max_timestamp, was.header().max_timestamp);
            if source == target {
                assert_eq!(now.bytes()[16..], was.bytes()[16..]);
            }
        }
    }
}

#[test]
fn sizes_are_bounded() {
    let batch = batch(Compression::Zstd);
    let small = Policy { max_batch_bytes: batch.len() - 1, ..policy() };
    assert_eq!(validate(&batch, &small).unwrap_err().kind(), BatchErrorKind::TooLarge);
    let bomb = Policy { max_decompressed_bytes: 1000, ..policy() };
    assert_eq!(validate(&batch, &bomb).unwrap_err(), BatchError::DecompressedTooLarge { limit: 1000 });
    // Within the limit as zstd, beyond it once the topic wants it uncompressed.
    let grown = Policy { max_batch_bytes: batch.len(), compression: Some(Compression::None), ..policy() };
    assert_eq!(prepare(batch, &grown).unwrap_err().kind(), BatchErrorKind::TooLarge);
}

#[test]
fn header_only_believes_the_body_but_not_the_checksum() {
    let policy = Policy { body: BodyCheck::HeaderOnly, ..policy() };
    let good = batch(Compression::Gzip);
    let mut bad = with_body(&good, Compression::Gzip, b"not records");
    validate(&bad, &policy).unwrap();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    assert_eq!(validate(&bad, &policy).unwrap_err().kind(), BatchErrorKind::Corrupt);
    let mut late = good;
    forge(&mut late, |header| header.max_timestamp = TimestampMs(NOW + 3_600_001));
    assert_eq!(validate(&late, &policy).unwrap_err().kind(), BatchErrorKind::InvalidTimestamp);
}

#[test]
fn a_request_holds_one_batch_per_partition() {
    let one = batch(Compression::Zstd);
    let mut two = one.clone();
    two.extend_from_slice(&one);
    assert_eq!(sole_batch_len(&two, 9), Err(BatchError::SeveralBatches));
    two.truncate(two.len() - 1);
    assert_eq!(sole_batch_len(&two, 9), Ok(one.len()));
    assert_eq!(sole_batch_len(&one, 6), Err(BatchError::CompressionNotAllowed { version: 6 }));
    assert_eq!(sole_batch_len(&[], 9), Err(BatchError::NoBatch));
}

#[test]
fn patches_do_not_touch_what_lies_behind() {
    let mut bytes = batch(Compression::None);
    let before = bytes.clone();
    patch_in_place(&mut bytes, Offset(i64::MAX), LeaderEpoch(3)).unwrap();
    assert_eq!(bytes[8..12], before[8..12]);
    assert_eq!(bytes[16..], before[16..]);
    assert!(patch_in_place(&mut bytes[..60], Offset(0), LeaderEpoch(0)).is_err());
}

#[test]
fn record_faults_are_told_with_their_place() {
    let good = batch(Compression::None);
    let mut bad = good.clone();
    // The second record's length: the first takes the bytes before it.
    let mut first = None;
    RecordBatch::new(good.freeze())
        .unwrap()
        .scan(0, |record| {
            first.get_or_insert(record.size);
            false
        })
        .unwrap();
    let at = HEADER_LEN + first.unwrap();
    bad[at] = 1;
    bad[at + 1] = 0;
    forge(&mut bad, |_| {});
    assert_eq!(fault(&bad), BatchError::Malformed { index: 1, fault: RecordFault::Length });
}
