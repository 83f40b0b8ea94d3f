//! The stores, the metadata and its terms, and the processes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use waybill_meta::{
    Batch, CommitSeq, MemoryMeta, MetaError, MetaStore, Record, SharedMeta, TopicRecord, keys,
};
use waybill_rt::{Entropy, Metrics, SeededEntropy, SharedClock, Supervisor, VirtualClock};
use waybill_storage::{ChainWalDriver, EngineDeps, EngineOptions, LogEngine};
use waybill_store::{Limits, Measured, Purpose, StoreMetrics};
use waybill_testkit::store::{FaultOptions, FaultyStore, Latency, StoreClient};
use waybill_types::{BrokerId, Incarnation, PartitionId, TimestampMs, TopicId, TopicPartition};
use waybill_wal::chain::options::ChainOptions;
use waybill_wal::chain::pace::PaceOptions;

use crate::clients::Clients;
use crate::{Did, Mutant};

pub(crate) const TOPIC: TopicId = TopicId([9; 16]);
pub(crate) const PARTITIONS: i32 = 2;
const NODES: u64 = 3;

fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

/// As a bad day has it, but quick.
fn rough() -> FaultOptions {
    FaultOptions {
        put: Latency::new(ms(4), ms(40)),
        get: Latency::new(ms(2), ms(15)),
        list: Latency::new(ms(3), ms(20)),
        latest: ms(4_000),
        ..FaultOptions::rough()
    }
}

fn calm() -> FaultOptions {
    let FaultOptions { put, get, list, .. } = rough();
    FaultOptions { put, get, list, ..FaultOptions::calm() }
}

/// The metadata as the owner in one term sees it: commits take their time, may be durable and yet answered with a failure, and
/// are refused once a later term has begun. Reads may be stale.
struct Term {
    inner: MemoryMeta,
    term: u64,
    newest: Arc<AtomicU64>,
    ended: AtomicBool,
    clock: SharedClock,
    entropy: SeededEntropy,
    calm: Arc<AtomicBool>,
}

impl Term {
    fn end<T>(&self, why: MetaError) -> Result<T, MetaError> {
        self.ended.store(true, Ordering::Relaxed);
        Err(why)
    }
}

impl MetaStore for Term {
    fn get(&self, key: &[u8]) -> BoxFuture<'_, Result<Option<Bytes>, MetaError>> {
        self.inner.get(key)
    }

    fn scan(&self, range: Range<Bytes>) -> BoxFuture<'_, Result<Vec<(Bytes, Bytes)>, MetaError>> {
        self.inner.scan(range)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<CommitSeq, MetaError>> {
        async move {
            let faulty = !self.calm.load(Ordering::Relaxed);
            self.clock.sleep(ms(self.entropy.below(30))).await;
            if self.ended.load(Ordering::Relaxed) {
                return Err(MetaError::Failed("ended before".into()));
            }
            if self.newest.load(Ordering::Relaxed) > self.term {
                return self.end(MetaError::Fenced("a later term".into()));
            }
            if faulty && self.entropy.below(150) == 0 {
                return self.end(MetaError::Failed("not sent".into()));
            }
            let done = self.inner.commit(batch).await;
            self.clock.sleep(ms(self.entropy.below(30))).await;
            if faulty && self.entropy.below(150) == 0 {
                return self.end(MetaError::Failed("the answer is lost".into()));
            }
            done
        }
        .boxed()
    }
}

/// A process whose log is open.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) engine: Arc<LogEngine>,
    pub(crate) meta: SharedMeta,
    tasks: Supervisor,
    wal: StoreClient,
    term: u64,
}

/// Everything that outlives a process.
pub(crate) struct World {
    pub(crate) clock: SharedClock,
    shared: Arc<Shared>,
    mutant: Mutant,
}

struct Shared {
    objects: FaultyStore,
    data: FaultyStore,
    meta: MemoryMeta,
    newest: Arc<AtomicU64>,
    calm: Arc<AtomicBool>,
    claims: Mutex<BTreeMap<u64, u64>>,
    processes: Mutex<Vec<Process>>,
    /// The term and leader epochs that each process began with.
    epochs: Mutex<Vec<(u64, Vec<i32>)>>,
    opened: AtomicU64,
    refused: AtomicU64,
    why: Mutex<String>,
}

impl World {
    pub(crate) fn new(seed: u64, mutant: Mutant) -> Self {
        let clock: SharedClock = VirtualClock::shared(TimestampMs(1_000));
        let shared = Shared {
            objects: FaultyStore::new(seed, rough(), Arc::clone(&clock)),
            data: FaultyStore::new(seed ^ 77, rough(), Arc::clone(&clock)),
            meta: MemoryMeta::default(),
            newest: Arc::default(),
            calm: Arc::default(),
            claims: Mutex::default(),
            processes: Mutex::default(),
            epochs: Mutex::default(),
            opened: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            why: Mutex::default(),
        };
        Self { clock, shared: Arc::new(shared), mutant }
    }

    /// A process claims, wins a term, and opens the log, in its own time.
    pub(crate) fn start(&self, seed: u64) {
        let entropy = SeededEntropy::new(seed);
        let node = 1 + entropy.below(NODES);
        let incarnation = {
            let mut claims = self.shared.claims.lock();
            let newest = claims.entry(node).or_insert(0);
            *newest += 1;
            *newest
        };
        let term = 1 + self.shared.newest.fetch_add(1, Ordering::Relaxed);
        let meta = Term {
            inner: self.shared.meta.clone(),
            term,
            newest: Arc::clone(&self.shared.newest),
            ended: AtomicBool::new(false),
            clock: Arc::clone(&self.clock),
            entropy: SeededEntropy::new(seed ^ 1),
            calm: Arc::clone(&self.shared.calm),
        };
        let meta: SharedMeta = Arc::new(meta);
        let tasks = Supervisor::default();
        let (wal, options) = (self.shared.objects.client(), self.engine_options(node, incarnation, term));
        let deps = EngineDeps {
            clock: Arc::clone(&self.clock),
            entropy: SeededEntropy::shared(seed ^ 2),
            meta: Arc::clone(&meta),
            store: self.measured(&self.shared.data.client(), seed ^ 3).for_purpose(Purpose::Segment),
            wal: Arc::new(self.driver(&wal, (node, seed), &meta, &tasks)),
            metrics: Metrics::default(),
            supervisor: tasks.clone(),
        };
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            match LogEngine::open(options, deps).await {
                Ok(engine) => {
                    shared.opened.fetch_add(1, Ordering::Relaxed);
                    let epochs = engine.partitions().iter().map(|log| log.leader_epoch().get()).collect();
                    shared.epochs.lock().push((term, epochs));
                    let mut processes = shared.processes.lock();
                    processes.push(Process { engine, meta, tasks, wal, term });
                    processes.sort_by_key(|process| process.term);
                }
                Err(error) => {
                    shared.refused.fetch_add(1, Ordering::Relaxed);
                    *shared.why.lock() = error.to_string();
                    let _ = tasks.shutdown().await;
                }
            }
        });
    }

    fn engine_options(&self, node: u64, incarnation: u64, term: u64) -> EngineOptions {
        EngineOptions {
            node: BrokerId(node as i32),
            incarnation: Some(Incarnation(incarnation)),
            term,
            log_cache_bytes: 8_000,
            unflushed_cache_bytes: 16_000,
            flush_bytes: 1_500,
            block_cache_bytes: 10_000,
            catch_up_bytes: 60_000,
            sabotage: self.mutant.engine,
            ..EngineOptions::default()
        }
    }

    fn measured(&self, client: &StoreClient, seed: u64) -> Measured {
        let limits = Limits { request: ms(300), total: ms(4_000), list: ms(4_000), ..Limits::default() };
        let (clock, entropy) = (Arc::clone(&self.clock), SeededEntropy::shared(seed));
        Measured::new(client.shared(), clock, entropy, limits, StoreMetrics::default())
    }

    fn driver(
        &self,
        wal: &StoreClient,
        (node, seed): (u64, u64),
        meta: &SharedMeta,
        tasks: &Supervisor,
    ) -> ChainWalDriver {
        let options = ChainOptions {
            depth: 1 << (seed % 4),
            largest: 64 << 10,
            queue_bytes: 64 << 10,
            pace: PaceOptions::unpaid(),
            budget: ms(6_000),
            stretch: 2_000,
            stretch_slots: 6,
            sabotage: self.mutant.chain,
            ..ChainOptions::default()
        };
        ChainWalDriver {
            node: BrokerId(node as i32),
            store: self.measured(wal, seed ^ 4),
            meta: Arc::clone(meta),
            options,
            long: Arc::default(),
            clock: Arc::clone(&self.clock),
            entropy: SeededEntropy::shared(seed ^ 5),
            metrics: Metrics::default(),
            tasks: tasks.clone(),
        }
    }

    /// Waits for the first process, and makes the topic. Whatever fails is begun again by another.
    pub(crate) async fn first(&self, clients: &mut Clients) -> Result<(), String> {
        for again in 0..20 {
            self.clock.sleep(Duration::from_secs(10)).await;
            if let Some(process) = self.newest()
                && process.create_topic().await
            {
                clients.begin();
                return Ok(());
            }
            self.start(1_000 + again);
        }
        Err(format!("nobody comes up: {}", self.shared.why.lock()))
    }

    /// Who opened the log last.
    pub(crate) fn newest(&self) -> Option<Process> {
        self.shared.processes.lock().last().cloned()
    }

    /// Whom a client takes for the leader: mostly the newest.
    pub(crate) fn believed(&self, entropy: &SeededEntropy) -> Option<Process> {
        let processes = self.shared.processes.lock();
        let any = entropy.below(processes.len().max(1) as u64) as usize;
        if entropy.below(3) > 0 { processes.last() } else { processes.get(any) }.cloned()
    }

    pub(crate) fn freeze_one(&self, entropy: &SeededEntropy) {
        let processes = self.shared.processes.lock();
        let any = entropy.below(processes.len().max(1) as u64) as usize;
        if let Some(process) = processes.get(any) {
            process.wal.freeze(ms(entropy.below(4_000)));
        }
    }

    pub(crate) async fn kill_one(&self, entropy: &SeededEntropy) {
        let process = {
            let mut processes = self.shared.processes.lock();
            let any = entropy.below(processes.len().max(1) as u64) as usize;
            if any < processes.len() { Some(processes.remove(any)) } else { None }
        };
        if let Some(process) = process {
            let _ = process.tasks.shutdown().await;
        }
    }

    pub(crate) fn calm(&self) {
        self.shared.calm.store(true, Ordering::Relaxed);
        self.shared.objects.behave(calm());
        self.shared.data.behave(calm());
    }

    /// With everything calm, one more process: it must come up.
    pub(crate) async fn last(&self, seed: u64) -> Result<Process, String> {
        self.clock.sleep(Duration::from_secs(20)).await;
        self.start(seed);
        let term = self.shared.newest.load(Ordering::Relaxed);
        for _ in 0..60 {
            self.clock.sleep(Duration::from_secs(1)).await;
            if let Some(process) = self.newest().filter(|process| process.term == term) {
                return Ok(process);
            }
        }
        Err(format!("the log does not open: {}", self.shared.why.lock()))
    }

    /// Epochs grew from leader to leader.
    pub(crate) fn checked(&self) -> Result<(), String> {
        let mut epochs = self.shared.epochs.lock().clone();
        epochs.sort();
        for pair in epochs.windows(2) {
            let (before, after) = (&pair[0], &pair[1]);
            if before.1.iter().zip(&after.1).any(|(one, two)| one >= two) {
                return Err(format!("epochs do not grow: term and epochs {before:?}, then {after:?}"));
            }
        }
        Ok(())
    }

    pub(crate) fn did(&self) -> Did {
        Did {
            opened: self.shared.opened.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
            time: self.clock.monotonic(),
            trace: self.shared.objects.trace() ^ self.shared.data.trace(),
            ..Did::default()
        }
    }

    pub(crate) async fn end(self) {
        let processes = std::mem::take(&mut *self.shared.processes.lock());
        for process in processes {
            let _ = process.tasks.shutdown().await;
        }
    }
}

impl Process {
    async fn create_topic(&self) -> bool {
        let ids: Vec<_> =
            (0..PARTITIONS).map(|index| TopicPartition::new(TOPIC, PartitionId(index))).collect();
        let record = TopicRecord {
            id: TOPIC,
            name: "topic".to_owned(),
            partitions: PARTITIONS,
            replication_factor: 1,
            configs: BTreeMap::new(),
            created_at: TimestampMs(0),
        };
        let mut batch = Batch::default();
        batch.put(keys::topic(TOPIC), record.encode());
        self.engine.contribute_partitions(&ids, &mut batch);
        // An unknown outcome may be durable: then it is found by the next one.
        let known = matches!(self.meta.get(&keys::topic(TOPIC)).await, Ok(Some(_)));
        if known {
            return self.engine.partitions().len() == PARTITIONS as usize;
        }
        self.meta.commit(batch).await.is_ok() && self.engine.add_partitions(ids).is_ok()
    }
}
