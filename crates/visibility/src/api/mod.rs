//! The HTTP API: `/v1/…`, OpenAPI, health, metrics; and the routes of the pages.
//!
//! Only `/healthz`, `/readyz` and `/metrics` are open. Every other route asks the gate, and is refused on addresses
//! that are not loopback until authentication can be configured.

mod ask;
mod body;
mod health;
mod lists;
mod openapi;
mod problem;
mod quarantine;
mod track;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use waybill_rt::{Metrics, SharedClock};
use waybill_security::Gate;

use crate::ingest::Progress;
use crate::mapping::Mappings;
use crate::pages;
use crate::store::Store;
pub(crate) use ask::{Asked, MomentParams, etag, with_snapshot};
pub use body::*;
pub use problem::{Problem, ProblemBody};
pub(crate) use track::Names;

/// What the routes share.
#[derive(Clone)]
pub struct App {
    /// The view's store.
    pub store: Arc<dyn Store>,
    /// How far the view is.
    pub progress: Arc<Progress>,
    /// Wall and monotonic time.
    pub clock: SharedClock,
    /// What is counted.
    pub metrics: Metrics,
    /// Who may ask.
    pub gate: Gate,
    /// The mappings that sources may name.
    pub mappings: Mappings,
    /// The view's name.
    pub view: Arc<str>,
    /// The server listens on loopback only.
    pub is_loopback: bool,
    pub(crate) gauges: Arc<health::Gauges>,
}

impl App {
    /// Prepares the routes' state and registers its metrics.
    #[must_use]
    #[allow(clippy::too_many_arguments, reason = "each is a thing of its own, given once")]
    pub fn new(
        store: Arc<dyn Store>,
        progress: Arc<Progress>,
        clock: SharedClock,
        metrics: Metrics,
        gate: Gate,
        mappings: Mappings,
        view: &str,
        is_loopback: bool,
    ) -> Self {
        let gauges = Arc::new(health::Gauges::register(&metrics));
        Self { store, progress, clock, metrics, gate, mappings, view: Arc::from(view), is_loopback, gauges }
    }
}

/// All routes.
pub fn router(app: App) -> Router {
    let closed = Router::new()
        .route("/v1/track/{id}", get(track::track))
        .route("/v1/search", get(lists::search))
        .route("/v1/exceptions", get(lists::exceptions))
        .route("/v1/changes", get(lists::changes))
        .route("/v1/sources", get(lists::sources))
        .route("/v1/quarantine", get(quarantine::list))
        .route("/v1/quarantine/redrive", post(quarantine::redrive_all))
        .route("/v1/quarantine/{topic}/{partition}/{offset}", get(quarantine::show))
        .route("/v1/quarantine/{topic}/{partition}/{offset}/repair", post(quarantine::repair))
        .route("/v1/quarantine/{topic}/{partition}/{offset}/redrive", post(quarantine::redrive))
        .route("/v1/quarantine/{topic}/{partition}/{offset}/discard", post(quarantine::discard))
        .route("/v1/state", get(lists::state))
        .route("/v1/checkpoints/{name}", put(lists::checkpoint))
        .route("/v1/openapi.json", get(openapi::document))
        .route("/", get(pages::front))
        .route("/orders/{id}", get(pages::order))
        .route("/static/{name}", get(pages::asset))
        .layer(middleware::from_fn_with_state(app.clone(), guard));
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .merge(closed)
        .fallback(|| async { Problem::not_found("there is no such page") })
        .with_state(app)
}

async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    if !app.is_loopback {
        return Problem::new(403, "this address is not loopback")
            .hint("listen on 127.0.0.1 until authentication is configured; only /healthz, /readyz and /metrics are open here")
            .into_response();
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    match ask::permit(&app, peer) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}
