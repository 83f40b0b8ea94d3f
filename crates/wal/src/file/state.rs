//! What the writer, the zeroing and the callers share, and what there is to do next. Pure.

use std::collections::VecDeque;

use crate::api::{WalError, WalPermit, WalPosition};
use crate::file::layout::Geometry;
use crate::file::tail::{Plan, Tail};
use crate::frame::Frame;
use crate::sabotage::Sabotage;

/// A frame that waits. The permit of one call stays with its last frame.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) frame: Frame,
    pub(crate) permit: Option<WalPermit>,
}

/// What the writer does next.
#[derive(Debug)]
pub(crate) enum Job {
    /// Writes these frames as one group into the file in `slot`.
    Group { plan: Plan, frames: Vec<Queued>, slot: usize },
    /// Nothing to write: after the idle time an empty group.
    Idle,
    /// Nothing can be done before someone wakes the writer.
    Wait(Waiting),
    /// Someone else found a failure: tell of it and end.
    Poisoned,
    /// Ends.
    Stop,
}

/// What the writer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    Frames,
    /// The next file still holds what is not in segments yet.
    Trim,
    Zeroing,
}

/// A stretch of a file that is to be zeroed before it is first written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ZeroJob {
    pub(crate) slot: usize,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) ring: Geometry,
    pub(crate) queue: VecDeque<Queued>,
    pub(crate) tail: Tail,
    pub(crate) trim: WalPosition,
    /// Per slot: the file is zeroed, or was written, up to here. The writer stays below, the zeroing above.
    pub(crate) zeroed: Vec<u64>,
    /// What the writer waits for: this slot zeroed up to there.
    pub(crate) zero_need: Option<(usize, u64)>,
    pub(crate) roll: bool,
    pub(crate) closing: bool,
    /// Nobody holds the WAL any more: end without writing.
    pub(crate) abandoned: bool,
    /// The writer has ended.
    pub(crate) ended: bool,
    pub(crate) failure: Option<WalError>,
    pub(crate) sabotage: Sabotage,
}

impl State {
    /// What the writer does next. `idle`: the idle time has passed without frames.
    pub(crate) fn next_job(&mut self, idle: bool, group_bytes: usize) -> Job {
        if self.failure.is_some() {
            return Job::Poisoned;
        }
        if self.abandoned {
            return Job::Stop;
        }
        if std::mem::take(&mut self.roll) {
            self.tail.roll();
        }
        let cover =
            self.tail.is_uncovered() && (idle || self.closing) && !self.sabotage.breaks(Sabotage::NoCover);
        if self.queue.is_empty() && !cover {
            if self.closing {
                // All frames are durable: let segments be made of all of them.
                self.tail.roll();
                return Job::Stop;
            }
            return if self.tail.is_uncovered() { Job::Idle } else { Job::Wait(Waiting::Frames) };
        }
        self.group(group_bytes)
    }

    fn group(&mut self, group_bytes: usize) -> Job {
        let plan = self.tail.plan(self.queue.iter().map(|queued| queued.frame.records.len()), group_bytes);
        let file = self.ring.file_of(plan.position);
        let free = self.ring.is_free(file, self.trim) || self.sabotage.breaks(Sabotage::RecycleBeforeTrim);
        if !free {
            if self.closing && plan.frames == 0 {
                return Job::Stop;
            }
            return Job::Wait(Waiting::Trim);
        }
        let slot = self.ring.slot_of(file);
        let end = self.ring.offset_of(plan.position) + plan.length as u64;
        if self.zeroed.get(slot).is_none_or(|zeroed| *zeroed < end) {
            self.zero_need = Some((slot, end));
            return Job::Wait(Waiting::Zeroing);
        }
        Job::Group { plan, frames: self.queue.drain(..plan.frames).collect(), slot }
    }

    /// The next stretch to zero: what the writer waits for, else two steps ahead of it, into the next file if need be.
    pub(crate) fn zero_job(&self, step: u64) -> Option<ZeroJob> {
        let size = self.ring.file_size;
        let position = self.tail.position();
        let ahead = self.ring.offset_of(position) + 2 * step;
        let slot = self.ring.slot_of(self.ring.file_of(position));
        let next = (slot + 1) % self.zeroed.len().max(1);
        let wanted =
            [self.zero_need, Some((slot, ahead.min(size))), (ahead > size).then_some((next, step.min(size)))];
        wanted.into_iter().flatten().find_map(|(slot, end)| {
            let from = *self.zeroed.get(slot)?;
            (from < end).then_some(ZeroJob { slot, from, to: (from + step).min(size) })
        })
    }

    /// Whether the writer will soon be where `job` begins, less than `step` away: then there is no time to go gently.
    pub(crate) fn presses(&self, job: ZeroJob, step: u64) -> bool {
        let position = self.tail.position();
        let begins = self.ring.expected(job.slot, job.from, position);
        self.zero_need.is_some() || begins.0.saturating_sub(position.0) < step
    }

    /// A stretch is zeroed.
    pub(crate) fn zeroed(&mut self, job: ZeroJob) {
        if let Some(zeroed) = self.zeroed.get_mut(job.slot) {
            *zeroed = job.to;
        }
        if self.zero_need.is_some_and(|(slot, end)| slot == job.slot && end <= job.to) {
            self.zero_need = None;
        }
    }
}
