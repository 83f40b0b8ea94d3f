//! What SlateDB does where the rules of a metadata store lean on it.

mod steered;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::join_all;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use waybill_rt::{RealClock, Supervisor};

use crate::conformance::{a_requirement_that_fails_changes_nothing, any_op, bytes, everything};
use crate::{Batch, CommitSeq, MetaError, MetaStore, Op, SlateMeta, SlateOptions};
use steered::{Steered, Writes};

fn options() -> SlateOptions {
    SlateOptions { commit_budget: Duration::from_secs(5), store_retries: 2, ..SlateOptions::default() }
}

async fn open(store: Arc<dyn ObjectStore>, tasks: &Supervisor) -> SlateMeta {
    SlateMeta::open(store, "meta", options(), RealClock::shared(), tasks).await.unwrap()
}

fn put(key: &str, value: &str) -> Batch {
    let mut batch = Batch::default();
    batch.put(bytes(key), bytes(value));
    batch
}

async fn conforms(store: Arc<dyn ObjectStore>) {
    let tasks = Supervisor::default();
    for (path, which) in [("one", 0), ("two", 1)] {
        let meta = SlateMeta::open(Arc::clone(&store), path, options(), RealClock::shared(), &tasks);
        let meta = meta.await.unwrap();
        match which {
            0 => crate::conformance::puts_gets_scans_and_deletes(&meta).await,
            _ => a_requirement_that_fails_changes_nothing(&meta).await,
        }
        meta.close().await;
    }
    tasks.shutdown().await.unwrap();
}

#[tokio::test]
async fn memory_conforms() {
    conforms(Arc::new(InMemory::new())).await;
}

#[tokio::test]
async fn a_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let store = object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    conforms(Arc::new(store)).await;
}

#[tokio::test]
async fn it_agrees_with_a_map_and_keeps_it() {
    let (store, tasks) = (Arc::new(InMemory::new()), Supervisor::default());
    let mut model: BTreeMap<Bytes, Bytes> = BTreeMap::new();
    let (mut runner, mut last) = (TestRunner::deterministic(), CommitSeq(0));
    for _ in 0..4 {
        let meta = open(store.clone(), &tasks).await;
        for _ in 0..20 {
            let ops = proptest::collection::vec(any_op(), 0..5).new_tree(&mut runner).unwrap().current();
            let holds = ops.iter().all(|op| match op {
                Op::Require(key, value) => model.get(key) == value.as_ref(),
                _ => true,
            });
            let result = meta.commit(Batch { ops: ops.clone() }).await;
            assert_eq!(result.is_ok(), holds);
            if let Ok(sequence) = result {
                assert_eq!(sequence.0, last.0 + 1, "the sequence grows by one, across owners too");
                last = sequence;
            }
            for op in ops.into_iter().filter(|_| holds) {
                match op {
                    Op::Put(key, value) => drop(model.insert(key, value)),
                    Op::Delete(key) => drop(model.remove(&key)),
                    Op::Require(..) => {}
                }
            }
            let expected: Vec<_> = model.clone().into_iter().collect();
            assert_eq!(meta.scan(everything()).await.unwrap(), expected);
        }
        meta.close().await;
        assert!(matches!(meta.commit(put("a", "x")).await, Err(MetaError::Failed(_))));
        assert!(meta.get(b"a").await.is_err());
    }
    tasks.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_commit_is_told_and_shown_only_once_durable_and_dies_with_the_process() {
    let (bucket, tasks) = (Arc::new(InMemory::new()), Supervisor::default());
    let steered = Steered::new(&bucket);
    let meta = open(steered.shared(), &tasks).await;
    meta.commit(put("k", "1")).await.unwrap();

    steered.let_writes(Writes::Wait);
    let mut commit = meta.commit(put("k", "2"));
    // A conflict may rest on what is not durable: it is not told either.
    let mut rests = put("other", "x");
    rests.require(bytes("k"), Some(bytes("1")));
    let mut conflict = meta.commit(rests);
    for _ in 0..20 {
        assert!((&mut commit).now_or_never().is_none() && (&mut conflict).now_or_never().is_none());
        assert_eq!(meta.get(b"k").await.unwrap(), Some(bytes("1")));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Killed between the write and its durability.
    steered.let_writes(Writes::Dead);
    let next = open(bucket.clone(), &tasks).await;
    assert_eq!(next.get(b"k").await.unwrap(), Some(bytes("1")));
    assert!(commit.now_or_never().is_none());
    next.close().await;
}

#[tokio::test]
async fn a_newer_owner_ends_an_older_one_and_what_it_wrote_last_is_gone() {
    let (bucket, tasks) = (Arc::new(InMemory::new()), Supervisor::default());
    let old = open(bucket.clone(), &tasks).await;
    old.commit(put("k", "1")).await.unwrap();
    let new = open(bucket.clone(), &tasks).await;
    // It does not know yet, and reads what it knew. Its commit is refused.
    assert_eq!(old.get(b"k").await.unwrap(), Some(bytes("1")));
    let refused = old.commit(put("k", "old")).await;
    assert!(matches!(refused, Err(MetaError::Fenced(_))), "{refused:?}");
    assert!(matches!(old.commit(put("k", "old")).await, Err(MetaError::Fenced(_))));
    assert!(matches!(old.get(b"k").await, Err(MetaError::Fenced(_))));
    assert!(matches!(old.scan(everything()).await, Err(MetaError::Fenced(_))));
    old.over().await;
    assert_eq!(new.commit(put("j", "2")).await.unwrap(), CommitSeq(2));
    assert_eq!(new.scan(everything()).await.unwrap(), [(bytes("j"), bytes("2")), (bytes("k"), bytes("1"))]);
    tasks.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_commit_that_fails_or_takes_too_long_is_the_last() {
    for (writes, budget) in [(Writes::Fail, 5000), (Writes::Wait, 300)] {
        let (bucket, tasks) = (Arc::new(InMemory::new()), Supervisor::default());
        let steered = Steered::new(&bucket);
        let options = SlateOptions { commit_budget: Duration::from_millis(budget), ..options() };
        let open = SlateMeta::open(steered.shared(), "meta", options, RealClock::shared(), &tasks);
        let meta = open.await.unwrap();
        meta.commit(put("k", "1")).await.unwrap();
        steered.let_writes(writes);
        let result = meta.commit(put("k", "2")).await;
        assert!(matches!(result, Err(MetaError::Failed(_))), "{writes:?}: {result:?}");
        steered.let_writes(Writes::Work);
        assert!(matches!(meta.commit(put("k", "3")).await, Err(MetaError::Failed(_))));
        assert!(matches!(meta.get(b"k").await, Err(MetaError::Failed(_))));
        assert!(matches!(meta.ended(), Some(MetaError::Failed(_))));
        // The outcome of the second is unknown; the third was never written.
        let next = super::SlateMeta::open(bucket.clone(), "meta", options, RealClock::shared(), &tasks);
        let found = next.await.unwrap().get(b"k").await.unwrap();
        assert!(found == Some(bytes("1")) || found == Some(bytes("2")), "{found:?}");
        tasks.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn waiting_commits_share_a_file_and_few_files_are_replayed() {
    let (bucket, tasks) = (Arc::new(InMemory::new()), Supervisor::default());
    let steered = Steered::new(&bucket);
    let meta = open(steered.shared(), &tasks).await;
    let before = steered.counts().puts;
    let commits = (0..100).map(|key: u32| meta.commit(put(&format!("{key:03}"), "x")));
    assert!(join_all(commits).await.into_iter().all(|result| result.is_ok()));
    let files = steered.counts().puts - before;
    assert!(files <= 10, "{files} files for 100 commits at once");
    for key in 0..200 {
        meta.commit(put(&format!("{key:03}"), "y")).await.unwrap();
    }
    steered.let_writes(Writes::Dead);
    let steered = Steered::new(&bucket);
    let next = open(steered.shared(), &tasks).await;
    let read = steered.counts();
    println!("opening after 300 commits without a close: {read:?}");
    assert!(read.gets <= 2 * 64 + 16, "{read:?}");
    assert_eq!(next.scan(everything()).await.unwrap().len(), 200);
    tasks.shutdown().await.unwrap();
}

#[tokio::test]
async fn upkeep_starts_after_opening_compacts_and_stops() {
    let (bucket, tasks) = (Arc::new(InMemory::new()), Supervisor::default());
    let options = SlateOptions { poll: Duration::from_millis(100), replayed_files: 12, ..options() };
    let meta = SlateMeta::open(bucket.clone(), "meta", options, RealClock::shared(), &tasks).await.unwrap();
    for key in 0..100 {
        meta.commit(put(&format!("{key:03}"), "y")).await.unwrap();
    }
    let compactions = object_store::path::Path::from("meta/compactions");
    let started = || async {
        let listed = bucket.list_with_delimiter(Some(&compactions)).await.unwrap();
        !listed.objects.is_empty()
    };
    assert!(!started().await, "opening does not start the compactor");
    meta.start_upkeep();
    let done = async {
        while !started().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(8), done).await.unwrap();
    meta.commit(put("after", "z")).await.unwrap();
    assert_eq!(meta.scan(everything()).await.unwrap().len(), 101);
    meta.close().await;
    tasks.shutdown().await.unwrap();
    assert!(bucket.head(&object_store::path::Path::from("meta")).await.is_err());
}
