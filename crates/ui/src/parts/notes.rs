//! Notes beside the answer: conflicts, what is incomplete, exceptions.

use super::evidence::evidence;
use super::text::t;
use super::times::moment;
use crate::pages::order::{Conflict, ExceptionRow, Incomplete};
use crate::time::{Stamp, count, span};
use maud::{Markup, html};

/// Sources that disagree: each claim with its record; the one that the answer uses is named.
pub(crate) fn conflict(c: &Conflict) -> Markup {
    html! {
        div class="note risk" {
            b { (t(&c.about)) }
            ul {
                @for claim in &c.claims {
                    li {
                        (t(&claim.source)) " says " b { (t(&claim.says)) }
                        ", told " (moment(claim.told)) @if claim.used { "; the answer uses this" } ". "
                        (evidence(&claim.evidence))
                    }
                }
            }
        }
    }
}

/// Why the answer may still change.
pub(crate) fn incomplete(reasons: &[Incomplete], now: Stamp) -> Markup {
    html! {
        div #incomplete class="note risk wide" {
            b { "This answer may change. " }
            @for (i, r) in reasons.iter().enumerate() {
                @if i > 0 { " " }
                (reason(r, now))
            }
        }
    }
}

fn reason(r: &Incomplete, now: Stamp) -> Markup {
    match r {
        Incomplete::Held { count: n, topic } => {
            let n = i64::try_from(*n).unwrap_or(i64::MAX);
            html! { (count(n, "record")) " of " (t(topic)) @if n == 1 { " waits" } @else { " wait" } " behind a quarantined one." }
        }
        Incomplete::Silent { topic, since: Some(s) } => {
            html! { (t(topic)) " has been silent for " (span(now.since(*s))) "." }
        }
        Incomplete::Silent { topic, since: None } => html! { (t(topic)) " has never been heard." },
        Incomplete::ProvableSince { topic, since } => {
            html! { "History of " (t(topic)) " is kept since " (moment(*since)) "; what came before can not be proved." }
        }
        Incomplete::Bounded { subjects } => {
            html! { "Links were followed to " (count(i64::try_from(*subjects).unwrap_or(i64::MAX), "subject")) " and no further." }
        }
    }
}

/// Exceptions raised about the subject.
pub(crate) fn exceptions(rows: &[ExceptionRow]) -> Markup {
    html! {
        @for x in rows {
            div class="note late" {
                b { (t(&x.what)) }
                div class="hint" {
                    "rule " (t(&x.rule))
                    @if let Some(s) = x.since { ", since " (moment(s)) }
                    @if let Some(e) = &x.evidence { ", " (evidence(e)) }
                }
            }
        }
    }
}
