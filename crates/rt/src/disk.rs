//! Files and directories, passed in.
//!
//! Calls block; whoever must not block runs them on a thread made for it. The contract is POSIX's at its most
//! hostile: what was written is durable only after [`DiskFile::sync_data`], a new or renamed or removed name only
//! after [`Disk::sync_dir`] of its folder. The simulated disk of `waybill-testkit` takes both at their word.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// To read; it must exist.
    Read,
    /// To read and write; it must exist.
    ReadWrite,
    /// To read and write; made when absent.
    CreateOrOpen,
    /// To read and write; must not exist yet.
    CreateNew,
    /// To read and write around the page cache (`O_DIRECT`); it must exist. Buffers, lengths and positions are then
    /// multiples of [`Disk::block_size`]. A disk that can not do so opens it as [`OpenMode::ReadWrite`].
    Direct,
}

/// A disk.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes a folder and those above it. Each new name is durable only after `sync_dir` of the folder it is in.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name, which must not exist: the one step that is atomic between machines that share a disk.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder, in byte order.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;

    /// Whether a name exists.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Bytes that can still be written below `path`.
    fn free_space(&self, path: &Path) -> io::Result<u64>;

    /// The kind of network file system that `path` is on, where a lock does not fence; `None` on a local one.
    fn network_file_system(&self, path: &Path) -> io::Result<Option<&'static str>> {
        let _ = path;
        Ok(None)
    }

    /// The unit of an atomic write and of [`OpenMode::Direct`], in bytes: at least 4,096.
    fn block_size(&self) -> usize {
        4096
    }
}

/// Makes `dir`, those above it and their names durable, whoever made them and whenever. A folder that can not be
/// opened for lack of permission ends the walk: what is above it was not made by this process.
///
/// # Errors
/// When the disk fails.
pub fn create_dir_durably(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    disk.create_dir_all(dir)?;
    for above in dir.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match disk.sync_dir(above) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
            other => other?,
        }
    }
    Ok(())
}

/// A disk as it is handed around.
pub type SharedDisk = Arc<dyn Disk>;

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Reads up to `buf.len()` bytes at `offset`; 0 at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Reads as [`DiskFile::read_at`], but only what needs no waiting for the disk: fewer bytes, or none, when the rest
    /// is not in memory. `None` where that can not be told.
    fn read_cached_at(&self, _buf: &mut [u8], _offset: u64) -> Option<usize> {
        None
    }

    /// Writes all of `parts`, one after the other, at `offset`.
    fn write_all_at(&self, parts: &[io::IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Starts to write the range `start` out to the device, then waits until the range `wait` has been, without making
    /// either durable: so that a later [`DiskFile::sync_data`] has little to do at once and does not hold up other
    /// files. After an error the same holds as after a failed sync. Does nothing where it can not be done.
    fn write_back(&self, _start: Range<u64>, _wait: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    /// Makes what was written durable. After an error nothing may be assumed of any write since the last success.
    fn sync_data(&self) -> io::Result<()>;

    /// Sets the length.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Takes the exclusive lock on the file for as long as it is open; `false` when another process holds it.
    fn try_lock(&self) -> io::Result<bool>;

    /// The operating system's descriptor, where there is one (for `sendfile`).
    fn raw_fd(&self) -> Option<i32> {
        None
    }

    /// Reads exactly `buf.len()` bytes at `offset`.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            let rest = buf.get_mut(done..).unwrap_or_default();
            match self.read_at(rest, offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
