//! Open orders and their slack: promise to estimate on one time axis with today.

use super::axis::{Axis, pct};
use super::marks::{Tone, glyph, status};
use super::text::{subject_href, t};
use crate::pages::search::DueRow;
use crate::time::{Day, Stamp, count};
use maud::{Markup, html};

/// Days before and after today that the axis shows; what lies beyond is drawn at its edge.
const BEFORE: i64 = 21;
const AFTER: i64 = 28;

/// The table; at most `max` rows.
pub(crate) fn due_table(rows: &[DueRow], max: usize, now: Stamp) -> Markup {
    let today = now.day();
    html! {
        div class="scroll" data-list {
            table class="stack due" {
                caption class="vh" { "Open orders, least slack first" }
                thead { tr {
                    th scope="col" { "Order" } th scope="col" { "What" } th scope="col" { "Where" }
                    th scope="col" { "Against promise" }
                    th scope="col" { span class="legend" {
                        span class="st" { (glyph("#g-pln")) "promise" }
                        span class="st est" { (glyph("#g-est")) "estimate" }
                        span { "│ today" }
                    } }
                } }
                tbody { @for r in rows.iter().take(max) { (row(r, today)) } }
            }
        }
    }
}

fn row(r: &DueRow, today: Day) -> Markup {
    let (tone, words) = against(r, today);
    html! {
        tr class="row" data-key=(t(&r.id)) {
            td class="nw" {
                a href=(subject_href(&r.id)) data-open { b { (t(&r.id)) } }
                (second(r.part.as_deref()))
            }
            td class="ell" { (r.what.as_deref().map_or_else(|| "not known".to_owned(), t)) (second(r.what_more.as_deref())) }
            td class="pl" { (r.place.as_deref().map_or_else(|| "not known".to_owned(), t)) (second(r.place_more.as_deref())) }
            td class="nw" {
                (status(tone, &words))
                span class="m" { @match r.promised { Some(p) => { "promise " (p.near(today)) }, None => "no promise" } }
            }
            td class="w" { (bar(r, tone, today)) }
        }
    }
}

fn second(words: Option<&str>) -> Markup {
    html! { @if let Some(w) = words { span class="m" { (t(w)) } } }
}

fn against(r: &DueRow, today: Day) -> (Tone, String) {
    match (r.promised, r.estimated) {
        (Some(p), _) if today > p => (Tone::Late, format!("{} past", count(today.days_after(p), "day"))),
        (Some(p), Some(e)) if e > p => (Tone::Risk, format!("{} after", count(e.days_after(p), "day"))),
        (Some(p), _) if p == today => (Tone::Ok, "due today".to_owned()),
        (Some(_), _) => (Tone::Ok, "on time".to_owned()),
        (None, _) => (Tone::Idle, "no promise".to_owned()),
    }
}

fn bar(r: &DueRow, tone: Tone, today: Day) -> Markup {
    let axis = Axis { from: today.0 - BEFORE, to: today.0 + AFTER };
    let x = |d: Day| axis.at(d.0).clamp(0.0, 100.0);
    let spoken = match (r.promised, r.estimated) {
        (Some(p), Some(e)) => format!("promise {}, estimate {}", p.near(today), e.near(today)),
        (Some(p), None) => format!("promise {}, no estimate", p.near(today)),
        (None, Some(e)) => format!("no promise, estimate {}", e.near(today)),
        (None, None) => "no promise, no estimate".to_owned(),
    };
    // Without an estimate a late order runs from its promise to today.
    let to = r.estimated.or(r.promised.filter(|p| today > *p).map(|_| today));
    html! {
        div class="slack" role="img" aria-label=(spoken) {
            i class="now" style={ "left:" (pct(x(today))) } {}
            @if let (Some(p), Some(e)) = (r.promised, to) {
                @let (a, b) = (x(p).min(x(e)), x(p).max(x(e)));
                i class={ "run " (tone.class()) } style={ "left:" (pct(a)) ";width:" (pct(b - a)) } {}
            }
            @if let Some(p) = r.promised { i class="s" style={ "left:" (pct(x(p))) } {} }
            @if let Some(e) = r.estimated { i class="o" style={ "left:" (pct(x(e))) } {} }
        }
    }
}
