//! What every metadata store must do, run on each of them.

use bytes::Bytes;
use futures::executor::block_on;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use waybill_rt::{RealDisk, Running, SharedDisk};

use crate::{Batch, MemoryMeta, MetaError, MetaStore, Op, RedbMeta};

pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn real() -> SharedDisk {
    Arc::new(RealDisk)
}

pub(crate) fn everything() -> std::ops::Range<Bytes> {
    Bytes::new()..Bytes::from_static(&[0xff; 8])
}

pub(crate) async fn puts_gets_scans_and_deletes(store: &dyn MetaStore) {
    let mut batch = Batch::default();
    for key in ["b", "a", "c", "ca"] {
        batch.put(bytes(key), bytes(&key.repeat(2)));
    }
    let first = store.commit(batch).await.unwrap();
    assert_eq!(store.get(b"a").await.unwrap(), Some(bytes("aa")));
    assert_eq!(store.get(b"x").await.unwrap(), None);
    let found = store.scan(bytes("b")..bytes("ca")).await.unwrap();
    assert_eq!(found, [(bytes("b"), bytes("bb")), (bytes("c"), bytes("cc"))]);
    assert!(store.scan(bytes("z")..bytes("a")).await.unwrap().is_empty());
    let mut batch = Batch::default();
    batch.delete(bytes("a"));
    batch.delete(bytes("never was"));
    batch.put(bytes("b"), bytes("new"));
    let second = store.commit(batch).await.unwrap();
    assert!(second > first);
    assert_eq!(store.scan(everything()).await.unwrap().len(), 3);
    assert_eq!(store.get(b"b").await.unwrap(), Some(bytes("new")));
}

pub(crate) async fn a_requirement_that_fails_changes_nothing(store: &dyn MetaStore) {
    let mut batch = Batch::default();
    batch.put(bytes("k"), bytes("1"));
    store.commit(batch).await.unwrap();
    for required in [None, Some(bytes("2"))] {
        let mut batch = Batch::default();
        batch.put(bytes("k"), bytes("3"));
        batch.put(bytes("other"), bytes("3"));
        batch.require(bytes("k"), required);
        assert!(matches!(store.commit(batch).await, Err(MetaError::Conflict(key)) if key == "k"));
    }
    assert_eq!(store.get(b"k").await.unwrap(), Some(bytes("1")));
    assert_eq!(store.get(b"other").await.unwrap(), None);
    let mut batch = Batch::default();
    batch.put(bytes("k"), bytes("3"));
    batch.require(bytes("k"), Some(bytes("1")));
    batch.require(bytes("absent"), None);
    store.commit(batch).await.unwrap();
    assert_eq!(store.get(b"k").await.unwrap(), Some(bytes("3")));
}

#[tokio::test]
async fn memory_conforms() {
    puts_gets_scans_and_deletes(&MemoryMeta::default()).await;
    a_requirement_that_fails_changes_nothing(&MemoryMeta::default()).await;
}

#[tokio::test]
async fn redb_conforms() {
    for running in [Running::Inline, Running::Blocking] {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| RedbMeta::open(&real(), &folder.path().join(name), running).unwrap();
        puts_gets_scans_and_deletes(&open("meta/one.redb")).await;
        a_requirement_that_fails_changes_nothing(&open("meta/two.redb")).await;
    }
}

#[tokio::test]
async fn redb_keeps_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta/meta.redb");
    let first = {
        let store = RedbMeta::open(&real(), &path, Running::Inline).unwrap();
        let mut batch = Batch::default();
        batch.put(bytes("k"), bytes("v"));
        store.commit(batch).await.unwrap()
    };
    // What an interrupted creation leaves is not in the way.
    std::fs::write(folder.path().join("meta/meta.redb.new"), b"torn").unwrap();
    let store = RedbMeta::open(&real(), &path, Running::Inline).unwrap();
    assert_eq!(store.get(b"k").await.unwrap(), Some(bytes("v")));
    assert!(store.commit(Batch::default()).await.unwrap() > first);
}

#[test]
fn a_failed_memory_commit_changes_nothing() {
    let store = MemoryMeta::default();
    store.fail_after(1);
    let mut batch = Batch::default();
    batch.put(bytes("k"), bytes("v"));
    block_on(store.commit(batch)).unwrap();
    let mut batch = Batch::default();
    batch.put(bytes("k"), bytes("w"));
    assert!(matches!(block_on(store.commit(batch)), Err(MetaError::Failed(_))));
    assert_eq!(block_on(store.get(b"k")).unwrap(), Some(bytes("v")));
}

pub(crate) fn any_op() -> impl Strategy<Value = Op> {
    let key = "[ab]{1,2}".prop_map(|key| bytes(&key));
    let value = "[xy]".prop_map(|value| bytes(&value));
    prop_oneof![
        4 => (key.clone(), value.clone()).prop_map(|(key, value)| Op::Put(key, value)),
        2 => key.clone().prop_map(Op::Delete),
        1 => (key, proptest::option::of(value)).prop_map(|(key, value)| Op::Require(key, value)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn both_agree_with_a_map(
        batches in proptest::collection::vec(proptest::collection::vec(any_op(), 0..5), 1..8),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let redb = RedbMeta::open(&real(), &folder.path().join("m"), Running::Inline).unwrap();
        let memory = MemoryMeta::default();
        let mut model: BTreeMap<Bytes, Bytes> = BTreeMap::new();
        for ops in batches {
            let holds = ops.iter().all(|op| match op {
                Op::Require(key, value) => model.get(key) == value.as_ref(),
                _ => true,
            });
            for store in [&redb as &dyn MetaStore, &memory] {
                let result = block_on(store.commit(Batch { ops: ops.clone() }));
                prop_assert_eq!(result.is_ok(), holds);
            }
            for op in ops.into_iter().filter(|_| holds) {
                match op {
                    Op::Put(key, value) => drop(model.insert(key, value)),
                    Op::Delete(key) => drop(model.remove(&key)),
                    Op::Require(..) => {}
                }
            }
            let expected: Vec<_> = model.clone().into_iter().collect();
            for store in [&redb as &dyn MetaStore, &memory] {
                prop_assert_eq!(&block_on(store.scan(everything())).unwrap(), &expected);
            }
        }
    }
}
