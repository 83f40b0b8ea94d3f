//! The driver of a chain: carries out what the pure writer says. One task; requests run inside it, side by side.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use waybill_store::{Quantile, StoreError};

use crate::api::{DurableFrame, WalError, WalPermit, WalPosition};
use crate::chain::judge::{self, GLANCE};
use crate::chain::names::Slot;
use crate::chain::options::HedgeOptions;
use crate::chain::pace::{Pace, Pacing};
use crate::chain::slot::{Encoded, encode_data};
use crate::chain::state::{Place, Queued};
use crate::chain::wal::Shared;
use crate::chain::writer::{Ending, PutAnswer, Writer, WriterAction, WriterEvent};
use crate::entry::ENTRY_LEN;
use crate::frame::Frame;
use crate::sabotage::Sabotage;

struct Flight {
    encoded: Encoded,
    frames: Vec<Frame>,
    permits: Vec<WalPermit>,
    sent: Duration,
    uploaded: Option<Duration>,
    hedged: bool,
}

pub(crate) struct Driver {
    shared: Arc<Shared>,
    writer: Writer,
    pace: Pace,
    flights: BTreeMap<Slot, Flight>,
    requests: FuturesUnordered<BoxFuture<'static, WriterEvent>>,
    next: WalPosition,
    flushable: WalPosition,
    /// The first slot that is not below `flushable`.
    flushable_slot: Slot,
    creates: Quantile,
    waited_for_depth: bool,
}

enum Woken {
    Request(WriterEvent),
    Changed,
}

/// Runs a chain until it is closed, abandoned, or ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let now = shared.clock.monotonic();
    let start = WalPosition(shared.durable_end.load(Ordering::Acquire));
    let mut driver = Driver {
        writer: Writer::new(shared.options.depth, shared.options.sabotage),
        pace: Pace::new(shared.options.pace, now),
        flights: BTreeMap::new(),
        requests: FuturesUnordered::new(),
        next: start,
        flushable: start,
        flushable_slot: 1,
        creates: Quantile::new(0.95, Duration::from_millis(100)),
        waited_for_depth: false,
        shared: Arc::clone(&shared),
    };
    driver.work().await;
    let left = {
        let mut state = shared.state.lock();
        state.ended = true;
        state.clear()
    };
    drop(left);
    shared.ended.send_replace(true);
}

impl Driver {
    async fn work(&mut self) {
        loop {
            let due = self.advance();
            if self.is_stuck() {
                self.fail("the chain is full and the broker stops before it has another");
            }
            if self.is_over() {
                return;
            }
            let woken = self.wait(due).await;
            if let Woken::Request(event) = woken {
                self.take(event);
            }
        }
    }

    fn is_over(&self) -> bool {
        let state = self.shared.state.lock();
        let idle = self.writer.in_flight() == 0 && state.filling().is_none();
        self.writer.ending().is_some() || state.abandoned || (state.closing && idle)
    }

    /// What waits can not be written any more: the chain is full, and nobody will go on with another.
    fn is_stuck(&self) -> bool {
        let state = self.shared.state.lock();
        state.closing && state.filling().is_some() && self.writer.in_flight() == 0 && self.is_full()
    }

    async fn wait(&mut self, due: Option<Duration>) -> Woken {
        let now = self.shared.clock.monotonic();
        let sleep = due.map(|due| self.shared.clock.sleep(due.saturating_sub(now)));
        let sleep = async {
            match sleep {
                Some(sleep) => sleep.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(event) = self.requests.next(), if !self.requests.is_empty() => Woken::Request(event),
            () = self.shared.wake.notified() => Woken::Changed,
            () = sleep => Woken::Changed,
        }
    }

    /// Does all that can be done now; returns when to look again at the latest.
    fn advance(&mut self) -> Option<Duration> {
        let mut due = self.submit_all();
        let now = self.shared.clock.monotonic();
        let budget = self.shared.options.budget;
        let hedge = match self.shared.options.hedge {
            HedgeOptions::Off => None,
            HedgeOptions::Slow => Some(self.creates.value()),
            HedgeOptions::After(after) => Some(after),
        };
        let mut events = Vec::new();
        for (slot, flight) in self.flights.iter_mut().filter(|(_, flight)| flight.uploaded.is_none()) {
            let expires = flight.sent + budget;
            if expires <= now {
                events.push(WriterEvent::Expired(*slot));
                continue;
            }
            due = Some(due.map_or(expires, |due| due.min(expires)));
            let Some(hedge) = hedge.filter(|_| !flight.hedged).map(|after| flight.sent + after) else {
                continue;
            };
            if hedge <= now {
                flight.hedged = true;
                events.push(WriterEvent::Hedge(*slot));
            } else {
                due = Some(due.map_or(hedge, |due| due.min(hedge)));
            }
        }
        for event in events {
            self.take(event);
        }
        due
    }

    /// Sends what is full enough; returns when the rest will be.
    fn submit_all(&mut self) -> Option<Duration> {
        loop {
            let now = self.shared.clock.monotonic();
            let (pacing, frames) = {
                let mut state = self.shared.state.lock();
                let full = self.is_full();
                if full && !state.full {
                    state.full = true;
                    self.shared.metrics.full.inc();
                }
                if std::mem::take(&mut state.roll) {
                    self.flushable = WalPosition(self.shared.durable_end.load(Ordering::Acquire));
                    self.flushable_slot = self.writer.durable();
                    self.shared.flushable_end.store(self.flushable.0, Ordering::Release);
                }
                let (filling, alone) = (state.filling(), self.writer.in_flight() == 0);
                let may = self.writer.may_submit() && !full;
                let pacing = match self.pace.decide(filling, now, alone, may) {
                    Pacing::At(_) if state.closing => Pacing::Send,
                    other => other,
                };
                let waits = filling.is_some() && !may;
                if waits && !self.waited_for_depth {
                    self.shared.metrics.depth_waits.inc();
                }
                self.waited_for_depth = waits;
                let frames = match pacing {
                    Pacing::Send => state.take(self.shared.options.pace.full_bytes),
                    Pacing::At(_) | Pacing::Wait => Vec::new(),
                };
                (pacing, frames)
            };
            match pacing {
                Pacing::Send => self.submit(frames, now),
                Pacing::At(due) => return Some(due),
                Pacing::Wait => return None,
            }
        }
    }

    fn is_full(&self) -> bool {
        let options = &self.shared.options;
        self.writer.next() >= options.slots
            || self.next.0.saturating_sub(self.shared.start.0) >= options.bytes
    }

    fn submit(&mut self, queued: Vec<Queued>, now: Duration) {
        let slot = self.writer.next();
        let since = queued.first().map_or(now, |first| first.since);
        let (mut frames, mut permits) = (Vec::with_capacity(queued.len()), Vec::new());
        for one in queued {
            frames.push(one.frame);
            permits.extend(one.permit);
        }
        let durable = self.writer.durable();
        let encoded = match encode_data(self.shared.identity, slot, self.next, durable, &frames) {
            Ok(encoded) => encoded,
            Err(fault) => {
                // `append` refuses frames that an object can not hold.
                self.fail(&format!("an object of the write-ahead log can not be made: {fault}"));
                return;
            }
        };
        self.next = encoded.head.end();
        self.pace.sent(now);
        let metrics = &self.shared.metrics;
        metrics.objects.inc();
        metrics.frames.inc_by(frames.len() as u64);
        metrics.bytes.inc_by(encoded.head.length);
        metrics.queue_seconds.observe(now.saturating_sub(since).as_secs_f64());
        let flight = Flight { encoded, frames, permits, sent: now, uploaded: None, hedged: false };
        self.flights.insert(slot, flight);
        self.take(WriterEvent::Submit);
    }

    fn take(&mut self, event: WriterEvent) {
        let now = self.shared.clock.monotonic();
        if let WriterEvent::Answered(slot, PutAnswer::Created) = event
            && let Some(flight) = self.flights.get(&slot).filter(|flight| flight.uploaded.is_none())
        {
            self.creates.observe(now.saturating_sub(flight.sent));
        }
        if matches!(event, WriterEvent::Hedge(_)) {
            self.shared.metrics.hedges.inc();
        }
        for action in self.writer.on(event) {
            match action {
                WriterAction::Put { slot, tries } => self.put(slot, tries),
                WriterAction::Read { slot, tries } => self.read_back(slot, tries),
                WriterAction::Durable(below) => self.durable(below, now),
                WriterAction::End(ending) => self.end(ending),
                WriterAction::Tamper(slot) => self.tamper(slot),
            }
        }
        self.note_uploads(now);
        self.shared.metrics.in_flight.set(self.writer.in_flight() as i64);
    }

    /// Slots that are durable but wait for those before them.
    fn note_uploads(&mut self, now: Duration) {
        for (slot, flight) in self.flights.iter_mut().filter(|(_, flight)| flight.uploaded.is_none()) {
            if !self.writer.waits_for(*slot) {
                flight.uploaded = Some(now);
            }
        }
    }

    /// A pause before a try, jittered so that writers do not go in step.
    fn pause(&self, tries: u32) -> BoxFuture<'static, ()> {
        let pause = self.shared.options.pause_after(tries);
        if pause.is_zero() {
            return std::future::ready(()).boxed();
        }
        let jittered = pause.mul_f64(0.5 + self.shared.entropy.below(1000) as f64 / 1000.0);
        self.shared.clock.sleep(jittered)
    }

    fn put(&mut self, slot: Slot, tries: u32) {
        let Some(flight) = self.flights.get(&slot) else { return };
        self.shared.metrics.creates.inc();
        let (store, name) = (Arc::clone(&self.shared.store), self.shared.identity.chain.slot(slot));
        let (parts, pause) = (flight.encoded.parts.clone(), self.pause(tries));
        self.requests.push(
            async move {
                pause.await;
                let answer = match store.put(&name, parts).await {
                    Ok(()) => PutAnswer::Created,
                    Err(StoreError::Exists(_)) => PutAnswer::Exists,
                    Err(error) => {
                        tracing::debug!(slot, %error, "a create has no known outcome");
                        PutAnswer::Unknown
                    }
                };
                WriterEvent::Answered(slot, answer)
            }
            .boxed(),
        );
    }

    fn read_back(&mut self, slot: Slot, tries: u32) {
        let Some(flight) = self.flights.get(&slot) else { return };
        self.shared.metrics.read_backs.inc();
        let (store, name) = (Arc::clone(&self.shared.store), self.shared.identity.chain.slot(slot));
        let (sent, pause) = (flight.encoded.head, self.pause(tries));
        self.requests.push(
            async move {
                pause.await;
                let read: Result<Bytes, StoreError> = store.get(&name, 0..GLANCE).await;
                WriterEvent::Read(slot, judge::own(&sent, &read))
            }
            .boxed(),
        );
    }

    fn durable(&mut self, below: Slot, now: Duration) {
        let mut reported = Vec::new();
        let mut permits = Vec::new();
        {
            let mut state = self.shared.state.lock();
            while let Some(entry) = self.flights.first_entry().filter(|entry| *entry.key() < below) {
                let flight = entry.remove();
                let (head, uploaded) = (flight.encoded.head, flight.uploaded.unwrap_or(now));
                let metrics = &self.shared.metrics;
                metrics.upload_seconds.observe(uploaded.saturating_sub(flight.sent).as_secs_f64());
                metrics.order_seconds.observe(now.saturating_sub(uploaded).as_secs_f64());
                let mut at = head.front_len();
                let mut places = Vec::with_capacity(flight.frames.len());
                for frame in flight.frames {
                    let length = frame.records.len();
                    metrics.queued_bytes.dec_by(length as i64);
                    places.push((at as u32, crc32c::crc32c(&frame.records)));
                    reported.push(DurableFrame { frame, position: WalPosition(head.position.0 + at as u64) });
                    at += length;
                }
                state.place(Place { head, frames: places });
                self.shared.durable_end.store(head.end().0, Ordering::Release);
                permits.extend(flight.permits);
            }
        }
        let end = WalPosition(self.shared.durable_end.load(Ordering::Acquire));
        let options = &self.shared.options;
        if end.0.saturating_sub(self.flushable.0) >= options.stretch
            || below.saturating_sub(self.flushable_slot) >= options.stretch_slots
        {
            (self.flushable, self.flushable_slot) = (end, below);
            self.shared.flushable_end.store(end.0, Ordering::Release);
        }
        self.shared.sink.durable(reported);
        drop(permits);
    }

    fn end(&mut self, ending: Ending) {
        let chain = self.shared.identity.chain;
        let why = match ending {
            Ending::Expired(slot) => {
                let seconds = self.shared.options.budget.as_secs_f64();
                format!("{} was not durable after {seconds} s", chain.slot(slot))
            }
            Ending::Sealed(slot) => {
                format!("{} holds a seal: this broker was taken for dead", chain.slot(slot))
            }
            Ending::Taken(slot) => format!("{} holds another process's data", chain.slot(slot)),
            Ending::Alarm(slot) => {
                tracing::error!(
                    object = chain.slot(slot),
                    "an object of this chain holds bytes that were never sent"
                );
                format!("{} holds bytes that were never sent", chain.slot(slot))
            }
        };
        *self.shared.ending.lock() = Some(ending);
        self.fail(&why);
    }

    fn fail(&mut self, why: &str) {
        let error = WalError::Poisoned(why.into());
        let waiting: VecDeque<Queued> = {
            let mut state = self.shared.state.lock();
            if state.failure.is_some() {
                return;
            }
            state.failure = Some(error.clone());
            state.abandoned = true;
            state.clear()
        };
        self.shared.metrics.poisoned.set(1);
        self.shared.metrics.queued_bytes.set(0);
        self.requests.clear();
        self.shared.sink.poisoned(&error);
        self.flights.clear();
        drop(waiting);
    }

    /// Mutants only: other bytes, or none, for a slot that was sent before.
    fn tamper(&mut self, slot: Slot) {
        let Some(flight) = self.flights.get_mut(&slot) else { return };
        let head = flight.encoded.head;
        let frames: Vec<Frame> = match self.shared.options.sabotage {
            Sabotage::VoidSlot => Vec::new(),
            // The same places in the log, other bytes.
            _ => flight.frames.iter().map(other_bytes).collect(),
        };
        if let Ok(encoded) = encode_data(head.identity, slot, head.position, head.durable, &frames) {
            flight.encoded = encoded;
            flight.frames = frames;
        }
    }
}

fn other_bytes(frame: &Frame) -> Frame {
    let mut records = frame.records.to_vec();
    records.extend_from_slice(&[0xff; ENTRY_LEN]);
    Frame { header: frame.header, records: records.into() }
}
