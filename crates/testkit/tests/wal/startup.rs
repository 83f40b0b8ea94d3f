//! A crash at every step of start-up.

use std::time::Duration;

use waybill_rt::VirtualClock;
use waybill_testkit::disk::{Fault, OpKind, SimDisk, SimDiskOptions};
use waybill_types::TimestampMs;
use waybill_wal::{Sabotage, Wal};

use crate::life::{Down, Setup, append, recover, start};
use crate::model::{Model, SharedModel};

/// A disk whose process died with acked records in the ring; with `records` 0, an empty disk.
async fn died_with(records: usize) -> (SimDisk, SharedModel, Setup) {
    let clock = VirtualClock::shared(TimestampMs(0));
    let setup = Setup { sabotage: Sabotage::None, ..Setup::small() };
    let (disk, model) = (SimDisk::new(3, SimDiskOptions::default()), Model::shared());
    if records == 0 {
        return (disk, model, setup);
    }
    let wal = start(&disk, &model, &setup, &clock, 1).unwrap();
    for n in 0..records {
        append(&wal, &model, 1000 + n * 700).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    while (model.lock().acked as usize) < records {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(wal);
    (disk.crash(), model, setup)
}

fn copy_of(model: &SharedModel) -> SharedModel {
    let copy = Model::shared();
    copy.lock().clone_from(&model.lock());
    copy
}

async fn crash_at_every_step(records: usize) -> u64 {
    let (image, truth, setup) = died_with(records).await;
    let clock = VirtualClock::shared(TimestampMs(0));
    let mut crashes = 0;
    for step in 0.. {
        let (disk, model) = (image.copy(), copy_of(&truth));
        disk.plan(Fault::PowerOff { at: disk.calls() + step });
        let first = start(&disk, &model, &setup, &clock, step);
        let reached = first.is_ok();
        match first {
            Ok(wal) => drop(wal),
            Err(Down::Disk(_)) => crashes += 1,
            Err(why) => panic!("step {step}: {why:?}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        for (disk, how) in [(disk.crash(), "power"), (disk.kill(), "kill")] {
            let again = copy_of(&model);
            let (ring, end, _) = recover(&disk, &again, &setup).unwrap_or_else(|why| {
                panic!("after {how} at step {step}: {why:?}");
            });
            drop(ring);
            again.lock().recovered(end);
            assert_eq!(again.lock().violations, Vec::<String>::new(), "after {how} at step {step}");
            assert_eq!(end, records as u64, "after {how} at step {step}");
            // And it comes up.
            let wal = start(&disk, &again, &setup, &clock, step).unwrap();
            append(&wal, &again, 10).await.unwrap();
            wal.close().await.unwrap();
            assert_eq!(again.lock().acked, records as u64 + 1);
        }
        if reached {
            break;
        }
    }
    crashes
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_every_step_of_start_up_is_repeated_from_the_untouched_ring() {
    let fresh = crash_at_every_step(0).await;
    let full = crash_at_every_step(12).await;
    println!("crashes: {fresh} on an empty disk, {full} with a log to recover");
    assert!(fresh > 15 && full > 40);
}

/// An I/O error at any step of start-up stops it, and the next one is whole.
#[tokio::test(start_paused = true)]
async fn an_io_error_at_every_step_of_start_up_stops_it() {
    let (image, truth, setup) = died_with(8).await;
    let clock = VirtualClock::shared(TimestampMs(0));
    for kind in [OpKind::Name, OpKind::Read, OpKind::Write, OpKind::Sync, OpKind::SyncDir] {
        for nth in 0.. {
            let (disk, model) = (image.copy(), copy_of(&truth));
            let before = disk.calls_of(kind);
            disk.plan(Fault::Eio { kind, nth: before + nth });
            let first = start(&disk, &model, &setup, &clock, nth);
            if let Err(Down::Refused(why)) = &first {
                panic!("{kind:?} {nth}: {why}");
            }
            let reached = first.is_ok();
            drop(first);
            tokio::time::sleep(Duration::from_millis(1)).await;
            let disk = disk.crash();
            let (_, end, _) = recover(&disk, &model, &setup).unwrap();
            assert_eq!((end, model.lock().violations.len()), (8, 0), "{kind:?} {nth}");
            if reached {
                break;
            }
        }
    }
}
