//! How an answer stands against its promise at a moment. A pure reading of API fields and the moment: the
//! API's `days_late` where something is delivered, else promise and estimate against the day asked for.

use super::marks::Tone;
use crate::model::{Answer, State};
use crate::time::{Day, count};

/// A tone and words: "20 days late", "on time", "expected 5 days late".
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) tone: Tone,
    pub(crate) words: String,
}

fn standing_of(tone: Tone, words: impl Into<String>) -> Standing {
    Standing { tone, words: words.into() }
}

/// Days that the promise has passed without (whole) delivery; 0 when it has not.
pub(crate) fn overdue(a: &Answer, today: Day) -> i64 {
    match (a.state, a.promised) {
        (State::Delivered | State::Cancelled, _) | (_, None) => 0,
        (_, Some(p)) => today.days_after(p).max(0),
    }
}

/// Days that the estimate lies after the promise; 0 when it does not, or when either is not known.
pub(crate) fn slip(a: &Answer) -> i64 {
    match (a.promised, a.estimated) {
        (Some(p), Some(e)) => e.days_after(p).max(0),
        _ => 0,
    }
}

/// The last estimate has passed and nothing was delivered since.
pub(crate) fn estimate_passed(a: &Answer, today: Day) -> bool {
    !matches!(a.state, State::Delivered | State::Cancelled) && a.estimated.is_some_and(|e| today > e)
}

/// Lateness in words: `20 days late`, `on time`, `3 days early`.
pub(crate) fn lateness(days_late: i64) -> Standing {
    match days_late {
        0 => standing_of(Tone::Ok, "on time"),
        n if n > 0 => standing_of(Tone::Late, format!("{} late", count(n, "day"))),
        n => standing_of(Tone::Ok, format!("{} early", count(-n, "day"))),
    }
}

/// How the answer stands on the day `today`.
pub(crate) fn standing(a: &Answer, today: Day) -> Standing {
    if a.facts == 0 {
        return standing_of(Tone::Idle, "not known");
    }
    match (a.state, a.days_late) {
        (State::Cancelled, _) => return standing_of(Tone::Idle, "cancelled"),
        (State::Delivered, Some(n)) => return lateness(n),
        (State::Delivered, None) => return standing_of(Tone::Ok, "delivered"),
        _ => {}
    }
    let past = overdue(a, today);
    if past > 0 {
        return standing_of(Tone::Late, format!("{} past promise", count(past, "day")));
    }
    let late = slip(a);
    if late > 0 {
        return standing_of(Tone::Risk, format!("expected {} late", count(late, "day")));
    }
    match a.promised {
        Some(p) if p == today => standing_of(Tone::Ok, "due today"),
        Some(_) => standing_of(Tone::Ok, "on time"),
        None => standing_of(Tone::Idle, "no promise"),
    }
}

/// The API's state in words.
pub(crate) fn state_words(state: State) -> &'static str {
    match state {
        State::Ordered => "ordered",
        State::InTransit => "in transit",
        State::PartiallyDelivered => "partly delivered",
        State::Delivered => "delivered",
        State::Cancelled => "cancelled",
        State::Unknown => "state not known",
    }
}
