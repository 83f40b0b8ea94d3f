//! Start: what the last incarnation left in the WAL becomes segments, then one commit begins the next incarnation.
//!
//! Nothing before that commit changes what a second try would see: segments that were written stay prepared and are
//! swept. The commit holds index, producer state, the next incarnation (and with it every leader epoch, which grows
//! with the incarnation) and the trim behind everything the last one may have written. Only then does the WAL start.

use std::collections::BTreeMap;

use bytes::Bytes;
use waybill_meta::{Batch, NodeRecord, PartitionRecord, Record, TopicRecord, WalKind, keys};
use waybill_types::{Incarnation, TopicId, TopicPartition};
use waybill_wal::chain::names::Slot;
use waybill_wal::{DurableFrame, FrameHeader, WalPosition};

use crate::chains::Registration;
use crate::committed::Committed;
use crate::driver::RecoveredWal;
use crate::error::OpenError;
use crate::flush::{WrittenSegment, add_segments, write_segment};
use crate::identity::Identity;
use crate::options::EngineDeps;
use crate::plan::{Progress, slice_of};
use crate::services::Services;

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
    /// Which lead wrote the frames.
    last: Incarnation,
    /// What this process is from now on, as its node's incarnation.
    next: (WalKind, Incarnation),
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
    pub(crate) fn new(
        services: &'a Services,
        last: Incarnation,
        next: (WalKind, Incarnation),
        loaded: &'a mut Loaded,
    ) -> Self {
        Self {
            services,
            last,
            next,
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
        let (_, incarnation) = self.next;
        wal.prepare(incarnation).await?;
        self.commit(identity, wal.next_trim(), wal.end()).await
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

    async fn commit(
        mut self,
        identity: &Identity,
        trim: WalPosition,
        end: Option<Slot>,
    ) -> Result<(), OpenError> {
        let (services, at) = (self.services, self.services.clock.now());
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
        let NodeRecord { node, wal_store, .. } = identity.node;
        let chain = match self.next {
            (WalKind::File, incarnation) => {
                let registered = NodeRecord { incarnation, registered_at: at, ..identity.node.clone() };
                batch.require(keys::node(node), Some(identity.node.encode()));
                batch.put(keys::node(node), registered.encode());
                None
            }
            (WalKind::Object, incarnation) => {
                let lead = services.incarnation.get();
                let new = Registration { node, incarnation, wal_store, at, lead };
                Some(identity.succeed(end, new, &mut batch)?)
            }
        };
        services.put_trim(trim, &mut batch);
        let next = services.prepare_object(ledger.next_object, &mut batch);
        services.commit(batch).await?;
        ledger.next_object = next.id.next();
        ledger.prepared.push(next);
        ledger.trim = trim;
        services.trimmed(trim);
        if let Some(chain) = chain {
            services.registered(chain);
        }
        let (_, incarnation) = self.next;
        tracing::info!(
            incarnation = incarnation.get(),
            lead = services.incarnation.get(),
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
