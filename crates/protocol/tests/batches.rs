//! Batches through building, splitting, reading, and the public crate as an oracle.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use bytes::{Bytes, BytesMut};
use kafka_protocol::records::{
    Compression as OracleCompression, Record as OracleRecord, RecordBatchDecoder, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType as OracleTime,
};
use proptest::prelude::*;
use waybill_protocol::batch::{
    BatchBuilder, BatchError, EndTxnMarker, NewRecord, Policy, Record, RecordBatch, prepare, split_batches,
};
use waybill_protocol::compression::Compression;
use waybill_types::{
    CoordinatorEpoch, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs,
};

const LIMIT: usize = 1 << 20;

type Field = Option<Vec<u8>>;
type Plain = (i64, Field, Field, Vec<(String, Field)>);

fn field() -> impl Strategy<Value = Field> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300))
}

fn plain_records() -> impl Strategy<Value = Vec<Plain>> {
    let headers = proptest::collection::vec(("[a-zäé]{0,8}", field()), 0..3);
    proptest::collection::vec((0..2_000_000_000_000i64, field(), field(), headers), 1..20)
}

fn build(builder: BatchBuilder, records: &[Plain]) -> RecordBatch {
    let mut builder = builder;
    for (timestamp, key, value, headers) in records {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        builder
            .push(NewRecord {
                timestamp: TimestampMs(*timestamp),
                key: key.as_deref(),
                value: value.as_deref(),
                headers: &headers,
            })
            .unwrap();
    }
    builder.build().unwrap()
}

fn plain_of(record: &Record) -> Plain {
    let owned = |field: &Option<Bytes>| field.as_ref().map(|bytes| bytes.to_vec());
    let headers = record
        .headers
        .iter()
        .map(|header| (String::from_utf8(header.key.to_vec()).unwrap(), owned(&header.value)))
        .collect();
    (record.timestamp.get(), owned(&record.key), owned(&record.value), headers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn records_survive_a_batch(records in plain_records(), base in 0..i64::MAX / 2, sequence in 0..i32::MAX) {
        for codec in Compression::ALL {
            let builder = BatchBuilder::new(codec)
                .base_offset(Offset(base))
                .producer(ProducerId(7), ProducerEpoch(1), Sequence(sequence));
            let batch = build(builder, &records);
            batch.verify_crc().unwrap();
            let read: Vec<Record> = batch.records(LIMIT).collect::<Result<_, _>>().unwrap();
            let offsets: Vec<i64> = read.iter().map(|record| record.offset.get()).collect();
            prop_assert_eq!(offsets, (base..base + records.len() as i64).collect::<Vec<_>>());
            prop_assert_eq!(read.last().unwrap().sequence, batch.header().last_sequence());
            prop_assert_eq!(read.iter().map(plain_of).collect::<Vec<_>>(), records.clone());
            let mut scanned = Vec::new();
            batch.scan(LIMIT, |facts| { scanned.push((facts.timestamp.get(), facts.has_key, facts.has_value)); true }).unwrap();
            let expected: Vec<_> = records.iter().map(|(time, key, value, _)| (*time, key.is_some(), value.is_some())).collect();
            prop_assert_eq!(scanned, expected);
        }
    }

    #[test]
    fn batches_in_a_row_are_split(records in plain_records(), count in 1usize..5, cut in any::<proptest::sample::Index>()) {
        let one = build(BatchBuilder::new(Compression::None), &records);
        let row: Bytes = (0..count).flat_map(|_| one.bytes().to_vec()).collect::<Vec<u8>>().into();
        let cut = cut.index(row.len() + 1);
        let whole = cut / one.bytes().len();
        let mut batches = split_batches(row.slice(..cut));
        prop_assert_eq!(batches.by_ref().map(Result::unwrap).count(), whole);
        prop_assert_eq!(batches.rest().len(), cut % one.bytes().len());
        let strict: Result<Vec<_>, _> = split_batches(row.slice(..cut)).strict().collect();
        prop_assert_eq!(strict.is_ok(), cut % one.bytes().len() == 0);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), magic: bool) {
        if magic && bytes.len() > 16 {
            bytes[16] = 2;
            bytes[8..10].fill(0);
            bytes[10] = 0;
        }
        for batch in split_batches(Bytes::from(bytes)).flatten() {
            let _ = batch.records(1000).count();
            let _ = prepare(BytesMut::from(&batch.bytes()[..]), &Policy::default());
        }
    }

    #[test]
    fn the_public_crate_reads_what_we_write(records in plain_records()) {
        let batch = build(BatchBuilder::new(Compression::None), &records);
        let decoded = RecordBatchDecoder::decode(&mut batch.bytes().clone()).unwrap();
        prop_assert_eq!(decoded.records.len(), records.len());
        for (theirs, (time, key, value, _)) in decoded.records.iter().zip(&records) {
            prop_assert_eq!(theirs.timestamp, *time);
            prop_assert_eq!(theirs.key.as_deref(), key.as_deref());
            prop_assert_eq!(theirs.value.as_deref(), value.as_deref());
        }
    }

    #[test]
    fn we_read_what_the_public_crate_writes(records in plain_records()) {
        let theirs: Vec<OracleRecord> = records.iter().enumerate().map(|(n, record)| oracle_record(n, record)).collect();
        let mut out = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: OracleCompression::None };
        RecordBatchEncoder::encode(&mut out, &theirs, &options).unwrap();
        let batch = RecordBatch::new(out.freeze()).unwrap();
        batch.verify_crc().unwrap();
        let read: Vec<Plain> = batch.records(LIMIT).map(|record| plain_of(&record.unwrap())).collect();
        for (ours, (time, key, value, _)) in read.iter().zip(&records) {
            prop_assert_eq!((&ours.0, &ours.1, &ours.2), (time, key, value));
        }
        prop_assert_eq!(read.len(), records.len());
    }
}

fn oracle_record(n: usize, (timestamp, key, value, _): &Plain) -> OracleRecord {
    OracleRecord {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: OracleTime::Creation,
        offset: n as i64,
        sequence: n as i32,
        timestamp: *timestamp,
        key: key.clone().map(Bytes::from),
        value: value.clone().map(Bytes::from),
        headers: Default::default(),
    }
}

#[test]
fn markers_end_transactions() {
    for commit in [true, false] {
        let marker = EndTxnMarker { commit, coordinator_epoch: CoordinatorEpoch(12) };
        let batch = marker.to_batch(ProducerId(9), ProducerEpoch(2), TimestampMs(77)).unwrap();
        assert!(batch.header().attributes.is_control() && batch.header().attributes.is_transactional());
        let records: Vec<Record> = batch.records(LIMIT).collect::<Result<_, _>>().unwrap();
        assert_eq!(records.iter().map(EndTxnMarker::parse).collect::<Vec<_>>(), [Some(marker)]);
        // Clients may not send them.
        assert!(matches!(
            prepare(
                BytesMut::from(&batch.bytes()[..]),
                &Policy { now: TimestampMs(77), ..Policy::default() }
            ),
            Err(BatchError::Header(_))
        ));
    }
}

#[test]
fn compaction_leaves_holes_and_empty_batches() {
    let mut builder =
        BatchBuilder::new(Compression::Snappy).base_offset(Offset(100)).leader_epoch(LeaderEpoch(4));
    for offset in [103, 107] {
        builder
            .push_at(Offset(offset), NewRecord { timestamp: TimestampMs(5), ..NewRecord::default() })
            .unwrap();
    }
    assert!(builder.push_at(Offset(107), NewRecord::default()).is_err());
    let batch = builder.build().unwrap();
    let offsets: Vec<_> = batch.records(LIMIT).map(|record| record.unwrap().offset).collect();
    assert_eq!(offsets, [Offset(103), Offset(107)]);
    assert_eq!((batch.header().base_offset, batch.header().last_offset()), (Offset(100), Offset(107)));
    let empty = BatchBuilder::new(Compression::None).build().unwrap();
    assert_eq!(empty.records(LIMIT).count(), 0);
    empty.verify_crc().unwrap();
}
