//! How long a client must wait. The broker answers first and mutes the connection for that long (KIP-219).

use std::sync::Arc;
use std::time::Duration;

use crate::RequestContext;

/// What is metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuotaKind {
    /// Bytes produced.
    Produce,
    /// Bytes fetched.
    Fetch,
    /// Nanoseconds of broker time (Kafka's `request_percentage`).
    RequestTime,
    /// Partitions made or deleted (KIP-599).
    ControllerMutation,
}

/// Meters and decides on throttling. Called on the request path: answers from memory.
pub trait Quotas: Send + Sync + 'static {
    /// Counts `amount` of `kind` for the client of `context`, and tells how long it must wait: zero, or the
    /// `throttle_time_ms` of the response.
    fn charge(&self, context: &RequestContext, kind: QuotaKind, amount: u64) -> Duration;
}

/// Quotas as they are handed around.
pub type SharedQuotas = Arc<dyn Quotas>;

/// Throttles nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl Quotas for Unlimited {
    fn charge(&self, _: &RequestContext, _: QuotaKind, _: u64) -> Duration {
        Duration::ZERO
    }
}
