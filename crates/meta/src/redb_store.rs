//! The metadata store of a local directory: one redb file, no background threads.
//!
//! Every commit saves redb's allocator state (`set_quick_repair`), so that opening after a crash does not walk the
//! file. A new store is made under another name and renamed when whole: a crash in the midst leaves no store.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use waybill_rt::{Disk, OpenMode, Running};

use crate::api::{Batch, CommitSeq, MetaError, MetaStore, Op};
use crate::redb_backend::DiskBackend;

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const SEQUENCE: TableDefinition<'_, u8, u64> = TableDefinition::new("sequence");

/// redb's page cache in bytes; the file of a busy node is a few MiB.
const CACHE_BYTES: usize = 4 << 20;

/// A metadata store in one file.
#[derive(Clone)]
pub struct RedbMeta {
    shared: Arc<Shared>,
    running: Running,
}

struct Shared {
    database: Database,
    /// Why no further commit may be tried.
    failed: Mutex<Option<Arc<str>>>,
}

impl std::fmt::Debug for RedbMeta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbMeta").field("running", &self.running).finish_non_exhaustive()
    }
}

impl RedbMeta {
    /// Opens the store in the file `path`, making it when it is not there. The caller holds the lock on the storage
    /// root. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk fails or the file is damaged.
    pub fn open(disk: &dyn Disk, path: &Path, running: Running) -> Result<Self, MetaError> {
        let database = if disk.exists(path).map_err(unreadable)? {
            open_file(disk, path, OpenMode::ReadWrite)?
        } else {
            create(disk, path)?
        };
        Ok(Self { shared: Arc::new(Shared { database, failed: Mutex::new(None) }), running })
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, MetaError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, MetaError>> {
        let shared = Arc::clone(&self.shared);
        let outcome = self.running.run(move || work(&shared));
        async move { outcome.await.map_err(failed)? }.boxed()
    }
}

fn unreadable(error: impl std::fmt::Display) -> MetaError {
    MetaError::Unreadable(error.to_string().into())
}

fn failed(error: impl std::fmt::Display) -> MetaError {
    MetaError::Failed(error.to_string().into())
}

fn open_file(disk: &dyn Disk, path: &Path, mode: OpenMode) -> Result<Database, MetaError> {
    let file = disk.open(path, mode).map_err(unreadable)?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder.create_with_backend(DiskBackend::new(file)).map_err(unreadable)
}

/// The open file keeps being the store's under its new name.
fn create(disk: &dyn Disk, path: &Path) -> Result<Database, MetaError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    disk.create_dir_all(folder).map_err(unreadable)?;
    let unfinished = unfinished_name(path);
    if disk.exists(&unfinished).map_err(unreadable)? {
        disk.remove_file(&unfinished).map_err(unreadable)?;
    }
    let database = open_file(disk, &unfinished, OpenMode::CreateNew)?;
    // Makes the tables, so that reading finds them.
    commit(&database, Batch::default())?;
    disk.rename(&unfinished, path).map_err(unreadable)?;
    disk.sync_dir(folder).map_err(unreadable)?;
    // The folder's own name, should it be new.
    disk.sync_dir(folder.parent().unwrap_or(Path::new("."))).map_err(unreadable)?;
    Ok(database)
}

fn unfinished_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn commit(database: &Database, batch: Batch) -> Result<CommitSeq, MetaError> {
    let mut transaction = database.begin_write().map_err(failed)?;
    transaction.set_quick_repair(true);
    let sequence = {
        let mut records = transaction.open_table(RECORDS).map_err(failed)?;
        for op in &batch.ops {
            if let Op::Require(key, expected) = op {
                let found = records.get(&key[..]).map_err(failed)?;
                if found.as_ref().map(redb::AccessGuard::value) != expected.as_deref() {
                    return Err(MetaError::Conflict(key.clone()));
                }
            }
        }
        for op in &batch.ops {
            match op {
                Op::Put(key, value) => drop(records.insert(&key[..], &value[..]).map_err(failed)?),
                Op::Delete(key) => drop(records.remove(&key[..]).map_err(failed)?),
                Op::Require(..) => {}
            }
        }
        let mut sequence = transaction.open_table(SEQUENCE).map_err(failed)?;
        let next = sequence.get(0).map_err(failed)?.map_or(0, |last| last.value()) + 1;
        sequence.insert(0, next).map_err(failed)?;
        CommitSeq(next)
    };
    transaction.commit().map_err(failed)?;
    Ok(sequence)
}

impl Shared {
    fn commit(&self, batch: Batch) -> Result<CommitSeq, MetaError> {
        if let Some(why) = &*self.failed.lock() {
            return Err(MetaError::Failed(Arc::clone(why)));
        }
        let result = commit(&self.database, batch);
        if let Err(MetaError::Failed(why)) = &result {
            self.failed.lock().get_or_insert_with(|| Arc::clone(why));
        }
        result
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, MetaError> {
        let transaction = self.database.begin_read().map_err(unreadable)?;
        let records = transaction.open_table(RECORDS).map_err(unreadable)?;
        let value = records.get(key).map_err(unreadable)?;
        Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
    }

    fn scan(&self, range: &Range<Bytes>) -> Result<Vec<(Bytes, Bytes)>, MetaError> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let transaction = self.database.begin_read().map_err(unreadable)?;
        let records = transaction.open_table(RECORDS).map_err(unreadable)?;
        let found = records.range(&range.start[..]..&range.end[..]).map_err(unreadable)?;
        found
            .map(|entry| {
                let (key, value) = entry.map_err(unreadable)?;
                Ok((Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value.value())))
            })
            .collect()
    }
}

impl MetaStore for RedbMeta {
    fn get(&self, key: &[u8]) -> BoxFuture<'_, Result<Option<Bytes>, MetaError>> {
        let key = key.to_vec();
        self.run(move |shared| shared.get(&key))
    }

    fn scan(&self, range: Range<Bytes>) -> BoxFuture<'_, Result<Vec<(Bytes, Bytes)>, MetaError>> {
        self.run(move |shared| shared.scan(&range))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<CommitSeq, MetaError>> {
        self.run(move |shared| shared.commit(batch))
    }
}
