//! What recovery takes from a chain that was sealed. Pure: footers in the order of their slots, from the trim up to the seal.

use std::collections::{BTreeMap, BTreeSet};

use waybill_types::TopicPartition;

use crate::chain::ledger::{PartitionMark, Verdict};
use crate::chain::names::{ChainId, Slot};
use crate::entry::Entry;
use crate::sabotage::Sabotage;

/// A batch that recovery takes, and the slot that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The slot.
    pub slot: Slot,
    /// The batch, with its place in the slot.
    pub entry: Entry,
}

/// Decides batch by batch.
#[derive(Debug)]
pub struct Filter {
    chain: ChainId,
    end: Slot,
    marks: BTreeMap<TopicPartition, PartitionMark>,
    gaps: BTreeSet<TopicPartition>,
    damaged: Vec<Slot>,
    sabotage: Sabotage,
}

impl Filter {
    /// Recovers `chain`, which ends at the seal in slot `end`. `marks`: every partition that it leads or may have batches
    /// of.
    #[must_use]
    pub fn new(
        chain: ChainId,
        end: Slot,
        marks: BTreeMap<TopicPartition, PartitionMark>,
        sabotage: Sabotage,
    ) -> Self {
        Self { chain, end, marks, gaps: BTreeSet::new(), damaged: Vec::new(), sabotage }
    }

    /// Takes the footer of the next slot; returns what of it is committed, in order.
    pub fn slot(&mut self, slot: Slot, entries: &[Entry]) -> Vec<Taken> {
        let mut taken = Vec::new();
        // Nothing beyond the seal exists: not for the log, not for readers, not for producer state.
        if slot >= self.end && !self.sabotage.breaks(Sabotage::TakeOrphans) {
            return taken;
        }
        for entry in entries {
            let partition = entry.header.partition;
            if self.gaps.contains(&partition) {
                continue;
            }
            // A partition that the metadata does not know was deleted.
            let Some(mark) = self.marks.get_mut(&partition) else { continue };
            match mark.judge(self.chain, &entry.header, self.sabotage) {
                Verdict::Take => {
                    mark.take(&entry.header);
                    taken.push(Taken { slot, entry: *entry });
                }
                Verdict::Skip => {}
                Verdict::Gap => {
                    self.gaps.insert(partition);
                }
            }
        }
        taken
    }

    /// The next slot is data that can not be read.
    pub fn damaged(&mut self, slot: Slot) {
        self.damaged.push(slot);
    }

    /// Ends: where each partition ends, and which go offline until a human decides.
    #[must_use]
    pub fn finish(self) -> Recovered {
        let offline = if self.damaged.is_empty() {
            self.gaps
        } else {
            // The damaged slot may hold a batch of any of them, with nothing in later slots to show a gap.
            let led = self.marks.iter().filter(|(_, mark)| mark.chain == self.chain);
            led.map(|(partition, _)| *partition).chain(self.gaps.iter().copied()).collect()
        };
        Recovered { marks: self.marks, offline, damaged: self.damaged }
    }
}

/// What recovery concluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Where each partition ends in the index afterwards.
    pub marks: BTreeMap<TopicPartition, PartitionMark>,
    /// Partitions with a gap, and, where a slot is damaged, all that the chain led at its end.
    pub offline: BTreeSet<TopicPartition>,
    /// Slots of data that can not be read.
    pub damaged: Vec<Slot>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameHeader;
    use waybill_types::{BrokerId, Incarnation, LeaderEpoch, Offset, PartitionId, TopicId};

    const CHAIN: ChainId = ChainId { broker: BrokerId(1), incarnation: Incarnation(1) };

    fn partition(number: i32) -> TopicPartition {
        TopicPartition::new(TopicId::ZERO, PartitionId(number))
    }

    fn entry(number: i32, epoch: i32, base: i64) -> Entry {
        let mut header = FrameHeader::plain(partition(number));
        header.leader_epoch = LeaderEpoch(epoch);
        (header.base_offset, header.last_offset) = (Offset(base), Offset(base + 1));
        Entry { header, at: 0, length: 0, crc: 0 }
    }

    fn filter() -> Filter {
        let other = ChainId { broker: BrokerId(2), incarnation: Incarnation(1) };
        let mark = |chain| PartitionMark { epoch: LeaderEpoch(5), chain, end: Offset(4) };
        let marks = [(partition(0), mark(CHAIN)), (partition(1), mark(CHAIN)), (partition(2), mark(other))];
        Filter::new(CHAIN, 3, marks.into(), Sabotage::None)
    }

    #[test]
    fn takes_what_follows_and_stops_a_partition_at_a_gap() {
        let mut filter = filter();
        let first = [entry(0, 5, 4), entry(1, 4, 4), entry(2, 5, 4), entry(0, 5, 6), entry(3, 5, 0)];
        let taken: Vec<i64> =
            filter.slot(1, &first).iter().map(|taken| taken.entry.header.base_offset.get()).collect();
        assert_eq!(taken, [4, 6]);
        assert!(filter.slot(2, &[entry(1, 5, 6), entry(1, 5, 4)]).is_empty(), "after a gap nothing is taken");
        assert!(filter.slot(4, &[entry(0, 5, 8)]).is_empty(), "nothing beyond the seal is");
        let recovered = filter.finish();
        assert_eq!(recovered.marks[&partition(0)].end, Offset(8));
        assert_eq!(recovered.offline, [partition(1)].into());
    }

    #[test]
    fn a_damaged_slot_takes_offline_all_that_the_chain_led() {
        let mut filter = filter();
        filter.slot(1, &[entry(0, 5, 4)]);
        filter.damaged(2);
        let recovered = filter.finish();
        assert_eq!(recovered.offline, [partition(0), partition(1)].into());
        assert_eq!(recovered.damaged, [2]);
    }
}
