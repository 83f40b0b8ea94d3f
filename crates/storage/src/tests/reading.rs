//! Reads from memory, the WAL and segments give the same.

use std::sync::Arc;

use proptest::prelude::*;
use waybill_types::Offset;

use crate::testing::world::{World, append, ranges, read_all, request};
use crate::testing::{TOPIC, partition, prepared};
use crate::{LogEngine, Partition, ReadBound, ReadError, ReadRequest};

/// A log of `batches` batches of 1 to 3 records.
async fn fill(engine: &LogEngine, log: &Arc<Partition>, batches: i32) -> Vec<(i64, i64)> {
    let mut expected = Vec::new();
    for at in 0..batches {
        let appended = append(engine, log, prepared(at % 3 + 1, i64::from(at) * 10, 50)).await;
        expected.push((appended.base_offset.get(), appended.last_offset.get()));
    }
    expected
}

/// Reads from every offset with several limits and compares with the list of batches.
async fn check_reads(log: &Partition, expected: &[(i64, i64)], sizes: &[usize]) {
    let start = log.log_start().get();
    let end = expected.last().map_or(0, |(_, last)| last + 1);
    for from in start..end {
        let first = expected.iter().position(|(_, last)| *last >= from).unwrap();
        for max_bytes in [0, 1, 300, 700, 100_000] {
            let read = ranges(&log.read(request(from, max_bytes)).await.unwrap().batches);
            assert_eq!(read, expected[first..first + read.len()], "from {from}, {max_bytes} bytes");
            assert!(!read.is_empty());
            let bytes: usize = sizes[first..first + read.len()].iter().sum();
            assert!(bytes <= max_bytes || read.len() == 1, "from {from}: {bytes} bytes of {max_bytes}");
            let strict = ReadRequest { at_least_one: false, ..request(from, max_bytes) };
            let strict = ranges(&log.read(strict).await.unwrap().batches);
            assert_eq!(strict.is_empty(), sizes[first] > max_bytes, "from {from}, {max_bytes} bytes");
        }
    }
    assert!(log.read(request(end, 1000)).await.unwrap().batches.is_empty());
}

fn sizes(expected: &[(i64, i64)]) -> Vec<usize> {
    expected.iter().map(|(base, last)| prepared((last - base + 1) as i32, 0, 50).size()).collect()
}

#[tokio::test(start_paused = true)]
async fn memory_wal_and_segments_give_the_same() {
    for (cache, flush) in [(1 << 20, 1 << 20), (0, 1 << 20), (1 << 20, 0), (0, 2_000)] {
        let mut world = World::automatic();
        world.options.log_cache_bytes = cache;
        world.options.unflushed_cache_bytes = cache;
        world.options.flush_bytes = flush;
        let engine = world.open().await;
        world.create_topic(&engine, TOPIC, 1).await;
        let log = engine.partition(&partition(0)).unwrap();
        let expected = fill(&engine, &log, 40).await;
        // Lets the flusher run.
        world.clock.sleep(std::time::Duration::from_millis(1)).await;
        check_reads(&log, &expected, &sizes(&expected)).await;
        assert_eq!(world.wal.reads() > 0, cache == 0, "cache {cache}, flush {flush}");
        let past_the_end = log.high_watermark().get() + 1;
        assert!(matches!(log.read(request(past_the_end, 1)).await, Err(ReadError::OutOfRange { .. })));
        world.crash(engine).await;
        let engine = world.open().await;
        let log = engine.partition(&partition(0)).unwrap();
        check_reads(&log, &expected, &sizes(&expected)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn damage_in_a_segment_is_an_error_not_a_short_read() {
    let mut world = World::automatic();
    world.options.log_cache_bytes = 0;
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    fill(&engine, &log, 10).await;
    engine.close().await.unwrap();
    use waybill_store::ObjectStore;
    for name in world.store.list("seg/").await.unwrap() {
        world.store.tamper(&name, |bytes| bytes[200] ^= 1);
    }
    assert!(matches!(log.read(request(0, 1000)).await, Err(ReadError::Damaged { .. })));
}

#[tokio::test(start_paused = true)]
async fn one_load_serves_many_readers() {
    let mut world = World::automatic();
    world.options.read_ahead_bytes = 1 << 20;
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    fill(&engine, &log, 30).await;
    engine.close().await.unwrap();
    world.crash(engine).await;
    let engine = world.open().await;
    let log = engine.partition(&partition(0)).unwrap();
    let before = world.store.gets();
    let reads = (0..20).map(|_| log.read(request(0, 1 << 20)));
    for outcome in futures::future::join_all(reads).await {
        assert!(!outcome.unwrap().batches.is_empty());
    }
    // One block index and one chunk for each segment touched.
    assert!(world.store.gets() - before <= 4, "{} gets", world.store.gets() - before);
}

/// What a fetch over many partitions does: it keeps what it has read while it reads on. It must not wait for memory that
/// it holds itself, nor for memory that another such fetch holds.
#[tokio::test(start_paused = true)]
async fn readers_that_hold_batches_do_not_wait_for_memory() {
    for log_cache in [0, 1 << 20] {
        let mut world = World::automatic();
        world.options.log_cache_bytes = log_cache;
        world.options.unflushed_cache_bytes = log_cache;
        world.options.flush_bytes = if log_cache == 0 { 1 << 20 } else { 4_000 };
        world.options.read_ahead_bytes = 500;
        (world.options.block_cache_bytes, world.options.catch_up_bytes) = (1_000, 1_000);
        let engine = world.open().await;
        world.create_topic(&engine, TOPIC, 8).await;
        let logs: Vec<_> = (0..8).map(|index| engine.partition(&partition(index)).unwrap()).collect();
        for log in &logs {
            fill(&engine, log, 20).await;
        }
        if log_cache > 0 {
            engine.close().await.unwrap();
        }
        let fetch = async {
            let mut held = Vec::new();
            for log in &logs {
                let request = ReadRequest { at_least_one: held.is_empty(), ..request(0, 100_000) };
                let outcome = log.read(request).await.unwrap();
                held.extend((!outcome.batches.is_empty()).then_some(outcome));
            }
            assert!(!held.is_empty());
            assert_eq!(ranges(&held[0].batches)[0].0, 0);
            tokio::task::yield_now().await;
        };
        let both = futures::future::join(fetch, async {
            for log in logs.iter().rev() {
                read_all(log).await;
            }
        });
        let limit = std::time::Duration::from_secs(60);
        tokio::time::timeout(limit, both).await.expect("readers wait for each other");
    }
}

/// Whoever reads in order finds the next piece in memory.
#[tokio::test(start_paused = true)]
async fn what_follows_is_read_ahead() {
    let mut world = World::automatic();
    world.options.flush_bytes = 1 << 20;
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    // Two of these do not share a block of a segment.
    for _ in 0..12 {
        append(&engine, &engine.partition(&partition(0)).unwrap(), prepared(1, 10, 40_000)).await;
    }
    engine.close().await.unwrap();
    world.crash(engine).await;
    let engine = world.open().await;
    let log = engine.partition(&partition(0)).unwrap();
    let (mut from, mut waited) = (0, 0);
    while from < 12 {
        let before = world.store.gets();
        let read = ranges(&log.read(request(from, 50_000)).await.unwrap().batches);
        waited += usize::from(world.store.gets() > before);
        from = read.last().unwrap().1 + 1;
        // The reader is away for a moment.
        world.clock.sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(world.store.gets() > 4, "several pieces: {} gets", world.store.gets());
    assert!(waited <= 1, "{waited} reads waited for the store");
}

/// A fetch over many partitions waits for the store once, not once for each.
#[tokio::test(start_paused = true)]
async fn neighbours_are_read_in_one_request() {
    const PARTITIONS: i32 = 40;
    let mut world = World::automatic();
    world.options.flush_bytes = 1 << 20;
    world.options.read_ahead_bytes = 100_000;
    world.options.read_ahead_depth = 8;
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, PARTITIONS).await;
    for number in 0..PARTITIONS {
        append(&engine, &engine.partition(&partition(number)).unwrap(), prepared(3, 10, 1_000)).await;
    }
    engine.close().await.unwrap();
    world.crash(engine).await;
    let engine = world.open().await;
    let logs: Vec<_> = (0..PARTITIONS).map(|number| engine.partition(&partition(number)).unwrap()).collect();
    let wanted = || logs.iter().map(|log| (Arc::clone(log), Offset(1)));
    let before = world.store.gets();
    engine.gather(wanted()).await;
    let gets = world.store.gets() - before;
    assert!((1..5).contains(&gets), "{gets} requests");
    for log in &logs {
        assert_eq!(ranges(&log.read(request(0, 50_000)).await.unwrap().batches), [(0, 2)]);
    }
    assert_eq!(world.store.gets() - before, gets, "all was there");
    // What is there is not loaded again, and the end of the log is in memory.
    engine.gather(wanted()).await;
    assert_eq!(world.store.gets() - before, gets);
    world.crash(engine).await;
}

/// From a store far away, several pieces are on their way for a reader in order.
#[tokio::test(start_paused = true)]
async fn readers_in_order_are_read_further_ahead_of() {
    let mut world = World::automatic();
    world.options.flush_bytes = 200_000;
    world.options.read_ahead_bytes = 30_000;
    world.options.read_ahead_depth = 8;
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    for _ in 0..60 {
        append(&engine, &log, prepared(1, 10, 10_000)).await;
    }
    engine.close().await.unwrap();
    world.crash(engine).await;
    let engine = world.open().await;
    let log = engine.partition(&partition(0)).unwrap();
    let (mut from, mut waited, mut seen) = (0, 0, Vec::new());
    while from < 60 {
        let before = world.store.gets();
        let read = ranges(&log.read(request(from, 30_000)).await.unwrap().batches);
        waited += usize::from(world.store.gets() > before && from > 0);
        from = read.last().unwrap().1 + 1;
        seen.extend(read);
        world.clock.sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(seen.len(), 60);
    assert!(waited <= 2, "{waited} reads waited for the store");
    world.crash(engine).await;
}

#[tokio::test(start_paused = true)]
async fn reads_end_at_the_bound() {
    let mut world = World::automatic();
    let engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    fill(&engine, &log, 6).await;
    let stable = ReadRequest { bound: ReadBound::LastStable, ..request(0, 100_000) };
    assert_eq!(log.last_stable_offset(), log.high_watermark());
    let outcome = log.read(stable).await.unwrap();
    assert_eq!(ranges(&outcome.batches).len(), 6);
    assert!(outcome.aborted.is_empty());
    assert!(log.read_now(request(0, 100_000)).is_some());
    // Who has no room for a batch is told where the log stands, and nothing is loaded for that.
    engine.close().await.unwrap();
    let gets = world.store.gets();
    let full = ReadRequest { at_least_one: false, ..request(0, 0) };
    let outcome = log.read(full).await.unwrap();
    assert_eq!((outcome.batches.len(), outcome.high_watermark.get()), (0, log.high_watermark().get()));
    assert_eq!(world.store.gets(), gets);
    assert_eq!(log.read(request(Offset(0).get(), 0)).await.unwrap().batches.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Any mix of appends, crashes, small caches and flushes: the log is exactly what was acked.
    #[test]
    fn the_log_is_what_was_acked(
        steps in proptest::collection::vec((0u8..10, 0i32..2, 1i32..5), 1..60), cache in 0usize..3_000, flush in 1u64..4_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().start_paused(true).enable_time().build().unwrap();
        runtime.block_on(async {
            let mut world = World::automatic();
            world.options.log_cache_bytes = cache;
            world.options.unflushed_cache_bytes = cache;
            world.options.flush_bytes = flush;
            let mut engine = world.open().await;
            world.create_topic(&engine, TOPIC, 2).await;
            let mut expected = [Vec::new(), Vec::new()];
            for (kind, index, records) in steps {
                match kind {
                    0 => {
                        world.crash(engine).await;
                        engine = world.open().await;
                    }
                    1 => {
                        engine.close().await.unwrap();
                        world.crash(engine).await;
                        engine = world.open().await;
                    }
                    _ => {
                        let log = engine.partition(&partition(index)).unwrap();
                        let appended = append(&engine, &log, prepared(records, 1, 30)).await;
                        expected[index as usize].push((appended.base_offset.get(), appended.last_offset.get()));
                        tokio::task::yield_now().await;
                    }
                }
            }
            for index in 0..2 {
                let log = engine.partition(&partition(index)).unwrap();
                assert_eq!(read_all(&log).await, expected[index as usize]);
            }
            world.crash(engine).await;
        });
    }
}
