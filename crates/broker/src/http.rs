//! Health, readiness, metrics: the routes that are open to everyone.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::broker::Broker;

/// The open routes of a broker.
pub fn routes(broker: Arc<Broker>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(broker)
}

/// Alive: the process answers and no part of it has failed.
async fn healthz(State(broker): State<Arc<Broker>>) -> impl IntoResponse {
    match broker.tasks.failure() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(failure) => (StatusCode::SERVICE_UNAVAILABLE, format!("failed: {failure}\n")),
    }
}

/// Ready: registered, fed with metadata, serving. The HTTP port opens only after all three.
async fn readyz(State(broker): State<Arc<Broker>>) -> impl IntoResponse {
    if broker.tasks.failure().is_some() || broker.tasks.stopping().is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    (StatusCode::OK, "ready\n")
}

async fn metrics(State(broker): State<Arc<Broker>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    broker.group_metrics.refresh(&broker).await;
    broker.budget_metrics.refresh();
    ([(header::CONTENT_TYPE, kind)], broker.metrics.render())
}
