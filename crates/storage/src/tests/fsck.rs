//! Storage checked from outside: clean as it is left, and every kind of damage is named.

use std::sync::Arc;

use waybill_meta::{Batch, IndexRecord, MetaStore, PartitionRecord, Record, TopicNameRecord, keys};
use waybill_store::ObjectStore;
use waybill_types::Offset;

use super::chain::Ground;
use crate::testing::world::append;
use crate::testing::{TOPIC, partition, prepared};
use crate::{Checked, FsckReport, Severity, fsck};

async fn look(ground: &Ground, deep: bool) -> FsckReport {
    let checked = Checked {
        meta: Arc::new(ground.meta.clone()),
        data: Arc::new(ground.data.clone()),
        wal: Some(Arc::new(ground.wal.clone())),
        deep,
    };
    fsck(&checked).await.unwrap()
}

/// The errors, each as `at: what`.
async fn errors(ground: &Ground, deep: bool) -> Vec<String> {
    let report = look(ground, deep).await;
    let errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| format!("{}: {}", finding.at, finding.what)).collect()
}

/// Three records of partition 0 in a segment, two behind them in the log, after a crash.
async fn left() -> Ground {
    let ground = Ground::new();
    let life = ground.start(1).await;
    ground.create_topic(&life).await;
    let mut batch = Batch::default();
    batch.put(keys::topic_name("topic"), TopicNameRecord { id: TOPIC }.encode());
    ground.meta.commit(batch).await.unwrap();
    append(&life.engine, &life.log(0), prepared(3, 1_000, 50)).await;
    life.crash().await;
    let life = ground.start(2).await;
    for _ in 0..2 {
        append(&life.engine, &life.log(0), prepared(1, 1_000, 50)).await;
    }
    life.crash().await;
    ground
}

async fn segment(ground: &Ground) -> String {
    let names = ground.data.list("seg/").await.unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    names.into_iter().next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_leaves_is_without_error() {
    let ground = left().await;
    for deep in [false, true] {
        let report = look(&ground, deep).await;
        assert_eq!(report.errors, 0, "{:?}", report.findings);
        let seen =
            (report.topics, report.partitions, report.segments, report.wal_objects, report.wal_records);
        assert_eq!(seen, (1, 2, 1, 2, 2));
        assert!(report.cluster.is_some() && report.segment_bytes > 0);
    }
    // And it has changed nothing that a start depends on.
    let life = ground.start(3).await;
    assert_eq!(life.log(0).high_watermark(), Offset(5));
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_is_gone_or_damaged_is_named_with_the_offsets_in_it() {
    let ground = left().await;
    let name = segment(&ground).await;
    // Inside of the batches: only a look at every byte finds it.
    ground.data.tamper(&name, |bytes| bytes[40] ^= 1);
    assert_eq!(errors(&ground, false).await, Vec::<String>::new());
    let found = errors(&ground, true).await;
    assert!(found[0].starts_with(&name) && found[0].contains("checksum"), "{found:?}");
    assert!(found[1].contains("topic-0: offsets 0 to 2 can not be read"), "{found:?}");
    ground.data.tamper(&name, |bytes| bytes[40] ^= 1);
    ground.data.tamper(&name, |bytes| *bytes.last_mut().unwrap() ^= 1);
    assert_eq!(errors(&ground, false).await.len(), 2);
    ground.data.delete(&name).await.unwrap();
    let found = errors(&ground, false).await;
    assert!(found[0].contains("does not exist") && found.len() == 2, "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_recovery_could_not_read_is_named() {
    let ground = left().await;
    let name = "wal/1/2/00000000000000000001";
    ground.wal.tamper(name, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let found = errors(&ground, false).await;
    assert!(found[0].starts_with(name) && found[0].contains("checksum"), "{found:?}");
    assert!(found[1].contains("begins at offset 4") && found[1].contains("ends at 3"), "{found:?}");
    ground.wal.tamper(name, |bytes| *bytes.last_mut().unwrap() ^= 1);
    ground.wal.delete("wal/1/2/00000000000000000000").await.unwrap();
    let found = errors(&ground, false).await;
    assert!(found[0].contains("first object is missing"), "{found:?}");
    let elsewhere = Ground { wal: Default::default(), ..ground };
    let found = errors(&elsewhere, false).await;
    assert!(found.len() == 1 && found[0].contains("--wal-storage"), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn metadata_that_contradicts_itself_or_the_objects_is_named() {
    let ground = left().await;
    let (part, slice) = (keys::partition(partition(0)), keys::index(partition(0), Offset(0)));
    let stored = ground.meta.get(&part).await.unwrap().unwrap();
    let index = ground.meta.get(&slice).await.unwrap().unwrap();
    let put = |key: &bytes::Bytes, value: bytes::Bytes| {
        let mut batch = Batch::default();
        batch.put(key.clone(), value);
        ground.meta.commit(batch)
    };
    let mut record = PartitionRecord::decode(&stored).unwrap();
    record.committed_end = Offset(9);
    put(&part, record.encode()).await.unwrap();
    let found = errors(&ground, false).await;
    assert!(found[0].contains("topic-0: offsets 3 to 8 are in no segment"), "{found:?}");
    put(&part, stored).await.unwrap();
    let mut entry = IndexRecord::decode(&index).unwrap();
    entry.data_position += 1;
    put(&slice, entry.encode()).await.unwrap();
    let found = errors(&ground, false).await;
    assert!(found.len() == 1 && found[0].contains("says something else about itself"), "{found:?}");
    put(&slice, index).await.unwrap();
    put(&keys::topic_name("topic"), bytes::Bytes::from_static(b"?")).await.unwrap();
    let found = errors(&ground, false).await;
    assert!(found[0].contains("can not be read") && found[1].contains("does not lead to it"), "{found:?}");
}
