//! From a request to a question, and from an answer to a response.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use waybill_security::{Action, OnDenial, Operation, RequestContext};
use waybill_types::TimestampMs;

use super::{App, Problem};
use crate::model::Scope;
use crate::model::digest::hex;
use crate::model::time::{Day, When};
use crate::query::{AsOf, Question, Settled};
use crate::store::Read;

/// The moment of a question, as query parameters.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct MomentParams {
    pub(crate) as_of: Option<String>,
    pub(crate) at: Option<String>,
}

/// A question with what it settled to.
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) settled: Settled,
}

impl MomentParams {
    /// The question these parameters ask.
    pub(crate) fn question(&self) -> Result<Question, Problem> {
        let as_of = match self.as_of.as_deref() {
            None | Some("" | "now") => AsOf::Now,
            Some(text) => parse_as_of(text)?,
        };
        let at = match self.at.as_deref() {
            None | Some("") => None,
            Some(text) => Some(When::parse(text).ok_or_else(|| bad_moment("at", text))?.start()),
        };
        // Everyone on loopback sees everything until parties are tied to principals.
        Ok(Question { scope: Scope::All, as_of, at })
    }
}

fn parse_as_of(text: &str) -> Result<AsOf, Problem> {
    if let Some(token) = text.strip_prefix("frontier:") {
        return token.parse().map(AsOf::Frontier).map_err(|_| bad_moment("as_of", text));
    }
    if let Some(name) = text.strip_prefix("checkpoint:") {
        return Ok(AsOf::Checkpoint(name.to_owned()));
    }
    When::parse(text).map(|when| AsOf::Time(when.start())).ok_or_else(|| bad_moment("as_of", text))
}

fn bad_moment(parameter: &str, text: &str) -> Problem {
    Problem::new(400, format!("{parameter}='{text}' is not a moment")).hint(
        "write an instant as 2015-03-31T12:00:00Z, a day as 2015-03-31, or frontier:TOKEN, checkpoint:NAME",
    )
}

/// Who asks, from where.
pub(crate) fn context(app: &App, peer: Option<SocketAddr>) -> RequestContext {
    let mut context = RequestContext::internal(app.clock.now());
    context.listener = Arc::from("http");
    if let Some(peer) = peer {
        context.peer = peer.ip();
        context.connection = Arc::from(peer.to_string());
    }
    context
}

/// Whether the peer may read the topics on which answers rest: the same question that the Kafka port asks.
pub(crate) fn permit(app: &App, peer: Option<SocketAddr>) -> Result<(), Problem> {
    let context = context(app, peer);
    for source in app.progress.sources() {
        let action = Action::topic(Operation::Read, &source.name);
        if !app.gate.allows(&context, action, OnDenial::Audit) {
            return Err(Problem::new(
                403,
                format!("{} may not read topic {}", context.principal, source.name),
            )
            .hint("answers rest on it; ask for READ on that topic"));
        }
    }
    Ok(())
}

/// Runs a question on a snapshot, away from the async threads.
pub(crate) async fn with_snapshot<T: Send + 'static>(
    app: &App,
    ask: impl FnOnce(&dyn Read, TimestampMs) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let (store, now) = (Arc::clone(&app.store), app.clock.now());
    let task = tokio::task::spawn_blocking(move || {
        let read = store.read().map_err(|fault| Problem::from(crate::query::QueryError::from(fault)))?;
        ask(read.as_ref(), now)
    });
    task.await.map_err(|_| Problem::new(500, "the question failed").hint("see the service's log"))?
}

/// The entity tag of an answer: what was read, as of when, and (without a token) on which day and how fresh.
pub(crate) fn etag(settled: &Settled, stale: bool) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    if settled.is_now {
        // As of now an answer changes with what was read, and with the day, on which promises pass.
        let mut token = settled.token();
        token.time = Day::of(token.time).start();
        hash.update(token.to_string().as_bytes());
    } else {
        hash.update(settled.token().to_string().as_bytes());
    }
    hash.update(settled.moment.at.map_or(i64::MIN, TimestampMs::get).to_be_bytes());
    hash.update([u8::from(stale)]);
    let digest = hash.finalize();
    format!("W/\"{}\"", hex(digest.get(..12).unwrap_or_default()))
}

/// A JSON answer with its tag, or 304 when the client has it.
pub(crate) fn respond<T: serde::Serialize>(headers: &HeaderMap, etag: &str, body: &T) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == etag)) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag.to_owned())]).into_response();
    }
    match serde_json::to_vec(body) {
        Ok(json) => (
            [
                (header::CONTENT_TYPE, "application/json".to_owned()),
                (header::ETAG, etag.to_owned()),
                (header::CACHE_CONTROL, "no-cache".to_owned()),
            ],
            json,
        )
            .into_response(),
        Err(fault) => {
            tracing::error!(error = %fault, "an answer could not be written");
            Problem::new(500, "the answer could not be written").into_response()
        }
    }
}
