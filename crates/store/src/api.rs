//! What every object store does.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};

/// Deletes in flight at once.
const DELETES: usize = 16;

/// Why a store did not do what it was asked.
///
/// Of a [`ObjectStore::put`] no error but `NoSpace` says that nothing was written: it may have been applied, or may be
/// applied at any later time, and `Exists` may be one's own earlier try (or S3's 409, whose outcome is unknown). Who must
/// know reads the object back.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// `put` found the name taken, or contended.
    #[error("object {0} exists already")]
    Exists(Arc<str>),
    /// There is no such object.
    #[error("object {0} does not exist")]
    NotFound(Arc<str>),
    /// No space is left.
    #[error("no space left to write object {0}")]
    NoSpace(Arc<str>),
    /// The store refused the credentials or the right to do this (401, 403). Never a sign of absence.
    #[error("object {name}: access denied: {why}")]
    Denied {
        /// The object.
        name: Arc<str>,
        /// What the store said.
        why: Arc<str>,
    },
    /// The store is overloaded or broken at the moment (429, 5xx).
    #[error("object {name}: the store is not able to: {why}")]
    Busy {
        /// The object.
        name: Arc<str>,
        /// What the store said.
        why: Arc<str>,
    },
    /// No answer came in time.
    #[error("object {0}: no answer in time")]
    TimedOut(Arc<str>),
    /// Anything else: the outcome of a write is then unknown.
    #[error("object {name}: {error}")]
    Io {
        /// The object.
        name: Arc<str>,
        /// What happened.
        error: Arc<io::Error>,
    },
}

impl StoreError {
    /// Whether trying again later may help, without anyone changing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::TimedOut(_) | Self::Io { .. })
    }

    /// A word for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Exists(_) => "exists",
            Self::NotFound(_) => "not_found",
            Self::NoSpace(_) => "no_space",
            Self::Denied { .. } => "denied",
            Self::Busy { .. } => "busy",
            Self::TimedOut(_) => "timeout",
            Self::Io { .. } => "other",
        }
    }
}

/// A store of objects. Names are like `seg/3f/00000000000000000017`: segments of `[0-9a-zA-Z._-]` joined by `/`.
pub trait ObjectStore: Send + Sync + 'static {
    /// Creates `name` from `parts`, one after the other, only if it does not exist. Durable when this returns.
    fn put(&self, name: &str, parts: Vec<Bytes>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The same as [`ObjectStore::put`], but leaves the device to others on the way: slower, and they hardly notice.
    fn put_gently(&self, name: &str, parts: Vec<Bytes>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.put(name, parts)
    }

    /// Reads `range` of an object; shorter when the object ends earlier.
    fn get(&self, name: &str, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, StoreError>>;

    /// The object's length in bytes.
    fn len(&self, name: &str) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Deletes an object; deleting what is not there succeeds.
    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Deletes many objects, several at once. One answer for each, in order.
    fn delete_many(&self, names: Vec<String>) -> BoxFuture<'_, Vec<Result<(), StoreError>>> {
        let deletes = futures::stream::iter(names).map(move |name| async move { self.delete(&name).await });
        deletes.buffered(DELETES).collect().boxed()
    }

    /// The names that start with `prefix`. No order is promised.
    fn list(&self, prefix: &str) -> BoxFuture<'_, Result<Vec<String>, StoreError>>;
}

/// A store as it is handed around.
pub type SharedStore = Arc<dyn ObjectStore>;
