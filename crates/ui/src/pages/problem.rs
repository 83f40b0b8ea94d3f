//! A page for what could not be answered: no such subject (404), a bad moment (400).

use crate::model::{Frame, Searched};

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
