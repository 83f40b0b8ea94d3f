//! Views over HTTP: listed, built, compared, promoted, rejected, gone back from. Whoever decides needs ALTER on the
//! service's consumer group; every decision is audited, and kept with the view.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use serde::Deserialize;
use waybill_security::{
    Action, AuditAction, AuditEvent, OnDenial, Operation, Outcome as Audited, RequestContext, ResourceType,
};

use super::ask::{MomentParams, context, with_snapshot};
use super::track::{Names, body as track_body};
use super::{
    App, CheckpointBody, GateBody, Problem, RebuildBody, TrackBody, ViewBody, ViewEventBody, ViewsBody,
};
use crate::model::time::instant_text;
use crate::query::{QueryError, Question, settle, track as ask};
use crate::store::CheckpointRow;
use crate::views::compare::Report;
use crate::views::{RebuildRequest, Stage, Step, ViewError, ViewStatus, Views};

/// Decisions given with the list of views.
const EVENTS: u32 = 100;

/// How often progress is told.
const TOLD_EVERY: Duration = Duration::from_millis(500);

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        let (status, hint) = match &error {
            ViewError::Unknown(_) => (404, "/v1/views lists them"),
            ViewError::BadFrom(_) => (
                400,
                "start, an offset, TOPIC/PARTITION:OFFSET, a time, checkpoint:NAME or mapping:NAME@VERSION",
            ),
            ViewError::BadMapping(_) => (400, "start the service with that mapping, or send its file along"),
            ViewError::OtherReading(_) => (409, "rebuild from start, from an offset or from a time"),
            ViewError::Gone(_) => {
                (409, "rebuild from a later place and keep what the view holds below it, or say without_gone")
            }
            ViewError::Busy(_) | ViewError::NotFor { .. } => (409, "/v1/views says what each is"),
            ViewError::NotReady { .. } => (409, "/v1/views/N/compare says what differs"),
            ViewError::Source(_) => (503, "the brokers do not answer; try again"),
            ViewError::Store(fault) => {
                tracing::error!(error = %fault, "a view failed");
                return Self::new(500, "the store failed").hint("see the service's log");
            }
            ViewError::File(fault) => {
                tracing::error!(error = %fault, "a view's file failed");
                return Self::new(500, "a view's file failed").hint("see the service's log");
            }
        };
        Self::new(status, error.to_string()).hint(hint)
    }
}

/// The JSON form of a view.
fn view_body(status: &ViewStatus, gates: Vec<GateBody>) -> ViewBody {
    let row = &status.row;
    let (taken, reading) = status.pace;
    let rate =
        taken.saturating_mul(1_000).checked_div(u64::try_from(reading.as_millis()).unwrap_or(u64::MAX));
    let rate = rate.unwrap_or(0);
    let sum = |frontier: &crate::model::Frontier| {
        frontier.positions.values().map(|position| position.next.get()).sum::<i64>()
    };
    ViewBody {
        number: row.number,
        state: row.state.name().to_owned(),
        shadow: row.is_shadow,
        stage: status.stage.map(|stage| match stage {
            Stage::Keeping => "keeping".to_owned(),
            Stage::Reading if status.held_for.is_some() => "caught_up".to_owned(),
            Stage::Reading => "reading".to_owned(),
        }),
        from: row.from.clone(),
        base: row.base,
        mappings: row.mappings.iter().map(|(topic, name)| format!("{topic} {name}")).collect(),
        kept: sum(&status.cut),
        next: sum(&status.frontier),
        behind: status.behind,
        taken,
        rate,
        seconds_left: (status.behind > 0).then(|| status.behind.checked_div(rate)).flatten(),
        held_ms: status.held_for.map(|held| u64::try_from(held.as_millis()).unwrap_or(u64::MAX)),
        throttle: row.rate,
        stopped: status.stopped.clone(),
        started: instant_text(row.at),
        started_by: row.who.clone(),
        note: row.note.clone(),
        changed: instant_text(row.changed),
        changed_by: row.changed_by.clone(),
        changed_note: row.changed_note.clone(),
        gates,
    }
}

fn gates(views: &Views, number: u32) -> Result<Vec<GateBody>, ViewError> {
    Ok(views.gates(number)?.into_iter().map(|gate| GateBody { holds: gate.holds, what: gate.what }).collect())
}

/// Runs what blocks, away from the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ViewError> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Problem::from),
        Err(_) => Err(Problem::new(500, "the question failed").hint("see the service's log")),
    }
}

/// Every view, newest first, and what was decided.
#[utoipa::path(get, path = "/v1/views", responses((status = 200, body = ViewsBody)))]
pub(crate) async fn list(State(app): State<App>) -> Result<Json<ViewsBody>, Problem> {
    let body = blocking(move || {
        let views = app.views.statuses()?;
        Ok(ViewsBody {
            serving: app.view_number,
            views: views.iter().map(|status| view_body(status, Vec::new())).collect(),
            decisions: app
                .views
                .events(EVENTS)?
                .into_iter()
                .map(|event| ViewEventBody {
                    view: event.view,
                    what: event.what,
                    at: instant_text(event.step.at),
                    who: event.step.who,
                    note: event.step.note,
                })
                .collect(),
        })
    });
    Ok(Json(body.await?))
}

/// One view, and what must hold before it may serve.
#[utoipa::path(
    get,
    path = "/v1/views/{number}",
    params(("number" = u32, Path)),
    responses((status = 200, body = ViewBody), (status = 404, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn show(State(app): State<App>, Path(number): Path<u32>) -> Result<Json<ViewBody>, Problem> {
    let body = blocking(move || one(&app.views, number));
    Ok(Json(body.await?))
}

fn one(views: &Views, number: u32) -> Result<ViewBody, ViewError> {
    Ok(view_body(&views.status(number)?, gates(views, number)?))
}

/// The view's progress twice a second, as server-sent events, until it is no longer built.
#[utoipa::path(
    get,
    path = "/v1/views/{number}/progress",
    params(("number" = u32, Path)),
    responses((status = 200, description = "Events named view, with the body of /v1/views/{number}", content_type = "text/event-stream"))
)]
pub(crate) async fn progress(
    State(app): State<App>,
    Path(number): Path<u32>,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, Problem> {
    let views = Arc::clone(&app.views);
    blocking(move || views.status(number)).await?;
    let told = futures::stream::unfold((app, false), move |(app, ended)| async move {
        if ended {
            return None;
        }
        let views = Arc::clone(&app.views);
        let body = blocking(move || one(&views, number)).await.ok()?;
        let ended = body.state != "building" || app.stopping.is_cancelled();
        let event = Event::default().event("view").json_data(&body);
        tokio::select! {
            () = tokio::time::sleep(TOLD_EVERY) => {}
            () = app.stopping.cancelled() => {}
        }
        Some((event, (app, ended)))
    });
    Ok(Sse::new(told).keep_alive(KeepAlive::default()))
}

/// What differs between a view and the one that serves, as it was last compared.
#[utoipa::path(
    get,
    path = "/v1/views/{number}/compare",
    params(("number" = u32, Path)),
    responses((status = 200, body = Report), (status = 404, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn report(State(app): State<App>, Path(number): Path<u32>) -> Result<Json<Report>, Problem> {
    let found = blocking(move || app.views.report(number)).await?;
    found.map(Json).ok_or_else(|| {
        Problem::not_found(format!("view {number} was not compared yet"))
            .hint("it is compared once it has caught up; POST here compares it now")
    })
}

/// Compares a view with the one that serves, now.
#[utoipa::path(
    post,
    path = "/v1/views/{number}/compare",
    params(("number" = u32, Path)),
    responses((status = 200, body = Report), (status = 404, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn compare(
    State(app): State<App>,
    Path(number): Path<u32>,
) -> Result<Json<Report>, Problem> {
    Ok(Json(blocking(move || app.views.compare(number)).await?))
}

/// What another view than the serving one says of a subject.
#[utoipa::path(
    get,
    path = "/v1/views/{number}/track/{id}",
    params(
        ("number" = u32, Path),
        ("id" = String, Path),
        ("as_of" = Option<String>, Query, description = "RFC 3339 instant, day, frontier:TOKEN or checkpoint:NAME"),
        ("at" = Option<String>, Query, description = "What was true then, as known at as_of"),
    ),
    responses((status = 200, body = TrackBody), (status = 404, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn track(
    State(app): State<App>,
    Path((number, id)): Path<(u32, String)>,
    Query(moment): Query<MomentParams>,
) -> Result<Json<TrackBody>, Problem> {
    let question = moment.question()?;
    let live = app.views.live(number)?;
    let (store, progress) = (live.store.clone(), live.progress.clone());
    let app = App { store, progress: progress.clone(), ..app };
    let monotonic = app.clock.monotonic();
    let body = with_snapshot(&app, move |read, now| {
        let found = ask::track(read, &question, &id, None, now)?;
        let names = Names::load(&progress, monotonic, read).map_err(QueryError::from)?;
        Ok(track_body(&found, &names))
    });
    Ok(Json(body.await?))
}

/// Who decides about views.
struct Decider {
    app: App,
    context: RequestContext,
    step: Step,
}

impl Decider {
    fn new(app: App, peer: SocketAddr, note: String) -> Result<Self, Problem> {
        let context = context(&app, Some(peer));
        let group = app.group();
        let action = Action::new(Operation::Alter, ResourceType::Group, &group);
        if !app.gate.allows(&context, action, OnDenial::Audit) {
            let title = format!("{} may not decide about views", context.principal);
            return Err(Problem::new(403, title).hint(format!("it needs ALTER on group {group}")));
        }
        let step = Step { at: context.received, who: context.principal.to_string(), note };
        Ok(Self { app, context, step })
    }

    /// Does it, audits how it ended, and answers with the view.
    async fn decide(
        self,
        what: &'static str,
        number: u32,
        work: impl FnOnce(&Arc<Views>, &Step) -> Result<u32, ViewError> + Send + 'static,
    ) -> Result<Json<ViewBody>, Problem> {
        let Self { app, context, step } = self;
        blocking(move || {
            let done = work(&app.views, &step);
            let outcome = match &done {
                Ok(_) => Audited::Done,
                Err(error) => Audited::Failed(error.to_string()),
            };
            let group = app.group();
            let event = AuditEvent::of(&context, AuditAction::Admin, ResourceType::Group, &group, outcome);
            let number = done.as_ref().copied().unwrap_or(number);
            app.gate.audit().record(event.with_detail(format!("view {number} {what}; {}", step.note)));
            one(&app.views, done?)
        })
        .await
        .map(Json)
    }
}

/// Starts to build a view from the log, beside the one that serves.
#[utoipa::path(
    post,
    path = "/v1/rebuild",
    request_body = RebuildBody,
    responses((status = 200, body = ViewBody), (status = 400, body = super::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "History is gone, or one is being built", body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn rebuild(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    asked: axum::body::Bytes,
) -> Result<Json<ViewBody>, Problem> {
    let asked: RebuildBody = serde_json::from_slice(&asked).map_err(|fault| {
        Problem::new(400, "the request can not be read")
            .detail(fault.to_string())
            .hint("{\"from\":\"start\"}")
    })?;
    start(app, peer, asked).await
}

/// Starts what was asked for.
pub(crate) async fn start(app: App, peer: SocketAddr, asked: RebuildBody) -> Result<Json<ViewBody>, Problem> {
    let decider = Decider::new(app, peer, asked.note)?;
    let request = RebuildRequest {
        from: asked.from,
        mappings: asked.mappings,
        files: asked.files,
        is_shadow: asked.shadow,
        rate: asked.rate,
        without_gone: asked.without_gone,
    };
    let what = if request.is_shadow { "shadow" } else { "rebuild" };
    decider.decide(what, 0, move |views, step| views.rebuild(&request, step)).await
}

/// Parameters of decisions about views.
#[derive(Debug, Deserialize)]
pub(crate) struct DecisionParams {
    #[serde(default)]
    pub(crate) note: String,
    #[serde(default)]
    pub(crate) force: bool,
    pub(crate) rate: Option<u32>,
}

/// Lets a view serve in place of the one that does, which is kept to go back to.
#[utoipa::path(
    post,
    path = "/v1/views/{number}/promote",
    params(("number" = u32, Path), ("note" = Option<String>, Query), ("force" = Option<bool>, Query, description = "Also where not every condition holds")),
    responses((status = 200, body = ViewBody), (status = 409, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn promote(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(number): Path<u32>,
    Query(params): Query<DecisionParams>,
) -> Result<Json<ViewBody>, Problem> {
    let decider = Decider::new(app, peer, params.note)?;
    let what = if params.force { "promote by force" } else { "promote" };
    let work =
        move |views: &Arc<Views>, step: &Step| views.promote(number, step, params.force).map(|()| number);
    decider.decide(what, number, work).await
}

/// Decides that a view that is being built will not serve.
#[utoipa::path(
    post,
    path = "/v1/views/{number}/reject",
    params(("number" = u32, Path), ("note" = Option<String>, Query)),
    responses((status = 200, body = ViewBody), (status = 409, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn reject(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(number): Path<u32>,
    Query(params): Query<DecisionParams>,
) -> Result<Json<ViewBody>, Problem> {
    let decider = Decider::new(app, peer, params.note)?;
    decider.decide("reject", number, move |views, step| views.reject(number, step).map(|()| number)).await
}

/// Lets a view serve again that did before.
#[utoipa::path(
    post,
    path = "/v1/views/{number}/rollback",
    params(("number" = u32, Path, description = "The view to go back to"), ("note" = Option<String>, Query)),
    responses((status = 200, body = ViewBody), (status = 409, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn rollback(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(number): Path<u32>,
    Query(params): Query<DecisionParams>,
) -> Result<Json<ViewBody>, Problem> {
    let decider = Decider::new(app, peer, params.note)?;
    decider.decide("rollback", number, move |views, step| views.rollback(number, step).map(|()| number)).await
}

/// Sets how fast a view is built.
#[utoipa::path(
    post,
    path = "/v1/views/{number}/throttle",
    params(("number" = u32, Path), ("rate" = Option<u32>, Query, description = "Records a second at most; left out: half of the time"), ("note" = Option<String>, Query)),
    responses((status = 200, body = ViewBody), (status = 409, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn throttle(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(number): Path<u32>,
    Query(params): Query<DecisionParams>,
) -> Result<Json<ViewBody>, Problem> {
    let decider = Decider::new(app, peer, params.note)?;
    let rate = params.rate.filter(|rate| *rate > 0);
    let work = move |views: &Arc<Views>, step: &Step| views.throttle(number, rate, step).map(|()| number);
    decider.decide("throttle", number, work).await
}

fn checkpoint_body(row: &CheckpointRow) -> CheckpointBody {
    CheckpointBody {
        name: row.name.clone(),
        token: row.token.clone(),
        at: instant_text(row.at),
        who: row.who.clone(),
        mappings: row.mappings.clone(),
        content_hash: row.content_hash.clone(),
        log_hash: row.log_hash.clone(),
    }
}

/// The checkpoints, newest first.
#[utoipa::path(get, path = "/v1/checkpoints", responses((status = 200, body = [CheckpointBody])))]
pub(crate) async fn checkpoints(State(app): State<App>) -> Result<Json<Vec<CheckpointBody>>, Problem> {
    let rows = with_snapshot(&app, |read, _| {
        let rows = read.checkpoints().map_err(QueryError::from)?;
        Ok(rows.iter().map(checkpoint_body).collect::<Vec<_>>())
    });
    Ok(Json(rows.await?))
}

/// Keeps the present frontier under a name for ever, with the mappings that read what lies below and the state's hashes.
/// Reads everything once.
#[utoipa::path(
    put,
    path = "/v1/checkpoints/{name}",
    params(("name" = String, Path, description = "The name")),
    responses((status = 200, body = CheckpointBody), (status = 409, body = super::ProblemBody, content_type = "application/problem+json"))
)]
pub(crate) async fn checkpoint(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(name): Path<String>,
) -> Result<Json<CheckpointBody>, Problem> {
    let Decider { app, context, step } = Decider::new(app, peer, String::new())?;
    let (store, gate, group) = (app.store.clone(), app.gate.clone(), app.group());
    let body = with_snapshot(&app, move |read, now| {
        let settled = settle(read, &Question::now(), now)?;
        let hashes = read.hashes().map_err(QueryError::from)?;
        let sources = read.sources().map_err(QueryError::from)?;
        let row = CheckpointRow {
            name: name.clone(),
            token: settled.token().to_string(),
            at: now,
            who: step.who.clone(),
            mappings: sources.iter().map(|source| format!("{} {}", source.name, source.mapping)).collect(),
            content_hash: hashes.content_hash,
            log_hash: hashes.log_hash,
        };
        let mut told = read.milestones().map_err(QueryError::from)?;
        told.retain(|each| {
            let position = settled.frontier.positions.get(&(each.topic, each.partition));
            position.is_some_and(|position| position.next == each.next)
        });
        if !store.save_checkpoint(&row, &told).map_err(QueryError::from)? {
            return Err(
                Problem::new(409, format!("there is a checkpoint '{name}' already")).hint("use another name")
            );
        }
        let event = AuditEvent::of(&context, AuditAction::Admin, ResourceType::Group, &group, Audited::Done);
        gate.audit().record(event.with_detail(format!("checkpoint {name}")));
        Ok(checkpoint_body(&row))
    })
    .await?;
    Ok(Json(body))
}
