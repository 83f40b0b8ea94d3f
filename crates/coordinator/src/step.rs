//! What a step of the machine asks its driver to do.

use std::time::Duration;

use waybill_types::TimestampMs;

use crate::answer::{JoinAnswer, SyncAnswer};
use crate::record::Record;

/// The time, as the driver reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, for what is recorded.
    pub wall: TimestampMs,
    /// A clock that never goes back, for timers.
    pub monotonic: Duration,
}

/// A request that may be parked, named by the driver; never used twice while the first is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The answer to a request that may have been parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parked {
    /// To a JoinGroup.
    Join(JoinAnswer),
    /// To a SyncGroup.
    Sync(SyncAnswer),
}

/// What to do next: append `records`, in order and before those of any later step; send `answers` once these records
/// and those of all earlier steps are durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "records must be appended and answers sent"]
pub struct Step {
    /// What to append.
    pub records: Vec<Record>,
    /// Whom to answer what.
    pub answers: Vec<(RequestId, Parked)>,
}

impl Step {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.answers.is_empty()
    }

    pub(crate) fn join(&mut self, to: RequestId, answer: JoinAnswer) {
        self.answers.push((to, Parked::Join(answer)));
    }

    pub(crate) fn sync(&mut self, to: RequestId, answer: SyncAnswer) {
        self.answers.push((to, Parked::Sync(answer)));
    }
}
