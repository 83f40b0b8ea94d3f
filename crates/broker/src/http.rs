//! Health, readiness, metrics: the routes that are open to everyone.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use parking_lot::RwLock;
use waybill_rt::Metrics;

use crate::broker::Broker;

/// What a process shows about itself, from before it serves until its end. Clones show the same.
#[derive(Clone, Default)]
pub struct Front {
    shown: Arc<RwLock<Shown>>,
}

#[derive(Clone, Default)]
struct Shown {
    stage: Stage,
    metrics: Metrics,
    stood_by: bool,
}

/// How far a process has come.
#[derive(Clone, Default)]
enum Stage {
    /// On its way.
    #[default]
    Starting,
    /// Waiting for another broker to go; who that is.
    Standby(String),
    /// Registered, fed with metadata, serving.
    Serving(Arc<Broker>),
    /// Not serving; why, and what it waits for.
    Down(String),
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Front({:?})", readiness(&self.stage()))
    }
}

impl Front {
    /// A node starts, whose metrics these are.
    pub(crate) fn begin(&self, metrics: Metrics) {
        let mut shown = self.shown.write();
        (shown.stage, shown.metrics) = (Stage::Starting, metrics);
    }

    pub(crate) fn starting(&self) {
        self.show(Stage::Starting);
    }

    pub(crate) fn stand_by(&self, for_whom: String) {
        let mut shown = self.shown.write();
        (shown.stage, shown.stood_by) = (Stage::Standby(for_whom), true);
    }

    /// Whether it has ever waited as a standby.
    #[must_use]
    pub fn has_stood_by(&self) -> bool {
        self.shown.read().stood_by
    }

    pub(crate) fn serving(&self, broker: Arc<Broker>) {
        self.show(Stage::Serving(broker));
    }

    /// It does not serve, for a reason.
    pub fn down(&self, why: String) {
        self.show(Stage::Down(why));
    }

    fn show(&self, stage: Stage) {
        self.shown.write().stage = stage;
    }

    fn stage(&self) -> Stage {
        self.shown.read().stage.clone()
    }

    /// Its routes.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

/// Alive: the process answers and no part of it has failed.
async fn healthz(State(front): State<Front>) -> impl IntoResponse {
    let failure = match front.stage() {
        Stage::Serving(broker) => broker.tasks.failure(),
        _ => None,
    };
    match failure {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(failure) => (StatusCode::SERVICE_UNAVAILABLE, format!("failed: {failure}\n")),
    }
}

/// Ready: registered, fed with metadata, serving.
async fn readyz(State(front): State<Front>) -> impl IntoResponse {
    match readiness(&front.stage()) {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

fn readiness(stage: &Stage) -> Result<(), String> {
    match stage {
        Stage::Starting => Err("starting".to_owned()),
        Stage::Standby(holder) => Err(format!("standby: {holder}")),
        Stage::Down(why) => Err(format!("down: {why}")),
        Stage::Serving(broker) if broker.tasks.stopping().is_cancelled() => Err("stopping".to_owned()),
        Stage::Serving(_) => Ok(()),
    }
}

async fn metrics(State(front): State<Front>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    if let Stage::Serving(broker) = front.stage() {
        broker.group_metrics.refresh(&broker).await;
        broker.budget_metrics.refresh();
    }
    let metrics = front.shown.read().metrics.clone();
    ([(header::CONTENT_TYPE, kind)], metrics.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_serve_says_why() {
        let front = Front::default();
        assert_eq!(readiness(&front.stage()), Err("starting".to_owned()));
        front.stand_by("node 2 holds term 3".to_owned());
        assert_eq!(readiness(&front.stage()), Err("standby: node 2 holds term 3".to_owned()));
        front.down("the store does not answer".to_owned());
        assert_eq!(readiness(&front.stage()), Err("down: the store does not answer".to_owned()));
        front.starting();
        assert!(readiness(&front.stage()).is_err());
    }
}
