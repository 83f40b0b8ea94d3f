//! Order: is it late, and what did we know? `/orders/{id}`, for any kind of subject.

use crate::model::{Answer, Evidence, FactKind, Frame, Subject};
use crate::time::{Day, Stamp, When};

/// Everything the Order page shows.
///
/// Fields that hold "what is known" (`answer`, `timeline`, `links`, `conflicts`, `condition`, …) hold what was
/// known at `moment.as_of`; `ticks` and `slip` hold everything known now, because the strip and the chart
/// show where later records lie (the page hides what they say).
#[derive(Clone, Debug)]
pub struct OrderView {
    /// Freshness and clock.
    pub frame: Frame,
    /// What the page is about.
    pub subject: Subject,
    /// A few words after the id: product and destination.
    pub title: Option<String>,
    /// The moment the page speaks of.
    pub moment: Moment,
    /// What is said of the subject at that moment.
    pub answer: Answer,
    /// What is said now; given when `moment.as_of` is set.
    pub answer_now: Option<Answer>,
    /// One tick per record that touches the subject, of all time, in any order.
    pub ticks: Vec<Tick>,
    /// Promises, estimates and deliveries, of all time, in any order.
    pub slip: Slip,
    /// Facts known, newest told first.
    pub timeline: Vec<TimelineRow>,
    /// Show every row of the timeline (`?rows=all`), not only the newest.
    pub all_rows: bool,
    /// Links known, of any kind of containment.
    pub links: Vec<LinkRow>,
    /// Open conflicts.
    pub conflicts: Vec<Conflict>,
    /// Why the answer may still change.
    pub incomplete: Vec<Incomplete>,
    /// Condition series (temperature), oldest reading first.
    pub condition: Vec<Condition>,
    /// Exceptions raised about the subject.
    pub exceptions: Vec<ExceptionRow>,
    /// References and attributes, as label and value.
    pub references: Vec<(String, String)>,
}

/// The moment a page speaks of.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The moment asked for; `None` is now.
    pub as_of: Option<Stamp>,
    /// The API's `final`: every contributing source has spoken past `as_of`.
    pub is_final: bool,
    /// Facts known now, of all time.
    pub facts_total: u32,
    /// Facts told later that change an answer which was final.
    pub revised: u32,
}

/// One record on the as-of strip.
#[derive(Clone, Debug)]
pub struct Tick {
    /// When we were told.
    pub told: Stamp,
    /// It told of something that happened (drawn bolder).
    pub actual: bool,
}

/// The three series of the slip chart.
#[derive(Clone, Debug, Default)]
pub struct Slip {
    /// The promise of the whole subject over time.
    pub promises: Vec<SlipPoint>,
    /// The estimate of the whole subject over time.
    pub estimates: Vec<SlipPoint>,
    /// Deliveries of its parts.
    pub deliveries: Vec<SlipPoint>,
}

/// A day of delivery, and when we were told of it.
#[derive(Clone, Debug)]
pub struct SlipPoint {
    /// When we were told.
    pub told: Stamp,
    /// Which day it named.
    pub day: Day,
    /// Which part it speaks of, when not the whole subject.
    pub part: Option<String>,
}

/// One fact.
#[derive(Clone, Debug)]
pub struct TimelineRow {
    /// When we were told (record time).
    pub told: Stamp,
    /// When it happened, or for which day it was planned or expected (event time).
    pub happened: Option<When>,
    /// What kind of statement it is.
    pub kind: FactKind,
    /// The fact, short: "Delivered, 6,322 kits".
    pub what: String,
    /// Where, who, which part: the second line.
    pub detail: Option<String>,
    /// Other subject that the row is about, when it is not the page's own.
    pub subject: Option<Subject>,
    /// The record that told it.
    pub evidence: Evidence,
    /// More positions that told the same fact again.
    pub repeats: u32,
    /// It was withdrawn by a correction known at this moment: struck through, no longer counted.
    pub withdrawn: bool,
}

/// One subject in another, for an interval.
#[derive(Clone, Debug)]
pub struct LinkRow {
    /// The part.
    pub held: Subject,
    /// What holds it.
    pub holder: Subject,
    /// From when, if known.
    pub from: Option<When>,
    /// Until when; `None` means it still holds.
    pub to: Option<When>,
}

/// Sources that say different things.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// What they differ on, as a question or a short noun phrase.
    pub about: String,
    /// Each claim; the answer uses the first one marked `used`.
    pub claims: Vec<Claim>,
}

/// One side of a conflict.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What it says.
    pub says: String,
    /// Who says so.
    pub source: String,
    /// When we were told.
    pub told: Stamp,
    /// The answer uses this claim.
    pub used: bool,
    /// The record.
    pub evidence: Evidence,
}

/// A reason why an answer may still change, or rests on less than it seems.
#[derive(Clone, Debug)]
pub enum Incomplete {
    /// Records are held behind a quarantined one.
    Held {
        /// How many.
        count: u64,
        /// Of which topic.
        topic: String,
    },
    /// A source has been silent since then.
    Silent {
        /// Its topic.
        topic: String,
        /// Its last record time, or `None` when it never spoke.
        since: Option<Stamp>,
    },
    /// Earlier history of a source is gone.
    ProvableSince {
        /// Its topic.
        topic: String,
        /// The first record time still kept.
        since: Stamp,
    },
    /// Links were followed only up to a bound.
    Bounded {
        /// Subjects looked at.
        subjects: u64,
    },
}

/// A series of condition readings.
#[derive(Clone, Debug)]
pub struct Condition {
    /// What was measured: "Temperature".
    pub name: String,
    /// The subject that carried the sensor.
    pub subject: Subject,
    /// Unit: "°C".
    pub unit: String,
    /// Agreed lower limit.
    pub low: Option<f64>,
    /// Agreed upper limit.
    pub high: Option<f64>,
    /// Readings, oldest first; the page draws at most 240 of them.
    pub readings: Vec<(Stamp, f64)>,
    /// The newest record of the series.
    pub evidence: Option<Evidence>,
}

/// An exception that a rule raised about the subject.
#[derive(Clone, Debug)]
pub struct ExceptionRow {
    /// Rule name, as `GET /v1/exceptions` gives it.
    pub rule: String,
    /// What it means here, in words.
    pub what: String,
    /// Since when.
    pub since: Option<Stamp>,
    /// The record it rests on.
    pub evidence: Option<Evidence>,
}
