//! The metadata store of a local directory: one redb file, no background threads.
//!
//! Every commit saves redb's allocator state (`set_quick_repair`), so that opening after a crash does not walk the
//! file. A new store is made under another name and renamed when whole: a crash in the midst leaves no store.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use waybill_rt::{Disk, OpenMode, Running, SharedDisk};

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
    disk: SharedDisk,
    path: PathBuf,
    state: Mutex<State>,
    /// Held for a whole commit; reads do not wait for it.
    writing: Mutex<()>,
}

enum State {
    Open(Opened),
    /// The disk was full in the midst of a commit after this one, so the file is to be opened again.
    Full(CommitSeq),
    /// Why no further commit may be tried, and what can still be read.
    Failed(Arc<str>, Option<Opened>),
}

#[derive(Clone)]
struct Opened {
    database: Arc<Database>,
    /// The disk refused bytes.
    full: Arc<AtomicBool>,
}

impl std::fmt::Debug for RedbMeta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbMeta").field("running", &self.running).finish_non_exhaustive()
    }
}

impl RedbMeta {
    /// Opens the store in the file `path`, making it when it is not there, and makes its name durable, whoever made it.
    /// The caller holds the lock on the storage root. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk fails or the file is damaged.
    pub fn open(disk: &SharedDisk, path: &Path, running: Running) -> Result<Self, MetaError> {
        let opened = if disk.exists(path).map_err(unreadable)? {
            open_file(&**disk, path, OpenMode::ReadWrite, &Arc::default())?
        } else {
            create(&**disk, path)?
        };
        // Also what an earlier process made: it may have been killed before it could make the name durable, and then
        // a power loss would take the file and everything that was told since.
        let folder = folder_of(path);
        disk.sync_dir(folder).map_err(unreadable)?;
        // The folder's own name, should it be new.
        disk.sync_dir(folder_of(folder)).map_err(unreadable)?;
        let shared = Shared {
            disk: Arc::clone(disk),
            path: path.to_owned(),
            state: Mutex::new(State::Open(opened)),
            writing: Mutex::new(()),
        };
        Ok(Self { shared: Arc::new(shared), running })
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

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn unreadable(error: impl std::fmt::Display) -> MetaError {
    MetaError::Unreadable(error.to_string().into())
}

fn failed(error: impl std::fmt::Display) -> MetaError {
    MetaError::Failed(error.to_string().into())
}

/// `full` is set when the disk refuses bytes, now or later.
fn open_file(
    disk: &dyn Disk,
    path: &Path,
    mode: OpenMode,
    full: &Arc<AtomicBool>,
) -> Result<Opened, MetaError> {
    let file = disk.open(path, mode).map_err(unreadable)?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let backend = DiskBackend::new(file, Arc::clone(full));
    let database = builder.create_with_backend(backend).map_err(unreadable)?;
    Ok(Opened { database: Arc::new(database), full: Arc::clone(full) })
}

/// The open file keeps being the store's under its new name; the caller makes that name durable.
fn create(disk: &dyn Disk, path: &Path) -> Result<Opened, MetaError> {
    disk.create_dir_all(folder_of(path)).map_err(unreadable)?;
    let unfinished = unfinished_name(path);
    if disk.exists(&unfinished).map_err(unreadable)? {
        disk.remove_file(&unfinished).map_err(unreadable)?;
    }
    let opened = open_file(disk, &unfinished, OpenMode::CreateNew, &Arc::default())?;
    // Makes the tables, so that reading finds them.
    commit(&opened.database, Batch::default())?;
    disk.rename(&unfinished, path).map_err(unreadable)?;
    Ok(opened)
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

/// The last commit that the file holds.
fn last_commit(database: &Database) -> Result<CommitSeq, MetaError> {
    let transaction = database.begin_read().map_err(unreadable)?;
    let sequence = transaction.open_table(SEQUENCE).map_err(unreadable)?;
    let last = sequence.get(0).map_err(unreadable)?;
    Ok(CommitSeq(last.map_or(0, |last| last.value())))
}

impl Shared {
    fn commit(&self, batch: Batch) -> Result<CommitSeq, MetaError> {
        let _one_at_a_time = self.writing.lock();
        let opened = self.opened()?;
        if let State::Failed(why, _) = &*self.state.lock() {
            return Err(MetaError::Failed(Arc::clone(why)));
        }
        let before = last_commit(&opened.database)?;
        let result = commit(&opened.database, batch);
        let Err(MetaError::Failed(why)) = &result else { return result };
        let mut state = self.state.lock();
        if !opened.full.load(Ordering::Relaxed) {
            *state = State::Failed(Arc::clone(why), Some(opened));
            return result;
        }
        tracing::error!(path = %self.path.display(), %why, "no space left for metadata");
        *state = State::Full(before);
        drop(opened);
        // Opening shows that nothing was changed. A disk too full even for that is asked again next time.
        match self.reopen(&mut state, before) {
            Err(failure @ MetaError::Failed(_)) => Err(failure),
            _ => Err(self.no_space()),
        }
    }

    /// The open store; opened again when a commit met a full disk.
    fn opened(&self) -> Result<Opened, MetaError> {
        let mut state = self.state.lock();
        match &*state {
            State::Open(opened) | State::Failed(_, Some(opened)) => Ok(opened.clone()),
            State::Failed(why, None) => Err(MetaError::Failed(Arc::clone(why))),
            State::Full(before) => {
                let before = *before;
                self.reopen(&mut state, before)
            }
        }
    }

    /// Opens the file again: a store that redb has seen fail answers nothing any more. What was written before the disk
    /// was full stands beside the last commit, which must still be the last.
    fn reopen(&self, state: &mut State, before: CommitSeq) -> Result<Opened, MetaError> {
        let full = Arc::new(AtomicBool::new(false));
        let opened = open_file(&*self.disk, &self.path, OpenMode::ReadWrite, &full);
        let found = opened.and_then(|opened| Ok((last_commit(&opened.database)?, opened)));
        let why: Arc<str> = match found {
            Ok((found, opened)) if found == before => {
                *state = State::Open(opened.clone());
                return Ok(opened);
            }
            Err(_) if full.load(Ordering::Relaxed) => return Err(self.no_space()),
            Ok((found, _)) => format!("commit {} was not known to be durable", found.0).into(),
            Err(error) => error.to_string().into(),
        };
        *state = State::Failed(Arc::clone(&why), None);
        Err(MetaError::Failed(why))
    }

    fn no_space(&self) -> MetaError {
        MetaError::NoSpace(self.path.display().to_string().into())
    }

    /// Reads, once more where a commit met a full disk meanwhile.
    fn read<T>(&self, read: impl Fn(&Database) -> Result<T, MetaError>) -> Result<T, MetaError> {
        let opened = self.opened()?;
        match read(&opened.database) {
            Err(_) if opened.full.load(Ordering::Relaxed) => {
                drop(self.writing.lock());
                read(&self.opened()?.database)
            }
            other => other,
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, MetaError> {
        self.read(|database| {
            let transaction = database.begin_read().map_err(unreadable)?;
            let records = transaction.open_table(RECORDS).map_err(unreadable)?;
            let value = records.get(key).map_err(unreadable)?;
            Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    fn scan(&self, range: &Range<Bytes>) -> Result<Vec<(Bytes, Bytes)>, MetaError> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        self.read(|database| {
            let transaction = database.begin_read().map_err(unreadable)?;
            let records = transaction.open_table(RECORDS).map_err(unreadable)?;
            let found = records.range(&range.start[..]..&range.end[..]).map_err(unreadable)?;
            found
                .map(|entry| {
                    let (key, value) = entry.map_err(unreadable)?;
                    Ok((Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value.value())))
                })
                .collect()
        })
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
