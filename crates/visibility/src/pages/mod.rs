//! The web pages: `/`, `/orders/{id}`, `/quarantine` and `/rebuild`. The views that they show are built from the same questions as the API's
//! answers, so that page and JSON can not differ.

mod convert;
mod form;
mod order;
pub(crate) mod quarantine;
pub(crate) mod rebuild;
mod search;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use waybill_types::TimestampMs;
use waybill_ui::assets::{CONTENT_SECURITY_POLICY, PAGE_CACHE_CONTROL, STATIC_CACHE_CONTROL};
use waybill_ui::pages::problem::{NotFoundView, ProblemView, not_found, problem};

use crate::api::{App, Asked, MomentParams, Names, Problem, etag, with_snapshot};
use crate::query::{QueryError, settle, track};
use crate::store::Read;

/// Parameters of pages.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct PageParams {
    q: Option<String>,
    since: Option<String>,
    rows: Option<String>,
    fragment: Option<String>,
    state: Option<String>,
    bytes: Option<String>,
    #[serde(flatten)]
    moment: MomentParams,
}

struct Page {
    status: StatusCode,
    html: String,
    etag: Option<String>,
}

fn send(headers: &HeaderMap, page: Page) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut fields = HeaderMap::new();
    let mut set = |name: header::HeaderName, value: &str| {
        if let Ok(value) = value.parse() {
            fields.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, "text/html; charset=utf-8");
    set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    set(header::CACHE_CONTROL, PAGE_CACHE_CONTROL);
    if let Some(etag) = &page.etag {
        set(header::ETAG, etag);
        if known == Some(etag.as_str()) {
            return (StatusCode::NOT_MODIFIED, fields).into_response();
        }
    }
    (page.status, fields, page.html).into_response()
}

/// A page for an error, with the frame that every page has.
fn fault(read: &dyn Read, names: &Names, now: TimestampMs, id: Option<&str>, fault: &Problem) -> Page {
    let frame = convert::frame(names, now, false);
    let body = &fault.0;
    let status = StatusCode::from_u16(body.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let (StatusCode::NOT_FOUND, Some(id)) = (status, id)
        && let Ok(searched) = search::searched(read, names, id, now)
    {
        return Page {
            status,
            html: not_found(&NotFoundView { frame, id: id.to_owned(), searched }),
            etag: None,
        };
    }
    let view = ProblemView {
        frame,
        status: body.status,
        title: body.title.clone(),
        detail: body.detail.clone(),
        hint: body.hint.clone(),
    };
    Page { status, html: problem(&view), etag: None }
}

/// Asks on a snapshot, and shows errors as pages.
async fn show(
    app: App,
    headers: HeaderMap,
    id: Option<String>,
    ask: impl FnOnce(&dyn Read, &Names, TimestampMs) -> Result<Page, Problem> + Send + 'static,
) -> Response {
    let (progress, monotonic) = (app.progress.clone(), app.clock.monotonic());
    let page = with_snapshot(&app, move |read, now| {
        let names = Names::load(&progress, monotonic, read).map_err(QueryError::from)?;
        Ok(ask(read, &names, now).unwrap_or_else(|error| fault(read, &names, now, id.as_deref(), &error)))
    })
    .await;
    match page {
        Ok(page) => send(&headers, page),
        Err(problem) => problem.into_response(),
    }
}

/// `GET /`.
pub(crate) async fn front(
    State(app): State<App>,
    Query(params): Query<PageParams>,
    headers: HeaderMap,
) -> Response {
    show(app, headers, None, move |read, names, now| {
        let question = params.moment.question()?;
        let settled = settle(read, &question, now)?;
        let asked = Asked { question, settled };
        let view = search::view(read, names, &asked, params.q.as_deref(), params.since.as_deref(), now)?;
        let html = match params.fragment {
            Some(_) => waybill_ui::pages::search::fragment(&view),
            None => waybill_ui::pages::search::document(&view),
        };
        // The page shows its age in seconds: it is never the same twice, so it has no tag.
        Ok(Page { status: StatusCode::OK, html, etag: None })
    })
    .await
}

/// `GET /orders/{id}`, for any kind of subject.
pub(crate) async fn order(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(params): Query<PageParams>,
    headers: HeaderMap,
) -> Response {
    show(app, headers, Some(id.clone()), move |read, names, now| {
        let question = params.moment.question()?;
        let (track, story) = track::track_with_story(read, &question, &id, None, now)?;
        let view = order::view(&track, &story, names, params.rows.as_deref() == Some("all"), now);
        let html = match params.fragment {
            Some(_) => waybill_ui::pages::order::fragment(&view),
            None => waybill_ui::pages::order::document(&view),
        };
        let tag = etag(&track.settled, names.freshness().stale);
        let form = format!("{}{}", u8::from(params.fragment.is_some()), u8::from(view.all_rows));
        Ok(Page { status: StatusCode::OK, html, etag: Some(tag.replace("W/\"", &format!("W/\"p{form}-"))) })
    })
    .await
}

/// `GET /static/{name}`: named by content, kept for ever.
pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    match waybill_ui::static_file(&name) {
        Some((kind, bytes)) => {
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, STATIC_CACHE_CONTROL)], bytes)
                .into_response()
        }
        None => Problem::not_found("there is no such file").into_response(),
    }
}
