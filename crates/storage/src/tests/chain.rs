//! The engine on a chain of objects: restarts, takeovers, stores that are not the registered one.

use std::sync::Arc;

use waybill_meta::{
    Batch, ChainLife, ChainRecord, MemoryMeta, MetaStore, NodeRecord, Record, TopicRecord, WalKind, keys,
};
use waybill_rt::{Metrics, SeededEntropy, SharedClock, Supervisor, VirtualClock};
use waybill_store::{Limits, Measured, MemoryStore, ObjectStore, StoreMetrics};
use waybill_types::{BrokerId, Incarnation, PartitionId, TimestampMs, TopicPartition};
use waybill_wal::chain::options::ChainOptions;

use crate::testing::wal::TestWal;
use crate::testing::world::{START, append, read_all, try_append};
use crate::testing::{TOPIC, idempotent, partition, prepared};
use crate::{
    ChainWalDriver, EngineDeps, EngineOptions, LogEngine, OpenError, Partition, WalDriver, check_storage,
};

/// What outlives processes.
pub(super) struct Ground {
    pub(super) meta: MemoryMeta,
    pub(super) data: MemoryStore,
    pub(super) wal: MemoryStore,
    pub(super) clock: SharedClock,
    pub(super) options: ChainOptions,
    pub(super) engine: EngineOptions,
}

/// A process.
pub(super) struct Life {
    pub(super) engine: Arc<LogEngine>,
    tasks: Supervisor,
    long: Arc<tokio::sync::Notify>,
}

impl Ground {
    pub(super) fn new() -> Self {
        Self {
            meta: MemoryMeta::default(),
            data: MemoryStore::default(),
            wal: MemoryStore::default(),
            clock: VirtualClock::shared(TimestampMs(START)),
            options: ChainOptions::default(),
            engine: EngineOptions { flush_bytes: 1 << 20, ..EngineOptions::default() },
        }
    }

    fn driver(&self, node: i32, incarnation: u64, tasks: &Supervisor) -> ChainWalDriver {
        // Chance differs between processes: it tells their writers apart.
        let entropy = SeededEntropy::shared(incarnation + 100 * node as u64);
        let store = Measured::new(
            Arc::new(self.wal.clone()),
            Arc::clone(&self.clock),
            Arc::clone(&entropy),
            Limits::default(),
            StoreMetrics::default(),
        );
        ChainWalDriver {
            node: BrokerId(node),
            store,
            meta: Arc::new(self.meta.clone()),
            options: self.options,
            long: Arc::default(),
            clock: Arc::clone(&self.clock),
            entropy,
            metrics: Metrics::default(),
            tasks: tasks.clone(),
        }
    }

    /// Starts a process that has claimed an incarnation.
    async fn try_start(&self, node: i32, incarnation: u64) -> Result<Life, OpenError> {
        let tasks = Supervisor::default();
        let driver = self.driver(node, incarnation, &tasks);
        let long = Arc::clone(&driver.long);
        let engine = self.open(node, incarnation, Arc::new(driver), &tasks).await?;
        Ok(Life { engine, tasks, long })
    }

    async fn open(
        &self,
        node: i32,
        incarnation: u64,
        wal: Arc<dyn WalDriver>,
        tasks: &Supervisor,
    ) -> Result<Arc<LogEngine>, OpenError> {
        let claimed = (wal.kind() == WalKind::Object).then_some(Incarnation(incarnation));
        let options = EngineOptions {
            node: BrokerId(node),
            incarnation: claimed,
            term: incarnation,
            ..self.engine.clone()
        };
        let deps = EngineDeps {
            clock: Arc::clone(&self.clock),
            entropy: SeededEntropy::shared(7),
            meta: Arc::new(self.meta.clone()),
            store: Arc::new(self.data.clone()),
            wal,
            metrics: Metrics::default(),
            supervisor: tasks.clone(),
        };
        LogEngine::open(options, deps).await
    }

    async fn chain(&self, node: i32, incarnation: u64) -> ChainRecord {
        let key = keys::chain(BrokerId(node), Incarnation(incarnation));
        ChainRecord::decode(&self.meta.get(&key).await.unwrap().unwrap()).unwrap()
    }

    pub(super) async fn start(&self, incarnation: u64) -> Life {
        self.try_start(1, incarnation).await.unwrap()
    }

    async fn refusal(&self, node: i32, incarnation: u64) -> String {
        self.try_start(node, incarnation).await.err().unwrap().to_string()
    }

    pub(super) async fn create_topic(&self, life: &Life) {
        let ids: Vec<_> = (0..2).map(|index| TopicPartition::new(TOPIC, PartitionId(index))).collect();
        let record = TopicRecord {
            id: TOPIC,
            name: "topic".to_owned(),
            partitions: 2,
            replication_factor: 1,
            configs: std::collections::BTreeMap::new(),
            created_at: self.clock.now(),
        };
        let mut batch = Batch::default();
        batch.put(keys::topic(TOPIC), record.encode());
        life.engine.contribute_partitions(&ids, &mut batch);
        self.meta.commit(batch).await.unwrap();
        life.engine.add_partitions(ids).unwrap();
    }

    async fn wal_names(&self, prefix: &str) -> Vec<String> {
        self.wal.list(prefix).await.unwrap()
    }
}

impl Life {
    pub(super) fn log(&self, index: i32) -> Arc<Partition> {
        self.engine.partition(&partition(index)).unwrap()
    }

    /// Ends it without writing anything.
    pub(super) async fn crash(self) {
        let _ = self.tasks.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_acked_is_there_after_a_crash_and_retries_are_not_doubled() {
    let ground = Ground::new();
    let life = ground.start(1).await;
    ground.create_topic(&life).await;
    for sequence in 0..5 {
        append(&life.engine, &life.log(0), idempotent(9, 0, sequence * 2, 2)).await;
    }
    append(&life.engine, &life.log(1), prepared(3, 1_000, 50)).await;
    life.crash().await;
    // Claims leave gaps: a process may have died before it registered.
    let life = ground.start(3).await;
    let zero = life.log(0);
    assert_eq!((zero.high_watermark().get(), life.log(1).high_watermark().get()), (10, 3));
    assert_eq!(read_all(&zero).await, [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]);
    let again = append(&life.engine, &zero, idempotent(9, 0, 8, 2)).await;
    assert!(again.duplicate && again.base_offset.get() == 8, "{again:?}");
    let next = append(&life.engine, &zero, idempotent(9, 0, 10, 2)).await;
    assert_eq!((next.duplicate, next.base_offset.get()), (false, 10));
    life.crash().await;
    let life = ground.start(4).await;
    assert_eq!(read_all(&life.log(0)).await.last(), Some(&(10, 11)));
    assert!(life.log(0).leader_epoch() > zero.leader_epoch());
}

#[tokio::test(start_paused = true)]
async fn a_second_incarnation_ends_the_first_whose_writer_acks_nothing_more() {
    let ground = Ground::new();
    let old = ground.start(1).await;
    ground.create_topic(&old).await;
    append(&old.engine, &old.log(0), prepared(2, 1_000, 50)).await;
    // The old process lives on and does not know.
    let new = ground.start(2).await;
    assert_eq!(new.log(0).high_watermark().get(), 2);
    let late = try_append(&old.engine, &old.log(0), prepared(1, 1_000, 50)).await;
    if let Ok((_, ack)) = late {
        ack.await.unwrap_err();
    }
    assert_eq!(old.log(0).high_watermark().get(), 2, "nothing that was not acked is shown");
    let why = old.tasks.failure().unwrap();
    assert!(why.contains("seal"), "{why}");
    append(&new.engine, &new.log(0), prepared(1, 1_000, 50)).await;
    assert_eq!(read_all(&new.log(0)).await, [(0, 1), (2, 2)]);
    // The old one's claim can not begin again.
    let refused = ground.refusal(1, 2).await;
    assert!(refused.contains("incarnation 2 is registered"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn another_node_goes_on_from_a_living_one_which_can_neither_ack_nor_commit() {
    let ground = Ground::new();
    let old = ground.try_start(1, 7).await.unwrap();
    ground.create_topic(&old).await;
    append(&old.engine, &old.log(0), idempotent(9, 0, 0, 2)).await;
    append(&old.engine, &old.log(0), idempotent(9, 0, 2, 2)).await;
    // Its node's first incarnation, though the other's is the seventh.
    let new = ground.try_start(2, 1).await.unwrap();
    assert!(new.log(0).leader_epoch() > old.log(0).leader_epoch(), "epochs grow over all nodes");
    let again = append(&new.engine, &new.log(0), idempotent(9, 0, 2, 2)).await;
    assert!(again.duplicate && again.base_offset.get() == 2, "{again:?}");
    append(&new.engine, &new.log(0), idempotent(9, 0, 4, 2)).await;
    // The old one lives on. Its segments are not taken: its chain is closed.
    old.engine.close().await.unwrap_err();
    assert_eq!(old.log(0).high_watermark().get(), 4, "nothing that was not acked is shown");
    assert_eq!(read_all(&new.log(0)).await, [(0, 1), (2, 3), (4, 5)]);
    let chain = ground.chain(1, 7).await;
    assert!(matches!(chain.life, ChainLife::Closed { .. }), "{chain:?}");
    assert_eq!((ground.chain(2, 1).await.lead, chain.lead), (2, 1));
    let epoch = new.log(0).leader_epoch();
    new.crash().await;
    // And back.
    let third = ground.try_start(1, 8).await.unwrap();
    assert!(third.log(0).leader_epoch() > epoch);
    assert_eq!(read_all(&third.log(0)).await, [(0, 1), (2, 3), (4, 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_recovery_that_another_owner_has_begun_is_not_gone_on_with() {
    let ground = Ground::new();
    let life = ground.start(1).await;
    ground.create_topic(&life).await;
    append(&life.engine, &life.log(0), prepared(1, 1_000, 50)).await;
    life.crash().await;
    let taken =
        ChainRecord { life: ChainLife::Recovering { term: 9, attempt: 2 }, ..ground.chain(1, 1).await };
    let mut batch = Batch::default();
    batch.put(keys::chain(BrokerId(1), Incarnation(1)), taken.encode());
    ground.meta.commit(batch).await.unwrap();
    let refused = ground.refusal(1, 2).await;
    assert!(refused.contains("not this process's to recover"), "{refused}");
    // A later term goes on.
    let life = ground.start(10).await;
    assert_eq!(read_all(&life.log(0)).await, [(0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn trims_bound_what_is_walked_and_closed_chains_are_emptied_but_for_their_ends() {
    let mut ground = Ground::new();
    ground.options.stretch_slots = 4;
    ground.options.slots = 40;
    let life = ground.start(1).await;
    ground.create_topic(&life).await;
    for _ in 0..35 {
        append(&life.engine, &life.log(0), prepared(1, 1_000, 50)).await;
    }
    ground.clock.sleep(std::time::Duration::from_secs(2)).await;
    life.long.notified().await;
    let gets = ground.wal.gets();
    life.crash().await;
    let life = ground.start(2).await;
    // The open record and the id, a search of the trim, and few slots behind it: not all of them.
    let walked = ground.wal.gets() - gets;
    assert!(walked < 30, "{walked} reads");
    assert_eq!(read_all(&life.log(0)).await.len(), 35);
    append(&life.engine, &life.log(0), prepared(1, 1_000, 50)).await;
    ground.clock.sleep(std::time::Duration::from_secs(1)).await;
    let left = ground.wal_names("wal/1/1/").await;
    assert!(left.contains(&"wal/1/1/00000000000000000000".to_owned()), "{left:?}");
    assert!(left.contains(&"wal/1/1/00000000000000000036".to_owned()), "the end stays: {left:?}");
    assert!(!left.contains(&"wal/1/1/00000000000000000035".to_owned()), "{left:?}");
    // A create that lands late makes a deleted object again; the next start's sweep deletes it.
    let data = ground.wal.get("wal/1/2/00000000000000000001", 0..1_000).await.unwrap();
    ground.wal.put("wal/1/2/00000000000000000009", vec![data]).await.unwrap();
    life.engine.close().await.unwrap();
    life.crash().await;
    let life = ground.start(3).await;
    assert_eq!(read_all(&life.log(0)).await.len(), 36);
    append(&life.engine, &life.log(0), prepared(1, 1_000, 50)).await;
    ground.clock.sleep(std::time::Duration::from_secs(1)).await;
    let left = ground.wal_names("wal/1/2/").await;
    assert!(!left.contains(&"wal/1/2/00000000000000000009".to_owned()), "{left:?}");
    life.crash().await;
    assert_eq!(read_all(&ground.start(4).await.log(0)).await.len(), 37);
}

#[tokio::test(start_paused = true)]
async fn the_next_open_record_is_there_before_the_registration() {
    let ground = Ground::new();
    ground.start(1).await.crash().await;
    let name = "wal/1/2/00000000000000000000";
    ground.wal.put(name, vec![vec![1; 200].into()]).await.unwrap();
    let refused = ground.refusal(1, 2).await;
    assert!(refused.contains("is not ours"), "{refused}");
    let node = ground.meta.get(&keys::node(BrokerId(1))).await.unwrap().unwrap();
    let node = NodeRecord::decode(&node).unwrap();
    assert_eq!((node.incarnation, node.wal_kind), (Incarnation(1), WalKind::Object));
    ground.start(3).await.crash().await;
}

#[tokio::test(start_paused = true)]
async fn another_store_kind_node_or_lost_metadata_is_refused_with_what_to_do() {
    let mut ground = Ground::new();
    let life = ground.start(1).await;
    ground.create_topic(&life).await;
    append(&life.engine, &life.log(0), prepared(1, 1_000, 50)).await;
    life.crash().await;
    let wal = std::mem::take(&mut ground.wal);
    let refused = ground.refusal(1, 2).await;
    assert!(refused.contains("--wal-storage") && refused.contains("Nothing was changed"), "{refused}");
    let looked = check_storage(&ground.meta, &ground.driver(2, 1, &Supervisor::default())).await;
    assert!(looked.is_err() && ground.wal.list("").await.unwrap().is_empty(), "a look leaves nothing there");
    ground.wal = wal;
    check_storage(&ground.meta, &ground.driver(2, 1, &Supervisor::default())).await.unwrap();
    let tasks = Supervisor::default();
    let ring = ground.open(1, 0, Arc::new(TestWal::new(true, 1_000)), &tasks).await;
    let refused = ring.err().unwrap().to_string();
    assert!(refused.contains("is on an object store"), "{refused}");
    let meta = std::mem::take(&mut ground.meta);
    let refused = ground.refusal(1, 2).await;
    assert!(refused.contains("the metadata is lost"), "{refused}");
    ground.meta = meta;
    // None of this has ended or changed the chain.
    let life = ground.start(5).await;
    assert_eq!(read_all(&life.log(0)).await, [(0, 0)]);
    life.crash().await;
    let local = Ground::new();
    let tasks = Supervisor::default();
    local.open(1, 0, Arc::new(TestWal::new(true, 1_000)), &tasks).await.unwrap();
    let refused = local.refusal(1, 1).await;
    assert!(refused.contains("ring of local files"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_object_is_named_and_nothing_behind_it_is_guessed() {
    let ground = Ground::new();
    let life = ground.start(1).await;
    ground.create_topic(&life).await;
    append(&life.engine, &life.log(0), prepared(1, 1_000, 50)).await;
    append(&life.engine, &life.log(0), prepared(1, 1_000, 50)).await;
    life.crash().await;
    let name = "wal/1/1/00000000000000000001";
    ground.wal.tamper(name, |bytes| bytes[120] ^= 1);
    let refused = ground.refusal(1, 2).await;
    assert!(refused.contains(name), "{refused}");
    ground.wal.tamper(name, |bytes| bytes[120] ^= 1);
    let life = ground.start(3).await;
    assert_eq!(read_all(&life.log(0)).await, [(0, 0), (1, 1)]);
}
