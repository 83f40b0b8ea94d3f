//! Flushing: what is written, when, and what a failure means.

use std::time::Duration;

use waybill_meta::{MetaStore, ObjectLife, ObjectRecord, Record, keys};
use waybill_store::ObjectStore;

use crate::segment::{TRAILER_LEN, parse_directory, parse_trailer};
use crate::testing::world::{World, append, read_all};
use crate::testing::{TOPIC, partition, prepared};

async fn objects(world: &World, life: ObjectLife) -> usize {
    let all = world.meta.scan(keys::objects()).await.unwrap();
    all.iter().filter(|(_, value)| ObjectRecord::decode(value).unwrap().life == life).count()
}

#[tokio::test(start_paused = true)]
async fn a_clean_stop_leaves_nothing_to_recover() {
    let mut world = World::automatic();
    world.options.flush_bytes = 1 << 20;
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 3).await;
    for index in [2, 0, 1, 0] {
        append(&engine, &engine.partition(&partition(index)).unwrap(), prepared(2, 1, 50)).await;
    }
    engine.close().await.unwrap();
    world.crash(engine).await;
    let names = world.store.list("seg/").await.unwrap();
    assert_eq!(names.len(), 1, "one merged segment");
    let size = world.store.len(&names[0]).await.unwrap();
    let trailer = world.store.get(&names[0], size - TRAILER_LEN as u64..size).await.unwrap();
    let (position, length) = parse_trailer(&trailer, size).unwrap();
    let directory =
        parse_directory(&world.store.get(&names[0], position..position + length).await.unwrap()).unwrap();
    let slices: Vec<_> = directory.slices.iter().map(|slice| slice.partition.partition.get()).collect();
    assert_eq!(slices, [0, 1, 2], "sorted by partition");

    let engine = world.open().await;
    assert_eq!(world.store.list("seg/").await.unwrap(), names, "nothing was written again");
    assert_eq!(read_all(&engine.partition(&partition(0)).unwrap()).await, [(0, 1), (2, 3)]);
    assert_eq!(engine.partition(&partition(0)).unwrap().size_bytes(), 2 * prepared(2, 1, 50).size() as u64);
}

#[tokio::test(start_paused = true)]
async fn segments_are_written_and_the_wal_trimmed_as_data_comes() {
    let mut world = World::automatic();
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 2).await;
    let before = world.wal.trimmed();
    for at in 0..60 {
        append(&engine, &engine.partition(&partition(at % 2)).unwrap(), prepared(2, 1, 100)).await;
        world.clock.sleep(Duration::from_millis(1)).await;
    }
    assert!(world.store.list("seg/").await.unwrap().len() >= 3);
    assert!(world.wal.trimmed() > before + 8_000, "{} after {before}", world.wal.trimmed());
    assert_eq!(read_all(&engine.partition(&partition(1)).unwrap()).await.len(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_failed_put_is_tried_again_under_another_name() {
    let mut world = World::automatic();
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    world.store.fail_puts(2);
    for _ in 0..30 {
        append(&engine, &engine.partition(&partition(0)).unwrap(), prepared(2, 1, 100)).await;
    }
    world.clock.sleep(Duration::from_secs(5)).await;
    assert!(objects(&world, ObjectLife::Live).await >= 1);
    // The two that failed, and the one prepared for the next flush.
    assert_eq!(objects(&world, ObjectLife::Prepared).await, 3);
    world.crash(engine).await;
    let engine = world.open().await;
    world.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(objects(&world, ObjectLife::Prepared).await, 1, "swept with their incarnation");
    assert_eq!(read_all(&engine.partition(&partition(0)).unwrap()).await.len(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_put_and_commit_repeats_the_flush() {
    let mut world = World::automatic();
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    append(&engine, &engine.partition(&partition(0)).unwrap(), prepared(2, 1, 100)).await;
    world.meta.fail_after(0);
    assert!(engine.close().await.is_err());
    world.crash(engine).await;
    assert_eq!(world.store.list("seg/").await.unwrap().len(), 1, "an orphan");
    world.meta.heal();
    // The same again in recovery: its first commit fails.
    world.meta.fail_after(0);
    assert!(world.try_open().await.is_err());
    world.meta.heal();
    let engine = world.open().await;
    world.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(read_all(&engine.partition(&partition(0)).unwrap()).await, [(0, 1)]);
    world.crash(engine).await;
    let engine = world.open().await;
    world.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(world.store.list("seg/").await.unwrap().len(), 1, "orphans are swept");
    assert_eq!(read_all(&engine.partition(&partition(0)).unwrap()).await, [(0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_back_holds_up_everything_behind_it() {
    let mut world = World::automatic();
    world.options.flush_bytes = 1 << 20;
    world.options.log_cache_bytes = 0;
    world.options.unflushed_cache_bytes = 0;
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    append(&engine, &log, prepared(2, 1, 100)).await;
    world.wal.fail_reads(1);
    assert!(engine.shared.flush_all().await.is_err());
    // The batch behind it must not be committed, nor the WAL trimmed, without it.
    append(&engine, &log, prepared(2, 1, 100)).await;
    engine.close().await.unwrap();
    world.crash(engine).await;
    let engine = world.open().await;
    assert_eq!(read_all(&engine.partition(&partition(0)).unwrap()).await, [(0, 1), (2, 3)]);
}
