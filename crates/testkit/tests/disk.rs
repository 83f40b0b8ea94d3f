//! The simulated disk does what it says.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::IoSlice;
use std::path::Path;

use waybill_rt::{Disk, DiskFile, OpenMode};
use waybill_testkit::disk::{Fault, OpKind, SimDisk, SimDiskOptions};

fn disk(seed: u64) -> SimDisk {
    SimDisk::new(seed, SimDiskOptions { log_lines: 50, ..SimDiskOptions::default() })
}

fn write(file: &dyn DiskFile, byte: u8, len: usize, at: u64) -> std::io::Result<()> {
    file.write_all_at(&[IoSlice::new(&vec![byte; len])], at)
}

#[test]
fn what_was_synced_stays_and_what_was_not_is_lost_kept_or_torn() {
    let (mut lost, mut kept, mut torn) = (0, 0, 0);
    for seed in 0..60 {
        let disk = disk(seed);
        disk.create_dir_all(Path::new("/d")).unwrap();
        let file = disk.open(Path::new("/d/f"), OpenMode::CreateNew).unwrap();
        write(&*file, 1, 4096, 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        write(&*file, 2, 4096, 4096).unwrap();
        let after = disk.crash();
        assert!(file.sync_data().is_err(), "an open file outlives its machine");
        let bytes = after.durable_bytes(Path::new("/d/f")).unwrap();
        assert_eq!(bytes[..4096], [1; 4096]);
        let twos = bytes[4096..].iter().filter(|byte| **byte == 2).count();
        assert_eq!(twos % 512, 0, "torn inside a sector");
        match twos {
            0 => lost += 1,
            4096 => kept += 1,
            _ => torn += 1,
        }
    }
    assert!(lost > 5 && kept > 5 && torn > 5, "{lost} {kept} {torn}");
}

#[test]
fn names_that_were_not_synced_may_vanish_and_a_rename_is_old_or_new() {
    let (mut vanished, mut renamed) = (0, 0);
    for seed in 0..60 {
        let disk = disk(seed);
        for name in ["/a", "/b"] {
            let file = disk.open(Path::new(name), OpenMode::CreateNew).unwrap();
            write(&*file, name.as_bytes()[1], 10, 0).unwrap();
            file.sync_data().unwrap();
        }
        disk.sync_dir(Path::new("/")).unwrap();
        disk.rename(Path::new("/a"), Path::new("/b")).unwrap();
        drop(disk.open(Path::new("/c"), OpenMode::CreateNew).unwrap());
        let after = disk.crash();
        vanished += usize::from(!after.exists(Path::new("/c")).unwrap());
        let bytes = after.durable_bytes(Path::new("/b")).unwrap();
        let moved = !after.exists(Path::new("/a")).unwrap();
        assert_eq!(bytes, vec![if moved { b'a' } else { b'b' }; 10]);
        renamed += usize::from(moved);
    }
    assert!(vanished > 10 && vanished < 55, "{vanished}");
    assert!(renamed > 5 && renamed < 55, "{renamed}");
}

#[test]
fn a_failed_sync_loses_what_reads_still_show() {
    let disk = disk(2);
    let file = disk.open(Path::new("/f"), OpenMode::CreateNew).unwrap();
    let other = disk.open(Path::new("/f"), OpenMode::ReadWrite).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let mut whole = 0;
    for nth in 0..20 {
        write(&*file, nth + 1, 4096, 0).unwrap();
        disk.plan(Fault::Eio { kind: OpKind::Sync, nth: disk.calls_of(OpKind::Sync) });
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
        // The pages count as clean now: another sync has nothing to do and says so.
        file.sync_data().unwrap();
        // Each open file is told of a failure once.
        assert!(other.sync_data().is_err());
        other.sync_data().unwrap();
        let mut seen = [0; 4096];
        file.read_exact_at(&mut seen, 0).unwrap();
        assert_eq!(seen, [nth + 1; 4096]);
        let durable = disk.durable_bytes(Path::new("/f")).unwrap();
        whole += usize::from(durable == [nth + 1; 4096]);
    }
    assert!(whole < 5, "{whole} of 20 failed syncs lost nothing");
}

#[test]
fn faults_come_when_they_are_planned() {
    let disk = disk(3);
    let file = disk.open(Path::new("/f"), OpenMode::CreateNew).unwrap();
    disk.plan(Fault::NoSpace { nth: 1 });
    write(&*file, 1, 10, 0).unwrap();
    assert_eq!(write(&*file, 2, 10, 0).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    write(&*file, 2, 10, 0).unwrap();
    // Space is taken by blocks, and by a longer file alone not at all.
    disk.set_capacity(4096 + 100);
    file.set_len(20_000).unwrap();
    assert!(write(&*file, 2, 10, 4090).is_err());
    write(&*file, 2, 10, 4000).unwrap();
    disk.fill();
    write(&*file, 2, 10, 5).unwrap();
    file.set_len(20).unwrap();
    assert_eq!(disk.free_space(Path::new("/")).unwrap(), 0);

    assert!(file.try_lock().unwrap());
    let again = disk.open(Path::new("/f"), OpenMode::Read).unwrap();
    assert!(!again.try_lock().unwrap());
    disk.sync_dir(Path::new("/")).unwrap();
    disk.plan(Fault::PowerOff { at: disk.calls() + 1 });
    assert!(file.sync_data().is_ok());
    assert!(file.sync_data().is_err());
    assert!(disk.is_off() && disk.open(Path::new("/f"), OpenMode::Read).is_err());
    let after = disk.crash();
    let file = after.open(Path::new("/f"), OpenMode::Read).unwrap();
    assert!(file.try_lock().unwrap(), "a lock does not outlive its holder");
}

#[test]
fn one_seed_gives_one_disk() {
    let run = |seed| {
        let disk = disk(seed);
        let file = disk.open(Path::new("/f"), OpenMode::CreateNew).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        for at in 0..10 {
            write(&*file, at, 3000, u64::from(at) * 1000).unwrap();
        }
        let after = disk.crash();
        (after.trace(), after.durable_bytes(Path::new("/f")))
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).1, run(8).1);
}

#[test]
fn direct_writes_must_be_aligned() {
    let disk = disk(1);
    drop(disk.open(Path::new("/f"), OpenMode::CreateNew).unwrap());
    let file = disk.open(Path::new("/f"), OpenMode::Direct).unwrap();
    assert_eq!(write(&*file, 1, 100, 0).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
