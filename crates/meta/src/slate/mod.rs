//! The metadata store in a bucket: SlateDB.
//!
//! Life cycle: opened by the winner of an election, which fences every earlier owner; [`owner`] is the one task that
//! writes; [`upkeep`] (compaction and collection of garbage) starts afterwards, so that opening does not wait for it.
//! The first commit that fails, or whose outcome is unknown, ends the store in this process: every later call is
//! refused, reads too. A deposed owner learns of its end with its next commit (or poll), and may read stale values
//! until then: whoever tells others anything restates a commit that it has awaited.
//!
//! Keys stand behind one leading byte, so that the commit sequence has a place that no record can take.

mod owner;
mod reader;
pub mod upkeep;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use object_store::path::Path;
use parking_lot::Mutex;
use slatedb::config::{DurabilityLevel, ReadOptions, ScanOptions, Settings};
use slatedb::{CloseReason, Db, ErrorKind};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use waybill_rt::{SharedClock, Supervisor};

use crate::api::{Batch, CommitSeq, MetaError, MetaStore};
use owner::{Job, Owner};
pub use reader::SlateReader;

/// Commits that may wait for the owner.
const QUEUE: usize = 256;
/// What every record's key stands behind.
const RECORDS: u8 = 1;
/// The key of the commit sequence.
const SEQUENCE: &[u8] = &[0];

/// How the store behaves.
#[derive(Debug, Clone, Copy)]
pub struct SlateOptions {
    /// A commit that is not durable after so long ends the store.
    pub commit_budget: Duration,
    /// Opening fails after so long.
    pub open_budget: Duration,
    /// How often a request is tried again. Without a bound a store that is gone looks like one that hangs.
    pub store_retries: u32,
    /// How often an idle store looks whether it was fenced, and for compactions to do. Each look is a request or two.
    pub poll: Duration,
    /// Files of commits that the next open reads, about. The first commit after opening moves those that were read.
    pub replayed_files: u64,
    /// Bytes of commits in memory before further ones wait.
    pub unflushed_bytes: usize,
    /// Whether the store replaces an object only if it is unchanged (`If-Match`). Without that, old manifests are kept:
    /// a process that stood still could make a deleted one again.
    pub conditional_overwrites: bool,
}

impl Default for SlateOptions {
    fn default() -> Self {
        Self {
            commit_budget: Duration::from_secs(20),
            open_budget: Duration::from_secs(30),
            store_retries: 8,
            poll: Duration::from_secs(30),
            replayed_files: 64,
            unflushed_bytes: 32 << 20,
            conditional_overwrites: true,
        }
    }
}

impl SlateOptions {
    fn settings(&self) -> Settings {
        Settings {
            // The owner flushes when someone waits.
            flush_interval: None,
            manifest_poll_interval: self.poll,
            manifest_update_timeout: self.open_budget,
            l0_sst_size_bytes: 4 << 20,
            l0_max_ssts: 64,
            l0_max_ssts_per_key: 64,
            l0_flush_parallelism: 1,
            max_unflushed_bytes: self.unflushed_bytes,
            compactor_options: None,
            garbage_collector_options: None,
            object_store_max_retries: Some(self.store_retries),
            ..Settings::default()
        }
    }
}

/// A metadata store in a bucket. Clones are handles to the same one.
#[derive(Clone)]
pub struct SlateMeta {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
}

struct Shared {
    db: Db,
    store: Arc<dyn object_store::ObjectStore>,
    path: Path,
    options: SlateOptions,
    tasks: Supervisor,
    /// Why nothing is done any more.
    ended: Mutex<Option<MetaError>>,
    /// Cancelled together with `ended` being set, and when the store is closed.
    over: CancellationToken,
}

impl fmt::Debug for SlateMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlateMeta").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl SlateMeta {
    /// Opens the store below `path`, making it when it is not there, and fences whoever had it open. So: win the
    /// election first. Its task runs under `tasks` and ends with them, or with [`Self::close`].
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when another opened it meanwhile; [`MetaError::Unreadable`] when the store does not
    /// answer, or what it holds makes no sense.
    pub async fn open(
        store: Arc<dyn object_store::ObjectStore>,
        path: &str,
        options: SlateOptions,
        clock: SharedClock,
        tasks: &Supervisor,
    ) -> Result<Self, MetaError> {
        let path = Path::from(path);
        let opening = open_and_read(path.clone(), Arc::clone(&store), options).boxed();
        let (db, sequence) = match select(opening, clock.sleep(options.open_budget)).await {
            Either::Left((opened, _)) => opened?,
            Either::Right(_) => {
                let why = format!("the metadata store did not open within {:?}", options.open_budget);
                return Err(MetaError::Unreadable(why.into()));
            }
        };
        let ended = Mutex::new(None);
        let over = CancellationToken::new();
        let shared = Arc::new(Shared { db, store, path, options, tasks: tasks.clone(), ended, over });
        let (jobs, queue) = mpsc::channel(QUEUE);
        let owner = Owner::new(Arc::clone(&shared), clock, sequence);
        tasks.spawn("metadata store", owner.run(queue, tasks.stopping()));
        Ok(Self { shared, jobs })
    }

    /// Why this store does nothing any more; `None` while it does.
    #[must_use]
    pub fn ended(&self) -> Option<MetaError> {
        self.shared.ended.lock().clone()
    }

    /// Resolves when this store has ended, by a failed commit, a fence that was noticed, or [`Self::close`].
    pub async fn over(&self) {
        self.shared.over.cancelled().await;
    }

    /// Ends this store: commits under way are finished, later calls are refused.
    pub async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.jobs.send(Job::Close(answer)).await.is_ok() {
            // An owner that is gone has closed already.
            let _ = answered.await;
        }
    }
}

async fn open_and_read(
    path: Path,
    store: Arc<dyn object_store::ObjectStore>,
    options: SlateOptions,
) -> Result<(Db, u64), MetaError> {
    let db = Db::builder(path, store).with_settings(options.settings()).build().await.map_err(unreadable)?;
    let sequence = match db.get(SEQUENCE).await.map_err(unreadable)? {
        Some(bytes) => {
            let bytes = bytes.as_ref().try_into();
            bytes
                .map(u64::from_be_bytes)
                .map_err(|_| MetaError::Unreadable("the sequence is damaged".into()))?
        }
        None => 0,
    };
    Ok((db, sequence))
}

fn is_fence(error: &slatedb::Error) -> bool {
    matches!(error.kind(), ErrorKind::Closed(CloseReason::Fenced))
}

fn unreadable(error: slatedb::Error) -> MetaError {
    let why = error.to_string().into();
    if is_fence(&error) { MetaError::Fenced(why) } else { MetaError::Unreadable(why) }
}

fn failed(error: slatedb::Error) -> MetaError {
    let why = error.to_string().into();
    if is_fence(&error) { MetaError::Fenced(why) } else { MetaError::Failed(why) }
}

/// Where a record's key stands.
fn placed(key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + key.len());
    out.put_u8(RECORDS);
    out.put_slice(key);
    out.freeze()
}

impl Shared {
    fn check(&self) -> Result<(), MetaError> {
        self.ended.lock().clone().map_or(Ok(()), Err)
    }

    /// Ends the store, unless it has ended; returns why.
    fn end(&self, why: MetaError) -> MetaError {
        let why = self.ended.lock().get_or_insert(why).clone();
        self.over.cancel();
        why
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, MetaError> {
        self.check()?;
        let options = ReadOptions { durability_filter: DurabilityLevel::Remote, ..ReadOptions::default() };
        let value = self.db.get_with_options(placed(key), &options).await.map_err(unreadable)?;
        self.check()?;
        Ok(value)
    }

    async fn scan(&self, range: Range<Bytes>) -> Result<Vec<(Bytes, Bytes)>, MetaError> {
        self.check()?;
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let options = ScanOptions { durability_filter: DurabilityLevel::Remote, ..ScanOptions::default() };
        let placed = placed(&range.start)..placed(&range.end);
        let mut found = Vec::new();
        let mut entries = self.db.scan_with_options(placed, &options).await.map_err(unreadable)?;
        while let Some(entry) = entries.next().await.map_err(unreadable)? {
            found.push((entry.key.slice(1..), entry.value));
        }
        self.check()?;
        Ok(found)
    }
}

impl MetaStore for SlateMeta {
    fn get(&self, key: &[u8]) -> BoxFuture<'_, Result<Option<Bytes>, MetaError>> {
        let key = Bytes::copy_from_slice(key);
        async move { self.shared.get(&key).await }.boxed()
    }

    fn scan(&self, range: Range<Bytes>) -> BoxFuture<'_, Result<Vec<(Bytes, Bytes)>, MetaError>> {
        self.shared.scan(range).boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<CommitSeq, MetaError>> {
        async move {
            self.shared.check()?;
            let (answer, answered) = oneshot::channel();
            let gone = || {
                let ended = self.ended();
                ended.unwrap_or_else(|| MetaError::Failed("the metadata store is closed".into()))
            };
            self.jobs.send(Job::Commit(batch, answer)).await.map_err(|_| gone())?;
            answered.await.unwrap_or_else(|_| Err(gone()))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
