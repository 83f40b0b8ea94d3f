//! Open and aborted transactions, in memory, in segments and after a crash.

use std::sync::Arc;

use waybill_types::{Offset, ProducerId};

use crate::testing::world::{World, append, ranges, request};
use crate::testing::{TOPIC, marker, partition, prepared, transactional};
use crate::{AbortedTransaction, LogEngine, Partition, ReadBound, ReadRequest};

async fn end(engine: &LogEngine, log: &Arc<Partition>, producer: i64, commit: bool) {
    let (batch, info) = marker(producer, commit);
    let permit = engine.reserve(batch.size()).await.unwrap();
    let (_, ack) = log.append(batch, info, permit).unwrap();
    ack.await.unwrap();
}

async fn read_committed(log: &Partition) -> (Vec<(i64, i64)>, Vec<AbortedTransaction>) {
    let request = ReadRequest { bound: ReadBound::LastStable, ..request(log.log_start().get(), 100_000) };
    let outcome = log.read(request).await.unwrap();
    (ranges(&outcome.batches), outcome.aborted)
}

#[tokio::test(start_paused = true)]
async fn readers_stop_at_open_transactions_and_hear_of_aborted_ones() {
    let mut world = World::automatic();
    world.options.flush_bytes = 1 << 20;
    // Reads of one piece go over slices.
    world.options.read_ahead_bytes = 1 << 20;
    let mut engine = world.open().await;
    world.create_topic(&engine, TOPIC, 1).await;
    let log = engine.partition(&partition(0)).unwrap();
    append(&engine, &log, transactional(1, 0, 2)).await;
    append(&engine, &log, prepared(1, 1, 10)).await;
    append(&engine, &log, transactional(2, 0, 1)).await;
    assert_eq!((log.last_stable_offset(), log.high_watermark()), (Offset(0), Offset(4)));
    assert_eq!(read_committed(&log).await.0, []);
    end(&engine, &log, 1, false).await;
    assert_eq!(log.last_stable_offset(), Offset(3));
    let aborted =
        AbortedTransaction { producer_id: ProducerId(1), first_offset: Offset(0), last_offset: Offset(4) };
    assert_eq!(read_committed(&log).await, (vec![(0, 1), (2, 2)], vec![aborted]));

    for clean in [false, true] {
        if clean {
            engine.close().await.unwrap();
        }
        world.crash(engine).await;
        engine = world.open().await;
        let log = engine.partition(&partition(0)).unwrap();
        // The one still open is known, and so is the abort whose marker lies behind what is read.
        assert_eq!(log.last_stable_offset(), Offset(3), "clean {clean}");
        let (read, told) = read_committed(&log).await;
        assert_eq!((read.first(), told), (Some(&(0, 1)), vec![aborted]), "clean {clean}");
    }
    let log = engine.partition(&partition(0)).unwrap();
    end(&engine, &log, 2, true).await;
    assert_eq!(log.last_stable_offset(), Offset(6));
    assert_eq!(read_committed(&log).await.1, [aborted]);
}
