//! What is counted of requests to a store: by kind of request, by purpose, errors by kind.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use std::time::Duration;
use waybill_rt::Metrics;

use crate::api::StoreError;

/// A kind of request. (A LIST counts once, however many pages it has.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Create only if absent.
    Put,
    /// Read a range.
    Get,
    /// Ask for the length.
    Head,
    /// Delete.
    Delete,
    /// List.
    List,
}

impl Operation {
    /// A word for metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Durability of produced records: the WAL's objects and their read-backs.
    Wal,
    /// Ending and recovering chains.
    Recovery,
    /// Fetches near the end of the log.
    Tail,
    /// Fetches of old records.
    History,
    /// Segments written from the WAL.
    Segment,
    /// Rewriting segments.
    Compaction,
    /// Deleting, and looking for what nothing names.
    Sweep,
    /// Membership, terms, the probe.
    Control,
    /// The metadata store's own objects.
    Meta,
    /// Anything else.
    Other,
}

impl Purpose {
    /// A word for metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Wal => "wal",
            Self::Recovery => "recovery",
            Self::Tail => "tail",
            Self::History => "history",
            Self::Segment => "segment",
            Self::Compaction => "compaction",
            Self::Sweep => "sweep",
            Self::Control => "control",
            Self::Meta => "meta",
            Self::Other => "other",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    operation: &'static str,
    purpose: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    operation: &'static str,
    purpose: &'static str,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct For {
    purpose: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    operation: &'static str,
}

/// Counters of a store. Cheap to clone: clones share the numbers.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    requests: Family<Request, Counter>,
    errors: Family<Failure, Counter>,
    sent: Family<For, Counter>,
    received: Family<For, Counter>,
    seconds: Family<Of, Histogram, fn() -> Histogram>,
    /// Reads sent a second time because the first was slow.
    pub hedges: Counter,
    /// Requests that are not answered yet.
    pub running: Gauge,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        // 1 ms to 65 s.
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 17));
        Self {
            requests: Family::default(),
            errors: Family::default(),
            sent: Family::default(),
            received: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            hedges: Counter::default(),
            running: Gauge::default(),
        }
    }
}

/// A request that was counted and has not ended. Dropped: its caller went away.
pub(crate) struct Running<'a> {
    metrics: &'a StoreMetrics,
    operation: Operation,
    purpose: Purpose,
    ended: bool,
}

impl Running<'_> {
    pub(crate) fn ended(mut self, took: Duration, error: Option<&StoreError>) {
        self.ended = true;
        let operation = self.operation.word();
        self.metrics.seconds.get_or_create(&Of { operation }).observe(took.as_secs_f64());
        if let Some(error) = error {
            self.failed(error.kind());
        }
    }

    fn failed(&self, kind: &'static str) {
        let (operation, purpose) = (self.operation.word(), self.purpose.word());
        self.metrics.errors.get_or_create(&Failure { operation, purpose, kind }).inc();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.metrics.running.dec();
        if !self.ended {
            self.failed("dropped");
        }
    }
}

impl StoreMetrics {
    pub(crate) fn started(&self, operation: Operation, purpose: Purpose) -> Running<'_> {
        let label = Request { operation: operation.word(), purpose: purpose.word() };
        self.requests.get_or_create(&label).inc();
        self.running.inc();
        Running { metrics: self, operation, purpose, ended: false }
    }

    pub(crate) fn sent(&self, purpose: Purpose, bytes: usize) {
        self.sent.get_or_create(&For { purpose: purpose.word() }).inc_by(bytes as u64);
    }

    pub(crate) fn received(&self, purpose: Purpose, bytes: usize) {
        self.received.get_or_create(&For { purpose: purpose.word() }).inc_by(bytes as u64);
    }

    /// Requests of a kind for a purpose so far.
    #[must_use]
    pub fn requests(&self, operation: Operation, purpose: Purpose) -> u64 {
        let label = Request { operation: operation.word(), purpose: purpose.word() };
        self.requests.get_or_create(&label).get()
    }

    /// Errors of a kind so far (see [`StoreError::kind`], and `dropped`).
    #[must_use]
    pub fn errors(&self, operation: Operation, purpose: Purpose, kind: &'static str) -> u64 {
        let label = Failure { operation: operation.word(), purpose: purpose.word(), kind };
        self.errors.get_or_create(&label).get()
    }

    /// Bytes sent and received for a purpose so far.
    #[must_use]
    pub fn bytes(&self, purpose: Purpose) -> (u64, u64) {
        let label = For { purpose: purpose.word() };
        (self.sent.get_or_create(&label).get(), self.received.get_or_create(&label).get())
    }

    /// Adds all of them to a registry, as `waybill_store_…`.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register("store_requests", "Requests to the store", self.requests.clone());
        metrics.register(
            "store_errors",
            "Requests that the store did not answer with success",
            self.errors.clone(),
        );
        metrics.register("store_sent_bytes", "Bytes of objects sent to the store", self.sent.clone());
        metrics.register(
            "store_received_bytes",
            "Bytes of objects read from the store",
            self.received.clone(),
        );
        metrics.register(
            "store_request_seconds",
            "Seconds that requests to the store took",
            self.seconds.clone(),
        );
        metrics.register(
            "store_hedged_reads",
            "Reads sent a second time because the first was slow",
            self.hedges.clone(),
        );
        metrics.register(
            "store_requests_running",
            "Requests that the store has not answered yet",
            self.running.clone(),
        );
    }
}
