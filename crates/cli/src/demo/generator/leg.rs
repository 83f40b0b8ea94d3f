//! The way of one shipment: booked, packed, under way, slipping, measured, unpacked, handed over.

use super::plan::{By, DAY, HOUR, MINUTE, Pace, Plan};
use super::story::Story;
use super::world;
use waybill_types::TimestampMs;
use waybill_visibility::mapping::events::{
    Action, Arrived, Body, Delivered, DeliveredLine, Departed, EstimateChanged, Object, ObjectKind, Place,
    Reading, Scan, ShipmentCreated, ShippedOrder, Withdrawn,
};
use waybill_visibility::model::time::{Day, When};

/// Temperature that cool goods are kept at, and its limits.
const COOL: (f64, f64) = (2.0, 8.0);

/// Where and when pallets are scanned, and what for.
struct Stop<'a> {
    step: &'a str,
    at: i64,
    action: Action,
    parent: Option<Object>,
    place: Place,
    code: String,
}

/// One shipment of an order.
struct Leg {
    id: String,
    lines: Vec<String>,
    /// They are all of the order's.
    whole: bool,
    container: Option<String>,
    pallets: Vec<String>,
    /// Planned departure, and delivery if nothing goes wrong.
    departs: i64,
    arrives: i64,
    due: i64,
    /// How much later everything after departure will be.
    delay: i64,
}

impl Plan<'_> {
    /// Adds an event of a shipment, told by its carrier.
    fn tell_leg(&mut self, leg: &Leg, what: &str, at: i64, lag: i64, body: Body) {
        let carrier = self.carrier();
        let by = By { topic: "shipments", key: &leg.id, source: &carrier };
        self.tell(&by, &format!("{}-{what}", leg.id), at, lag, body);
    }

    /// A shipment's whole way; `story` overrides what chance would decide.
    pub(super) fn ship(&mut self, part: usize, parts: usize, delay: i64, story: Option<&Story>) {
        let leg = self.leg(part, parts, delay);
        self.book(&leg);
        self.pack(&leg);
        self.depart(&leg, story);
        self.slip(&leg, story);
        self.on_the_way(&leg);
        self.arrive(&leg, story);
    }

    fn leg(&mut self, part: usize, parts: usize, delay: i64) -> Leg {
        let half = self.lines.len().div_ceil(parts.max(1));
        let lines: Vec<String> =
            self.lines.iter().skip(part * half).take(half).map(|l| l.line.clone()).collect();
        let serial = self.number * 4 + part as u64;
        let sea_or_air = self.lane.mode != "road";
        let (sail, inland) = self.lane.days;
        let ready = self.rng.range(3, 6) * DAY;
        let ready = self.scaled(ready);
        let departs = self.placed + ready;
        let arrives = departs + self.scaled(sail * DAY).max(self.scaled(DAY));
        let due = arrives + self.scaled(inland.max(1) * DAY) - self.scaled(6 * HOUR);
        let count = if self.pace == Pace::Town { 1 } else { self.rng.range(2, 4) };
        let pallets = (0..count).map(|n| world::sscc(serial * 8 + n.unsigned_abs())).collect();
        Leg {
            id: format!("SHP-{:06}", 200_000 + serial),
            lines,
            whole: parts == 1,
            container: sea_or_air.then(|| world::container(1000 + serial * 7)),
            pallets,
            departs,
            arrives,
            due,
            delay,
        }
    }

    fn book(&mut self, leg: &Leg) {
        let at = self.placed + (leg.departs - self.placed) / 3;
        let body = Body::ShipmentCreated(ShipmentCreated {
            shipment: leg.id.clone(),
            orders: vec![ShippedOrder { order: self.order.clone(), lines: leg.lines.clone() }],
            containers: leg.container.iter().cloned().collect(),
            mode: self.lane.mode.to_owned(),
            carrier: self.lane.carrier.to_owned(),
            origin: self.lane.from.place(),
            destination: self.lane.to.store(),
            planned_departure: Some(When::Instant(TimestampMs(leg.departs))),
            estimated: Some(When::Day(Day::of(TimestampMs(leg.due)))),
        });
        let by = By { topic: "shipments", key: &leg.id, source: "tms" };
        self.tell(&by, &format!("{}-created", leg.id), at, MINUTE / 10, body);
    }

    fn scan(&mut self, leg: &Leg, stop: Stop<'_>) {
        let objects = pallets(leg);
        let key = objects.first().map(|o| o.id.clone()).unwrap_or_default();
        let source = format!("wms-{}", stop.code);
        let (step, at) = (stop.step, stop.at);
        let body = Body::Scan(Scan {
            objects,
            parent: stop.parent,
            action: stop.action,
            biz_step: step.to_owned(),
            disposition: None,
            place: stop.place,
        });
        let lag = self.lag();
        let by = By { topic: "scans", key: &key, source: &source };
        self.tell(&by, &format!("{}-{step}", leg.id), at, lag, body);
    }

    fn pack(&mut self, leg: &Leg) {
        let at = leg.departs - self.scaled(20 * HOUR);
        let parent = match &leg.container {
            Some(id) => Object { kind: ObjectKind::Container, id: id.clone() },
            None => Object { kind: ObjectKind::Shipment, id: leg.id.clone() },
        };
        let (place, code) = (self.lane.from.place(), self.lane.from.code());
        let stop = Stop { step: "packing", at, action: Action::Add, parent: Some(parent), place, code };
        self.scan(leg, stop);
    }

    fn vehicle(&mut self) -> Option<String> {
        let table: &[&str] = match self.lane.mode {
            "sea" => &world::SHIPS,
            "air" => &world::FLIGHTS,
            _ => &world::TRUCKS,
        };
        Some((*self.rng.pick(table)).to_owned())
    }

    fn depart(&mut self, leg: &Leg, story: Option<&Story>) {
        let carrier = self.carrier();
        let vehicle = self.vehicle();
        let place = self.lane.from.place();
        let body = Body::Departed(Departed { shipment: leg.id.clone(), place, vehicle });
        let wrong = story.is_some() || (self.pace == Pace::Long && self.rng.chance(0.03));
        if wrong {
            // Told a day too early, taken back, then told right.
            let early = leg.departs - DAY;
            self.tell_leg(leg, "departed-0", early, 20 * MINUTE, body.clone());
            let taken = Body::Withdrawn(Withdrawn {
                withdraws: format!("{carrier}-{}-departed-0", leg.id),
                reason: Some("rolled to the next sailing".to_owned()),
            });
            self.tell_leg(leg, "withdrawn-0", early + 9 * HOUR, 10 * MINUTE, taken);
        }
        let lag = self.lag();
        self.tell_leg(leg, "departed", leg.departs, lag, body);
    }

    /// The carrier's estimates: each names a part of the delay, later ones more of it.
    fn slip(&mut self, leg: &Leg, story: Option<&Story>) {
        if leg.delay.abs() < DAY {
            return;
        }
        let times = story.map_or_else(|| self.rng.range(1, 4), |s| s.estimates);
        // In town one knows at once that a parcel comes another day.
        let way = if self.pace == Pace::Town { leg.due } else { leg.arrives + leg.delay.max(0) / 2 };
        let span = (way - leg.departs).max(1);
        for n in 1..=times {
            let at = leg.departs + span * n / (times + 1) + self.rng.range(0, self.scaled(8 * HOUR).max(1));
            let day = Day::of(TimestampMs(leg.due + leg.delay * n / times));
            let reason = Some((*self.rng.pick(&world::SLIPS)).to_owned());
            let body = Body::EstimateChanged(EstimateChanged {
                shipment: leg.id.clone(),
                estimated: When::Day(day),
                reason,
            });
            self.tell_leg(leg, &format!("estimate-{n}"), at, MINUTE, body);
        }
    }

    fn on_the_way(&mut self, leg: &Leg) {
        if let Some(via) = &self.lane.via {
            let at = leg.departs + (leg.arrives - leg.departs) * 6 / 10;
            let body = Body::Arrived(Arrived { shipment: leg.id.clone(), place: via.place() });
            let lag = self.lag();
            self.tell_leg(leg, "via-in", at, lag, body);
            let vehicle = self.vehicle();
            let body = Body::Departed(Departed { shipment: leg.id.clone(), place: via.place(), vehicle });
            let lag = self.lag();
            self.tell_leg(leg, "via-out", at + 14 * HOUR, lag, body);
        }
        if self.cool
            && let Some(container) = &leg.container
        {
            self.readings(leg, container);
        }
    }

    /// A reading a day on the way; one cool shipment in six has an excursion of some hours.
    fn readings(&mut self, leg: &Leg, container: &str) {
        let end = leg.arrives + leg.delay.max(0);
        let excursion =
            self.rng.chance(1.0 / 6.0).then(|| self.rng.range(leg.departs, end.max(leg.departs + 1)));
        let mut times: Vec<(i64, f64)> = Vec::new();
        let mut at = leg.departs;
        while at < end && times.len() < 45 {
            times.push((at, 4.6 + self.rng.fraction() * 1.2));
            at += DAY;
        }
        for i in 0..6 {
            if let Some(start) = excursion {
                let bump = [2.6, 4.4, 5.3, 4.9, 3.2, 1.4].get(i).copied().unwrap_or(0.0);
                times.push((start + HOUR * (i as i64) / 2, 4.9 + bump));
            }
        }
        times.sort_by_key(|t| t.0);
        for (n, (at, celsius)) in times.into_iter().enumerate() {
            let body = reading(container, celsius, None);
            let by = By { topic: "telemetry", key: container, source: "logger" };
            self.tell(&by, &format!("{}-{n}", leg.id), at, MINUTE / 2, body);
        }
    }

    fn arrive(&mut self, leg: &Leg, story: Option<&Story>) {
        let at = leg.arrives + leg.delay * 8 / 10;
        let body = Body::Arrived(Arrived { shipment: leg.id.clone(), place: self.lane.port.place() });
        let lag = self.lag();
        self.tell_leg(leg, "arrived", at, lag, body);
        let delivered = leg.due + leg.delay;
        let (place, code) = (self.lane.to.store(), self.lane.to.code());
        let unpacked = delivered - self.scaled(3 * HOUR).min((delivered - at) / 2);
        let parent = leg.container.clone().map(|id| Object { kind: ObjectKind::Container, id });
        let action = if parent.is_some() { Action::Delete } else { Action::Observe };
        let stop = Stop { step: "receiving", at: unpacked, action, parent, place: place.clone(), code };
        self.scan(leg, stop);
        let lag = story.map_or_else(|| self.lag(), |s| s.delivery_lag);
        let line = |l: &String| DeliveredLine { order: self.order.clone(), line: l.clone(), quantity: None };
        let lines = if leg.whole { Vec::new() } else { leg.lines.iter().map(line).collect() };
        let signed_by = Some(
            (*self.rng.pick(&["A. Banda", "J. Mwangi", "K. Mensah", "S. Okafor", "T. Nkosi"])).to_owned(),
        );
        let body = Body::Delivered(Delivered { shipment: leg.id.clone(), place, lines, signed_by });
        self.tell_leg(leg, "delivered", delivered, lag, body);
    }
}

fn pallets(leg: &Leg) -> Vec<Object> {
    leg.pallets.iter().map(|id| Object { kind: ObjectKind::Pallet, id: id.clone() }).collect()
}

/// A logger's reading, rounded to a tenth of a degree.
pub(super) fn reading(container: &str, celsius: f64, place: Option<Place>) -> Body {
    Body::Reading(Reading {
        container: container.to_owned(),
        temperature_c: (celsius * 10.0).round() / 10.0,
        low_c: Some(COOL.0),
        high_c: Some(COOL.1),
        place,
    })
}
