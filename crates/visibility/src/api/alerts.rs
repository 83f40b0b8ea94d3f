//! Alerts over HTTP: listed, and streamed as server-sent events that go on where a client stopped.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt};
use serde::Deserialize;

use super::lists::limit;
use super::{App, Problem};
use crate::alerts::AlertEvent;
use crate::query::QueryError;
use crate::store::StoreError;

/// Events given when `limit` does not say.
const DEFAULT_LIMIT: usize = 200;

/// Events of one answer, at most.
const MAX_LIMIT: usize = 1_000;

/// How often it is looked for new events.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Parameters of `GET /v1/alerts` and of its stream.
#[derive(Debug, Deserialize)]
pub(crate) struct AlertParams {
    after: Option<String>,
    limit: Option<String>,
}

fn number(text: Option<&str>) -> Result<i64, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(0) };
    text.parse().map_err(|_| {
        Problem::new(400, format!("'{text}' is no number of an event")).hint("take seq of the last one seen")
    })
}

async fn next(app: &App, after: i64, limit: usize) -> Result<Vec<AlertEvent>, Problem> {
    let outbox = Arc::clone(&app.alerts);
    let found = tokio::task::spawn_blocking(move || outbox.events(after, limit)).await;
    let found: Result<_, StoreError> =
        found.map_err(|_| Problem::new(500, "the question failed").hint("see the service's log"))?;
    Ok(found.map_err(QueryError::from)?)
}

/// What began and ended to need a decision, oldest first.
#[utoipa::path(
    get,
    path = "/v1/alerts",
    params(
        ("after" = Option<i64>, Query, description = "Behind this event's seq"),
        ("limit" = Option<usize>, Query, description = "At most this many, 200 when left out, 1,000 at most"),
    ),
    responses((status = 200, body = [AlertEvent]), (status = 400, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Query(params): Query<AlertParams>,
) -> Result<Json<Vec<AlertEvent>>, Problem> {
    let limit = limit(params.limit.as_deref(), DEFAULT_LIMIT)?.min(MAX_LIMIT);
    Ok(Json(next(&app, number(params.after.as_deref())?, limit).await?))
}

/// The same as server-sent events named `opened` and `closed`, with seq as id: a client that comes again with
/// `Last-Event-ID` misses none.
#[utoipa::path(
    get,
    path = "/v1/alerts/stream",
    params(
        ("after" = Option<i64>, Query, description = "Behind this event's seq; the header Last-Event-ID wins"),
        ("Last-Event-ID" = Option<i64>, Header, description = "The last event seen"),
    ),
    responses((status = 200, description = "Events", content_type = "text/event-stream"),
        (status = 400, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn stream(
    State(app): State<App>,
    Query(params): Query<AlertParams>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let after = number(last.or(params.after.as_deref()))?;
    let batches = futures::stream::unfold((app, after), |(app, after)| async move {
        loop {
            let found = next(&app, after, DEFAULT_LIMIT).await.ok()?;
            if let Some(last) = found.last().map(|event| event.seq) {
                return Some((futures::stream::iter(found), (app, last)));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = app.stopping.cancelled() => return None,
            }
        }
    });
    let events = batches.flatten().map(|event| {
        let data = serde_json::to_string(&event).unwrap_or_default();
        Ok(Event::default().id(event.seq.to_string()).event(event.what).data(data))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}
