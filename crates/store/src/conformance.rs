//! Every object store of this crate does what it must.

use bytes::Bytes;
use waybill_rt::{RealDisk, Running};

use crate::conforms::{conforms, parts};
use crate::{DiskStore, MemoryStore, ObjectStore, Sharing, StoreError};

#[tokio::test]
async fn memory_conforms() {
    conforms(&MemoryStore::default()).await;
}

#[tokio::test]
async fn a_folder_conforms() {
    for running in [Running::Inline, Running::Blocking] {
        let folder = tempfile::tempdir().unwrap();
        conforms(&DiskStore::open(RealDisk::shared(), folder.path(), running).unwrap()).await;
        let folder = tempfile::tempdir().unwrap();
        let store = DiskStore::open(RealDisk::shared(), folder.path(), running).unwrap();
        conforms(&store.through_page_cache()).await;
    }
}

/// Ranges of every kind, around the page cache and through it: within a window, over its edge, large, at the end.
#[tokio::test]
async fn any_range_reads_the_same_either_way() {
    let object: Vec<u8> = (0..3_300_001u32).map(|at| (at % 251) as u8 ^ (at >> 13) as u8).collect();
    let parts: Vec<Bytes> = object.chunks(77_777).map(Bytes::copy_from_slice).collect();
    for around in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let store = DiskStore::open(RealDisk::shared(), folder.path(), Running::Inline).unwrap();
        let store = if around { store } else { store.through_page_cache() };
        store.put("one", parts.clone()).await.unwrap();
        assert_eq!(store.len("one").await.unwrap(), 3_300_001);
        let mut entropy = 7u64;
        for round in 0..400 {
            entropy = entropy.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let start = (entropy >> 33) % 3_310_000;
            let length = [0, 1, 4096, 50_000, 300_000, 1 << 20, 4 << 20][round % 7];
            let got = store.get("one", start..start + length).await.unwrap();
            let end = (start + length).min(3_300_001) as usize;
            assert!(got == object[(start as usize).min(end)..end], "{start} + {length}, around: {around}");
        }
        store.delete("one").await.unwrap();
        assert!(matches!(store.get("one", 0..10).await, Err(StoreError::NotFound(_))));
    }
}

#[tokio::test]
async fn a_shared_folder_conforms_and_two_processes_have_one_winner() {
    let folder = tempfile::tempdir().unwrap();
    let open = |seed| {
        let entropy = waybill_rt::SeededEntropy::new(seed);
        let (disk, running) = (RealDisk::shared(), Running::Blocking);
        DiskStore::open_as(disk, folder.path(), running, Sharing::Shared, &entropy).unwrap()
    };
    let (left, right) = (open(1), open(2));
    conforms(&left).await;
    for round in 0..20 {
        let name = format!("seg/00/{round}");
        let puts = [&left, &right, &left, &right].map(|store| store.put(&name, parts(&["mine"])));
        let won = futures::future::join_all(puts).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(won, 1);
        assert_eq!(right.get(&name, 0..9).await.unwrap(), "mine");
    }
    assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn large_objects_are_written_in_pieces_that_make_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(RealDisk::shared(), folder.path(), Running::Inline).unwrap();
    let part = |at: usize| Bytes::from(vec![at as u8; 300_000 + at * 7]);
    let object: Vec<Bytes> = (0..12).map(part).collect();
    let whole = object.concat();
    store.put("one", object.clone()).await.unwrap();
    store.put_gently("two", object).await.unwrap();
    for name in ["one", "two"] {
        assert!(store.get(name, 0..1 << 40).await.unwrap() == whole, "{name}");
    }
}

#[tokio::test]
async fn racing_puts_of_one_name_have_one_winner() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(RealDisk::shared(), folder.path(), Running::Blocking).unwrap();
    let puts = (0..8).map(|_| store.put("seg/00/1", parts(&["mine"])));
    let won = futures::future::join_all(puts).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
    assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn unfinished_writes_are_removed_and_bad_names_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tmp")).unwrap();
    std::fs::write(folder.path().join("tmp/0"), b"torn").unwrap();
    let store = DiskStore::open(RealDisk::shared(), folder.path(), Running::Inline).unwrap();
    assert!(store.list("").await.unwrap().is_empty());
    for name in ["", "/etc/passwd", "seg/../../x", "seg//x", "a b", "tmp/0", "."] {
        assert!(matches!(store.put(name, Vec::new()).await, Err(StoreError::Io { .. })), "{name:?}");
    }
    assert!(!folder.path().join("tmp/0").exists());
}
