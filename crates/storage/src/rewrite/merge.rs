//! From a plan to new segments: runs of slices that follow each other become one slice each, partition by partition.

use std::collections::BTreeSet;
use std::sync::Arc;

use waybill_meta::{ObjectId, ObjectRecord};
use waybill_types::{TimestampMs, TopicPartition};

use super::RewriteError;
use super::commit::Replaced;
use super::input::SoundSlice;
use super::plan::{Moved, Terms, gain, reads};
use crate::directory::read_directory;
use crate::flush::write_segment;
use crate::index::Slice;
use crate::segment::SliceInput;
use crate::shared::Shared;

/// Slices replaced in one commit.
const SLICES_A_COMMIT: usize = 4_096;
/// How often a new segment is tried.
const TRIES: u32 = 3;

/// Slices of a partition that follow each other.
#[derive(Debug)]
struct Run {
    partition: TopicPartition,
    slices: Vec<Arc<Slice>>,
    bytes: u64,
}

/// What became of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merged {
    /// Something was replaced.
    Done,
    /// It does not pay, when looked at closely.
    NotWorth,
}

impl Shared {
    /// Writes what is live in some objects anew. Each new segment is committed by itself: what is done stays done.
    pub(crate) async fn merge(
        &self,
        objects: &[(ObjectId, ObjectRecord)],
        terms: &Terms<'_>,
    ) -> Result<Merged, RewriteError> {
        let mut live = self.live_slices(objects).await?;
        live.sort_unstable_by_key(|(id, slice)| (*id, slice.base_offset));
        let slices = live.len() as u64;
        let runs = self.runs(live);
        if !worth(objects, slices, &runs, terms) {
            return Ok(Merged::NotWorth);
        }
        let target = self.services.options.compaction.budget_bytes as u64;
        let own = self.services.options.compaction.partition_bytes;
        let mut group: Vec<Run> = Vec::new();
        let (mut bytes, mut count, mut replaced) = (0u64, 0usize, 0usize);
        for run in runs {
            if run.bytes >= own {
                replaced += self.write_runs(vec![run]).await?;
                continue;
            }
            if bytes.saturating_add(run.bytes) > target || count + run.slices.len() > SLICES_A_COMMIT {
                replaced += self.write_runs(std::mem::take(&mut group)).await?;
                (bytes, count) = (0, 0);
            }
            bytes += run.bytes;
            count += run.slices.len();
            group.push(run);
        }
        replaced += self.write_runs(group).await?;
        Ok(if replaced > 0 { Merged::Done } else { Merged::NotWorth })
    }

    /// The slices of these objects that the index names.
    async fn live_slices(
        &self,
        objects: &[(ObjectId, ObjectRecord)],
    ) -> Result<Vec<(TopicPartition, Arc<Slice>)>, RewriteError> {
        let mut live = Vec::new();
        for (id, record) in objects {
            self.pace(0).await?;
            let directory = read_directory(&*self.services.store, *id, record.size).await;
            let directory = directory.map_err(|fault| RewriteError::of(*id, fault))?;
            for entry in directory.slices {
                let Some(partition) = self.partition(&entry.partition) else { continue };
                partition.load_index().await?;
                let index = partition.index.lock();
                let slice = index.as_ref().and_then(|index| index.find(entry.base_offset));
                let named = slice
                    .filter(|slice| slice.base_offset == entry.base_offset && slice.record.object == *id);
                live.extend(named.map(|slice| (entry.partition, Arc::clone(slice))));
            }
        }
        Ok(live)
    }

    /// Sorted slices, as runs that become one slice each: at most a segment long, and not across what log compaction
    /// has gone over and what it has not.
    fn runs(&self, live: Vec<(TopicPartition, Arc<Slice>)>) -> Vec<Run> {
        let target = self.services.options.compaction.budget_bytes as u64;
        let mut runs: Vec<Run> = Vec::new();
        let mut cleaned = None;
        for (id, slice) in live {
            let bytes = Slice::bytes_of(&slice.record);
            if runs.last().is_none_or(|run| run.partition != id) {
                cleaned = self.partition(&id).map(|partition| partition.committed.lock().cleaned_end);
            }
            let follows = runs.last_mut().filter(|run| {
                run.partition == id
                    && run.bytes.saturating_add(bytes) <= target
                    && Some(slice.base_offset) != cleaned
                    && run
                        .slices
                        .last()
                        .is_some_and(|last| last.record.last_offset.next() == slice.base_offset)
            });
            match follows {
                Some(run) => {
                    run.bytes += bytes;
                    run.slices.push(slice);
                }
                None => runs.push(Run { partition: id, bytes, slices: vec![slice] }),
            }
        }
        runs
    }

    /// Writes one segment of these runs and puts it in their place. Returns how many were replaced.
    async fn write_runs(&self, runs: Vec<Run>) -> Result<usize, RewriteError> {
        if runs.is_empty() {
            return Ok(0);
        }
        let bytes: u64 = runs.iter().map(|run| run.bytes).sum();
        let _room = self.services.compaction.take(usize::try_from(bytes).unwrap_or(usize::MAX)).await;
        self.note_compaction_memory();
        let slices: Vec<_> = runs.iter().flat_map(|run| run.slices.iter().cloned()).collect();
        let sound = self.read_slices(&slices).await?;
        if sound.len() != slices.len() {
            return Err(RewriteError::GaveUp);
        }
        let mut sound = sound.into_iter();
        let mut inputs = Vec::with_capacity(runs.len());
        let mut replaced = Vec::with_capacity(runs.len());
        for run in runs {
            let parts: Vec<_> = sound.by_ref().take(run.slices.len()).collect();
            inputs.extend(joined(run.partition, &parts));
            replaced.push(Replaced { partition: run.partition, inputs: run.slices, cleaned_end: None });
        }
        self.pace(bytes).await?;
        let written = write_segment(&self.services, &inputs, true, TRIES).await?;
        drop(inputs);
        self.services.metrics.compaction_written.inc_by(written.built.size);
        self.commit_rewrite(replaced, &[written]).await
    }

    pub(crate) fn note_compaction_memory(&self) {
        let used = i64::try_from(self.services.compaction.used()).unwrap_or(i64::MAX);
        self.services.metrics.compaction_memory.set(used);
    }
}

/// One slice of slices that follow each other.
fn joined(partition: TopicPartition, parts: &[SoundSlice]) -> Option<SliceInput> {
    let (first, last) = (parts.first()?, parts.last()?);
    Some(SliceInput {
        partition,
        base_offset: first.slice.base_offset,
        last_offset: last.slice.record.last_offset,
        leaders: (first.batched.leaders.0, last.batched.leaders.1),
        appended: (first.slice.record.first_append, last.slice.record.last_append),
        pieces: parts.iter().flat_map(SoundSlice::pieces).collect(),
        epochs: last.index.epochs.clone(),
        producers: last.index.producers.clone(),
        aborted: parts.iter().flat_map(|part| part.index.aborted.iter().copied()).collect(),
    })
}

/// Whether it still pays, now that it is known what follows what.
fn worth(objects: &[(ObjectId, ObjectRecord)], slices: u64, runs: &[Run], terms: &Terms<'_>) -> bool {
    let bytes: u64 = runs.iter().map(|run| run.bytes).sum();
    let dead: u64 =
        objects.iter().map(|(_, record)| record.size.saturating_sub(bytes).min(record.dead)).sum();
    let since = objects.iter().map(|(_, record)| record.since).min().unwrap_or(TimestampMs::NONE);
    let saved = reads(slices, bytes, terms.read_bytes) - reads(runs.len() as u64, bytes, terms.read_bytes);
    let inputs: BTreeSet<ObjectId> = objects.iter().map(|(id, _)| *id).collect();
    gain(terms, since, saved, dead, Moved { inputs: inputs.len(), bytes }) > 0.0
}
