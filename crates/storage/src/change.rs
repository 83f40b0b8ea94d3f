//! What makes records die: DeleteRecords, retention, topic deletion. Each is one durable commit before anybody is told.

use std::sync::Arc;

use waybill_meta::{Batch, IndexRecord, MetaError, Record, keys};
use waybill_types::{Offset, TopicId};

use crate::error::{DeleteError, ReadError};
use crate::index::{PartitionIndex, Slice};
use crate::ledger::Deaths;
use crate::options::Sabotage;
use crate::partition::Partition;
use crate::retention::new_log_start;
use crate::shared::Shared;

/// Index entries dropped in one commit when a topic is removed.
const ENTRIES_A_COMMIT: usize = 4_096;

impl Partition {
    /// Makes sure that the index is in memory.
    pub(crate) async fn load_index(&self) -> Result<(), ReadError> {
        if self.index.lock().is_some() {
            return Ok(());
        }
        let _ledger = self.services.ledger.lock().await;
        self.load_index_held().await
    }

    /// The same, with the ledger held.
    pub(crate) async fn load_index_held(&self) -> Result<(), ReadError> {
        if self.index.lock().is_some() {
            return Ok(());
        }
        let mut slices = Vec::new();
        for (key, value) in self.services.meta.scan(keys::index_of(self.id)).await? {
            let Some((_, base_offset)) = keys::parse_index(&key) else { continue };
            slices.push(Arc::new(Slice { base_offset, record: IndexRecord::decode(&value)? }));
        }
        *self.index.lock() = Some(PartitionIndex::new(slices));
        Ok(())
    }

    /// Deletes the records below `before`, which may be the high watermark but not lie behind it. Durable when this
    /// returns, with the new log start.
    ///
    /// # Errors
    /// A [`DeleteError`].
    pub async fn delete_records(&self, before: Offset) -> Result<Offset, DeleteError> {
        let high_watermark = self.high_watermark();
        if before > high_watermark || before < Offset::ZERO {
            return Err(DeleteError::OutOfRange { offset: before, high_watermark });
        }
        if self.is_removed() {
            return Err(DeleteError::Removed);
        }
        self.move_log_start(|_, log_start| log_start.max(before)).await?;
        Ok(self.log_start())
    }

    /// Moves the log start to what `choose` says, given the slices and the current one.
    pub(crate) async fn move_log_start(
        &self,
        choose: impl FnOnce(&PartitionIndex, Offset) -> Offset,
    ) -> Result<(), ReadError> {
        let services = &self.services;
        let _ledger = services.ledger.lock().await;
        if self.is_removed() {
            return Err(ReadError::Removed);
        }
        self.load_index_held().await?;
        let log_start = self.committed.lock().log_start;
        let (start, dying) = {
            let index = self.index.lock();
            let Some(index) = &*index else { return Ok(()) };
            let start = choose(index, log_start);
            (start, index.below(start).to_vec())
        };
        if start <= log_start {
            return Ok(());
        }
        let mut committed = self.committed.lock().clone();
        let mut batch = Batch::default();
        let mut deaths = Deaths::default();
        for slice in &dying {
            batch.delete(keys::index(self.id, slice.base_offset));
            deaths.add(&slice.record);
            committed.bytes = committed.bytes.saturating_sub(slice.record.data_length);
        }
        let let_go: u64 = dying.iter().map(|slice| slice.record.data_length).sum();
        let dead = services.bury(&deaths, &mut batch).await?;
        committed.log_start = start;
        committed.epochs.truncate_start(start);
        batch.require(keys::partition(self.id), Some(committed.stored.clone()));
        batch.put(keys::partition(self.id), committed.store(self.epoch, services.incarnation));
        if services.options.sabotage.breaks(Sabotage::DeleteBeforeCommit) {
            for id in &dead {
                services.store.delete(&crate::segment::object_name(*id)).await?;
            }
        }
        services.commit(batch).await?;
        self.segment_bytes.store(committed.bytes, std::sync::atomic::Ordering::Relaxed);
        *self.committed.lock() = committed;
        self.set_log_start(start);
        services.metrics.retained_bytes.inc_by(let_go);
        services.note_objects_changed();
        services.note_dead(dead);
        Ok(())
    }
}

impl Shared {
    /// Looks at retention again and again.
    pub(crate) async fn run_retention(self: Arc<Self>) -> Result<(), MetaError> {
        let stopping = self.services.supervisor.stopping();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = self.services.clock.sleep(self.services.options.retention_check) => {}
            }
            self.apply_retention().await;
        }
    }

    /// Lets go what retention allows, in all partitions. One that fails is tried again at the next check.
    pub(crate) async fn apply_retention(&self) {
        let mut roll = false;
        for partition in self.all_partitions() {
            partition.append.lock().producers.expire(self.services.clock.now());
            let retention = self.retentions.read().get(&partition.id.topic).copied().unwrap_or_default();
            if retention.keeps_all() {
                continue;
            }
            let now = self.services.clock.now();
            let bytes = partition.size_bytes();
            let choose = |index: &PartitionIndex, log_start: Offset| {
                new_log_start(&retention, index.slices(), bytes, log_start, now)
            };
            match partition.move_log_start(choose).await {
                Ok(()) | Err(ReadError::Removed) => {}
                Err(error) => {
                    tracing::warn!(partition = %partition.id, %error, "retention failed, trying again later")
                }
            }
            // What is past its time but only in the WAL becomes a segment, to be let go at the next check.
            let durable = partition.durable.lock();
            roll |= durable.tail.oldest_unflushed().is_some_and(|entry| {
                retention.expired(entry.header.max_timestamp, entry.header.append_time, now)
            });
        }
        if roll && let Err(error) = self.flush_all().await {
            tracing::warn!(%error, "what is past its retention could not be flushed");
        }
    }

    /// Removes a topic; see [`crate::LogEngine::remove_topic`].
    pub(crate) async fn remove_topic(&self, topic: TopicId) -> Result<(), MetaError> {
        let gone: Vec<Arc<Partition>> = {
            let mut partitions = self.partitions.write();
            let mut ids: Vec<_> = partitions.keys().filter(|id| id.topic == topic).copied().collect();
            ids.sort_unstable();
            ids.iter().filter_map(|id| partitions.remove(id)).collect()
        };
        self.retentions.write().remove(&topic);
        self.cleanups.write().remove(&topic);
        for partition in &gone {
            partition.remove();
        }
        self.forget_topic(topic).await
    }

    /// Drops the partitions and index entries of a topic from the metadata, in commits of bounded size. The partition
    /// records go last, so that a start in between finds the rest.
    pub(crate) async fn forget_topic(&self, topic: TopicId) -> Result<(), MetaError> {
        let services = &self.services;
        let _ledger = services.ledger.lock().await;
        let unreadable = |error: &dyn std::fmt::Display| MetaError::Unreadable(error.to_string().into());
        let entries = services.meta.scan(keys::index_of_topic(topic)).await?;
        for some in entries.chunks(ENTRIES_A_COMMIT) {
            let mut batch = Batch::default();
            let mut deaths = Deaths::default();
            for (key, value) in some {
                let record = IndexRecord::decode(value).map_err(|error| unreadable(&error))?;
                deaths.add(&record);
                batch.delete(key.clone());
            }
            let dead = services.bury(&deaths, &mut batch).await.map_err(|error| unreadable(&error))?;
            services.commit(batch).await?;
            services.note_objects_changed();
            services.note_dead(dead);
        }
        let mut batch = Batch::default();
        for (key, _) in services.meta.scan(keys::partitions_of(topic)).await? {
            batch.delete(key);
        }
        if batch.is_empty() { Ok(()) } else { services.commit(batch).await }
    }
}
