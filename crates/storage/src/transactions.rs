//! Open transactions of a partition, its last stable offset, and the transactions that ended aborted: pure.

use std::collections::{BTreeMap, VecDeque};

use waybill_types::{Offset, ProducerId};

/// A transaction that was aborted, as fetch responses tell it to `read_committed` consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// The producer.
    pub producer_id: ProducerId,
    /// The first offset of the transaction in the partition.
    pub first_offset: Offset,
    /// The offset of the marker that aborted it.
    pub last_offset: Offset,
}

/// The transactions of a partition.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// First offset and producer of each that has no marker yet.
    open: BTreeMap<Offset, ProducerId>,
    /// Marker's and first offset of those whose marker is not durable yet: still open for readers.
    ending: VecDeque<(Offset, Offset)>,
    /// The aborted ones whose marker is not in a segment yet, by marker.
    aborted: VecDeque<AbortedTransaction>,
}

impl Transactions {
    pub(crate) fn begin(&mut self, first: Offset, producer: ProducerId) {
        self.open.insert(first, producer);
    }

    pub(crate) fn end(&mut self, first: Offset, marker: Offset, committed: bool) {
        let Some(producer_id) = self.open.remove(&first) else { return };
        self.ending.push_back((marker, first));
        if !committed {
            self.aborted.push_back(AbortedTransaction {
                producer_id,
                first_offset: first,
                last_offset: marker,
            });
        }
    }

    /// Whether nothing is open for readers.
    pub(crate) fn is_quiet(&self) -> bool {
        self.open.is_empty() && self.ending.is_empty()
    }

    /// The first offset that may still turn out aborted, when everything below `high_watermark` is durable.
    pub(crate) fn last_stable(&mut self, high_watermark: Offset) -> Offset {
        self.ending.retain(|(marker, _)| *marker >= high_watermark);
        let ending = self.ending.iter().map(|(_, first)| *first).min();
        let open = self.open.keys().next().copied();
        [ending, open].into_iter().flatten().fold(high_watermark, Offset::min)
    }

    /// The aborted transactions kept here that touch `from..to`.
    pub(crate) fn aborted_in(
        &self,
        from: Offset,
        to: Offset,
    ) -> impl Iterator<Item = AbortedTransaction> + '_ {
        self.aborted.iter().filter(move |txn| txn.last_offset >= from && txn.first_offset < to).copied()
    }

    /// Markers below `committed_end` are in segments now.
    pub(crate) fn forget_below(&mut self, committed_end: Offset) {
        while self.aborted.front().is_some_and(|txn| txn.last_offset < committed_end) {
            self.aborted.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stable_offset_waits_for_durable_markers() {
        let mut txns = Transactions::default();
        txns.begin(Offset(5), ProducerId(1));
        txns.begin(Offset(7), ProducerId(2));
        assert_eq!(txns.last_stable(Offset(10)), Offset(5));
        txns.end(Offset(5), Offset(10), false);
        // The marker at 10 is assigned but not durable.
        assert_eq!(txns.last_stable(Offset(10)), Offset(5));
        assert_eq!(txns.last_stable(Offset(11)), Offset(7));
        txns.end(Offset(7), Offset(11), true);
        assert_eq!(txns.last_stable(Offset(12)), Offset(12));
        assert!(txns.is_quiet());
        let aborted: Vec<_> = txns.aborted_in(Offset(0), Offset(12)).collect();
        assert_eq!(aborted.len(), 1);
        assert_eq!(txns.aborted_in(Offset(11), Offset(12)).count(), 0);
        txns.forget_below(Offset(11));
        assert_eq!(txns.aborted_in(Offset(0), Offset(12)).count(), 0);
    }
}
