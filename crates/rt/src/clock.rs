//! Time, passed in.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use waybill_types::TimestampMs;

/// A source of time. Safety never rests on it: a frozen process may resume after any delay.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock, which may jump.
    fn now(&self) -> TimestampMs;

    /// Time since some fixed instant of this process; never goes back.
    fn monotonic(&self) -> Duration;

    /// Resolves once `span` has passed.
    fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>>;
}

/// A clock as it is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug)]
pub struct RealClock {
    start: std::time::Instant,
}

impl RealClock {
    /// Starts the monotonic clock at zero.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn shared() -> SharedClock {
        Arc::new(Self { start: std::time::Instant::now() })
    }
}

impl Clock for RealClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> TimestampMs {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        Box::pin(tokio::time::sleep(span))
    }
}

/// A clock for simulation: wall time = `origin` + the runtime's virtual time.
///
/// To be used in a current-thread Tokio runtime that was started paused: time then advances only when every task
/// waits, so a run is a function of its seed.
#[derive(Debug)]
pub struct VirtualClock {
    origin: TimestampMs,
    start: tokio::time::Instant,
}

impl VirtualClock {
    /// A clock that shows `origin` now. Must be called inside a paused Tokio runtime.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "reads the runtime's virtual time")]
    pub fn shared(origin: TimestampMs) -> SharedClock {
        Arc::new(Self { origin, start: tokio::time::Instant::now() })
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> TimestampMs {
        self.origin.plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        Box::pin(tokio::time::sleep(span))
    }
}
