//! The metadata, in memory. What is here is durable; a commit is one call, made after its latency has passed.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use waybill_types::{Incarnation, LeaderEpoch, Offset, TopicPartition};
use waybill_wal::chain::ledger::{Ledger, PartitionMark, Verdict};
use waybill_wal::chain::names::{ChainId, Slot};
use waybill_wal::{FrameHeader, Sabotage};

/// Where the bytes of a batch stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a chain's slot: where in it, how many bytes, and their checksum.
    Slot { chain: ChainId, slot: Slot, at: u64, length: usize, crc: u32 },
    /// In a segment, which this simulation does not lose.
    Segment(u64),
}

/// A batch in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) base: Offset,
    pub(crate) last: Offset,
    pub(crate) place: Place,
}

#[derive(Debug, Clone)]
pub(crate) struct PartitionState {
    pub(crate) mark: PartitionMark,
    pub(crate) index: Vec<IndexEntry>,
}

/// All that is durably known.
pub(crate) struct Meta {
    pub(crate) chains: BTreeMap<ChainId, Ledger>,
    pub(crate) partitions: BTreeMap<TopicPartition, PartitionState>,
    pub(crate) incarnation: Incarnation,
    pub(crate) attempts: u64,
    pub(crate) sabotage: Sabotage,
}

pub(crate) type SharedMeta = Arc<Mutex<Meta>>;

/// A batch to be put into the index.
#[derive(Debug, Clone)]
pub(crate) struct ToIndex {
    pub(crate) header: FrameHeader,
    pub(crate) place: Place,
}

impl Meta {
    pub(crate) fn new(partitions: &[TopicPartition], sabotage: Sabotage) -> SharedMeta {
        let nobody = ChainId { broker: 0.into(), incarnation: Incarnation(0) };
        let mark = PartitionMark { epoch: LeaderEpoch(0), chain: nobody, end: Offset::ZERO };
        let state = PartitionState { mark, index: Vec::new() };
        let partitions = partitions.iter().map(|id| (*id, state.clone())).collect();
        let (chains, incarnation) = (BTreeMap::new(), Incarnation(0));
        Arc::new(Mutex::new(Self { chains, partitions, incarnation, attempts: 0, sabotage }))
    }

    /// A chain is registered and leads everything from now on; the one before it is closed.
    pub(crate) fn lead(&mut self, chain: ChainId) {
        self.chains.insert(chain, Ledger::registered(self.sabotage));
        for partition in self.partitions.values_mut() {
            partition.mark.epoch = LeaderEpoch(partition.mark.epoch.get() + 1);
            partition.mark.chain = chain;
        }
    }

    /// A writer's index commit: all of it or nothing.
    pub(crate) fn index(&mut self, chain: ChainId, trim: Slot, batches: &[ToIndex]) -> bool {
        let unchecked = self.sabotage.breaks(Sabotage::IndexUnchecked);
        let mut marks: BTreeMap<_, _> = self.partitions.iter().map(|(id, state)| (*id, state.mark)).collect();
        for batch in batches {
            let mark = marks.get_mut(&batch.header.partition).unwrap();
            if !unchecked && mark.judge(chain, &batch.header, Sabotage::None) != Verdict::Take {
                return false;
            }
            mark.take(&batch.header);
        }
        let Some(ledger) = self.chains.get_mut(&chain) else { return false };
        if ledger.index(trim).is_err() {
            return false;
        }
        for batch in batches {
            let state = self.partitions.get_mut(&batch.header.partition).unwrap();
            if unchecked {
                // Each partition's record is set to what this writer believes.
                state.index.retain(|entry| entry.base < batch.header.base_offset);
            }
            state.push(batch);
        }
        true
    }

    /// Whether the index names a slot.
    pub(crate) fn names(&self, chain: ChainId, slot: Slot) -> bool {
        let here = |entry: &IndexEntry| matches!(entry.place, Place::Slot { chain: c, slot: s, .. } if c == chain && s == slot);
        self.partitions.values().any(|state| state.index.iter().any(here))
    }
}

impl PartitionState {
    pub(crate) fn push(&mut self, batch: &ToIndex) {
        let header = &batch.header;
        let place = batch.place.clone();
        self.index.push(IndexEntry { base: header.base_offset, last: header.last_offset, place });
        self.mark.take(header);
    }
}
