//! A WAL in memory whose durability the test decides.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use waybill_types::Incarnation;
use waybill_wal::{DurableFrame, Frame, SharedWal, Wal, WalError, WalPermit, WalPosition, WalSink};

use crate::driver::{RecoveredWal, WalDriver, WalOpenError, WalRegistration};

/// What survives a crash, and the writer of the current incarnation.
#[derive(Default)]
struct State {
    durable: Vec<(Incarnation, DurableFrame)>,
    waiting: Vec<Frame>,
    end: u64,
    rolled: u64,
    trim: WalPosition,
    incarnation: Incarnation,
    sink: Option<Arc<dyn WalSink>>,
    poisoned: bool,
    closed: bool,
    reads: u64,
    failing_reads: u32,
}

/// Clones share the WAL.
#[derive(Clone)]
pub(crate) struct TestWal {
    state: Arc<Mutex<State>>,
    /// Every frame is durable at once.
    automatic: bool,
    file: u64,
}

impl TestWal {
    pub(crate) fn new(automatic: bool, file: u64) -> Self {
        Self { state: Arc::default(), automatic, file }
    }

    /// Makes the next `count` frames durable and tells the sink.
    pub(crate) fn release(&self, count: usize) {
        let (sink, frames) = {
            let mut state = self.state.lock();
            let count = count.min(state.waiting.len());
            let taken: Vec<_> = state.waiting.drain(..count).collect();
            let mut frames = Vec::new();
            for frame in taken {
                let position = WalPosition(state.end);
                state.end += frame.records.len() as u64;
                let incarnation = state.incarnation;
                state.durable.push((incarnation, DurableFrame { frame: frame.clone(), position }));
                frames.push(DurableFrame { frame, position });
            }
            (state.sink.clone(), frames)
        };
        if let Some(sink) = sink.filter(|_| !frames.is_empty()) {
            sink.durable(frames);
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }

    pub(crate) fn reads(&self) -> u64 {
        self.state.lock().reads
    }

    /// The next `count` reads fail.
    pub(crate) fn fail_reads(&self, count: u32) {
        self.state.lock().failing_reads = count;
    }

    pub(crate) fn trimmed(&self) -> u64 {
        self.state.lock().trim.0
    }

    /// What waits is lost, as when the process dies.
    pub(crate) fn crash(&self) {
        let mut state = self.state.lock();
        state.waiting.clear();
        state.sink = None;
    }

    pub(crate) fn poison(&self) {
        let sink = {
            let mut state = self.state.lock();
            state.poisoned = true;
            state.waiting.clear();
            state.sink.clone()
        };
        if let Some(sink) = sink {
            sink.poisoned(&WalError::Poisoned("test".into()));
        }
    }
}

impl WalDriver for TestWal {
    fn recover(
        &self,
        registration: WalRegistration,
    ) -> BoxFuture<'_, Result<Box<dyn RecoveredWal>, WalOpenError>> {
        let mut state = self.state.lock();
        state.trim = state.trim.max(registration.trim);
        state.durable.retain(|(incarnation, frame)| {
            frame.position >= registration.trim && *incarnation == registration.incarnation
        });
        let frames = state.durable.iter().map(|(_, frame)| frame.clone()).collect();
        let next_trim = WalPosition((state.end.max(registration.trim.0) / self.file + 2) * self.file);
        let recovered = Recovered { wal: self.clone(), frames: Some(frames), next_trim };
        std::future::ready(Ok(Box::new(recovered) as Box<dyn RecoveredWal>)).boxed()
    }
}

struct Recovered {
    wal: TestWal,
    frames: Option<Vec<DurableFrame>>,
    next_trim: WalPosition,
}

impl RecoveredWal for Recovered {
    fn next_frames(&mut self) -> BoxFuture<'_, Result<Option<Vec<DurableFrame>>, WalOpenError>> {
        std::future::ready(Ok(self.frames.take())).boxed()
    }

    fn next_trim(&self) -> WalPosition {
        self.next_trim
    }

    fn capacity(&self) -> u64 {
        self.wal.file * 16
    }

    fn start(
        self: Box<Self>,
        incarnation: Incarnation,
        sink: Arc<dyn WalSink>,
    ) -> BoxFuture<'static, Result<SharedWal, WalOpenError>> {
        {
            let mut state = self.wal.state.lock();
            state.end = self.next_trim.0;
            state.rolled = 0;
            state.trim = self.next_trim;
            state.incarnation = incarnation;
            state.sink = Some(sink);
            state.closed = false;
            state.durable.clear();
        }
        std::future::ready(Ok(Arc::new(self.wal) as SharedWal)).boxed()
    }
}

impl Wal for TestWal {
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<WalPermit, WalError>> {
        std::future::ready(Ok(WalPermit::new(bytes, None))).boxed()
    }

    fn append(&self, frames: Vec<Frame>, _permit: WalPermit) -> Result<(), WalError> {
        {
            let mut state = self.state.lock();
            if state.poisoned {
                return Err(WalError::Poisoned("test".into()));
            }
            if state.closed {
                return Err(WalError::Closed);
            }
            state.waiting.extend(frames);
        }
        if self.automatic {
            self.release(usize::MAX);
        }
        Ok(())
    }

    fn read(&self, position: WalPosition, length: usize) -> BoxFuture<'_, Result<Bytes, WalError>> {
        let mut state = self.state.lock();
        state.reads += 1;
        if state.failing_reads > 0 {
            state.failing_reads -= 1;
            return std::future::ready(Err(WalError::Io(Arc::new(std::io::Error::other("made to fail")))))
                .boxed();
        }
        let found = state.durable.iter().find(|(_, frame)| frame.position == position);
        let result = match found {
            _ if position < state.trim => Err(WalError::Trimmed(position)),
            Some((_, frame)) if frame.frame.records.len() == length => Ok(frame.frame.records.clone()),
            _ => Err(WalError::Corrupt { position, what: "no frame".into() }),
        };
        std::future::ready(result).boxed()
    }

    fn max_frame(&self) -> usize {
        1 << 20
    }

    fn durable_end(&self) -> WalPosition {
        WalPosition(self.state.lock().end)
    }

    fn flushable_end(&self) -> WalPosition {
        let state = self.state.lock();
        WalPosition((state.end / self.file * self.file).max(state.rolled))
    }

    fn roll(&self) {
        let mut state = self.state.lock();
        state.end = state.end.next_multiple_of(self.file);
        state.rolled = state.end;
    }

    fn trim(&self, position: WalPosition) {
        let mut state = self.state.lock();
        state.trim = state.trim.max(position);
        state.durable.retain(|(_, frame)| frame.position >= position);
    }

    fn close(&self) -> BoxFuture<'_, Result<(), WalError>> {
        self.release(usize::MAX);
        self.state.lock().closed = true;
        std::future::ready(Ok(())).boxed()
    }
}
