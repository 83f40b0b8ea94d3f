//! The supervisor: every background task is named, cancellable, drained at shutdown, and its first error surfaces.

use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs background tasks. When one fails or panics, all are asked to stop and the failure is kept.
#[derive(Debug, Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stop: CancellationToken,
    tracker: TaskTracker,
    failure: Mutex<Option<String>>,
    failed: watch::Sender<bool>,
}

impl Default for Supervisor {
    fn default() -> Self {
        let (failed, _) = watch::channel(false);
        Self {
            shared: Arc::new(Shared {
                stop: CancellationToken::new(),
                tracker: TaskTracker::new(),
                failure: Mutex::new(None),
                failed,
            }),
        }
    }
}

impl Supervisor {
    /// Runs `task` under `name` until it ends. A task that must stop early watches [`Self::stopping`].
    pub fn spawn<E: std::fmt::Display>(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let shared = Arc::clone(&self.shared);
        let inner = self.shared.tracker.spawn(async move { task.await.map_err(|error| error.to_string()) });
        self.shared.tracker.spawn(async move {
            match inner.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => shared.fail(name, &error),
                Err(join) if join.is_panic() => shared.fail(name, "panicked"),
                Err(_) => {}
            }
        });
    }

    /// The token that is cancelled when everything must stop.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.shared.stop.clone()
    }

    /// Records a failure from outside a task (the WAL's thread, say) and asks everything to stop.
    pub fn fail(&self, name: &'static str, error: &str) {
        self.shared.fail(name, error);
    }

    /// The first failure, if any.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.failure.lock().clone()
    }

    /// Resolves when a task has failed.
    pub async fn failed(&self) {
        let mut failed = self.shared.failed.subscribe();
        let _ = failed.wait_for(|failed| *failed).await;
    }

    /// Asks every task to stop and waits until all have ended. Returns the first failure.
    pub async fn shutdown(&self) -> Result<(), String> {
        self.shared.stop.cancel();
        self.shared.tracker.close();
        self.shared.tracker.wait().await;
        self.failure().map_or(Ok(()), Err)
    }
}

impl Shared {
    fn fail(&self, name: &'static str, error: &str) {
        let mut failure = self.failure.lock();
        if failure.is_none() {
            tracing::error!(task = name, error, "task failed, stopping");
            *failure = Some(format!("{name}: {error}"));
        }
        self.failed.send_replace(true);
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_failure_stops_the_rest_and_surfaces() {
        let tasks = Supervisor::default();
        let stopping = tasks.stopping();
        tasks.spawn("waits", async move {
            stopping.cancelled().await;
            Ok::<(), String>(())
        });
        tasks.spawn("fails", async { Err("no more".to_owned()) });
        tasks.failed().await;
        assert_eq!(tasks.shutdown().await, Err("fails: no more".to_owned()));
    }

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let tasks = Supervisor::default();
        tasks.spawn("panics", async { if true { panic!("on purpose") } else { Ok::<(), String>(()) } });
        tasks.failed().await;
        assert!(tasks.failure().is_some_and(|failure| failure.contains("panicked")));
    }
}
