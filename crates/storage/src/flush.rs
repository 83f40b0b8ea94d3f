//! From the WAL to segments: one merged segment of what is durable and not in segments, then one commit.
//!
//! 1. Take the oldest batches, sort them by partition, lay out a segment and PUT it under a prepared id.
//! 2. One commit: the object is live, its slices are in the index, each partition's committed end and the producer
//!    state exactly there, the trim where a file of the WAL ends, and the preparation of the next object.
//! 3. Only then memory shows it and the WAL is trimmed.
//!
//! A crash before the commit repeats everything from the WAL; what was written stays prepared and is swept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use waybill_meta::{Batch, IndexRecord, MetaError, ObjectId, ObjectLife, ObjectRecord, Record, keys};
use waybill_store::StoreError;
use waybill_types::{TimestampMs, TopicPartition};
use waybill_wal::{FrameHeader, WalError, WalPosition};

use crate::committed::Committed;
use crate::index::Slice;
use crate::ledger::{Ledger, PreparedObject};
use crate::log_cache::WalEntry;
use crate::options::Sabotage;
use crate::partition::Partition;
use crate::plan::{Gap, Progress, slice_of};
use crate::segment::{BuiltSegment, SegmentIdentity, SliceInput, build, object_name};
use crate::services::Services;
use crate::shared::Shared;

/// How often writing a segment is tried under new ids before waiting for the next wake-up is longer.
const RETRY: Duration = Duration::from_millis(200);
/// Segments further apart than this are written gently.
const QUIET: Duration = Duration::from_secs(1);
/// The longest wait between tries.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Why a flush did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlushError {
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error(transparent)]
    Wal(#[from] WalError),
    #[error(transparent)]
    Gap(#[from] Gap),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("writing a segment took so long that its preparation was given up")]
    GivenUp,
}

/// Why a segment was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error("a segment could not be written")]
    GaveUp,
}

/// A segment that is durable but not committed.
pub(crate) struct WrittenSegment {
    pub(crate) object: PreparedObject,
    pub(crate) built: BuiltSegment,
}

impl Shared {
    /// Flushes whenever there is enough, until the process stops.
    pub(crate) async fn run_flusher(self: Arc<Self>) -> Result<(), FlushError> {
        let stopping = self.services.supervisor.stopping();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = self.flush_wake.notified() => {}
            }
            while self.wants_flush(self.cache.unflushed_bytes()) && !stopping.is_cancelled() {
                match self.flush_once().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    // What can not be read back now may be read later; a ring that fills up slows producers.
                    Err(FlushError::Wal(error @ WalError::Io(_))) => {
                        self.services.metrics.flush_failures.inc();
                        tracing::warn!(%error, "batches could not be read back from the write-ahead log; trying again");
                        self.services.clock.sleep(RETRY).await;
                    }
                    // Written again, under another id.
                    Err(FlushError::GivenUp) => {
                        self.services.metrics.flush_failures.inc();
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Flushes everything that is durable now.
    pub(crate) async fn flush_all(&self) -> Result<(), FlushError> {
        while self.flush_once().await? {}
        Ok(())
    }

    /// Writes one segment and commits it. Returns whether there was anything to do.
    async fn flush_once(&self) -> Result<bool, FlushError> {
        let _one_at_a_time = self.flushing.lock().await;
        let began = self.services.clock.monotonic();
        let to_flush = self.cache.take_unflushed(self.services.options.flush_bytes.saturating_mul(2));
        let trim = to_flush.trim.filter(|trim| *trim > self.services.trim());
        if to_flush.entries.is_empty() && trim.is_none() {
            return Ok(false);
        }
        if let Err(error) = self.flush_taken(&to_flush.entries, trim).await {
            // Nothing may be trimmed, nor anything behind be committed, before these are in segments.
            self.cache.put_back(to_flush.entries);
            return Err(error);
        }
        self.cache.note_flushed(to_flush.below);
        self.flushed.notify_waiters();
        self.cache.evict();
        let now = self.services.clock.monotonic();
        *self.last_flush.lock() = Some(now);
        let took = now.saturating_sub(began);
        self.services.metrics.flush_seconds.observe(took.as_secs_f64());
        Ok(true)
    }

    /// Whether segments are written so rarely that there is time to leave the device to the WAL.
    fn is_quiet(&self) -> bool {
        let now = self.services.clock.monotonic();
        self.last_flush.lock().is_none_or(|last| now.saturating_sub(last) > QUIET)
    }

    async fn flush_taken(&self, entries: &[WalEntry], trim: Option<WalPosition>) -> Result<(), FlushError> {
        let mut progress = Progress::default();
        let inputs = self.gather(entries, &mut progress).await?;
        let written = match inputs.is_empty() {
            true => Vec::new(),
            false => vec![write_segment(&self.services, &inputs, self.is_quiet(), u32::MAX).await?],
        };
        let mut ledger = self.services.ledger.lock().await;
        self.commit_flush(&mut ledger, written, progress, trim).await
    }

    /// Sorts entries by partition and fetches their batches, from memory or back from the WAL.
    async fn gather(
        &self,
        entries: &[WalEntry],
        progress: &mut Progress,
    ) -> Result<Vec<SliceInput>, FlushError> {
        let mut entries: Vec<&WalEntry> = entries.iter().collect();
        entries.sort_by_key(|entry| (entry.partition.id, entry.base));
        let mut inputs = Vec::new();
        for run in entries.chunk_by(|one, two| one.partition.serial == two.partition.serial) {
            let Some(first) = run.first() else { continue };
            let partition = &first.partition;
            let frames = self.frames(partition, run).await?;
            if partition.is_removed() {
                continue;
            }
            let committed = progress.entry(partition.id, || Some(partition.committed.lock().clone()));
            if let Some(committed) = committed {
                inputs.extend(slice_of(partition.id, committed, frames)?);
            }
        }
        Ok(inputs)
    }

    async fn frames(
        &self,
        partition: &Partition,
        run: &[&WalEntry],
    ) -> Result<Vec<(FrameHeader, Bytes)>, FlushError> {
        let base = run.first().map_or(waybill_types::Offset::ZERO, |entry| entry.base);
        let found: Vec<_> = {
            let durable = partition.durable.lock();
            let entries = durable.tail.unflushed(base, run.len());
            entries.map(|entry| (entry.header, entry.records.clone(), entry.position, entry.length)).collect()
        };
        let mut frames = Vec::with_capacity(found.len());
        for (header, records, position, length) in found {
            let records = match records {
                Some(records) => records,
                None => self.services.wal()?.read(position, length).await?,
            };
            frames.push((header, records));
        }
        Ok(frames)
    }

    /// Commits segments and everything that follows from them. The ledger is held.
    async fn commit_flush(
        &self,
        ledger: &mut Ledger,
        written: Vec<WrittenSegment>,
        mut progress: Progress,
        trim: Option<WalPosition>,
    ) -> Result<(), FlushError> {
        for segment in &written {
            if !self.services.still_prepared(&segment.object).await? {
                return Err(FlushError::GivenUp);
            }
        }
        // Topics deleted while the segment was written.
        progress.partitions.retain(|id, _| self.partition(id).is_some());
        let mut batch = Batch::default();
        for (id, committed) in &mut progress.partitions {
            let Some(partition) = self.partition(id) else { continue };
            rebase(committed, &partition.committed.lock());
            if self.services.options.sabotage.breaks(Sabotage::SnapshotOfMemory) {
                committed.producers = partition.append.lock().producers.clone();
            }
            if self.services.options.sabotage.breaks(Sabotage::CommitWithoutSnapshot) {
                committed.producers = partition.committed.lock().producers.clone();
            }
        }
        let (live, dead) = add_segments(&self.services, &written, &mut progress.partitions, &mut batch);
        for (id, committed) in &mut progress.partitions {
            let Some(partition) = self.partition(id) else { continue };
            batch.require(keys::partition(*id), Some(committed.stored.clone()));
            batch.put(keys::partition(*id), committed.store(partition.epoch, self.services.incarnation));
        }
        if let Some(trim) = trim {
            self.services.put_trim(trim, &mut batch);
        }
        let next = self.services.prepare_object(ledger.next_object, &mut batch);
        self.services.commit(batch).await?;
        ledger.next_object = next.id.next();
        ledger.prepared.push(next);
        self.services.note_objects_changed();
        self.services.note_dead(dead);
        self.show(progress, live);
        if let Some(trim) = trim {
            ledger.trim = ledger.trim.max(trim);
            self.services.trimmed(trim);
        }
        Ok(())
    }

    /// Makes memory show a durable commit: the index first, then the tail may forget.
    fn show(&self, progress: Progress, live: Vec<(TopicPartition, Arc<Slice>)>) {
        for (id, slice) in live {
            let Some(partition) = self.partition(&id) else { continue };
            if let Some(index) = &mut *partition.index.lock() {
                index.push(slice);
            }
        }
        for (id, committed) in progress.partitions {
            let Some(partition) = self.partition(&id) else { continue };
            let end = committed.end;
            partition.segment_bytes.store(committed.bytes, std::sync::atomic::Ordering::Relaxed);
            *partition.committed.lock() = committed;
            partition.durable.lock().tail.flushed(end);
            partition.transactions.lock().forget_below(end);
        }
    }
}

/// What was committed while the segment was written (log start, bytes let go) is kept.
fn rebase(committed: &mut Committed, now: &Committed) {
    let gone = committed.log_start < now.log_start;
    committed.log_start = committed.log_start.max(now.log_start);
    committed.bytes = now.bytes;
    committed.cleaned_end = now.cleaned_end;
    committed.stored = now.stored.clone();
    if gone {
        committed.epochs.truncate_start(committed.log_start);
    }
}

/// Adds what makes written segments live: their records and index entries. Slices of partitions that are gone or wholly
/// below the log start are not named; a segment without any slice is dead at once. Returns what is named, and what is dead.
pub(crate) fn add_segments(
    services: &Services,
    written: &[WrittenSegment],
    partitions: &mut BTreeMap<TopicPartition, Committed>,
    batch: &mut Batch,
) -> (Vec<(TopicPartition, Arc<Slice>)>, Vec<ObjectId>) {
    let (mut named, mut dead) = (Vec::new(), Vec::new());
    for segment in written {
        let before = named.len();
        for slice in &segment.built.slices {
            let partition = partitions.get_mut(&slice.partition);
            if let Some(committed) = partition.filter(|of| slice.record.last_offset >= of.log_start) {
                committed.bytes += slice.record.data_length;
                batch.put(keys::index(slice.partition, slice.base_offset), slice.record.encode());
                let slice_of = Slice { base_offset: slice.base_offset, record: slice.record.clone() };
                named.push((slice.partition, Arc::new(slice_of)));
            }
        }
        let of_this = named.get(before..).unwrap_or_default();
        if put_live(services, segment, of_this.iter().map(|(_, slice)| &slice.record), batch)
            == ObjectLife::Dead
        {
            dead.push(segment.object.id);
        }
    }
    (named, dead)
}

/// Adds the record of a written segment whose slices `named` are named from now on: live, or dead without any.
pub(crate) fn put_live<'a>(
    services: &Services,
    segment: &WrittenSegment,
    named: impl Iterator<Item = &'a IndexRecord>,
    batch: &mut Batch,
) -> ObjectLife {
    let (mut slices, mut bytes, mut since) = (0u32, 0u64, TimestampMs::NONE);
    for record in named {
        slices = slices.saturating_add(1);
        bytes += Slice::bytes_of(record);
        since = if slices == 1 { record.first_append } else { since.min(record.first_append) };
    }
    let written: u64 = segment.built.slices.iter().map(|slice| Slice::bytes_of(&slice.record)).sum();
    let life = if slices == 0 { ObjectLife::Dead } else { ObjectLife::Live };
    let record = ObjectRecord {
        life,
        incarnation: services.incarnation,
        size: segment.built.size,
        slices,
        placement: services.options.placement.clone(),
        changed_at: services.clock.now(),
        dead: written.saturating_sub(bytes),
        since,
    };
    if !services.options.sabotage.breaks(Sabotage::CommitWithoutPrepare) {
        batch.require(keys::object(segment.object.id), Some(segment.object.stored.clone()));
    }
    batch.put(keys::object(segment.object.id), record.encode());
    life
}

/// Lays out a segment and makes it durable. A failed PUT may have left anything under its name, so each try has a new
/// id. Where the WAL holds the data meanwhile it goes on until the process stops.
///
/// # Errors
/// When it stops, or after `tries` tries.
pub(crate) async fn write_segment(
    services: &Services,
    inputs: &[SliceInput],
    gently: bool,
    tries: u32,
) -> Result<WrittenSegment, WriteError> {
    let mut left = tries;
    let mut object = services.take_object().await?;
    let mut identity = SegmentIdentity {
        cluster: services.cluster,
        region: services.options.region.clone(),
        placement: services.options.placement.clone(),
        object: object.id,
        incarnation: services.incarnation,
        created_at: services.clock.now(),
    };
    let mut wait = RETRY;
    loop {
        let mut built = build(&identity, inputs);
        let parts = std::mem::take(&mut built.parts);
        let name = object_name(object.id);
        let put =
            if gently { services.store.put_gently(&name, parts) } else { services.store.put(&name, parts) };
        match put.await {
            Ok(()) => {
                services.metrics.segments.inc();
                services.metrics.segment_bytes.inc_by(built.size);
                return Ok(WrittenSegment { object, built });
            }
            Err(error) => note_failure(services, &error),
        }
        left = left.saturating_sub(1);
        if left == 0 {
            return Err(WriteError::GaveUp);
        }
        let stopping = services.supervisor.stopping();
        tokio::select! {
            () = services.clock.sleep(wait) => {}
            () = stopping.cancelled() => return Err(MetaError::Failed("stopping".into()).into()),
        }
        wait = (wait * 2).min(RETRY_MAX);
        object = services.take_object().await?;
        identity.object = object.id;
    }
}

fn note_failure(services: &Services, error: &StoreError) {
    services.metrics.flush_failures.inc();
    tracing::warn!(%error, "a segment could not be written; it is tried again, its data are kept elsewhere");
}
