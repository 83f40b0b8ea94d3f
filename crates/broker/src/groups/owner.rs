//! The task that owns one coordinator partition.
//!
//! It loads the partition, then takes commands one by one, lets the coordinator decide, appends what it issues (all
//! that waits in the queue goes into one append), and holds every answer until all appends up to then are durable.
//! After a failed append it gives the partition up: parked requests are answered NOT_COORDINATOR, those that wait for
//! an append are dropped, and once every append has settled it loads the partition again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use waybill_coordinator::{Coordinator, GroupConfig, Now, Parked, RequestId, Step};
use waybill_rt::SharedClock;

use super::desk::{Command, Desk, Release};
use super::log::{GroupLog, LogFault, batches, replay};

/// How long to wait before a partition that could not be loaded is tried again.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

/// Commands that may share one append.
const COMMANDS_PER_APPEND: usize = 256;

/// Starts the owner of a partition: the handle to it, and the task to run.
pub fn owner(
    partition: i32,
    config: Arc<GroupConfig>,
    log: impl GroupLog,
    clock: SharedClock,
    stopping: CancellationToken,
) -> (Desk, impl Future<Output = Result<(), String>> + Send + 'static) {
    let (desk, queue) = Desk::new();
    let owner = Owner {
        partition,
        coordinator: Coordinator::new(Arc::clone(&config)),
        config,
        log: Box::new(log),
        clock,
        queue,
        stopping,
        parked: BTreeMap::new(),
        next_request: 0,
        held: VecDeque::new(),
        appends: FuturesOrdered::new(),
        issued: 0,
        durable: 0,
    };
    (desk, owner.run())
}

/// Why serving ended.
enum End {
    Stop,
    Fault(LogFault),
}

struct Owner {
    partition: i32,
    config: Arc<GroupConfig>,
    coordinator: Coordinator,
    log: Box<dyn GroupLog>,
    clock: SharedClock,
    queue: mpsc::Receiver<Command>,
    stopping: CancellationToken,
    parked: BTreeMap<RequestId, oneshot::Sender<Parked>>,
    next_request: u64,
    /// Answers, each with the number of the append that must be durable first.
    held: VecDeque<(u64, Release)>,
    appends: FuturesOrdered<BoxFuture<'static, (u64, Result<(), LogFault>)>>,
    /// The number of the last append.
    issued: u64,
    /// The number of the last append that is durable.
    durable: u64,
}

impl Owner {
    async fn run(mut self) -> Result<(), String> {
        loop {
            let fault = match self.load().await {
                Ok(()) => match self.serve().await {
                    End::Stop => return Ok(()),
                    End::Fault(fault) => fault,
                },
                Err(fault) => fault,
            };
            self.give_up().await;
            if fault == LogFault::Gone {
                return Ok(());
            }
            tracing::warn!(partition = self.partition, %fault, "group coordinator loads its partition again");
            tokio::select! {
                () = self.stopping.cancelled() => return Ok(()),
                () = self.clock.sleep(RELOAD_PAUSE) => {}
            }
        }
    }

    fn now(&self) -> Now {
        Now { wall: self.clock.now(), monotonic: self.clock.monotonic() }
    }

    async fn load(&mut self) -> Result<(), LogFault> {
        let started = self.clock.monotonic();
        let mut coordinator = Coordinator::new(Arc::clone(&self.config));
        let wall = self.clock.now();
        let mut each = |batch| replay(batch, &mut |record| coordinator.replay(record, wall));
        self.log.load(&mut each).await?;
        let step = coordinator.loaded(self.now());
        let (groups, offsets) = (coordinator.group_count(), coordinator.offset_count());
        if groups > 0 {
            let took_ms = self.clock.monotonic().saturating_sub(started).as_millis();
            tracing::info!(partition = self.partition, groups, offsets, took_ms, "groups loaded");
        }
        self.coordinator = coordinator;
        self.act(vec![(step, None)]).await
    }

    async fn serve(&mut self) -> End {
        loop {
            let due = self.coordinator.next_deadline().map(|at| at.saturating_sub(self.clock.monotonic()));
            let timer = self.clock.sleep(due.unwrap_or(Duration::from_secs(3600)));
            let acted = tokio::select! {
                biased;
                Some((number, outcome)) = self.appends.next(), if !self.appends.is_empty() => {
                    outcome.map(|()| self.settled(number))
                }
                command = self.queue.recv() => match command {
                    Some(command) => self.take(command).await,
                    None => return End::Stop,
                },
                () = timer => {
                    let now = self.now();
                    let step = self.coordinator.tick(now);
                    self.act(vec![(step, None)]).await
                }
                () = self.stopping.cancelled() => return End::Stop,
            };
            if let Err(fault) = acted {
                return End::Fault(fault);
            }
        }
    }

    /// Does a command, and those that wait behind it, with one append.
    async fn take(&mut self, first: Command) -> Result<(), LogFault> {
        let mut done = vec![self.apply(first)];
        while done.len() < COMMANDS_PER_APPEND
            && let Ok(next) = self.queue.try_recv()
        {
            done.push(self.apply(next));
        }
        self.act(done).await
    }

    fn apply(&mut self, command: Command) -> (Step, Option<Release>) {
        let now = self.now();
        match command {
            Command::Ask(act) => {
                let (step, release) = act(&mut self.coordinator, now);
                (step, Some(release))
            }
            Command::Park(act, answer) => {
                self.next_request += 1;
                let to = RequestId(self.next_request);
                self.parked.insert(to, answer);
                (act(&mut self.coordinator, now, to), None)
            }
        }
    }

    /// Appends what the steps issue, and holds or sends their answers.
    async fn act(&mut self, steps: Vec<(Step, Option<Release>)>) -> Result<(), LogFault> {
        let mut records = Vec::new();
        let mut releases = Vec::new();
        for (step, release) in steps {
            records.extend(step.records);
            releases.extend(release);
            for (to, answer) in step.answers {
                if let Some(waiting) = self.parked.remove(&to) {
                    releases.push(Box::new(move || {
                        // Whoever asked may be gone.
                        let _ = waiting.send(answer);
                    }));
                }
            }
        }
        for batch in batches(&records, self.clock.now())? {
            let durable = self.log.append(batch).await?;
            self.issued += 1;
            let number = self.issued;
            self.appends.push_back(Box::pin(async move { (number, durable.await) }));
        }
        for release in releases {
            self.held.push_back((self.issued, release));
        }
        self.settled(self.durable);
        Ok(())
    }

    /// Everything up to this append is durable.
    fn settled(&mut self, number: u64) {
        self.durable = self.durable.max(number);
        while self.held.front().is_some_and(|(waits_for, _)| *waits_for <= self.durable) {
            if let Some((_, release)) = self.held.pop_front() {
                release();
            }
        }
    }

    /// Answers and drops everything, and waits until no append is under way, so that a load sees all there will be.
    async fn give_up(&mut self) {
        let fresh = Coordinator::new(Arc::clone(&self.config));
        for (to, answer) in std::mem::replace(&mut self.coordinator, fresh).unload().answers {
            if let Some(waiting) = self.parked.remove(&to) {
                let _ = waiting.send(answer);
            }
        }
        self.parked.clear();
        self.held.clear();
        while self.appends.next().await.is_some() {}
        self.durable = self.issued;
    }
}
