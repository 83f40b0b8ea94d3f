//! Acks, retries, restarts, failures.

use std::sync::Arc;

use futures::FutureExt;
use waybill_types::{LeaderEpoch, Offset};

use crate::testing::wal::TestWal;
use crate::testing::world::{World, append, ranges, read_all, request, try_append};
use crate::testing::{TOPIC, idempotent, partition, prepared};
use crate::{AckError, AppendError, AppendInfo, AppendItem, ProducerFault, ReadError, Waiter};

#[tokio::test(start_paused = true)]
async fn nothing_is_acked_or_shown_before_it_is_durable() {
    let mut world = World::new(TestWal::new(false, 1_000));
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    let waiter = Waiter::new();
    assert!(log.watch(&waiter, 7, Offset(0)));

    let (appended, mut ack) = try_append(&engine, &log, prepared(3, 1, 10)).await.unwrap();
    assert_eq!((appended.base_offset, appended.last_offset), (Offset(0), Offset(2)));
    let (second, mut second_ack) = try_append(&engine, &log, prepared(1, 1, 10)).await.unwrap();
    assert_eq!(second.base_offset, Offset(3));
    assert_eq!((log.high_watermark(), log.next_offset()), (Offset(0), Offset(4)));
    assert!((&mut ack).now_or_never().is_none());
    assert!(log.read(request(0, 1000)).await.unwrap().batches.is_empty());
    assert!(waiter.take().is_empty());

    world.wal.release(1);
    assert_eq!(ack.now_or_never(), Some(Ok(())));
    assert!((&mut second_ack).now_or_never().is_none());
    assert_eq!(waiter.take(), [7]);
    assert!(!log.watch(&waiter, 7, Offset(0)));
    assert_eq!(ranges(&log.read(request(0, 1000)).await.unwrap().batches), [(0, 2)]);
    world.wal.release(1);
    second_ack.await.unwrap();
    assert_eq!(read_all(&log).await, [(0, 2), (3, 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_in_flight_is_not_acked_before_its_original() {
    let mut world = World::new(TestWal::new(false, 1_000));
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    let (original, original_ack) = try_append(&engine, &log, idempotent(5, 0, 0, 2)).await.unwrap();
    let (retry, mut retry_ack) = try_append(&engine, &log, idempotent(5, 0, 0, 2)).await.unwrap();
    assert!(retry.duplicate && !original.duplicate);
    assert_eq!((retry.base_offset, retry.append_time), (original.base_offset, original.append_time));
    assert!((&mut retry_ack).now_or_never().is_none());
    assert_eq!(world.wal.waiting(), 1);
    world.wal.release(1);
    assert_eq!(retry_ack.now_or_never(), Some(Ok(())));
    original_ack.await.unwrap();
    // Durable by now: answered at once.
    let (_, late_ack) = try_append(&engine, &log, idempotent(5, 0, 0, 2)).await.unwrap();
    assert_eq!(late_ack.now_or_never(), Some(Ok(())));
    let refused = try_append(&engine, &log, idempotent(5, 0, 9, 1)).await.unwrap_err();
    assert!(matches!(refused, AppendError::Producer(ProducerFault::OutOfOrder { .. })));
    assert_eq!(log.next_offset(), Offset(2));
}

#[tokio::test(start_paused = true)]
async fn a_request_over_many_partitions_is_one_append() {
    let mut world = World::new(TestWal::new(false, 1_000));
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 3).await;
    let item = |index: i32, records| AppendItem {
        partition: engine.partition(&partition(index)).unwrap(),
        batch: prepared(records, 1, 10),
        info: AppendInfo::default(),
    };
    // The same partition twice, and out of order.
    let items = vec![item(2, 1), item(0, 2), item(2, 3), item(1, 4)];
    let fenced = AppendItem {
        info: AppendInfo { leader_epoch: Some(LeaderEpoch(9)), ..AppendInfo::default() },
        ..item(1, 5)
    };
    let items: Vec<_> = items.into_iter().chain([fenced]).collect();
    let permit = engine.reserve(1_000).await.unwrap();
    let (results, mut ack) = engine.append_many(items, 1_000, permit);
    let offsets: Vec<_> =
        results.iter().flatten().map(|at| (at.base_offset.get(), at.last_offset.get())).collect();
    assert_eq!(offsets, [(0, 0), (0, 1), (1, 3), (0, 3)]);
    assert!(matches!(results.last(), Some(Err(AppendError::Fenced { .. }))));
    world.wal.release(3);
    assert!((&mut ack).now_or_never().is_none());
    world.wal.release(1);
    ack.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_acked_is_there_after_a_crash_and_what_was_not_may_be_sent_again() {
    let mut world = World::new(TestWal::new(false, 1_000));
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 2).await;
    let log = engine.partition(&partition(0)).unwrap();
    assert_eq!(log.leader_epoch(), LeaderEpoch(0));
    let (_, ack) = try_append(&engine, &log, idempotent(5, 0, 0, 2)).await.unwrap();
    world.wal.release(1);
    ack.await.unwrap();
    let (_, lost) = try_append(&engine, &log, idempotent(5, 0, 2, 1)).await.unwrap();
    world.crash(engine).await;
    assert!(lost.now_or_never().is_none());

    let engine = world.open().await;
    let log = engine.partition(&partition(0)).unwrap();
    assert_eq!((log.high_watermark(), log.leader_epoch()), (Offset(2), LeaderEpoch(1)));
    assert_eq!(read_all(&log).await, [(0, 1)]);
    // The acked batch is known, the lost one is taken once.
    let (again, _) = try_append(&engine, &log, idempotent(5, 0, 0, 2)).await.unwrap();
    assert!(again.duplicate);
    let (resent, ack) = try_append(&engine, &log, idempotent(5, 0, 2, 1)).await.unwrap();
    assert_eq!((resent.base_offset, resent.duplicate), (Offset(2), false));
    world.wal.release(1);
    ack.await.unwrap();
    assert_eq!(log.epoch_end(LeaderEpoch(0)), (LeaderEpoch(0), Offset(2)));
    assert_eq!(log.epoch_end(LeaderEpoch(1)), (LeaderEpoch(1), Offset(3)));
}

#[tokio::test(start_paused = true)]
async fn an_epoch_without_an_append_is_not_kept() {
    let mut world = World::automatic();
    let mut engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    append(&engine, &engine.partition(&partition(0)).unwrap(), prepared(2, 1, 10)).await;
    for _ in 0..3 {
        world.crash(engine).await;
        engine = world.open().await;
    }
    let log = engine.partition(&partition(0)).unwrap();
    assert_eq!(log.leader_epoch(), LeaderEpoch(3));
    append(&engine, &log, prepared(1, 1, 10)).await;
    assert_eq!(log.epoch_end(LeaderEpoch(2)), (LeaderEpoch(0), Offset(2)));
    assert_eq!(log.epoch_at(Offset(1)), LeaderEpoch(0));
    assert_eq!(log.epoch_at(Offset(2)), LeaderEpoch(3));
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_wal_acks_nothing_and_stops_the_process() {
    let mut world = World::new(TestWal::new(false, 1_000));
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    let (_, ack) = try_append(&engine, &log, prepared(1, 1, 10)).await.unwrap();
    world.wal.poison();
    assert!(matches!(ack.await, Err(AckError::Poisoned(_))));
    assert!(engine.reserve(1).await.is_err());
    assert!(world.supervisor.failure().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failed_commit_ends_the_incarnation() {
    let mut world = World::automatic();
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    append(&engine, &log, prepared(3, 1, 10)).await;
    world.meta.fail_after(0);
    assert!(log.delete_records(Offset(2)).await.is_err());
    assert_eq!(log.log_start(), Offset(0));
    assert!(world.supervisor.failure().is_some());
    assert!(engine.reserve(1).await.is_err());
    world.meta.heal();
    world.crash(engine).await;
    let engine = world.open().await;
    assert_eq!(read_all(&engine.partition(&partition(0)).unwrap()).await, [(0, 2)]);
}

#[tokio::test(start_paused = true)]
async fn metadata_that_meets_a_full_disk_waits_for_space() {
    let mut world = World::automatic();
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    append(&engine, &log, prepared(3, 1, 10)).await;
    world.meta.fill();
    let second = std::time::Duration::from_secs(1);
    let deletion = log.delete_records(Offset(2));
    tokio::pin!(deletion);
    tokio::select! {
        biased;
        _ = &mut deletion => panic!("answered without a commit"),
        () = world.clock.sleep(second) => {}
    }
    // Nothing is shown that is not durable; what needs no metadata goes on.
    assert_eq!(log.log_start(), Offset(0));
    append(&engine, &log, prepared(1, 1, 10)).await;
    assert!(world.supervisor.failure().is_none());
    world.meta.heal();
    assert_eq!(deletion.await.unwrap(), Offset(2));
    assert_eq!(read_all(&log).await, [(0, 2), (3, 3)]);
    world.crash(engine).await;
    let engine = world.open().await;
    assert_eq!(engine.partition(&partition(0)).unwrap().log_start(), Offset(2));
}

#[tokio::test(start_paused = true)]
async fn append_times_never_go_back() {
    let mut world = World::automatic();
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    let first = append(&engine, &log, prepared(1, 1, 10)).await;
    world.clock.sleep(std::time::Duration::from_millis(50)).await;
    let second = append(&engine, &log, prepared(1, 1, 10)).await;
    assert_eq!(second.append_time.since_ms(first.append_time), 50);
    world.crash(engine).await;
    world.clock = waybill_rt::VirtualClock::shared(waybill_types::TimestampMs(5));
    let engine = world.open().await;
    let third = append(&engine, &engine.partition(&partition(0)).unwrap(), prepared(1, 1, 10)).await;
    assert_eq!(third.append_time, second.append_time);
}

#[tokio::test(start_paused = true)]
async fn a_store_with_segments_but_no_metadata_is_never_new() {
    let mut world = World::automatic();
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    append(&engine, &engine.partition(&partition(0)).unwrap(), prepared(1, 1, 10)).await;
    engine.close().await.unwrap();
    world.crash(engine).await;
    world.meta = waybill_meta::MemoryMeta::default();
    let refused = world.try_open().await.unwrap_err().to_string();
    assert!(refused.contains("metadata is missing"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_removed_topic_is_gone_at_once_and_for_good() {
    let mut world = World::new(TestWal::new(false, 1_000));
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    let (_, acked) = try_append(&engine, &log, prepared(1, 1, 10)).await.unwrap();
    world.wal.release(1);
    acked.await.unwrap();
    let (_, ack) = try_append(&engine, &log, prepared(1, 1, 10)).await.unwrap();
    let waiter = Waiter::new();
    assert!(log.watch(&waiter, 1, Offset(1)));
    world.delete_topic_record(TOPIC).await;
    engine.remove_topic(TOPIC).await.unwrap();
    assert_eq!(ack.await, Err(AckError::Removed));
    assert_eq!(waiter.take(), [1]);
    assert!(matches!(log.read(request(0, 10)).await, Err(ReadError::Removed)));
    assert!(matches!(try_append(&engine, &log, prepared(1, 1, 10)).await, Err(AppendError::Removed)));
    assert!(engine.partition(&partition(0)).is_none());
    world.wal.release(1);
    // Another topic of the same name has another id, and is empty.
    let again = waybill_types::TopicId([2; 16]);
    world.create_topic(&engine, again, 1).await;
    world.crash(engine).await;
    let engine = world.open().await;
    assert_eq!(engine.partitions().len(), 1);
    let log = Arc::clone(engine.partitions().first().unwrap());
    assert_eq!((log.id().topic, log.high_watermark()), (again, Offset(0)));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_cut_short_is_finished_at_the_next_start() {
    let mut world = World::automatic();
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    append(&engine, &engine.partition(&partition(0)).unwrap(), prepared(1, 1, 10)).await;
    engine.close().await.unwrap();
    world.delete_topic_record(TOPIC).await;
    world.crash(engine).await;
    let engine = world.open().await;
    assert!(engine.partitions().is_empty());
    // The sweeper runs in the background.
    world.clock.sleep(std::time::Duration::from_secs(1)).await;
    use waybill_meta::{MetaStore, keys};
    use waybill_store::ObjectStore;
    assert!(world.meta.scan(keys::partitions()).await.unwrap().is_empty());
    assert!(world.meta.scan(keys::index_of_topic(TOPIC)).await.unwrap().is_empty());
    assert!(world.store.list("seg/").await.unwrap().is_empty());
}
