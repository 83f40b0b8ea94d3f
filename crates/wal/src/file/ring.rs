//! The ring's folder: its lock, its description, its files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use waybill_rt::{DiskFile, OpenMode, SharedDisk};
use waybill_types::StoreId;

use crate::file::describe::{DESCRIPTION_LEN, Description, RING_FILE};
use crate::file::layout::Geometry;
use crate::lock::{DirLock, LockError};
use crate::sabotage::Sabotage;

/// The shape that a new ring gets; an existing one keeps its own.
#[derive(Debug, Clone, Copy)]
pub struct RingOptions {
    /// How many files.
    pub files: u32,
    /// Length of each in bytes.
    pub file_size: u64,
    /// The rule that is left out; nothing without the feature `sim`.
    pub sabotage: Sabotage,
}

impl Default for RingOptions {
    fn default() -> Self {
        Self { files: 16, file_size: 32 << 20, sabotage: Sabotage::None }
    }
}

/// A locked ring: open, not yet recovered, not yet written.
pub struct Ring {
    pub(crate) disk: SharedDisk,
    pub(crate) dir: PathBuf,
    pub(crate) store: StoreId,
    pub(crate) geometry: Geometry,
    pub(crate) files: Vec<RingFile>,
    pub(crate) sabotage: Sabotage,
    /// The ring was made just now, so no incarnation can have written it.
    pub(crate) is_new: bool,
    _lock: DirLock,
}

/// One file of the ring.
pub(crate) struct RingFile {
    pub(crate) path: PathBuf,
    /// Through the page cache, for recovery and reads.
    pub(crate) reader: Arc<dyn DiskFile>,
    /// Around the page cache where the disk can do so.
    pub(crate) writer: Mutex<Arc<dyn DiskFile>>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({}, {:?})", self.dir.display(), self.geometry)
    }
}

/// Why a ring could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder could not be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The shape asked for can not work.
    #[error("a ring of {} files of {} bytes in blocks of {} can not work", .0.files, .0.file_size, .0.block)]
    Shape(Geometry),
    /// The ring belongs to another store.
    #[error("the write-ahead log in {} belongs to store {found}, not to {expected}", .dir.display())]
    Foreign {
        /// The folder.
        dir: PathBuf,
        /// The store it was made for.
        found: StoreId,
        /// The store it was opened for.
        expected: StoreId,
    },
    /// A file of the ring is missing, or its description is.
    #[error("the write-ahead log in {} is damaged: {what}", .dir.display())]
    Damaged {
        /// The folder.
        dir: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The disk failed.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    |error| OpenError::Io { path, error }
}

impl Ring {
    /// Locks `dir` and opens the ring of `store` in it, making it when there is none. `pid` goes into the lock file.
    ///
    /// # Errors
    /// An [`OpenError`]: the folder is in use, belongs to another store, is damaged, or the disk failed.
    pub fn open(
        disk: SharedDisk,
        dir: &Path,
        store: StoreId,
        options: RingOptions,
        pid: u32,
    ) -> Result<Arc<Self>, OpenError> {
        let lock = DirLock::take(&*disk, dir, pid)?;
        let described = disk.exists(&dir.join(RING_FILE)).map_err(failed(dir))?;
        let geometry =
            if described { read_description(&disk, dir, store)? } else { make(&disk, dir, store, options)? };
        // Also what an earlier process made: it may have been killed before it could make it durable.
        disk.sync_dir(dir).map_err(failed(dir))?;
        let mut files = Vec::with_capacity(geometry.files as usize);
        for slot in 0..geometry.files {
            files.push(open_file(&disk, dir, slot, geometry)?);
        }
        Ok(Arc::new(Self {
            disk,
            dir: dir.to_owned(),
            store,
            geometry,
            files,
            sabotage: options.sabotage,
            is_new: !described,
            _lock: lock,
        }))
    }

    /// The ring's shape.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The folder it lives in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn file(&self, slot: usize) -> io::Result<&RingFile> {
        self.files.get(slot).ok_or_else(|| io::Error::other(format!("the ring has no slot {slot}")))
    }
}

fn file_path(dir: &Path, slot: u32) -> PathBuf {
    dir.join(format!("ring-{slot:03}"))
}

fn read_description(disk: &SharedDisk, dir: &Path, store: StoreId) -> Result<Geometry, OpenError> {
    let path = dir.join(RING_FILE);
    let file = disk.open(&path, OpenMode::Read).map_err(failed(&path))?;
    let mut bytes = [0; DESCRIPTION_LEN];
    let damaged = |what: String| OpenError::Damaged { dir: dir.to_owned(), what };
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(damaged(format!("{} is too short", path.display())));
        }
        Err(error) => return Err(failed(&path)(error)),
    }
    let found =
        Description::decode(&bytes).map_err(|fault| damaged(format!("{}: {fault}", path.display())))?;
    if found.store != store {
        return Err(OpenError::Foreign { dir: dir.to_owned(), found: found.store, expected: store });
    }
    Ok(found.geometry)
}

/// Makes a ring: first all its files, empty, then the description, under a name that is only given to it once it is
/// whole; the caller makes that name durable. A crash anywhere in between is repeated from the start, because no file
/// has got bytes yet.
fn make(disk: &SharedDisk, dir: &Path, store: StoreId, options: RingOptions) -> Result<Geometry, OpenError> {
    let block = u32::try_from(disk.block_size()).unwrap_or(u32::MAX);
    let geometry = Geometry { files: options.files, file_size: options.file_size, block };
    if !geometry.is_sound() {
        return Err(OpenError::Shape(geometry));
    }
    for slot in 0..geometry.files {
        let path = file_path(dir, slot);
        let file = disk.open(&path, OpenMode::CreateOrOpen).map_err(failed(&path))?;
        if file.len().map_err(failed(&path))? > 0 {
            let what = format!("{} holds bytes but there is no {RING_FILE} file beside it", path.display());
            return Err(OpenError::Damaged { dir: dir.to_owned(), what });
        }
    }
    disk.sync_dir(dir).map_err(failed(dir))?;
    let (draft, path) = (dir.join("ring.new"), dir.join(RING_FILE));
    let file = disk.open(&draft, OpenMode::CreateOrOpen).map_err(failed(&draft))?;
    file.set_len(0).map_err(failed(&draft))?;
    let bytes = Description { store, geometry }.encode();
    file.write_all_at(&[io::IoSlice::new(&bytes)], 0).map_err(failed(&draft))?;
    file.sync_data().map_err(failed(&draft))?;
    disk.rename(&draft, &path).map_err(failed(&path))?;
    Ok(geometry)
}

fn open_file(disk: &SharedDisk, dir: &Path, slot: u32, geometry: Geometry) -> Result<RingFile, OpenError> {
    let path = file_path(dir, slot);
    let damaged = |what: String| OpenError::Damaged { dir: dir.to_owned(), what };
    let open = |mode| match disk.open(&path, mode) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(damaged(format!("{} is missing", path.display())))
        }
        Err(error) => Err(failed(&path)(error)),
    };
    let reader = open(OpenMode::Read)?;
    // A device with larger blocks than the ring's can not be written around the page cache.
    let fits = disk.block_size() <= geometry.block as usize;
    let writer = open(if fits { OpenMode::Direct } else { OpenMode::ReadWrite })?;
    if reader.len().map_err(failed(&path))? > geometry.file_size {
        return Err(damaged(format!("{} is longer than {} bytes", path.display(), geometry.file_size)));
    }
    Ok(RingFile { path, reader, writer: Mutex::new(writer) })
}
