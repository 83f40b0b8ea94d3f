//! Many lives on one disk, by a seed.

use std::time::Duration;

use waybill_rt::{Entropy, SeededEntropy, VirtualClock};
use waybill_storage::Sabotage;
use waybill_testkit::disk::{Fault, OpKind, SimDisk, SimDiskOptions};
use waybill_testkit::seeds;
use waybill_testkit::store::{FaultOptions, FaultyStore, Latency};
use waybill_types::{BrokerId, TimestampMs};

use crate::life::{Down, Life, Log, Setup};
use crate::model::Model;

/// What a run was, to compare two of one seed.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    trace: u64,
    acked: u64,
    duplicates: u64,
    lives: u64,
    /// Records of compacted topics: acked, and there at the end.
    tables: (u64, u64),
    time: Duration,
}

/// As a bad day has it, but quick, so that a short life sees many answers.
fn rough() -> FaultOptions {
    let ms = Duration::from_millis;
    FaultOptions {
        put: Latency::new(ms(2), ms(12)),
        get: Latency::new(ms(1), ms(6)),
        list: Latency::new(ms(2), ms(10)),
        latest: ms(2_000),
        ..FaultOptions::rough()
    }
}

fn calm() -> FaultOptions {
    let FaultOptions { put, get, list, .. } = rough();
    FaultOptions { put, get, list, ..FaultOptions::calm() }
}

fn simulate(seed: u64, sabotage: Sabotage) -> Result<Run, String> {
    lives(seed, sabotage, false)
}

fn lives(seed: u64, sabotage: Sabotage, chained: bool) -> Result<Run, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let clock = VirtualClock::shared(TimestampMs(1_000));
        let entropy = SeededEntropy::new(seed);
        let setup = Setup::draw(&entropy, sabotage);
        let sector = if entropy.below(2) == 0 { 512 } else { 4096 };
        let mut disk = SimDisk::new(seed, SimDiskOptions { sector, ..SimDiskOptions::default() });
        let objects = FaultyStore::new(seed, rough(), clock.clone());
        let mut model = Model::default();
        let (lives, mut up) = (2 + entropy.below(5), 0);
        for life in 0..=lives {
            // The last life has no faults: it must come up and shows that everything acked is there, once.
            let calm = life == lives;
            if calm {
                objects.behave(self::calm());
            } else {
                plan_faults(&disk, &entropy);
            }
            let steps = 20 + entropy.below(120);
            // Each start may be another node's, which goes on from whatever chain led last.
            let node = BrokerId(1 + if chained { entropy.below(3) as i32 } else { 0 });
            let log = if chained { Log::Chain(&objects, node, life + 1) } else { Log::Ring };
            match Life::start(&disk, log, &setup, &clock, entropy.next_u64()).await {
                Ok(process) => {
                    up += 1;
                    let faulty = !calm;
                    process
                        .load(&disk, &mut model, &clock, &entropy, if faulty { steps } else { 20 })
                        .await?;
                    if calm {
                        process.check(&mut model, &clock).await?;
                        process.look_at_all_of_it(&clock).await?;
                        break;
                    }
                    if entropy.below(4) == 0 {
                        let close = process.engine.close();
                        let gave_up = clock.sleep(Duration::from_secs(5));
                        tokio::select! { biased; _ = close => {} () = gave_up => {} }
                    }
                    process.end(&clock).await;
                }
                Err(Down::Disk(why) | Down::Refused(why)) if calm => {
                    return Err(format!("does not start on a healthy disk: {why}"));
                }
                Err(Down::Disk(_) | Down::Refused(_)) => {}
            }
            disk = if entropy.below(3) > 0 { disk.crash() } else { disk.kill() };
        }
        let Model { acked, duplicates, tables, .. } = model;
        let trace = disk.trace() ^ objects.trace();
        let tables = (tables.acked, tables.left);
        Ok(Run { trace, acked, duplicates, lives: up, tables, time: clock.monotonic() })
    })
}

fn plan_faults(disk: &SimDisk, entropy: &SeededEntropy) {
    if entropy.below(4) > 0 {
        disk.plan(Fault::PowerOff { at: disk.calls() + entropy.below(1_200) });
    }
    if entropy.below(4) == 0 {
        let kinds = [OpKind::Read, OpKind::Write, OpKind::Sync, OpKind::SyncDir, OpKind::Change];
        let kind = kinds[entropy.below(kinds.len() as u64) as usize];
        disk.plan(Fault::Eio { kind, nth: disk.calls_of(kind) + entropy.below(80) });
    }
    for _ in 0..entropy.below(2) {
        disk.plan(Fault::NoSpace { nth: disk.calls_of(OpKind::Write) + entropy.below(80) });
    }
}

#[test]
fn nothing_acked_is_lost_or_doubled_over_random_lives() {
    let (mut acked, mut duplicates, mut tables) = (0, 0, (0, 0));
    let seeds = seeds::run("storage", Duration::from_secs(4), |seed| {
        let run = simulate(seed, Sabotage::None)?;
        acked += run.acked;
        duplicates += run.duplicates;
        tables = (tables.0 + run.tables.0, tables.1 + run.tables.1);
        Ok(())
    });
    let (written, left) = tables;
    println!(
        "storage: {acked} batches acked, {duplicates} retries known; {left} of {written} records left in tables"
    );
    assert!(left < written / 2 + 20 * seeds, "log compaction hardly does anything: {left} of {written}");
    assert!(acked > 20 * seeds, "a simulation that hardly acks anything proves nothing: {acked}");
}

#[test]
fn nothing_acked_is_lost_or_doubled_with_the_log_in_a_chain_on_a_bad_store() {
    let (mut acked, mut duplicates) = (0, 0);
    let seeds = seeds::run("storage-chain", Duration::from_secs(3), |seed| {
        let run = lives(seed, Sabotage::None, true)?;
        acked += run.acked;
        duplicates += run.duplicates;
        Ok(())
    });
    println!("storage, chain: {acked} batches acked, {duplicates} retries known");
    assert!(acked > 15 * seeds, "a simulation that hardly acks anything proves nothing: {acked}");
}

#[test]
fn one_seed_gives_one_run() {
    for seed in 0..3 {
        assert_eq!(simulate(seed, Sabotage::None).unwrap(), simulate(seed, Sabotage::None).unwrap());
        let chained = || lives(seed, Sabotage::None, true).unwrap();
        assert_eq!(chained(), chained());
    }
    assert_ne!(simulate(0, Sabotage::None).unwrap(), simulate(1, Sabotage::None).unwrap());
}

/// How many seeds are tried before a rule counts as not covered.
const TRIES: u64 = 2_000;

/// Each rule that is left out is caught. The search begins at the seed that caught it last; a change of the simulation
/// moves that, so it goes on from there. Whether the log is a chain, and data are in the same bad store, is told too.
#[test]
fn each_rule_left_out_is_caught() {
    let mutants = [
        (Sabotage::DuplicateAckedInFlight, false, 35),
        (Sabotage::SnapshotOfMemory, false, 63),
        (Sabotage::CommitWithoutSnapshot, false, 0),
        (Sabotage::DeleteBeforeCommit, false, 2),
        (Sabotage::CommitWithoutInputs, false, 0),
        (Sabotage::CommitWithoutPrepare, true, 62),
        (Sabotage::CleanBeyondStable, false, 43),
        (Sabotage::DropTombstonesEarly, false, 0),
        (Sabotage::DropLastBatch, false, 0),
    ];
    for (sabotage, chained, first) in mutants {
        let caught = (first..first + TRIES)
            .find_map(|seed| lives(seed, sabotage, chained).err().map(|what| (seed, what)));
        let (seed, what) =
            caught.unwrap_or_else(|| panic!("{sabotage:?} is not caught by any of {TRIES} seeds"));
        println!("{sabotage:?}: seed {seed}: {what}");
    }
}
