//! Lists: search, exceptions, changes, sources, the state's hashes, checkpoints.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;
use serde::Deserialize;
use waybill_types::TimestampMs;

use super::ask::{MomentParams, etag, respond, with_snapshot};
use super::track::{Names, day, subject, when};
use super::{App, ChangeBody, CountsBody, ExceptionBody, Problem, SearchItem, SourceDetail, StateBody};
use crate::model::change::Change;
use crate::model::time::{When, instant_text};
use crate::query::{QueryError, Question, lists, settle};

/// Items given when `limit` does not say.
const DEFAULT_LIMIT: usize = 50;

/// Changes given when `limit` does not say.
const DEFAULT_CHANGES: usize = 200;

/// Parameters of `GET /v1/search`.
#[derive(Debug, Deserialize)]
pub(crate) struct SearchParams {
    #[serde(default)]
    q: String,
    limit: Option<String>,
    #[serde(flatten)]
    moment: MomentParams,
}

pub(super) fn limit(text: Option<&str>, default: usize) -> Result<usize, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(default) };
    text.parse().map_err(|_| {
        Problem::new(400, format!("limit='{text}' is not a number")).hint("for example limit=50")
    })
}

/// The JSON form of a hit.
pub(crate) fn item(hit: &lists::Hit) -> SearchItem {
    SearchItem {
        id: hit.answer.subject.id.clone(),
        kind: hit.answer.subject.kind.name().to_owned(),
        state: hit.answer.state.name().to_owned(),
        matched: hit.matched.clone(),
        promised: day(hit.answer.promised),
        delivered: day(hit.answer.delivered),
        days_late: hit.answer.days_late,
    }
}

/// Ids, references, names and places that match: exact ids first, then prefixes, then text.
#[utoipa::path(
    get,
    path = "/v1/search",
    params(
        ("q" = String, Query, description = "An id, its beginning, or words"),
        ("limit" = Option<usize>, Query, description = "At most this many, 50 when left out"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 instant, day, frontier:TOKEN or checkpoint:NAME"),
        ("at" = Option<String>, Query, description = "What was true then, as known at as_of"),
    ),
    responses((status = 200, body = [SearchItem]), (status = 400, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn search(
    State(app): State<App>,
    Query(params): Query<SearchParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let question = params.moment.question()?;
    let limit = limit(params.limit.as_deref(), DEFAULT_LIMIT)?;
    let stale = app.progress.freshness(app.clock.monotonic()).stale;
    let (items, tag) = with_snapshot(&app, move |read, now| {
        let (settled, hits) = lists::search(read, &question, &params.q, limit, now)?;
        Ok((hits.iter().map(item).collect::<Vec<_>>(), etag(&settled, stale)))
    })
    .await?;
    Ok(respond(&headers, &tag, &items))
}

/// Exceptions given when `limit` does not say.
const DEFAULT_EXCEPTIONS: usize = 200;

/// Parameters of `GET /v1/exceptions`.
#[derive(Debug, Deserialize)]
pub(crate) struct ExceptionParams {
    limit: Option<String>,
    after: Option<String>,
    #[serde(flatten)]
    moment: MomentParams,
}

/// What needs a decision, oldest due first: one line for a rule and a subject. Header `link` names the next page (RFC
/// 8288) while there is one.
#[utoipa::path(
    get,
    path = "/v1/exceptions",
    params(
        ("limit" = Option<usize>, Query, description = "At most this many, 200 when left out, 1,000 at most"),
        ("after" = Option<String>, Query, description = "Where an earlier page ended, as its link says"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 instant, day, frontier:TOKEN or checkpoint:NAME"),
        ("at" = Option<String>, Query, description = "What was true then, as known at as_of"),
    ),
    responses((status = 200, body = [ExceptionBody]), (status = 400, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn exceptions(
    State(app): State<App>,
    Query(params): Query<ExceptionParams>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let question = params.moment.question()?;
    let limit = limit(params.limit.as_deref(), DEFAULT_EXCEPTIONS)?;
    let after = params.after.as_deref().filter(|text| !text.is_empty()).map(str::parse::<lists::Cursor>);
    let after = after.transpose().map_err(|fault| {
        Problem::new(400, format!("after: {fault}")).hint("take it from the link of the page before")
    })?;
    let (progress, monotonic) = (app.progress.clone(), app.clock.monotonic());
    let (items, tag, next) = with_snapshot(&app, move |read, now| {
        let (settled, page) = lists::exceptions_page(read, &question, after, limit, now)?;
        let names = Names::load(&progress, monotonic, read).map_err(QueryError::from)?;
        let tag = etag(&settled, names.freshness().stale);
        let items: Vec<ExceptionBody> =
            page.found.iter().map(|exception| names.exception(exception)).collect();
        Ok((items, tag, page.next))
    })
    .await?;
    let mut response = respond(&headers, &tag, &items);
    if let Some(next) = next {
        let kept = uri.query().unwrap_or_default().split('&');
        let kept: String = kept
            .filter(|pair| !pair.is_empty() && !pair.starts_with("after="))
            .map(|pair| format!("{pair}&"))
            .collect();
        let link = format!("</v1/exceptions?{kept}after={next}>; rel=\"next\"");
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// Parameters of `GET /v1/changes`.
#[derive(Debug, Deserialize)]
pub(crate) struct ChangesParams {
    since: Option<String>,
    limit: Option<String>,
    #[serde(flatten)]
    moment: MomentParams,
}

/// The JSON form of a change.
pub(crate) fn change(change: &Change, names: &Names) -> ChangeBody {
    ChangeBody {
        subject: subject(&change.subject),
        what: change.what.to_owned(),
        old: change.old.clone(),
        new: change.new.clone(),
        event_time: when(change.happened),
        record_time: instant_text(change.told),
        evidence: change.evidence.as_ref().map(|at| names.evidence(at)),
    }
}

/// What changed after a moment, by record time, newest first.
#[utoipa::path(
    get,
    path = "/v1/changes",
    params(
        ("since" = Option<String>, Query, description = "RFC 3339 instant or day; from the beginning when left out"),
        ("limit" = Option<usize>, Query, description = "At most this many, 200 when left out"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 instant, day, frontier:TOKEN or checkpoint:NAME"),
    ),
    responses((status = 200, body = [ChangeBody]), (status = 400, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn changes(
    State(app): State<App>,
    Query(params): Query<ChangesParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let question = params.moment.question()?;
    let limit = limit(params.limit.as_deref(), DEFAULT_CHANGES)?;
    let since = match params.since.as_deref() {
        None | Some("") => TimestampMs(i64::MIN),
        Some(text) => When::parse(text)
            .ok_or_else(|| {
                Problem::new(400, format!("since='{text}' is not a moment")).hint("for example 2015-03-31")
            })?
            .start(),
    };
    let (progress, monotonic) = (app.progress.clone(), app.clock.monotonic());
    let (items, tag) = with_snapshot(&app, move |read, now| {
        let (settled, found) = lists::changes(read, &question, since, limit, now)?;
        let names = Names::load(&progress, monotonic, read).map_err(QueryError::from)?;
        let tag = etag(&settled, names.freshness().stale);
        Ok((found.iter().map(|each| change(each, &names)).collect::<Vec<_>>(), tag))
    })
    .await?;
    Ok(respond(&headers, &tag, &items))
}

/// The sources and how far each was read.
#[utoipa::path(get, path = "/v1/sources", responses((status = 200, body = [SourceDetail])))]
pub(crate) async fn sources(State(app): State<App>) -> axum::Json<Vec<SourceDetail>> {
    let sources = app.progress.sources().into_iter().map(|source| SourceDetail {
        topic: source.name,
        topic_id: source.topic.to_string(),
        mapping: source.mapping.as_ref().map(|mapping| mapping.name().to_owned()),
        last_record_time: source.last_record_time.map(instant_text),
        behind: source.behind,
        stopped: source.stopped,
    });
    axum::Json(sources.collect())
}

/// The state's hashes, frontier and counts. Reads everything: for checks, not for polling.
#[utoipa::path(get, path = "/v1/state", responses((status = 200, body = StateBody)))]
pub(crate) async fn state(State(app): State<App>) -> Result<axum::Json<StateBody>, Problem> {
    let (progress, monotonic, view) = (app.progress.clone(), app.clock.monotonic(), app.view.to_string());
    let body = with_snapshot(&app, move |read, now| {
        let names = Names::load(&progress, monotonic, read).map_err(QueryError::from)?;
        let settled = settle(read, &Question::now(), now)?;
        let hashes = read.hashes().map_err(QueryError::from)?;
        let counts = read.counts().map_err(QueryError::from)?;
        Ok(StateBody {
            view,
            content_hash: hashes.content_hash,
            log_hash: hashes.log_hash,
            facts: hashes.facts,
            tellings: hashes.tellings,
            frontier: names.frontier(&settled),
            counts: counts
                .into_iter()
                .map(|counts| CountsBody {
                    conserved: counts.is_conserved(),
                    partition: counts.partition.get(),
                    taken: counts.taken,
                    projected: counts.projected,
                    held: counts.held,
                    quarantined: counts.quarantined,
                    repaired: counts.repaired,
                    discarded: counts.discarded,
                    topic: counts.topic_name,
                })
                .collect(),
        })
    })
    .await?;
    Ok(axum::Json(body))
}
