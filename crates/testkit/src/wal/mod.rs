//! A WAL behind the [`Wal`] trait whose appends overlap: each is durable after a settable delay, in order, as on a
//! store far away. It can stall, and it can be poisoned. Nothing of it survives the process.

mod driver;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
pub use driver::PipelinedDriver;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use waybill_rt::{Budget, SharedClock};
use waybill_wal::{DurableFrame, Frame, Wal, WalError, WalPermit, WalPosition, WalSink};

/// How a [`PipelinedWal`] behaves.
#[derive(Debug, Clone, Copy)]
pub struct PipelinedWalOptions {
    /// Each append is durable so long after it was made.
    pub delay: Duration,
    /// Bytes of records that may be in flight.
    pub queue_bytes: usize,
    /// The largest frame.
    pub max_frame: usize,
    /// Segments may be made of each stretch of this many bytes.
    pub stretch: u64,
}

impl Default for PipelinedWalOptions {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(100),
            queue_bytes: 32 << 20,
            max_frame: 31 << 20,
            stretch: 32 << 20,
        }
    }
}

/// The WAL.
pub struct PipelinedWal {
    shared: Arc<Shared>,
}

struct Shared {
    options: PipelinedWalOptions,
    clock: SharedClock,
    sink: Arc<dyn WalSink>,
    queue: Budget,
    state: Mutex<State>,
    /// Something changed that the task or a closer waits for.
    changed: Notify,
    drained: Notify,
}

struct Flight {
    due: Duration,
    frames: Vec<DurableFrame>,
    end: WalPosition,
    permit: WalPermit,
}

#[derive(Default)]
struct State {
    delay: Duration,
    flights: VecDeque<Flight>,
    held: BTreeMap<WalPosition, Bytes>,
    next: u64,
    last_due: Duration,
    durable_end: WalPosition,
    flushable_end: WalPosition,
    trim: WalPosition,
    stalled: bool,
    closed: bool,
    ended: bool,
    failure: Option<WalError>,
}

impl std::fmt::Debug for PipelinedWal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PipelinedWal({:?})", self.shared.options)
    }
}

impl PipelinedWal {
    /// Starts an empty WAL. Must be called inside a Tokio runtime.
    #[must_use]
    pub fn start(options: PipelinedWalOptions, clock: SharedClock, sink: Arc<dyn WalSink>) -> Arc<Self> {
        let shared = Arc::new(Shared {
            options,
            clock,
            sink,
            queue: Budget::new("wal_queue", options.queue_bytes),
            state: Mutex::new(State { delay: options.delay, ..State::default() }),
            changed: Notify::new(),
            drained: Notify::new(),
        });
        drop(tokio::spawn(run(Arc::clone(&shared))));
        Arc::new(Self { shared })
    }

    /// From now on nothing becomes durable, until [`Self::resume`].
    pub fn stall(&self) {
        self.shared.state.lock().stalled = true;
    }

    /// Ends a stall.
    pub fn resume(&self) {
        self.shared.state.lock().stalled = false;
        self.shared.changed.notify_one();
    }

    /// Sets the delay of appends made from now on.
    pub fn set_delay(&self, delay: Duration) {
        self.shared.state.lock().delay = delay;
    }

    /// Frames that are not durable yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.state.lock().flights.iter().map(|flight| flight.frames.len()).sum()
    }

    /// Everything not yet durable is lost.
    pub fn poison(&self, why: &str) {
        let error = WalError::Poisoned(why.into());
        let lost = {
            let mut state = self.shared.state.lock();
            if state.failure.is_some() {
                return;
            }
            state.failure = Some(error.clone());
            std::mem::take(&mut state.flights)
        };
        self.shared.sink.poisoned(&error);
        drop(lost);
        self.shared.changed.notify_one();
    }
}

impl Drop for PipelinedWal {
    fn drop(&mut self) {
        self.shared.state.lock().ended = true;
        self.shared.changed.notify_one();
    }
}

enum Step {
    Durable(Flight),
    Sleep(Duration),
    Wait,
    End,
}

impl State {
    fn step(&mut self, now: Duration, stretch: u64) -> Step {
        if self.ended || self.failure.is_some() || (self.closed && self.flights.is_empty()) {
            return Step::End;
        }
        let Some(due) = self.flights.front().map(|flight| flight.due).filter(|_| !self.stalled) else {
            return Step::Wait;
        };
        if due > now {
            return Step::Sleep(due - now);
        }
        let Some(flight) = self.flights.pop_front() else { return Step::Wait };
        self.durable_end = flight.end;
        let whole = WalPosition(flight.end.0 - flight.end.0 % stretch.max(1));
        self.flushable_end = self.flushable_end.max(whole);
        Step::Durable(flight)
    }
}

async fn run(shared: Arc<Shared>) {
    loop {
        let step = shared.state.lock().step(shared.clock.monotonic(), shared.options.stretch);
        match step {
            Step::Durable(flight) => {
                shared.sink.durable(flight.frames);
                drop(flight.permit);
            }
            Step::Sleep(span) => shared.clock.sleep(span).await,
            Step::Wait => shared.changed.notified().await,
            Step::End => break,
        }
    }
    shared.state.lock().ended = true;
    shared.drained.notify_waiters();
}

impl Wal for PipelinedWal {
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<WalPermit, WalError>> {
        Box::pin(async move {
            let permit = self.shared.queue.take(bytes).await;
            let state = self.shared.state.lock();
            match (&state.failure, state.closed) {
                (Some(failure), _) => Err(failure.clone()),
                (None, true) => Err(WalError::Closed),
                (None, false) => Ok(WalPermit::new(bytes, Some(permit))),
            }
        })
    }

    fn append(&self, frames: Vec<Frame>, permit: WalPermit) -> Result<(), WalError> {
        let limit = self.shared.options.max_frame;
        if let Some(large) = frames.iter().find(|frame| frame.records.len() > limit) {
            return Err(WalError::TooLarge { bytes: large.records.len(), limit });
        }
        let now = self.shared.clock.monotonic();
        {
            let mut state = self.shared.state.lock();
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.closed {
                return Err(WalError::Closed);
            }
            let mut placed = Vec::with_capacity(frames.len());
            for frame in frames {
                let position = WalPosition(state.next);
                state.next += frame.records.len().max(1) as u64;
                state.held.insert(position, frame.records.clone());
                placed.push(DurableFrame { frame, position });
            }
            state.last_due = state.last_due.max(now + state.delay);
            let flight = Flight { due: state.last_due, frames: placed, end: WalPosition(state.next), permit };
            state.flights.push_back(flight);
        }
        self.shared.changed.notify_one();
        Ok(())
    }

    fn read(&self, position: WalPosition, length: usize) -> BoxFuture<'_, Result<Bytes, WalError>> {
        let state = self.shared.state.lock();
        let found = if position < state.trim {
            Err(WalError::Trimmed(position))
        } else {
            let held = state.held.get(&position).filter(|records| records.len() == length).cloned();
            held.ok_or_else(|| WalError::Corrupt { position, what: "no such frame".into() })
        };
        drop(state);
        Box::pin(async move { found })
    }

    fn max_frame(&self) -> usize {
        self.shared.options.max_frame
    }

    fn durable_end(&self) -> WalPosition {
        self.shared.state.lock().durable_end
    }

    fn flushable_end(&self) -> WalPosition {
        self.shared.state.lock().flushable_end
    }

    fn roll(&self) {
        let mut state = self.shared.state.lock();
        state.flushable_end = state.durable_end;
    }

    fn trim(&self, position: WalPosition) {
        let mut state = self.shared.state.lock();
        state.trim = state.trim.max(position);
        state.held = state.held.split_off(&position);
    }

    fn close(&self) -> BoxFuture<'_, Result<(), WalError>> {
        Box::pin(async move {
            loop {
                let drained = self.shared.drained.notified();
                {
                    let mut state = self.shared.state.lock();
                    state.closed = true;
                    if state.ended {
                        return state.failure.clone().map_or(Ok(()), Err);
                    }
                }
                self.shared.changed.notify_one();
                drained.await;
            }
        })
    }
}
