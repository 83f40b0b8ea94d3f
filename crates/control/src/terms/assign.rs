//! Which assignments a broker takes. Pure.
//!
//! An assignment names partition, epoch, incarnation and where the log starts. Another incarnation ignores it. An epoch at or
//! below this incarnation's floor for the partition is ignored; taking one sets the floor, and so does releasing one, even one
//! that was never led here. A duplicate of what is led changes nothing. An epoch ends by its leader's own word, and only by
//! that of the chain and the epoch that the metadata names.

use std::collections::BTreeMap;

use waybill_types::{Incarnation, LeaderEpoch, Offset, TopicPartition};
use waybill_wal::chain::names::ChainId;

use crate::terms::sabotage::Sabotage;

/// An assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assign {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader epoch.
    pub epoch: LeaderEpoch,
    /// The incarnation, and so the chain, that is to lead it.
    pub incarnation: Incarnation,
    /// Where its log ends in the index: the next offset.
    pub start: Offset,
}

/// A broker's word that it accepts nothing more in an epoch, and that all it ever sent in it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    /// The partition.
    pub partition: TopicPartition,
    /// The epoch that it was asked to release.
    pub epoch: LeaderEpoch,
    /// Who says so.
    pub chain: ChainId,
}

impl Released {
    /// Whether it ends the epoch that the metadata names for the partition, led by `chain`.
    #[must_use]
    pub fn ends(&self, epoch: LeaderEpoch, chain: ChainId, sabotage: Sabotage) -> bool {
        self.chain == chain && (self.epoch == epoch || sabotage.breaks(Sabotage::ReleasedUnmatched))
    }
}

/// What a broker does with an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It leads from now on.
    Lead,
    /// It leads in this epoch already: neither its log's end nor anything else is touched.
    Duplicate,
    /// It is not for this incarnation, or too old.
    Ignored,
}

/// What an incarnation remembers about its partitions for as long as it lives.
#[derive(Debug, Clone)]
pub struct Assignments {
    incarnation: Incarnation,
    floors: BTreeMap<TopicPartition, LeaderEpoch>,
    led: BTreeMap<TopicPartition, LeaderEpoch>,
    sabotage: Sabotage,
}

impl Assignments {
    /// An incarnation that leads nothing.
    #[must_use]
    pub fn new(incarnation: Incarnation, sabotage: Sabotage) -> Self {
        Self { incarnation, floors: BTreeMap::new(), led: BTreeMap::new(), sabotage }
    }

    /// The epoch in which it leads a partition.
    #[must_use]
    pub fn leads(&self, partition: TopicPartition) -> Option<LeaderEpoch> {
        self.led.get(&partition).copied()
    }

    /// Judges an assignment.
    pub fn assign(&mut self, assign: &Assign) -> Taken {
        if assign.incarnation != self.incarnation && !self.sabotage.breaks(Sabotage::AssignToNode) {
            return Taken::Ignored;
        }
        if self.leads(assign.partition) == Some(assign.epoch) {
            let again = self.sabotage.breaks(Sabotage::DuplicateLeads);
            return if again { Taken::Lead } else { Taken::Duplicate };
        }
        let floor = self.floors.get(&assign.partition);
        if floor.is_some_and(|floor| assign.epoch <= *floor) && !self.sabotage.breaks(Sabotage::AssignAgain) {
            return Taken::Ignored;
        }
        self.floors.insert(assign.partition, assign.epoch);
        self.led.insert(assign.partition, assign.epoch);
        Taken::Lead
    }

    /// Releases an epoch: stops leading it, and remembers it for ever. Returns whether it was led.
    pub fn release(&mut self, partition: TopicPartition, epoch: LeaderEpoch) -> bool {
        let led = self.leads(partition) == Some(epoch);
        if led {
            self.led.remove(&partition);
        }
        if led || !self.sabotage.breaks(Sabotage::NoFloor) {
            let floor = self.floors.entry(partition).or_insert(epoch);
            *floor = (*floor).max(epoch);
        }
        led
    }

    /// The chain has ended: it leads nothing any more.
    pub fn stop(&mut self) {
        self.led.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_types::{PartitionId, TopicId};

    fn assign(epoch: i32, incarnation: u64) -> Assign {
        let partition = TopicPartition::new(TopicId([1; 16]), PartitionId(0));
        let (epoch, incarnation) = (LeaderEpoch(epoch), Incarnation(incarnation));
        Assign { partition, epoch, incarnation, start: Offset(0) }
    }

    #[test]
    fn an_epoch_is_led_once_by_the_incarnation_that_it_names() {
        let mut here = Assignments::new(Incarnation(5), Sabotage::None);
        let partition = assign(0, 0).partition;
        assert_eq!(here.assign(&assign(1, 4)), Taken::Ignored);
        assert_eq!(here.assign(&assign(1, 5)), Taken::Lead);
        assert_eq!(here.assign(&assign(1, 5)), Taken::Duplicate);
        assert_eq!(here.assign(&assign(0, 5)), Taken::Ignored);
        assert!(here.release(partition, LeaderEpoch(1)));
        assert_eq!(here.assign(&assign(1, 5)), Taken::Ignored);
        // Released before its assignment arrived.
        assert!(!here.release(partition, LeaderEpoch(3)));
        assert_eq!(here.assign(&assign(3, 5)), Taken::Ignored);
        assert_eq!(here.assign(&assign(2, 5)), Taken::Ignored);
        assert_eq!(here.assign(&assign(4, 5)), Taken::Lead);
        let word = |epoch, incarnation| Released {
            partition,
            epoch: LeaderEpoch(epoch),
            chain: ChainId { broker: 1.into(), incarnation: Incarnation(incarnation) },
        };
        let leads = word(4, 5).chain;
        assert!(word(4, 5).ends(LeaderEpoch(4), leads, Sabotage::None));
        for stale in [word(3, 5), word(4, 4)] {
            assert!(!stale.ends(LeaderEpoch(4), leads, Sabotage::None), "{stale:?}");
        }
        here.stop();
        assert_eq!((here.leads(partition), here.assign(&assign(4, 5))), (None, Taken::Ignored));
    }
}
