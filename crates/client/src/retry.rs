//! Trying again.

use std::time::Duration;

use waybill_rt::{SharedClock, SharedEntropy};

use crate::config::ClientConfig;
use crate::error::ClientError;

/// The tries of one operation: pauses that double up to a bound, each shortened by chance by up to a quarter, until
/// the operation's time is up.
pub struct Attempts {
    clock: SharedClock,
    entropy: SharedEntropy,
    pause: Duration,
    max_pause: Duration,
    deadline: Duration,
}

impl Attempts {
    /// Starts the operation's time.
    pub fn start(clock: &SharedClock, entropy: &SharedEntropy, config: &ClientConfig) -> Self {
        Self {
            deadline: clock.monotonic().saturating_add(config.operation_timeout),
            clock: SharedClock::clone(clock),
            entropy: SharedEntropy::clone(entropy),
            pause: config.backoff,
            max_pause: config.max_backoff,
        }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// The error of the last try, when it is not worth another one or there is no time left.
    pub async fn again(&mut self, error: ClientError) -> Result<(), ClientError> {
        let left = self.deadline.saturating_sub(self.clock.monotonic());
        if !error.is_retriable() || left <= self.pause {
            return Err(error);
        }
        tracing::debug!(%error, pause_ms = self.pause.as_millis() as u64, "trying again");
        let pause_us = u64::try_from(self.pause.as_micros()).unwrap_or(u64::MAX);
        let pause = Duration::from_micros(pause_us - self.entropy.below(pause_us / 4 + 1));
        self.pause = self.pause.saturating_mul(2).min(self.max_pause);
        self.clock.sleep(pause).await;
        Ok(())
    }
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempts").field("pause", &self.pause).field("deadline", &self.deadline).finish()
    }
}
