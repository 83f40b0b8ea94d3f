//! The operating system's disk.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, OpenMode, SharedDisk};

/// The machine's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl RealDisk {
    /// The machine's disk, shared.
    #[must_use]
    pub fn shared() -> SharedDisk {
        Arc::new(Self)
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite | OpenMode::Direct => {
                options.write(true);
            }
            OpenMode::CreateOrOpen => {
                options.write(true).create(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        if mode == OpenMode::Direct {
            let direct = options.clone().custom_flags(libc::O_DIRECT).open(path);
            match direct {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                other => return Ok(Arc::new(RealFile(other?))),
            }
        }
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut names = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: statvfs is plain data, for which all zeros is a value.
        let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the path ends in NUL and `stat` outlives the call.
        if unsafe { libc::statvfs(path.as_ptr(), &raw mut stat) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    #[cfg(target_os = "linux")]
    fn network_file_system(&self, path: &Path) -> io::Result<Option<&'static str>> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: statfs is plain data, for which all zeros is a value.
        let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
        // SAFETY: the path ends in NUL and `stat` outlives the call.
        if unsafe { libc::statfs(path.as_ptr(), &raw mut stat) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(network_kind(stat.f_type as u32))
    }
}

/// Names the file systems of Linux (`statfs`) that other machines write too.
#[cfg(target_os = "linux")]
fn network_kind(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0xff53_4d42 => "CIFS",
        0xfe53_4d42 => "SMB2",
        0x517b => "SMB",
        0x6573_5546 => "FUSE",
        0x00c3_6400 => "Ceph",
        0x0102_1997 => "9P",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x0bd0_0bd0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x564c => "NCP",
        _ => return None,
    })
}

#[derive(Debug)]
struct RealFile(File);

impl RealFile {
    fn sync_range(&self, range: Range<u64>, flags: libc::c_uint) -> io::Result<()> {
        if range.is_empty() {
            // A length of 0 would mean: to the end of the file.
            return Ok(());
        }
        let at = libc::off64_t::try_from(range.start).map_err(io::Error::other)?;
        let length = libc::off64_t::try_from(range.end - range.start).map_err(io::Error::other)?;
        // SAFETY: the descriptor is open; no memory is passed.
        if unsafe { libc::sync_file_range(self.0.as_raw_fd(), at, length, flags) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ENOSYS | libc::EINVAL | libc::ESPIPE) => Ok(()),
            _ => Err(error),
        }
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> Option<usize> {
        let at = libc::off_t::try_from(offset).ok()?;
        let part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
        // SAFETY: the one part describes `buf`, which outlives the call; the descriptor is open.
        let read = unsafe { libc::preadv2(self.0.as_raw_fd(), &raw const part, 1, at, libc::RWF_NOWAIT) };
        // An error is EAGAIN (not in memory) or one that a read that may wait will tell.
        usize::try_from(read).ok()
    }

    fn write_all_at(&self, parts: &[io::IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        let mut rest: Vec<io::IoSlice<'_>> = parts.to_vec();
        let mut slices: &mut [io::IoSlice<'_>] = &mut rest;
        io::IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let count = slices.len().min(libc::UIO_MAXIOV as usize);
            let at = libc::off_t::try_from(offset).map_err(io::Error::other)?;
            // SAFETY: IoSlice has the layout of iovec, the slices outlive the call, the descriptor is open.
            let wrote = unsafe {
                libc::pwritev(self.0.as_raw_fd(), slices.as_ptr().cast(), count as libc::c_int, at)
            };
            if wrote < 0 {
                let error = io::Error::last_os_error();
                if error.kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                return Err(error);
            }
            if wrote == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            offset += wrote as u64;
            io::IoSlice::advance_slices(&mut slices, wrote as usize);
        }
        Ok(())
    }

    fn write_back(&self, start: Range<u64>, wait: Range<u64>) -> io::Result<()> {
        self.sync_range(start, libc::SYNC_FILE_RANGE_WRITE)?;
        self.sync_range(wait, libc::SYNC_FILE_RANGE_WAIT_BEFORE)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn raw_fd(&self) -> Option<i32> {
        Some(self.0.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_is_read_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let file = RealDisk.open(&folder.path().join("f"), OpenMode::CreateNew).unwrap();
        file.write_all_at(&[io::IoSlice::new(b"hello world")], 0).unwrap();
        let mut buf = [0; 5];
        // Some file systems never can.
        if let Some(read) = file.read_cached_at(&mut buf, 6) {
            assert_eq!(&buf[..read], &b"world"[..read]);
        }
    }

    #[test]
    fn many_parts_are_written_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = RealDisk.open(&path, OpenMode::CreateNew).unwrap();
        let bytes: Vec<[u8; 3]> = (0..3000u32).map(|n| [n as u8, (n >> 8) as u8, 7]).collect();
        let parts: Vec<_> = bytes.iter().map(|part| io::IoSlice::new(part)).collect();
        file.write_all_at(&parts, 5).unwrap();
        let mut back = vec![0; 9000];
        file.read_exact_at(&mut back, 5).unwrap();
        assert_eq!(back, bytes.concat());
        assert!(RealDisk.open(&path, OpenMode::CreateNew).is_err());
    }

    #[test]
    fn a_lock_is_held_by_one_open_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = RealDisk.open(&path, OpenMode::CreateOrOpen).unwrap();
        let second = RealDisk.open(&path, OpenMode::CreateOrOpen).unwrap();
        assert!(first.try_lock().unwrap());
        assert!(!second.try_lock().unwrap());
        drop(first);
        assert!(second.try_lock().unwrap());
    }
}
