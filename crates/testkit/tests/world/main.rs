//! A whole node in a simulated world: its disk, network, clock and chance are the simulator's. Producers retry through
//! crashes as idempotent clients do; what was acked must be there, once, at its offset.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers")]

mod node;
mod producer;

use std::collections::BTreeMap;
use std::time::Duration;

use waybill_rt::{Entropy, SeededEntropy};
use waybill_testkit::disk::{SimDisk, SimDiskOptions};
use waybill_testkit::seeds;

use node::World;
use producer::{PARTITIONS, Producer};

/// What a run was, to compare two of one seed.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    trace: u64,
    acked: BTreeMap<(i32, i64), String>,
    time: Duration,
}

/// Everything that survives a crash of the node: its disk, and its clients.
struct Survivors {
    disk: SimDisk,
    producers: Vec<Producer>,
    acked: BTreeMap<(i32, i64), String>,
    time: Duration,
}

fn simulate(seed: u64) -> Result<Run, String> {
    let entropy = SeededEntropy::new(seed);
    let mut survivors = Survivors {
        disk: SimDisk::new(seed, SimDiskOptions::default()),
        producers: (0..PARTITIONS).map(Producer::new).collect(),
        acked: BTreeMap::new(),
        time: Duration::ZERO,
    };
    let lives = 2 + entropy.below(3);
    for life in 0..=lives {
        // A runtime a life: when it goes, so does every task of the node, wherever it was.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let last = life == lives;
        let lived = runtime.block_on(live(&mut survivors, &entropy, last));
        drop(runtime);
        lived.map_err(|what| format!("life {life}: {what}"))?;
        survivors.disk = if entropy.below(2) == 0 { survivors.disk.crash() } else { survivors.disk.kill() };
    }
    Ok(Run { trace: survivors.disk.trace(), acked: survivors.acked, time: survivors.time })
}

async fn live(survivors: &mut Survivors, entropy: &SeededEntropy, last: bool) -> Result<(), String> {
    let world = World::start(&survivors.disk, entropy.next_u64()).await?;
    let client = world.client(entropy.next_u64());
    world.ensure_topic(&client).await?;
    for producer in &mut survivors.producers {
        producer.ensure_id(&client).await?;
    }
    let span = Duration::from_millis(50 + entropy.below(1500));
    tokio::select! {
        biased;
        // The moment of the crash.
        () = world.clock.sleep(span) => {}
        result = producer::run_all(&mut survivors.producers, &client, entropy) => result?,
    }
    if last {
        producer::settle(&mut survivors.producers, &client).await?;
    }
    for (place, value) in producer::take_acked(&mut survivors.producers) {
        if let Some(before) = survivors.acked.insert(place, value.clone()) {
            return Err(format!("{before:.20} and {value:.20} were both acked at {place:?}"));
        }
    }
    survivors.time += world.clock.monotonic();
    if last {
        producer::check(&client, &survivors.acked).await?;
        world.stop().await?;
    }
    Ok(())
}

#[test]
fn whatever_the_seed_nothing_acked_is_lost_doubled_or_moved() {
    seeds::run("a whole node through crashes", Duration::from_secs(8), |seed| simulate(seed).map(|_| ()));
}

#[test]
fn one_seed_run_twice_gives_equal_logs() {
    for seed in [3, 17, 4242] {
        assert_eq!(simulate(seed).unwrap(), simulate(seed).unwrap(), "seed {seed}");
    }
}
