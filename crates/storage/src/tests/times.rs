//! Offsets by time, against a list searched from the front.

use proptest::prelude::*;
use waybill_types::{Offset, TimestampMs};

use crate::testing::world::{World, append};
use crate::testing::{TOPIC, partition, prepared};
use crate::{Partition, ReadBound};

async fn by_time(log: &Partition, timestamp: i64) -> Option<(i64, i64)> {
    let found = log.offset_for_timestamp(TimestampMs(timestamp), ReadBound::HighWatermark).await.unwrap();
    found.map(|found| (found.timestamp.get(), found.offset.get()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn lookups_agree_with_a_naive_search(
        batches in proptest::collection::vec((1i32..5, 0i64..40), 1..30),
        flush in 1u64..3_000, cache in 0usize..2_000, start in 0i64..40,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().start_paused(true).enable_time().build().unwrap();
        runtime.block_on(async {
            let mut world = World::automatic();
            world.options.flush_bytes = flush;
            world.options.log_cache_bytes = cache;
            world.options.unflushed_cache_bytes = cache;
            let engine = world.open().await;
            world.create_topic(&engine, TOPIC, 1).await;
            let log = engine.partition(&partition(0)).unwrap();
            let mut records = Vec::new();
            for (count, timestamp) in batches {
                let appended = append(&engine, &log, prepared(count, timestamp, 20)).await;
                let base = appended.base_offset.get();
                records.extend((0..i64::from(count)).map(|at| (timestamp + at, base + at)));
                tokio::task::yield_now().await;
            }
            let start = log.delete_records(Offset(start.min(log.high_watermark().get()))).await.unwrap().get();
            records.retain(|(_, offset)| *offset >= start);
            for timestamp in 0..46 {
                let naive = records.iter().find(|(time, _)| *time >= timestamp).copied();
                assert_eq!(by_time(&log, timestamp).await, naive, "timestamp {timestamp}");
            }
            let latest = records.iter().map(|(time, _)| *time).max();
            let found = log.max_timestamp_offset().await.unwrap();
            let naive = records.iter().find(|(time, _)| Some(*time) == latest);
            assert_eq!(found.map(|found| (found.timestamp.get(), found.offset.get())).as_ref(), naive);
            world.crash(engine).await;
        });
    }
}
