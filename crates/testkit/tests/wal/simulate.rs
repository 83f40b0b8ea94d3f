//! Many lives on one disk, by a seed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use waybill_rt::{Entropy, SeededEntropy, SharedClock, VirtualClock};
use waybill_testkit::disk::{Fault, OpKind, SimDisk, SimDiskOptions};
use waybill_testkit::seeds;
use waybill_types::TimestampMs;
use waybill_wal::{FileWal, RecoverError, Sabotage, Wal};

use crate::life::{DIR, Down, Setup, load, recover, start};
use crate::model::{Model, SharedModel};

/// What a run was, to compare two of one seed.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    trace: u64,
    acked: u64,
    lives: u32,
    refusals: u32,
    time: Duration,
}

/// Runs a world on its own paused clock.
fn in_simulation<T>(world: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(world)
}

fn simulate(seed: u64, sabotage: Sabotage) -> Result<Run, String> {
    in_simulation(async {
        let clock = VirtualClock::shared(TimestampMs(0));
        let entropy = SeededEntropy::new(seed);
        let setup = Setup::draw(&entropy, sabotage);
        let sector = if entropy.below(2) == 0 { 512 } else { 4096 };
        let mut disk = SimDisk::new(seed, SimDiskOptions { sector, ..SimDiskOptions::default() });
        let model = Model::shared();
        let (lives, mut refusals) = (2 + entropy.below(5) as u32, 0);
        for life in 0..=lives {
            // The last life has no faults: it must come up, and shows that everything acked is still there.
            let calm = life == lives;
            if !calm {
                plan_faults(&disk, &entropy);
            }
            let clean = one_life(&disk, &model, &setup, &clock, &entropy, calm).await?;
            let by_power = entropy.below(3) > 0;
            disk = if by_power { disk.crash() } else { disk.kill() };
            if entropy.below(3) == 0 {
                refusals += u32::from(damage(&disk, &model, &setup, &entropy, clean));
            }
            let violations = model.lock().violations.clone();
            if !violations.is_empty() {
                return Err(violations.join("; "));
            }
        }
        let acked = model.lock().acked;
        Ok(Run { trace: disk.trace(), acked, lives, refusals, time: clock.monotonic() })
    })
}

fn plan_faults(disk: &SimDisk, entropy: &SeededEntropy) {
    if entropy.below(4) > 0 {
        disk.plan(Fault::PowerOff { at: disk.calls() + entropy.below(300) });
    }
    if entropy.below(4) == 0 {
        let kind = [OpKind::Read, OpKind::Write, OpKind::Sync, OpKind::SyncDir][entropy.below(4) as usize];
        disk.plan(Fault::Eio { kind, nth: disk.calls_of(kind) + entropy.below(40) });
    }
    for _ in 0..entropy.below(3) {
        disk.plan(Fault::NoSpace { nth: disk.calls_of(OpKind::Write) + entropy.below(40) });
    }
}

/// Returns whether it ended with a clean stop.
async fn one_life(
    disk: &SimDisk,
    model: &SharedModel,
    setup: &Setup,
    clock: &SharedClock,
    entropy: &SeededEntropy,
    calm: bool,
) -> Result<bool, String> {
    let wal = match start(disk, model, setup, clock, entropy.next_u64()) {
        Ok(wal) => wal,
        Err(Down::Disk(why)) if calm => return Err(format!("a healthy disk fails: {why}")),
        Err(Down::Disk(_)) => return Ok(false),
        Err(Down::Lost(why)) => return Err(why),
        Err(Down::Refused(why)) => return Err(format!("refuses to start without damage: {why}")),
    };
    load(disk, &wal, model, clock, entropy).await;
    if calm {
        // Whatever is still queued needs room in the ring.
        let _ = crate::life::flush(disk, &wal, model);
    }
    let clean = entropy.below(3) == 0 && close(&wal, clock).await;
    drop(wal);
    // The writer's tasks see that they were left.
    clock.sleep(Duration::from_millis(1)).await;
    Ok(clean)
}

async fn close(wal: &FileWal, clock: &SharedClock) -> bool {
    tokio::select! {
        biased;
        closed = wal.close() => closed.is_ok(),
        // A full ring waits for segments, which nobody writes any more.
        () = clock.sleep(Duration::from_secs(5)) => false,
    }
}

/// Flips a bit in a record that was acked, is not in segments yet, and is covered: a later group says that it was
/// durable. The next start must refuse; then the bit is mended. Returns whether there was such a record.
fn damage(disk: &SimDisk, model: &SharedModel, setup: &Setup, entropy: &SeededEntropy, clean: bool) -> bool {
    let Some((path, byte)) = pick_covered(model, setup, entropy, clean) else { return false };
    let bit = entropy.below(8) as u32;
    if !disk.flip_bit(&path, byte, bit) {
        return false;
    }
    let trial = disk.copy();
    let outcome = recover(&trial, model, setup);
    disk.flip_bit(&path, byte, bit);
    match outcome {
        Err(Down::Refused(RecoverError::Damaged { .. })) => {}
        other => {
            let what = format!(
                "byte {byte} of {} is damaged, but: {:?}",
                path.display(),
                other.map(|found| found.1)
            );
            model.lock().violate(what);
        }
    }
    true
}

fn pick_covered(
    model: &SharedModel,
    setup: &Setup,
    entropy: &SeededEntropy,
    clean: bool,
) -> Option<(PathBuf, usize)> {
    let model = model.lock();
    let trim = model.committed.registered.trim;
    let groups = if clean { &model.groups[..] } else { model.groups.split_last()?.1 };
    let covered: Vec<_> = groups.iter().flatten().filter(|(_, position, _)| *position >= trim).collect();
    let (_, position, length) = covered.get(entropy.below(covered.len() as u64) as usize)?;
    let slot = position.0 / setup.file_size % u64::from(setup.files);
    let path = Path::new(DIR).join(format!("ring-{slot:03}"));
    // Anywhere in its entry or its records.
    let byte = position.0 % setup.file_size - 88 + entropy.below(*length as u64 + 88);
    Some((path, byte as usize))
}

#[test]
fn nothing_acked_is_lost_over_random_lives() {
    let (mut acked, mut refusals) = (0, 0);
    let seeds = seeds::run("wal", Duration::from_secs(4), |seed| {
        let run = simulate(seed, Sabotage::None)?;
        acked += run.acked;
        refusals += u64::from(run.refusals);
        Ok(())
    });
    println!("wal: {acked} records acked, {refusals} damages refused");
    // A simulation that hardly acks anything proves nothing.
    assert!(acked > 20 * seeds, "{acked}");
}

#[test]
fn one_seed_gives_one_run() {
    for seed in 0..5 {
        let runs = [simulate(seed, Sabotage::None).unwrap(), simulate(seed, Sabotage::None).unwrap()];
        assert_eq!(runs[0], runs[1]);
    }
    assert_ne!(simulate(0, Sabotage::None).unwrap(), simulate(1, Sabotage::None).unwrap());
}

/// Each rule that is left out is caught, by this seed, in this way. Should a change of the simulation make a seed miss,
/// `WAYBILL_SIM_MUTANTS=1` looks for the first one that does not.
#[test]
fn each_rule_left_out_is_caught() {
    let mutants = [
        (Sabotage::AckBeforeDurable, 9, "were acked"),
        (Sabotage::ScanStopsAtFirstBad, 0, "is damaged, but: Ok"),
        (Sabotage::RecycleBeforeTrim, 7, "can not be read"),
        (Sabotage::RewriteBlock, 19, "were acked"),
        (Sabotage::IgnoreDurable, 0, "is damaged, but: Ok"),
        (Sabotage::NoCover, 22, "is damaged, but: Ok"),
    ];
    let search = std::env::var_os("WAYBILL_SIM_MUTANTS").is_some();
    for (sabotage, seed, how) in mutants {
        let caught = |seed| simulate(seed, sabotage).err().filter(|what| what.contains(how));
        if search {
            println!("{sabotage:?}: {:?}", (0..5000).find(|seed| caught(*seed).is_some()));
            continue;
        }
        assert!(caught(seed).is_some(), "{sabotage:?}: seed {seed}: {:?}", simulate(seed, sabotage));
        assert!(simulate(seed, Sabotage::None).is_ok());
    }
}
