//! Events for the demo: some weeks of past, then a live stream, from a seed.
//!
//! Pure: no clock, no I/O, no chance but the one passed in. The same seed and start give the same records. Shapes
//! are those of `waybill_visibility::mapping::events`; places are real, everything else is invented.
//!
//! The faults are part of the point. Shares of the stream: [`DUPLICATES`], [`LATE`], [`DISORDER`], [`MALFORMED`].

mod faults;
mod leg;
mod live;
mod plan;
mod prng;
mod story;
#[cfg(test)]
mod tests;
mod world;

use faults::Faults;
use live::{Live, Travelling};
use plan::{DAY, HOUR, Pace, Told};
pub(crate) use prng::Prng;
use std::collections::{BTreeMap, VecDeque};
pub(crate) use story::Highlights;
use waybill_types::TimestampMs;
use waybill_visibility::mapping::events::{Body, EVENTS, Place};

/// Topics that the stream goes to.
pub(crate) const TOPICS: [&str; 4] = ["orders", "shipments", "scans", "telemetry"];

/// Share of records that tell again, byte for byte, what another told.
pub(crate) const DUPLICATES: f64 = 0.02;
/// Share of departures, arrivals, deliveries and scans that are told more than a day after they happened.
pub(crate) const LATE: f64 = 0.04;
/// Share of records that come behind others that were told later.
pub(crate) const DISORDER: f64 = 0.015;
/// Share of records that can not be read: cut off, of wrong type, empty, not JSON.
pub(crate) const MALFORMED: f64 = 0.005;

/// What a run of the demo is made from, besides its seed.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where the past ends and the live stream begins.
    pub(crate) start: TimestampMs,
    /// Records a second of the live stream.
    pub(crate) rate: f64,
    /// Orders in the past.
    pub(crate) orders: u32,
    /// Days of past.
    pub(crate) days: u32,
}

impl Settings {
    /// Ten weeks of past with 320 orders, some five thousand records.
    #[must_use]
    pub(crate) const fn new(start: TimestampMs, rate: f64) -> Self {
        Self { start, rate, orders: 320, days: 70 }
    }
}

/// One record to produce.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    /// Topic, one of [`TOPICS`].
    pub(crate) topic: &'static str,
    /// Key: what the record is about, so that its records keep their order.
    pub(crate) key: Vec<u8>,
    /// Headers by name.
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    /// Value: JSON, unless it is one of the malformed.
    pub(crate) value: Vec<u8>,
    /// Record time: when the source told it. Not after the live stream's own time, so a caller that keeps time
    /// sends a live record when its clock reaches this.
    pub(crate) timestamp_ms: i64,
}

/// The stream: an iterator without an end, the past first.
pub(crate) struct Generator {
    past: VecDeque<Record>,
    live: Live,
    highlights: Highlights,
}

impl Generator {
    /// Lays out the world: its past, and what is still to come.
    #[must_use]
    pub(crate) fn new(settings: &Settings, rng: &Prng) -> Self {
        let start = settings.start.get();
        let mut chance = rng.fork(0);
        let (mut told, highlights) = story::order(&mut chance, 0, start);
        for number in 1..=u64::from(settings.orders.max(1)) {
            let (placed, pace) = placing(&mut chance, settings);
            told.extend(plan::order(&mut chance, number, placed, pace));
        }
        // A stable sort: what is told at the same moment keeps the order in which it happened.
        told.sort_by_key(|t| t.told);
        let split = told.partition_point(|t| t.told <= start);
        let ahead = told.split_off(split);
        let mut past = VecDeque::with_capacity(told.len() + told.len() / 20);
        let mut faults = Faults::new(rng.fork(1), 6 * HOUR);
        for one in &told {
            faults.feed(encode(one), &mut past);
        }
        faults.release(start, &mut past);
        let travelling = travelling(&told);
        let live = Live::new(settings, rng.fork(3), u64::from(settings.orders.max(1)), ahead, travelling);
        Self { past, live, highlights }
    }

    /// Records of the past that are still to come; after them the live stream begins.
    #[must_use]
    pub(crate) fn past_left(&self) -> usize {
        self.past.len()
    }

    /// What to look at.
    #[must_use]
    pub(crate) const fn highlights(&self) -> &Highlights {
        &self.highlights
    }
}

impl Iterator for Generator {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        Some(self.past.pop_front().unwrap_or_else(|| self.live.next()))
    }
}

/// When an order is placed, and how it goes. Long orders start early enough for most to end before the start.
fn placing(rng: &mut Prng, settings: &Settings) -> (i64, Pace) {
    let pace = if rng.chance(0.7) { Pace::Long } else { Pace::Local };
    let ago = rng.range(HOUR, i64::from(settings.days.max(1)) * DAY);
    (settings.start.get() - ago, pace)
}

/// Containers that have left and were not yet unpacked, with the last place they were told of.
fn travelling(told: &[Told]) -> Vec<Travelling> {
    let mut ships: BTreeMap<&str, Vec<Travelling>> = BTreeMap::new();
    let mut cool: Vec<&str> = Vec::new();
    for t in told {
        match &t.event.body {
            Body::ShipmentCreated(s) => {
                let one = |c: &String| Travelling {
                    container: c.clone(),
                    cool: false,
                    place: s.origin.clone(),
                    parties: t.event.parties.clone(),
                };
                ships.insert(&s.shipment, s.containers.iter().map(one).collect());
            }
            Body::Departed(d) => see(&mut ships, &d.shipment, &d.place),
            Body::Arrived(a) => see(&mut ships, &a.shipment, &a.place),
            Body::Delivered(d) => {
                ships.remove(d.shipment.as_str());
            }
            Body::Reading(r) => cool.push(&r.container),
            _ => {}
        }
    }
    let mut out: Vec<Travelling> = ships.into_values().flatten().collect();
    for t in &mut out {
        t.cool = cool.contains(&t.container.as_str());
    }
    out
}

fn see(ships: &mut BTreeMap<&str, Vec<Travelling>>, shipment: &str, place: &Place) {
    for t in ships.get_mut(shipment).into_iter().flatten() {
        t.place = place.clone();
    }
}

fn encode(told: &Told) -> Record {
    Record {
        topic: told.topic,
        key: told.key.clone().into_bytes(),
        headers: vec![("waybill-mapping", EVENTS.as_bytes().to_vec())],
        value: serde_json::to_vec(&told.event).expect("an event has only text keys and finite numbers"),
        timestamp_ms: told.told,
    }
}
