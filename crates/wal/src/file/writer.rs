//! The writer: takes what is queued when the disk is free, writes it as one group, syncs, tells the sink.
//!
//! The same loop runs on a thread of its own and, under simulation, as a task. When it dies, whoever appended hears
//! that the WAL is poisoned, whatever it died of.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use waybill_rt::{AlignedBuf, OpenMode};

use crate::api::{DurableFrame, WalError, WalPosition};
use crate::file::options::WriterMode;
use crate::file::state::{Job, Queued, Waiting, ZeroJob};
use crate::file::tail::Plan;
use crate::file::wal::Shared;
use crate::frame::Frame;
use crate::group::{GroupHeader, encode_group, used_length};
use crate::sabotage::Sabotage;

/// How long a full disk is left alone before the same bytes are tried again.
const FULL_DISK_PAUSE: Duration = Duration::from_millis(200);
/// Zeros are written in pieces of this size where the writer is close behind.
const ZERO_PIECE: u64 = 1 << 20;
/// Where it is not, in small ones with pauses between them: what the device has in its cache, the next sync of the
/// writer has to wait for, and acks with it.
const GENTLE_PIECE: u64 = 128 << 10;
const GENTLE_PAUSE: Duration = Duration::from_millis(1);

/// Poisons the WAL when the writer goes without having ended it, by a panic.
struct Guard {
    shared: Arc<Shared>,
    ended: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.poison("the writer died");
            self.shared.tell_poisoned();
        }
    }
}

/// A small group that [`Sabotage::RewriteBlock`] would write again.
struct Last {
    plan: Plan,
    frames: Vec<Frame>,
}

struct Writer {
    shared: Arc<Shared>,
    buffer: AlignedBuf,
    last: Option<Last>,
}

/// Writes until the WAL is closed, abandoned or poisoned.
pub(crate) async fn run_writer(shared: Arc<Shared>) {
    let mut guard = Guard { shared: Arc::clone(&shared), ended: false };
    let block = shared.ring.geometry.block as usize;
    let mut writer = Writer { shared: Arc::clone(&shared), buffer: AlignedBuf::new(block), last: None };
    let mut idle = false;
    loop {
        let (job, zero) = {
            let mut state = shared.state.lock();
            let job = state.next_job(idle, shared.options.group_bytes);
            (job, state.zero_job(shared.options.zero_step).is_some())
        };
        shared.publish();
        if zero {
            shared.zero_wake.notify_one();
        }
        idle = false;
        match job {
            Job::Group { plan, frames, slot } => {
                if let Err(error) = writer.write(plan, frames, slot).await {
                    shared.poison(&error.to_string());
                }
            }
            Job::Idle => {
                idle = tokio::select! {
                    biased;
                    () = shared.writer_wake.notified() => false,
                    () = shared.clock.sleep(shared.options.idle) => true,
                };
            }
            Job::Wait(waiting) => {
                match waiting {
                    Waiting::Trim => drop(shared.metrics.ring_full.inc()),
                    Waiting::Zeroing => drop(shared.metrics.zero_waits.inc()),
                    Waiting::Frames => {}
                }
                shared.writer_wake.notified().await;
            }
            Job::Poisoned => {
                shared.tell_poisoned();
                break;
            }
            Job::Stop => break,
        }
    }
    // Ended in order: nothing that was appended is left, or it was told to be lost.
    shared.state.lock().ended = true;
    shared.zero_wake.notify_one();
    guard.ended = true;
}

impl Writer {
    async fn write(&mut self, plan: Plan, queued: Vec<Queued>, slot: usize) -> io::Result<()> {
        let (frames, permits): (Vec<Frame>, Vec<_>) =
            queued.into_iter().map(|queued| (queued.frame, queued.permit)).unzip();
        let (plan, old) = self.sabotaged(plan);
        let shared = Arc::clone(&self.shared);
        let header = GroupHeader {
            store: shared.ring.store,
            incarnation: shared.incarnation,
            position: plan.position,
            durable: plan.durable,
            previous: plan.previous,
            length: u32::try_from(plan.length).map_err(io::Error::other)?,
            used: u32::try_from(plan.used).map_err(io::Error::other)?,
            frames: u32::try_from(plan.frames).map_err(io::Error::other)?,
        };
        let bytes = self.buffer.bytes(plan.length);
        let starts = encode_group(bytes, &header, old.iter().chain(&frames)).map_err(io::Error::other)?;
        let positions = starts.iter().skip(old.len()).map(|start| plan.position.0 + u64::from(*start));
        let durable: Vec<DurableFrame> = frames
            .into_iter()
            .zip(positions)
            .map(|(frame, position)| DurableFrame { frame, position: WalPosition(position) })
            .collect();
        let began = shared.clock.monotonic();
        let told = put(&shared, bytes, slot, shared.ring.geometry.offset_of(plan.position), &durable).await?;
        shared.count(&plan, shared.clock.monotonic().saturating_sub(began));
        if shared.options.sabotage.breaks(Sabotage::RewriteBlock) {
            let frames = old.into_iter().chain(durable.iter().map(|durable| durable.frame.clone())).collect();
            self.last = Some(Last { plan, frames });
        }
        shared.state.lock().tail.written(&plan);
        shared.publish();
        if !told && !durable.is_empty() {
            shared.sink.durable(durable);
        }
        let freed: usize = permits.iter().flatten().map(|permit| permit.bytes()).sum();
        shared.metrics.queued_bytes.dec_by(i64::try_from(freed).unwrap_or(0));
        drop(permits);
        Ok(())
    }

    /// With [`Sabotage::RewriteBlock`], the plan that puts the last small group and this one into the same block.
    fn sabotaged(&mut self, plan: Plan) -> (Plan, Vec<Frame>) {
        let Some(last) = self.last.take() else { return (plan, Vec::new()) };
        let ring = self.shared.ring.geometry;
        let lengths = last.frames.iter().map(|frame| frame.records.len());
        let used = used_length(lengths) + plan.used - used_length(std::iter::empty());
        let block = ring.block as usize;
        let adjoins = plan.position == last.plan.end() && last.plan.length == block;
        if plan.frames == 0 || !adjoins || used > block {
            return (plan, Vec::new());
        }
        let frames = plan.frames + last.frames.len();
        (Plan { frames, used, length: block, ..last.plan }, last.frames)
    }
}

/// One write, one sync. A full disk is waited for: the same bytes go to the same place again, and nothing before them
/// is touched. Any other failure is final. Returns whether the sink was told already, which it is only by sabotage.
async fn put(
    shared: &Shared,
    bytes: &[u8],
    slot: usize,
    offset: u64,
    durable: &[DurableFrame],
) -> io::Result<bool> {
    let file = shared.ring.file(slot)?;
    loop {
        let handle = Arc::clone(&*file.writer.lock());
        let mut result = handle.write_all_at(&[io::IoSlice::new(bytes)], offset);
        if result.is_ok() {
            if shared.options.sabotage.breaks(Sabotage::AckBeforeDurable) && !durable.is_empty() {
                shared.sink.durable(durable.to_vec());
            }
            shared.pace(bytes.len()).await;
            result = handle.sync_data();
        }
        match result {
            Ok(()) => {
                shared.space.set_full(false);
                return Ok(shared.options.sabotage.breaks(Sabotage::AckBeforeDurable));
            }
            Err(error) if is_full(&error) => {
                shared.disk_full(&file.path);
                shared.clock.sleep(FULL_DISK_PAUSE).await;
                if shared.state.lock().abandoned {
                    return Err(error);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && !shared.buffered(slot) => {
                // The file system opened the file for direct writes but does not take this one: nothing was written.
                tracing::warn!(file = %file.path.display(), "no direct writes here, going through the page cache");
                *file.writer.lock() = shared.ring.disk.open(&file.path, OpenMode::ReadWrite)?;
                shared.set_buffered(slot);
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Zeroes files ahead of the writer until the WAL ends.
pub(crate) async fn run_zeroing(shared: Arc<Shared>) {
    let mut buffer = AlignedBuf::new(shared.ring.geometry.block as usize);
    loop {
        let job = {
            let state = shared.state.lock();
            if state.ended || state.abandoned || state.failure.is_some() {
                return;
            }
            state.zero_job(shared.options.zero_step)
        };
        let Some(job) = job else {
            shared.zero_wake.notified().await;
            continue;
        };
        match zero(&shared, &mut buffer, job).await {
            Ok(()) => {
                shared.space.set_full(false);
                shared.state.lock().zeroed(job);
                shared.writer_wake.notify_one();
                // Lets the writer go first where both are tasks.
                if matches!(shared.options.mode, WriterMode::Task { .. }) {
                    tokio::task::yield_now().await;
                }
            }
            Err(error) if is_full(&error) => {
                shared.disk_full(&shared.ring.dir);
                shared.clock.sleep(FULL_DISK_PAUSE).await;
            }
            Err(error) => {
                shared.poison(&error.to_string());
                shared.writer_wake.notify_one();
                return;
            }
        }
    }
}

/// Zeroes one stretch and syncs it, through a file of its own: a failed write-back is told once per open file, and
/// the writer must not miss one because the zeroing heard of it.
async fn zero(shared: &Shared, buffer: &mut AlignedBuf, job: ZeroJob) -> io::Result<()> {
    let mode = if shared.buffered(job.slot) { OpenMode::ReadWrite } else { OpenMode::Direct };
    let file = shared.ring.disk.open(&shared.ring.file(job.slot)?.path, mode)?;
    let piece = ZERO_PIECE.min(job.to - job.from) as usize;
    let zeros = buffer.bytes(piece);
    zeros.fill(0);
    let mut at = job.from;
    while at < job.to {
        let presses = shared.state.lock().presses(ZeroJob { from: at, ..job }, shared.options.zero_step);
        let most = if presses { ZERO_PIECE } else { GENTLE_PIECE };
        let length = (job.to - at).min(most).min(piece as u64);
        let part = zeros.get(..length as usize).unwrap_or_default();
        file.write_all_at(&[io::IoSlice::new(part)], at)?;
        at += length;
        if !presses {
            shared.clock.sleep(GENTLE_PAUSE).await;
        }
    }
    file.sync_data()
}

impl Shared {
    fn disk_full(&self, path: &std::path::Path) {
        self.space.set_full(true);
        if self.metrics.no_space.inc() == 0 {
            tracing::error!(path = %path.display(), "no space left for the write-ahead log: produce is refused");
        }
    }

    fn count(&self, plan: &Plan, took: Duration) {
        self.metrics.bytes.inc_by(plan.length as u64);
        self.metrics.groups.inc();
        self.metrics.frames.inc_by(plan.frames as u64);
        self.metrics.sync_seconds.observe(took.as_secs_f64());
    }

    async fn pace(&self, bytes: usize) {
        if let WriterMode::Task { pace: Some(pace) } = &self.options.mode {
            self.clock.sleep(pace(bytes)).await;
        }
    }

    /// Makes known how far the log is durable and how far segments may be made of it.
    pub(crate) fn publish(&self) {
        let (end, flushable) = {
            let state = self.state.lock();
            (state.tail.end(), state.tail.flushable_end())
        };
        self.durable_end.store(end.0, Ordering::Release);
        self.flushable_end.store(flushable.0, Ordering::Release);
    }

    /// Notes a failure; the writer tells the sink. The first one counts.
    pub(crate) fn poison(&self, why: &str) {
        let mut state = self.state.lock();
        if state.failure.is_none() {
            tracing::error!(dir = %self.ring.dir.display(), why, "the write-ahead log is poisoned");
            state.failure = Some(WalError::Poisoned(why.into()));
            self.metrics.poisoned.set(1);
        }
    }

    /// Drops what waits and tells the sink that it is lost.
    fn tell_poisoned(&self) {
        let (failure, queue) = {
            let mut state = self.state.lock();
            state.ended = true;
            (state.failure.clone(), std::mem::take(&mut state.queue))
        };
        if let Some(failure) = failure {
            self.sink.poisoned(&failure);
        }
        drop(queue);
    }
}
