//! Batches made by Kafka's own Java client, read and made again.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use bytes::{Bytes, BytesMut};
use waybill_protocol::batch::{
    BatchBuilder, EndTxnMarker, NewRecord, Origin, Policy, Record, RecordBatch, TimestampType, prepare,
    split_batches,
};
use waybill_protocol::compression::Compression;
use waybill_types::{
    CoordinatorEpoch, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs,
};

const LIMIT: usize = 1 << 20;

fn golden() -> Vec<(&'static str, Bytes)> {
    include_str!("golden/batches-java-4.4.0.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, hex) = line.split_once(' ').unwrap();
            let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
            (name, digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect())
        })
        .collect()
}

fn named(wanted: &str) -> Bytes {
    golden().into_iter().find(|(name, _)| *name == wanted).unwrap().1
}

type Plain = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(&'static str, Option<&'static [u8]>)>);

fn small() -> Vec<Plain> {
    let some = |text: &str| Some(text.as_bytes().to_vec());
    vec![
        (
            1_700_000_000_123,
            some("key-1"),
            some("value one"),
            vec![("trace", Some(b"abc")), ("trace", None), ("", Some(b""))],
        ),
        (1_700_000_000_100, None, some("value without key"), vec![]),
        (1_700_000_009_999, some("key-3"), None, vec![]),
        (1_699_999_999_999, some(""), some(""), vec![]),
        (-1, some("kü"), some("no timestamp"), vec![]),
    ]
}

fn large() -> Vec<Plain> {
    let value: Vec<u8> = (0..30_000u32).map(|at| (at / 1500 % 7) as u8).collect();
    (0..3)
        .map(|n| (1_700_000_000_000 + n, Some(format!("k{n}").into_bytes()), Some(value.clone()), vec![]))
        .collect()
}

fn assert_holds(name: &str, batch: &RecordBatch, expected: &[Plain]) {
    batch.verify_crc().unwrap();
    let records: Vec<Record> = batch.records(LIMIT).collect::<Result<_, _>>().unwrap();
    assert_eq!(records.len(), expected.len(), "{name}");
    let stamped = batch.header().attributes.timestamp_type() == TimestampType::LogAppendTime;
    for (n, (record, (timestamp, key, value, headers))) in records.iter().zip(expected).enumerate() {
        let timestamp = if stamped { batch.header().max_timestamp } else { TimestampMs(*timestamp) };
        assert_eq!(record.timestamp, timestamp, "{name} {n}");
        assert_eq!(record.offset, batch.header().base_offset.plus(n as i64), "{name} {n}");
        assert!(
            record.key.as_deref() == key.as_deref() && record.value.as_deref() == value.as_deref(),
            "{name} {n}"
        );
        let read: Vec<_> =
            record.headers.iter().map(|header| (&header.key[..], header.value.as_deref())).collect();
        let expected: Vec<_> = headers.iter().map(|(key, value)| (key.as_bytes(), *value)).collect();
        assert_eq!(read, expected, "{name} {n}");
    }
}

fn push(builder: &mut BatchBuilder, records: &[Plain]) {
    for (timestamp, key, value, headers) in records {
        builder
            .push(NewRecord {
                timestamp: TimestampMs(*timestamp),
                key: key.as_deref(),
                value: value.as_deref(),
                headers,
            })
            .unwrap();
    }
}

#[test]
fn every_codec_of_the_java_client_is_read_and_passes() {
    let mut seen = 0;
    for (name, bytes) in golden() {
        let Some(codec) = name
            .strip_prefix("small-")
            .or(name.strip_prefix("large-"))
            .or(name.split_once('-').and_then(|(codec, level)| level.parse::<u8>().is_ok().then_some(codec)))
        else {
            continue;
        };
        seen += 1;
        let expected = if name.starts_with("small") { small() } else { large() };
        let batch = RecordBatch::new(bytes.clone()).unwrap();
        assert_eq!(batch.header().compression().unwrap(), Compression::from_name(codec).unwrap());
        assert_holds(name, &batch, &expected);
        let policy = Policy { now: TimestampMs(1_700_000_000_000), ..Policy::default() };
        let prepared = prepare(BytesMut::from(&bytes[..]), &policy).unwrap();
        assert_eq!(prepared.bytes(), &bytes[..], "{name} needs no correction");
        let limit = expected.iter().map(|(_, _, value, _)| value.as_ref().map_or(0, Vec::len)).sum();
        let tight = Policy { max_decompressed_bytes: limit, ..policy };
        assert_eq!(prepare(BytesMut::from(&bytes[..]), &tight).is_ok(), codec == "none", "{name}");
    }
    assert_eq!(seen, 11);
}

#[test]
fn uncompressed_batches_are_made_byte_for_byte() {
    let java = |builder: BatchBuilder| {
        let mut builder = builder;
        push(&mut builder, &small());
        builder.build_bytes().unwrap()
    };
    let none = || BatchBuilder::new(Compression::None);
    assert_eq!(java(none()), named("small-none"));
    let idempotent = none().base_offset(Offset(500)).leader_epoch(LeaderEpoch(9)).producer(
        ProducerId(77),
        ProducerEpoch(3),
        Sequence(2_147_483_646),
    );
    assert_eq!(java(idempotent), named("idempotent"));
    let transactional = none()
        .base_offset(Offset(500))
        .leader_epoch(LeaderEpoch(9))
        .producer(ProducerId(77), ProducerEpoch(3), Sequence(10))
        .transactional(true);
    assert_eq!(java(transactional), named("transactional"));
    let stamped = RecordBatch::new(named("log-append-time")).unwrap();
    assert_holds("log-append-time", &stamped, &small());
    let idempotent = RecordBatch::new(named("idempotent")).unwrap();
    assert_eq!(idempotent.header().last_sequence(), Sequence(2));
    let sequences: Vec<_> = idempotent.records(LIMIT).map(|record| record.unwrap().sequence.get()).collect();
    assert_eq!(sequences, [i32::MAX - 1, i32::MAX, 0, 1, 2]);
}

#[test]
fn markers_are_made_byte_for_byte() {
    for (name, commit, epoch, offset, timestamp) in
        [("commit", true, 12, 900, 1_700_000_000_000), ("abort", false, 13, 901, 1_700_000_000_001)]
    {
        let java = named(name);
        let marker = EndTxnMarker { commit, coordinator_epoch: CoordinatorEpoch(epoch) };
        let ours = marker.to_batch(ProducerId(77), ProducerEpoch(3), TimestampMs(timestamp)).unwrap();
        let policy = Policy { origin: Origin::Broker, now: TimestampMs(timestamp), ..Policy::default() };
        let ours = prepare(BytesMut::from(&ours.bytes()[..]), &policy)
            .unwrap()
            .assign(Offset(offset), LeaderEpoch(4));
        assert_eq!(ours.bytes(), &java, "{name}");
        let record = ours.records(LIMIT).next().unwrap().unwrap();
        assert_eq!(EndTxnMarker::parse(&record), Some(marker));
    }
}

#[test]
fn a_row_of_java_batches_is_split() {
    let row: Vec<u8> = golden().iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
    let batches: Vec<_> = split_batches(row.into()).strict().collect::<Result<_, _>>().unwrap();
    assert_eq!(batches.len(), golden().len());
}

#[test]
fn every_prefix_of_a_java_batch_is_refused_and_every_flip_is_found() {
    let policy = Policy { origin: Origin::Broker, ..Policy::default() };
    for (name, bytes) in golden().into_iter().filter(|(_, bytes)| bytes.len() < 400) {
        for cut in 0..bytes.len() {
            assert!(prepare(BytesMut::from(&bytes[..cut]), &policy).is_err(), "{name} cut at {cut}");
        }
        for at in (17..bytes.len()).chain([16]) {
            let mut bad = BytesMut::from(&bytes[..]);
            bad[at] ^= 0x10;
            assert!(prepare(bad, &policy).is_err(), "{name} flipped at {at}");
        }
    }
}
