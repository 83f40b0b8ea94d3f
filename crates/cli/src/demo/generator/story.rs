//! The order that the demo points at: its promise moves, its estimates slip, a departure is taken back, and its
//! delivery is late and told days later, so that the same question asked as of a day earlier has another answer.

use super::plan::{DAY, HOUR, Pace, Plan, Told};
use super::prng::Prng;
use super::world;
use waybill_types::TimestampMs;

/// What chance does not decide about the order of the story.
pub(super) struct Story {
    /// How often the carrier's estimate changes.
    pub(super) estimates: i64,
    /// How long after the delivery it is told.
    pub(super) delivery_lag: i64,
}

const STORY: Story = Story { estimates: 4, delivery_lag: 5 * DAY + 3 * HOUR };

/// Days from its placing to the start of the demo.
const PLACED_BEFORE: i64 = 46;

/// Things worth looking at in this run of the demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Highlights {
    /// An order that was delivered late, and told later still.
    pub(crate) late_order: String,
    /// When its delivery was told.
    pub(crate) delivery_told: TimestampMs,
    /// A day before that: as of this moment the delivery is not known.
    pub(crate) day_before: TimestampMs,
    /// The shipment it travelled in.
    pub(crate) shipment: String,
    /// The container of that shipment.
    pub(crate) container: String,
}

/// Writes the order's life; it ends days before `start`.
pub(super) fn order(rng: &mut Prng, number: u64, start: i64) -> (Vec<Told>, Highlights) {
    let placed = start - PLACED_BEFORE * DAY;
    // Hamburg to Apapa: the longest of the lanes that end well before the start.
    let lane = world::LANES.get(4).expect("the table has sixteen lanes");
    let mut plan = Plan::new(rng, number, placed, Pace::Long, lane);
    plan.cool();
    // Without the delay the goods come on the 26th to 29th day; with it they miss the second promise as well.
    plan.promise(28);
    plan.place();
    plan.ship(0, 1, 8 * DAY, Some(&STORY));
    plan.move_promise(4 * DAY);
    let delivery =
        plan.out.iter().find(|t| t.event.event_id.ends_with("-delivered")).expect("a shipment is delivered");
    let told = delivery.told;
    let highlights = Highlights {
        late_order: plan.order.clone(),
        delivery_told: TimestampMs(told),
        day_before: TimestampMs(told - DAY),
        shipment: delivery.key.clone(),
        container: plan
            .out
            .iter()
            .find(|t| t.topic == "telemetry")
            .map(|t| t.key.clone())
            .unwrap_or_default(),
    };
    (plan.out, highlights)
}
