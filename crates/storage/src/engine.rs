//! The log engine: opening, the map of partitions, closing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::Notify;
use waybill_meta::{Batch, MetaError, PartitionRecord, Record, keys};
use waybill_rt::Budget;
use waybill_types::{ClusterId, Incarnation, TopicId, TopicPartition};
use waybill_wal::{WalError, WalPermit};

use crate::ack::Ack;
use crate::append::{AppendItem, Appended, append_many};
use crate::clean::CleanRules;
use crate::committed::Committed;
use crate::error::{AppendError, OpenError};
use crate::identity::identify;
use crate::ledger::Ledger;
use crate::log_cache::LogCache;
use crate::metrics::StorageMetrics;
use crate::options::{EngineDeps, EngineOptions};
use crate::partition::Partition;
use crate::recover::{Loaded, Recovery, load};
use crate::retention::Retention;
use crate::services::Services;
use crate::shared::{Shared, Sink};

/// The logs of all partitions that this process leads.
pub struct LogEngine {
    pub(crate) shared: Arc<Shared>,
    incarnation: Incarnation,
}

impl std::fmt::Debug for LogEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogEngine").field("incarnation", &self.incarnation()).finish_non_exhaustive()
    }
}

impl LogEngine {
    /// Recovers what the last incarnation left, begins the next one and starts the background tasks. The caller holds
    /// the lock on the storage root.
    ///
    /// # Errors
    /// An [`OpenError`]; a later try sees the same state.
    pub async fn open(options: EngineOptions, deps: EngineDeps) -> Result<Arc<Self>, OpenError> {
        let mut identity = identify(&options, &deps).await?;
        let incarnation = identity.next_incarnation(options.incarnation)?;
        let kind = deps.wal.kind();
        identity.begin(options.term, &*deps.meta).await?;
        // After the commit that freezes the chain: nobody changes a partition behind this.
        let mut loaded = load(&deps).await?;
        let mut wal = deps.wal.recover(identity.registration()).await?;
        let lead = identity.next_lead(kind, incarnation, options.sabotage);
        let metrics = StorageMetrics::default();
        metrics.register(&deps.metrics);
        let services = Services::new(
            options,
            identity.cluster,
            lead,
            Arc::clone(&deps.clock),
            Arc::clone(&deps.meta),
            Arc::clone(&deps.store),
            deps.supervisor.clone(),
            metrics.clone(),
            Ledger::new(identity.next_object, identity.trim),
        );
        let last = identity.last_lead(kind);
        let recovery = Recovery::new(&services, last, (kind, incarnation), &mut loaded);
        recovery.run(&identity, &mut *wal).await?;
        let options = &services.options;
        let cache = LogCache::new(options.log_cache_bytes, options.unflushed_cache_bytes, metrics);
        let shared = Arc::new(Shared {
            partitions: RwLock::new(HashMap::new()),
            retentions: RwLock::new(HashMap::new()),
            cleanups: RwLock::new(HashMap::new()),
            cache,
            flushing: tokio::sync::Mutex::new(()),
            last_flush: parking_lot::Mutex::new(None),
            flush_wake: Notify::new(),
            flushed: Notify::new(),
            wal_pressure: wal.capacity() / 4,
            next_serial: AtomicU64::new(0),
            services: Arc::clone(&services),
        });
        shared.install(&loaded)?;
        let sink = Arc::new(Sink(Arc::downgrade(&shared)));
        services.set_wal(wal.start(incarnation, sink).await?);
        shared.start_tasks(loaded.deleted);
        Ok(Arc::new(Self { shared, incarnation }))
    }

    /// The cluster that this store belongs to.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.shared.services.cluster
    }

    /// This start of the node.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether the log has ended for this process, by a fence or a failure: nothing more is acked.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.shared.services.poisoned().is_some()
    }

    /// The largest batch that the WAL takes, in bytes.
    ///
    /// # Errors
    /// When the WAL failed.
    pub fn max_batch_bytes(&self) -> Result<usize, WalError> {
        Ok(self.shared.services.wal()?.max_frame())
    }

    /// Waits for room for `bytes` of batches in the WAL's queue. Here, before offsets are given, producers are slowed.
    ///
    /// # Errors
    /// When the WAL failed, is closed or the disk is full.
    pub async fn reserve(&self, bytes: usize) -> Result<WalPermit, WalError> {
        let services = &self.shared.services;
        let wal = services.wal()?;
        if self.shared.cache.is_behind() {
            self.shared.wait_for_flush().await;
        }
        let stopping = services.supervisor.stopping();
        tokio::select! {
            biased;
            permit = wal.reserve(bytes) => permit,
            // A full ring waits for segments, which nobody writes any more.
            () = stopping.cancelled() => Err(services.poisoned().map_or(WalError::Closed, WalError::Poisoned)),
        }
    }

    /// A partition that this process leads.
    #[must_use]
    pub fn partition(&self, id: &TopicPartition) -> Option<Arc<Partition>> {
        self.shared.partition(id)
    }

    /// All partitions, in order of their ids.
    #[must_use]
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.shared.all_partitions()
    }

    /// The memory that pieces of segments take, in the block cache and in the hands of readers.
    #[must_use]
    pub fn segment_reads(&self) -> &Budget {
        self.shared.services.blocks.held()
    }

    /// The memory that compaction and log compaction take.
    #[must_use]
    pub fn compaction_memory(&self) -> &Budget {
        &self.shared.services.compaction
    }

    /// Appends the batches of one request, at most one WAL append for all of them. `backing` is the size of the
    /// allocation that the batches are slices of. The results stand in the order of the items; the [`Ack`] resolves
    /// when all batches without an error are durable, duplicates of batches in flight included.
    pub fn append_many(
        &self,
        items: Vec<AppendItem>,
        backing: usize,
        permit: WalPermit,
    ) -> (Vec<Result<Appended, AppendError>>, Ack) {
        append_many(&self.shared.services, items, backing, permit)
    }

    /// Adds to `batch` the records of new partitions, which must not exist. When the batch is durable, call
    /// [`Self::add_partitions`].
    pub fn contribute_partitions(&self, partitions: &[TopicPartition], batch: &mut Batch) {
        let record = PartitionRecord::new(self.shared.services.incarnation).encode();
        for id in partitions {
            batch.require(keys::partition(*id), None);
            batch.put(keys::partition(*id), record.clone());
        }
    }

    /// Opens partitions whose records ([`Self::contribute_partitions`]) are durable. Those that are open stay as they
    /// are.
    ///
    /// # Errors
    /// None in practice: the records are the ones contributed.
    pub fn add_partitions(&self, partitions: Vec<TopicPartition>) -> Result<(), OpenError> {
        let stored = PartitionRecord::new(self.shared.services.incarnation).encode();
        let partitions = partitions.into_iter().map(|id| (id, stored.clone())).collect();
        self.shared.install(&Loaded { partitions, deleted: Vec::new() })
    }

    /// Sets how long a topic's records are kept. Until this is called they are kept for ever.
    pub fn set_retention(&self, topic: TopicId, retention: Retention) {
        self.shared.retentions.write().insert(topic, retention);
    }

    /// Sets the rules by which a topic's logs are compacted; `None`: they are not.
    pub fn set_cleaning(&self, topic: TopicId, rules: Option<CleanRules>) {
        let mut cleanups = self.shared.cleanups.write();
        match rules {
            Some(rules) => cleanups.insert(topic, rules),
            None => cleanups.remove(&topic),
        };
    }

    /// Removes a topic whose record is durably gone: its partitions refuse everything at once, its slices die. Repeated
    /// at the next start should this process end in the midst.
    ///
    /// # Errors
    /// When the metadata store failed.
    pub async fn remove_topic(&self, topic: TopicId) -> Result<(), MetaError> {
        self.shared.remove_topic(topic).await
    }

    /// Stops taking batches, writes out what is queued and makes segments of everything, so that the next start has
    /// nothing to recover. To be called before the supervisor is shut down.
    ///
    /// # Errors
    /// When the WAL or a store failed; nothing acked is lost then.
    pub async fn close(&self) -> Result<(), CloseError> {
        let wal = self.shared.services.wal()?;
        wal.roll();
        wal.close().await?;
        // The writer has ended, so everything below was reported.
        self.shared.cache.set_flushable(wal.flushable_end());
        let flushed = self.shared.flush_all().await;
        self.shared.cache.clear();
        flushed.map_err(|error| CloseError::Flush(error.to_string()))?;
        let noted = self.shared.services.commit_closed(wal.durable_end()).await;
        noted.map_err(|error| CloseError::Flush(error.to_string()))
    }
}

/// Why closing did not write out everything.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The WAL failed.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// Segments could not be written; the WAL has the data.
    #[error("segments could not be written: {0}")]
    Flush(String),
}

/// The longest that a request is held because segments are behind. After it the WAL's ring takes the load, and what
/// no longer fits in memory is read back.
const SLOWED: Duration = Duration::from_millis(250);

impl Shared {
    /// Waits until segments have caught up somewhat, or a while has passed.
    async fn wait_for_flush(&self) {
        self.services.metrics.slowed.inc();
        let caught_up = async {
            loop {
                let flushed = self.flushed.notified();
                if !self.cache.is_behind() {
                    return;
                }
                flushed.await;
            }
        };
        tokio::select! {
            biased;
            () = caught_up => {}
            () = self.services.clock.sleep(SLOWED) => {}
        }
    }

    /// Opens partitions from their stored records.
    fn install(&self, loaded: &Loaded) -> Result<(), OpenError> {
        let services = &self.services;
        let mut opened = Vec::with_capacity(loaded.partitions.len());
        for (id, stored) in &loaded.partitions {
            let expiration = services.options.producer_expiration_ms;
            let (committed, epoch) = Committed::read(stored.clone(), services.incarnation, expiration)?;
            opened.push(Partition::new(*id, self.serial(), epoch, committed, Arc::clone(services)));
        }
        let mut partitions = self.partitions.write();
        for partition in opened {
            partitions.entry(partition.id).or_insert(partition);
        }
        Ok(())
    }

    fn start_tasks(self: &Arc<Self>, deleted: Vec<TopicId>) {
        let supervisor = &self.services.supervisor;
        supervisor.spawn("segment-flusher", Arc::clone(self).run_flusher());
        supervisor.spawn("retention", Arc::clone(self).run_retention());
        supervisor.spawn("object-sweeper", Arc::clone(self).run_sweeper(deleted));
        supervisor.spawn("compactor", Arc::clone(self).run_compactor());
    }
}
