//! The chain WAL: the [`Wal`] trait over a chain of objects.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crc32c::crc32c;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use waybill_rt::{Budget, SharedClock, SharedEntropy};
use waybill_store::{SharedStore, StoreError};

use crate::api::{Wal, WalError, WalPermit, WalPosition, WalSink};
use crate::chain::metrics::ChainMetrics;
use crate::chain::names::Slot;
use crate::chain::open::OpenedChain;
use crate::chain::options::ChainOptions;
use crate::chain::run::run;
use crate::chain::slot::{HEAD_LEN, Identity};
use crate::chain::state::State;
use crate::chain::writer::Ending;
use crate::entry::ENTRY_LEN;
use crate::frame::Frame;

/// A write-ahead log in a chain of objects.
pub struct ChainWal {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) store: SharedStore,
    pub(crate) identity: Identity,
    pub(crate) start: WalPosition,
    pub(crate) options: ChainOptions,
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    pub(crate) sink: Arc<dyn WalSink>,
    pub(crate) metrics: ChainMetrics,
    pub(crate) state: Mutex<State>,
    pub(crate) wake: Notify,
    pub(crate) ended: watch::Sender<bool>,
    pub(crate) ending: Mutex<Option<Ending>>,
    pub(crate) durable_end: AtomicU64,
    pub(crate) flushable_end: AtomicU64,
    queue: Budget,
    max_frame: usize,
}

impl std::fmt::Debug for ChainWal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChainWal({}, durable to {})", self.shared.identity.chain, self.durable_end())
    }
}

impl ChainWal {
    /// Starts writing a chain whose registration is durable. Must be called inside a Tokio runtime.
    #[must_use]
    pub fn start(
        store: SharedStore,
        opened: OpenedChain,
        clock: SharedClock,
        entropy: SharedEntropy,
        sink: Arc<dyn WalSink>,
    ) -> Arc<Self> {
        let (wal, work) = Self::prepare(store, opened, clock, entropy, sink);
        drop(tokio::spawn(work));
        wal
    }

    /// As [`Self::start`], with the work of its driver to be run by the caller: a simulation may then freeze it.
    pub fn prepare(
        store: SharedStore,
        opened: OpenedChain,
        clock: SharedClock,
        entropy: SharedEntropy,
        sink: Arc<dyn WalSink>,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + 'static) {
        let OpenedChain { identity, start, options } = opened;
        let max_frame = (options.largest as usize).saturating_sub(HEAD_LEN + ENTRY_LEN);
        let shared = Arc::new(Shared {
            store,
            identity,
            start,
            clock,
            entropy,
            sink,
            metrics: ChainMetrics::default(),
            state: Mutex::new(State::starting(start)),
            wake: Notify::new(),
            ended: watch::Sender::new(false),
            ending: Mutex::new(None),
            durable_end: AtomicU64::new(start.0),
            flushable_end: AtomicU64::new(start.0),
            queue: Budget::new("wal_queue", options.queue_bytes),
            max_frame,
            options,
        });
        let work = run(Arc::clone(&shared));
        (Arc::new(Self { shared }), work)
    }

    /// The counters, to be registered.
    #[must_use]
    pub fn metrics(&self) -> &ChainMetrics {
        &self.shared.metrics
    }

    /// The budget of the queue, to be registered.
    #[must_use]
    pub fn queue(&self) -> &Budget {
        &self.shared.queue
    }

    /// Which chain it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.shared.identity
    }

    /// Why the chain ended for this writer, once it has.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        *self.shared.ending.lock()
    }

    /// Whether the chain holds as much as it may: producers wait until the broker goes on as the next incarnation.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.state.lock().full
    }

    /// The first slot with anything at or above a position that was durable here: what a trim to that position keeps.
    #[must_use]
    pub fn slot_from(&self, position: WalPosition) -> Option<Slot> {
        self.shared.state.lock().slot_from(position)
    }

    /// The slot that holds a durable position, and where in it.
    #[must_use]
    pub fn place_of(&self, position: WalPosition) -> Option<(Slot, u64)> {
        let state = self.shared.state.lock();
        let place = state.find(position)?;
        Some((place.head.slot, position.0 - place.head.position.0))
    }
}

impl Drop for ChainWal {
    fn drop(&mut self) {
        self.shared.state.lock().abandoned = true;
        self.shared.wake.notify_one();
    }
}

impl Wal for ChainWal {
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<WalPermit, WalError>> {
        Box::pin(async move {
            self.shared.state.lock().check_open()?;
            let mut ended = self.shared.ended.subscribe();
            let permit = tokio::select! {
                biased;
                permit = self.shared.queue.take(bytes) => Some(permit),
                // The sender lives in `self`.
                _ = ended.wait_for(|ended| *ended) => None,
            };
            self.shared.state.lock().check_open()?;
            permit.map(|permit| WalPermit::new(bytes, Some(permit))).ok_or(WalError::Closed)
        })
    }

    fn append(&self, frames: Vec<Frame>, permit: WalPermit) -> Result<(), WalError> {
        let limit = self.shared.max_frame;
        if let Some(large) = frames.iter().find(|frame| frame.records.len() > limit) {
            return Err(WalError::TooLarge { bytes: large.records.len(), limit });
        }
        let bytes: usize = frames.iter().map(|frame| frame.records.len()).sum();
        let now = self.shared.clock.monotonic();
        {
            let mut state = self.shared.state.lock();
            state.check_open()?;
            state.push(frames, permit, now);
        }
        self.shared.metrics.queued_bytes.inc_by(bytes as i64);
        self.shared.wake.notify_one();
        Ok(())
    }

    fn read(&self, position: WalPosition, length: usize) -> BoxFuture<'_, Result<Bytes, WalError>> {
        Box::pin(async move {
            let corrupt = |what: String| WalError::Corrupt { position, what: what.into() };
            let (slot, at, crc) = {
                let state = self.shared.state.lock();
                if position < state.trim {
                    return Err(WalError::Trimmed(position));
                }
                let place = state.find(position).ok_or_else(|| corrupt("no object".into()))?;
                let at = position.0 - place.head.position.0;
                let frame = place.frames.binary_search_by_key(&at, |(start, _)| u64::from(*start));
                let crc = frame.ok().and_then(|found| place.frames.get(found)).map(|(_, crc)| *crc);
                (place.head.slot, at, crc.ok_or_else(|| corrupt("no batch begins here".into()))?)
            };
            let name = self.shared.identity.chain.slot(slot);
            match self.shared.store.get(&name, at..at + length as u64).await {
                Ok(records) if records.len() == length && crc32c(&records) == crc => Ok(records),
                Ok(_) => Err(corrupt(format!("{name} does not match its checksum"))),
                Err(StoreError::NotFound(_)) => Err(WalError::Trimmed(position)),
                Err(error) => Err(WalError::Io(Arc::new(std::io::Error::other(error)))),
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

    fn wants_trim(&self) -> bool {
        let state = self.shared.state.lock();
        state.slots_held() >= self.shared.options.stretch_slots && self.flushable_end() > state.trim
    }

    fn first_kept(&self, position: WalPosition) -> Option<u64> {
        self.shared.state.lock().first_kept(position)
    }

    fn roll(&self) {
        self.shared.state.lock().roll = true;
        self.shared.wake.notify_one();
    }

    fn trim(&self, position: WalPosition) {
        self.shared.state.lock().trim(position);
    }

    fn close(&self) -> BoxFuture<'_, Result<(), WalError>> {
        Box::pin(async move {
            self.shared.state.lock().closing = true;
            self.shared.wake.notify_one();
            let mut ended = self.shared.ended.subscribe();
            // The sender lives in `self`.
            let _ = ended.wait_for(|ended| *ended).await;
            self.shared.state.lock().failure.clone().map_or(Ok(()), Err)
        })
    }
}

#[cfg(test)]
mod tests;
