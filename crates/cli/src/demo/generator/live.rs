//! The stream after the start: what falls due, new orders of the town, readings, and things seen in yards.

use super::faults::Faults;
use super::leg;
use super::plan::{self, DAY, HOUR, MINUTE, Pace, Told};
use super::prng::Prng;
use super::{LATE, Record, Settings, encode};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use waybill_types::TimestampMs;
use waybill_visibility::mapping::events::{Action, Body, Event, Object, ObjectKind, Place, Scan};

/// Share of free slots in which a new order is placed.
const NEW_ORDER: f64 = 0.07;
/// Events waiting to fall due, at most: new orders pause while there are more.
const MAX_PENDING: usize = 50_000;
/// What falls due within this time after the start is told within [`LAPSE_INTO`]: a demo has no two days.
const LAPSE: i64 = 48 * HOUR;
const LAPSE_INTO: i64 = HOUR;
/// Longest time that a record of the live stream stays behind.
const BEHIND: i64 = 20_000;

/// A thing on its way that may be measured or seen.
#[derive(Clone, Debug)]
pub(super) struct Travelling {
    pub(super) container: String,
    pub(super) cool: bool,
    pub(super) place: Place,
    pub(super) parties: Vec<String>,
}

/// The endless part of the stream.
pub(super) struct Live {
    rng: Prng,
    start: i64,
    /// Records a second.
    rate: f64,
    slot: u64,
    number: u64,
    pending: BinaryHeap<Reverse<Due>>,
    sequence: u64,
    travelling: Vec<Travelling>,
    faults: Faults,
    out: VecDeque<Record>,
}

struct Due {
    at: i64,
    sequence: u64,
    told: Told,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl Live {
    /// Starts with what history left to happen.
    pub(super) fn new(
        settings: &Settings,
        rng: Prng,
        number: u64,
        ahead: Vec<Told>,
        travelling: Vec<Travelling>,
    ) -> Self {
        let start = settings.start.get();
        let rate = if settings.rate.is_finite() { settings.rate.max(0.001) } else { 1.0 };
        let faults = Faults::new(rng.fork(2), BEHIND);
        let mut live = Self {
            rng,
            start,
            rate,
            slot: 0,
            number,
            pending: BinaryHeap::new(),
            sequence: 0,
            travelling,
            faults,
            out: VecDeque::new(),
        };
        for told in ahead {
            let after = told.told - start;
            if after < LAPSE {
                live.push(start + after / (LAPSE / LAPSE_INTO), told);
            }
        }
        live
    }

    fn push(&mut self, at: i64, told: Told) {
        self.sequence += 1;
        self.pending.push(Reverse(Due { at, sequence: self.sequence, told }));
    }

    pub(super) fn next(&mut self) -> Record {
        loop {
            if let Some(record) = self.out.pop_front() {
                return record;
            }
            let now = self.start + (self.slot as f64 * 1000.0 / self.rate) as i64;
            self.slot += 1;
            let told = self.due(now).unwrap_or_else(|| self.fill(now));
            self.faults.feed(encode(&told), &mut self.out);
        }
    }

    /// What has fallen due, told now: as long after it happened as it was meant to be.
    fn due(&mut self, now: i64) -> Option<Told> {
        if self.pending.peek().is_none_or(|d| d.0.at > now) {
            return None;
        }
        let mut told = self.pending.pop()?.0.told;
        let lag = told.told - told.event.event_time.get();
        told.event.event_time = TimestampMs(now - lag);
        told.told = now;
        Some(told)
    }

    fn fill(&mut self, now: i64) -> Told {
        if self.pending.len() < MAX_PENDING && self.rng.chance(NEW_ORDER) {
            return self.new_order(now);
        }
        // Half of the traffic is loggers' readings, where anything cool is under way.
        let measure = self.rng.chance(0.5);
        let wanted: Vec<&Travelling> = self.travelling.iter().filter(|t| t.cool || !measure).collect();
        let index = usize::try_from(self.rng.range(0, wanted.len() as i64 - 1)).unwrap_or(0);
        match wanted.get(index).map(|t| (*t).clone()) {
            Some(t) if measure => self.reading(now, &t),
            Some(t) => self.seen(now, &t),
            None => self.new_order(now),
        }
    }

    fn new_order(&mut self, now: i64) -> Told {
        self.number += 1;
        let pace = if self.rng.chance(0.85) { Pace::Town } else { Pace::Long };
        let mut life = plan::order(&mut self.rng, self.number, now, pace).into_iter();
        let first = life.next();
        for told in life.filter(|t| t.told < now + DAY) {
            self.push(told.told, told);
        }
        let mut first = first.expect("a life begins with the order");
        first.told = now;
        first
    }

    fn reading(&mut self, now: i64, t: &Travelling) -> Told {
        let warm = if self.rng.chance(0.01) { 3.5 } else { 0.0 };
        let celsius = 4.4 + self.rng.fraction() * 1.4 + warm;
        let body = leg::reading(&t.container, celsius, Some(t.place.clone()));
        self.told(now, 2_000, "telemetry", &t.container, "logger", t, body)
    }

    fn seen(&mut self, now: i64, t: &Travelling) -> Told {
        let lag = if self.rng.chance(LATE) {
            self.rng.range(25 * HOUR, 5 * DAY)
        } else {
            self.rng.range(5_000, 4 * MINUTE)
        };
        let step = if self.rng.chance(0.6) { "storing" } else { "inspecting" };
        let body = Body::Scan(Scan {
            objects: vec![Object { kind: ObjectKind::Container, id: t.container.clone() }],
            parent: None,
            action: Action::Observe,
            biz_step: step.to_owned(),
            disposition: None,
            place: t.place.clone(),
        });
        self.told(now, lag, "scans", &t.container, "wms-yard", t, body)
    }

    #[expect(clippy::too_many_arguments, reason = "one line a field of what is told")]
    fn told(
        &self,
        now: i64,
        lag: i64,
        topic: &'static str,
        key: &str,
        source: &str,
        t: &Travelling,
        body: Body,
    ) -> Told {
        let event = Event {
            event_id: format!("{source}-live-{}", self.slot),
            event_time: TimestampMs(now - lag),
            source: source.to_owned(),
            parties: t.parties.clone(),
            body,
        };
        Told { told: now, topic, key: key.to_owned(), event }
    }
}
