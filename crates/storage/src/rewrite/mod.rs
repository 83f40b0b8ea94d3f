//! Segments written anew: small ones merged, mostly dead ones freed, logs compacted.
//!
//! - [`plan`]: what to merge and whether it pays: pure.
//! - [`pace`]: how fast.
//! - [`input`]: reading what is to be replaced, checked.
//! - [`merge`]: from a plan to segments; [`commit`]: the one commit that puts outputs in the place of inputs.
//! - [`task`]: the one background task that does it all, at its own pace.
//!
//! An object is prepared → live → dead → gone, each step durable. A crash before the commit leaves prepared objects, which
//! are given up and swept; what was committed before stays. So everything can be stopped anywhere and goes on from what is
//! there. Nothing is given up that was not read whole and held against its checksums.

pub(crate) mod commit;
pub(crate) mod input;
mod merge;
pub(crate) mod pace;
mod plan;
mod task;

use waybill_meta::{MetaError, ObjectId};
use waybill_store::StoreError;

use crate::directory::DirectoryFault;
use crate::error::ReadError;
use crate::flush::WriteError;

/// Why a rewrite did not happen. What it was to replace is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RewriteError {
    /// The metadata store failed: this incarnation ends.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The data store failed: to be tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An input is not what it should be.
    #[error("object {0} is damaged: {1}")]
    Damaged(ObjectId, String),
    /// Something else about an input.
    #[error(transparent)]
    Read(ReadError),
    /// Outputs could not be written, or too slowly.
    #[error("a new segment could not be written in time")]
    GaveUp,
    /// The process stops.
    #[error("stopping")]
    Stopping,
}

impl From<WriteError> for RewriteError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Meta(error) => Self::Meta(error),
            WriteError::GaveUp => Self::GaveUp,
        }
    }
}

impl From<ReadError> for RewriteError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Meta(error) => Self::Meta(error),
            ReadError::Store(error) => Self::Store(error),
            other => Self::Read(other),
        }
    }
}

impl RewriteError {
    /// A fault of the object `id`.
    fn of(id: ObjectId, fault: DirectoryFault) -> Self {
        match fault {
            DirectoryFault::Store(error) => Self::Store(error),
            DirectoryFault::Damaged(fault) => Self::Damaged(id, fault.to_string()),
        }
    }
}
