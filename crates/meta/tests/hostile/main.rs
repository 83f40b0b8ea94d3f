//! Bytes that are not records: damaged, cut, forged. Never a panic, never memory beyond a small multiple of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it finds a surprise")]

#[path = "../../../protocol-gen/tests/hostile/counting.rs"]
mod counting;
#[path = "../../../../fuzz/entry/damage.rs"]
mod damage;
#[path = "../../../../fuzz/entry/meta.rs"]
mod entry;

use bytes::BytesMut;
use counting::peak_of;
use damage::{Random, damage, seed};
use waybill_meta::{
    BrokerConfigsRecord, ChainLife, ChainRecord, ClusterRecord, IndexRecord, NodeRecord, ObjectId,
    ObjectIdsRecord, ObjectLife, ObjectRecord, PartitionRecord, ProducerBatchSnapshot, ProducerBlockRecord,
    ProducerSnapshot, Record, TermRecord, TopicNameRecord, TopicRecord, WalKind, WalTrimRecord, keys,
};
use waybill_types::{
    BrokerId, ClusterId, CoordinatorEpoch, Incarnation, LeaderEpoch, Offset, PartitionId, ProducerEpoch,
    ProducerId, Sequence, StoreId, TimestampMs, TopicId, TopicPartition,
};

fn producer() -> ProducerSnapshot {
    let batch = ProducerBatchSnapshot {
        base_sequence: Sequence(1),
        last_delta: 2,
        base_offset: Offset(3),
        append_time: TimestampMs(4),
    };
    ProducerSnapshot {
        producer_id: ProducerId(9),
        epoch: ProducerEpoch(1),
        coordinator_epoch: CoordinatorEpoch(-1),
        last_update: TimestampMs(5),
        transaction_start: Some(Offset(1)),
        batches: vec![batch; 5],
    }
}

fn of() -> TopicPartition {
    TopicPartition::new(TopicId([3; 16]), PartitionId(2))
}

fn partition() -> PartitionRecord {
    PartitionRecord {
        epochs: vec![(LeaderEpoch(0), Offset(0)), (LeaderEpoch(3), Offset(40))],
        producers: vec![producer(), producer()],
        committed_end: Offset(77),
        cleaned_end: Offset(40),
        ..PartitionRecord::new(Incarnation(2))
    }
}

fn topic() -> TopicRecord {
    TopicRecord {
        id: TopicId([1; 16]),
        name: "scans".into(),
        partitions: 3,
        replication_factor: 1,
        configs: [("retention.ms".to_owned(), "-1".to_owned())].into(),
        created_at: TimestampMs(7),
    }
}

fn object() -> ObjectRecord {
    ObjectRecord {
        life: ObjectLife::Live,
        incarnation: Incarnation(4),
        size: 5000,
        slices: 3,
        placement: "local".into(),
        changed_at: TimestampMs(8),
        dead: 100,
        since: TimestampMs(2),
    }
}

fn index() -> IndexRecord {
    IndexRecord {
        object: ObjectId(4),
        placement: "local".into(),
        data_position: 16,
        data_length: 100,
        index_position: 116,
        index_length: 60,
        last_offset: Offset(9),
        max_timestamp: TimestampMs(1),
        first_append: TimestampMs(2),
        last_append: TimestampMs(3),
        aborted: 1,
    }
}

fn node() -> NodeRecord {
    NodeRecord {
        node: BrokerId(1),
        incarnation: Incarnation(3),
        wal_kind: WalKind::File,
        wal_store: StoreId([5; 16]),
        registered_at: TimestampMs(6),
    }
}

fn chain(life: ChainLife) -> ChainRecord {
    ChainRecord {
        node: BrokerId(1),
        incarnation: Incarnation(3),
        wal_store: StoreId([5; 16]),
        life,
        trim: 12,
        registered_at: TimestampMs(6),
        lead: 6,
    }
}

/// A sound value of each kind, with the byte that chooses the kind in front.
fn sound() -> Vec<Vec<u8>> {
    let cluster = ClusterRecord {
        cluster_id: ClusterId([2; 16]),
        level: 1,
        created_at: TimestampMs(1_700_000_000_000),
    };
    let mut producers = BytesMut::new();
    producer().write_to(&mut producers);
    producer().write_to(&mut producers);
    let values = [
        (0, cluster.encode()),
        (1, node().encode()),
        (2, WalTrimRecord { position: 1 << 40, closed_at: Some(1 << 41) }.encode()),
        (3, topic().encode()),
        (4, TopicNameRecord { id: TopicId([1; 16]) }.encode()),
        (5, partition().encode()),
        (6, object().encode()),
        (7, index().encode()),
        (8, ObjectIdsRecord { next: ObjectId(900) }.encode()),
        (9, ProducerBlockRecord { next: ProducerId(5000) }.encode()),
        (10, producers.freeze()),
        (12, chain(ChainLife::Recovering { term: 7, attempt: 1 }).encode()),
        (12, chain(ChainLife::Closed { end: 90 }).encode()),
        (13, TermRecord { term: 3, node: BrokerId(1), incarnation: Incarnation(2) }.encode()),
        (11, BrokerConfigsRecord { configs: topic().configs }.encode()),
        (14, keys::partition(of())),
        (14, keys::object(ObjectId(3))),
        (14, keys::index(of(), Offset(44))),
    ];
    values.iter().map(|(kind, bytes)| [&[*kind][..], bytes].concat()).collect()
}

#[test]
fn damaged_records_keep_every_promise_within_their_memory() {
    let mut random = Random(3);
    let sound = sound();
    let kinds: std::collections::BTreeSet<u8> = sound.iter().map(|bytes| bytes[0]).collect();
    assert_eq!(kinds.len(), usize::from(entry::KINDS), "a kind without a sound value");
    for (number, bytes) in sound.iter().enumerate() {
        assert!(entry::value(bytes), "value {number} does not decode");
        seed("meta", number, bytes);
    }
    let mut accepted = 0;
    for round in 0..60_000 {
        let bytes = damage(sound[random.below(sound.len())].clone(), &mut random);
        let (taken, peak) = peak_of(|| entry::value(&bytes));
        accepted += usize::from(taken);
        assert!(peak <= 16 * bytes.len() + 4096, "round {round}: {peak} bytes held for {}", bytes.len());
    }
    assert!((10_000..55_000).contains(&accepted), "{accepted} were accepted");
}

#[test]
fn noise_does_no_harm() {
    let mut random = Random(4);
    for _ in 0..60_000 {
        let mut noise = random.noise(200);
        // A version that is known, else nothing behind it is reached.
        if let Some(version) = noise.get_mut(1) {
            *version = 1;
        }
        entry::value(&noise);
    }
}
