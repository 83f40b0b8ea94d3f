//! An engine on a WAL, a metadata store and an object store in memory, which survive its crash.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use waybill_meta::{Batch, MemoryMeta, MetaStore, Record, TopicRecord, keys};
use waybill_protocol::batch::{PreparedBatch, split_batches};
use waybill_rt::{Metrics, SeededEntropy, Supervisor, VirtualClock};
use waybill_store::MemoryStore;
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId, TopicPartition};

use super::wal::TestWal;
use crate::{
    Ack, AppendError, AppendInfo, Appended, CompactionOptions, EngineDeps, EngineOptions, LogEngine,
    OpenError, Partition, ReadBound, ReadOutcome, ReadRequest,
};

/// When simulated time begins.
pub(crate) const START: i64 = 1_000_000;

pub(crate) struct World {
    pub(crate) wal: TestWal,
    pub(crate) meta: MemoryMeta,
    pub(crate) store: MemoryStore,
    pub(crate) options: EngineOptions,
    pub(crate) clock: waybill_rt::SharedClock,
    pub(crate) supervisor: Supervisor,
}

impl World {
    pub(crate) fn new(wal: TestWal) -> Self {
        let compaction = CompactionOptions { grace: Duration::ZERO, ..CompactionOptions::default() };
        let options = EngineOptions {
            flush_bytes: 4_000,
            read_ahead_bytes: 1_000,
            compaction,
            ..EngineOptions::default()
        };
        Self {
            wal,
            meta: MemoryMeta::default(),
            store: MemoryStore::default(),
            options,
            clock: VirtualClock::shared(TimestampMs(START)),
            supervisor: Supervisor::default(),
        }
    }

    /// A world whose WAL makes everything durable at once.
    pub(crate) fn automatic() -> Self {
        Self::new(TestWal::new(true, 1_000))
    }

    pub(crate) async fn try_open(&mut self) -> Result<Arc<LogEngine>, OpenError> {
        self.supervisor = Supervisor::default();
        let deps = EngineDeps {
            clock: Arc::clone(&self.clock),
            entropy: Arc::new(SeededEntropy::new(1)),
            meta: Arc::new(self.meta.clone()),
            store: Arc::new(self.store.clone()),
            wal: Arc::new(self.wal.clone()),
            metrics: Metrics::default(),
            supervisor: self.supervisor.clone(),
        };
        LogEngine::open(self.options.clone(), deps).await
    }

    pub(crate) async fn open(&mut self) -> Arc<LogEngine> {
        self.try_open().await.unwrap()
    }

    /// Stops the tasks and forgets the engine without writing anything.
    pub(crate) async fn crash(&self, engine: Arc<LogEngine>) {
        self.wal.crash();
        let _ = self.supervisor.shutdown().await;
        drop(engine);
    }

    pub(crate) async fn create_topic(&self, engine: &LogEngine, topic: TopicId, partitions: i32) {
        let ids: Vec<_> =
            (0..partitions).map(|index| TopicPartition::new(topic, PartitionId(index))).collect();
        let record = TopicRecord {
            id: topic,
            name: topic.to_string(),
            partitions,
            replication_factor: 1,
            configs: BTreeMap::new(),
            created_at: self.clock.now(),
        };
        let mut batch = Batch::default();
        batch.put(keys::topic(topic), record.encode());
        engine.contribute_partitions(&ids, &mut batch);
        self.meta.commit(batch).await.unwrap();
        engine.add_partitions(ids).unwrap();
    }

    /// What control does before it calls `remove_topic`.
    pub(crate) async fn delete_topic_record(&self, topic: TopicId) {
        let mut batch = Batch::default();
        batch.delete(keys::topic(topic));
        self.meta.commit(batch).await.unwrap();
    }
}

pub(crate) async fn try_append(
    engine: &LogEngine,
    partition: &Arc<Partition>,
    batch: PreparedBatch,
) -> Result<(Appended, Ack), AppendError> {
    let permit = engine.reserve(batch.size()).await.unwrap();
    partition.append(batch, AppendInfo::default(), permit)
}

/// Appends and waits for the ack.
pub(crate) async fn append(engine: &LogEngine, partition: &Arc<Partition>, batch: PreparedBatch) -> Appended {
    let (appended, ack) = try_append(engine, partition, batch).await.unwrap();
    ack.await.unwrap();
    appended
}

pub(crate) fn request(from: i64, max_bytes: usize) -> ReadRequest {
    ReadRequest { from: Offset(from), max_bytes, at_least_one: true, bound: ReadBound::HighWatermark }
}

/// First and last offset of each batch.
pub(crate) fn ranges(batches: &[Bytes]) -> Vec<(i64, i64)> {
    let pieces = batches.iter().flat_map(|piece| split_batches(piece.clone()).strict());
    pieces
        .map(|batch| {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            (batch.header().base_offset.get(), batch.header().last_offset().get())
        })
        .collect()
}

/// Reads the whole log in steps and returns its batches' offsets.
pub(crate) async fn read_all(partition: &Partition) -> Vec<(i64, i64)> {
    let mut all: Vec<(i64, i64)> = Vec::new();
    let mut from = partition.log_start().get();
    while from < partition.high_watermark().get() {
        let outcome: ReadOutcome = partition.read(request(from, 700)).await.unwrap();
        let read = ranges(&outcome.batches);
        let (first, last) = (read.first().unwrap(), read.last().unwrap());
        assert!(
            first.0 <= from && from <= first.1,
            "the read starts with the batch that holds {from}: {read:?}"
        );
        from = last.1 + 1;
        all.extend(read);
    }
    all
}
