//! What can go wrong, one type an operation.

use std::sync::Arc;

use waybill_meta::{MetaError, RecordError};
use waybill_store::StoreError;
use waybill_types::{LeaderEpoch, Offset};
use waybill_wal::WalError;

use crate::driver::WalOpenError;
use crate::flush::WriteError;
use crate::producers::ProducerFault;
use crate::segment::SegmentFault;

/// Why the engine can not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The WAL refuses: what to do is in the text.
    #[error(transparent)]
    Wal(#[from] WalOpenError),
    /// The metadata store failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// A record in it does not decode.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The data store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The storage root holds data but its metadata is missing or another cluster's.
    #[error("{0}")]
    Mismatch(String),
}

impl From<WriteError> for OpenError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Meta(error) => Self::Meta(error),
            // Recovery tries until the process stops.
            WriteError::GaveUp => Self::Mismatch(error.to_string()),
        }
    }
}

/// Why a batch was not appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The producer's epoch, sequence or transaction does not allow it.
    #[error(transparent)]
    Producer(#[from] ProducerFault),
    /// The caller expected another leader epoch.
    #[error("leader epoch {expected} is not the current one, {current}")]
    Fenced {
        /// What the caller expected.
        expected: LeaderEpoch,
        /// The current one.
        current: LeaderEpoch,
    },
    /// The batch is larger than the WAL takes.
    #[error("a batch of {bytes} bytes is larger than the write-ahead log takes ({limit})")]
    TooLarge {
        /// The batch.
        bytes: usize,
        /// The largest that is taken.
        limit: usize,
    },
    /// The partition was removed.
    #[error("the partition was removed")]
    Removed,
    /// The WAL takes nothing more.
    #[error(transparent)]
    Wal(#[from] WalError),
}

/// Why a read failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The offset is outside the log.
    #[error("offset {offset} is outside the log, which is {log_start} to {high_watermark}")]
    OutOfRange {
        /// What was asked for.
        offset: Offset,
        /// Where the log starts.
        log_start: Offset,
        /// Where it ends.
        high_watermark: Offset,
    },
    /// The partition was removed.
    #[error("the partition was removed")]
    Removed,
    /// The metadata store failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// A record in it does not decode.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The data store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The WAL failed.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// An object is damaged.
    #[error("object {object}: {fault}")]
    Damaged {
        /// The object.
        object: Arc<str>,
        /// What is wrong.
        fault: SegmentFault,
    },
}

/// Why records were not deleted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeleteError {
    /// The offset lies behind the high watermark.
    #[error("offset {offset} lies behind the high watermark {high_watermark}")]
    OutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The high watermark.
        high_watermark: Offset,
    },
    /// The partition was removed.
    #[error("the partition was removed")]
    Removed,
    /// The metadata store failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// A record in it does not decode.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl From<ReadError> for DeleteError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Meta(error) => Self::Meta(error),
            ReadError::Record(error) => Self::Record(error),
            ReadError::Removed => Self::Removed,
            other => Self::Meta(MetaError::Unreadable(other.to_string().into())),
        }
    }
}
