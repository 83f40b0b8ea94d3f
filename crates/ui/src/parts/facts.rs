//! The six facts under the sentence, and the then/now table of a past moment.

use super::marks::status;
use super::standing::{Standing, estimate_passed, overdue, slip, standing, state_words};
use super::text::t;
use super::times::{day, day_near};
use crate::model::Answer;
use crate::time::{Day, Stamp, count};
use maud::{Markup, html};

/// State, last seen, promise, estimate, delivered, what the answer rests on.
pub(crate) fn six(a: &Answer, at: Stamp) -> Markup {
    let today = at.day();
    let Standing { tone, words } = standing(a, today);
    html! {
        dl #facts class="facts" {
            div { dt { "State" } dd {
                (status(tone, &capital(&words)))
                small { (capital(state_words(a.state))) (first_promise_gap(a, today)) }
            } }
            div { dt { "Last seen" } dd { (last_seen(a, today)) } }
            div { dt { "Promise" } dd data-field="promised" { (promise(a)) } }
            div { dt { "Estimate" } dd data-field="estimated" { (estimate(a, today)) } }
            div { dt { "Delivered" } dd data-field="delivered" { (delivered(a)) } }
            div { dt { "Answer rests on" } dd {
                (count(i64::from(a.facts), "fact")) ", " (count(i64::from(a.sources), "source"))
                small {
                    @if a.conflicts == 0 { "no conflict" } @else { (count(i64::from(a.conflicts), "conflict")) }
                }
            } }
        }
    }
}

fn first_promise_gap(a: &Answer, today: Day) -> Markup {
    let gap = match (a.first_promised, a.promised) {
        (Some(f), Some(p)) if f != p => a.delivered.unwrap_or(today).days_after(f),
        _ => 0,
    };
    html! { @if gap > 0 { ", " (count(gap, "day")) " after first promise" } }
}

fn last_seen(a: &Answer, today: Day) -> Markup {
    match &a.location {
        None => html! { "Not known" small { "no scan known" } },
        Some(l) => html! {
            (t(&l.place))
            small {
                @match (l.seen, &l.source) {
                    (Some(w), Some(s)) => { (day_near(w.day(), today)) ", " (t(s)) },
                    (Some(w), None) => (day_near(w.day(), today)),
                    (None, Some(s)) => (t(s)),
                    (None, None) => "time not known",
                }
            }
        },
    }
}

fn promise(a: &Answer) -> Markup {
    match (a.promised, a.first_promised) {
        (None, _) => html! { "None" small { "no promise is known" } },
        (Some(p), Some(f)) if f != p => html! { (day(p)) small { "first promise " (day(f)) } },
        (Some(p), Some(_)) => html! { (day(p)) small { "as first promised" } },
        (Some(p), None) => html! { (day(p)) small { "first promise not known" } },
    }
}

fn estimate(a: &Answer, today: Day) -> Markup {
    let Some(e) = a.estimated else { return html! { "None" small { "no estimate is known" } } };
    let late = slip(a);
    html! {
        (day(e))
        small {
            @if a.delivered.is_some() { "the last one told" }
            @else if estimate_passed(a, today) { "passed, no news" }
            @else if late > 0 { (count(late, "day")) " after promise" }
            @else if a.promised.is_some() { "within promise" }
            @else { "no promise to hold it against" }
        }
    }
}

fn delivered(a: &Answer) -> Markup {
    let parts = a.progress.as_ref().map(|p| (p, count(i64::from(p.total), &t(&p.noun))));
    match (a.delivered, parts) {
        (Some(d), parts) => html! {
            (day(d))
            small {
                @if let Some(n) = a.days_late {
                    span data-field="days_late" data-value=(n) { (super::standing::lateness(n).words) }
                } @else { "lateness not known" }
                @if let Some((_, total)) = parts.filter(|(p, _)| p.total > 1) { ", all of " (total) }
            }
        },
        (None, Some((p, total))) => html! {
            (p.done) " of " (total)
            small {
                @match a.days_late {
                    Some(n) => span data-field="days_late" data-value=(n) { (super::standing::lateness(n).words) },
                    None => "not all delivered",
                }
            }
        },
        (None, None) => html! { "Not yet" small { "no delivery known" } },
    }
}

/// What the answer said then, and says now.
pub(crate) fn then_now(then: &Answer, now: &Answer, at: Stamp, today: Stamp) -> Markup {
    let rows = [
        ("Against the promise", against(then, at.day()), against(now, today.day())),
        ("Promise", day_or(then.promised), day_or(now.promised)),
        ("Estimate", day_or(then.estimated), day_or(now.estimated)),
        ("Delivered", delivered_words(then), delivered_words(now)),
        ("Last seen", place(then), place(now)),
    ];
    html! {
        div #thennow class="thennow" {
            table {
                caption class="vh" { "The answer then and now" }
                thead { tr { th scope="col" { "The answer" } th scope="col" { "said then" } th scope="col" { "says now" } } }
                tbody {
                    @for (label, was, is) in rows {
                        tr {
                            th scope="row" { (label) }
                            td { (was) }
                            td { @if was == is { span class="same" { "the same" } } @else { (is) } }
                        }
                    }
                }
            }
        }
    }
}

fn against(a: &Answer, today: Day) -> String {
    let s = standing(a, today);
    let late = overdue(a, today);
    if late > 0 { format!("{} past promise", count(late, "day")) } else { s.words }
}

fn day_or(d: Option<Day>) -> String {
    d.map_or_else(|| "none".to_owned(), Day::long)
}

fn delivered_words(a: &Answer) -> String {
    match (a.delivered, &a.progress) {
        (Some(d), _) => d.long(),
        (None, Some(p)) => format!("{} of {}", p.done, count(i64::from(p.total), &t(&p.noun))),
        (None, None) => "not yet".to_owned(),
    }
}

fn place(a: &Answer) -> String {
    a.location.as_ref().map_or_else(|| "not known".to_owned(), |l| t(&l.place))
}

/// First letter in upper case.
pub(crate) fn capital(s: &str) -> String {
    let mut chars = s.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
