//! Waiting for new data in many partitions at once.
//!
//! A [`Waiter`] belongs to one fetch or fetch session. It is armed on partitions under a token of its owner's choice;
//! what has news fires once and is disarmed. So a session of 1,000 partitions arms again only those that had news,
//! and learns which they were, instead of looking at all of them.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;

use futures::task::AtomicWaker;
use parking_lot::Mutex;

#[derive(Debug, Default)]
struct Fired {
    tokens: Mutex<Vec<u32>>,
    waker: AtomicWaker,
}

/// Hears of news in the partitions that it is armed on.
#[derive(Debug, Default)]
pub struct Waiter {
    fired: Arc<Fired>,
}

impl Waiter {
    /// A waiter that is armed nowhere.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tokens that have fired since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<u32> {
        std::mem::take(&mut *self.fired.tokens.lock())
    }

    /// Waits until at least one token has fired and returns all that have. One task may wait at a time.
    pub fn fired(&self) -> impl Future<Output = Vec<u32>> + Send + '_ {
        std::future::poll_fn(|context| {
            self.fired.waker.register(context.waker());
            let tokens = self.take();
            if tokens.is_empty() { Poll::Pending } else { Poll::Ready(tokens) }
        })
    }
}

/// The waiters armed on one partition.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    armed: AtomicUsize,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    waiters: Vec<(Weak<Fired>, u32)>,
    /// Dropped waiters are cleared away when the list reaches this length.
    clear_at: usize,
}

/// Lists shorter than this are never searched for dropped waiters.
const CLEAR_FROM: usize = 16;

impl Watchers {
    /// Arms `waiter`, unless `has_news` holds once it is armed. Returns whether it is armed.
    pub(crate) fn arm(&self, waiter: &Waiter, token: u32, has_news: impl FnOnce() -> bool) -> bool {
        let mut list = self.list.lock();
        if list.waiters.len() >= list.clear_at.max(CLEAR_FROM) {
            list.waiters.retain(|(waiter, _)| waiter.strong_count() > 0);
            list.clear_at = list.waiters.len() * 2;
        }
        list.waiters.push((Arc::downgrade(&waiter.fired), token));
        self.armed.store(list.waiters.len(), Ordering::SeqCst);
        if has_news() {
            list.waiters.pop();
            self.armed.store(list.waiters.len(), Ordering::SeqCst);
            return false;
        }
        true
    }

    /// Tells everybody that is armed. What changed must be visible before this is called.
    pub(crate) fn fire(&self) {
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.armed.load(Ordering::SeqCst) == 0 {
            return;
        }
        let waiters = {
            let mut list = self.list.lock();
            self.armed.store(0, Ordering::SeqCst);
            std::mem::take(&mut list.waiters)
        };
        for (waiter, token) in waiters {
            if let Some(fired) = waiter.upgrade() {
                fired.tokens.lock().push(token);
                fired.waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn news_fires_once_and_names_the_token() {
        let (one, two) = (Watchers::default(), Watchers::default());
        let waiter = Waiter::new();
        assert!(one.arm(&waiter, 1, || false));
        assert!(two.arm(&waiter, 2, || false));
        assert!(waiter.fired().now_or_never().is_none());
        two.fire();
        two.fire();
        assert_eq!(waiter.fired().now_or_never(), Some(vec![2]));
        assert!(waiter.fired().now_or_never().is_none());
        one.fire();
        assert_eq!(waiter.take(), [1]);
    }

    #[test]
    fn who_comes_too_late_is_not_armed() {
        let watchers = Watchers::default();
        let waiter = Waiter::new();
        assert!(!watchers.arm(&waiter, 1, || true));
        watchers.fire();
        assert!(waiter.take().is_empty());
    }

    #[test]
    fn dropped_waiters_do_not_pile_up() {
        let watchers = Watchers::default();
        let kept = Waiter::new();
        assert!(watchers.arm(&kept, 0, || false));
        for _ in 0..1_000 {
            assert!(watchers.arm(&Waiter::new(), 1, || false));
        }
        assert!(watchers.list.lock().waiters.len() <= 2 * CLEAR_FROM);
        watchers.fire();
        assert_eq!(kept.take(), [0]);
    }
}
