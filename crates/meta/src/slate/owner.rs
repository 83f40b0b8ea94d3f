//! The one task that writes: takes the commits that wait, applies them one by one, and makes them durable together.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use slatedb::config::{CloseOptions, FlushOptions, FlushType};
use slatedb::{CloseReason, WriteBatch, WriteHandle};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use waybill_rt::SharedClock;

use super::{SEQUENCE, Shared, failed, placed};
use crate::api::{Batch, CommitSeq, MetaError, Op};

/// Commits that are made durable together, at most.
const GROUP: usize = 64;

/// What the owner is asked.
pub(super) enum Job {
    Commit(Batch, oneshot::Sender<Result<CommitSeq, MetaError>>),
    Close(oneshot::Sender<()>),
}

pub(super) struct Owner {
    shared: Arc<Shared>,
    clock: SharedClock,
    /// The last commit's number.
    sequence: u64,
    /// Files of commits that the next open would read.
    files: u64,
    /// The files written so far become part of a sorted table. SlateDB does that; this only waits.
    moving: Option<BoxFuture<'static, Result<(), slatedb::Error>>>,
}

impl Owner {
    pub(super) fn new(shared: Arc<Shared>, clock: SharedClock, sequence: u64) -> Self {
        // How many files opening found is not known: they are moved with the first commit.
        let files = if sequence == 0 { 0 } else { shared.options.replayed_files };
        Self { shared, clock, sequence, files, moving: None }
    }

    /// Runs until everything stops or the store is closed. That the store has ended is no failure of this task: whoever
    /// commits hears of it.
    pub(super) async fn run(
        mut self,
        mut queue: mpsc::Receiver<Job>,
        stopping: CancellationToken,
    ) -> Result<(), MetaError> {
        let mut status = self.shared.db.subscribe();
        let mut group = Vec::with_capacity(GROUP);
        loop {
            let listening = self.shared.ended.lock().is_none();
            let taken = tokio::select! {
                biased;
                // Before the queue, which a busy owner never finds empty.
                moved = moved(&mut self.moving) => {
                    self.moving = None;
                    if let Err(error) = moved { self.shared.end(failed(error)); }
                    continue;
                }
                taken = queue.recv_many(&mut group, GROUP) => taken,
                changed = status.changed(), if listening => {
                    let reason = status.borrow_and_update().close_reason;
                    self.notice(changed.map_or(Some(CloseReason::Panic), |()| reason));
                    continue;
                }
                () = stopping.cancelled() => 0,
            };
            if taken == 0 {
                break;
            }
            let closers = self.serve(std::mem::take(&mut group)).await;
            if !closers.is_empty() {
                self.end().await;
                for closer in closers {
                    // Whoever does not wait any more does not need to know.
                    let _ = closer.send(());
                }
                return Ok(());
            }
            self.move_files();
        }
        self.end().await;
        Ok(())
    }

    /// Keeps the number of files that the next open reads small.
    fn move_files(&mut self) {
        let limit = self.shared.options.replayed_files.saturating_mul(3) / 4;
        if self.files >= limit && self.moving.is_none() && self.shared.check().is_ok() {
            self.files = 0;
            let db = self.shared.db.clone();
            let options = FlushOptions { flush_type: FlushType::MemTable };
            self.moving = Some(async move { db.flush_with_options(options).await }.boxed());
        }
    }

    fn notice(&self, reason: Option<CloseReason>) {
        match reason {
            None => {}
            Some(CloseReason::Fenced) => {
                self.shared.end(MetaError::Fenced("a newer owner has opened the metadata store".into()));
            }
            Some(_) => {
                self.shared.end(MetaError::Failed("the metadata store stopped by itself".into()));
            }
        }
    }

    /// Writes nothing more. What was not durable before is not made so: its outcome was told to nobody.
    async fn end(&mut self) {
        self.shared.end(MetaError::Failed("the metadata store is closed".into()));
        let closing = self.shared.db.close_with_options(CloseOptions { flush_type: None }).boxed();
        match select(closing, self.clock.sleep(self.shared.options.commit_budget)).await {
            Either::Left((Ok(()), _)) => {}
            Either::Left((Err(error), _)) => tracing::debug!(%error, "closing the metadata store"),
            Either::Right(_) => tracing::warn!("the metadata store did not close in time"),
        }
    }

    /// Commits a group and answers. Returns who asked to close.
    async fn serve(&mut self, group: Vec<Job>) -> Vec<oneshot::Sender<()>> {
        let (mut closers, mut answers, mut batches) = (Vec::new(), Vec::new(), Vec::new());
        for job in group {
            match job {
                Job::Commit(batch, answer) => {
                    batches.push(batch);
                    answers.push(answer);
                }
                Job::Close(closer) => closers.push(closer),
            }
        }
        let mut results = Ok(Vec::new());
        if !batches.is_empty() {
            let clock = Arc::clone(&self.clock);
            let budget = self.shared.options.commit_budget;
            let shared = Arc::clone(&self.shared);
            let committing = self.commit_all(batches).boxed();
            results = match select(committing, clock.sleep(budget)).await {
                Either::Left((results, _)) => results,
                Either::Right(_) => Err(MetaError::Failed(format!("not durable within {budget:?}").into())),
            };
            results = results.map_err(|why| shared.end(why));
        }
        let mut results = results.map(Vec::into_iter);
        for answer in answers {
            let result = match &mut results {
                Ok(results) => results.next(),
                Err(why) => Some(Err(why.clone())),
            };
            // Whoever does not wait any more does not need to know.
            let _ = answer.send(result.unwrap_or_else(|| Err(MetaError::Failed("no answer".into()))));
        }
        closers
    }

    /// One result for each batch, once all that they rest on is durable: a conflict may rest on a commit before it.
    async fn commit_all(
        &mut self,
        batches: Vec<Batch>,
    ) -> Result<Vec<Result<CommitSeq, MetaError>>, MetaError> {
        self.shared.check()?;
        let mut results = Vec::with_capacity(batches.len());
        let mut last = None;
        for batch in batches {
            match self.conflict(&batch).await? {
                Some(key) => results.push(Err(MetaError::Conflict(key))),
                None => {
                    last = Some(self.apply(batch).await?);
                    results.push(Ok(CommitSeq(self.sequence)));
                }
            }
        }
        if let Some(handle) = last {
            self.files += 1;
            self.shared.db.flush().await.map_err(failed)?;
            handle.await_durable().await.map_err(failed)?;
            self.shared.check()?;
        }
        Ok(results)
    }

    /// The first key that does not hold what is required of it, the commits applied before this one included.
    async fn conflict(&mut self, batch: &Batch) -> Result<Option<Bytes>, MetaError> {
        for op in &batch.ops {
            if let Op::Require(key, expected) = op {
                let found = self.shared.db.get(placed(key)).await.map_err(failed)?;
                if found != *expected {
                    return Ok(Some(key.clone()));
                }
            }
        }
        Ok(None)
    }

    /// Applies a batch in memory: durable only once its handle says so.
    async fn apply(&mut self, batch: Batch) -> Result<WriteHandle, MetaError> {
        let mut write = WriteBatch::new();
        for op in batch.ops {
            match op {
                Op::Put(key, value) => write.put(placed(&key), value),
                Op::Delete(key) => write.delete(placed(&key)),
                Op::Require(..) => {}
            }
        }
        self.sequence += 1;
        write.put(SEQUENCE, self.sequence.to_be_bytes());
        self.shared.db.write(write).await.map_err(failed)
    }
}

async fn moved(
    moving: &mut Option<BoxFuture<'static, Result<(), slatedb::Error>>>,
) -> Result<(), slatedb::Error> {
    match moving {
        Some(moving) => moving.await,
        None => std::future::pending().await,
    }
}
