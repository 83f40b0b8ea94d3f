//! Looking into a metadata store in a bucket from outside: nothing is written, and its owner is not disturbed.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use slatedb::config::DbReaderOptions;
use slatedb::{DbReader, DbReaderMode};

use super::{SEQUENCE, placed, unreadable};
use crate::api::{Batch, CommitSeq, MetaError, MetaStore};

/// Longer than anybody looks: what is seen stays as it was at opening.
const POLL: Duration = Duration::from_secs(24 * 3600);

/// The metadata as it was when this was opened. An owner that runs may delete what it is made of; reading then fails.
pub struct SlateReader {
    db: DbReader,
}

impl fmt::Debug for SlateReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlateReader").finish_non_exhaustive()
    }
}

impl SlateReader {
    /// Opens the store below `path` as it is now.
    ///
    /// # Errors
    /// [`MetaError::Unreadable`] when there is none, the store does not answer, or what it holds makes no sense.
    pub async fn open(
        store: Arc<dyn object_store::ObjectStore>,
        path: &str,
        retries: u32,
    ) -> Result<Self, MetaError> {
        let options = DbReaderOptions {
            manifest_poll_interval: POLL,
            checkpoint_lifetime: POLL * 3,
            object_store_max_retries: Some(retries),
            ..DbReaderOptions::default()
        };
        let opened = DbReader::open(Path::from(path), store, DbReaderMode::FollowLatest, options).await;
        Ok(Self { db: opened.map_err(unreadable)? })
    }

    /// The last commit that is seen.
    ///
    /// # Errors
    /// [`MetaError::Unreadable`].
    pub async fn sequence(&self) -> Result<CommitSeq, MetaError> {
        let value = self.db.get(SEQUENCE).await.map_err(unreadable)?;
        let number = value.as_deref().map(|bytes| bytes.try_into().map(u64::from_be_bytes)).transpose();
        let number = number.map_err(|_| MetaError::Unreadable("the sequence is damaged".into()))?;
        Ok(CommitSeq(number.unwrap_or(0)))
    }
}

impl MetaStore for SlateReader {
    fn get(&self, key: &[u8]) -> BoxFuture<'_, Result<Option<Bytes>, MetaError>> {
        let key = placed(key);
        async move { self.db.get(key).await.map_err(unreadable) }.boxed()
    }

    fn scan(&self, range: Range<Bytes>) -> BoxFuture<'_, Result<Vec<(Bytes, Bytes)>, MetaError>> {
        async move {
            let mut found = Vec::new();
            if range.start >= range.end {
                return Ok(found);
            }
            let placed = placed(&range.start)..placed(&range.end);
            let mut entries = self.db.scan(placed).await.map_err(unreadable)?;
            while let Some(entry) = entries.next().await.map_err(unreadable)? {
                found.push((entry.key.slice(1..), entry.value));
            }
            Ok(found)
        }
        .boxed()
    }

    fn commit(&self, _batch: Batch) -> BoxFuture<'_, Result<CommitSeq, MetaError>> {
        async { Err(MetaError::Failed("the metadata store was opened to be read only".into())) }.boxed()
    }
}
