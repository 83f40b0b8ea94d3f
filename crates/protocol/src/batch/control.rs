//! Control records: the markers that end transactions (KIP-98).
//!
//! A marker's batch holds one record. Its key is version i16 and type i16, its value version i16 and the
//! coordinator's epoch i32 (`ControlRecordType.java`, `EndTransactionMarker.java`). Later versions may append fields.

use waybill_types::{CoordinatorEpoch, ProducerEpoch, ProducerId, Sequence, TimestampMs};

use super::builder::{BatchBuilder, BuildError, NewRecord};
use super::record::Record;
use super::view::RecordBatch;
use crate::compression::Compression;

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlKind {
    /// The producer's transaction is aborted.
    Abort,
    /// The producer's transaction is committed.
    Commit,
    /// Something else: KRaft's own records, or a type of the future; to be passed over.
    Other(i16),
}

impl ControlKind {
    /// The type's id in a control record's key.
    pub const fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::Other(id) => id,
        }
    }

    /// Reads a control record's key; `None` when it is too short or of a negative version.
    pub fn parse(key: &[u8]) -> Option<Self> {
        let [v0, v1, t0, t1] = *key.first_chunk::<4>()?;
        if i16::from_be_bytes([v0, v1]) < 0 {
            return None;
        }
        Some(match i16::from_be_bytes([t0, t1]) {
            0 => Self::Abort,
            1 => Self::Commit,
            other => Self::Other(other),
        })
    }
}

/// The end of a producer's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Whether it was committed, else aborted.
    pub commit: bool,
    /// Epoch of the coordinator that says so.
    pub coordinator_epoch: CoordinatorEpoch,
}

impl EndTxnMarker {
    /// Reads a record of a control batch; `None` when it is not a whole marker.
    pub fn parse(record: &Record) -> Option<Self> {
        let commit = match ControlKind::parse(record.key.as_deref()?)? {
            ControlKind::Commit => true,
            ControlKind::Abort => false,
            ControlKind::Other(_) => return None,
        };
        let [v0, v1, epoch @ ..] = *record.value.as_deref()?.first_chunk::<6>()?;
        if i16::from_be_bytes([v0, v1]) < 0 {
            return None;
        }
        Some(Self { commit, coordinator_epoch: CoordinatorEpoch(i32::from_be_bytes(epoch)) })
    }

    /// The batch that holds this marker for a producer, as `MemoryRecords.withEndTransactionMarker` makes it.
    ///
    /// # Errors
    /// None in practice: the batch is of a fixed small size.
    pub fn to_batch(
        self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        timestamp: TimestampMs,
    ) -> Result<RecordBatch, BuildError> {
        let kind = if self.commit { ControlKind::Commit } else { ControlKind::Abort };
        let [k0, k1] = kind.id().to_be_bytes();
        let [e0, e1, e2, e3] = self.coordinator_epoch.get().to_be_bytes();
        let mut builder = BatchBuilder::new(Compression::None)
            .producer(producer_id, producer_epoch, Sequence::NONE)
            .transactional(true)
            .control(true);
        builder.push(NewRecord {
            timestamp,
            key: Some(&[0, 0, k0, k1]),
            value: Some(&[0, 0, e0, e1, e2, e3]),
            headers: &[],
        })?;
        builder.build()
    }
}
