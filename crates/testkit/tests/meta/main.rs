//! The metadata store of a local directory on a disk that loses power, kills and fills up at any call.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use bytes::Bytes;
use futures::executor::block_on;
use waybill_meta::{Batch, MetaError, MetaStore, RedbMeta};
use waybill_rt::{Disk, Running};
use waybill_testkit::disk::{Fault, OpKind, SimDisk, SimDiskOptions};

const PATH: &str = "/node/meta/meta.redb";

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed, SimDiskOptions::default());
    // The storage root is there: its lock was taken in it.
    disk.create_dir_all(Path::new("/node")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn open(disk: &SimDisk) -> Result<RedbMeta, MetaError> {
    RedbMeta::open(&disk.shared(), Path::new(PATH), Running::Inline)
}

fn put(store: &RedbMeta, key: &str, value: &[u8]) -> Result<(), MetaError> {
    let mut batch = Batch::default();
    batch.put(key.to_owned(), value.to_owned());
    block_on(store.commit(batch)).map(|_| ())
}

fn get(store: &RedbMeta, key: &str) -> Option<Bytes> {
    block_on(store.get(key.as_bytes())).unwrap()
}

/// A process that is killed at any call of making the store, a second one that tells of a commit, then a power loss.
#[test]
fn a_kill_then_a_power_loss_loses_no_commit_that_was_told() {
    let (mut kills, mut at) = (0, 0);
    loop {
        let first = disk(at);
        first.plan(Fault::PowerOff { at: first.calls() + at });
        let whole = open(&first).is_ok();
        for seed in 0..8 {
            let second = first.kill();
            let store = open(&second).unwrap();
            put(&store, "told", &[seed]).unwrap();
            // What the power takes differs by how much chance was drawn before.
            for _ in 0..seed {
                drop(store.clone());
                let _ = second.exists(Path::new(PATH));
                put(&store, "more", &[seed]).unwrap();
            }
            drop(store);
            let third = second.crash();
            let store = open(&third).unwrap();
            assert_eq!(get(&store, "told"), Some(Bytes::from(vec![seed])), "killed at call {at}");
            kills += 1;
        }
        if whole {
            break;
        }
        at += 1;
    }
    println!("{kills} kills at {at} calls");
    assert!(at > 20, "only {at} calls");
}

#[test]
fn a_power_loss_at_any_call_keeps_what_was_told() {
    for seed in 0..20 {
        let mut at = 0;
        loop {
            let first = disk(seed);
            let (mut told, calls) = (Vec::new(), first.calls());
            first.plan(Fault::PowerOff { at: calls + at });
            if let Ok(store) = open(&first) {
                let keys = ["a", "b", "c", "d"];
                told.extend(keys.into_iter().take_while(|key| put(&store, key, &[1; 3000]).is_ok()));
            }
            let ended = !first.is_off();
            let store = open(&first.crash()).unwrap();
            for key in &told {
                assert!(get(&store, key).is_some(), "seed {seed}, call {at}: {key} was told and is lost");
            }
            if ended {
                break;
            }
            // Each call once, over all seeds more than once.
            at += 1 + seed % 7;
        }
    }
}

/// Each write of a commit meets a full disk once: the commit changes nothing, the store goes on, and what was told is
/// there after a power loss.
#[test]
fn a_full_disk_changes_nothing_and_ends_nothing() {
    let (mut refused, mut nth) = (0, 0);
    loop {
        let disk = disk(nth);
        let store = open(&disk).unwrap();
        put(&store, "before", b"1").unwrap();
        disk.plan(Fault::NoSpace { nth: disk.calls_of(OpKind::Write) + nth });
        let large = vec![7; 200_000];
        let result = put(&store, "large", &large);
        if result.is_ok() {
            break;
        }
        assert!(matches!(result, Err(MetaError::NoSpace(_))), "write {nth}: {result:?}");
        refused += 1;
        assert_eq!((get(&store, "before"), get(&store, "large")), (Some(Bytes::from("1")), None));
        put(&store, "after", b"2").unwrap();
        put(&store, "large", &large).unwrap();
        let store = open(&disk.crash()).unwrap();
        assert_eq!(get(&store, "before"), Some(Bytes::from("1")));
        assert_eq!(get(&store, "after"), Some(Bytes::from("2")));
        assert_eq!(get(&store, "large").map(|value| value.len()), Some(large.len()));
        nth += 1;
    }
    assert!(refused > 3, "only {refused} writes");
}

/// A disk that stays full: every commit that needs more of it is refused, reads go on, and so does everything after.
#[test]
fn a_disk_that_stays_full_is_waited_for() {
    let disk = disk(3);
    let store = open(&disk).unwrap();
    put(&store, "before", b"1").unwrap();
    disk.fill();
    let large = vec![7; 4 << 20];
    for _ in 0..5 {
        assert!(matches!(put(&store, "large", &large), Err(MetaError::NoSpace(_))));
        assert_eq!((get(&store, "before"), get(&store, "large")), (Some(Bytes::from("1")), None));
    }
    disk.set_capacity(1 << 40);
    put(&store, "large", &large).unwrap();
    let store = open(&disk.crash()).unwrap();
    assert_eq!(get(&store, "large").map(|value| value.len()), Some(large.len()));
}

/// A disk that is gone when the store is to be opened again is no full disk.
#[test]
fn a_disk_that_fails_after_it_was_full_is_final() {
    let disk = disk(5);
    let store = open(&disk).unwrap();
    disk.fill();
    disk.plan(Fault::Eio { kind: OpKind::Name, nth: disk.calls_of(OpKind::Name) });
    assert!(matches!(put(&store, "a", &vec![7; 4 << 20]), Err(MetaError::Failed(_))));
    disk.set_capacity(1 << 40);
    assert!(matches!(put(&store, "a", b"1"), Err(MetaError::Failed(_))));
}

/// Any other failure is final: its outcome is not known.
#[test]
fn a_failed_sync_is_final() {
    let disk = disk(4);
    let store = open(&disk).unwrap();
    disk.plan(Fault::Eio { kind: OpKind::Sync, nth: disk.calls_of(OpKind::Sync) });
    assert!(matches!(put(&store, "a", b"1"), Err(MetaError::Failed(_))));
    assert!(matches!(put(&store, "b", b"1"), Err(MetaError::Failed(_))));
}
