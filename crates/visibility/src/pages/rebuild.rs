//! `/rebuild`: views built beside the one that answers; and the forms by which it is decided about them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use waybill_types::TimestampMs;
use waybill_ui::model::{Notice, Subject};
use waybill_ui::pages::rebuild as ui;

use super::convert::{frame, stamp};
use super::form::Fields;
use super::{Page, PageParams, show};
use crate::api::{App, DecisionParams, Names, Problem, views as decide};
use crate::model::time::When;
use crate::query::QueryError;
use crate::store::Read;
use crate::views::compare::Report;
use crate::views::{Stage, ViewState, ViewStatus};

/// Decisions shown.
const DECISIONS: u32 = 20;

/// `GET /rebuild`.
pub(crate) async fn page(
    State(app): State<App>,
    Query(params): Query<PageParams>,
    headers: HeaderMap,
) -> Response {
    answer(app, headers, params.fragment.is_some(), None).await
}

async fn answer(app: App, headers: HeaderMap, fragment: bool, failed: Option<Problem>) -> Response {
    let views = app.clone();
    show(app, headers, None, move |read, names, now| {
        let status = failed.as_ref().map_or(200, |problem| problem.0.status);
        let view = view(&views, read, names, now, failed.as_ref())?;
        let html = if fragment { ui::fragment(&view) } else { ui::document(&view) };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Ok(Page { status, html, etag: None })
    })
    .await
}

/// What a form did: the page again, or the page with why it was not done.
async fn done(app: App, headers: HeaderMap, outcome: Result<(), Problem>) -> Response {
    match outcome {
        Ok(()) => Redirect::to("/rebuild").into_response(),
        Err(problem) => answer(app, headers, false, Some(problem)).await,
    }
}

/// `POST /rebuild`.
pub(crate) async fn begin(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = Fields::read(&body);
    let mut mappings = BTreeMap::new();
    for pair in fields.text("mappings").split([',', ' ']).filter(|pair| !pair.is_empty()) {
        let Some((topic, name)) = pair.split_once('=') else {
            let problem = Problem::new(400, format!("'{pair}' is no mapping of a topic"))
                .hint("write TOPIC=NAME@VERSION, as in orders=orders@6");
            return done(app, headers, Err(problem)).await;
        };
        mappings.insert(topic.to_owned(), name.to_owned());
    }
    let asked = crate::api::RebuildBody {
        from: fields.text("from").trim().to_owned(),
        mappings,
        files: Vec::new(),
        shadow: fields.text("shadow") == "true",
        rate: None,
        without_gone: false,
        note: fields.text("note").to_owned(),
    };
    let outcome = decide::start(app.clone(), peer, asked).await.map(drop);
    done(app, headers, outcome).await
}

/// `POST /rebuild/{number}/{what}`.
pub(crate) async fn act(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((number, what)): Path<(u32, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = Fields::read(&body);
    let params = DecisionParams {
        note: fields.text("note").to_owned(),
        force: false,
        rate: fields.text("rate").parse().ok(),
    };
    let (state, peer, path, query) = (State(app.clone()), ConnectInfo(peer), Path(number), Query(params));
    let outcome = match what.as_str() {
        "promote" => decide::promote(state, peer, path, query).await,
        "reject" => decide::reject(state, peer, path, query).await,
        "rollback" => decide::rollback(state, peer, path, query).await,
        "throttle" => decide::throttle(state, peer, path, query).await,
        _ => Err(Problem::not_found("there is no such decision")),
    };
    done(app, headers, outcome.map(drop)).await
}

fn view(
    app: &App,
    read: &dyn Read,
    names: &Names,
    now: TimestampMs,
    failed: Option<&Problem>,
) -> Result<ui::RebuildView, Problem> {
    let statuses = app.views.statuses()?;
    let of = |state: ViewState| statuses.iter().filter(move |status| status.row.state == state);
    // A rebuild comes before a shadow: it waits for someone.
    let mut building: Vec<&ViewStatus> = of(ViewState::Building).collect();
    building.sort_by_key(|status| status.row.is_shadow);
    let mut building = building.into_iter();
    let focus = building.next();
    let report = match focus {
        Some(status) => app.views.report(status.row.number)?,
        None => None,
    };
    let green = match focus {
        Some(status) => Some(green(app, status, report.as_ref())?),
        None => None,
    };
    let serving = of(ViewState::Serving).next();
    let mut blue = serving.map(|status| lane(status, None)).unwrap_or_else(|| ui::Lane {
        number: app.view_number,
        mappings: Vec::new(),
        kept: 0,
        next: 0,
        hash: None,
        shadow: false,
    });
    let sources = read.sources().map_err(QueryError::from)?;
    blue.mappings = sources.iter().map(|row| format!("{} {}", row.name, row.mapping)).collect();
    blue.hash = report.as_ref().map(|report| report.blue.log_hash.clone());
    let events = app.views.events(DECISIONS)?;
    let checkpoints = read.checkpoints().map_err(QueryError::from)?;
    let state_of = |number: u32| {
        let found = statuses.iter().find(|status| status.row.number == number);
        found.map_or("gone", |status| status.row.state.name()).to_owned()
    };
    Ok(ui::RebuildView {
        frame: frame(names, now, false),
        notice: failed.map(notice),
        blue,
        green,
        others: building.map(|status| lane(status, None)).collect(),
        kept: of(ViewState::Kept).next().map(|status| lane(status, None)),
        earlier: events
            .into_iter()
            .map(|event| ui::Decided {
                number: event.view,
                what: event.what,
                at: stamp(event.step.at),
                who: event.step.who,
                note: event.step.note,
                now: state_of(event.view).replace('_', " "),
            })
            .collect(),
        checkpoints: checkpoints.into_iter().map(|row| row.name).collect(),
    })
}

/// Why a form was not carried out.
pub(super) fn notice(problem: &Problem) -> Notice {
    let parts = [Some(&problem.0.title), problem.0.detail.as_ref(), problem.0.hint.as_ref()];
    let words: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    Notice { done: false, what: words.join("; ") }
}

fn sum(frontier: &crate::model::Frontier) -> i64 {
    frontier.positions.values().fold(0, |sum, position| sum.saturating_add(position.next.get()))
}

fn lane(status: &ViewStatus, hash: Option<String>) -> ui::Lane {
    ui::Lane {
        number: status.row.number,
        mappings: status.row.mappings.iter().map(|(topic, name)| format!("{topic} {name}")).collect(),
        kept: sum(&status.cut),
        next: sum(&status.frontier),
        hash,
        shadow: status.row.is_shadow,
    }
}

fn green(app: &App, status: &ViewStatus, report: Option<&Report>) -> Result<ui::Green, Problem> {
    let row = &status.row;
    let (taken, reading) = status.pace;
    let millis = u64::try_from(reading.as_millis()).unwrap_or(u64::MAX);
    let rate = taken.saturating_mul(1_000).checked_div(millis).unwrap_or(0);
    let mut lane = lane(status, report.map(|report| report.green.log_hash.clone()));
    if let Some(report) = report {
        lane.mappings.clone_from(&report.green.mappings);
    }
    let gates = app.views.gates(row.number)?;
    Ok(ui::Green {
        lane,
        from: row.from.clone(),
        started: stamp(row.at),
        started_by: row.who.clone(),
        keeping: status.stage == Some(Stage::Keeping),
        taken,
        rate,
        seconds_left: (status.behind > 0).then(|| status.behind.checked_div(rate)).flatten(),
        behind: status.behind,
        held_ms: status.held_for.map(|held| u64::try_from(held.as_millis()).unwrap_or(u64::MAX)),
        throttle: row.rate,
        gates: gates.into_iter().map(|gate| (gate.holds, gate.what)).collect(),
        compared: report.map(compared),
    })
}

fn compared(report: &Report) -> ui::Compared {
    let words = |field: &str, value: &Option<String>| {
        let day = |text: &str| match When::parse(text) {
            Some(When::Day(day)) => super::convert::day(day).long(),
            _ => text.to_owned(),
        };
        value.as_deref().map(|text| match field {
            "promised" | "estimated" | "delivered" => day(text),
            _ => text.replace('_', " "),
        })
    };
    ui::Compared {
        counts: report
            .counts
            .iter()
            .map(|row| (row.what.clone(), row.blue, row.green, row.reasons.join("; ")))
            .collect(),
        orders: report.orders,
        differ: report.answers_differ,
        unexplained: report.unexplained,
        reasons: report.by_reason.iter().map(|tally| (tally.name.clone(), tally.count)).collect(),
        first: report.first.as_ref().map(|first| {
            let place = format!("{}/{} @ {}", first.topic, first.partition, first.offset);
            (place, first.reason.clone().unwrap_or_else(|| "not explained".to_owned()))
        }),
        answers: report
            .answers
            .iter()
            .map(|row| ui::Differs {
                subject: Subject { id: row.id.clone(), kind: row.kind.clone() },
                field: row.field.replace('_', " "),
                blue: words(&row.field, &row.blue),
                green: words(&row.field, &row.green),
                because: row.reasons.join("; "),
            })
            .collect(),
    }
}
