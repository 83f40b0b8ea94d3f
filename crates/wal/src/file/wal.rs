//! The file WAL: the [`Wal`] trait over a ring.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crc32c::crc32c;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use waybill_rt::{Budget, SharedClock};
use waybill_types::Incarnation;

use crate::api::{Wal, WalError, WalPermit, WalPosition, WalSink};
use crate::entry::{ENTRY_LEN, Entry};
use crate::file::metrics::WalMetrics;
use crate::file::options::{FileWalOptions, WriterMode};
use crate::file::ring::Ring;
use crate::file::space::{Room, Space};
use crate::file::state::{Queued, State};
use crate::file::tail::Tail;
use crate::file::writer::{run_writer, run_zeroing};
use crate::frame::Frame;

/// A write-ahead log in a ring of files.
pub struct FileWal {
    shared: Arc<Shared>,
    /// How many of the writer's threads or tasks still run.
    running: Arc<watch::Sender<u32>>,
}

pub(crate) struct Shared {
    pub(crate) ring: Arc<Ring>,
    pub(crate) incarnation: Incarnation,
    pub(crate) options: FileWalOptions,
    pub(crate) clock: SharedClock,
    pub(crate) sink: Arc<dyn WalSink>,
    pub(crate) metrics: WalMetrics,
    pub(crate) state: Mutex<State>,
    pub(crate) writer_wake: Notify,
    pub(crate) zero_wake: Notify,
    pub(crate) durable_end: AtomicU64,
    pub(crate) flushable_end: AtomicU64,
    pub(crate) space: Space,
    queue: Budget,
    buffered: Vec<std::sync::atomic::AtomicBool>,
    max_frame: usize,
}

impl std::fmt::Debug for FileWal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileWal({:?}, durable to {})", self.shared.ring, self.durable_end())
    }
}

/// Why a file WAL could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The trim is not where a file begins.
    #[error("the write-ahead log can not start at {0}, which is not where a file begins")]
    Trim(WalPosition),
    /// The options contradict the ring.
    #[error("the write-ahead log can not run so: {0}")]
    Options(String),
    /// The disk or the operating system failed.
    #[error("starting the write-ahead log failed: {0}")]
    Io(#[from] io::Error),
}

impl FileWal {
    /// Starts writing at `trim`, as `incarnation`. Both must be in a durable metadata commit already, and `trim` must be
    /// the [`crate::Recovery::next_trim`] of this ring's recovery, or 0 with the first incarnation.
    ///
    /// Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// A [`StartError`]; nothing was written.
    pub fn start(
        ring: Arc<Ring>,
        incarnation: Incarnation,
        trim: WalPosition,
        options: FileWalOptions,
        clock: SharedClock,
        sink: Arc<dyn WalSink>,
    ) -> Result<Arc<Self>, StartError> {
        let geometry = ring.geometry;
        if !geometry.is_start(trim) {
            return Err(StartError::Trim(trim));
        }
        let block = u64::from(geometry.block);
        if options.zero_step == 0 || !options.zero_step.is_multiple_of(block) {
            return Err(StartError::Options(format!("zero step {} is not whole blocks", options.zero_step)));
        }
        let headroom = options.frame_headroom.max(block);
        let max_frame = usize::try_from(geometry.file_size.saturating_sub(headroom)).unwrap_or(usize::MAX);
        if max_frame == 0 {
            return Err(StartError::Options(format!(
                "{headroom} bytes of headroom leave no room for frames"
            )));
        }
        let mut zeroed = Vec::with_capacity(ring.files.len());
        for file in &ring.files {
            let len = file.reader.len()?;
            zeroed.push(len - len % block);
        }
        let state = State {
            ring: geometry,
            queue: VecDeque::new(),
            tail: Tail::new(geometry, trim),
            trim,
            zeroed,
            zero_need: None,
            roll: false,
            closing: false,
            abandoned: false,
            ended: false,
            failure: None,
            sabotage: options.sabotage,
        };
        let shared = Arc::new(Shared {
            incarnation,
            clock,
            sink,
            metrics: WalMetrics::default(),
            state: Mutex::new(state),
            writer_wake: Notify::new(),
            zero_wake: Notify::new(),
            durable_end: AtomicU64::new(trim.0),
            flushable_end: AtomicU64::new(trim.0),
            space: Space::new(options.free_min),
            queue: Budget::new("wal_queue", options.queue_bytes),
            buffered: ring.files.iter().map(|_| false.into()).collect(),
            max_frame,
            options,
            ring,
        });
        let wal = Arc::new(Self { shared, running: Arc::new(watch::Sender::new(0)) });
        wal.spawn("wal-writer", run_writer(Arc::clone(&wal.shared)))?;
        wal.spawn("wal-zero", run_zeroing(Arc::clone(&wal.shared)))?;
        Ok(wal)
    }

    fn spawn(&self, name: &str, work: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let ended = Ended(Arc::clone(&self.running));
        self.running.send_modify(|running| *running += 1);
        let runtime = tokio::runtime::Handle::current();
        match &self.shared.options.mode {
            WriterMode::Thread => {
                std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                    let _ended = ended;
                    runtime.block_on(work);
                })?;
            }
            WriterMode::Task { .. } => {
                drop(runtime.spawn(async move {
                    let _ended = ended;
                    work.await;
                }));
            }
        }
        Ok(())
    }

    /// The counters, to be registered.
    #[must_use]
    pub fn metrics(&self) -> &WalMetrics {
        &self.shared.metrics
    }

    /// The budget of the queue, to be registered.
    #[must_use]
    pub fn queue(&self) -> &Budget {
        &self.shared.queue
    }
}

/// Counts a thread or task as ended, after everything that it held is gone.
struct Ended(Arc<watch::Sender<u32>>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Drop for FileWal {
    fn drop(&mut self) {
        self.shared.state.lock().abandoned = true;
        self.shared.writer_wake.notify_one();
        self.shared.zero_wake.notify_one();
    }
}

impl Shared {
    pub(crate) fn buffered(&self, slot: usize) -> bool {
        self.buffered.get(slot).is_some_and(|buffered| buffered.load(Ordering::Relaxed))
    }

    pub(crate) fn set_buffered(&self, slot: usize) {
        if let Some(buffered) = self.buffered.get(slot) {
            buffered.store(true, Ordering::Relaxed);
        }
    }

    fn check_open(&self) -> Result<(), WalError> {
        let state = self.state.lock();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        if state.closing || state.abandoned { Err(WalError::Closed) } else { Ok(()) }
    }

    fn check_trimmed(&self, position: WalPosition) -> Result<(), WalError> {
        if position < self.state.lock().trim { Err(WalError::Trimmed(position)) } else { Ok(()) }
    }

    /// Reads a frame's entry and records. A file is written again only after the trim behind it is set, so bytes read
    /// while the position was not trimmed, before and after, are the frame's.
    fn read_now(&self, position: WalPosition, length: usize) -> Result<Bytes, WalError> {
        self.check_trimmed(position)?;
        let corrupt = |what: &str| WalError::Corrupt { position, what: what.into() };
        let geometry = self.ring.geometry;
        let offset = geometry
            .offset_of(position)
            .checked_sub(ENTRY_LEN as u64)
            .ok_or_else(|| corrupt("no frame can stand here"))?;
        let end = position.0.saturating_add(length as u64);
        if end > self.durable_end.load(Ordering::Acquire) {
            return Err(corrupt("not durable"));
        }
        let file = self
            .ring
            .file(geometry.slot_of(geometry.file_of(position)))
            .map_err(|error| WalError::Io(Arc::new(error)))?;
        let mut bytes = vec![0; ENTRY_LEN + length];
        let read = file.reader.read_exact_at(&mut bytes, offset);
        self.check_trimmed(position)?;
        read.map_err(|error| WalError::Io(Arc::new(error)))?;
        let records = Bytes::from(bytes);
        let entry = Entry::decode(&records).ok_or_else(|| corrupt("no entry"))?;
        let records = records.slice(ENTRY_LEN..);
        if entry.length as usize != length || entry.crc != crc32c(&records) {
            return Err(corrupt("the records do not match their checksum"));
        }
        Ok(records)
    }
}

impl Wal for FileWal {
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<WalPermit, WalError>> {
        Box::pin(async move {
            let shared = &self.shared;
            shared.check_open()?;
            let look = || shared.ring.disk.free_space(&shared.ring.dir).ok();
            match shared.space.room(shared.clock.monotonic(), look) {
                Room::Free => {}
                Room::Slow(span) => shared.clock.sleep(span).await,
                Room::Refuse => {
                    return Err(WalError::NoSpace(shared.ring.dir.display().to_string().into()));
                }
            }
            let permit = shared.queue.take(bytes).await;
            shared.check_open()?;
            Ok(WalPermit::new(bytes, Some(permit)))
        })
    }

    fn append(&self, frames: Vec<Frame>, permit: WalPermit) -> Result<(), WalError> {
        let limit = self.shared.max_frame;
        if let Some(large) = frames.iter().find(|frame| frame.records.len() > limit) {
            return Err(WalError::TooLarge { bytes: large.records.len(), limit });
        }
        let Some(last) = frames.len().checked_sub(1) else { return Ok(()) };
        {
            let mut state = self.shared.state.lock();
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.closing || state.abandoned {
                return Err(WalError::Closed);
            }
            self.shared.metrics.queued_bytes.inc_by(i64::try_from(permit.bytes()).unwrap_or(0));
            let mut permit = Some(permit);
            for (at, frame) in frames.into_iter().enumerate() {
                let permit = if at == last { permit.take() } else { None };
                state.queue.push_back(Queued { frame, permit });
            }
        }
        self.shared.writer_wake.notify_one();
        Ok(())
    }

    fn read(&self, position: WalPosition, length: usize) -> BoxFuture<'_, Result<Bytes, WalError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            match shared.options.mode {
                WriterMode::Task { .. } => shared.read_now(position, length),
                WriterMode::Thread => tokio::task::spawn_blocking(move || shared.read_now(position, length))
                    .await
                    .unwrap_or_else(|error| Err(WalError::Io(Arc::new(io::Error::other(error))))),
            }
        })
    }

    fn max_frame(&self) -> usize {
        self.shared.max_frame
    }

    fn durable_end(&self) -> WalPosition {
        WalPosition(self.shared.durable_end.load(Ordering::Acquire))
    }

    fn flushable_end(&self) -> WalPosition {
        WalPosition(self.shared.flushable_end.load(Ordering::Acquire))
    }

    fn roll(&self) {
        self.shared.state.lock().roll = true;
        self.shared.writer_wake.notify_one();
    }

    fn trim(&self, position: WalPosition) {
        {
            let mut state = self.shared.state.lock();
            state.trim = state.trim.max(position);
        }
        self.shared.writer_wake.notify_one();
    }

    fn close(&self) -> BoxFuture<'_, Result<(), WalError>> {
        Box::pin(async move {
            self.shared.state.lock().closing = true;
            self.shared.writer_wake.notify_one();
            self.shared.zero_wake.notify_one();
            let mut running = self.running.subscribe();
            // The sender lives in `self`.
            let _ = running.wait_for(|running| *running == 0).await;
            let state = self.shared.state.lock();
            state.failure.clone().map_or(Ok(()), Err)
        })
    }
}

#[cfg(test)]
mod tests;
