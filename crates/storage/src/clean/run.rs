//! Compacting logs: which, and one after the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use waybill_protocol::batch::split_batches;
use waybill_types::{Offset, TimestampMs, TopicPartition};

use super::CleanRules;
use super::filter::{Decided, Filter, LastOfProducers, Left, note_keys};
use super::keys::KeyMap;
use super::output::Output;
use super::plan::{Cleanable, LogFacts, cleanable};
use crate::flush::{WrittenSegment, write_segment};
use crate::index::Slice;
use crate::options::Sabotage;
use crate::partition::Partition;
use crate::rewrite::RewriteError;
use crate::rewrite::commit::Replaced;
use crate::rewrite::input::SliceReader;
use crate::segment::{SegmentFault, SliceIndex, SliceInput};
use crate::shared::Shared;
use crate::transactions::AbortedTransaction;

/// How often a new segment is tried.
const TRIES: u32 = 3;
/// Others run after this many bytes of batches.
const YIELD: usize = 128 << 10;

/// A log that is to be compacted.
struct Dirty {
    partition: Arc<Partition>,
    rules: CleanRules,
    cleanable: Cleanable,
}

impl Shared {
    /// Compacts the logs for which it is time, the dirtiest first. One that can not be read whole is left out from then on.
    pub(crate) async fn clean_all(
        &self,
        unreadable: &mut BTreeSet<TopicPartition>,
    ) -> Result<(), RewriteError> {
        for log in self.dirty(unreadable).await? {
            let id = log.partition.id;
            match self.clean(&log).await {
                Ok(true) => {
                    self.services.metrics.cleaned.inc();
                }
                Ok(false) => {}
                Err(_) if log.partition.is_removed() => {}
                Err(error @ (RewriteError::Damaged(..) | RewriteError::Read(_))) => {
                    tracing::error!(partition = %id, %error, "this log is not compacted any more until the next start: see waybill fsck --deep");
                    self.services.metrics.compaction_failures.inc();
                    unreadable.insert(id);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The logs for which it is time.
    async fn dirty(&self, unreadable: &BTreeSet<TopicPartition>) -> Result<Vec<Dirty>, RewriteError> {
        let mut dirty = Vec::new();
        let mut roll = false;
        for partition in self.all_partitions() {
            let rules = self.cleanups.read().get(&partition.id.topic).cloned();
            let Some(rules) = rules.filter(|_| !unreadable.contains(&partition.id)) else { continue };
            let now = self.services.clock.now();
            {
                let durable = partition.durable.lock();
                let oldest = durable.tail.oldest_unflushed();
                roll |= oldest.is_some_and(|entry| now.since_ms(entry.header.append_time) > rules.roll_ms());
            }
            let (log_start, cleaned_end, end) = {
                let committed = partition.committed.lock();
                (committed.log_start, committed.cleaned_end, committed.end)
            };
            if cleaned_end.max(log_start) >= end {
                continue;
            }
            partition.load_index().await?;
            let slices = slices(&partition);
            let beyond = self.services.options.sabotage.breaks(Sabotage::CleanBeyondStable);
            let stable = if beyond { end } else { partition.last_stable_offset().min(end) };
            let active_bytes = self.services.options.compaction.active_bytes;
            let facts = LogFacts { slices: &slices, log_start, cleaned_end, stable, now, active_bytes };
            if let Some(cleanable) = cleanable(&facts, &rules) {
                dirty.push(Dirty { partition, rules, cleanable });
            }
        }
        if roll && let Err(error) = self.flush_all().await {
            tracing::warn!(%error, "the active end of a compacted log could not be flushed");
        }
        dirty.sort_by(|one, two| two.cleanable.ratio.total_cmp(&one.cleanable.ratio));
        Ok(dirty)
    }

    /// Compacts a log, in as many rounds as its keys need. Returns false when the log has changed meanwhile.
    async fn clean(&self, log: &Dirty) -> Result<bool, RewriteError> {
        let budget = self.services.options.compaction.budget_bytes;
        let Dirty { partition, rules, cleanable } = log;
        let mut from = cleanable.first_dirty;
        while from < cleanable.upper {
            let below = |slice: &Arc<Slice>| slice.record.last_offset < cleanable.upper;
            let mut slices: Vec<_> = slices(partition).into_iter().filter(below).collect();
            let Some(first) = slices.first() else { return Ok(false) };
            let aborted = partition.aborted_between(first.base_offset, cleanable.upper).await?;
            let map = {
                let _room = self.services.compaction.take(budget / 2).await;
                self.note_compaction_memory();
                self.note_keys(&slices, from, rules, aborted.clone()).await?
            };
            let end = map.latest().next().min(cleanable.upper);
            if end <= from {
                return Ok(false);
            }
            slices.retain(|slice| slice.base_offset < end);
            let _room = self.services.compaction.take(map.bytes() + budget / 4 + (budget / 16)).await;
            self.note_compaction_memory();
            let round = Round { shared: self, partition, rules, end, part: (budget / 4) as u64 };
            if !round.run(&slices, &map, aborted).await? {
                return Ok(false);
            }
            from = end;
        }
        Ok(true)
    }

    /// Notes the newest offset of each key at or behind `from`, as far as memory goes.
    async fn note_keys(
        &self,
        slices: &[Arc<Slice>],
        from: Offset,
        rules: &CleanRules,
        aborted: Vec<AbortedTransaction>,
    ) -> Result<KeyMap, RewriteError> {
        let mut map = KeyMap::new(self.services.options.compaction.budget_bytes / 2);
        let mut decided = Decided::new(aborted);
        let mut reached = from;
        for slice in slices.iter().filter(|slice| slice.record.last_offset >= from) {
            let mut reader = SliceReader::open(self, slice).await?;
            let mut busy = 0;
            while let Some(chunk) = reader.next().await? {
                for batch in split_batches(chunk).strict() {
                    let batch = batch.map_err(|_| damaged(slice))?;
                    let limit = rules.max_decompressed_bytes;
                    if note_keys(&mut map, &mut decided, &batch, from, limit).is_err() {
                        return Ok(map);
                    }
                    rest(&mut busy, batch.header().size).await;
                }
            }
            reached = slice.record.last_offset;
        }
        map.reached(reached);
        Ok(map)
    }
}

/// Lets others run now and then.
async fn rest(busy: &mut usize, bytes: usize) {
    *busy += bytes;
    if *busy >= YIELD {
        *busy = 0;
        tokio::task::yield_now().await;
    }
}

fn slices(partition: &Partition) -> Vec<Arc<Slice>> {
    partition.index.lock().as_ref().map(|index| index.slices().to_vec()).unwrap_or_default()
}

fn damaged(slice: &Slice) -> RewriteError {
    RewriteError::Damaged(slice.record.object, SegmentFault::Batches.to_string())
}

/// One round: the log is read from its start, and what changes is written anew.
struct Round<'a> {
    shared: &'a Shared,
    partition: &'a Arc<Partition>,
    rules: &'a CleanRules,
    /// The log is clean up to here afterwards.
    end: Offset,
    /// A slice is written when it has this many bytes.
    part: u64,
}

/// Slices that are replaced together, and what was written for them.
#[derive(Default)]
struct Group {
    inputs: Vec<Arc<Slice>>,
    written: Vec<WrittenSegment>,
    /// Where the next part begins, and when the first of what is in it was appended.
    base: Option<Offset>,
    since: Option<TimestampMs>,
    /// Aborted transactions of which readers of the next part must be told.
    told: Vec<AbortedTransaction>,
    /// What the last input says about its end.
    end: Option<SliceIndex>,
}

impl Round<'_> {
    /// Returns false when the log has changed meanwhile: what is done stays done, but is not all.
    async fn run(
        &self,
        slices: &[Arc<Slice>],
        map: &KeyMap,
        aborted: Vec<AbortedTransaction>,
    ) -> Result<bool, RewriteError> {
        let mut filter = self.filter(slices, map, aborted);
        let (mut group, mut output) = (Group::default(), Output::new());
        for slice in slices {
            let (mark, parts) = (output.mark(), group.written.len());
            // What is gathered ends where the slices do that it is for: nothing of the next one is needed to replace them.
            let closed =
                group.inputs.last().is_none_or(|last| output.last() == Some(last.record.last_offset));
            group.base.get_or_insert(slice.base_offset);
            group.since.get_or_insert(slice.record.first_append);
            let (same, index) = self.take(slice, &mut filter, &mut group, &mut output).await?;
            if same && closed && group.written.len() == parts {
                // It stays as it is, and tells of its aborted transactions as before.
                filter.decided.take_told();
                output.back_to(mark);
                if !self.close(&mut group, &mut output).await? {
                    return Ok(false);
                }
                continue;
            }
            group.inputs.push(Arc::clone(slice));
            group.told.extend(filter.decided.take_told());
            group.end = Some(index);
            let whole = output.last() == Some(slice.record.last_offset);
            if whole && output.bytes() >= self.part / 2 && !self.close(&mut group, &mut output).await? {
                return Ok(false);
            }
        }
        self.shared.services.metrics.cleaned_records.inc_by(filter.dropped);
        Ok(self.close(&mut group, &mut output).await? && self.finish().await?)
    }

    fn filter<'m>(
        &self,
        slices: &[Arc<Slice>],
        map: &'m KeyMap,
        aborted: Vec<AbortedTransaction>,
    ) -> Filter<'m> {
        let sabotage = self.shared.services.options.sabotage;
        let last = slices.last().map_or(self.end, |slice| slice.record.last_offset.next());
        Filter {
            map,
            decided: Decided::new(aborted),
            // Those that are durable: a batch in flight may be lost, and the one before it is the last again.
            last: LastOfProducers::new(&self.partition.committed.lock().producers.snapshots()),
            now: self.shared.services.clock.now(),
            delete_retention_ms: self.rules.delete_retention_ms,
            end: last,
            limit: self.rules.max_decompressed_bytes,
            dropped: 0,
            tombstones_at_once: sabotage.breaks(Sabotage::DropTombstonesEarly),
            forget_producers: sabotage.breaks(Sabotage::DropLastBatch),
        }
    }

    /// Takes what is kept of a slice; whether that is all of it. Writes parts when they are large enough.
    async fn take(
        &self,
        slice: &Arc<Slice>,
        filter: &mut Filter<'_>,
        group: &mut Group,
        output: &mut Output,
    ) -> Result<(bool, SliceIndex), RewriteError> {
        let mut reader = SliceReader::open(self.shared, slice).await?;
        let (mut same, mut busy, mut next) = (true, 0, slice.base_offset);
        while let Some(chunk) = reader.next().await? {
            for batch in split_batches(chunk).strict() {
                let batch = batch.map_err(|_| damaged(slice))?;
                if batch.header().base_offset < next {
                    return Err(damaged(slice));
                }
                next = batch.header().next_offset();
                if output.bytes() >= self.part {
                    group.told.extend(filter.decided.take_told());
                    let input = self.part(group, output, slice, reader.index(), false);
                    self.write(group, input).await?;
                }
                match filter.take(&batch) {
                    Left::Same => output.push(&batch),
                    Left::Thinner(batch) => {
                        same = false;
                        output.push(&batch);
                    }
                    Left::Nothing => same = false,
                }
                rest(&mut busy, batch.header().size).await;
            }
        }
        if next != slice.record.last_offset.next() {
            return Err(damaged(slice));
        }
        Ok((same, reader.into_index()))
    }

    /// Writes what is gathered and puts it in the place of what it is for.
    async fn close(&self, group: &mut Group, output: &mut Output) -> Result<bool, RewriteError> {
        let (Some(last), Some(index)) = (group.inputs.last().cloned(), group.end.take()) else {
            *group = Group::default();
            return Ok(true);
        };
        debug_assert_eq!(output.last(), Some(last.record.last_offset), "the last batch of a round stays");
        let input = self.part(group, output, &last, &index, true);
        self.write(group, input).await?;
        self.commit(group, None).await
    }

    /// What is gathered, as a slice. One that ends in the midst of an input knows no producers: they are told at ends.
    fn part(
        &self,
        group: &mut Group,
        output: &mut Output,
        slice: &Slice,
        index: &SliceIndex,
        at_end: bool,
    ) -> Option<SliceInput> {
        let (last, leaders) = (output.last()?, output.leaders()?);
        let base = group.base.replace(last.next()).unwrap_or(slice.base_offset);
        let since = group.since.replace(slice.record.first_append).unwrap_or(slice.record.first_append);
        Some(SliceInput {
            partition: self.partition.id,
            base_offset: base,
            last_offset: last,
            leaders,
            appended: (since, slice.record.last_append),
            pieces: output.take(),
            epochs: index.epochs.iter().filter(|(_, start)| *start <= last).copied().collect(),
            producers: if at_end { index.producers.clone() } else { Vec::new() },
            aborted: std::mem::take(&mut group.told),
        })
    }

    async fn write(&self, group: &mut Group, input: Option<SliceInput>) -> Result<(), RewriteError> {
        let Some(input) = input else { return Ok(()) };
        let bytes: u64 = input.pieces.iter().map(|piece| piece.bytes.len() as u64).sum();
        self.shared.pace(bytes).await?;
        let written = write_segment(&self.shared.services, &[input], true, TRIES).await?;
        self.shared.services.metrics.compaction_written.inc_by(written.built.size);
        group.written.push(written);
        Ok(())
    }

    /// Puts what was written in the place of what it was written for.
    async fn commit(&self, group: &mut Group, cleaned_end: Option<Offset>) -> Result<bool, RewriteError> {
        let Group { inputs, written, .. } = std::mem::take(group);
        let replaced = Replaced { partition: self.partition.id, inputs, cleaned_end };
        Ok(self.shared.commit_rewrite(vec![replaced], &written).await? > 0)
    }

    /// Notes how far the log is clean.
    async fn finish(&self) -> Result<bool, RewriteError> {
        self.commit(&mut Group::default(), Some(self.end)).await
    }
}
