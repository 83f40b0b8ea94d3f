//! What the network side counts. Names are a contract: alerts rest on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use waybill_protocol_gen::ApiKey;
use waybill_rt::{Budget, Metrics};

/// One API.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ApiLabel {
    api: &'static str,
}

/// Requests, their bytes, and connections that ended badly.
#[derive(Debug, Clone)]
pub struct NetMetrics {
    requests: Family<ApiLabel, Counter>,
    request_bytes: Family<ApiLabel, Counter>,
    protocol_errors: Counter,
    total: Arc<AtomicU64>,
}

impl NetMetrics {
    /// Registers the metrics.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let new = Self {
            requests: Family::default(),
            request_bytes: Family::default(),
            protocol_errors: Counter::default(),
            total: Arc::default(),
        };
        metrics.register("requests", "Requests received, by API", new.requests.clone());
        metrics.register("request_bytes", "Bytes of requests received, by API", new.request_bytes.clone());
        let help = "Connections ended because of bytes that are no request that is served";
        metrics.register("protocol_errors", help, new.protocol_errors.clone());
        new
    }

    /// Counts a request.
    pub fn request(&self, key: ApiKey, bytes: usize) {
        let label = ApiLabel { api: key.name() };
        self.requests.get_or_create(&label).inc();
        self.request_bytes.get_or_create(&label).inc_by(bytes as u64);
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that ended because of what it sent.
    pub fn protocol_error(&self) {
        self.protocol_errors.inc();
    }

    /// Requests received in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// One budget.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BudgetLabel {
    budget: &'static str,
}

/// What the byte budgets hold, and how often someone had to wait for one.
#[derive(Debug, Clone)]
pub struct BudgetMetrics {
    budgets: Vec<Budget>,
    used: Family<BudgetLabel, Gauge>,
    limit: Family<BudgetLabel, Gauge>,
    waits: Family<BudgetLabel, Counter>,
}

impl BudgetMetrics {
    /// Registers the metrics of `budgets`.
    #[must_use]
    pub fn register(metrics: &Metrics, budgets: Vec<Budget>) -> Self {
        let new =
            Self { budgets, used: Family::default(), limit: Family::default(), waits: Family::default() };
        metrics.register("budget_used_bytes", "Bytes of memory taken, by budget", new.used.clone());
        metrics.register("budget_limit_bytes", "Bytes of memory there are, by budget", new.limit.clone());
        let help = "How often someone had to wait for memory or went without, by budget";
        metrics.register("budget_waits", help, new.waits.clone());
        new
    }

    /// Brings the figures up to date.
    pub fn refresh(&self) {
        let gauge = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        for budget in &self.budgets {
            let label = BudgetLabel { budget: budget.name() };
            self.used.get_or_create(&label).set(gauge(budget.used()));
            self.limit.get_or_create(&label).set(gauge(budget.limit()));
            let waits = self.waits.get_or_create(&label);
            waits.inc_by(budget.hits().saturating_sub(waits.get()));
        }
    }
}
