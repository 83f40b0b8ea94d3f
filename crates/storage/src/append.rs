//! Appending: producer check, offsets, WAL.
//!
//! One produce request is one WAL append: the append locks of all its partitions are taken in the order of their
//! serials, offsets are assigned, the frames are handed over in one call, and the locks are let go. So a partition's
//! order in the WAL is its offset order, two requests can not wait for each other in a circle, and a request over
//! 1,000 partitions pays the WAL's queue once. Readers and the WAL's sink do not take these locks.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::MutexGuard;
use waybill_protocol::batch::{BatchHeader, PreparedBatch};
use waybill_types::{CoordinatorEpoch, LeaderEpoch, Offset, TimestampMs};
use waybill_wal::{Frame, FrameFlags, FrameHeader, SharedWal, WalError, WalPermit};

use crate::ack::{Ack, AckBuilder, AckError};
use crate::error::AppendError;
use crate::options::Sabotage;
use crate::partition::{AppendState, Partition};
use crate::producers::{AppendOrigin, BatchFacts, Marker, Verdict};
use crate::services::Services;

/// How a batch is to be appended.
#[derive(Debug, Clone, Copy, Default)]
pub struct AppendInfo {
    /// Who appends.
    pub origin: AppendOrigin,
    /// The epoch that the caller's state belongs to; any when `None`.
    pub leader_epoch: Option<LeaderEpoch>,
    /// For control batches, what they say.
    pub marker: Option<Marker>,
}

/// A batch for a partition.
#[derive(Debug)]
pub struct AppendItem {
    /// Where to.
    pub partition: Arc<Partition>,
    /// The validated batch.
    pub batch: PreparedBatch,
    /// How.
    pub info: AppendInfo,
}

/// Where a batch went. It is not durable yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// When it was appended.
    pub append_time: TimestampMs,
    /// Where the log starts.
    pub log_start: Offset,
    /// It was in the log already: these are the offsets of the original.
    pub duplicate: bool,
}

impl Partition {
    /// Appends one batch; see [`append_many`].
    ///
    /// # Errors
    /// An [`AppendError`]: nothing was appended.
    pub fn append(
        self: &Arc<Self>,
        batch: PreparedBatch,
        info: AppendInfo,
        permit: WalPermit,
    ) -> Result<(Appended, Ack), AppendError> {
        let backing = batch.size();
        let items = vec![AppendItem { partition: Arc::clone(self), batch, info }];
        let (results, ack) = append_many(&self.services, items, backing, permit);
        results.into_iter().next().unwrap_or(Err(AppendError::Removed)).map(|appended| (appended, ack))
    }
}

/// A batch that has its offsets.
struct Assigned {
    appended: Appended,
    frame: Option<Frame>,
}

/// Appends batches of one request. `backing` is the size of the allocation that they are slices of: batches that are
/// less than a quarter of it are copied, so that the log cache counts what it pins.
pub(crate) fn append_many(
    services: &Services,
    items: Vec<AppendItem>,
    backing: usize,
    permit: WalPermit,
) -> (Vec<Result<Appended, AppendError>>, Ack) {
    let (builder, ack) = AckBuilder::new();
    let wal = match services.wal() {
        Ok(wal) => wal,
        Err(error) => return (items.iter().map(|_| Err(AppendError::Wal(error.clone()))).collect(), ack),
    };
    let mut partitions = Vec::with_capacity(items.len());
    let mut batches = Vec::with_capacity(items.len());
    for item in items {
        partitions.push(item.partition);
        batches.push(Some((item.batch, item.info)));
    }
    let mut order: Vec<usize> = (0..partitions.len()).collect();
    order.sort_unstable_by_key(|at| partitions.get(*at).map(|partition| partition.serial));

    let accepted: usize = batches.iter().flatten().map(|(batch, _)| batch.size()).sum();
    let copy = accepted < backing / 4;
    let now = services.clock.now();
    let mut results: Vec<Option<Result<Appended, AppendError>>> =
        (0..partitions.len()).map(|_| None).collect();
    let mut frames = Vec::with_capacity(partitions.len());
    let mut guards: Vec<(u64, MutexGuard<'_, AppendState>)> = Vec::with_capacity(partitions.len());
    for at in order {
        let (Some(partition), Some((batch, info)), Some(result)) =
            (partitions.get(at), batches.get_mut(at).and_then(Option::take), results.get_mut(at))
        else {
            continue;
        };
        if guards.last().is_none_or(|(serial, _)| *serial != partition.serial) {
            guards.push((partition.serial, partition.append.lock()));
        }
        let Some((_, state)) = guards.last_mut() else { continue };
        let assigned = assign(partition, state, batch, info, now, wal.max_frame(), &builder);
        *result = Some(assigned.map(|assigned| {
            frames.extend(assigned.frame.map(|frame| if copy { copied(frame) } else { frame }));
            assigned.appended
        }));
    }
    let handed = hand_over(services, wal, frames, permit);
    drop(guards);
    let refused = |result: Option<Result<Appended, AppendError>>| match (result, &handed) {
        (Some(Ok(appended)), Err(error)) if !appended.duplicate => Err(AppendError::Wal(error.clone())),
        (Some(result), _) => result,
        (None, _) => Err(AppendError::Removed),
    };
    let results = results.into_iter().map(refused).collect();
    if let Err(error) = handed {
        builder.fail(AckError::Poisoned(error.to_string().into()));
    }
    (results, ack)
}

fn copied(frame: Frame) -> Frame {
    Frame { records: Bytes::copy_from_slice(&frame.records), ..frame }
}

/// Offsets have been given, so a WAL that refuses now is the end of this incarnation.
fn hand_over(
    services: &Services,
    wal: &SharedWal,
    frames: Vec<Frame>,
    permit: WalPermit,
) -> Result<(), WalError> {
    if frames.is_empty() {
        return Ok(());
    }
    wal.append(frames, permit).inspect_err(|error| {
        if !matches!(error, WalError::Closed) {
            services.poison("wal", &error.to_string());
        }
    })
}

fn assign(
    partition: &Partition,
    state: &mut AppendState,
    batch: PreparedBatch,
    info: AppendInfo,
    now: TimestampMs,
    max_frame: usize,
    builder: &AckBuilder,
) -> Result<Assigned, AppendError> {
    if state.removed {
        return Err(AppendError::Removed);
    }
    if let Some(expected) = info.leader_epoch.filter(|expected| *expected != partition.epoch) {
        return Err(AppendError::Fenced { expected, current: partition.epoch });
    }
    if batch.size() > max_frame {
        return Err(AppendError::TooLarge { bytes: batch.size(), limit: max_frame });
    }
    // Monotone per partition, whatever the wall clock does.
    let now = now.max(state.last_append);
    let facts = facts(batch.header(), info);
    if let Verdict::Duplicate { base_offset, last_offset, append_time } =
        state.producers.check(&facts, now)?
    {
        join_original(partition, last_offset, builder);
        let log_start = partition.log_start();
        let appended = Appended { base_offset, last_offset, append_time, log_start, duplicate: true };
        return Ok(Assigned { appended, frame: None });
    }
    let base_offset = state.next_offset;
    let batch = batch.assign(base_offset, partition.epoch);
    let header = frame_header(partition, batch.header(), info, now);
    state.next_offset = header.last_offset.next();
    state.last_append = now;
    let was_open = header.flags.contains(FrameFlags::TRANSACTIONAL);
    let ended = state.producers.apply(&header);
    if was_open {
        note_transaction(partition, state, &header, ended);
    }
    partition.acks.lock().push(header.last_offset, builder);
    let appended = Appended {
        base_offset,
        last_offset: header.last_offset,
        append_time: now,
        log_start: partition.log_start(),
        duplicate: false,
    };
    Ok(Assigned { appended, frame: Some(Frame { header, records: batch.into_bytes() }) })
}

/// A retry is never answered sooner than its original.
fn join_original(partition: &Partition, last: Offset, builder: &AckBuilder) {
    if partition.services.options.sabotage.breaks(Sabotage::DuplicateAckedInFlight) {
        return;
    }
    let mut acks = partition.acks.lock();
    // The sink moves the high watermark before it takes this lock.
    if partition.high_watermark() <= last {
        acks.join(last, builder);
    }
}

fn note_transaction(partition: &Partition, state: &AppendState, header: &FrameHeader, ended: Option<Offset>) {
    let mut transactions = partition.transactions.lock();
    if let Some(first) = ended {
        transactions.end(first, header.base_offset, header.flags.contains(FrameFlags::COMMIT));
    } else if state.producers.transaction_start(header.producer_id) == Some(header.base_offset) {
        transactions.begin(header.base_offset, header.producer_id);
    }
    partition.has_transactions.store(true, std::sync::atomic::Ordering::Release);
}

fn facts(header: &BatchHeader, info: AppendInfo) -> BatchFacts {
    BatchFacts {
        producer_id: header.producer_id,
        epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        last_delta: header.last_offset_delta,
        transactional: header.attributes.is_transactional(),
        origin: info.origin,
        marker: info.marker,
    }
}

fn frame_header(
    partition: &Partition,
    header: &BatchHeader,
    info: AppendInfo,
    now: TimestampMs,
) -> FrameHeader {
    let mut flags = FrameFlags::default();
    if header.attributes.is_transactional() {
        flags = flags.with(FrameFlags::TRANSACTIONAL);
    }
    if header.attributes.is_control() {
        flags = flags.with(FrameFlags::CONTROL);
    }
    if info.marker.is_some_and(|marker| marker.commit) {
        flags = flags.with(FrameFlags::COMMIT);
    }
    FrameHeader {
        partition: partition.id,
        leader_epoch: partition.epoch,
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
        append_time: now,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        flags,
        coordinator_epoch: info.marker.map_or(CoordinatorEpoch(-1), |marker| marker.coordinator_epoch),
    }
}
