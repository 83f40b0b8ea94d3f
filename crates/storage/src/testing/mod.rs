//! What the unit tests of this crate share.

pub(crate) mod wal;
pub(crate) mod world;

use bytes::{Bytes, BytesMut};
use waybill_protocol::batch::{
    BatchBuilder, BatchHeader, EndTxnMarker, NewRecord, Origin, Policy, PreparedBatch, prepare,
};
use waybill_protocol::compression::Compression;
use waybill_types::{
    CoordinatorEpoch, LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, TimestampMs,
    TopicId, TopicPartition,
};
use waybill_wal::{FrameFlags, FrameHeader};

use crate::{AppendInfo, AppendOrigin, Marker};

pub(crate) const TOPIC: TopicId = TopicId([1; 16]);

pub(crate) fn partition(index: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, PartitionId(index))
}

fn builder(records: i32, timestamp: i64, size: usize) -> BatchBuilder {
    let mut builder = BatchBuilder::new(Compression::None);
    let value = vec![b'v'; size];
    for at in 0..i64::from(records) {
        let record =
            NewRecord { timestamp: TimestampMs(timestamp + at), value: Some(&value), ..NewRecord::default() };
        builder.push(record).unwrap();
    }
    builder
}

/// A batch in place at `base`; its records' timestamps count up from `timestamp`.
pub(crate) fn batch(base: i64, records: i32, timestamp: i64, size: usize) -> Bytes {
    let mut bytes = BytesMut::from(&builder(records, timestamp, size).build_bytes().unwrap()[..]);
    waybill_protocol::batch::patch_in_place(&mut bytes, Offset(base), LeaderEpoch(0)).unwrap();
    bytes.freeze()
}

/// A batch as it arrives from a client that is not idempotent.
pub(crate) fn prepared(records: i32, timestamp: i64, size: usize) -> PreparedBatch {
    arrive(builder(records, timestamp, size).build_bytes().unwrap())
}

/// A batch as it arrives from an idempotent producer.
pub(crate) fn idempotent(producer: i64, epoch: i16, sequence: i32, records: i32) -> PreparedBatch {
    let builder = builder(records, 1_000, 10);
    let builder = builder.producer(ProducerId(producer), ProducerEpoch(epoch), Sequence(sequence));
    arrive(builder.build_bytes().unwrap())
}

/// A batch of records with keys, some of them tombstones, from an idempotent producer or from none.
pub(crate) fn keyed(producer: Option<(i64, i32)>, records: &[(u32, Option<u32>)]) -> PreparedBatch {
    let mut builder = BatchBuilder::new(Compression::Lz4);
    if let Some((id, sequence)) = producer {
        builder = builder.producer(ProducerId(id), ProducerEpoch(0), Sequence(sequence));
    }
    for (key, value) in records {
        let (key, value) = (key.to_be_bytes(), value.map(|value| [value.to_be_bytes(); 8].concat()));
        let record = NewRecord {
            timestamp: TimestampMs(1_000),
            key: Some(&key),
            value: value.as_deref(),
            headers: &[("h", Some(b"1"))],
        };
        builder.push(record).unwrap();
    }
    arrive(builder.build_bytes().unwrap())
}

/// A batch of a transaction.
pub(crate) fn transactional(producer: i64, sequence: i32, records: i32) -> PreparedBatch {
    let builder = builder(records, 1_000, 10).transactional(true);
    let builder = builder.producer(ProducerId(producer), ProducerEpoch(0), Sequence(sequence));
    arrive(builder.build_bytes().unwrap())
}

/// The batch that ends a producer's transaction, and how it is appended.
pub(crate) fn marker(producer: i64, commit: bool) -> (PreparedBatch, AppendInfo) {
    let marker = EndTxnMarker { commit, coordinator_epoch: CoordinatorEpoch(1) };
    let bytes =
        marker.to_batch(ProducerId(producer), ProducerEpoch(0), TimestampMs(1_000)).unwrap().into_bytes();
    let policy = Policy { now: TimestampMs(i64::MAX / 2), origin: Origin::Broker, ..Policy::default() };
    let batch = prepare(BytesMut::from(&bytes[..]), &policy).unwrap();
    let marker = Marker { commit, coordinator_epoch: CoordinatorEpoch(1), strict_epoch: false };
    (batch, AppendInfo { origin: AppendOrigin::Coordinator, leader_epoch: None, marker: Some(marker) })
}

fn arrive(bytes: Bytes) -> PreparedBatch {
    let policy = Policy { now: TimestampMs(i64::MAX / 2), ..Policy::default() };
    prepare(BytesMut::from(&bytes[..]), &policy).unwrap()
}

pub(crate) fn frame_header(index: i32, records: &Bytes) -> FrameHeader {
    let header = BatchHeader::parse(records).unwrap();
    FrameHeader {
        partition: partition(index),
        leader_epoch: header.leader_epoch,
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
        append_time: TimestampMs(5_000),
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        flags: FrameFlags::default(),
        coordinator_epoch: CoordinatorEpoch(-1),
    }
}
