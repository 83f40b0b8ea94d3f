//! `/quarantine`: refused records; and the forms by which it is decided about them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use waybill_types::{Offset, PartitionId, TimestampMs};
use waybill_ui::model::Notice;
use waybill_ui::pages::quarantine as ui;

use super::convert::{evidence, frame, stamp};
use super::form::Fields;
use super::rebuild::notice;
use super::{Page, PageParams, show};
use crate::api::{App, Names, Problem, quarantine as refused};
use crate::query::QueryError;
use crate::store::{QuarantineFilter, QuarantineRow, Read, RowState};

/// Records listed.
const ROWS: usize = 200;

/// Records of one fault that are counted, at most.
const ALIKE: usize = 10_000;

type At = (String, i32, i64);

/// `GET /quarantine`.
pub(crate) async fn page(
    State(app): State<App>,
    Query(params): Query<PageParams>,
    headers: HeaderMap,
) -> Response {
    answer(app, headers, Shown { at: None, params, failed: None, draft: None }).await
}

/// `GET /quarantine/{topic}/{partition}/{offset}`.
pub(crate) async fn record(
    State(app): State<App>,
    Path(at): Path<At>,
    Query(params): Query<PageParams>,
    headers: HeaderMap,
) -> Response {
    answer(app, headers, Shown { at: Some(at), params, failed: None, draft: None }).await
}

/// What is shown, and what came of a form.
struct Shown {
    at: Option<At>,
    params: PageParams,
    failed: Option<Problem>,
    draft: Option<String>,
}

async fn answer(app: App, headers: HeaderMap, shown: Shown) -> Response {
    show(app, headers, None, move |read, names, now| {
        let status = shown.failed.as_ref().map_or(200, |problem| problem.0.status);
        let view = view(read, names, now, &shown)?;
        let html = match shown.params.fragment {
            Some(_) => ui::fragment(&view),
            None => ui::document(&view),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Ok(Page { status, html, etag: None })
    })
    .await
}

/// `POST /quarantine/{topic}/{partition}/{offset}/{what}`.
pub(crate) async fn act(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((topic, partition, offset, what)): Path<(String, i32, i64, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = Fields::read(&body);
    let at = (topic, partition, offset);
    let note = fields.text("note").to_owned();
    let params = Query(refused::NoteParams { note: note.clone() });
    let (state, who, path) = (State(app.clone()), ConnectInfo(peer), Path(at.clone()));
    // Browsers end lines of a field with CR LF, whatever stood there.
    let value = fields.text("value").replace("\r\n", "\n");
    let outcome = match what.as_str() {
        "repair" => refused::repair(state, who, path, params, Bytes::from(value.clone())).await.map(drop),
        "redrive" => refused::redrive(state, who, path, params).await.map(drop),
        "discard" => refused::discard(state, who, path, params).await.map(drop),
        "redrive-alike" => alike(&app, peer, at.clone(), note).await,
        _ => Err(Problem::not_found("there is no such decision")),
    };
    match outcome {
        Ok(()) => Redirect::to("/quarantine").into_response(),
        Err(problem) => {
            let draft = (what == "repair").then_some(value);
            let params = PageParams::default();
            answer(app, headers, Shown { at: Some(at), params, failed: Some(problem), draft }).await
        }
    }
}

/// Drives all records of a topic with one fault again.
async fn alike(app: &App, peer: SocketAddr, at: At, note: String) -> Result<(), Problem> {
    let found = refused::show(State(app.clone()), Path(at.clone())).await?;
    let code = code(&found.record.reason).to_owned();
    let params = refused::ListParams {
        topic: Some(at.0),
        reason: Some(format!("{code}:")),
        state: None,
        limit: Some(ALIKE.to_string()),
        note,
    };
    refused::redrive_all(State(app.clone()), ConnectInfo(peer), Query(params)).await.map(drop)
}

/// The word of a fault.
fn code(reason: &str) -> &str {
    reason.split(':').next().unwrap_or_default()
}

/// The byte of a value at which a reason says that the fault stands.
fn fault_at(reason: &str, value: &[u8]) -> Option<usize> {
    let number = |after: &str| -> Option<usize> {
        let (_, rest) = reason.rsplit_once(after)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    };
    if let Some(byte) = number("byte ") {
        return Some(byte);
    }
    let (line, column) = (number("line ")?, number("column ")?);
    let before: usize =
        value.split(|byte| *byte == b'\n').take(line.checked_sub(1)?).map(|line| line.len() + 1).sum();
    (before + column).checked_sub(1)
}

fn view(
    read: &dyn Read,
    names: &Names,
    now: TimestampMs,
    shown: &Shown,
) -> Result<ui::QuarantineView, Problem> {
    let state = shown.params.state.clone().filter(|state| !state.is_empty());
    let filter = QuarantineFilter { states: refused::states(state.as_deref())?, ..Default::default() };
    let mut rows = read.quarantined(&filter, ROWS + 1).map_err(QueryError::from)?;
    let more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let mut groups: BTreeMap<String, Vec<ui::Row>> = BTreeMap::new();
    for each in &rows {
        let fault = format!("{}, {}", code(&each.reason), each.topic_name);
        groups.entry(fault).or_default().push(row(each, names));
    }
    let counts = read.counts().map_err(QueryError::from)?;
    let mut sums = ui::Sums::default();
    for each in &counts {
        sums.taken += each.taken;
        sums.projected += each.projected;
        sums.held += each.held;
        sums.quarantined += each.quarantined;
        sums.repaired += each.repaired;
        sums.discarded += each.discarded;
    }
    let mut told = shown.failed.as_ref().map(notice);
    let detail = match &shown.at {
        Some(at) => detail(read, names, at, shown)?,
        None => None,
    };
    if let (Some((topic, partition, offset)), None, None) = (&shown.at, &detail, &told) {
        let what =
            format!("{topic}/{partition}/{offset} is not in quarantine: it was read, or driven again.");
        told = Some(Notice { done: true, what });
    }
    Ok(ui::QuarantineView {
        frame: frame(names, now, false),
        notice: told,
        sums,
        conserved: counts.iter().all(crate::store::Counts::is_conserved),
        state,
        groups: groups.into_iter().map(|(fault, rows)| ui::Group { fault, rows }).collect(),
        more,
        detail,
    })
}

fn row(row: &QuarantineRow, names: &Names) -> ui::Row {
    ui::Row {
        evidence: evidence(names, &row.evidence),
        what: row.reason.clone(),
        told: stamp(row.evidence.timestamp),
        state: row.state.name().to_owned(),
    }
}

fn detail(read: &dyn Read, names: &Names, at: &At, shown: &Shown) -> Result<Option<ui::Detail>, Problem> {
    let (topic, partition, offset) = at;
    let place = Some((PartitionId(*partition), Offset(*offset)));
    let filter = QuarantineFilter { topic: Some(topic.clone()), at: place, ..Default::default() };
    let Some(found) = read.quarantined(&filter, 1).map_err(QueryError::from)?.pop() else { return Ok(None) };
    let of_topic = |states: Vec<RowState>, reason: Option<String>| {
        let filter = QuarantineFilter { topic: Some(topic.clone()), states, reason, at: None };
        read.quarantined(&filter, ALIKE).map_err(QueryError::from)
    };
    let held = of_topic(vec![RowState::Held], None)?;
    let behind = held.iter().filter(|row| {
        row.evidence.partition == found.evidence.partition
            && row.key == found.key
            && row.evidence.offset > found.evidence.offset
    });
    let behind = if found.state == RowState::Held { 0 } else { behind.count() };
    let code = code(&found.reason).to_owned();
    let alike = of_topic(vec![RowState::Refused], Some(format!("{code}:")))?.len();
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let decisions = read.decisions(&found.id()).map_err(QueryError::from)?;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Ok(Some(ui::Detail {
        row: row(&found, names),
        mapping: found.mapping.clone(),
        key: found.key.as_ref().map(text),
        headers: found
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.as_ref().map(text).unwrap_or_default()))
            .collect(),
        fault_at: found.value.as_deref().and_then(|value| fault_at(&found.reason, value)),
        value: found.value,
        held: count(behind),
        alike: count(alike),
        code,
        decisions: decisions
            .into_iter()
            .map(|each| (stamp(each.at), each.who, each.what, each.note, each.outcome))
            .collect(),
        draft: shown.draft.clone(),
        as_text: shown.params.bytes.as_deref() == Some("text") || shown.draft.is_some(),
    }))
}

#[cfg(test)]
mod tests {
    use super::fault_at;

    #[test]
    fn the_faulty_byte_is_found_in_reasons() {
        let value = b"{\n  \"a\": x\n}";
        assert_eq!(fault_at("not_json: expected value at line 2 column 8", value), Some(9));
        assert_eq!(value.get(9), Some(&b'x'));
        assert_eq!(fault_at("invalid: a must be a number at byte 551", value), Some(551));
        assert_eq!(fault_at("unsupported_type: 999", value), None);
        assert_eq!(fault_at("not_json: line 0 column 0", value), None);
    }
}
