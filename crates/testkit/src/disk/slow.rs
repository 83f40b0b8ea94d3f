//! A slower disk, in real time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use waybill_rt::{Disk, DiskFile, OpenMode, SharedDisk};

/// Another disk whose every sync takes this much longer, as one far away does.
pub struct SlowDisk {
    inner: SharedDisk,
    sync: Duration,
}

struct SlowFile {
    inner: Arc<dyn DiskFile>,
    sync: Duration,
}

impl std::fmt::Debug for SlowDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SlowDisk({:?} a sync)", self.sync)
    }
}

impl SlowDisk {
    /// Makes each sync of a file on `inner` take `sync` longer. Blocks the calling thread for that time.
    #[must_use]
    pub fn shared(inner: SharedDisk, sync: Duration) -> SharedDisk {
        Arc::new(Self { inner, sync })
    }
}

impl Disk for SlowDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(SlowFile { inner: self.inner.open(path, mode)?, sync: self.sync }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.inner.free_space(path)
    }

    fn network_file_system(&self, path: &Path) -> io::Result<Option<&'static str>> {
        self.inner.network_file_system(path)
    }

    fn block_size(&self) -> usize {
        self.inner.block_size()
    }
}

impl DiskFile for SlowFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_all_at(&self, parts: &[io::IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.inner.write_all_at(parts, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        std::thread::sleep(self.sync);
        self.inner.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.inner.try_lock()
    }

    fn raw_fd(&self) -> Option<i32> {
        self.inner.raw_fd()
    }
}
