//! What a reader of another's chain may serve. Pure.
//!
//! Only the prefix on the store commits a record: slot *n* is served after every slot from a durable trim up to *n* was read
//! as data, by this reader.

use crate::chain::names::Slot;
use crate::chain::writer::Found;
use crate::sabotage::Sabotage;

/// Where a reader stands in a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Follower {
    next: Slot,
    ended: bool,
    sabotage: Sabotage,
}

impl Follower {
    /// Starts at a trim that was durable.
    #[must_use]
    pub fn new(trim: Slot, sabotage: Sabotage) -> Self {
        Self { next: trim.max(1), ended: false, sabotage }
    }

    /// The slot to read next; `None` once the chain's end was met.
    #[must_use]
    pub fn next(&self) -> Option<Slot> {
        (!self.ended).then_some(self.next)
    }

    /// Takes what a read of a slot found. Whether its records may be served.
    pub fn on(&mut self, slot: Slot, found: Found) -> bool {
        let blind = self.sabotage.breaks(Sabotage::ReadPastHole);
        if self.ended || (slot != self.next && !(blind && slot > self.next)) {
            return false;
        }
        match found {
            Found::Ours | Found::Data => {
                self.next = slot + 1;
                true
            }
            Found::Seal => {
                self.ended = true;
                false
            }
            // Not yet there, not to be read now, or damaged: nothing behind it may be served.
            Found::Absent | Found::Failed | Found::Differs | Found::Damaged => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_holds_back_what_stands_behind_it() {
        let mut follower = Follower::new(1, Sabotage::None);
        assert!(!follower.on(2, Found::Data));
        assert!(!follower.on(1, Found::Absent));
        assert!(follower.on(1, Found::Data) && follower.on(2, Found::Data));
        assert_eq!(follower.next(), Some(3));
        assert!(!follower.on(3, Found::Damaged));
        assert!(!follower.on(3, Found::Seal));
        assert_eq!(follower.next(), None);
        assert!(!follower.on(3, Found::Data));
    }
}
