//! The answer as a sentence. Its first clause carries the weight, the rest is what one asks next.

use super::standing::{estimate_passed, overdue, slip};
use super::text::t;
use crate::model::{Answer, State};
use crate::time::{Day, Stamp, count};
use maud::{Markup, html};

/// Lag of a telling, in days, from which on it is worth a clause.
const TOLD_LATE_DAYS: i64 = 1;

/// The sentence about `kind` (an API kind: `order`, `shipment`) as known at `at`; `past` when that is not now.
pub(crate) fn sentence(a: &Answer, kind: &str, at: Stamp, past: bool) -> Markup {
    let today = at.day();
    if a.facts == 0 {
        return html! { em { "Nothing was known of this " (t(kind)) " then." } " Its first record came later." };
    }
    let was = if past { "was" } else { "is" };
    html! {
        (lead(a, today, was))
        @if let Some(n) = told_late(a) { " We were told " (count(n, "day")) " later." }
        @if !matches!(a.state, State::Delivered | State::Cancelled) {
            (place(a, today))
            (estimate(a, today, was))
        }
    }
}

/// A day that does not break over two lines.
fn near(d: Day, today: Day) -> String {
    d.near(today).replace(' ', "\u{a0}")
}

fn lead(a: &Answer, today: Day, was: &str) -> Markup {
    match a.state {
        State::Cancelled => match a.promised {
            Some(p) => html! { em { "Cancelled." } " It was promised for " (near(p, today)) "." },
            None => html! { em { "Cancelled." } },
        },
        State::Delivered => delivered(a, today),
        _ => open(a, today, was),
    }
}

fn delivered(a: &Answer, today: Day) -> Markup {
    let on = a.delivered.map(|d| near(d, today));
    let on = on.as_deref().unwrap_or("a day not known");
    let Some(n) = a.days_late else {
        return html! { em { "Delivered on " (on) }
        @if a.promised.is_none() { "; no promise is known." } @else { "." } };
    };
    let promise = a.promised.map(|p| near(p, today));
    let matches_days = match (a.delivered, a.promised) {
        (Some(d), Some(p)) => d.days_after(p) == n,
        _ => true,
    };
    let of_promise = html! { @if let Some(p) = &promise { "; promised for " (p) } "." };
    match n {
        // The worst part decides the lateness; whole subject and promise may show another difference.
        n if !matches_days && n > 0 => {
            html! { em { "Delivered by " (on) ", the worst part " (count(n, "day")) " late" } (of_promise) }
        }
        _ if !matches_days => html! { em { "Delivered by " (on) ", no part late" } (of_promise) },
        0 => html! { em { "Delivered on the promised day" } ", " (on) "." },
        n if n > 0 => html! { em { "Delivered " (count(n, "day")) " late" } ", on " (on) (of_promise) },
        n => html! { em { "Delivered " (count(-n, "day")) " early" } ", on " (on) (of_promise) },
    }
}

fn open(a: &Answer, today: Day, was: &str) -> Markup {
    let parts = match (&a.progress, a.state) {
        (Some(p), State::PartiallyDelivered) => {
            format!("{} of {} delivered", p.done, count(i64::from(p.total), &t(&p.noun)))
        }
        (_, State::PartiallyDelivered) => "Partly delivered".to_owned(),
        (Some(p), _) if p.total > 1 => {
            format!("None of {} {was} known to be delivered", count(i64::from(p.total), &t(&p.noun)))
        }
        _ => "Not known to be delivered".to_owned(),
    };
    let late = overdue(a, today);
    match (a.promised, a.estimated) {
        (Some(p), _) if late > 0 => {
            html! { em { (parts) ", " (count(late, "day")) " after the promise" } " of " (near(p, today)) "." }
        }
        (Some(p), Some(e)) if slip(a) > 0 => {
            let so_far = if a.state == State::PartiallyDelivered { parts } else { way(a.state).to_owned() };
            html! { em { (so_far) ", and expected " (count(e.days_after(p), "day")) " after the promise" }
            " of " (near(p, today)) "." }
        }
        (Some(p), Some(e)) if a.state != State::PartiallyDelivered => {
            html! { em { "Expected by " (near(e, today)) }
            @if e == p { ", the promised day." } @else { ", within the promise of " (near(p, today)) "." } }
        }
        (Some(p), _) if a.state == State::PartiallyDelivered => {
            html! { em { (parts) } ", the rest promised for " (near(p, today)) "." }
        }
        (Some(p), _) => {
            html! { em { "Promised for " (near(p, today)) } "; " (way(a.state).to_lowercase()) "." }
        }
        (None, Some(e)) => html! { em { "Expected by " (near(e, today)) } "; no promise is known." },
        (None, None) if a.state == State::PartiallyDelivered => {
            html! { em { (parts) } "; no promise is known." }
        }
        (None, None) => html! { em { (way(a.state)) } "; no promise is known." },
    }
}

fn way(state: State) -> &'static str {
    match state {
        State::Ordered => "Not yet shipped",
        State::InTransit => "On its way",
        _ => "Known by name",
    }
}

fn place(a: &Answer, today: Day) -> Markup {
    html! {
        @if let Some(l) = &a.location {
            " Last seen at " (t(&l.place))
            @if let Some(w) = l.seen { " on " (near(w.day(), today)) }
            "."
        }
    }
}

/// The estimate, where the lead has not named it.
fn estimate(a: &Answer, today: Day, was: &str) -> Markup {
    let Some(e) = a.estimated else { return html! {} };
    let late = overdue(a, today) > 0;
    if estimate_passed(a, today) {
        return html! { " The last estimate, " (near(e, today)) ", " (if was == "was" { "had" } else { "has" })
        " passed without news." };
    }
    html! { @if late || slip(a) > 0 { " The estimate " (was) " " (near(e, today)) "." } }
}

fn told_late(a: &Answer) -> Option<i64> {
    let n = a.delivered_told?.day().days_after(a.delivered?);
    (a.state == State::Delivered && n >= TOLD_LATE_DAYS).then_some(n)
}

#[cfg(test)]
#[path = "sentence_tests.rs"]
mod tests;
