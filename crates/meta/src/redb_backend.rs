//! redb's storage on a [`Disk`](waybill_rt::Disk) file, so that power loss under it can be simulated.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use waybill_rt::DiskFile;

pub(crate) struct DiskBackend {
    file: Arc<dyn DiskFile>,
    full: Arc<AtomicBool>,
}

impl DiskBackend {
    /// `full` is set when the disk refuses bytes for lack of space: known to have had no effect, unlike a failed sync.
    pub(crate) fn new(file: Arc<dyn DiskFile>, full: Arc<AtomicBool>) -> Self {
        Self { file, full }
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        {
            self.full.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl std::fmt::Debug for DiskBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskBackend").finish_non_exhaustive()
    }
}

impl redb::StorageBackend for DiskBackend {
    fn len(&self) -> Result<u64, io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.note(self.file.set_len(len))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.note(self.file.write_all_at(&[io::IoSlice::new(data)], offset))
    }
}
