//! The life of one order: what will happen, when, and when it will be told. A pure function of its number, the
//! moment it is placed, and chance.

use super::prng::Prng;
use super::world::{self, Lane};
use waybill_types::TimestampMs;
use waybill_visibility::mapping::events::{
    Body, Event, OrderCancelled, OrderLine, OrderPlaced, PromiseChanged,
};
use waybill_visibility::model::time::Day;

pub(super) const MINUTE: i64 = 60_000;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// An event, and when its source tells it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) told: i64,
    pub(super) topic: &'static str,
    pub(super) key: String,
    pub(super) event: Event,
}

/// How an order goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Across an ocean, or by air: weeks.
    Long,
    /// From a depot by road: days.
    Local,
    /// From a depot to the same town: within the hour.
    Town,
}

/// Everything about one order while its life is being written.
pub(super) struct Plan<'a> {
    pub(super) rng: &'a mut Prng,
    pub(super) order: String,
    pub(super) number: u64,
    pub(super) pace: Pace,
    pub(super) lane: &'static Lane,
    pub(super) customer: &'static str,
    pub(super) supplier: &'static str,
    pub(super) placed: i64,
    pub(super) lines: Vec<OrderLine>,
    pub(super) cool: bool,
    pub(super) promised: Day,
    pub(super) out: Vec<Told>,
}

/// Who tells, and where: topic, record key, source.
pub(super) struct By<'a> {
    pub(super) topic: &'static str,
    pub(super) key: &'a str,
    pub(super) source: &'a str,
}

/// Writes the life of order `number`, placed at `placed`.
pub(super) fn order(rng: &mut Prng, number: u64, placed: i64, pace: Pace) -> Vec<Told> {
    let lane = match pace {
        Pace::Long => rng.pick(&world::LANES),
        Pace::Local | Pace::Town => rng.pick(&world::LOCAL),
    };
    let mut plan = Plan::new(rng, number, placed, pace, lane);
    plan.place();
    if plan.rng.chance(0.03) {
        let at = placed + plan.scaled(2 * DAY);
        plan.cancel(at);
        return plan.out;
    }
    let parts = if plan.lines.len() > 1 && pace == Pace::Long && plan.rng.chance(0.35) { 2 } else { 1 };
    let mut slips = Vec::new();
    for part in 0..parts {
        let delay = plan.delay();
        slips.push(delay);
        plan.ship(part, parts, delay, None);
    }
    let worst = slips.into_iter().max().unwrap_or(0);
    if (worst >= 3 * DAY && plan.rng.chance(0.4)) || plan.rng.chance(0.04) {
        plan.move_promise(worst.max(2 * DAY));
    }
    plan.out
}

impl<'a> Plan<'a> {
    pub(super) fn new(rng: &'a mut Prng, number: u64, placed: i64, pace: Pace, lane: &'static Lane) -> Self {
        let customer = *rng.pick(&world::CUSTOMERS);
        let supplier = *rng.pick(&world::SUPPLIERS);
        let count = if pace == Pace::Town { 1 } else { rng.range(1, 4) };
        let mut lines = Vec::new();
        let mut cool = false;
        for n in 1..=count {
            let product = rng.pick(&world::PRODUCTS);
            cool |= product.3 && pace == Pace::Long;
            lines.push(OrderLine {
                line: n.to_string(),
                product: world::gtin(product.0),
                description: product.1.to_owned(),
                quantity: (rng.range(2, 240) * 10) as f64,
                unit: product.2.to_owned(),
                promised: None,
            });
        }
        let (sail, inland) = lane.days;
        let lead = match pace {
            Pace::Long => (sail + inland + rng.range(4, 7)) * DAY,
            Pace::Local => rng.range(1, 2) * DAY,
            Pace::Town => rng.range(1, 8) * HOUR,
        };
        let promised = Day::of(TimestampMs(placed + lead));
        let order = format!("PO-{:06}", 100_000 + number);
        Self {
            rng,
            order,
            number,
            pace,
            lane,
            customer,
            supplier,
            placed,
            lines,
            cool,
            promised,
            out: Vec::new(),
        }
    }

    /// Makes the goods such that must be kept cool.
    pub(super) fn cool(&mut self) {
        let product = &world::PRODUCTS.get(4).expect("the table has twelve products");
        if let Some(line) = self.lines.first_mut() {
            (line.product, line.description, line.unit) =
                (world::gtin(product.0), product.1.to_owned(), product.2.to_owned());
        }
        self.cool = true;
    }

    /// Promises the order for that many days after its placing.
    pub(super) fn promise(&mut self, days: i64) {
        self.promised = Day::of(TimestampMs(self.placed + days * DAY));
    }

    /// A span of a long order, for this pace.
    pub(super) fn scaled(&self, span: i64) -> i64 {
        match self.pace {
            Pace::Long => span,
            Pace::Local => span / 6,
            Pace::Town => span / 1500,
        }
    }

    /// Most goes as planned; some is early, some slips, a little is stuck for weeks.
    fn delay(&mut self) -> i64 {
        let days = match self.rng.range(0, 99) {
            0..=57 => 0,
            58..=65 => -self.rng.range(1, 3),
            66..=86 => self.rng.range(1, 6),
            87..=96 => self.rng.range(7, 21),
            _ => self.rng.range(40, 60),
        };
        match self.pace {
            Pace::Long => days.max(-self.lane.days.0 / 4) * DAY,
            Pace::Local => days.min(30) * DAY / 3,
            // A parcel that slips comes another day; one that is early comes a little earlier.
            Pace::Town if days > 0 => days.min(4) * DAY,
            Pace::Town => days * MINUTE,
        }
    }

    pub(super) fn parties(&self) -> Vec<String> {
        vec![self.customer.to_owned(), self.supplier.to_owned(), self.lane.carrier.to_owned()]
    }

    pub(super) fn carrier(&self) -> String {
        format!("carrier-{}", self.lane.carrier.split(' ').next().unwrap_or("road").to_lowercase())
    }

    /// Adds an event. `lag` is how long after it happened it is told.
    pub(super) fn tell(&mut self, by: &By<'_>, id: &str, at: i64, lag: i64, body: Body) {
        let event = Event {
            event_id: format!("{}-{id}", by.source),
            event_time: TimestampMs(at),
            source: by.source.to_owned(),
            parties: self.parties(),
            body,
        };
        self.out.push(Told { told: at + lag, topic: by.topic, key: by.key.to_owned(), event });
    }

    /// Adds an event of the order's own.
    fn tell_order(&mut self, what: &str, at: i64, body: Body) {
        let order = self.order.clone();
        let by = By { topic: "orders", key: &order, source: "erp" };
        self.tell(&by, &format!("{order}-{what}"), at, MINUTE / 30, body);
    }

    /// How late a thing that happened is told: minutes as a rule, days in [`super::LATE`] of the cases.
    pub(super) fn lag(&mut self) -> i64 {
        if self.rng.chance(super::LATE) {
            return self.rng.range(25 * HOUR, 9 * DAY);
        }
        let usual = if self.rng.chance(0.15) { self.rng.range(30, 600) } else { self.rng.range(1, 25) };
        self.scaled(usual * MINUTE).max(MINUTE / 20)
    }

    pub(super) fn place(&mut self) {
        let body = Body::OrderPlaced(OrderPlaced {
            order: self.order.clone(),
            customer: self.customer.to_owned(),
            supplier: self.supplier.to_owned(),
            destination: self.lane.to.store(),
            promised: self.promised,
            incoterm: (self.pace == Pace::Long).then(|| (*self.rng.pick(&["FCA", "CIP", "DAP"])).to_owned()),
            lines: self.lines.clone(),
        });
        let placed = self.placed;
        self.tell_order("placed", placed, body);
    }

    fn cancel(&mut self, at: i64) {
        let reason = Some((*self.rng.pick(&world::CANCELS)).to_owned());
        let body = Body::OrderCancelled(OrderCancelled { order: self.order.clone(), reason });
        self.tell_order("cancelled", at, body);
    }

    /// The promise follows, some time on the way, by about as much as the goods slip.
    pub(super) fn move_promise(&mut self, by: i64) {
        let way = self.promised.start().get() - self.placed;
        let at = self.placed + way / 3 + self.rng.range(0, (way / 3).max(0));
        let promised = Day(self.promised.0 + i32::try_from((by / DAY).max(1)).unwrap_or(1));
        let order = self.order.clone();
        let reason = Some((*self.rng.pick(&world::PROMISE_MOVES)).to_owned());
        let body =
            Body::PromiseChanged(PromiseChanged { order: order.clone(), line: None, promised, reason });
        self.tell_order("promise-1", at, body);
    }
}
