//! The timeline: one row per fact, newest told first; told, happened, lag, kind, fact, evidence.

use super::evidence::evidence;
use super::marks::fact_kind;
use super::text::{subject_href, t};
use super::times::{cell, when_cell};
use crate::model::FactKind;
use crate::pages::order::TimelineRow;
use crate::time::{Stamp, When, count, span};
use maud::{Markup, html};

/// Rows shown before one asks for all: keeps a page with thousands of facts readable and small.
pub(crate) const FIRST_ROWS: usize = 40;
/// Rows shown at most; the API has the rest.
pub(crate) const MAX_ROWS: usize = 500;

/// A telling later than this is marked.
const LATE_MS: i64 = 86_400_000;

/// The table. `as_of` of each row's telling is a link: what did we know then?
pub(crate) fn timeline(rows: &[TimelineRow], all: bool, now: Stamp, as_of: Option<Stamp>) -> Markup {
    let shown = if all { MAX_ROWS } else { FIRST_ROWS };
    let rest = rows.len().saturating_sub(shown);
    html! {
        div class="scroll" data-list {
            table class="stack tl" {
                caption class="vh" { "Facts, the newest told first" }
                thead { tr {
                    th scope="col" aria-sort="descending" { "Told ↓" }
                    th scope="col" { "Happened" }
                    th scope="col" class="n" { "Lag" }
                    th scope="col" { "Kind" }
                    th scope="col" { "Fact" }
                    th scope="col" { "Evidence" }
                } }
                tbody { @for r in rows.iter().take(shown) { (row(r, now)) } }
            }
        }
        @if rows.is_empty() { p class="hint pad" { "No fact was known." } }
        @if rest > 0 {
            p class="hint pad" {
                (count(rest as i64, "older fact")) " not shown. "
                @if all { "The API has all of them." }
                @else { a href=(all_href(as_of)) { "Show all" } }
            }
        }
    }
}

fn all_href(as_of: Option<Stamp>) -> String {
    as_of.map_or_else(|| "?rows=all".to_owned(), |s| format!("?rows=all&as_of={}", s.rfc3339()))
}

fn row(r: &TimelineRow, now: Stamp) -> Markup {
    let near = now.day();
    let key = format!("{}/{}/{}", t(&r.evidence.topic), r.evidence.partition, r.evidence.offset);
    html! {
        tr class={ "row" @if r.withdrawn { " struck" } } data-key=(key) data-told=(r.told.0) {
            td class="nw" data-l="told" {
                a class="told" href={ "?as_of=" (r.told.rfc3339()) } data-asof title="What was known then" { (cell(r.told, near)) }
            }
            td class="nw" data-l=(happened_label(r.kind)) {
                @match r.happened { Some(w) => (when_cell(w, near)), None => span class="idle" { "not known" } }
            }
            td class="n" data-l="lag" { (lag(r)) }
            td { (fact_kind(r.kind)) }
            td class="fact" {
                span class="f" { (t(&r.what)) }
                @if r.withdrawn { span class="vh" { " (withdrawn)" } }
                (detail(r))
            }
            td {
                (evidence(&r.evidence))
                @if r.repeats > 0 { span class="m" { "told again " (count(i64::from(r.repeats), "time")) } }
            }
        }
    }
}

fn detail(r: &TimelineRow) -> Markup {
    html! {
        @if r.detail.is_some() || r.subject.is_some() {
            span class="m" {
                @if let Some(d) = &r.detail { (t(d)) @if r.subject.is_some() { ", " } }
                @if let Some(s) = &r.subject { a href=(subject_href(&s.id)) data-open { (t(&s.id)) } }
            }
        }
    }
}

fn happened_label(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Planned => "for",
        FactKind::Estimated => "expected",
        FactKind::Actual | FactKind::Correction | FactKind::Derived => "happened",
    }
}

/// How much later we were told than it happened. Plans and estimates speak of days to come: no lag.
fn lag(r: &TimelineRow) -> Markup {
    let Some(happened) = r.happened.filter(|_| r.kind == FactKind::Actual) else { return html! {} };
    let ms = match happened {
        When::At(s) => r.told.since(s),
        When::On(d) => r.told.day().days_after(d).saturating_mul(LATE_MS),
    };
    html! {
        @if ms < 0 { span class="lagbad" title="Told before it happened" { "told early" } }
        @else if ms >= LATE_MS { span class="lagbad" { (span(ms)) } }
        @else if ms >= 60_000 { span { (span(ms)) } }
    }
}
