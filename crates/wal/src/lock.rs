//! The lock that fences one machine: held for life on the WAL folder and on the storage root.
//!
//! A lock, not a clock: a process that is stopped keeps it, and a second one refuses to start and names the first.
//! The lock file is never unlinked, else two processes could hold "the" lock on two files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use waybill_rt::{Disk, DiskFile, OpenMode, create_dir_durably};

/// The name of the lock file within its folder.
pub const LOCK_FILE: &str = "lock";

/// An exclusive lock on a folder, released when dropped or when the process ends.
pub struct DirLock {
    path: PathBuf,
    _file: Arc<dyn DiskFile>,
}

impl std::fmt::Debug for DirLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DirLock({})", self.path.display())
    }
}

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{} is in use by {holder}; stop it, or name another folder", .path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process, as far as it can be told.
        holder: String,
    },
    /// Locks are not to be trusted there.
    #[error("{} is on a network file system ({kind}), where a lock does not fence; use a local disk", .path.display())]
    Network {
        /// The folder.
        path: PathBuf,
        /// The file system.
        kind: &'static str,
    },
    /// The disk failed.
    #[error("can not lock {}: {error}", .path.display())]
    Io {
        /// The lock file or folder.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

impl DirLock {
    /// Makes `dir` and its name durable if needed, and takes the exclusive lock on it. `pid` is written into the lock file, for people.
    ///
    /// # Errors
    /// When another process holds it, when `dir` is on a network file system, or when the disk fails.
    pub fn take(disk: &dyn Disk, dir: &Path, pid: u32) -> Result<Self, LockError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            |error| LockError::Io { path, error }
        };
        create_dir_durably(disk, dir).map_err(at(dir))?;
        if let Some(kind) = disk.network_file_system(dir).map_err(at(dir))? {
            return Err(LockError::Network { path: dir.to_owned(), kind });
        }
        let path = dir.join(LOCK_FILE);
        let file = disk.open(&path, OpenMode::CreateOrOpen).map_err(at(&path))?;
        if !file.try_lock().map_err(at(&path))? {
            let holder =
                read_pid(&*file).map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            return Err(LockError::Held { path, holder });
        }
        let text = format!("{pid}\n");
        file.set_len(0).map_err(at(&path))?;
        file.write_all_at(&[io::IoSlice::new(text.as_bytes())], 0).map_err(at(&path))?;
        Ok(Self { path, _file: file })
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn read_pid(file: &dyn DiskFile) -> Option<u32> {
    let mut bytes = [0; 16];
    let count = file.read_at(&mut bytes, 0).ok()?;
    std::str::from_utf8(bytes.get(..count)?).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_rt::RealDisk;

    #[test]
    fn a_second_holder_is_refused_and_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("deep/er");
        let first = DirLock::take(&RealDisk, &dir, 4711).unwrap();
        let text = DirLock::take(&RealDisk, &dir, 4712).unwrap_err().to_string();
        assert!(text.contains("process 4711"), "{text}");
        assert!(first.path().exists());
        drop(first);
        DirLock::take(&RealDisk, &dir, 4713).unwrap();
    }
}
