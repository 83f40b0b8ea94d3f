//! Order: is it late, and what did we know? `/orders/{id}`, for any kind of subject.

use crate::model::{Answer, Evidence, FactKind, Frame, State, Subject};
use crate::parts::asof::{Strip, strip};
use crate::parts::condition::condition;
use crate::parts::facts::{capital, six, then_now};
use crate::parts::frame::{self, Page, Place};
use crate::parts::links::links;
use crate::parts::marks::fact_kind;
use crate::parts::notes::{conflict, exceptions, incomplete};
use crate::parts::sentence::sentence;
use crate::parts::slip::{Chart, chart};
use crate::parts::text::t;
use crate::parts::timeline::timeline;
use crate::parts::times::moment_exact;
use crate::time::{Day, Stamp, When, count};
use maud::{Markup, html};

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

/// The whole page.
pub fn document(v: &OrderView) -> String {
    frame::document(&page(v))
}

/// What a script swaps in.
pub fn fragment(v: &OrderView) -> String {
    frame::fragment(&page(v))
}

impl OrderView {
    /// The moment the page speaks of.
    fn at(&self) -> Stamp {
        self.moment.as_of.unwrap_or(self.frame.now)
    }

    /// Delivered whole or cancelled, as known now: the chart's frame ends there.
    fn closed_now(&self) -> bool {
        let now = self.answer_now.as_ref().unwrap_or(&self.answer);
        matches!(now.state, State::Delivered | State::Cancelled)
    }
}

fn page(v: &OrderView) -> Page<'_> {
    let past = v.moment.as_of.is_some();
    let main = html! {
        main #main class="page" data-page="order" data-past[past] data-state=(state_name(v.answer.state)) {
            (head(v))
            p #answer class="answer" aria-live="polite" { (sentence(&v.answer, &v.subject.kind, v.at(), past)) }
            @if v.frame.freshness.stale && !past { (stale(v)) }
            (six(&v.answer, v.at()))
            (strip(&Strip { moment: &v.moment, now: v.frame.now, ticks: &v.ticks, known: v.answer.facts }))
            @if let Some(now) = &v.answer_now { (then_now(&v.answer, now, v.at(), v.frame.now)) }
            @if !v.incomplete.is_empty() { (incomplete(&v.incomplete, v.frame.now)) }
            div #cols class="cols" data-group {
                div #left data-group { (slip_section(v)) (timeline_section(v)) }
                div #right data-group { (side(v)) }
            }
            (hints())
        }
    };
    Page { frame: &v.frame, place: Place::Order, title: &v.subject.id, main }
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Ordered => "ordered",
        State::InTransit => "in_transit",
        State::PartiallyDelivered => "partially_delivered",
        State::Delivered => "delivered",
        State::Cancelled => "cancelled",
        State::Unknown => "unknown",
    }
}

fn head(v: &OrderView) -> Markup {
    let title = match &v.title {
        Some(words) => t(words),
        None => capital(&t(&v.subject.kind)),
    };
    html! {
        div #head class="head" {
            h1 { (t(&v.subject.id)) span class="sub" { (title) } }
            div class="acts" {
                a class="btn opt" href={ "?as_of=" (v.at().rfc3339()) } data-copy { "Link to this moment" }
            }
        }
    }
}

fn stale(v: &OrderView) -> Markup {
    let lag = v.frame.freshness.lag_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0);
    let read = Stamp(v.frame.now.0.saturating_sub(lag));
    html! {
        p #stale class="stale-cap" {
            "Read up to " (moment_exact(read)) ". Newer records may exist; this answer does not rest on them."
        }
    }
}

fn slip_section(v: &OrderView) -> Markup {
    let closed =
        v.closed_now() && v.moment.as_of.is_none_or(|at| v.slip.deliveries.iter().all(|p| p.told <= at));
    let body = chart(&Chart {
        slip: &v.slip,
        at: v.at(),
        past: v.moment.as_of.is_some(),
        closed,
        frame_closed: v.closed_now(),
    });
    html! {
        section #slip class="sec" {
            header {
                h2 { "Promise and estimate" }
                span class="hint" { "across: when we were told; up: the day of delivery" }
                span class="sp" {}
                span class="hint legend" {
                    (fact_kind(FactKind::Planned)) (fact_kind(FactKind::Estimated))
                    span class="ok" { (fact_kind(FactKind::Actual)) }
                }
            }
            (body)
        }
    }
}

fn timeline_section(v: &OrderView) -> Markup {
    html! {
        section #timeline class="sec" {
            header { h2 { "Timeline" } span class="hint" { "every row ends in its record of the log" } }
            (timeline(&v.timeline, v.all_rows, v.frame.now, v.moment.as_of))
        }
    }
}

fn side(v: &OrderView) -> Markup {
    html! {
        @if !v.exceptions.is_empty() {
            section #exceptions class="sec" {
                header { h2 { "Needs attention" } span class="hint" { (count(v.exceptions.len() as i64, "rule")) } }
                (exceptions(&v.exceptions))
            }
        }
        section #links class="sec" {
            header { h2 { "What holds what" } span class="hint" { "links last for an interval" } }
            @if v.links.is_empty() { p class="hint pad" { "No link to another subject is known." } }
            @else { (links(&v.links, &v.subject, v.frame.now.day())) }
        }
        @if !v.conflicts.is_empty() {
            section #conflicts class="sec" {
                header { h2 { "Sources disagree" } span class="hint" { (v.conflicts.len()) " open" } }
                @for c in &v.conflicts { (conflict(c)) }
            }
        }
        @for (i, c) in v.condition.iter().enumerate() {
            section id={ "condition-" (i) } class="sec" {
                header { h2 { (t(&c.name)) ", " (t(&c.subject.id)) } (limits(c)) }
                (condition(c))
            }
        }
        @if !v.references.is_empty() {
            section #references class="sec" {
                header { h2 { "References" } }
                dl class="kv" { @for (label, value) in &v.references { dt { (capital(&t(label))) } dd { (t(value)) } } }
            }
        }
    }
}

fn limits(c: &Condition) -> Markup {
    let unit = t(&c.unit);
    html! {
        span class="hint" {
            @match (c.low, c.high) {
                (Some(l), Some(h)) => { "limit " (l) " to " (h) " " (unit) },
                (None, Some(h)) => { "limit " (h) " " (unit) },
                (Some(l), None) => { "not below " (l) " " (unit) },
                (None, None) => "no limit agreed",
            }
        }
    }
}

fn hints() -> Markup {
    html! {
        p #hints class="keys" {
            span { kbd { "[" } " " kbd { "]" } " previous, next fact" } span { kbd { "Esc" } " now" }
            span { kbd { "j" } " " kbd { "k" } " move in the timeline" } span { kbd { "?" } " all keys" }
        }
    }
}
