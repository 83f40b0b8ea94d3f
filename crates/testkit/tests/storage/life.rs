//! One life of a process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use waybill_meta::{Batch, Record, RedbMeta, SharedMeta, TopicNameRecord, TopicRecord, keys};
use waybill_rt::{Disk, Entropy, Metrics, Running, SeededEntropy, SharedClock, SharedEntropy, Supervisor};
use waybill_storage::{
    Ack, AppendError, AppendInfo, ChainWalDriver, CleanRules, EngineDeps, EngineOptions, FileWalDriver,
    LogEngine, Partition, ReadBound, ReadError, ReadRequest, Sabotage, Severity, WalDriver, fsck,
};
use waybill_store::{DiskStore, Limits, Measured, SharedStore, StoreMetrics};
use waybill_testkit::disk::SimDisk;
use waybill_testkit::store::FaultyStore;
use waybill_types::{BrokerId, Incarnation, Offset, PartitionId, TimestampMs, TopicId, TopicPartition};
use waybill_wal::chain::options::ChainOptions;
use waybill_wal::chain::pace::PaceOptions;
use waybill_wal::{FileWalOptions, Pace, RingOptions, WriterMode};

use crate::model::{Checked, Model, Sent};
use crate::table::busy_compaction;

const ROOT: &str = "/root";
/// Batches of one producer in flight (`max.in.flight.requests.per.connection`).
const IN_FLIGHT: usize = 5;

/// Where the log of a life is.
pub(crate) enum Log<'a> {
    /// In a ring of files on the disk.
    Ring,
    /// In a chain of objects, as an incarnation of a node that this life alone has claimed.
    Chain(&'a FaultyStore, BrokerId, u64),
}

/// How the engine of a run is set up.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) engine: EngineOptions,
    /// Of topics that are compacted.
    pub(crate) rules: CleanRules,
    files: u32,
    file_size: u64,
    longest_pace_ms: u64,
}

impl Setup {
    pub(crate) fn draw(entropy: &SeededEntropy, sabotage: Sabotage) -> Self {
        let cache = entropy.below(3) as usize * 8_000;
        let compaction = busy_compaction(entropy);
        Self {
            engine: EngineOptions {
                log_cache_bytes: cache,
                unflushed_cache_bytes: cache + entropy.below(2) as usize * 20_000,
                flush_bytes: 2_000 << entropy.below(4),
                block_cache_bytes: entropy.below(2) as usize * 10_000,
                catch_up_bytes: 60_000,
                read_ahead_bytes: 1_000 << entropy.below(5),
                compaction,
                sabotage,
                ..EngineOptions::default()
            },
            rules: CleanRules {
                delete_retention_ms: 200 << entropy.below(3),
                min_dirty_ratio: 0.1 + entropy.below(4) as f64 / 10.0,
                segment_bytes: 1 << entropy.below(12),
                segment_ms: 20 << entropy.below(5),
                ..CleanRules::default()
            },
            files: 4 + entropy.below(3) as u32,
            file_size: 32 << (10 + entropy.below(2)),
            longest_pace_ms: entropy.below(6),
        }
    }
}

fn ring(disk: &SimDisk, setup: &Setup, clock: &SharedClock, seed: u64) -> FileWalDriver {
    let (longest, entropy) = (setup.longest_pace_ms, SeededEntropy::new(seed));
    let pace: Pace = Arc::new(move |_| Duration::from_millis(entropy.below(longest + 1)));
    FileWalDriver {
        disk: disk.shared(),
        dir: Path::new(ROOT).join("wal"),
        ring: RingOptions { files: setup.files, file_size: setup.file_size, ..RingOptions::default() },
        options: FileWalOptions {
            queue_bytes: 64 << 10,
            group_bytes: 8 << 10,
            zero_step: 16 << 10,
            frame_headroom: 8 << 10,
            free_min: 0,
            mode: WriterMode::Task { pace: Some(pace) },
            ..FileWalOptions::default()
        },
        clock: Arc::clone(clock),
        metrics: Metrics::default(),
        pid: 1,
    }
}

/// A client of the store, with patience as it has in production, but shorter.
fn measured(store: &FaultyStore, clock: &SharedClock, entropy: &SharedEntropy) -> Measured {
    let ms = Duration::from_millis;
    let limits = Limits { request: ms(200), total: ms(2_000), list: ms(2_000), ..Limits::default() };
    let client = store.client().shared();
    Measured::new(client, Arc::clone(clock), Arc::clone(entropy), limits, StoreMetrics::default())
}

fn chain(
    (store, node): (&FaultyStore, BrokerId),
    meta: &SharedMeta,
    setup: &Setup,
    clock: &SharedClock,
    seed: u64,
    tasks: &Supervisor,
) -> ChainWalDriver {
    let ms = Duration::from_millis;
    let entropy = SeededEntropy::shared(seed);
    let options = ChainOptions {
        depth: 1 << (setup.files % 3),
        largest: 64 << 10,
        queue_bytes: 64 << 10,
        pace: PaceOptions::unpaid(),
        budget: ms(3_000),
        stretch: 4_000,
        stretch_slots: 4 + setup.longest_pace_ms,
        ..ChainOptions::default()
    };
    ChainWalDriver {
        node,
        meta: Arc::clone(meta),
        store: measured(store, clock, &entropy),
        options,
        long: Arc::default(),
        clock: Arc::clone(clock),
        entropy,
        metrics: Metrics::default(),
        tasks: tasks.clone(),
    }
}

/// A process that is up.
pub(crate) struct Life {
    pub(crate) engine: Arc<LogEngine>,
    pub(crate) meta: SharedMeta,
    pub(crate) store: SharedStore,
    pub(crate) supervisor: Supervisor,
    pub(crate) rules: CleanRules,
}

/// Why a process did not come up.
pub(crate) enum Down {
    Disk(String),
    Refused(String),
}

impl Life {
    pub(crate) async fn start(
        disk: &SimDisk,
        log: Log<'_>,
        setup: &Setup,
        clock: &SharedClock,
        seed: u64,
    ) -> Result<Self, Down> {
        let down = |error: &dyn std::fmt::Display| Down::Disk(error.to_string());
        let root = Path::new(ROOT);
        disk.create_dir_all(&root.join("meta")).map_err(|error| down(&error))?;
        for folder in [Path::new("/"), root] {
            disk.sync_dir(folder).map_err(|error| down(&error))?;
        }
        let meta = RedbMeta::open(&disk.shared(), &root.join("meta/meta.redb"), Running::Inline);
        let meta: SharedMeta = Arc::new(meta.map_err(|error| down(&error))?);
        let store: SharedStore = match log {
            Log::Ring => {
                let store = DiskStore::open(disk.shared(), root, Running::Inline);
                Arc::new(store.map_err(|error| down(&error))?)
            }
            Log::Chain(store, ..) => Arc::new(measured(store, clock, &SeededEntropy::shared(seed ^ 1))),
        };
        let supervisor = Supervisor::default();
        let mut engine = setup.engine.clone();
        let wal: Arc<dyn WalDriver> = match log {
            Log::Ring => Arc::new(ring(disk, setup, clock, seed)),
            Log::Chain(store, node, incarnation) => {
                (engine.node, engine.incarnation) = (node, Some(Incarnation(incarnation)));
                engine.term = incarnation;
                Arc::new(chain((store, node), &meta, setup, clock, seed, &supervisor))
            }
        };
        let deps = EngineDeps {
            clock: Arc::clone(clock),
            entropy: Arc::new(SeededEntropy::new(seed)),
            meta: Arc::clone(&meta),
            store: Arc::clone(&store),
            wal,
            metrics: Metrics::default(),
            supervisor: supervisor.clone(),
        };
        let opened = LogEngine::open(engine, deps).await;
        let engine = opened.map_err(|error| Down::Refused(error.to_string()))?;
        Ok(Self { engine, meta, store, supervisor, rules: setup.rules.clone() })
    }

    /// Stops all tasks; nothing is written any more.
    pub(crate) async fn end(self, clock: &SharedClock) {
        let _ = self.supervisor.shutdown().await;
        drop(self.engine);
        // The WAL's tasks see that they were left.
        clock.sleep(Duration::from_millis(1)).await;
    }

    fn dead(&self) -> bool {
        self.supervisor.failure().is_some()
    }

    /// Creates a topic, and tells its partitions to `add`.
    pub(crate) async fn create_topic(
        &self,
        topic: TopicId,
        partitions: i32,
        mut add: impl FnMut(TopicPartition),
    ) {
        let ids: Vec<_> =
            (0..partitions).map(|index| TopicPartition::new(topic, PartitionId(index))).collect();
        let record = TopicRecord {
            id: topic,
            name: topic.to_string(),
            partitions,
            replication_factor: 1,
            configs: std::collections::BTreeMap::new(),
            created_at: TimestampMs(0),
        };
        let mut batch = Batch::default();
        batch.put(keys::topic(topic), record.encode());
        batch.put(keys::topic_name(&record.name), TopicNameRecord { id: topic }.encode());
        self.engine.contribute_partitions(&ids, &mut batch);
        // An unknown outcome is not used: no client hears of the topic.
        if self.meta.commit(batch).await.is_ok() && self.engine.add_partitions(ids.clone()).is_ok() {
            ids.into_iter().for_each(&mut add);
        }
    }

    async fn delete_topic(&self, model: &mut Model, topic: TopicId) {
        let mut batch = Batch::default();
        batch.delete(keys::topic(topic));
        batch.delete(keys::topic_name(&topic.to_string()));
        model.logs.retain(|id, _| id.topic != topic);
        if self.meta.commit(batch).await.is_ok() {
            model.deleted.push(topic);
            let _ = self.engine.remove_topic(topic).await;
        }
    }

    /// Clients at work, until `steps` are done or the process is dead.
    pub(crate) async fn load(
        &self,
        disk: &SimDisk,
        model: &mut Model,
        clock: &SharedClock,
        entropy: &SeededEntropy,
        steps: u64,
    ) -> Checked {
        self.open_tables(&model.tables);
        let mut waiting: Vec<(TopicPartition, Sent, i64, Ack)> = Vec::new();
        for step in 0..steps {
            if disk.is_off() || self.dead() {
                return Ok(());
            }
            settle(model, &mut waiting)?;
            if entropy.below(3) == 0 {
                self.work_on_table(&mut model.tables, clock, entropy).await?;
                continue;
            }
            let ids: Vec<_> = model.logs.keys().copied().collect();
            if ids.is_empty() || entropy.below(40) == 0 && ids.len() < 6 {
                let mut id = [0; 16];
                entropy.fill(&mut id);
                let partitions = 1 + entropy.below(3) as i32;
                self.create_topic(TopicId(id), partitions, |id| model.add(id)).await;
                continue;
            }
            let id = ids[entropy.below(ids.len() as u64) as usize];
            match entropy.below(20) {
                0..=11 => self.send(model, id, entropy, step, &mut waiting).await?,
                12..=14 => self.read(model, id, entropy).await?,
                15 => self.delete_records(model, id, entropy).await?,
                16 if entropy.below(12) == 0 => {
                    self.delete_topic(model, id.topic).await;
                    waiting.retain(|(of, ..)| of.topic != id.topic);
                }
                _ => clock.sleep(Duration::from_millis(entropy.below(12))).await,
            }
        }
        clock.sleep(Duration::from_millis(200)).await;
        settle(model, &mut waiting)
    }

    pub(crate) fn log(&self, id: TopicPartition) -> Checked<Arc<Partition>> {
        self.engine.partition(&id).ok_or_else(|| format!("partition {id} is gone"))
    }

    /// Sends the next batch, or one of those not heard of again: from the first one that was never answered on, in
    /// order, as an idempotent producer does.
    async fn send(
        &self,
        model: &mut Model,
        id: TopicPartition,
        entropy: &SeededEntropy,
        step: u64,
        waiting: &mut Vec<(TopicPartition, Sent, i64, Ack)>,
    ) -> Checked {
        let partition = self.log(id)?;
        let log = model.logs.get_mut(&id).ok_or("no such log")?;
        let fresh_life = log.epoch != partition.leader_epoch().get();
        if log.epoch > partition.leader_epoch().get() {
            return Err(format!("the leader epoch went back to {}", partition.leader_epoch()));
        }
        log.epoch = partition.leader_epoch().get();
        let retry = !log.outstanding.is_empty() && (fresh_life || log.refused || entropy.below(4) == 0);
        // Until all of them are taken: nothing may overtake a batch that was refused.
        log.refused = true;
        let sends: Vec<Sent> = if retry {
            log.outstanding.iter().copied().collect()
        } else if log.outstanding.len() < IN_FLIGHT {
            let sent = Sent { first: log.next, records: 1 + entropy.below(4) as i32 };
            log.next += sent.records;
            log.outstanding.push_back(sent);
            vec![sent]
        } else {
            log.refused = false;
            return Ok(());
        };
        for sent in sends {
            let batch = model.logs[&id].batch(sent);
            let Ok(permit) = self.engine.reserve(batch.size()).await else { return Ok(()) };
            match partition.append(batch, AppendInfo::default(), permit) {
                Ok((appended, ack)) => {
                    model.duplicates += u64::from(appended.duplicate);
                    waiting.push((id, sent, appended.base_offset.get(), ack));
                }
                Err(AppendError::Wal(_)) => return Ok(()),
                Err(error) => return Err(format!("step {step}: batch {sent:?} of {id} is refused: {error}")),
            }
        }
        model.logs.get_mut(&id).ok_or("no such log")?.refused = false;
        Ok(())
    }

    async fn read(&self, model: &mut Model, id: TopicPartition, entropy: &SeededEntropy) -> Checked {
        let partition = self.log(id)?;
        let log = model.logs.get_mut(&id).ok_or("no such log")?;
        let (start, end) = (partition.log_start().get(), partition.high_watermark().get());
        if start < log.log_start {
            return Err(format!("the log start of {id} went back from {} to {start}", log.log_start));
        }
        let from = start + entropy.below((end - start + 1) as u64) as i64;
        let request = ReadRequest {
            from: Offset(from),
            max_bytes: entropy.below(3_000) as usize,
            at_least_one: true,
            bound: ReadBound::HighWatermark,
        };
        match partition.read(request).await {
            Ok(outcome) if outcome.batches.is_empty() && from < end => {
                Err(format!("nothing at {from} of {id}"))
            }
            Ok(outcome) => log.read(from, &outcome.batches).map(drop),
            Err(error) => self.excuse(id, &error),
        }
    }

    /// A failing disk may fail a read; what was there must never be gone.
    pub(crate) fn excuse(&self, id: TopicPartition, error: &ReadError) -> Checked {
        match error {
            ReadError::Store(waybill_store::StoreError::NotFound(_))
            | ReadError::Damaged { .. }
            | ReadError::OutOfRange { .. }
            | ReadError::Removed => Err(format!("reading {id}: {error}")),
            _ => Ok(()),
        }
    }

    async fn delete_records(
        &self,
        model: &mut Model,
        id: TopicPartition,
        entropy: &SeededEntropy,
    ) -> Checked {
        let partition = self.log(id)?;
        let log = model.logs.get_mut(&id).ok_or("no such log")?;
        let (start, end) = (partition.log_start().get(), partition.high_watermark().get());
        let before = start + entropy.below((end - start + 1) as u64 / 2 + 1) as i64;
        log.asked_start = log.asked_start.max(before);
        if let Ok(told) = partition.delete_records(Offset(before)).await {
            log.log_start = log.log_start.max(told.get());
        }
        Ok(())
    }

    /// What fsck says of what is left, once all tasks have ended.
    pub(crate) async fn look_at_all_of_it(self, clock: &SharedClock) -> Checked {
        let (meta, data) = (Arc::clone(&self.meta), Arc::clone(&self.store));
        self.end(clock).await;
        let report = fsck(&waybill_storage::Checked { meta, data, wal: None, deep: true }).await;
        let report = report.map_err(|error| error.to_string())?;
        let mut errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
        // The chain's store was not given on purpose: it goes on where the last life ended.
        match errors.find(|finding| !finding.what.contains("--wal-storage")) {
            Some(finding) => Err(format!("fsck: {}: {}", finding.at, finding.what)),
            None => Ok(()),
        }
    }

    /// With a healthy disk: sends everything that was not heard of, then reads every log whole.
    pub(crate) async fn check(&self, model: &mut Model, clock: &SharedClock) -> Checked {
        for id in model.logs.keys().copied().collect::<Vec<_>>() {
            let partition = self.log(id)?;
            let outstanding: Vec<_> = model.logs[&id].outstanding.iter().copied().collect();
            for sent in outstanding {
                let batch = model.logs[&id].batch(sent);
                let permit = self.engine.reserve(batch.size()).await.map_err(|error| error.to_string())?;
                let (appended, ack) = partition
                    .append(batch, AppendInfo::default(), permit)
                    .map_err(|error| format!("{id} refuses {sent:?}: {error}"))?;
                tokio::select! {
                    acked = ack => acked.map_err(|error| error.to_string())?,
                    () = clock.sleep(Duration::from_secs(60)) => return Err(format!("{id} never acks {sent:?}")),
                }
                model.acked += 1;
                model.logs.get_mut(&id).unwrap().ack(sent, appended.base_offset.get())?;
            }
            let log = model.logs.get_mut(&id).unwrap();
            let start = partition.log_start().get();
            if start < log.log_start || start > log.asked_start {
                return Err(format!(
                    "{id} starts at {start}, not in {}..={}",
                    log.log_start, log.asked_start
                ));
            }
            log.log_start = start;
            let end = partition.high_watermark().get();
            let mut from = start;
            while from < end {
                let request = ReadRequest {
                    from: Offset(from),
                    max_bytes: 2_000,
                    at_least_one: true,
                    bound: ReadBound::HighWatermark,
                };
                let outcome =
                    partition.read(request).await.map_err(|error| format!("{id} at {from}: {error}"))?;
                let next = log.read(from, &outcome.batches)?;
                if next == from {
                    return Err(format!("nothing at {from} of {id}"));
                }
                from = next;
            }
            log.check_whole(end).map_err(|what| format!("{id}: {what}"))?;
        }
        self.check_tables(&mut model.tables, clock).await?;
        let led: Vec<_> = self.engine.partitions().iter().map(|partition| partition.id().topic).collect();
        match model.deleted.iter().find(|topic| led.contains(topic)) {
            Some(topic) => Err(format!("topic {topic} was deleted and is there again")),
            None => Ok(()),
        }
    }
}

/// Takes the acks that have come.
fn settle(model: &mut Model, waiting: &mut Vec<(TopicPartition, Sent, i64, Ack)>) -> Checked {
    let mut still = Vec::new();
    for (id, sent, base, mut ack) in waiting.drain(..) {
        match (&mut ack).now_or_never() {
            None => still.push((id, sent, base, ack)),
            Some(Err(_)) => {}
            Some(Ok(())) => {
                model.acked += 1;
                if let Some(log) = model.logs.get_mut(&id) {
                    log.ack(sent, base)?;
                }
            }
        }
    }
    *waiting = still;
    Ok(())
}
