//! Waiting until appended batches are durable: one waiter for each request, however many partitions it touches.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use waybill_types::Offset;

/// Why an appended batch was not acked. It may or may not be in the log after the next start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// The write-ahead log failed: KAFKA_STORAGE_ERROR.
    #[error("the write-ahead log failed: {0}")]
    Poisoned(Arc<str>),
    /// The topic was deleted meanwhile.
    #[error("the partition was removed")]
    Removed,
}

#[derive(Debug)]
struct Group {
    remaining: AtomicUsize,
    failure: OnceLock<AckError>,
    waker: AtomicWaker,
}

/// Resolves once every batch that it waits for is durable, or one of them never will be.
#[derive(Debug)]
#[must_use = "nothing is acked before this resolves"]
pub struct Ack(Arc<Group>);

impl Future for Ack {
    type Output = Result<(), AckError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.waker.register(context.waker());
        if let Some(failure) = self.0.failure.get() {
            return Poll::Ready(Err(failure.clone()));
        }
        if self.0.remaining.load(Ordering::Acquire) == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Ack {
    /// Whether everything is durable already.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.remaining.load(Ordering::Acquire) == 0 && self.0.failure.get().is_none()
    }
}

/// The side that counts. Its own share is given back when it is dropped, so an [`Ack`] can not resolve before all
/// batches of its request were added.
#[derive(Debug)]
pub(crate) struct AckBuilder(Arc<Group>);

impl AckBuilder {
    pub(crate) fn new() -> (Self, Ack) {
        let group = Arc::new(Group {
            remaining: AtomicUsize::new(1),
            failure: OnceLock::new(),
            waker: AtomicWaker::new(),
        });
        (Self(Arc::clone(&group)), Ack(group))
    }

    fn share(&self) -> AckShare {
        self.0.remaining.fetch_add(1, Ordering::Relaxed);
        AckShare(Arc::clone(&self.0))
    }

    pub(crate) fn fail(&self, failure: AckError) {
        self.0.fail(failure);
    }
}

impl Drop for AckBuilder {
    fn drop(&mut self) {
        self.0.done();
    }
}

#[derive(Debug)]
struct AckShare(Arc<Group>);

impl Group {
    fn done(&self) {
        if self.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waker.wake();
        }
    }

    fn fail(&self, failure: AckError) {
        // The first failure is the one that is told.
        let _ = self.failure.set(failure);
        self.waker.wake();
    }
}

/// Who waits for which offset of a partition, ascending.
#[derive(Debug, Default)]
pub(crate) struct AckQueue {
    waiting: VecDeque<(Offset, AckShare)>,
}

impl AckQueue {
    /// A batch that was just assigned: its last offset is above every other one's.
    pub(crate) fn push(&mut self, last: Offset, builder: &AckBuilder) {
        self.waiting.push_back((last, builder.share()));
    }

    /// A retry of a batch that is in flight: joins the original's wait.
    pub(crate) fn join(&mut self, last: Offset, builder: &AckBuilder) {
        let at = self.waiting.partition_point(|(offset, _)| *offset <= last);
        self.waiting.insert(at, (last, builder.share()));
    }

    /// Everything below `high_watermark` is durable.
    pub(crate) fn advance(&mut self, high_watermark: Offset) {
        while self.waiting.front().is_some_and(|(last, _)| *last < high_watermark) {
            if let Some((_, share)) = self.waiting.pop_front() {
                share.0.done();
            }
        }
    }

    pub(crate) fn fail_all(&mut self, failure: &AckError) {
        for (_, share) in self.waiting.drain(..) {
            share.0.fail(failure.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_request_is_acked_when_its_last_batch_is() {
        let (mut one, mut two) = (AckQueue::default(), AckQueue::default());
        let (builder, mut ack) = AckBuilder::new();
        one.push(Offset(4), &builder);
        two.push(Offset(9), &builder);
        drop(builder);
        one.advance(Offset(4));
        two.advance(Offset(100));
        assert!((&mut ack).now_or_never().is_none());
        one.advance(Offset(5));
        assert_eq!(ack.now_or_never(), Some(Ok(())));
    }

    #[test]
    fn a_retry_waits_as_long_as_its_original() {
        let mut queue = AckQueue::default();
        let (first, first_ack) = AckBuilder::new();
        queue.push(Offset(4), &first);
        queue.push(Offset(8), &first);
        drop(first);
        let (retry, mut retry_ack) = AckBuilder::new();
        queue.join(Offset(4), &retry);
        drop(retry);
        assert!((&mut retry_ack).now_or_never().is_none());
        queue.advance(Offset(5));
        assert_eq!(retry_ack.now_or_never(), Some(Ok(())));
        assert!(!first_ack.is_done());
        queue.fail_all(&AckError::Removed);
        assert_eq!(first_ack.now_or_never(), Some(Err(AckError::Removed)));
    }

    #[test]
    fn a_request_without_batches_is_done_at_once() {
        let (builder, ack) = AckBuilder::new();
        drop(builder);
        assert_eq!(ack.now_or_never(), Some(Ok(())));
    }
}
