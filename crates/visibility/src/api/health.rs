//! Liveness, readiness and metrics: the open routes.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use waybill_rt::Metrics;

use super::App;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabels {
    topic: String,
    partition: i32,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicLabels {
    topic: String,
}

/// What is measured when it is asked for.
#[derive(Debug)]
pub(crate) struct Gauges {
    records: Family<PartLabels, Gauge>,
    behind: Family<TopicLabels, Gauge>,
    stopped: Family<TopicLabels, Gauge>,
    lag_ms: Gauge,
    not_conserved: Gauge,
}

impl Gauges {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let gauges = Self {
            records: Family::default(),
            behind: Family::default(),
            stopped: Family::default(),
            lag_ms: Gauge::default(),
            not_conserved: Gauge::default(),
        };
        metrics.register(
            "visibility_records",
            "Records by outcome: taken, projected, held, quarantined, repaired, discarded",
            gauges.records.clone(),
        );
        metrics.register(
            "visibility_behind_records",
            "Records of a source not read yet",
            gauges.behind.clone(),
        );
        metrics.register(
            "visibility_source_stopped",
            "1 while a source is not read because it was made again or lost history",
            gauges.stopped.clone(),
        );
        metrics.register(
            "visibility_lag_ms",
            "Milliseconds since everything known was read",
            gauges.lag_ms.clone(),
        );
        metrics.register(
            "visibility_partitions_not_conserved",
            "Partitions where taken is not projected + held + quarantined + repaired + discarded; must be 0",
            gauges.not_conserved.clone(),
        );
        gauges
    }

    fn measure(&self, app: &App) -> Result<(), crate::store::StoreError> {
        let mut wrong = 0;
        for counts in app.store.read()?.counts()? {
            wrong += i64::from(!counts.is_conserved());
            let outcomes = [
                ("taken", counts.taken),
                ("projected", counts.projected),
                ("held", counts.held),
                ("quarantined", counts.quarantined),
                ("repaired", counts.repaired),
                ("discarded", counts.discarded),
            ];
            for (outcome, count) in outcomes {
                let topic = counts.topic_name.clone();
                let labels = PartLabels { topic, partition: counts.partition.get(), outcome };
                self.records.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        self.not_conserved.set(wrong);
        for source in app.progress.sources() {
            let labels = TopicLabels { topic: source.name.clone() };
            self.behind.get_or_create(&labels).set(i64::try_from(source.behind).unwrap_or(i64::MAX));
            self.stopped.get_or_create(&labels).set(i64::from(source.stopped.is_some()));
        }
        let lag = app.progress.freshness(app.clock.monotonic()).lag_ms;
        self.lag_ms.set(i64::try_from(lag).unwrap_or(i64::MAX));
        Ok(())
    }
}

/// The process runs.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// The view has once read all there was, and its store answers.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    if !app.progress.was_caught_up() {
        return (StatusCode::SERVICE_UNAVAILABLE, "reading what is there\n").into_response();
    }
    match app.store.read() {
        Ok(_) => "ready\n".into_response(),
        Err(fault) => (StatusCode::SERVICE_UNAVAILABLE, format!("{fault}\n")).into_response(),
    }
}

/// Everything registered, as Prometheus reads it.
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let measured =
        tokio::task::spawn_blocking(move || app.gauges.measure(&app).map(|()| app.metrics.render())).await;
    match measured {
        Ok(Ok(text)) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Ok(Err(fault)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{fault}\n")).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
