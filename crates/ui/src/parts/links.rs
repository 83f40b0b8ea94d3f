//! What holds what: the graph, and the same as a table with intervals.

use super::graph::graph;
use super::text::{subject_href, t};
use super::times::when_line;
use crate::model::Subject;
use crate::pages::order::LinkRow;
use crate::time::Day;
use maud::{Markup, html};

/// Rows of the table at most.
const MAX_ROWS: usize = 120;

/// Graph and table.
pub(crate) fn links(links: &[LinkRow], own: &Subject, near: Day) -> Markup {
    html! {
        (graph(links, own))
        details #links-table {
            summary { "As a table, with intervals" }
            div class="scroll" {
                table {
                    thead { tr {
                        th scope="col" { "Held" } th scope="col" { "In" }
                        th scope="col" { "From" } th scope="col" { "To" }
                    } }
                    tbody {
                        @for l in links.iter().take(MAX_ROWS) {
                            tr {
                                td { (subject(&l.held, own)) }
                                td { (subject(&l.holder, own)) }
                                td class="nw" { @match l.from { Some(w) => (when_line(w, near)), None => "not known" } }
                                td class="nw" { @match l.to { Some(w) => (when_line(w, near)), None => "holds" } }
                            }
                        }
                    }
                }
            }
            @if links.len() > MAX_ROWS {
                p class="hint pad" { (links.len() - MAX_ROWS) " more links; the API has all of them." }
            }
        }
    }
}

fn subject(s: &Subject, own: &Subject) -> Markup {
    html! {
        @if s == own { (t(&s.id)) } @else { a href=(subject_href(&s.id)) { (t(&s.id)) } }
        span class="m" { (t(&s.kind)) }
    }
}
