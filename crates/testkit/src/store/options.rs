//! What goes wrong how often.

use std::time::Duration;

use crate::store::latency::Latency;

/// How a simulated store behaves. Shares are of all requests of the kind, 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct FaultOptions {
    /// Of creates.
    pub put: Latency,
    /// Of reads, lengths and deletes.
    pub get: Latency,
    /// Of LISTs.
    pub list: Latency,
    /// Requests refused before they are applied: 429, 500 or 503.
    pub refused: f64,
    /// Creates answered 409, applied or not.
    pub conflict: f64,
    /// Creates and deletes that are applied, and then answered 500 or with a broken connection.
    pub answer_lost: f64,
    /// Creates and deletes that are applied, and never answered.
    pub silent: f64,
    /// Creates and deletes that are answered with an error at once, and applied much later.
    pub late: f64,
    /// Creates and deletes that are applied a second time much later.
    pub twice: f64,
    /// Requests sent over a connection that is dead: never answered, never applied.
    pub stale: f64,
    /// The longest that "much later" is.
    pub latest: Duration,
}

impl FaultOptions {
    /// S3-like latencies, nothing else goes wrong.
    #[must_use]
    pub fn calm() -> Self {
        let ms = Duration::from_millis;
        Self {
            put: Latency::new(ms(60), ms(250)),
            get: Latency::new(ms(20), ms(120)),
            list: Latency::new(ms(40), ms(200)),
            refused: 0.0,
            conflict: 0.0,
            answer_lost: 0.0,
            silent: 0.0,
            late: 0.0,
            twice: 0.0,
            stale: 0.0,
            latest: Duration::from_secs(60),
        }
    }

    /// A bad day: everything goes wrong now and then.
    #[must_use]
    pub fn rough() -> Self {
        Self {
            refused: 0.04,
            conflict: 0.02,
            answer_lost: 0.03,
            silent: 0.01,
            late: 0.03,
            twice: 0.03,
            stale: 0.01,
            ..Self::calm()
        }
    }
}
