//! `GET /v1/openapi.json`.

use axum::Json;
use utoipa::OpenApi;

use super::{alerts, lists, quarantine, track, views};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Waybill visibility",
        description = "Where is it, what changed, is it late, and what was known when."
    ),
    paths(
        track::track,
        lists::search,
        lists::exceptions,
        lists::changes,
        lists::sources,
        quarantine::list,
        quarantine::show,
        quarantine::repair,
        quarantine::redrive,
        quarantine::discard,
        quarantine::redrive_all,
        lists::state,
        alerts::list,
        alerts::stream,
        views::list,
        views::show,
        views::progress,
        views::report,
        views::compare,
        views::track,
        views::rebuild,
        views::promote,
        views::reject,
        views::rollback,
        views::throttle,
        views::checkpoints,
        views::checkpoint
    )
)]
struct Document;

/// The document.
pub(crate) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
