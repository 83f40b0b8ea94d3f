//! Where the next group goes. Pure.

use crate::api::WalPosition;
use crate::entry::ENTRY_LEN;
use crate::file::layout::Geometry;
use crate::group::GROUP_HEADER_LEN;

/// The end of the log as its one writer knows it. One group is in flight at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    ring: Geometry,
    /// Where the next group goes if it fits there.
    position: WalPosition,
    /// The end of the last durable group.
    end: WalPosition,
    /// Frames were written that no later group covers yet.
    uncovered: bool,
    /// The current file holds frames.
    file_has_frames: bool,
}

/// A group that is about to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) position: WalPosition,
    pub(crate) previous: WalPosition,
    pub(crate) durable: WalPosition,
    /// How many frames it takes.
    pub(crate) frames: usize,
    /// Bytes without padding.
    pub(crate) used: usize,
    /// Bytes with padding.
    pub(crate) length: usize,
}

impl Plan {
    pub(crate) fn end(&self) -> WalPosition {
        WalPosition(self.position.0.saturating_add(self.length as u64))
    }
}

impl Tail {
    pub(crate) fn new(ring: Geometry, start: WalPosition) -> Self {
        Self { ring, position: start, end: start, uncovered: false, file_has_frames: false }
    }

    /// Plans a group of as many frames, of the given record lengths, as fit into `group_bytes` and the rest of the
    /// file; at least one, if there is one. Without frames it is an empty group.
    pub(crate) fn plan(&self, lengths: impl Iterator<Item = usize>, group_bytes: usize) -> Plan {
        let mut position = self.position;
        let mut room = self.room_at(position);
        let (mut used, mut frames) = (GROUP_HEADER_LEN, 0);
        for length in lengths {
            let grown = used.saturating_add(ENTRY_LEN).saturating_add(length);
            let padded = self.ring.padded(grown);
            if frames == 0 {
                if padded > room {
                    position = self.ring.start_at_or_after(position);
                    room = self.room_at(position);
                }
            } else if padded > room || padded > group_bytes {
                break;
            }
            used = grown;
            frames += 1;
        }
        Plan { position, previous: self.end, durable: self.end, frames, used, length: self.ring.padded(used) }
    }

    fn room_at(&self, position: WalPosition) -> usize {
        usize::try_from(self.ring.file_size - self.ring.offset_of(position)).unwrap_or(usize::MAX)
    }

    /// The group is durable.
    pub(crate) fn written(&mut self, plan: &Plan) {
        if self.ring.file_of(plan.position) != self.ring.file_of(self.end) {
            self.file_has_frames = false;
        }
        self.position = plan.end();
        self.end = plan.end();
        self.uncovered = plan.frames > 0;
        self.file_has_frames |= plan.frames > 0;
        if self.ring.is_start(self.position) {
            self.file_has_frames = false;
        }
    }

    /// Leaves the rest of the current file unused, if it holds frames.
    pub(crate) fn roll(&mut self) {
        if self.file_has_frames {
            self.position = self.ring.start_at_or_after(self.position);
            self.file_has_frames = false;
        }
    }

    /// Where the next group goes if it fits there.
    pub(crate) fn position(&self) -> WalPosition {
        self.position
    }

    /// Whether the last frames would be cut without an error if their group were damaged now.
    pub(crate) fn is_uncovered(&self) -> bool {
        self.uncovered
    }

    /// Everything below is durable.
    pub(crate) fn end(&self) -> WalPosition {
        self.end
    }

    /// The start of the file that is written next: everything below is durable and stands in whole files.
    pub(crate) fn flushable_end(&self) -> WalPosition {
        self.ring.start_of(self.ring.file_of(self.position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: Geometry = Geometry { files: 4, file_size: 4 * 4096, block: 4096 };

    #[test]
    fn groups_are_padded_and_lie_in_one_file() {
        let mut tail = Tail::new(RING, RING.start_of(5));
        let first = tail.plan([100, 100].into_iter(), 1 << 20);
        assert_eq!((first.frames, first.length, first.position), (2, 4096, RING.start_of(5)));
        tail.written(&first);
        assert!(tail.is_uncovered());
        // 3 blocks are left; a frame of 3 blocks and its headers does not fit.
        let second = tail.plan(std::iter::once(3 * 4096), 1 << 20);
        assert_eq!((second.position, second.previous), (RING.start_of(6), first.end()));
        tail.written(&second);
        assert_eq!(second.length, 4 * 4096);
        assert_eq!(tail.flushable_end(), RING.start_of(7));
        let cover = tail.plan(std::iter::empty(), 1 << 20);
        assert_eq!((cover.position, cover.durable, cover.length), (RING.start_of(7), second.end(), 4096));
        tail.written(&cover);
        assert!(!tail.is_uncovered());
    }

    #[test]
    fn a_group_takes_what_fits_and_at_least_one_frame() {
        let tail = Tail::new(RING, RING.start_of(0));
        assert_eq!(tail.plan([3000, 3000, 3000].into_iter(), 8192).frames, 2);
        assert_eq!(tail.plan([9000, 1].into_iter(), 4096).frames, 1);
    }

    #[test]
    fn rolling_needs_frames_and_leaves_no_empty_file() {
        let mut tail = Tail::new(RING, RING.start_of(0));
        tail.roll();
        assert_eq!(tail.flushable_end(), RING.start_of(0));
        let plan = tail.plan(std::iter::once(10), 4096);
        tail.written(&plan);
        tail.roll();
        assert_eq!((tail.flushable_end(), tail.end()), (RING.start_of(1), plan.end()));
        let cover = tail.plan(std::iter::empty(), 4096);
        assert_eq!((cover.position, cover.previous), (RING.start_of(1), plan.end()));
        tail.written(&cover);
        tail.roll();
        assert_eq!(tail.flushable_end(), RING.start_of(1));
    }
}
