//! Errors as `application/problem+json` (RFC 9457), with a hint at what to do next.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::query::QueryError;

/// The body of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ProblemBody {
    /// `about:blank`: the status says what kind of error it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong.
    pub title: String,
    /// What was wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// An error on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(pub ProblemBody);

impl Problem {
    /// An error of that status.
    pub fn new(status: u16, title: impl Into<String>) -> Self {
        Self(ProblemBody { kind: "about:blank", status, title: title.into(), detail: None, hint: None })
    }

    /// 404.
    pub fn not_found(title: impl Into<String>) -> Self {
        Self::new(404, title)
    }

    /// Says what was wrong.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match &error {
            QueryError::Unknown { .. } => Self::new(404, error.to_string())
                .hint("search with /v1/search?q=, or ask as of a later moment"),
            QueryError::BadMoment(_) => Self::new(400, "this moment can not be asked for")
                .detail(error.to_string())
                .hint("as_of takes an RFC 3339 instant, a day, frontier:TOKEN or checkpoint:NAME; at must not be later"),
            QueryError::OtherReading(why) => Self::new(409, "this view can not repeat that answer")
                .detail(format!("what lies below the frontier was read otherwise: {why}"))
                .hint("ask the view that gave it while it is kept: /v1/views lists them, /v1/views/N/track/ID asks one; or rebuild one with those mappings"),
            QueryError::Store(fault) => {
                tracing::error!(error = %fault, "a question failed");
                Self::new(500, "the store failed").hint("see the service's log")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}
