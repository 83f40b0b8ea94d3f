//! What the metadata store holds about a partition, as it is in memory. Pure.

use bytes::Bytes;
use waybill_meta::{PartitionRecord, Record, RecordError};
use waybill_types::{Incarnation, LeaderEpoch, Offset, TimestampMs};
use waybill_wal::FrameHeader;

use crate::epochs::Epochs;
use crate::producers::ProducerStates;

/// The last committed state of a partition; changed only while the ledger is held.
#[derive(Debug, Clone)]
pub(crate) struct Committed {
    pub(crate) log_start: Offset,
    /// Everything below is in segments.
    pub(crate) end: Offset,
    /// Bytes of batches that the index names.
    pub(crate) bytes: u64,
    pub(crate) last_append: TimestampMs,
    pub(crate) epochs: Epochs,
    /// The producers exactly at `end`.
    pub(crate) producers: ProducerStates,
    /// Log compaction has gone over everything below.
    pub(crate) cleaned_end: Offset,
    /// The record as it stands in the metadata store.
    pub(crate) stored: Bytes,
}

impl Committed {
    /// Reads a record; `incarnation` is the one that leads now.
    pub(crate) fn read(
        stored: Bytes,
        incarnation: Incarnation,
        expiration_ms: i64,
    ) -> Result<(Self, LeaderEpoch), RecordError> {
        let record = PartitionRecord::decode(&stored)?;
        let epoch = record.epoch_in(incarnation);
        let committed = Self {
            log_start: record.log_start,
            end: record.committed_end,
            bytes: record.bytes,
            last_append: record.last_append,
            epochs: Epochs::new(record.epochs, epoch),
            producers: ProducerStates::from_snapshots(&record.producers, expiration_ms),
            cleaned_end: record.cleaned_end,
            stored,
        };
        Ok((committed, epoch))
    }

    /// Encodes this state anew, to be stored with the next commit.
    pub(crate) fn store(&mut self, epoch: LeaderEpoch, incarnation: Incarnation) -> Bytes {
        // As of the last append, so that the same frames give the same record.
        self.producers.expire(self.last_append);
        let record = PartitionRecord {
            leader_epoch: epoch,
            epoch_incarnation: incarnation,
            log_start: self.log_start,
            committed_end: self.end,
            bytes: self.bytes,
            last_append: self.last_append,
            epochs: self.epochs.started().to_vec(),
            producers: self.producers.snapshots(),
            cleaned_end: self.cleaned_end,
        };
        self.stored = record.encode();
        self.stored.clone()
    }

    /// Takes the next frame of the partition.
    pub(crate) fn advance(&mut self, header: &FrameHeader) {
        debug_assert_eq!(self.end, header.base_offset, "frames follow each other");
        self.end = header.last_offset.next();
        self.last_append = self.last_append.max(header.append_time);
        self.epochs.appended(header.leader_epoch, header.base_offset);
        self.producers.apply(header);
    }
}
