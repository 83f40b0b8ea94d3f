//! Refused records over HTTP: listed, shown, repaired, driven again, discarded. Whoever decides needs WRITE on the
//! topic; every decision is audited, and kept with the record.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Query, State};
use serde::Deserialize;
use waybill_security::{
    Action, AuditAction, AuditEvent, OnDenial, Operation, Outcome as Audited, RequestContext, ResourceType,
};
use waybill_types::{Offset, PartitionId};

use super::ask::{context, with_snapshot};
use super::lists::limit;
use super::track::Names;
use super::{App, DecisionBody, HeaderBody, Problem, QuarantineBody, QuarantineDetail, RuledBody};
use crate::ingest::quarantine_key;
use crate::mapping::{Mapping, Record};
use crate::model::time::instant_text;
use crate::query::QueryError;
use crate::store::{Decision, Outcome, QuarantineFilter, QuarantineRow, Read, RowState, Ruled, Ruling};

/// Records given, or driven again at once, when `limit` does not say.
const DEFAULT_LIMIT: usize = 200;

/// Records driven again by one request, at most.
const MAX_REDRIVEN: usize = 10_000;

/// Parameters of `GET /v1/quarantine` and `POST /v1/quarantine/redrive`.
#[derive(Debug, Deserialize)]
pub(crate) struct ListParams {
    pub(crate) topic: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) limit: Option<String>,
    #[serde(default)]
    pub(crate) note: String,
}

/// Parameters of a decision.
#[derive(Debug, Deserialize)]
pub(crate) struct NoteParams {
    #[serde(default)]
    pub(crate) note: String,
}

/// Where a record stands.
type At = Path<(String, i32, i64)>;

fn body(row: &QuarantineRow, names: &Names) -> QuarantineBody {
    QuarantineBody {
        id: quarantine_key(row),
        state: row.state.name().to_owned(),
        evidence: names.evidence(&row.evidence),
        record_time: instant_text(row.evidence.timestamp),
        reason: row.reason.clone(),
        mapping: row.mapping.clone(),
        bytes: row.value.as_ref().map_or(0, Vec::len),
    }
}

/// The states that a word means.
pub(crate) fn states(text: Option<&str>) -> Result<Vec<RowState>, Problem> {
    match text {
        None | Some("") => Ok(vec![RowState::Refused, RowState::Held, RowState::Repairing]),
        Some("all") => Ok(Vec::new()),
        Some(text) => {
            RowState::ALL.into_iter().find(|state| state.name() == text).map(|state| vec![state]).ok_or_else(
                || {
                    Problem::new(400, format!("state='{text}' is not known"))
                        .hint("refused, held, repairing, repaired, discarded or all")
                },
            )
        }
    }
}

/// Refused records, newest first: those that wait for a decision or behind one, unless `state` says otherwise.
#[utoipa::path(
    get,
    path = "/v1/quarantine",
    params(
        ("topic" = Option<String>, Query, description = "Of this topic"),
        ("reason" = Option<String>, Query, description = "Whose reason begins so, as in unsupported_type"),
        ("state" = Option<String>, Query, description = "refused, held, repairing, repaired, discarded or all"),
        ("limit" = Option<usize>, Query, description = "At most this many, 200 when left out"),
    ),
    responses((status = 200, body = [QuarantineBody]), (status = 400, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<Vec<QuarantineBody>>, Problem> {
    let (progress, monotonic) = (app.progress.clone(), app.clock.monotonic());
    let limit = limit(params.limit.as_deref(), DEFAULT_LIMIT)?;
    let states = states(params.state.as_deref())?;
    let filter = QuarantineFilter { topic: params.topic, reason: params.reason, states, at: None };
    let items = with_snapshot(&app, move |read, _| {
        let names = Names::load(&progress, monotonic, read).map_err(QueryError::from)?;
        let rows = read.quarantined(&filter, limit).map_err(QueryError::from)?;
        Ok(rows.iter().map(|row| body(row, &names)).collect())
    })
    .await?;
    Ok(axum::Json(items))
}

/// The record; of topics made again under one name, the one of the newest.
fn find(read: &dyn Read, topic: &str, partition: i32, offset: i64) -> Result<QuarantineRow, Problem> {
    let at = Some((PartitionId(partition), Offset(offset)));
    let filter = QuarantineFilter { topic: Some(topic.to_owned()), at, ..QuarantineFilter::default() };
    let found = read.quarantined(&filter, 1).map_err(QueryError::from)?.pop();
    found.ok_or_else(|| {
        Problem::not_found(format!("record {topic}/{partition}/{offset} is not in quarantine"))
            .hint("it was taken, or driven again; /v1/quarantine?state=all lists what is kept")
    })
}

/// A refused record whole, and what was decided about it.
#[utoipa::path(
    get,
    path = "/v1/quarantine/{topic}/{partition}/{offset}",
    params(("topic" = String, Path), ("partition" = i32, Path), ("offset" = i64, Path)),
    responses((status = 200, body = QuarantineDetail), (status = 404, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn show(
    State(app): State<App>,
    Path((topic, partition, offset)): At,
) -> Result<axum::Json<QuarantineDetail>, Problem> {
    let (progress, monotonic) = (app.progress.clone(), app.clock.monotonic());
    let detail = with_snapshot(&app, move |read, _| {
        let names = Names::load(&progress, monotonic, read).map_err(QueryError::from)?;
        let row = find(read, &topic, partition, offset)?;
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let decisions = read.decisions(&row.id()).map_err(QueryError::from)?;
        Ok(QuarantineDetail {
            record: body(&row, &names),
            key: row.key.as_ref().map(text),
            value: row.value.as_ref().map(text),
            headers: row
                .headers
                .iter()
                .map(|(name, value)| HeaderBody { name: name.clone(), value: value.as_ref().map(text) })
                .collect(),
            decisions: decisions
                .into_iter()
                .map(|each| DecisionBody {
                    at: instant_text(each.at),
                    who: each.who,
                    what: each.what,
                    note: each.note,
                    outcome: each.outcome,
                })
                .collect(),
        })
    })
    .await?;
    Ok(axum::Json(detail))
}

/// Who decides what, of which topic.
struct Decider {
    app: App,
    context: RequestContext,
    what: &'static str,
    note: String,
}

impl Decider {
    fn new(app: App, peer: SocketAddr, what: &'static str, note: String) -> Self {
        let context = context(&app, Some(peer));
        Self { app, context, what, note }
    }

    fn permit(&self, topic: &str) -> Result<(), Problem> {
        if self.app.gate.allows(&self.context, Action::topic(Operation::Write, topic), OnDenial::Audit) {
            return Ok(());
        }
        let title = format!("{} may not write to topic {topic}", self.context.principal);
        Err(Problem::new(403, title).hint("decisions about its records need WRITE on the topic"))
    }

    /// What maps a topic's records now.
    fn mapping(&self, read: &dyn Read, row: &QuarantineRow) -> Result<Mapping, Problem> {
        let live = self.app.progress.sources().into_iter().find(|source| source.topic == row.evidence.topic);
        if let Some(mapping) = live.and_then(|source| source.mapping) {
            return Ok(mapping);
        }
        let sources = read.sources().map_err(QueryError::from)?;
        let name = sources.into_iter().find(|source| source.topic == row.evidence.topic);
        let name = name.map(|source| source.mapping).unwrap_or_default();
        self.app.mappings.find(&name).map_err(|unknown| {
            Problem::new(409, unknown.to_string())
                .hint("start the service with that mapping, by --mapping FILE")
        })
    }

    fn carry_out(&self, rows: &[(QuarantineRow, Decision, Mapping)]) -> Result<Vec<RuledBody>, Problem> {
        let mut bodies = Vec::with_capacity(rows.len());
        for (row, decision, mapping) in rows {
            let ruling = Ruling {
                record: row.id(),
                decision: decision.clone(),
                who: self.context.principal.to_string(),
                at: self.context.received,
                note: self.note.clone(),
            };
            let remap = |record: &Record| outcome(mapping, record);
            let ruled = self.app.store.rule(std::slice::from_ref(&ruling), &remap).map_err(QueryError::from);
            let ruled = ruled?.pop().unwrap_or(Ruled::Unknown);
            let body = RuledBody {
                id: quarantine_key(row),
                done: matches!(ruled, Ruled::Discarded | Ruled::Projected(_) | Ruled::Repairing),
                outcome: ruled.words(),
            };
            self.audit(&row.topic_name, &body);
            bodies.push(body);
        }
        Ok(bodies)
    }

    fn audit(&self, topic: &str, body: &RuledBody) {
        let outcome = if body.done { Audited::Done } else { Audited::Failed(body.outcome.clone()) };
        let event = AuditEvent::of(&self.context, AuditAction::Admin, ResourceType::Topic, topic, outcome);
        let detail = format!("quarantine {} {}: {}; {}", self.what, body.id, body.outcome, self.note);
        self.app.gate.audit().record(event.with_detail(detail));
    }
}

fn outcome(mapping: &Mapping, record: &Record) -> Outcome {
    match mapping.map(record) {
        Ok(facts) => Outcome::Projected(facts),
        Err(refusal) => Outcome::Quarantined(refusal),
    }
}

/// Decides about one record, away from the async threads.
async fn decide_one(
    decider: Decider,
    Path((topic, partition, offset)): At,
    decide: impl FnOnce(&QuarantineRow, &Mapping) -> Result<Decision, Problem> + Send + 'static,
) -> Result<axum::Json<RuledBody>, Problem> {
    decider.permit(&topic)?;
    let app = decider.app.clone();
    let done = with_snapshot(&app, move |read, _| {
        let row = find(read, &topic, partition, offset)?;
        let mapping = decider.mapping(read, &row)?;
        let decision = decide(&row, &mapping)?;
        decider.carry_out(&[(row, decision, mapping)])
    })
    .await?
    .pop();
    let body = done.ok_or_else(|| Problem::new(500, "nothing was decided").hint("see the service's log"))?;
    if body.done {
        return Ok(axum::Json(body));
    }
    Err(Problem::new(409, format!("{} is as it was", body.id)).detail(body.outcome))
}

/// Publishes another value in the place of a refused record, if the mapping takes it. Twice is once.
#[utoipa::path(
    post,
    path = "/v1/quarantine/{topic}/{partition}/{offset}/repair",
    params(("topic" = String, Path), ("partition" = i32, Path), ("offset" = i64, Path), ("note" = Option<String>, Query)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The value, as it should have been"),
    responses((status = 200, body = RuledBody), (status = 409, body = super::ProblemBody, content_type = "application/problem+json"),
        (status = 422, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn repair(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    path: At,
    Query(params): Query<NoteParams>,
    value: Bytes,
) -> Result<axum::Json<RuledBody>, Problem> {
    let decider = Decider::new(app, peer, "repair", params.note);
    decide_one(decider, path, move |row, mapping| {
        let record = Record { value: Some(value.clone()), ..row.record() };
        match mapping.map(&record) {
            Ok(_) => Ok(Decision::Repair(value.to_vec())),
            Err(refusal) => Err(Problem::new(422, "this value would be refused too")
                .detail(refusal.to_string())
                .hint("nothing was published; try it with waybill mapping test")),
        }
    })
    .await
}

/// Maps a refused record again, with the mapping that its topic has now.
#[utoipa::path(
    post,
    path = "/v1/quarantine/{topic}/{partition}/{offset}/redrive",
    params(("topic" = String, Path), ("partition" = i32, Path), ("offset" = i64, Path), ("note" = Option<String>, Query)),
    responses((status = 200, body = RuledBody), (status = 409, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn redrive(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    path: At,
    Query(params): Query<NoteParams>,
) -> Result<axum::Json<RuledBody>, Problem> {
    let decider = Decider::new(app, peer, "redrive", params.note);
    decide_one(decider, path, |row, mapping| Ok(Decision::Redrive(outcome(mapping, &row.record())))).await
}

/// Decides that nothing is to come of a refused record. What waits behind it is released.
#[utoipa::path(
    post,
    path = "/v1/quarantine/{topic}/{partition}/{offset}/discard",
    params(("topic" = String, Path), ("partition" = i32, Path), ("offset" = i64, Path), ("note" = Option<String>, Query)),
    responses((status = 200, body = RuledBody), (status = 409, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn discard(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    path: At,
    Query(params): Query<NoteParams>,
) -> Result<axum::Json<RuledBody>, Problem> {
    let decider = Decider::new(app, peer, "discard", params.note);
    decide_one(decider, path, |_, _| Ok(Decision::Discard)).await
}

/// Maps refused records of a topic again, oldest first: after a mapping was mended.
#[utoipa::path(
    post,
    path = "/v1/quarantine/redrive",
    params(
        ("topic" = String, Query, description = "Of this topic"),
        ("reason" = Option<String>, Query, description = "Whose reason begins so"),
        ("limit" = Option<usize>, Query, description = "At most this many, 200 when left out, 10,000 at most"),
        ("note" = Option<String>, Query),
    ),
    responses((status = 200, body = [RuledBody]), (status = 400, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn redrive_all(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<Vec<RuledBody>>, Problem> {
    let Some(topic) = params.topic.filter(|topic| !topic.is_empty()) else {
        return Err(
            Problem::new(400, "topic is missing").hint("name the topic whose records are driven again")
        );
    };
    let limit = limit(params.limit.as_deref(), DEFAULT_LIMIT)?.min(MAX_REDRIVEN);
    let decider = Decider::new(app.clone(), peer, "redrive", params.note);
    decider.permit(&topic)?;
    let filter = QuarantineFilter {
        topic: Some(topic),
        reason: params.reason,
        states: vec![RowState::Refused],
        at: None,
    };
    let bodies = with_snapshot(&app, move |read, _| {
        let mut rows = read.quarantined(&filter, limit).map_err(QueryError::from)?;
        rows.sort_by_key(|row| row.evidence);
        let mut decided = Vec::with_capacity(rows.len());
        for row in rows {
            let mapping = decider.mapping(read, &row)?;
            let decision = Decision::Redrive(outcome(&mapping, &row.record()));
            decided.push((row, decision, mapping));
        }
        decider.carry_out(&decided)
    })
    .await?;
    Ok(axum::Json(bodies))
}
