//! What the metadata lets happen to a chain. Pure; whoever owns the metadata store makes each of these decisions on what is
//! durable, in the commit that it is about.
//!
//! This is the one place that decides it: production reads a [`Ledger`] from the chain's record and writes it back in a batch
//! that requires the record unchanged; the simulations and the model keep the ledger itself.

use waybill_types::{LeaderEpoch, Offset};

use crate::chain::names::{ChainId, Slot};
use crate::frame::FrameHeader;
use crate::sabotage::Sabotage;

/// The first slot that holds records; slot 0 is the open record.
pub const FIRST_SLOT: Slot = 1;

/// One try to recover a chain. Later ones are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    /// The controller's term.
    pub term: u64,
    /// The try within it.
    pub number: u64,
}

/// How far a chain's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainState {
    /// Its writer may commit to the index.
    Open,
    /// Being recovered: index commits, trims and deletions of this chain are refused.
    Recovering(Attempt),
    /// Recovered. Its end is the seal at this slot.
    Closed(Slot),
}

/// Why a decision was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// The chain is being recovered.
    #[error("the chain is being recovered")]
    Recovering,
    /// The chain is closed.
    #[error("the chain is closed")]
    Closed,
    /// A later attempt has taken over, or none was begun.
    #[error("the chain is not being recovered by this attempt")]
    Superseded,
    /// The trim would go back.
    #[error("the trim would go back")]
    TrimBack,
}

/// What the metadata knows about a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ledger {
    state: ChainState,
    trim: Slot,
    sabotage: Sabotage,
}

impl Ledger {
    /// A chain that was just registered.
    #[must_use]
    pub fn registered(sabotage: Sabotage) -> Self {
        Self::known(ChainState::Open, FIRST_SLOT, sabotage)
    }

    /// A chain as its record says.
    #[must_use]
    pub fn known(state: ChainState, trim: Slot, sabotage: Sabotage) -> Self {
        Self { state, trim, sabotage }
    }

    /// How far its life has come.
    #[must_use]
    pub fn state(&self) -> ChainState {
        self.state
    }

    /// The slots below are in the index.
    #[must_use]
    pub fn trim(&self) -> Slot {
        self.trim
    }

    /// Starts a recovery: the commit that holds this also reads the trim that it gives.
    ///
    /// # Errors
    /// When the chain is closed, or this attempt or a later one has it.
    pub fn begin(&mut self, attempt: Attempt) -> Result<Slot, Refusal> {
        match self.state {
            ChainState::Closed(_) => Err(Refusal::Closed),
            ChainState::Recovering(other) if other >= attempt => Err(Refusal::Superseded),
            ChainState::Recovering(_) | ChainState::Open => {
                self.state = ChainState::Recovering(attempt);
                Ok(self.trim)
            }
        }
    }

    /// The writer's index commit for the slots below `trim`, in the commit that holds this.
    ///
    /// # Errors
    /// Once a recovery has begun, or when the trim would go back.
    pub fn index(&mut self, trim: Slot) -> Result<(), Refusal> {
        if !self.sabotage.any(&[Sabotage::NoFreeze, Sabotage::IndexUnchecked]) {
            match self.state {
                ChainState::Recovering(_) => return Err(Refusal::Recovering),
                ChainState::Closed(_) => return Err(Refusal::Closed),
                ChainState::Open => {}
            }
            if trim < self.trim {
                return Err(Refusal::TrimBack);
            }
        }
        self.trim = trim;
        Ok(())
    }

    /// Whether a recovery's commit, or a part of it, may be applied.
    ///
    /// # Errors
    /// Unless the chain is still being recovered by this attempt.
    pub fn recovers(&self, attempt: Attempt) -> Result<(), Refusal> {
        match self.state {
            _ if self.sabotage.breaks(Sabotage::RecoveryUnchecked) => Ok(()),
            ChainState::Recovering(other) if other == attempt => Ok(()),
            ChainState::Closed(_) => Err(Refusal::Closed),
            ChainState::Recovering(_) | ChainState::Open => Err(Refusal::Superseded),
        }
    }

    /// The last part of a recovery: everything up to the seal at `end` is in the index.
    ///
    /// # Errors
    /// As [`Self::recovers`].
    pub fn close(&mut self, attempt: Attempt, end: Slot) -> Result<(), Refusal> {
        self.recovers(attempt)?;
        self.state = ChainState::Closed(end);
        Ok(())
    }

    /// Whether an object of the chain may be deleted, decided after a LIST from the state of a later durable commit. `named`: the
    /// index names it. Late creates make deleted slots again, so a closed chain is swept again and again.
    #[must_use]
    pub fn may_delete(&self, slot: Slot, named: bool) -> bool {
        if self.sabotage.breaks(Sabotage::DeleteNamed) && slot < self.trim.max(self.end_or_zero()) {
            return true;
        }
        match self.state {
            // The seal at the end stays for ever: no grace period stops a create that lands late.
            ChainState::Closed(end) => !named && (slot != end || self.sabotage.breaks(Sabotage::DeleteSeal)),
            _ if self.sabotage.breaks(Sabotage::SweepOpen) => !named,
            _ if self.sabotage.any(&DELETES_IN_OPEN) => !named && slot < self.trim,
            ChainState::Open | ChainState::Recovering(_) => false,
        }
    }

    fn end_or_zero(&self) -> Slot {
        if let ChainState::Closed(end) = self.state { end } else { 0 }
    }
}

/// Mutants that leave out a rule which "delete only in closed chains" covers, so that one is left out too.
const DELETES_IN_OPEN: [Sabotage; 5] = [
    Sabotage::StaleTrim,
    Sabotage::NoFreeze,
    Sabotage::RecoveryUnchecked,
    Sabotage::IndexUnchecked,
    Sabotage::DeleteEarly,
];

/// What the metadata knows about a partition when a chain is recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionMark {
    /// The current leader epoch.
    pub epoch: LeaderEpoch,
    /// The chain that this epoch belongs to.
    pub chain: ChainId,
    /// Everything below is in the index.
    pub end: Offset,
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It is the next one.
    Take,
    /// Another epoch's or chain's, or in the index already.
    Skip,
    /// A batch before it is missing: stop with an alarm.
    Gap,
}

impl PartitionMark {
    /// Whether a batch that stands in `chain` is the next of this partition. Also the check of a leader's index commit.
    #[must_use]
    pub fn judge(&self, chain: ChainId, batch: &FrameHeader, sabotage: Sabotage) -> Verdict {
        if sabotage.breaks(Sabotage::NoEpochFilter) {
            return Verdict::Take;
        }
        if batch.leader_epoch != self.epoch || self.chain != chain || batch.base_offset < self.end {
            return Verdict::Skip;
        }
        let gap = batch.base_offset > self.end && !sabotage.breaks(Sabotage::TakeOrphans);
        if gap { Verdict::Gap } else { Verdict::Take }
    }

    /// Moves the end behind a batch that was taken.
    pub fn take(&mut self, batch: &FrameHeader) {
        self.end = Offset(batch.last_offset.get().saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_types::{BrokerId, Incarnation, PartitionId, TopicId, TopicPartition};

    const FIRST: Attempt = Attempt { term: 1, number: 9 };
    const SECOND: Attempt = Attempt { term: 2, number: 0 };

    #[test]
    fn recovery_freezes_a_chain_and_a_later_attempt_takes_over() {
        let mut ledger = Ledger::registered(Sabotage::None);
        assert_eq!(ledger.close(FIRST, 9), Err(Refusal::Superseded), "nobody recovers it");
        ledger.index(4).unwrap();
        assert_eq!(ledger.index(3), Err(Refusal::TrimBack));
        assert!(!ledger.may_delete(2, false), "open chains are not deleted from");
        assert_eq!(ledger.begin(FIRST), Ok(4));
        assert_eq!(ledger.begin(FIRST), Err(Refusal::Superseded), "an attempt begins once");
        assert_eq!(ledger.index(5), Err(Refusal::Recovering));
        assert_eq!(ledger.begin(SECOND), Ok(4));
        assert_eq!(ledger.begin(FIRST), Err(Refusal::Superseded));
        assert_eq!(ledger.recovers(FIRST), Err(Refusal::Superseded));
        assert!(!ledger.may_delete(2, false));
        ledger.close(SECOND, 9).unwrap();
        assert_eq!(ledger.close(SECOND, 9), Err(Refusal::Closed));
        assert_eq!(ledger.begin(Attempt { term: 3, number: 0 }), Err(Refusal::Closed));
        assert_eq!(ledger.index(9), Err(Refusal::Closed));
    }

    #[test]
    fn the_end_of_a_closed_chain_stays() {
        let mut ledger = Ledger::registered(Sabotage::None);
        ledger.begin(FIRST).unwrap();
        ledger.close(FIRST, 9).unwrap();
        assert!(ledger.may_delete(0, false) && ledger.may_delete(8, false) && ledger.may_delete(40, false));
        assert!(!ledger.may_delete(8, true));
        assert!(!ledger.may_delete(9, false));
    }

    #[test]
    fn only_the_next_batch_of_the_right_epoch_and_chain_is_taken() {
        let chain = ChainId { broker: BrokerId(1), incarnation: Incarnation(2) };
        let other = ChainId { broker: BrokerId(2), incarnation: Incarnation(2) };
        let mark = PartitionMark { epoch: LeaderEpoch(3), chain, end: Offset(10) };
        let batch = |epoch, base| {
            let mut header = FrameHeader::plain(TopicPartition::new(TopicId::ZERO, PartitionId(0)));
            (header.leader_epoch, header.base_offset) = (LeaderEpoch(epoch), Offset(base));
            header
        };
        assert_eq!(mark.judge(chain, &batch(3, 10), Sabotage::None), Verdict::Take);
        assert_eq!(mark.judge(chain, &batch(3, 9), Sabotage::None), Verdict::Skip);
        assert_eq!(mark.judge(chain, &batch(3, 11), Sabotage::None), Verdict::Gap);
        assert_eq!(mark.judge(chain, &batch(2, 10), Sabotage::None), Verdict::Skip);
        assert_eq!(mark.judge(other, &batch(3, 10), Sabotage::None), Verdict::Skip);
    }
}
