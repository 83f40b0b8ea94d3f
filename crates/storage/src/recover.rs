//! Start: what the last incarnation left in the WAL becomes segments, then one commit begins the next incarnation.
//!
//! Nothing before that commit changes what a second try would see: segments that were written stay prepared and are
//! swept. The commit holds index, producer state, the next incarnation (and with it every leader epoch, which grows
//! with the incarnation) and the trim behind everything the last one may have written. Only then does the WAL start.

use std::collections::BTreeMap;

use bytes::Bytes;
use waybill_meta::{
    Batch, ClusterRecord, NodeRecord, ObjectId, ObjectIdsRecord, PartitionRecord, Record, TopicRecord,
    WalKind, WalTrimRecord, keys,
};
use waybill_rt::entropy::fresh_cluster_id;
use waybill_types::{ClusterId, Incarnation, StoreId, TopicId, TopicPartition};
use waybill_wal::{DurableFrame, FrameHeader, WalPosition};

use crate::committed::Committed;
use crate::driver::{RecoveredWal, WalRegistration};
use crate::error::OpenError;
use crate::flush::{WrittenSegment, add_segments, write_segment};
use crate::options::{EngineDeps, EngineOptions};
use crate::plan::{Progress, slice_of};
use crate::services::Services;

/// The level of the formats that this release writes.
pub(crate) const LEVEL: u32 = 1;

/// Who this store belongs to and which incarnation comes next.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeRecord,
    pub(crate) trim: WalPosition,
    pub(crate) closed_at: Option<WalPosition>,
    pub(crate) next_object: ObjectId,
}

/// Reads the identity, making it when the metadata store is new. A store that holds objects is never treated as new.
pub(crate) async fn identify(options: &EngineOptions, deps: &EngineDeps) -> Result<Identity, OpenError> {
    let cluster = deps.meta.get(&keys::cluster()).await?;
    let node = deps.meta.get(&keys::node(options.node)).await?;
    let trim = deps.meta.get(&keys::wal_trim(options.node)).await?;
    let next_object = deps.meta.get(&keys::object_ids()).await?;
    let next_object = next_object.map(|bytes| ObjectIdsRecord::decode(&bytes)).transpose()?;
    let trim = trim.map(|bytes| WalTrimRecord::decode(&bytes)).transpose()?;
    let kind = deps.wal.kind();
    if let Some(bytes) = &node {
        check_kind(NodeRecord::decode(bytes)?.wal_kind, kind)?;
    }
    if kind == WalKind::Object {
        refuse_others(options, deps).await?;
    }
    let shown = deps.wal.store_id().await?;
    let (cluster, node) = match (cluster, node) {
        (Some(cluster), Some(node)) => (ClusterRecord::decode(&cluster)?, NodeRecord::decode(&node)?),
        (cluster, None) => register(options, deps, cluster, shown).await?,
        (None, Some(_)) => {
            return Err(OpenError::Mismatch("the metadata names a node but no cluster".into()));
        }
    };
    if cluster.level > LEVEL {
        let text = format!("the storage is of format level {}, this release knows {LEVEL}", cluster.level);
        return Err(OpenError::Mismatch(text));
    }
    if let Some(shown) = shown.filter(|shown| *shown != node.wal_store) {
        let text = format!(
            "this is not the write-ahead log's store that node {} is registered with: it shows the id {shown}, not {}; give \
             the --wal-storage (or none) that the broker was started with before. No record was changed",
            options.node, node.wal_store
        );
        return Err(OpenError::Mismatch(text));
    }
    Ok(Identity {
        cluster: cluster.cluster_id,
        node,
        trim: WalPosition(trim.as_ref().map_or(0, |trim| trim.position)),
        closed_at: trim.and_then(|trim| trim.closed_at).map(WalPosition),
        next_object: next_object.map_or(ObjectId(1), |ids| ids.next),
    })
}

fn check_kind(registered: WalKind, asked: WalKind) -> Result<(), OpenError> {
    let text = match (registered, asked) {
        (WalKind::File, WalKind::Object) => {
            "this storage's write-ahead log is a ring of local files, and moving it to an object store is not built yet: \
             start without --wal-storage, or with a new --storage"
        }
        (WalKind::Object, WalKind::File) => {
            "this storage's write-ahead log is on an object store: start with the --wal-storage that it was started with \
             before, or with a new --storage"
        }
        _ => return Ok(()),
    };
    Err(OpenError::Mismatch(text.into()))
}

/// Without a lock, another node may live: it leads partitions whose end only its chain knows.
async fn refuse_others(options: &EngineOptions, deps: &EngineDeps) -> Result<(), OpenError> {
    for (_, value) in deps.meta.scan(keys::nodes()).await? {
        let other = NodeRecord::decode(&value)?.node;
        if other != options.node {
            let text = format!(
                "this storage belongs to node {other}, and several brokers on one storage are not built yet: start with \
                 --node-id {other}, or with a new --storage"
            );
            return Err(OpenError::Mismatch(text));
        }
    }
    Ok(())
}

/// The first commit of a node: its WAL's store id is durable before the WAL is made.
async fn register(
    options: &EngineOptions,
    deps: &EngineDeps,
    cluster: Option<Bytes>,
    shown: Option<StoreId>,
) -> Result<(ClusterRecord, NodeRecord), OpenError> {
    let now = deps.clock.now();
    let mut batch = Batch::default();
    let record = match cluster {
        Some(bytes) => ClusterRecord::decode(&bytes)?,
        None => {
            if !deps.store.list("seg/").await?.is_empty() {
                let text = "the storage root holds segments but its metadata is missing; restore meta/ from a backup";
                return Err(OpenError::Mismatch(text.into()));
            }
            let id = fresh_cluster_id(&*deps.entropy);
            let record = ClusterRecord { cluster_id: id, level: LEVEL, created_at: now };
            batch.require(keys::cluster(), None);
            batch.put(keys::cluster(), record.encode());
            record
        }
    };
    let store = shown.unwrap_or_else(|| {
        let mut drawn = [0; 16];
        deps.entropy.fill(&mut drawn);
        StoreId(drawn)
    });
    let node = NodeRecord {
        node: options.node,
        incarnation: Incarnation(0),
        wal_kind: deps.wal.kind(),
        wal_store: store,
        registered_at: now,
    };
    batch.require(keys::node(options.node), None);
    batch.put(keys::node(options.node), node.encode());
    deps.meta.commit(batch).await?;
    Ok((record, node))
}

impl Identity {
    pub(crate) fn registration(&self) -> WalRegistration {
        WalRegistration {
            store: self.node.wal_store,
            incarnation: self.node.incarnation,
            trim: self.trim,
            closed_at: self.closed_at,
        }
    }

    /// The incarnation that begins: the claimed one, which must be above the registered one.
    pub(crate) fn next_incarnation(&self, claimed: Option<Incarnation>) -> Result<Incarnation, OpenError> {
        let registered = self.node.incarnation;
        match claimed {
            None => Ok(Incarnation(registered.get() + 1)),
            Some(claimed) if claimed > registered => Ok(claimed),
            Some(claimed) => Err(OpenError::Mismatch(format!(
                "incarnation {claimed} of node {} was claimed, but incarnation {registered} is registered: another process runs \
                 as this node (give one of the two another --storage, or stop it), or objects below control/broker/ were \
                 deleted, which must never be",
                self.node.node
            ))),
        }
    }
}

/// What the metadata says about partitions.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The records as stored, of partitions whose topic exists.
    pub(crate) partitions: BTreeMap<TopicPartition, Bytes>,
    /// Topics that were deleted but whose partitions are still there.
    pub(crate) deleted: Vec<TopicId>,
}

pub(crate) async fn load(deps: &EngineDeps) -> Result<Loaded, OpenError> {
    let mut topics = std::collections::BTreeSet::new();
    for (_, value) in deps.meta.scan(keys::topics()).await? {
        topics.insert(TopicRecord::decode(&value)?.id);
    }
    let mut loaded = Loaded::default();
    for (key, value) in deps.meta.scan(keys::partitions()).await? {
        let Some(id) = keys::parse_partition(&key) else { continue };
        if topics.contains(&id.topic) {
            loaded.partitions.insert(id, value);
        } else if loaded.deleted.last() != Some(&id.topic) {
            loaded.deleted.push(id.topic);
        }
    }
    Ok(loaded)
}

/// The recovery of one WAL.
pub(crate) struct Recovery<'a> {
    services: &'a Services,
    /// The incarnation that wrote the frames.
    last: Incarnation,
    loaded: &'a mut Loaded,
    progress: Progress,
    /// Frames that wait to become a segment.
    waiting: Vec<DurableFrame>,
    waiting_bytes: u64,
    /// Where the last frame taken of each partition ends.
    ends: BTreeMap<TopicPartition, waybill_types::Offset>,
    written: Vec<WrittenSegment>,
    skipped: u64,
}

impl<'a> Recovery<'a> {
    pub(crate) fn new(services: &'a Services, last: Incarnation, loaded: &'a mut Loaded) -> Self {
        Self {
            services,
            last,
            loaded,
            progress: Progress::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            ends: BTreeMap::new(),
            written: Vec::new(),
            skipped: 0,
        }
    }

    /// Runs the recovery up to and including its commit, after which `loaded` holds the records as committed.
    pub(crate) async fn run(
        mut self,
        identity: &Identity,
        wal: &mut dyn RecoveredWal,
    ) -> Result<(), OpenError> {
        while let Some(frames) = wal.next_frames().await? {
            for frame in frames {
                self.take(frame)?;
            }
            if self.waiting_bytes >= self.services.options.flush_bytes {
                self.write().await?;
            }
        }
        self.write().await?;
        wal.prepare(self.services.incarnation).await?;
        self.commit(identity, wal.next_trim()).await
    }

    /// Takes a frame that is the next of its partition; others were committed before, or belong to a deleted topic.
    fn take(&mut self, frame: DurableFrame) -> Result<(), OpenError> {
        let header = &frame.frame.header;
        let Some(stored) = self.loaded.partitions.get(&header.partition) else {
            self.skipped += 1;
            return Ok(());
        };
        let end = match self.ends.get(&header.partition) {
            Some(end) => *end,
            None => PartitionRecord::decode(stored)?.committed_end,
        };
        let contiguous = header.base_offset == end;
        if !contiguous && header.last_offset < end {
            self.skipped += 1;
            return Ok(());
        }
        let expected = PartitionRecord::decode(stored)?.epoch_in(self.last);
        if header.leader_epoch != expected && contiguous {
            return Err(damaged(
                header,
                &format!("it has leader epoch {}, not {expected}", header.leader_epoch),
            ));
        }
        if !contiguous {
            return Err(damaged(header, &format!("the log ends at {end}")));
        }
        self.ends.insert(header.partition, header.last_offset.next());
        self.waiting_bytes += frame.frame.records.len() as u64;
        self.waiting.push(frame);
        Ok(())
    }

    /// Makes a segment of what waits.
    async fn write(&mut self) -> Result<(), OpenError> {
        self.waiting_bytes = 0;
        let mut frames = std::mem::take(&mut self.waiting);
        frames.sort_by_key(|frame| (frame.frame.header.partition, frame.frame.header.base_offset));
        let mut inputs = Vec::new();
        for run in frames.chunk_by(|one, two| one.frame.header.partition == two.frame.header.partition) {
            let Some(id) = run.first().map(|frame| frame.frame.header.partition) else { continue };
            let batches = run.iter().map(|frame| (frame.frame.header, frame.frame.records.clone())).collect();
            let committed = self.committed(id)?;
            if let Some(committed) = committed {
                let slice = slice_of(id, committed, batches);
                inputs.extend(slice.map_err(|gap| OpenError::Mismatch(gap.to_string()))?);
            }
        }
        if !inputs.is_empty() {
            self.written.push(write_segment(self.services, &inputs, false, u32::MAX).await?);
        }
        Ok(())
    }

    fn committed(&mut self, id: TopicPartition) -> Result<Option<&mut Committed>, OpenError> {
        if !self.progress.partitions.contains_key(&id) {
            let Some(stored) = self.loaded.partitions.get(&id) else { return Ok(None) };
            let expiration = self.services.options.producer_expiration_ms;
            let (committed, _) = Committed::read(stored.clone(), self.services.incarnation, expiration)?;
            self.progress.partitions.insert(id, committed);
        }
        Ok(self.progress.partitions.get_mut(&id))
    }

    async fn commit(mut self, identity: &Identity, trim: WalPosition) -> Result<(), OpenError> {
        let services = self.services;
        let mut ledger = services.ledger.lock().await;
        let mut batch = Batch::default();
        add_segments(services, &self.written, &mut self.progress.partitions, &mut batch);
        for (id, committed) in &mut self.progress.partitions {
            let epoch = PartitionRecord::decode(&committed.stored)?.epoch_in(services.incarnation);
            batch.require(keys::partition(*id), Some(committed.stored.clone()));
            let stored = committed.store(epoch, services.incarnation);
            batch.put(keys::partition(*id), stored.clone());
            self.loaded.partitions.insert(*id, stored);
        }
        let node = services.options.node;
        let registered = NodeRecord {
            incarnation: services.incarnation,
            registered_at: services.clock.now(),
            ..identity.node.clone()
        };
        batch.require(keys::node(node), Some(identity.node.encode()));
        batch.put(keys::node(node), registered.encode());
        services.put_trim(trim, &mut batch);
        let next = services.prepare_object(ledger.next_object, &mut batch);
        services.commit(batch).await?;
        ledger.next_object = next.id.next();
        ledger.prepared.push(next);
        ledger.trim = trim;
        services.trimmed(trim);
        tracing::info!(
            incarnation = services.incarnation.get(),
            segments = self.written.len(),
            partitions = self.progress.partitions.len(),
            skipped = self.skipped,
            "the write-ahead log is recovered"
        );
        Ok(())
    }
}

fn damaged(header: &FrameHeader, what: &str) -> OpenError {
    OpenError::Mismatch(format!(
        "the write-ahead log and the metadata do not belong together: partition {} continues at offset {}, but {what}; \
         restore both from the same moment",
        header.partition, header.base_offset
    ))
}
