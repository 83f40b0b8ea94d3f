//! What the callers and the driver of a chain share. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::api::{WalError, WalPermit, WalPosition};
use crate::chain::names::Slot;
use crate::chain::pace::Filling;
use crate::chain::slot::Head;
use crate::entry::ENTRY_LEN;
use crate::frame::Frame;

/// A frame that waits. The permit of one call stays with its last frame.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) frame: Frame,
    pub(crate) since: Duration,
    pub(crate) permit: Option<WalPermit>,
}

/// Where the records of a durable object stand, to read them back.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) head: Head,
    /// Per batch: where its records begin in the object, and their checksum.
    pub(crate) frames: Vec<(u32, u32)>,
}

/// What a frame takes up in an object: small ones are mostly entry.
fn weight(frame: &Frame) -> usize {
    frame.records.len() + ENTRY_LEN
}

#[derive(Debug, Default)]
pub(crate) struct State {
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    places: BTreeMap<WalPosition, Place>,
    /// The last durable object, trimmed or not.
    last: Option<Head>,
    pub(crate) trim: WalPosition,
    pub(crate) roll: bool,
    pub(crate) closing: bool,
    /// Nobody holds the WAL any more: end without writing.
    pub(crate) abandoned: bool,
    /// The driver has ended.
    pub(crate) ended: bool,
    pub(crate) full: bool,
    pub(crate) failure: Option<WalError>,
}

impl State {
    pub(crate) fn starting(trim: WalPosition) -> Self {
        Self { trim, ..Self::default() }
    }

    pub(crate) fn check_open(&self) -> Result<(), WalError> {
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None if self.closing || self.abandoned || self.ended => Err(WalError::Closed),
            None => Ok(()),
        }
    }

    pub(crate) fn push(&mut self, frames: Vec<Frame>, permit: WalPermit, now: Duration) {
        let mut permit = Some(permit);
        let last = frames.len().saturating_sub(1);
        for (at, frame) in frames.into_iter().enumerate() {
            self.queued_bytes += weight(&frame);
            let permit = if at == last { permit.take() } else { None };
            self.queue.push_back(Queued { frame, since: now, permit });
        }
    }

    /// The object that is filling.
    pub(crate) fn filling(&self) -> Option<Filling> {
        self.queue.front().map(|first| Filling { bytes: self.queued_bytes, since: first.since })
    }

    /// Takes frames for one object: up to `full` bytes, or one larger frame.
    pub(crate) fn take(&mut self, full: usize) -> Vec<Queued> {
        let (mut taken, mut bytes) = (Vec::new(), 0_usize);
        while let Some(next) = self.queue.front() {
            let more = weight(&next.frame);
            if !taken.is_empty() && bytes.saturating_add(more) > full {
                break;
            }
            bytes += more;
            taken.extend(self.queue.pop_front());
        }
        self.queued_bytes = self.queued_bytes.saturating_sub(bytes);
        taken
    }

    /// Gives up everything that waits.
    pub(crate) fn clear(&mut self) -> VecDeque<Queued> {
        self.queued_bytes = 0;
        std::mem::take(&mut self.queue)
    }

    pub(crate) fn place(&mut self, place: Place) {
        if self.last.as_ref().is_none_or(|last| last.slot < place.head.slot) {
            self.last = Some(place.head);
        }
        self.places.insert(place.head.position, place);
    }

    /// Durable objects that are not trimmed.
    pub(crate) fn slots_held(&self) -> u64 {
        self.places.len() as u64
    }

    /// The object that holds a position.
    pub(crate) fn find(&self, position: WalPosition) -> Option<&Place> {
        let (_, place) = self.places.range(..=position).next_back()?;
        (position < place.head.end()).then_some(place)
    }

    /// The first slot that holds anything at or above a position.
    pub(crate) fn slot_from(&self, position: WalPosition) -> Option<Slot> {
        let held = self.find(position).map(|place| place.head.slot);
        held.or_else(|| self.places.range(position..).next().map(|(_, place)| place.head.slot))
    }

    /// As [`Self::slot_from`]; behind everything durable it is the next slot.
    pub(crate) fn first_kept(&self, position: WalPosition) -> Option<Slot> {
        let behind = || self.last.as_ref().filter(|last| last.end() <= position).map(|last| last.slot + 1);
        self.slot_from(position).or_else(behind)
    }

    pub(crate) fn trim(&mut self, position: WalPosition) {
        self.trim = self.trim.max(position);
        let trim = self.trim;
        while self.places.first_key_value().is_some_and(|(_, place)| place.head.end() <= trim) {
            self.places.pop_first();
        }
    }
}
