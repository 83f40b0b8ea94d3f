//! DeleteRecords and retention.

use std::sync::Arc;
use std::time::Duration;

use waybill_store::ObjectStore;
use waybill_types::Offset;

use crate::testing::world::{START, World, append, read_all, request};
use crate::testing::{TOPIC, partition, prepared};
use crate::{DeleteError, LogEngine, Partition, ReadError, Retention, RetentionClock};

async fn fill(engine: &LogEngine, log: &Arc<Partition>, batches: i32, timestamp: i64) {
    for _ in 0..batches {
        append(engine, log, prepared(2, timestamp, 100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn deleted_records_stay_deleted() {
    let mut world = World::automatic();
    world.options.flush_bytes = 1 << 20;
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    fill(&engine, &log, 5, 1).await;
    // In the midst of a batch that is only in the WAL.
    assert_eq!(log.delete_records(Offset(5)).await.unwrap(), Offset(5));
    assert_eq!(log.delete_records(Offset(3)).await.unwrap(), Offset(5), "the log start never goes back");
    assert!(matches!(log.delete_records(Offset(11)).await, Err(DeleteError::OutOfRange { .. })));
    assert!(matches!(log.read(request(4, 10)).await, Err(ReadError::OutOfRange { .. })));
    world.crash(engine).await;
    let engine = world.open().await;
    let log = engine.partition(&partition(0)).unwrap();
    assert_eq!(log.log_start(), Offset(5));
    assert_eq!(read_all(&log).await, [(4, 5), (6, 7), (8, 9)]);
    // Everything: the log is empty but goes on where it was.
    log.delete_records(Offset(10)).await.unwrap();
    world.crash(engine).await;
    let engine = world.open().await;
    let log = engine.partition(&partition(0)).unwrap();
    assert_eq!((log.log_start(), log.high_watermark(), log.size_bytes()), (Offset(10), Offset(10), 0));
    fill(&engine, &log, 1, 1).await;
    assert_eq!(read_all(&log).await, [(10, 11)]);
    world.clock.sleep(Duration::from_secs(1)).await;
    assert!(world.store.list("seg/").await.unwrap().is_empty(), "its objects are gone");
}

#[tokio::test(start_paused = true)]
async fn an_object_lives_as_long_as_one_of_its_slices() {
    let mut world = World::automatic();
    world.options.flush_bytes = 1 << 20;
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 2).await;
    let logs = [0, 1].map(|index| engine.partition(&partition(index)).unwrap());
    for log in &logs {
        fill(&engine, log, 2, 1).await;
    }
    engine.close().await.unwrap();
    world.crash(engine).await;
    let engine = world.open().await;
    let logs = [0, 1].map(|index| engine.partition(&partition(index)).unwrap());
    logs[0].delete_records(Offset(4)).await.unwrap();
    world.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(world.store.list("seg/").await.unwrap().len(), 1);
    assert_eq!(read_all(&logs[1]).await.len(), 2);
    world.delete_topic_record(TOPIC).await;
    engine.remove_topic(TOPIC).await.unwrap();
    world.clock.sleep(Duration::from_secs(1)).await;
    assert!(world.store.list("seg/").await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn retention_lets_go_by_time_and_by_size() {
    let mut world = World::automatic();
    world.options.flush_bytes = 600;
    world.options.retention_check = Duration::from_secs(10);
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 3).await;
    let logs = [0, 1, 2].map(|index| engine.partition(&partition(index)).unwrap());
    for log in &logs {
        // Old events, new appends.
        fill(&engine, log, 10, 5).await;
        world.clock.sleep(Duration::from_millis(1)).await;
    }
    world.clock.sleep(Duration::from_secs(25)).await;
    assert!(logs.iter().all(|log| log.log_start() == Offset(0)), "kept for ever until told otherwise");

    engine.set_retention(TOPIC, Retention { ms: Some(60_000), bytes: None, clock: RetentionClock::Append });
    world.clock.sleep(Duration::from_secs(20)).await;
    assert!(logs.iter().all(|log| log.log_start() == Offset(0)), "appended just now");
    world.clock.sleep(Duration::from_secs(40)).await;
    assert!(logs.iter().all(|log| log.log_start() == Offset(20)), "{logs:?}");

    for log in &logs {
        fill(&engine, log, 10, START).await;
        world.clock.sleep(Duration::from_millis(1)).await;
    }
    let limit = 3 * prepared(2, 1, 100).size() as u64;
    engine.set_retention(TOPIC, Retention { ms: None, bytes: Some(limit), ..Retention::default() });
    world.clock.sleep(Duration::from_secs(21)).await;
    for log in &logs {
        assert!(log.log_start() > Offset(20) && log.log_start() < Offset(40), "{log:?}");
        assert!(log.size_bytes() >= limit, "no more is let go than the excess");
        let kept = read_all(log).await;
        assert_eq!(kept.last(), Some(&(38, 39)));
    }
    // By record time everything is past its time at once.
    engine.set_retention(TOPIC, Retention { ms: Some(1_000), bytes: None, clock: RetentionClock::Record });
    world.clock.sleep(Duration::from_secs(41)).await;
    assert!(logs.iter().all(|log| log.log_start() == Offset(40)), "{logs:?}");
    world.clock.sleep(Duration::from_secs(1)).await;
    assert!(world.store.list("seg/").await.unwrap().is_empty());
    assert_eq!(logs[0].append_check(), Offset(40));
}

impl Partition {
    /// The next offset never goes back, whatever was let go.
    fn append_check(&self) -> Offset {
        self.next_offset()
    }
}
