//! Objects as files below a folder.
//!
//! An object is written under another name in `tmp/`, synced, renamed to its own, and the folder synced: what is
//! there under its own name is whole and durable. What an interrupted write leaves in `tmp/` is removed at start.
//! Alone in its folder ([`Sharing::Alone`]) the caller holds the lock on it: no other process creates objects there. On a
//! disk that several machines share ([`Sharing::Shared`]) an object gets its name by a hard link, which fails where the name
//! exists; and since another's object may be seen before it is durable, it is synced, with its folder, by whoever opens it.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use waybill_rt::{Entropy, OpenMode, Running, SharedDisk, create_dir_durably};

use crate::api::{ObjectStore, StoreError};
use crate::direct::Direct;
use crate::handles::{Handle, Handles};
use crate::names::is_name;

/// Files of objects kept open for reading.
const OPEN_FILES: usize = 128;
/// Objects are written out in pieces of at least so many bytes.
const PIECE_BYTES: usize = 1 << 20;

/// Who creates objects in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// This process only.
    #[default]
    Alone,
    /// Other processes and machines too.
    Shared,
}

/// Objects below a folder.
#[derive(Clone)]
pub struct DiskStore {
    shared: Arc<Shared>,
    running: Running,
}

struct Shared {
    disk: SharedDisk,
    root: PathBuf,
    sharing: Sharing,
    /// Tells unfinished files of processes that share the folder apart.
    mark: String,
    unfinished: AtomicU64,
    /// Folders known to be there and durable; held while a name is taken, so that only one writer takes it.
    folders: Mutex<HashSet<PathBuf>>,
    handles: Mutex<Handles>,
    direct: Direct,
}

impl std::fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStore").field("root", &self.shared.root).finish_non_exhaustive()
    }
}

impl DiskStore {
    /// Opens the store below `root`, which is made when it is not there, for this process alone, and removes unfinished
    /// writes.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open(disk: SharedDisk, root: &Path, running: Running) -> io::Result<Self> {
        let folder = root.join("tmp");
        disk.create_dir_all(&folder)?;
        for stale in disk.list(&folder)? {
            disk.remove_file(&stale)?;
        }
        Ok(Self::over(disk, root, running, Sharing::Alone, String::new()))
    }

    /// Opens the store below `root`, which may be shared. What an interrupted write of another process leaves in `tmp/`
    /// of a shared folder stays there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open_as(
        disk: SharedDisk,
        root: &Path,
        running: Running,
        sharing: Sharing,
        entropy: &dyn Entropy,
    ) -> io::Result<Self> {
        if sharing == Sharing::Alone {
            return Self::open(disk, root, running);
        }
        create_dir_durably(&*disk, &root.join("tmp"))?;
        let mark = format!("{:016x}-", entropy.next_u64());
        // Objects of a shared folder are small and soon read by others: through the page cache.
        Ok(Self::over(disk, root, running, sharing, mark).through_page_cache())
    }

    fn over(disk: SharedDisk, root: &Path, running: Running, sharing: Sharing, mark: String) -> Self {
        let direct = Direct::new(&*disk);
        let shared = Shared {
            disk,
            direct,
            root: root.to_owned(),
            sharing,
            mark,
            unfinished: AtomicU64::new(0),
            folders: Mutex::new(HashSet::new()),
            handles: Mutex::new(Handles::new(OPEN_FILES)),
        };
        Self { shared: Arc::new(shared), running }
    }

    /// Sends objects through the page cache: worth it where the disk is slow and memory plenty, since readers of what was
    /// written lately are then served from memory. Without it objects go around the page cache where the file system
    /// can do so.
    #[must_use]
    pub fn through_page_cache(self) -> Self {
        self.shared.direct.switch_off();
        self
    }

    fn run<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Shared, &str) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let (shared, name) = (Arc::clone(&self.shared), name.to_owned());
        let task = self.running.run(move || work(&shared, &name).map_err(|error| name_error(&name, error)));
        async move {
            task.await.unwrap_or_else(|stopped| {
                Err(StoreError::Io { name: "".into(), error: Arc::new(io::Error::other(stopped)) })
            })
        }
        .boxed()
    }
}

fn name_error(name: &str, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::AlreadyExists => StoreError::Exists(name.into()),
        io::ErrorKind::NotFound => StoreError::NotFound(name.into()),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace(name.into()),
        _ => StoreError::Io { name: name.into(), error: Arc::new(error) },
    }
}

/// Runs of parts of about [`PIECE_BYTES`] each.
fn pieces(parts: &[Bytes]) -> impl Iterator<Item = &[Bytes]> {
    let mut rest = parts;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let full = rest.iter().position(|part| {
            bytes += part.len();
            bytes >= PIECE_BYTES
        });
        let (piece, after) = rest.split_at(full.map_or(rest.len(), |last| last + 1));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

impl Handle {
    /// A buffer for as much of `range` as the object has.
    fn room_for(&self, range: &Range<u64>) -> io::Result<Vec<u8>> {
        let length = range.end.min(self.length).saturating_sub(range.start);
        Ok(vec![0; usize::try_from(length).map_err(io::Error::other)?])
    }
}

impl Shared {
    fn path(&self, name: &str) -> io::Result<PathBuf> {
        if !is_name(name) || name.starts_with("tmp/") {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an object name"));
        }
        Ok(self.root.join(name))
    }

    fn put(&self, name: &str, parts: &[Bytes], gently: bool) -> io::Result<()> {
        let path = self.path(name)?;
        if self.disk.exists(&path)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.root.join("tmp").join(format!("{}{number}", self.mark));
        let result = self.write(&unfinished, parts, gently).and_then(|()| self.finish(&unfinished, &path));
        if result.is_err() {
            // Best effort: what stays is removed at the next start.
            let _ = self.disk.remove_file(&unfinished);
        }
        result
    }

    /// Writes piece by piece; gently: at most two of them on the way to the device, so that a large object does not fill
    /// its queue before the syncs of the write-ahead log.
    fn write(&self, path: &Path, parts: &[Bytes], gently: bool) -> io::Result<()> {
        if self.direct.is_on() {
            match self.direct.write(&*self.disk, path, parts, gently) {
                Err(error) if self.direct.is_refusal(&error) => self.disk.remove_file(path)?,
                other => return other,
            }
        }
        let file = self.disk.open(path, OpenMode::CreateNew)?;
        let (mut before, mut position) = (0..0, 0);
        for piece in pieces(parts) {
            let slices: Vec<io::IoSlice<'_>> = piece.iter().map(|part| io::IoSlice::new(part)).collect();
            file.write_all_at(&slices, position)?;
            let end = position + piece.iter().map(|part| part.len() as u64).sum::<u64>();
            if gently {
                file.write_back(position..end, before)?;
            }
            (before, position) = (position..end, end);
        }
        file.sync_data()
    }

    fn finish(&self, unfinished: &Path, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.root);
        let mut folders = self.folders.lock();
        if !folders.contains(folder) {
            self.make_folder(folder)?;
            folders.insert(folder.to_owned());
        }
        match self.sharing {
            Sharing::Alone if self.disk.exists(path)? => return Err(io::ErrorKind::AlreadyExists.into()),
            Sharing::Alone => self.disk.rename(unfinished, path)?,
            Sharing::Shared => self.disk.hard_link(unfinished, path)?,
        }
        drop(folders);
        if self.sharing == Sharing::Shared {
            // Best effort: the object is there under its own name.
            let _ = self.disk.remove_file(unfinished);
        }
        self.disk.sync_dir(folder)
    }

    /// Makes a folder and every name on the way to it durable.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if self.disk.exists(folder)? {
            // An earlier process may have made it and lost power before its name was durable; syncing is cheap.
            tracing::trace!(?folder, "folder is there");
        } else {
            self.disk.create_dir_all(folder)?;
        }
        let mut parent = folder.parent();
        while let Some(path) = parent.filter(|path| path.starts_with(&self.root)) {
            self.disk.sync_dir(path)?;
            parent = path.parent();
        }
        Ok(())
    }

    fn open(&self, name: &str) -> io::Result<Handle> {
        if let Some(handle) = self.handles.lock().get(name) {
            return Ok(handle);
        }
        let path = self.path(name)?;
        let mode = if self.direct.is_on() { OpenMode::Direct } else { OpenMode::Read };
        let file = self.disk.open(&path, mode)?;
        if self.sharing == Sharing::Shared {
            // Its writer may have died before it was durable, and now someone relies on it.
            file.sync_data()?;
            self.disk.sync_dir(path.parent().unwrap_or(&self.root))?;
        }
        let handle = Handle { length: file.len()?, file, direct: mode == OpenMode::Direct };
        self.handles.lock().insert(name, handle.clone());
        Ok(handle)
    }

    fn get(&self, name: &str, range: Range<u64>) -> io::Result<Bytes> {
        let mut handle = self.open(name)?;
        if handle.direct {
            let end = range.end.min(handle.length);
            match self.direct.read(name, &*handle.file, handle.length, range.start.min(end)..end) {
                Err(error) if self.direct.is_refusal(&error) => {
                    self.handles.lock().clear();
                    handle = self.open(name)?;
                }
                other => return other,
            }
        }
        let mut bytes = handle.room_for(&range)?;
        handle.file.read_exact_at(&mut bytes, range.start)?;
        Ok(Bytes::from(bytes))
    }

    /// What can be read without waiting for the disk: `None` when not all of it can.
    fn get_cached(&self, name: &str, range: &Range<u64>) -> Option<Bytes> {
        let handle = self.handles.lock().get(name)?;
        if handle.direct {
            let end = range.end.min(handle.length);
            return self.direct.in_memory(name, &(range.start.min(end)..end));
        }
        let mut bytes = handle.room_for(range).ok()?;
        let read = handle.file.read_cached_at(&mut bytes, range.start)?;
        (read == bytes.len()).then(|| Bytes::from(bytes))
    }

    fn delete(&self, name: &str) -> io::Result<()> {
        self.handles.lock().remove(name);
        self.direct.forget(name);
        match self.disk.remove_file(&self.path(name)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let folder = prefix.rsplit_once('/').map_or(self.root.clone(), |(folder, _)| self.root.join(folder));
        let mut names = Vec::new();
        self.walk(&folder, 0, &mut names)?;
        names.retain(|name| name.starts_with(prefix) && !name.starts_with("tmp/"));
        Ok(names)
    }

    fn walk(&self, folder: &Path, depth: usize, names: &mut Vec<String>) -> io::Result<()> {
        let entries = match self.disk.list(folder) {
            Ok(entries) => entries,
            Err(error) if depth == 0 && error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for path in entries {
            let Ok(name) = path.strip_prefix(&self.root) else { continue };
            let Some(name) = name.to_str().filter(|name| is_name(name)) else { continue };
            match self.walk(&path, depth + 1, names) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => names.push(name.to_owned()),
                // Removed since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl ObjectStore for DiskStore {
    fn put(&self, name: &str, parts: Vec<Bytes>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.run(name, move |shared, name| shared.put(name, &parts, false))
    }

    fn put_gently(&self, name: &str, parts: Vec<Bytes>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.run(name, move |shared, name| shared.put(name, &parts, true))
    }

    fn get(&self, name: &str, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, StoreError>> {
        // A thread of its own costs more than copying what is in memory.
        if let Some(bytes) = self.shared.get_cached(name, &range) {
            return std::future::ready(Ok(bytes)).boxed();
        }
        self.run(name, move |shared, name| shared.get(name, range))
    }

    fn len(&self, name: &str) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.run(name, |shared, name| Ok(shared.open(name)?.length))
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), StoreError>> {
        self.run(name, Shared::delete)
    }

    fn list(&self, prefix: &str) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        self.run(prefix, Shared::list)
    }
}
