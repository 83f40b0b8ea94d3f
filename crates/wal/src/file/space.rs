//! The reserve of free space: below it produce is refused, just above it slowed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_millis(500);
const SLOWEST: Duration = Duration::from_millis(250);

/// What produce must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    Slow(Duration),
    Refuse,
}

/// Free space as it was seen last.
#[derive(Debug)]
pub(crate) struct Space {
    free_min: u64,
    free: AtomicU64,
    looked_ms: AtomicU64,
    full: AtomicBool,
}

impl Space {
    pub(crate) fn new(free_min: u64) -> Self {
        let looked_ms = AtomicU64::new(u64::MAX);
        Self { free_min, free: AtomicU64::new(u64::MAX), looked_ms, full: AtomicBool::new(false) }
    }

    /// The disk said that it is full, or took a write again.
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// What produce must do at `now`; `look` tells the free space and is asked at most every half second.
    pub(crate) fn room(&self, now: Duration, look: impl FnOnce() -> Option<u64>) -> Room {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked_ms.load(Ordering::Relaxed);
        if looked == u64::MAX || now_ms.saturating_sub(looked) >= LOOK_EVERY.as_millis() as u64 {
            self.looked_ms.store(now_ms, Ordering::Relaxed);
            self.free.store(look().unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        if self.full.load(Ordering::Relaxed) {
            return Room::Refuse;
        }
        room(self.free.load(Ordering::Relaxed), self.free_min)
    }
}

/// Slows from no delay at 5/4 of the reserve to the longest at the reserve.
fn room(free: u64, free_min: u64) -> Room {
    let band = free_min / 4;
    if free < free_min {
        Room::Refuse
    } else if free - free_min < band {
        let lacking = band - (free - free_min);
        Room::Slow(SLOWEST.mul_f64(lacking as f64 / band as f64))
    } else {
        Room::Free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn produce_is_slowed_before_it_is_refused() {
        assert_eq!(room(1000, 400), Room::Free);
        assert_eq!(room(450, 400), Room::Slow(SLOWEST / 2));
        assert_eq!(room(400, 400), Room::Slow(SLOWEST));
        assert_eq!(room(399, 400), Room::Refuse);
        assert_eq!(room(0, 0), Room::Free);
    }

    #[test]
    fn the_disk_is_asked_twice_a_second_at_most() {
        let space = Space::new(100);
        assert_eq!(space.room(Duration::ZERO, || Some(5)), Room::Refuse);
        assert_eq!(space.room(Duration::from_millis(499), || panic!("too soon")), Room::Refuse);
        assert_eq!(space.room(Duration::from_millis(500), || Some(1000)), Room::Free);
        space.set_full(true);
        assert_eq!(space.room(Duration::from_millis(501), || panic!("too soon")), Room::Refuse);
    }
}
