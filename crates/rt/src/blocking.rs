//! Where calls that wait for the disk run.

use std::future::Future;

/// Where calls that wait for the disk run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// On the caller's thread: for simulation, where the disk never waits.
    Inline,
    /// On Tokio's threads for blocking work.
    Blocking,
}

/// The runtime stopped before the work was done: its outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the runtime is stopping")]
pub struct Stopped;

impl Running {
    /// Does `work` where blocking is allowed. Inline, it is done before this returns.
    pub fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Stopped>> + Send + 'static {
        let (done, task) = match self {
            Self::Inline => (Some(work()), None),
            Self::Blocking => (None, Some(tokio::task::spawn_blocking(work))),
        };
        async move {
            match (done, task) {
                (Some(done), _) => Ok(done),
                (None, Some(task)) => task.await.map_err(|_| Stopped),
                (None, None) => Err(Stopped),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_ways_do_the_work() {
        for running in [Running::Inline, Running::Blocking] {
            assert_eq!(running.run(|| 6 * 7).await, Ok(42));
        }
    }
}
