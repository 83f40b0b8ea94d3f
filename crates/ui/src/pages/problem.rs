//! A page for what could not be answered: no such subject (404), a bad moment (400).

use crate::model::{Frame, Searched};
use crate::parts::frame::{self, Page, Place};
use crate::parts::not_found::searched;
use crate::parts::text::t;
use maud::html;

/// No subject has the id that was asked for.
#[derive(Clone, Debug)]
pub struct NotFoundView {
    /// Freshness and clock.
    pub frame: Frame,
    /// What was asked for.
    pub id: String,
    /// What was looked in.
    pub searched: Searched,
}

/// The question could not be understood or answered; the fields of `application/problem+json`.
#[derive(Clone, Debug)]
pub struct ProblemView {
    /// Freshness and clock.
    pub frame: Frame,
    /// HTTP status.
    pub status: u16,
    /// What went wrong, one sentence.
    pub title: String,
    /// What was wrong with it, if there is more to say.
    pub detail: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

/// The page of an id that nothing has.
pub fn not_found(v: &NotFoundView) -> String {
    let main = html! {
        main #main class="page" data-page="not-found" {
            h1 { "Not found" }
            (searched(&v.searched, &format!("No order, shipment or unit is called “{}”.", t(&v.id))))
        }
    };
    frame::document(&Page { frame: &v.frame, place: Place::Neither, title: "Not found", main })
}

/// The page of a question that could not be answered.
pub fn problem(v: &ProblemView) -> String {
    let main = html! {
        main #main class="page" data-page="problem" {
            h1 { (t(&v.title)) }
            div class="note late" {
                @if let Some(d) = &v.detail { p { (t(d)) } }
                @if let Some(h) = &v.hint { p { (t(h)) } }
                p class="hint" { "status " (v.status) }
            }
            p class="pad" { a href="/" { "To the search page" } }
        }
    };
    frame::document(&Page { frame: &v.frame, place: Place::Neither, title: &v.title, main })
}
