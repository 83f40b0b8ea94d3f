//! The commit of a rewrite: in one batch, what is prepared becomes live and what it replaces dies, if the index still
//! holds exactly that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use waybill_meta::{Batch, MetaError, ObjectLife, Record, keys};
use waybill_types::{Offset, TopicPartition};

use super::RewriteError;
use crate::committed::Committed;
use crate::flush::{WrittenSegment, put_live};
use crate::index::Slice;
use crate::ledger::Deaths;
use crate::options::Sabotage;
use crate::partition::Partition;
use crate::segment::object_name;
use crate::shared::Shared;

/// A stretch of a partition that new slices take over, those of the written segments that lie in it.
#[derive(Debug)]
pub(crate) struct Replaced {
    pub(crate) partition: TopicPartition,
    /// Slices next to each other in the index.
    pub(crate) inputs: Vec<Arc<Slice>>,
    /// Where log compaction has got to with this.
    pub(crate) cleaned_end: Option<Offset>,
}

/// What of a rewrite takes effect.
struct Accepted {
    partition: Arc<Partition>,
    inputs: Vec<Arc<Slice>>,
    outputs: Vec<Arc<Slice>>,
    /// What the partition's record will hold, where it changes.
    committed: Option<Committed>,
}

impl Shared {
    /// Commits a rewrite. Stretches that have changed meanwhile (retention, DeleteRecords, a deleted topic) stay as they
    /// are, and what was written for them is named by nobody. Returns how many stretches were replaced.
    pub(crate) async fn commit_rewrite(
        &self,
        replaced: Vec<Replaced>,
        written: &[WrittenSegment],
    ) -> Result<usize, RewriteError> {
        let services = &self.services;
        let _ledger = services.ledger.lock().await;
        for segment in written {
            if !services.still_prepared(&segment.object).await? {
                return Err(RewriteError::GaveUp);
            }
        }
        let mut accepted = Vec::with_capacity(replaced.len());
        for stretch in replaced {
            accepted.extend(self.accept(stretch, written).await?);
        }
        let mut batch = Batch::default();
        let mut deaths = Deaths::default();
        for stretch in &mut accepted {
            self.put_stretch(stretch, &mut batch, &mut deaths);
        }
        let named: BTreeSet<(TopicPartition, Offset)> = accepted
            .iter()
            .flat_map(|stretch| stretch.outputs.iter().map(|slice| (stretch.partition.id, slice.base_offset)))
            .collect();
        let mut dead = Vec::new();
        for segment in written {
            let of_this = segment.built.slices.iter();
            let of_this = of_this.filter(|slice| named.contains(&(slice.partition, slice.base_offset)));
            let life = put_live(services, segment, of_this.map(|slice| &slice.record), &mut batch);
            if life == ObjectLife::Dead {
                dead.push(segment.object.id);
            }
        }
        dead.extend(services.bury(&deaths, &mut batch).await?);
        if services.options.sabotage.breaks(Sabotage::DeleteBeforeCommit) {
            for id in &dead {
                services.store.delete(&object_name(*id)).await?;
            }
        }
        match services.try_commit(batch).await {
            // Nothing was changed: the index is not what memory takes it for. Better no rewrite than a wrong one.
            Err(MetaError::Conflict(_)) => return Err(RewriteError::GaveUp),
            other => other?,
        }
        services.note_objects_changed();
        services.note_dead(dead);
        let count = accepted.len();
        accepted.into_iter().for_each(show);
        Ok(count)
    }

    /// Compares a stretch with the index, and finds what was written for it.
    async fn accept(
        &self,
        stretch: Replaced,
        written: &[WrittenSegment],
    ) -> Result<Option<Accepted>, RewriteError> {
        let Some(partition) = self.partition(&stretch.partition) else { return Ok(None) };
        partition.load_index_held().await?;
        let same = partition.index.lock().as_ref().is_some_and(|index| index.holds(&stretch.inputs));
        let rule_left_out = self.services.options.sabotage.breaks(Sabotage::CommitWithoutInputs);
        if !same && !rule_left_out && !stretch.inputs.is_empty() || partition.is_removed() {
            return Ok(None);
        }
        let from = stretch.inputs.first().map(|slice| slice.base_offset);
        let to = stretch.inputs.last().map(|slice| slice.record.last_offset);
        let within = |base: Offset| Some(base) >= from && Some(base) <= to;
        let slices = written.iter().flat_map(|segment| &segment.built.slices);
        let outputs: Vec<_> = slices
            .filter(|slice| slice.partition == stretch.partition && within(slice.base_offset))
            .map(|slice| Arc::new(Slice { base_offset: slice.base_offset, record: slice.record.clone() }))
            .collect();
        let bytes = |slices: &[Arc<Slice>]| slices.iter().map(|slice| slice.record.data_length).sum::<u64>();
        let mut committed = partition.committed.lock().clone();
        let before = (committed.bytes, committed.cleaned_end);
        committed.bytes = committed.bytes.saturating_sub(bytes(&stretch.inputs)) + bytes(&outputs);
        committed.cleaned_end = committed.cleaned_end.max(stretch.cleaned_end.unwrap_or(Offset::ZERO));
        let changed = before != (committed.bytes, committed.cleaned_end);
        let committed = changed.then_some(committed);
        Ok(Some(Accepted { partition, inputs: stretch.inputs, outputs, committed }))
    }

    fn put_stretch(&self, stretch: &mut Accepted, batch: &mut Batch, deaths: &mut Deaths) {
        let services = &self.services;
        let id = stretch.partition.id;
        for slice in &stretch.inputs {
            deaths.add(&slice.record);
            if !services.options.sabotage.breaks(Sabotage::CommitWithoutInputs) {
                batch.require(keys::index(id, slice.base_offset), Some(slice.record.encode()));
            }
            batch.delete(keys::index(id, slice.base_offset));
        }
        for slice in &stretch.outputs {
            batch.put(keys::index(id, slice.base_offset), slice.record.encode());
        }
        if let Some(committed) = &mut stretch.committed {
            batch.require(keys::partition(id), Some(committed.stored.clone()));
            batch.put(keys::partition(id), committed.store(stretch.partition.epoch, services.incarnation));
        }
    }
}

/// Makes memory show what is durable.
fn show(stretch: Accepted) {
    let partition = stretch.partition;
    let end = stretch.inputs.last().map(|slice| slice.record.last_offset.next());
    if let Some(index) = &mut *partition.index.lock() {
        index.replace(&stretch.inputs, stretch.outputs);
    }
    if let Some(committed) = stretch.committed {
        partition.segment_bytes.store(committed.bytes, Ordering::Relaxed);
        *partition.committed.lock() = committed;
        // Records that memory still has from before must not be read with what segments say of transactions now.
        if let Some(end) = end {
            partition.durable.lock().tail.forget(end);
        }
    }
}

impl From<waybill_meta::RecordError> for RewriteError {
    fn from(error: waybill_meta::RecordError) -> Self {
        Self::Meta(MetaError::Unreadable(error.to_string().into()))
    }
}
