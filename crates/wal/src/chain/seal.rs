//! How anyone ends a chain. Pure: an event in, the next action out.
//!
//! 1. Read the open record: a wrong store must never look like an empty chain.
//! 2. LIST the chain, and create a seal far enough ahead that the writer runs into it: it has at most `depth` slots in
//!    flight. Walking slot by slot would never catch a busy writer.
//! 3. Walk from the trim, and create a seal at the first slot that is not data. The chain ends at the lowest seal at or
//!    above the trim; the one ahead means nothing else.
//!
//! A seal's create that is not answered with success is followed by a read: data means go on, any seal is the end, absence
//! means create it again. A data slot that can not be read is data.

use crate::chain::names::Slot;
use crate::chain::writer::{Found, PutAnswer};
use crate::sabotage::Sabotage;

/// What a read of the open record found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpenFound {
    /// The open record of this chain in this store.
    Ours {
        /// The writer's bound on slots in flight.
        depth: u32,
    },
    /// No object.
    Absent,
    /// Something that is not this chain's open record: another store, chain or format, or damage.
    Other,
    /// Refused (403): says nothing about the chain.
    Denied,
    /// The read failed or timed out.
    Failed,
}

/// Why nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum SealRefusal {
    /// There is no open record.
    #[error("its open record is absent: is this the store that the broker wrote to?")]
    NoOpenRecord,
    /// The open record is not this chain's.
    #[error("its open record is damaged, or another chain's or store's")]
    WrongOpenRecord,
    /// The open record may not be read.
    #[error("its open record may not be read (403): allow reading on this prefix")]
    Denied,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SealEvent {
    /// The open record was read.
    OpenRead(OpenFound),
    /// The chain was listed: the highest slot there is, if any but failed.
    Listed(Option<Slot>),
    /// The LIST failed.
    ListFailed,
    /// The create that was asked for was answered.
    Answered(PutAnswer),
    /// The read that was asked for came home.
    Read(Found),
}

/// What to do next: one thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SealAction {
    /// Read slot 0.
    ReadOpen,
    /// List the chain.
    List,
    /// Create a seal.
    PutSeal(Slot),
    /// Read a slot.
    Read(Slot),
    /// The chain ends here, at a seal that is durable.
    Ended(Slot),
    /// Nothing was sealed, and nothing must be concluded.
    Refused(SealRefusal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Phase {
    Open,
    List,
    Ahead(Slot),
    Walk(Slot),
    Ended(Slot),
    Refused(SealRefusal),
}

/// The state of one attempt to end a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sealer {
    trim: Slot,
    depth: u32,
    phase: Phase,
    /// The next action of the walk or the seal ahead is a read, not a create.
    reads: bool,
    listed: Slot,
    damaged: Vec<Slot>,
    sabotage: Sabotage,
}

impl Sealer {
    /// Starts at `trim`, which the metadata store's owner read in the commit that set the chain to recovering; anyone else
    /// seals from slot 1 or any trim that was durable.
    #[must_use]
    pub fn new(trim: Slot, sabotage: Sabotage) -> Self {
        let trim = trim.max(1);
        Self { trim, depth: 1, phase: Phase::Open, reads: false, listed: 0, damaged: Vec::new(), sabotage }
    }

    /// What to do next. The same until the event that answers it.
    #[must_use]
    pub fn action(&self) -> SealAction {
        match self.phase {
            Phase::Open => SealAction::ReadOpen,
            Phase::List => SealAction::List,
            Phase::Ahead(slot) | Phase::Walk(slot) if self.reads => SealAction::Read(slot),
            Phase::Ahead(slot) | Phase::Walk(slot) => SealAction::PutSeal(slot),
            Phase::Ended(slot) => SealAction::Ended(slot),
            Phase::Refused(why) => SealAction::Refused(why),
        }
    }

    /// Slots of data below the end whose bytes made no sense. Each is data: an alarm, never an end.
    #[must_use]
    pub fn damaged(&self) -> &[Slot] {
        &self.damaged
    }

    /// The highest slot that the last LIST showed: a hint for reading ahead.
    #[must_use]
    pub fn listed(&self) -> Slot {
        self.listed
    }

    /// The slot of the seal ahead: no data stands above it that counts. A hint for reading ahead.
    #[must_use]
    pub fn horizon(&self) -> Slot {
        self.listed.saturating_add(1).saturating_add(4 * u64::from(self.depth))
    }

    /// Takes the answer to [`Self::action`]. An event that does not belong to it is ignored.
    pub fn on(&mut self, event: SealEvent) {
        match (self.phase, event) {
            (Phase::Open, SealEvent::OpenRead(found)) => self.open_read(found),
            (Phase::List, SealEvent::Listed(highest)) => self.on_listed(highest),
            (Phase::Ahead(slot), SealEvent::Answered(answer)) => self.ahead_answered(slot, answer),
            (Phase::Ahead(slot), SealEvent::Read(found)) => self.ahead_read(slot, found),
            (Phase::Walk(slot), SealEvent::Answered(answer)) => self.walk_answered(slot, answer),
            (Phase::Walk(slot), SealEvent::Read(found)) => self.walk_read(slot, found),
            _ => {}
        }
    }

    fn open_read(&mut self, found: OpenFound) {
        self.phase = match found {
            OpenFound::Ours { depth } => {
                self.depth = depth;
                Phase::List
            }
            OpenFound::Absent => Phase::Refused(SealRefusal::NoOpenRecord),
            OpenFound::Other => Phase::Refused(SealRefusal::WrongOpenRecord),
            OpenFound::Denied => Phase::Refused(SealRefusal::Denied),
            OpenFound::Failed => Phase::Open,
        };
    }

    fn on_listed(&mut self, highest: Option<Slot>) {
        // Slot 0 was read a moment ago: a LIST that does not show it is as good as one that shows only it.
        let highest = highest.unwrap_or(0).max(self.trim.saturating_sub(1));
        self.listed = highest;
        self.reads = false;
        let ahead =
            if self.sabotage.breaks(Sabotage::SealBehindListed) { highest + 1 } else { self.horizon() };
        self.phase = Phase::Ahead(ahead);
    }

    fn ahead_answered(&mut self, slot: Slot, answer: PutAnswer) {
        match answer {
            PutAnswer::Created => self.ahead_stands(slot),
            PutAnswer::Exists | PutAnswer::Unknown => self.reads = true,
        }
    }

    fn ahead_read(&mut self, slot: Slot, found: Found) {
        match found {
            Found::Seal => self.ahead_stands(slot),
            Found::Absent => self.reads = false,
            Found::Failed => {}
            // The writer got there first.
            Found::Ours | Found::Differs | Found::Data | Found::Damaged => self.phase = Phase::List,
        }
    }

    fn ahead_stands(&mut self, slot: Slot) {
        let taken = self.sabotage.breaks(Sabotage::SealAheadIsEnd)
            || self.sabotage.breaks(Sabotage::SealBehindListed);
        if taken {
            self.phase = Phase::Ended(slot);
            return;
        }
        self.phase = Phase::Walk(self.trim);
        self.reads = true;
    }

    fn walk_answered(&mut self, slot: Slot, answer: PutAnswer) {
        let blind = (answer == PutAnswer::Unknown && self.sabotage.breaks(Sabotage::SealTimeoutIsSeal))
            || (answer == PutAnswer::Exists && self.sabotage.breaks(Sabotage::SealExistsIsSeal));
        if answer == PutAnswer::Created || blind {
            self.phase = Phase::Ended(slot);
        } else {
            self.reads = true;
        }
    }

    fn walk_read(&mut self, slot: Slot, found: Found) {
        match found {
            Found::Seal => self.phase = Phase::Ended(slot),
            Found::Absent => self.reads = false,
            Found::Failed => {}
            Found::Ours | Found::Differs | Found::Data | Found::Damaged => {
                if found == Found::Damaged {
                    self.damaged.push(slot);
                }
                self.phase = Phase::Walk(slot + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(trim: Slot, depth: u32) -> Sealer {
        let mut sealer = Sealer::new(trim, Sabotage::None);
        assert_eq!(sealer.action(), SealAction::ReadOpen);
        sealer.on(SealEvent::OpenRead(OpenFound::Ours { depth }));
        assert_eq!(sealer.action(), SealAction::List);
        sealer
    }

    #[test]
    fn seals_ahead_first_and_then_at_the_first_free_slot() {
        let mut sealer = opened(1, 2);
        sealer.on(SealEvent::Listed(Some(3)));
        assert_eq!(sealer.action(), SealAction::PutSeal(12));
        sealer.on(SealEvent::Answered(PutAnswer::Created));
        for slot in 1..=3 {
            assert_eq!(sealer.action(), SealAction::Read(slot));
            sealer.on(SealEvent::Read(if slot == 2 { Found::Damaged } else { Found::Data }));
        }
        assert_eq!(sealer.action(), SealAction::Read(4));
        sealer.on(SealEvent::Read(Found::Absent));
        assert_eq!(sealer.action(), SealAction::PutSeal(4));
        // The writer was faster.
        sealer.on(SealEvent::Answered(PutAnswer::Exists));
        sealer.on(SealEvent::Read(Found::Data));
        sealer.on(SealEvent::Read(Found::Failed));
        assert_eq!(sealer.action(), SealAction::Read(5));
        sealer.on(SealEvent::Read(Found::Absent));
        sealer.on(SealEvent::Answered(PutAnswer::Unknown));
        sealer.on(SealEvent::Read(Found::Absent));
        assert_eq!(sealer.action(), SealAction::PutSeal(5));
        sealer.on(SealEvent::Answered(PutAnswer::Unknown));
        sealer.on(SealEvent::Read(Found::Seal));
        assert_eq!(sealer.action(), SealAction::Ended(5));
        assert_eq!(sealer.damaged(), [2]);
    }

    #[test]
    fn lists_again_when_the_slot_ahead_is_taken() {
        let mut sealer = opened(7, 1);
        sealer.on(SealEvent::ListFailed);
        sealer.on(SealEvent::Listed(None));
        assert_eq!(sealer.action(), SealAction::PutSeal(11), "never below the trim");
        sealer.on(SealEvent::Answered(PutAnswer::Exists));
        sealer.on(SealEvent::Read(Found::Data));
        assert_eq!(sealer.action(), SealAction::List);
        sealer.on(SealEvent::Listed(Some(30)));
        sealer.on(SealEvent::Answered(PutAnswer::Exists));
        // Another sealer's seal is as good.
        sealer.on(SealEvent::Read(Found::Seal));
        assert_eq!(sealer.action(), SealAction::Read(7));
    }

    #[test]
    fn seals_nothing_where_the_open_record_is_not_right() {
        let cases = [
            (OpenFound::Absent, SealRefusal::NoOpenRecord),
            (OpenFound::Other, SealRefusal::WrongOpenRecord),
            (OpenFound::Denied, SealRefusal::Denied),
        ];
        for (found, why) in cases {
            let mut sealer = Sealer::new(1, Sabotage::None);
            sealer.on(SealEvent::OpenRead(OpenFound::Failed));
            sealer.on(SealEvent::OpenRead(found));
            assert_eq!(sealer.action(), SealAction::Refused(why));
            sealer.on(SealEvent::Listed(Some(1)));
            assert_eq!(sealer.action(), SealAction::Refused(why));
        }
    }
}
