//! The as-of strip: one tick per record, a slider over them, steps from record to record.
//!
//! Without script the steps and the "told" cells of the timeline are links that carry `as_of`; with script
//! the same links are fetched in place and the slider works.

use super::axis::{Axis, pct, time_labels};
use super::times::{moment, moment_exact};
use crate::pages::order::{Moment, Tick};
use crate::time::{Stamp, count};
use maud::{Markup, html};

/// Ticks that the page carries for stepping, either side of the moment.
const STEPS_EACH_SIDE: usize = 250;
/// Two ticks nearer than this (per cent of the strip) are drawn as one.
const MERGE_PCT: f64 = 0.12;

/// What the strip needs to know.
pub(crate) struct Strip<'a> {
    pub(crate) moment: &'a Moment,
    pub(crate) now: Stamp,
    pub(crate) ticks: &'a [Tick],
    /// Facts known at the moment.
    pub(crate) known: u32,
}

/// The strip; when the moment is past, with the band that says so.
pub(crate) fn strip(s: &Strip<'_>) -> Markup {
    let mut times: Vec<Stamp> = s.ticks.iter().map(|t| t.told).collect();
    times.sort_unstable();
    times.dedup();
    let axis = axis(&times, s.now);
    let at = s.moment.as_of;
    let (previous, next) = neighbours(&times, at);
    html! {
        div #strip class="strip" {
            div class="asof" {
                (label(s))
                div class="rule" {
                    (rug(axis, s.ticks))
                    (range(s, axis, &times))
                    (labels(axis, &times, s.now))
                }
                div class="seg" role="group" aria-label="Step from record to record" {
                    (step("asof-prev", "‹ fact", "Previous fact", previous))
                    (step("asof-next", "fact ›", "Next fact", next))
                }
            }
            @if let Some(at) = at { (band(s, at)) }
        }
    }
}

/// Where a step leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    At(Stamp),
    Now,
}

impl Step {
    fn href(self) -> String {
        match self {
            Step::At(s) => format!("?as_of={}", s.rfc3339()),
            Step::Now => "?".to_owned(),
        }
    }
}

fn step(id: &str, words: &str, name: &str, to: Option<Step>) -> Markup {
    html! {
        @match to {
            Some(s) => a id=(id) href=(s.href()) data-asof aria-label=(name) { (words) },
            None => span id=(id) class="off" aria-hidden="true" { (words) },
        }
    }
}

fn label(s: &Strip<'_>) -> Markup {
    html! {
        div #asof-label class="lab" {
            @match s.moment.as_of {
                None => {
                    b { "As of now" } ", " (moment(s.now))
                    span { (count(i64::from(s.known), "fact")) ", all known" }
                },
                Some(at) => {
                    b class="pastc" { "As of " (moment_exact(at)) }
                    span { (s.known) " of " (count(i64::from(s.moment.facts_total), "fact")) " known then" }
                },
            }
        }
    }
}

/// First record to now. Where the last record lies far back, the axis ends a little after it and its end
/// still means now; else old orders would show all their records as one line.
fn axis(times: &[Stamp], now: Stamp) -> Axis {
    let first = times.first().copied().unwrap_or(now);
    let last = times.last().copied().unwrap_or(now);
    let span = last.since(first).max(86_400_000);
    let end = if now.since(last) > span / 2 { Stamp(last.0 + span / 6) } else { now };
    Axis { from: first.0 - span / 40, to: end.0.max(first.0 + 1000) }
}

fn rug(axis: Axis, ticks: &[Tick]) -> Markup {
    let mut sorted: Vec<(f64, bool)> = ticks.iter().map(|t| (axis.at(t.told.0), t.actual)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut marks: Vec<(f64, bool)> = Vec::new();
    for (x, actual) in sorted {
        match marks.last_mut() {
            Some(last) if x - last.0 < MERGE_PCT => last.1 |= actual,
            _ => marks.push((x, actual)),
        }
    }
    html! {
        div class="rug" aria-hidden="true" {
            @for (x, actual) in marks { i class=[actual.then_some("a")] style={ "left:" (pct(x)) } {} }
        }
    }
}

fn range(s: &Strip<'_>, axis: Axis, times: &[Stamp]) -> Markup {
    let value = s.moment.as_of.map_or(axis.to, |t| t.0.clamp(axis.from, axis.to));
    let spoken = match s.moment.as_of {
        None => format!("now, {} known", count(i64::from(s.known), "fact")),
        Some(t) => format!("{}, {} known", moment_exact(t), count(i64::from(s.known), "fact")),
    };
    let middle = s.moment.as_of.map_or(times.len(), |t| times.partition_point(|x| *x <= t));
    let from = middle.saturating_sub(STEPS_EACH_SIDE);
    let steps: Vec<String> =
        times.iter().skip(from).take(2 * STEPS_EACH_SIDE).map(|t| t.0.to_string()).collect();
    html! {
        label class="vh" for="asof" { "As of" }
        input #asof type="range" min=(axis.from) max=(axis.to) step="1000" value=(value)
            aria-valuetext=(spoken) data-at=[s.moment.as_of.map(|t| t.0)] data-steps=(steps.join(" "));
    }
}

fn labels(axis: Axis, times: &[Stamp], now: Stamp) -> Markup {
    let gap = axis.to < now.0;
    let end = if gap { format!("now, {} on", years(now.since(Stamp(axis.to)))) } else { "now".to_owned() };
    let room = if gap { 86.0 } else { 93.0 };
    html! {
        div class="ticks" aria-hidden="true" {
            @if !times.is_empty() {
                @for (at, words) in time_labels(axis, 8) {
                    @let x = axis.at(at.0);
                    @if x > 3.0 && x < room { span style={ "left:" (pct(x)) } { (words) } }
                }
            }
            span class="end" { (end) }
        }
    }
}

fn years(ms: i64) -> String {
    let days = ms / 86_400_000;
    match days {
        d if d >= 730 => format!("{} years", d / 365),
        d if d >= 60 => format!("{} months", d / 30),
        d => count(d, "day"),
    }
}

/// The records before and after the moment. The last record is what now shows, so the step back from now
/// leads to the one before it, and the step to it is the step to now.
fn neighbours(times: &[Stamp], at: Option<Stamp>) -> (Option<Step>, Option<Step>) {
    let get = |i: usize| times.get(i).copied().map(Step::At);
    match at {
        None => (times.len().checked_sub(2).and_then(get), None),
        Some(t) => {
            let before = times.partition_point(|x| *x < t);
            let after = times.partition_point(|x| *x <= t);
            let next = if after + 1 < times.len() { get(after) } else { Some(Step::Now) };
            (before.checked_sub(1).and_then(get), next)
        }
    }
}

fn band(s: &Strip<'_>, at: Stamp) -> Markup {
    let later = i64::from(s.moment.facts_total.saturating_sub(s.known));
    html! {
        div class="pastbar" role="status" {
            b { "This is the past." }
            span {
                "The page shows what was known at " (moment_exact(at)) ". "
                @if later == 0 { "Nothing was told since." }
                @else if later == 1 { "1 fact came later and is hidden." }
                @else { (count(later, "fact")) " came later and are hidden." }
                @if !s.moment.is_final { " A source has not spoken past this moment yet, so the answer may still change." }
                @if s.moment.revised > 0 {
                    " " (count(i64::from(s.moment.revised), "later fact")) " revised an answer that was final."
                }
            }
            span { a href="?" data-asof data-now { "Return to now" } " " span class="hint" { kbd { "Esc" } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_go_from_record_to_record() {
        let t = [Stamp(10), Stamp(20), Stamp(30)];
        let at = |n| Some(Step::At(Stamp(n)));
        assert_eq!(neighbours(&t, None), (at(20), None));
        assert_eq!(neighbours(&t, Some(Stamp(20))), (at(10), Some(Step::Now)));
        assert_eq!(neighbours(&t, Some(Stamp(15))), (at(10), at(20)));
        assert_eq!(neighbours(&t, Some(Stamp(30))), (at(20), Some(Step::Now)));
        assert_eq!(neighbours(&t, Some(Stamp(5))), (None, at(10)));
        assert_eq!(neighbours(&[], None), (None, None));
        assert_eq!(neighbours(&[Stamp(1)], None), (None, None));
    }

    #[test]
    fn old_orders_keep_their_records_apart() {
        let day = 86_400_000;
        let times = [Stamp(0), Stamp(30 * day)];
        let a = axis(&times, Stamp(4000 * day));
        assert!(a.at(30 * day) > 80.0);
        let b = axis(&times, Stamp(31 * day));
        assert_eq!(b.to, 31 * day);
    }
}
