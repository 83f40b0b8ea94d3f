//! Segments written anew: merged, split by partition, freed; and whatever comes in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use waybill_meta::{MetaStore, ObjectLife, ObjectRecord, Record, keys};
use waybill_store::ObjectStore;
use waybill_types::{Offset, TopicId};

use crate::testing::world::{World, append, request};
use crate::testing::{TOPIC, prepared};
use crate::{Checked, LogEngine, Partition, Severity, fsck};

const PARTITIONS: i32 = 4;

/// A world that flushes every few batches and looks for work every second.
fn world() -> World {
    let mut world = World::automatic();
    world.options.flush_bytes = 800;
    // Everything is read from segments.
    world.options.log_cache_bytes = 0;
    world.options.compaction.check = Duration::from_secs(1);
    world.options.compaction.bytes_per_second = 0;
    world
}

/// Appends small batches to all partitions of a topic, so that there are many small segments.
async fn scatter(world: &World, engine: &LogEngine, topic: TopicId, rounds: i64) {
    for round in 0..rounds {
        for index in 0..PARTITIONS {
            let id = waybill_types::TopicPartition::new(topic, waybill_types::PartitionId(index));
            append(engine, &engine.partition(&id).unwrap(), prepared(2, 1_000 + round, 40)).await;
        }
        world.clock.sleep(Duration::from_millis(1)).await;
    }
}

/// Every byte of every partition of a topic.
pub(super) async fn contents(engine: &LogEngine) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for log in engine.partitions() {
        let mut bytes = Vec::new();
        let mut from = log.log_start();
        while from < log.high_watermark() {
            let outcome = log.read(request(from.get(), 5_000)).await.unwrap();
            for piece in &outcome.batches {
                bytes.extend_from_slice(piece);
            }
            from = Offset(crate::testing::world::ranges(&outcome.batches).last().unwrap().1 + 1);
        }
        all.insert(log.id().to_string(), bytes);
    }
    all
}

pub(super) async fn objects(world: &World) -> Vec<ObjectRecord> {
    let all = world.meta.scan(keys::objects()).await.unwrap();
    let all = all.iter().map(|(_, value)| ObjectRecord::decode(value).unwrap());
    all.filter(|record| record.life == ObjectLife::Live).collect()
}

/// What fsck finds wrong, byte for byte, but for names that these topics do not have.
pub(super) async fn errors(world: &World) -> Vec<String> {
    let checked = Checked {
        meta: Arc::new(world.meta.clone()),
        data: Arc::new(world.store.clone()),
        wal: None,
        deep: true,
    };
    let report = fsck(&checked).await.unwrap();
    let errors = report.findings.into_iter().filter(|finding| finding.severity == Severity::Error);
    let errors = errors.filter(|finding| !finding.what.contains("its name does not lead"));
    errors.map(|finding| format!("{}: {}", finding.at, finding.what)).collect()
}

async fn stored(world: &World) -> u64 {
    let mut bytes = 0;
    for name in world.store.list("seg/").await.unwrap() {
        bytes += world.store.len(&name).await.unwrap();
    }
    bytes
}

#[tokio::test(start_paused = true)]
async fn small_segments_are_merged_and_nothing_in_them_changes() {
    let mut world = world();
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, PARTITIONS).await;
    scatter(&world, &engine, TOPIC, 60).await;
    let (before, many) = (contents(&engine).await, objects(&world).await.len());
    assert!(many > 20, "{many}");
    world.clock.sleep(Duration::from_secs(30)).await;
    let few = objects(&world).await;
    assert!(few.len() < many / 4, "{} of {many}", few.len());
    assert_eq!(contents(&engine).await, before);
    assert_eq!(errors(&world).await, Vec::<String>::new());
    // What was merged away is gone, and a start finds the same.
    assert!(world.store.list("seg/").await.unwrap().len() <= few.len() + 1);
    world.crash(engine).await;
    let engine = world.open().await;
    assert_eq!(contents(&engine).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_partition_with_much_gets_segments_of_its_own() {
    let mut world = world();
    world.options.compaction.partition_bytes = 1_500;
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, PARTITIONS).await;
    scatter(&world, &engine, TOPIC, 60).await;
    let before = contents(&engine).await;
    world.clock.sleep(Duration::from_secs(30)).await;
    let own = objects(&world).await.iter().filter(|object| object.slices == 1 && object.size > 1_500).count();
    assert!(own >= PARTITIONS as usize, "{:?}", objects(&world).await);
    assert_eq!(contents(&engine).await, before);
    assert_eq!(errors(&world).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_is_mostly_dead_is_freed() {
    let mut world = world();
    world.options.flush_bytes = 20_000;
    // So little would not be worth a request.
    world.options.compaction.prices.gib_month = 1e9;
    let engine = world.open().await;
    let other = TopicId([2; 16]);
    world.create_topic(&engine, TOPIC, PARTITIONS).await;
    world.create_topic(&engine, other, PARTITIONS).await;
    for _ in 0..3 {
        scatter(&world, &engine, TOPIC, 4).await;
        scatter(&world, &engine, other, 40).await;
    }
    engine.shared.flush_all().await.unwrap();
    world.delete_topic_record(other).await;
    engine.remove_topic(other).await.unwrap();
    let (before, all) = (contents(&engine).await, stored(&world).await);
    world.clock.sleep(Duration::from_secs(30)).await;
    assert_eq!(contents(&engine).await, before);
    assert_eq!(errors(&world).await, Vec::<String>::new());
    let left = stored(&world).await;
    assert!(left < all / 3, "{left} of {all}");
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_while_it_is_merged_stays_deleted() {
    let mut world = world();
    // Slow enough to be met in the midst of it.
    world.options.compaction.bytes_per_second = 2_000;
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, PARTITIONS).await;
    scatter(&world, &engine, TOPIC, 60).await;
    let logs: Vec<Arc<Partition>> = engine.partitions();
    for round in 1..12 {
        world.clock.sleep(Duration::from_millis(700)).await;
        let log = &logs[round as usize % logs.len()];
        log.delete_records(Offset(round * 6)).await.unwrap();
        assert_eq!(errors(&world).await, Vec::<String>::new(), "round {round}");
    }
    let before = contents(&engine).await;
    world.clock.sleep(Duration::from_secs(120)).await;
    assert_eq!(contents(&engine).await, before);
    assert_eq!(errors(&world).await, Vec::<String>::new());
    assert!(logs.iter().all(|log| log.log_start() > Offset(0)));
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_commit_changes_nothing() {
    for commits in 0..14 {
        let mut world = world();
        world.options.compaction.partition_bytes = 1_500;
        let engine = world.open().await;
        world.create_topic(&engine, TOPIC, PARTITIONS).await;
        scatter(&world, &engine, TOPIC, 40).await;
        let before = contents(&engine).await;
        world.meta.fail_after(commits);
        world.clock.sleep(Duration::from_secs(20)).await;
        world.crash(engine).await;
        world.meta.heal();
        let engine = world.open().await;
        assert_eq!(contents(&engine).await, before, "{commits} commits");
        world.clock.sleep(Duration::from_secs(20)).await;
        assert_eq!(contents(&engine).await, before, "{commits} commits");
        assert_eq!(errors(&world).await, Vec::<String>::new(), "{commits} commits");
        // Nothing is left over: what is there is named, but for the one prepared for the next segment.
        let there = world.store.list("seg/").await.unwrap().len();
        assert_eq!(there, objects(&world).await.len(), "{commits} commits");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_segment_is_never_given_up() {
    let mut world = world();
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, PARTITIONS).await;
    scatter(&world, &engine, TOPIC, 60).await;
    let name = world.store.list("seg/").await.unwrap().remove(3);
    world.store.tamper(&name, |bytes| bytes[40] ^= 1);
    let many = objects(&world).await.len();
    world.clock.sleep(Duration::from_secs(60)).await;
    assert!(objects(&world).await.len() < many / 2, "the others are merged");
    assert!(world.store.list("seg/").await.unwrap().contains(&name), "it may be put back from a copy");
    world.store.tamper(&name, |bytes| bytes[40] ^= 1);
    assert_eq!(errors(&world).await, Vec::<String>::new());
}
