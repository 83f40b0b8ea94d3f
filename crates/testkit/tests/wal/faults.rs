//! Single faults, and what exactly they do.

use std::sync::Arc;
use std::time::Duration;

use waybill_rt::{SharedClock, VirtualClock};
use waybill_testkit::disk::{Fault, OpKind, SimDisk, SimDiskOptions};
use waybill_types::TimestampMs;
use waybill_wal::{FileWal, Wal, WalError};

use crate::life::{Setup, append, recover, start};
use crate::model::{Model, SharedModel};

async fn running() -> (SimDisk, SharedModel, Setup, SharedClock, Arc<FileWal>) {
    let clock = VirtualClock::shared(TimestampMs(0));
    let (setup, model) = (Setup::small(), Model::shared());
    let disk = SimDisk::new(9, SimDiskOptions::default());
    let wal = start(&disk, &model, &setup, &clock, 0).unwrap();
    append(&wal, &model, 100).await.unwrap();
    clock.sleep(Duration::from_millis(50)).await;
    assert_eq!(model.lock().acked, 1);
    (disk, model, setup, clock, wal)
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_or_write_poisons_and_the_next_start_serves_all_that_was_acked() {
    for kind in [OpKind::Sync, OpKind::Write] {
        let (disk, model, setup, clock, wal) = running().await;
        disk.plan(Fault::Eio { kind, nth: disk.calls_of(kind) });
        append(&wal, &model, 200).await.unwrap();
        append(&wal, &model, 300).await.unwrap();
        clock.sleep(Duration::from_millis(50)).await;
        assert!(model.lock().poisoned);
        assert_eq!(model.lock().acked, 1);
        assert_eq!(wal.metrics().poisoned.get(), 1);
        assert!(matches!(append(&wal, &model, 1).await, Err(WalError::Poisoned(_))));
        assert!(matches!(wal.close().await, Err(WalError::Poisoned(_))));
        drop(wal);
        let (_, end, _) = recover(&disk.crash(), &model, &setup).unwrap();
        assert!(end >= 1 && model.lock().violations.is_empty());
        // The next process after a kill finds the lock free.
        recover(&disk.kill(), &model, &setup).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_waited_for() {
    let (disk, model, _, clock, wal) = running().await;
    disk.plan(Fault::NoSpace { nth: disk.calls_of(OpKind::Write) });
    append(&wal, &model, 200).await.unwrap();
    clock.sleep(Duration::from_millis(50)).await;
    assert_eq!(model.lock().acked, 1);
    assert!(matches!(append(&wal, &model, 1).await, Err(WalError::NoSpace(_))));
    clock.sleep(Duration::from_millis(300)).await;
    assert_eq!(model.lock().state(), (2, false));
    append(&wal, &model, 1).await.unwrap();
    clock.sleep(Duration::from_millis(50)).await;
    assert_eq!(model.lock().acked, 3);
    wal.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_while_zeroing_is_waited_for() {
    let (disk, model, _, clock, wal) = running().await;
    disk.set_capacity(40 << 10);
    for _ in 0..5 {
        let _ = append(&wal, &model, 9000).await;
    }
    clock.sleep(Duration::from_secs(1)).await;
    assert!(model.lock().unacked() > 0 && wal.metrics().no_space.get() > 0);
    disk.set_capacity(1 << 30);
    clock.sleep(Duration::from_secs(1)).await;
    assert_eq!((model.lock().unacked(), wal.metrics().poisoned.get()), (0, 0));
}

/// Zeroing ahead finds the disk full while nothing waits to be written: produce is refused, and taken again once there
/// is space, although no write of the log tells so.
#[tokio::test(start_paused = true)]
async fn a_disk_that_was_full_is_taken_again_without_a_write() {
    let (disk, model, _, clock, wal) = running().await;
    disk.fill();
    // Into what is zeroed already; behind it, in the next file, zeroing would make the file longer.
    for size in [14_000, 9_000] {
        append(&wal, &model, size).await.unwrap();
        clock.sleep(Duration::from_millis(20)).await;
    }
    // Longer than until the empty group that covers the last one: nothing is left to write.
    clock.sleep(Duration::from_millis(500)).await;
    assert_eq!((model.lock().unacked(), wal.metrics().poisoned.get()), (0, 0));
    assert!(wal.metrics().no_space.get() > 1);
    assert!(matches!(append(&wal, &model, 1).await, Err(WalError::NoSpace(_))));
    disk.set_capacity(1 << 30);
    clock.sleep(Duration::from_secs(1)).await;
    append(&wal, &model, 1).await.unwrap();
    clock.sleep(Duration::from_millis(20)).await;
    assert_eq!(model.lock().unacked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_zeroing_poisons() {
    let (disk, model, _, clock, wal) = running().await;
    let zeroed = disk.calls_of(OpKind::Sync);
    // The next sync is the group's, the one after it the zeroing's of what comes next.
    disk.plan(Fault::Eio { kind: OpKind::Sync, nth: zeroed + 2 });
    for _ in 0..3 {
        let _ = append(&wal, &model, 14_000).await;
        clock.sleep(Duration::from_millis(20)).await;
    }
    assert!(model.lock().poisoned);
    assert!(model.lock().violations.is_empty());
}
