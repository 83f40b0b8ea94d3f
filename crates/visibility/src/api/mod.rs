//! The HTTP API: `/v1/…`, OpenAPI, health, metrics; and the routes of the pages.
//!
//! Only `/healthz`, `/readyz` and `/metrics` are open. Every other route asks the gate, and is refused on addresses
//! that are not loopback until authentication can be configured.

mod alerts;
mod ask;
mod body;
mod body_views;
mod health;
mod lists;
mod openapi;
mod problem;
pub(crate) mod quarantine;
mod track;
pub(crate) mod views;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, FromRef, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use tokio_util::sync::CancellationToken;
use waybill_rt::{Metrics, SharedClock};
use waybill_security::Gate;

use crate::alerts::Outbox;
use crate::ingest::Progress;
use crate::mapping::Mappings;
use crate::pages;
use crate::store::Store;
use crate::views::Views;
pub(crate) use ask::{Asked, MomentParams, etag, with_snapshot};
pub use body::*;
pub use body_views::*;
pub use problem::{Problem, ProblemBody};
pub(crate) use track::Names;
pub(crate) use views::DecisionParams;

/// What the routes share. Each request has its own, of the view that serves when it comes.
#[derive(Clone)]
pub struct App {
    /// All views.
    pub views: Arc<Views>,
    /// The number of the view that serves.
    pub view_number: u32,
    /// Its store.
    pub store: Arc<dyn Store>,
    /// How far it is.
    pub progress: Arc<Progress>,
    /// What is told outside.
    pub alerts: Arc<Outbox>,
    /// Cancelled when the service stops: what streams ends then.
    pub stopping: CancellationToken,
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
        views: Arc<Views>,
        alerts: Arc<Outbox>,
        stopping: CancellationToken,
        clock: SharedClock,
        metrics: Metrics,
        gate: Gate,
        mappings: Mappings,
        view: &str,
        is_loopback: bool,
    ) -> Option<Self> {
        let serving = views.serving()?;
        let (store, progress, view_number) =
            (serving.store.clone(), serving.progress.clone(), serving.number);
        let gauges = Arc::new(health::Gauges::register(&metrics));
        let view = Arc::from(view);
        Some(Self {
            views,
            view_number,
            store,
            progress,
            alerts,
            stopping,
            clock,
            metrics,
            gate,
            mappings,
            view,
            is_loopback,
            gauges,
        })
    }

    /// The consumer group of the view that serves.
    #[must_use]
    pub fn group(&self) -> String {
        format!("waybill-visibility-{}", self.view)
    }
}

/// The state of the router: which view serves is looked up when a request comes.
#[derive(Clone)]
struct Shared(App);

impl FromRef<Shared> for App {
    fn from_ref(Shared(app): &Shared) -> Self {
        let mut app = app.clone();
        if let Some(serving) = app.views.serving() {
            app.view_number = serving.number;
            app.store = serving.store.clone();
            app.progress = serving.progress.clone();
        }
        app
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
        .route("/v1/alerts", get(alerts::list))
        .route("/v1/alerts/stream", get(alerts::stream))
        .route("/v1/views", get(views::list))
        .route("/v1/views/{number}", get(views::show))
        .route("/v1/views/{number}/progress", get(views::progress))
        .route("/v1/views/{number}/compare", get(views::report).post(views::compare))
        .route("/v1/views/{number}/track/{id}", get(views::track))
        .route("/v1/views/{number}/promote", post(views::promote))
        .route("/v1/views/{number}/reject", post(views::reject))
        .route("/v1/views/{number}/rollback", post(views::rollback))
        .route("/v1/views/{number}/throttle", post(views::throttle))
        .route("/v1/rebuild", post(views::rebuild))
        .route("/v1/checkpoints", get(views::checkpoints))
        .route("/v1/checkpoints/{name}", put(views::checkpoint))
        .route("/v1/openapi.json", get(openapi::document))
        .route("/", get(pages::front))
        .route("/orders/{id}", get(pages::order))
        .route("/quarantine", get(pages::quarantine::page))
        .route("/quarantine/{topic}/{partition}/{offset}", get(pages::quarantine::record))
        .route("/quarantine/{topic}/{partition}/{offset}/{what}", post(pages::quarantine::act))
        .route("/rebuild", get(pages::rebuild::page).post(pages::rebuild::begin))
        .route("/rebuild/{number}/{what}", post(pages::rebuild::act))
        .route("/static/{name}", get(pages::asset))
        .layer(middleware::from_fn_with_state(Shared(app.clone()), guard));
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .merge(closed)
        .fallback(|| async { Problem::not_found("there is no such page") })
        .with_state(Shared(app))
}

async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    if !app.is_loopback {
        return Problem::new(403, "this address is not loopback")
            .hint("listen on 127.0.0.1 until authentication is configured; only /healthz, /readyz and /metrics are open here")
            .into_response();
    }
    // A page of another site can make a browser send forms here, but not say that it is ours.
    let site = request.headers().get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if !request.method().is_safe() && site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Problem::new(403, "this came from a page of another site")
            .hint("open the page here and decide there")
            .into_response();
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    match ask::permit(&app, peer) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}
