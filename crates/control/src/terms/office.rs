//! The metadata store as the holder of a term may use it: the driver of [`Reign`].
//!
//! One task, under the supervisor, from the term's first commit to its end. Every commit also requires the term. After the
//! first failure everything is refused, reads too; so whoever commits through this and tells others only what was
//! answered keeps the rule that nothing is told that is not durable.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use waybill_meta::{Batch, CommitSeq, MetaError, MetaStore, OwnedMeta, keys};
use waybill_rt::Supervisor;

use crate::terms::campaign::Office;
use crate::terms::reign::{NotTaken, Reign, ReignAction, WAITING};
use crate::terms::sabotage::Sabotage;

/// Commits that wait to be taken.
const QUEUE: usize = 64;

type Answer = oneshot::Sender<Result<CommitSeq, MetaError>>;

/// The metadata store during one term. Clones are handles to the same one.
#[derive(Clone)]
pub struct OfficeMeta {
    meta: Arc<dyn OwnedMeta>,
    jobs: mpsc::Sender<(Batch, Answer)>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    ended: Mutex<Option<MetaError>>,
    over: CancellationToken,
}

impl Shared {
    fn end(&self, why: MetaError) -> MetaError {
        let why = self.ended.lock().get_or_insert(why).clone();
        self.over.cancel();
        why
    }

    fn check(&self) -> Result<(), MetaError> {
        self.ended.lock().clone().map_or(Ok(()), Err)
    }
}

impl std::fmt::Debug for OfficeMeta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfficeMeta").field("ended", &self.shared.ended).finish_non_exhaustive()
    }
}

impl OfficeMeta {
    /// Takes up an office. Its task ends with the term, or when everything stops.
    #[must_use]
    pub fn new(office: &Office, tasks: &Supervisor) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let clerk = Clerk {
            meta: Arc::clone(&office.meta),
            reign: Reign::new(office.term, Sabotage::None),
            shared: Arc::clone(&shared),
            answers: BTreeMap::new(),
            next: 0,
            under_way: None,
        };
        tasks.spawn("controller's term", clerk.run(queue, tasks.stopping()));
        Self { meta: Arc::clone(&office.meta), jobs, shared }
    }

    /// Resolves when the term is over in this process.
    pub async fn over(&self) {
        self.shared.over.cancelled().await;
    }

    /// Why the term is over; `None` while it is not.
    #[must_use]
    pub fn ended(&self) -> Option<MetaError> {
        self.shared.ended.lock().clone()
    }

    fn gone(&self) -> MetaError {
        self.ended().unwrap_or_else(over)
    }
}

fn over() -> MetaError {
    MetaError::Failed("the controller's term is over".into())
}

struct Clerk {
    meta: Arc<dyn OwnedMeta>,
    reign: Reign<u64>,
    shared: Arc<Shared>,
    answers: BTreeMap<u64, Answer>,
    next: u64,
    under_way: Option<BoxFuture<'static, Result<CommitSeq, MetaError>>>,
}

impl Clerk {
    /// That a term ends is no failure of this task.
    async fn run(
        mut self,
        mut queue: mpsc::Receiver<(Batch, Answer)>,
        stopping: CancellationToken,
    ) -> Result<(), MetaError> {
        let meta = Arc::clone(&self.meta);
        let mut lost = meta.over();
        while !self.reign.is_over() {
            tokio::select! {
                biased;
                result = finished(&mut self.under_way) => {
                    self.under_way = None;
                    let actions = self.reign.committed(result.clone());
                    self.carry_out(actions, &result);
                }
                () = &mut lost => {
                    // Once it has ended, any call tells why.
                    let why = meta.get(&keys::term()).await.err();
                    self.end(why.unwrap_or_else(over));
                }
                () = stopping.cancelled() => self.end(over()),
                // Whoever commits more than that waits.
                job = queue.recv(), if self.answers.len() < WAITING => match job {
                    Some((batch, answer)) => self.take(batch, answer),
                    None => self.end(over()),
                },
            }
        }
        Ok(())
    }

    fn take(&mut self, batch: Batch, answer: Answer) {
        let ticket = self.next;
        self.next += 1;
        match self.reign.decide(batch, ticket) {
            Ok(actions) => {
                self.answers.insert(ticket, answer);
                self.carry_out(actions, &Err(over()));
            }
            Err(NotTaken::Over) => drop(answer.send(Err(over()))),
            // Not taken from the queue while so many wait.
            Err(full @ NotTaken::Full) => drop(answer.send(Err(MetaError::Failed(full.to_string().into())))),
        }
    }

    fn end(&mut self, why: MetaError) {
        self.shared.end(why.clone());
        let actions = self.reign.end();
        self.carry_out(actions, &Err(why));
    }

    fn carry_out(&mut self, actions: Vec<ReignAction<u64>>, result: &Result<CommitSeq, MetaError>) {
        for action in actions {
            match action {
                ReignAction::Commit(batch) => {
                    let meta = Arc::clone(&self.meta);
                    self.under_way = Some(async move { meta.commit(batch).await }.boxed());
                }
                ReignAction::Tell(ticket) | ReignAction::HandBack(ticket) => {
                    self.answer(ticket, result.clone());
                }
                ReignAction::End(tickets) => {
                    let why = result.clone().err().unwrap_or_else(over);
                    let why = self.shared.end(why);
                    tickets.into_iter().for_each(|ticket| self.answer(ticket, Err(why.clone())));
                }
            }
        }
    }

    fn answer(&mut self, ticket: u64, result: Result<CommitSeq, MetaError>) {
        if let Some(answer) = self.answers.remove(&ticket) {
            // Whoever does not wait any more does not need to know.
            let _ = answer.send(result);
        }
    }
}

async fn finished(
    under_way: &mut Option<BoxFuture<'static, Result<CommitSeq, MetaError>>>,
) -> Result<CommitSeq, MetaError> {
    match under_way {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

impl MetaStore for OfficeMeta {
    fn get(&self, key: &[u8]) -> BoxFuture<'_, Result<Option<Bytes>, MetaError>> {
        let read = self.meta.get(key);
        async move {
            self.shared.check()?;
            let value = read.await?;
            self.shared.check().map(|()| value)
        }
        .boxed()
    }

    fn scan(&self, range: Range<Bytes>) -> BoxFuture<'_, Result<Vec<(Bytes, Bytes)>, MetaError>> {
        async move {
            self.shared.check()?;
            let found = self.meta.scan(range).await?;
            self.shared.check().map(|()| found)
        }
        .boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<CommitSeq, MetaError>> {
        async move {
            self.shared.check()?;
            let (answer, answered) = oneshot::channel();
            self.jobs.send((batch, answer)).await.map_err(|_| self.gone())?;
            answered.await.unwrap_or_else(|_| Err(self.gone()))
        }
        .boxed()
    }
}
