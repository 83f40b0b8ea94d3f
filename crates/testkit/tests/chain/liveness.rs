//! What must happen in the end: a sealer ends a busy writer, a store that is down comes back.

use std::sync::Arc;
use std::time::Duration;

use waybill_rt::{SeededEntropy, SharedEntropy, VirtualClock};
use waybill_testkit::store::{FaultOptions, FaultyStore};
use waybill_types::{PartitionId, TimestampMs, TopicId, TopicPartition};
use waybill_wal::Sabotage;
use waybill_wal::chain::options::{ChainOptions, HedgeOptions};
use waybill_wal::chain::pace::PaceOptions;
use waybill_wal::chain::sealer::{SealJob, seal};
use waybill_wal::chain::slot::SealRecord;
use waybill_wal::chain::writer::Ending;

use crate::broker::{Broker, STORE, World};
use crate::meta::Meta;
use crate::simulate::in_simulation;

fn world(seed: u64, faults: FaultOptions, options: ChainOptions) -> World {
    let clock = VirtualClock::shared(TimestampMs(0));
    let entropy = Arc::new(SeededEntropy::new(seed));
    let store = FaultyStore::new(seed, faults, Arc::clone(&clock));
    let partition = TopicPartition::new(TopicId([7; 16]), PartitionId(0));
    let sabotage = Sabotage::None;
    let meta = Meta::new(&[partition], sabotage);
    World { clock, store, meta, history: Arc::default(), options, entropy, sabotage }
}

/// A writer that sends a new object as soon as it may.
fn busy(depth: u32) -> ChainOptions {
    let pace =
        PaceOptions { puts_per_second: 10_000.0, burst: 10_000.0, full_bytes: 1, ..PaceOptions::default() };
    ChainOptions { depth, pace, hedge: HedgeOptions::Off, ..ChainOptions::default() }
}

fn job(world: &World, broker: &Broker) -> SealJob {
    let (_, store) = world.client();
    let entropy: SharedEntropy = Arc::clone(&world.entropy) as _;
    SealJob {
        store,
        id: STORE,
        chain: broker.chain,
        trim: 1,
        record: SealRecord { term: 1, ..SealRecord::default() },
        options: world.options,
        clock: Arc::clone(&world.clock),
        entropy,
    }
}

/// Seals a writer that never pauses; how long that took.
async fn seal_busy(world: &World) -> Duration {
    let broker = Broker::start(world).await.unwrap();
    for _ in 0..8 {
        drop(tokio::spawn(Arc::clone(&broker).produce(world.clone())));
    }
    world.sleep(1_000, 3_000).await;
    let objects = broker.wal.metrics().objects.get();
    assert!(objects > 2, "{objects} objects: not busy");
    let began = world.clock.monotonic();
    let sealed = seal(job(world, &broker), |_, _| {}).await.unwrap();
    let took = world.clock.monotonic() - began;
    // The writer finds out by itself.
    world.sleep(3_000, 3_000).await;
    match broker.wal.ending() {
        Some(Ending::Sealed(slot)) => assert!(slot >= sealed.end),
        other => panic!("the writer goes on: {other:?}"),
    }
    took
}

#[test]
fn a_sealer_ends_a_busy_writer_at_every_depth() {
    for depth in [1, 2, 3, 4, 8, 16, 32, 64] {
        let mut times = Vec::new();
        for seed in 0..5 {
            let world = |faults| world(seed, faults, busy(depth));
            times.push(in_simulation(async { seal_busy(&world(FaultOptions::calm())).await }));
            let rough = in_simulation(async { seal_busy(&world(FaultOptions::rough())).await });
            assert!(rough < Duration::from_secs(60), "depth {depth}: {rough:?} on a bad day");
        }
        times.sort_unstable();
        println!("sealing a busy writer at depth {depth}: median {:?}, most {:?}", times[2], times[4]);
        assert!(times[4] < Duration::from_secs(4), "depth {depth}: {times:?}");
    }
}

#[test]
fn a_store_that_is_down_for_a_minute_costs_nothing_that_was_acked() {
    in_simulation(async {
        let options =
            ChainOptions { budget: Duration::from_secs(90), queue_bytes: 50_000, ..ChainOptions::default() };
        let world = world(1, FaultOptions::calm(), options);
        let broker = Broker::start(&world).await.unwrap();
        drop(tokio::spawn(Arc::clone(&broker).produce(world.clone())));
        world.sleep(2_000, 2_000).await;
        world.store.go_down(Duration::from_secs(60));
        world.sleep(55_000, 55_000).await;
        // Producers wait for room; nothing is refused, nothing grows.
        let queued = broker.wal.queue().used();
        assert!(queued > 0 && queued <= 50_000, "{queued}");
        let before = world.history.lock().acked.len();
        world.sleep(20_000, 20_000).await;
        assert_eq!(broker.wal.ending(), None);
        assert!(world.history.lock().acked.len() > before + 100);
    });
}

#[test]
fn a_third_of_requests_refused_slows_and_loses_nothing() {
    in_simulation(async {
        let faults = FaultOptions { refused: 0.33, ..FaultOptions::calm() };
        let world = world(2, faults, ChainOptions::default());
        let broker = Broker::start(&world).await.unwrap();
        drop(tokio::spawn(Arc::clone(&broker).produce(world.clone())));
        world.sleep(60_000, 60_000).await;
        assert_eq!(broker.wal.ending(), None);
        let acked = world.history.lock().acked.len();
        assert!(acked > 2_000, "{acked} batches in a minute");
    });
}
