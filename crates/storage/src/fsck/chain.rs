//! What recovery would read of a chain: from the trim to its end, every object readable, every partition without a gap.

use std::collections::BTreeMap;

use bytes::Bytes;
use waybill_meta::NodeRecord;
use waybill_store::{SharedStore, StoreError};
use waybill_types::{Offset, StoreId, TopicPartition};
use waybill_wal::chain::judge::{self, GLANCE};
use waybill_wal::chain::names::{ChainId, Slot};
use waybill_wal::chain::open::read_store_id;
use waybill_wal::chain::slot::{Front, Head, Kind, decode_data, decode_front};
use waybill_wal::{DurableFrame, WalPosition};

use super::{Facts, FsckError, FsckReport};

pub(super) async fn check(
    store: &SharedStore,
    node: &NodeRecord,
    trim: u64,
    facts: &Facts,
    report: &mut FsckReport,
) -> Result<(), FsckError> {
    let at = format!("node {}", node.node);
    match read_store_id(&**store).await {
        Ok(Some(shown)) if shown == node.wal_store => {}
        Ok(shown) => {
            let shown = shown.map_or_else(|| "none".to_owned(), |id| id.to_string());
            let what = format!(
                "its log's store shows the id {shown}, not {}: give the --wal-storage that it was started with",
                node.wal_store
            );
            report.error(at, what);
            return Ok(());
        }
        Err(error) => {
            report.error(at, error.to_string());
            return Ok(());
        }
    }
    // The chains of a node that led before are closed, and what was in them is in segments.
    let Some(open) = facts.chains.iter().find(|chain| chain.node == node.node) else { return Ok(()) };
    let chain = ChainId { broker: open.node, incarnation: open.incarnation };
    let open = store.get(&chain.slot(0), 0..GLANCE).await;
    if let (_, None) = judge::open(node.wal_store, chain, &open) {
        report.error(
            chain.slot(0),
            "the chain's first object is missing or not this chain's; a start is refused without it",
        );
    }
    let mut slots: Vec<Slot> = store
        .list(&chain.prefix())
        .await?
        .iter()
        .filter_map(|name| chain.parse(name))
        .filter(|slot| *slot > 0)
        .collect();
    slots.sort_unstable();
    let from = first_above(store, node.wal_store, chain, &slots, WalPosition(trim)).await?;
    let mut walk = Walk { chain, id: node.wal_store, facts, report, ends: BTreeMap::new() };
    walk.run(store, slots.get(from..).unwrap_or_default(), from).await
}

/// Which of the listed slots is the first that does not lie wholly below the trim. Positions grow with slots.
async fn first_above(
    store: &SharedStore,
    id: StoreId,
    chain: ChainId,
    slots: &[Slot],
    trim: WalPosition,
) -> Result<usize, FsckError> {
    let (mut below, mut above) = (0, slots.len());
    while below < above {
        let middle = below + (above - below) / 2;
        let Some(slot) = slots.get(middle) else { break };
        let head = match store.get(&chain.slot(*slot), 0..GLANCE).await {
            Ok(bytes) => Head::peek(&bytes).ok(),
            Err(StoreError::NotFound(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let is_below = head.is_some_and(|head| {
            head.kind == Kind::Data
                && head.identity.store == id
                && head.identity.chain == chain
                && head.end() <= trim
        });
        if is_below {
            below = middle + 1;
        } else {
            above = middle;
        }
    }
    Ok(below)
}

struct Walk<'a> {
    chain: ChainId,
    id: StoreId,
    facts: &'a Facts,
    report: &'a mut FsckReport,
    /// Where each partition ends by now.
    ends: BTreeMap<TopicPartition, Offset>,
}

impl Walk<'_> {
    /// Reads slots until the chain ends: at a seal, or at a slot that is not there.
    async fn run(&mut self, store: &SharedStore, slots: &[Slot], skipped: usize) -> Result<(), FsckError> {
        // Nothing is deleted from a registered chain, so the first slots are all there.
        for (expected, slot) in (skipped as Slot + 1..).zip(slots) {
            let name = self.chain.slot(*slot);
            if *slot != expected {
                let what = format!(
                    "slot {expected} is not there: the chain ends before it, and what stands from here on was never acked"
                );
                self.report.note(name, what);
                return Ok(());
            }
            let bytes = match store.get(&name, 0..u64::from(u32::MAX)).await {
                Ok(bytes) => bytes,
                Err(StoreError::NotFound(_)) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if !self.take(&name, *slot, &bytes) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes an object; tells whether the chain goes on behind it.
    fn take(&mut self, name: &str, slot: Slot, bytes: &Bytes) -> bool {
        if let Ok(Front::Seal(head, _)) = decode_front(bytes)
            && self.is_ours(&head, slot)
        {
            return false;
        }
        match decode_data(bytes) {
            Ok((head, frames)) if self.is_ours(&head, slot) => {
                self.report.wal_objects += 1;
                for frame in &frames {
                    self.frame(name, frame);
                }
            }
            Ok(_) => self.damaged(name, "it is another chain's"),
            Err(fault) => self.damaged(name, &fault.to_string()),
        }
        true
    }

    fn is_ours(&self, head: &Head, slot: Slot) -> bool {
        head.identity.store == self.id && head.identity.chain == self.chain && head.slot == slot
    }

    fn damaged(&mut self, name: &str, why: &str) {
        let what = format!(
            "{why}; acked records may stand in it, and a start is refused: put it back from a copy or an older version of it"
        );
        self.report.error(name, what);
    }

    /// A batch is the next one of its partition, or was made part of a segment.
    fn frame(&mut self, name: &str, frame: &DurableFrame) {
        let header = &frame.frame.header;
        let Some(partition) = self.facts.partitions.get(&header.partition) else { return };
        let end = self.ends.get(&header.partition).copied().unwrap_or(partition.record.committed_end);
        if header.last_offset < end {
            return;
        }
        if header.base_offset != end {
            let what = format!(
                "a batch begins at offset {} ({name}), but the log ends at {end}; a start is refused",
                header.base_offset
            );
            self.report.error(self.facts.name(header.partition), what);
        }
        self.report.wal_records += (header.last_offset.get() - header.base_offset.get() + 1).unsigned_abs();
        self.ends.insert(header.partition, header.last_offset.next());
    }
}
