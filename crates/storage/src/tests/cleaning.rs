//! Log compaction, from appends to what readers and a restart find.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use waybill_protocol::batch::{RecordBatch, split_batches};
use waybill_types::Offset;

use super::compaction::{errors, objects};
use crate::testing::world::{World, append, request, try_append};
use crate::testing::{TOPIC, idempotent, keyed, marker, partition, prepared, transactional};
use crate::{CleanRules, LogEngine, Partition, ReadBound, ReadRequest, Retention};

fn world() -> World {
    let mut world = World::automatic();
    world.options.flush_bytes = 600;
    world.options.log_cache_bytes = 0;
    world.options.compaction.check = Duration::from_secs(1);
    world.options.compaction.bytes_per_second = 0;
    world
}

/// Everything that is in segments is compacted.
fn rules() -> CleanRules {
    CleanRules { segment_bytes: 1, delete_retention_ms: 60_000, ..CleanRules::default() }
}

async fn open(world: &mut World, rules: &CleanRules) -> (Arc<LogEngine>, Arc<Partition>) {
    let engine = world.open().await;
    if engine.partition(&partition(0)).is_none() {
        world.create_topic(&engine, TOPIC, 1).await;
    }
    engine.set_cleaning(TOPIC, Some(rules.clone()));
    let log = engine.partition(&partition(0)).unwrap();
    (engine, log)
}

async fn batches(log: &Partition) -> Vec<RecordBatch> {
    let mut all: Vec<RecordBatch> = Vec::new();
    let mut from = log.log_start();
    while from < log.high_watermark() {
        let outcome = log.read(request(from.get(), 3_000)).await.unwrap();
        for piece in outcome.batches {
            all.extend(split_batches(piece).strict().map(Result::unwrap));
        }
        let next = all.last().unwrap().header().next_offset();
        assert!(next > from, "a reader gets on at {from}");
        from = next;
    }
    all.iter().for_each(|batch| batch.verify_crc().unwrap());
    all
}

/// Offset, key and value of each record.
async fn records(log: &Partition) -> Vec<(i64, u32, Option<u32>)> {
    let mut all = Vec::new();
    for batch in batches(log).await.iter().filter(|batch| !batch.header().attributes.is_control()) {
        for record in batch.records(1 << 20) {
            let record = record.unwrap();
            let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap());
            all.push((
                record.offset.get(),
                number(record.key.as_deref().unwrap()),
                record.value.as_deref().map(number),
            ));
        }
    }
    all
}

fn newest(all: &[(i64, u32, Option<u32>)]) -> BTreeMap<u32, (i64, Option<u32>)> {
    all.iter().map(|(offset, key, value)| (*key, (*offset, *value))).collect()
}

/// Appends batches of three records over a few keys. Returns what was appended.
async fn churn(
    engine: &LogEngine,
    log: &Arc<Partition>,
    from: u32,
    count: u32,
) -> Vec<(i64, u32, Option<u32>)> {
    let mut all = Vec::new();
    for number in from..from + count {
        let said: Vec<_> = (0..3).map(|at| ((number * 7 + at * 5) % 20, Some(number))).collect();
        let base = append(engine, log, keyed(None, &said)).await.base_offset.get();
        all.extend(said.iter().zip(base..).map(|((key, value), offset)| (offset, *key, *value)));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn of_each_key_the_newest_record_stays_and_space_comes_back() {
    let mut world = world();
    let (engine, log) = open(&mut world, &rules()).await;
    let mut all = churn(&engine, &log, 0, 100).await;
    let size = log.size_bytes();
    world.clock.sleep(Duration::from_secs(30)).await;
    let left = records(&log).await;
    assert_eq!(newest(&left), newest(&all));
    assert!(left.len() < 40, "{} records of {}, for 20 keys", left.len(), all.len());
    assert!(log.size_bytes() < size / 3, "{} of {size}", log.size_bytes());
    assert_eq!(log.high_watermark(), Offset(300), "offsets stay");
    assert_eq!(errors(&world).await, Vec::<String>::new());
    // More comes, and a crash in between.
    all.extend(churn(&engine, &log, 100, 100).await);
    world.crash(engine).await;
    let (_engine, log) = open(&mut world, &rules()).await;
    assert_eq!(newest(&records(&log).await), newest(&all));
    world.clock.sleep(Duration::from_secs(30)).await;
    let left = records(&log).await;
    assert_eq!(newest(&left), newest(&all));
    assert!(left.len() < 40, "{}", left.len());
    assert_eq!(errors(&world).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn any_number_of_keys_fits_in_the_memory_that_there_is() {
    let mut world = world();
    // Room for some six keys at once, and parts of some hundred bytes.
    world.options.compaction.budget_bytes = 1_000;
    world.options.compaction.merge = false;
    let (engine, log) = open(&mut world, &rules()).await;
    let all = churn(&engine, &log, 0, 60).await;
    world.clock.sleep(Duration::from_secs(60)).await;
    let left = records(&log).await;
    assert_eq!(newest(&left), newest(&all));
    assert!(left.len() < 40, "{} records for 20 keys", left.len());
    assert_eq!(errors(&world).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn tombstones_go_when_their_time_is_over_and_retries_stay_known() {
    let mut world = world();
    let (engine, log) = open(&mut world, &rules()).await;
    append(&engine, &log, keyed(Some((7, 0)), &[(1, Some(1)), (2, Some(1))])).await;
    append(&engine, &log, keyed(Some((7, 2)), &[(1, None)])).await;
    append(&engine, &log, keyed(None, &[(2, Some(2))])).await;
    let filler: Vec<_> = (100..110).map(|key| (key, Some(0))).collect();
    append(&engine, &log, keyed(None, &filler)).await;
    append(&engine, &log, keyed(None, &filler)).await;
    world.clock.sleep(Duration::from_secs(5)).await;
    let left = records(&log).await;
    assert_eq!(left[..2], [(2, 1, None), (3, 2, Some(2))]);
    assert_eq!(left.len(), 12);
    // After its time the next compaction takes it; what the producer is known by stays.
    world.clock.sleep(Duration::from_secs(60)).await;
    for _ in 0..4 {
        append(&engine, &log, keyed(None, &filler)).await;
    }
    world.clock.sleep(Duration::from_secs(5)).await;
    assert_eq!(records(&log).await[0], (3, 2, Some(2)));
    let first = *batches(&log).await[0].header();
    assert_eq!((first.base_offset, first.record_count, first.base_sequence.get()), (Offset(2), 0, 2));
    assert_eq!(errors(&world).await, Vec::<String>::new());
    world.crash(engine).await;
    let (engine, log) = open(&mut world, &rules()).await;
    let (again, _) = try_append(&engine, &log, keyed(Some((7, 2)), &[(1, None)])).await.unwrap();
    assert!(again.duplicate && again.base_offset == Offset(2));
    // Lookups by time pass over what is empty.
    let found = log.offset_for_timestamp(waybill_types::TimestampMs(0), ReadBound::HighWatermark).await;
    assert_eq!(found.unwrap().map(|found| found.offset), Some(Offset(3)));
}

#[tokio::test(start_paused = true)]
async fn nothing_undecided_is_compacted_and_what_was_aborted_goes() {
    let mut world = world();
    let (engine, log) = open(&mut world, &rules()).await;
    append(&engine, &log, keyed(None, &[(1, Some(1))])).await;
    // idempotent(): records without keys would be dropped, so this stands for a transaction's data.
    append(&engine, &log, transactional(5, 0, 3)).await;
    for number in 0..10 {
        append(&engine, &log, keyed(None, &[(1, Some(number)), (2, Some(number))])).await;
    }
    world.clock.sleep(Duration::from_secs(10)).await;
    assert_eq!(batches(&log).await.len(), 12, "the transaction is open");
    let (batch, info) = marker(5, false);
    let permit = engine.reserve(batch.size()).await.unwrap();
    let (_, ack) = log.append(batch, info, permit).unwrap();
    ack.await.unwrap();
    for number in 10..20 {
        append(&engine, &log, keyed(None, &[(1, Some(number)), (2, Some(number))])).await;
    }
    let aborted = |bound| ReadRequest { from: Offset(0), max_bytes: 50_000, at_least_one: true, bound };
    assert_eq!(log.read(aborted(ReadBound::LastStable)).await.unwrap().aborted.len(), 1);
    world.clock.sleep(Duration::from_secs(10)).await;
    let left = batches(&log).await;
    let data: Vec<_> = left.iter().filter(|batch| batch.header().producer_id.get() == 5).collect();
    // Its last batch stays for its producer, without records; its marker too, for those who have read it before.
    assert_eq!(data.iter().map(|batch| batch.header().record_count).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(newest(&records(&log).await).len(), 2);
    assert_eq!(log.read(aborted(ReadBound::LastStable)).await.unwrap().aborted.len(), 1);
    assert_eq!(errors(&world).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_active_end_and_what_is_recent_are_left() {
    let mut world = world();
    let lag = CleanRules { min_lag_ms: 100_000_000, ..rules() };
    let (engine, log) = open(&mut world, &lag).await;
    let fresh = |number: u32| keyed(None, &[(1, Some(number))]);
    for number in 0..40 {
        append(&engine, &log, fresh(number)).await;
    }
    engine.set_cleaning(TOPIC, Some(CleanRules { segment_bytes: 1 << 30, ..rules() }));
    world.clock.sleep(Duration::from_secs(10)).await;
    assert_eq!(records(&log).await.len(), 40, "all of it is the active end");
    engine.set_cleaning(TOPIC, Some(CleanRules { segment_bytes: 1 << 30, max_lag_ms: 5_000, ..rules() }));
    world.clock.sleep(Duration::from_secs(10)).await;
    let left = records(&log).await;
    assert_eq!(left.last(), Some(&(39, 1, Some(39))));
    assert!(left.len() < 5, "its time is over, also of what was in the log only: {left:?}");
}

#[tokio::test(start_paused = true)]
async fn compact_and_delete_go_together_and_deletes_in_between_are_kept() {
    let mut world = world();
    world.options.retention_check = Duration::from_secs(3);
    world.options.compaction.bytes_per_second = 3_000;
    let (engine, log) = open(&mut world, &rules()).await;
    let mut all = churn(&engine, &log, 0, 100).await;
    for round in 0..10 {
        world.clock.sleep(Duration::from_millis(900)).await;
        let start = Offset(round * 12);
        log.delete_records(start).await.unwrap();
        all.retain(|(offset, ..)| *offset >= start.get());
        assert_eq!(errors(&world).await, Vec::<String>::new(), "round {round}");
    }
    world.clock.sleep(Duration::from_secs(60)).await;
    let left: Vec<_> = records(&log).await.into_iter().filter(|(offset, ..)| *offset >= 108).collect();
    assert_eq!(newest(&left), newest(&all));
    assert_eq!(errors(&world).await, Vec::<String>::new());
    engine.set_retention(TOPIC, Retention { bytes: Some(0), ..Retention::default() });
    world.clock.sleep(Duration::from_secs(10)).await;
    assert!(log.log_start() > Offset(200), "{log:?}");
    assert_eq!(errors(&world).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_commit_loses_no_key() {
    for commits in 0..12 {
        let mut world = world();
        // Several parts and several commits a round.
        world.options.compaction.budget_bytes = 4_000;
        let (engine, log) = open(&mut world, &rules()).await;
        let all = churn(&engine, &log, 0, 60).await;
        world.meta.fail_after(commits);
        world.clock.sleep(Duration::from_secs(20)).await;
        world.crash(engine).await;
        world.meta.heal();
        let (engine, log) = open(&mut world, &rules()).await;
        assert_eq!(newest(&records(&log).await), newest(&all), "{commits} commits");
        world.clock.sleep(Duration::from_secs(30)).await;
        assert_eq!(newest(&records(&log).await), newest(&all), "{commits} commits");
        assert_eq!(errors(&world).await, Vec::<String>::new(), "{commits} commits");
        assert!(!objects(&world).await.is_empty());
        drop(engine);
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_without_keys_that_becomes_compacted_keeps_its_offsets() {
    let mut world = world();
    let (engine, log) = open(&mut world, &rules()).await;
    for at in 0..10 {
        append(&engine, &log, prepared(3, 1_000, 40)).await;
        append(&engine, &log, idempotent(3, 0, at * 2, 2)).await;
    }
    world.clock.sleep(Duration::from_secs(10)).await;
    let left = batches(&log).await;
    assert_eq!(log.high_watermark(), Offset(50));
    assert!(left.len() < 10, "records without keys are dropped, as by Kafka");
    let (again, _) = try_append(&engine, &log, idempotent(3, 0, 18, 2)).await.unwrap();
    assert!(again.duplicate);
    assert_eq!(errors(&world).await, Vec::<String>::new());
}
