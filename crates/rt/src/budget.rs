//! Byte budgets: the bounds on everything that clients can make the process hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A named budget of bytes. Waiters are served in the order they came.
#[derive(Debug, Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    bytes: u32,
    free: Arc<Semaphore>,
    hits: AtomicU64,
    waiting: AtomicUsize,
}

/// Counts someone as waiting, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes taken from a [`Budget`], given back on drop.
#[derive(Debug)]
pub struct BudgetPermit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// A budget of `bytes`, at most 4 GiB - 1.
    #[must_use]
    pub fn new(name: &'static str, bytes: usize) -> Self {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let free = Arc::new(Semaphore::new(bytes as usize));
        Self {
            shared: Arc::new(Shared {
                name,
                bytes,
                free,
                hits: AtomicU64::new(0),
                waiting: AtomicUsize::new(0),
            }),
        }
    }

    /// The name, for metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.shared.name
    }

    /// How often someone had to wait or was refused.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.shared.hits.load(Ordering::Relaxed)
    }

    /// How many wait for bytes now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Bytes taken now.
    #[must_use]
    pub fn used(&self) -> usize {
        (self.shared.bytes as usize).saturating_sub(self.shared.free.available_permits())
    }

    /// The whole budget in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.shared.bytes as usize
    }

    /// Takes `bytes`, waiting until they are free. More than the whole budget counts as the whole budget, so that a
    /// single large item is slow rather than stuck.
    pub async fn take(&self, bytes: usize) -> BudgetPermit {
        if let Some(permit) = self.try_take_quietly(bytes) {
            return permit;
        }
        self.shared.hits.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting::begin(&self.shared.waiting);
        let permit = Arc::clone(&self.shared.free).acquire_many_owned(self.clamp(bytes)).await.ok();
        BudgetPermit { _permit: permit }
    }

    /// Takes `bytes` if they are free now.
    #[must_use]
    pub fn try_take(&self, bytes: usize) -> Option<BudgetPermit> {
        let taken = self.try_take_quietly(bytes);
        if taken.is_none() {
            self.shared.hits.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    fn try_take_quietly(&self, bytes: usize) -> Option<BudgetPermit> {
        let permit = Arc::clone(&self.shared.free).try_acquire_many_owned(self.clamp(bytes)).ok()?;
        Some(BudgetPermit { _permit: Some(permit) })
    }

    fn clamp(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.shared.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_back_and_waiting_is_counted() {
        let budget = Budget::new("test", 10);
        let first = budget.take(8).await;
        assert!(budget.try_take(3).is_none());
        assert_eq!((budget.used(), budget.hits()), (8, 1));
        {
            let waiting = budget.take(3);
            tokio::pin!(waiting);
            assert!(futures::poll!(&mut waiting).is_pending());
            assert_eq!(budget.waiting(), 1);
        }
        assert_eq!(budget.waiting(), 0, "it gave up");
        drop(first);
        assert!(budget.try_take(3).is_some());
        // More than everything waits for everything.
        drop(budget.take(1 << 40).await);
        assert_eq!(budget.used(), 0);
    }
}
