//! From frames in the order of the WAL to the slices of a segment: pure.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use waybill_types::{Offset, TopicPartition};
use waybill_wal::{FrameFlags, FrameHeader};

use crate::committed::Committed;
use crate::segment::SliceInput;
use crate::transactions::AbortedTransaction;

/// The partitions as they will be committed: each exactly at the end of the frames taken so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) partitions: BTreeMap<TopicPartition, Committed>,
}

impl Progress {
    /// The state of a partition, which starts as `committed` gives it.
    pub(crate) fn entry(
        &mut self,
        id: TopicPartition,
        committed: impl FnOnce() -> Option<Committed>,
    ) -> Option<&mut Committed> {
        match self.partitions.entry(id) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(entry) => Some(entry.insert(committed()?)),
        }
    }
}

/// Frames of a partition do not follow each other: going on would lose what lies between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("partition {partition} ends at {end} but the next batch is {next}")]
pub(crate) struct Gap {
    partition: TopicPartition,
    end: Offset,
    next: Offset,
}

/// Advances a partition over its next frames and makes a slice of them. Frames below the log start are not kept, so
/// there may be no slice.
pub(crate) fn slice_of(
    id: TopicPartition,
    committed: &mut Committed,
    frames: Vec<(FrameHeader, Bytes)>,
) -> Result<Option<SliceInput>, Gap> {
    let mut kept = Vec::with_capacity(frames.len());
    let mut aborted = Vec::new();
    for (header, records) in frames {
        if header.base_offset != committed.end {
            return Err(Gap { partition: id, end: committed.end, next: header.base_offset });
        }
        let open = committed.producers.transaction_start(header.producer_id);
        committed.advance(&header);
        let marker = header.flags.contains(FrameFlags::CONTROL);
        if let Some(first_offset) = open.filter(|_| marker && !header.flags.contains(FrameFlags::COMMIT)) {
            let (producer_id, last_offset) = (header.producer_id, header.last_offset);
            aborted.push(AbortedTransaction { producer_id, first_offset, last_offset });
        }
        if header.last_offset >= committed.log_start {
            kept.push((header, records));
        }
    }
    let Some(slice) = SliceInput::of_frames(id, kept) else { return Ok(None) };
    let (epochs, producers) = (committed.epochs.started().to_vec(), committed.producers.snapshots());
    Ok(Some(SliceInput { epochs, producers, aborted, ..slice }))
}
