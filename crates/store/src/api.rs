//! What every object store does.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// `put` found the name taken.
    #[error("object {0} exists already")]
    Exists(Arc<str>),
    /// There is no such object.
    #[error("object {0} does not exist")]
    NotFound(Arc<str>),
    /// No space is left.
    #[error("no space left to write object {0}")]
    NoSpace(Arc<str>),
    /// Anything else: the outcome of a write is then unknown.
    #[error("object {name}: {error}")]
    Io {
        /// The object.
        name: Arc<str>,
        /// What happened.
        error: Arc<io::Error>,
    },
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

    /// The names that start with `prefix`. No order is promised.
    fn list(&self, prefix: &str) -> BoxFuture<'_, Result<Vec<String>, StoreError>>;
}

/// A store as it is handed around.
pub type SharedStore = Arc<dyn ObjectStore>;
