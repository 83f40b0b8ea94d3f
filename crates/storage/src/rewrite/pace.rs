//! How fast segments are written anew: so slowly that nobody else notices.

use std::time::Duration;

use super::RewriteError;
use crate::shared::Shared;

/// How long it waits while segments of new data are behind.
const BEHIND: Duration = Duration::from_millis(200);

impl Shared {
    /// To be called for bytes about to be read or written: takes the time that they are given, lets others run, and
    /// stands back while new data wait for their segments.
    ///
    /// # Errors
    /// [`RewriteError::Stopping`].
    pub(crate) async fn pace(&self, bytes: u64) -> Result<(), RewriteError> {
        let services = &self.services;
        let rate = services.options.compaction.bytes_per_second;
        let stopping = services.supervisor.stopping();
        let wait = async {
            if rate > 0 {
                services
                    .clock
                    .sleep(Duration::from_nanos(bytes.saturating_mul(1_000_000_000 / rate.max(1))))
                    .await;
            } else {
                tokio::task::yield_now().await;
            }
            while self.cache.is_behind() {
                services.metrics.compaction_waits.inc();
                services.clock.sleep(BEHIND).await;
            }
        };
        tokio::select! {
            biased;
            () = stopping.cancelled() => Err(RewriteError::Stopping),
            () = wait => Ok(()),
        }
    }
}
