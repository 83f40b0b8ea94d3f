//! What every metadata store does.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

/// The number of a durable commit, growing by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct CommitSeq(pub u64);

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets a key.
    Put(Bytes, Bytes),
    /// Removes a key, if it is there.
    Delete(Bytes),
    /// The whole batch fails with [`MetaError::Conflict`] unless the key holds exactly this (or nothing).
    Require(Bytes, Option<Bytes>),
}

/// Changes that become durable together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The changes, in order; all `Require`s are checked against the state before the batch.
    pub ops: Vec<Op>,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.ops.push(Op::Put(key.into(), value.into()));
    }

    /// Removes a key.
    pub fn delete(&mut self, key: impl Into<Bytes>) {
        self.ops.push(Op::Delete(key.into()));
    }

    /// Requires what a key holds before the batch.
    pub fn require(&mut self, key: impl Into<Bytes>, value: Option<Bytes>) {
        self.ops.push(Op::Require(key.into(), value));
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// Why a metadata store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetaError {
    /// A `Require` did not hold: nothing was changed.
    #[error("metadata changed underneath: key {0:?}")]
    Conflict(Bytes),
    /// The disk is full: nothing was changed, and the same may be tried again.
    #[error("there is no space left for metadata; free some on the disk of {0}")]
    NoSpace(Arc<str>),
    /// The commit failed or its outcome is unknown: this owner's term ends here.
    #[error("the metadata commit failed: {0}")]
    Failed(Arc<str>),
    /// A newer owner has opened the store: this owner's term ends here, and nothing that it had not awaited holds.
    #[error("the metadata store has a newer owner: {0}")]
    Fenced(Arc<str>),
    /// The store can not be read.
    #[error("metadata can not be read: {0}")]
    Unreadable(Arc<str>),
}

/// A metadata store.
pub trait MetaStore: Send + Sync + 'static {
    /// Reads a key's durable value.
    fn get(&self, key: &[u8]) -> BoxFuture<'_, Result<Option<Bytes>, MetaError>>;

    /// Reads the keys of `range` with their values, in key order, all as of one commit.
    fn scan(&self, range: Range<Bytes>) -> BoxFuture<'_, Result<Vec<(Bytes, Bytes)>, MetaError>>;

    /// Makes a batch durable. After [`MetaError::Failed`] or [`MetaError::Fenced`] every further commit fails too.
    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<CommitSeq, MetaError>>;
}

/// A metadata store as it is handed around.
pub type SharedMeta = Arc<dyn MetaStore>;
