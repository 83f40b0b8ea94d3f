//! Objects written and read around the page cache.
//!
//! A segment is written once, and what readers want of it soon is in the log cache still. Sending it through the page
//! cache costs a copy and a fresh page for every 4 KiB, which on a virtual machine was most of the CPU time of ingest.
//! Here bytes go to the device from one aligned buffer, and come back into buffers that are used again and again.
//!
//! Small reads are served from a few whole windows: a merged segment holds many small slices side by side, and a reader
//! of many partitions wants them one after the other.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use waybill_rt::{AlignedBuf, Disk, DiskFile, OpenMode};

/// Bytes handed to the device at once.
const PIECE: usize = 1 << 20;
/// The size of a window that no other leads to.
const WINDOW: u64 = 128 << 10;
/// A window that goes on where another ended is twice as large, up to this size.
const WINDOW_MAX: u64 = 512 << 10;
/// Reads of at least so many bytes go straight to the device.
const LARGE: u64 = 64 << 10;
/// Bytes of windows kept, those used last: one for each segment that a reader of many partitions goes through at once.
const WINDOW_BYTES: usize = 8 << 20;
/// Bytes of buffers kept for the next read. Those in use do not count: readers have budgets of their own, and a pool that
/// is empty because caches are full would give fresh pages for every read.
const IDLE_BYTES: usize = 16 << 20;
/// Larger buffers are not kept.
const POOLED_MAX: usize = 4 << 20;
/// Pieces of windows of at least so many bytes are copied into buffers of the pool.
const POOLED_COPY: usize = 32 << 10;

/// The way around the page cache.
pub(crate) struct Direct {
    block: usize,
    on: AtomicBool,
    windows: Mutex<VecDeque<Window>>,
    pool: Arc<Pool>,
}

/// A piece of an object.
struct Window {
    object: String,
    start: u64,
    bytes: Bytes,
}

/// Buffers that wait for the next read.
#[derive(Default)]
struct Pool {
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    /// The one given back last is at the end.
    idle: VecDeque<AlignedBuf>,
    /// Their bytes.
    bytes: usize,
}

/// A buffer, and how many of its bytes count. It goes back to the pool with the last who holds it.
struct Pooled {
    buffer: Option<AlignedBuf>,
    length: usize,
    /// `None` where the buffer is too large to be kept.
    pool: Option<Arc<Pool>>,
}

impl Pooled {
    /// The first `length` bytes, whatever they held before; these count from now on.
    fn bytes(&mut self, length: usize) -> &mut [u8] {
        self.length = length;
        self.buffer.as_mut().map(|buffer| buffer.bytes(length)).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_ref().and_then(|buffer| buffer.held(0..self.length)).unwrap_or_default()
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let (Some(buffer), Some(pool)) = (self.buffer.take(), &self.pool) {
            pool.give_back(buffer);
        }
    }
}

impl Pool {
    /// A buffer with room for `length` bytes, of which all count.
    fn take(self: &Arc<Self>, length: usize, align: usize) -> Pooled {
        let pool = (length <= POOLED_MAX).then(|| Arc::clone(self));
        let buffer = match &pool {
            Some(pool) => pool.find(length, align),
            None => AlignedBuf::new(align),
        };
        Pooled { buffer: Some(buffer), length, pool }
    }

    fn find(&self, length: usize, align: usize) -> AlignedBuf {
        let mut state = self.state.lock();
        let fits = |buffer: &AlignedBuf| (length..=length.saturating_mul(4)).contains(&buffer.room());
        let at = state.idle.iter().rposition(fits);
        let Some(buffer) = at.and_then(|at| state.idle.remove(at)) else { return AlignedBuf::new(align) };
        state.bytes = state.bytes.saturating_sub(buffer.room());
        buffer
    }

    /// Keeps a buffer; those that nobody wanted for the longest time make room for it.
    fn give_back(&self, buffer: AlignedBuf) {
        let mut state = self.state.lock();
        state.bytes = state.bytes.saturating_add(buffer.room());
        state.idle.push_back(buffer);
        while state.bytes > IDLE_BYTES
            && let Some(oldest) = state.idle.pop_front()
        {
            state.bytes = state.bytes.saturating_sub(oldest.room());
        }
    }

    /// A copy of `bytes` that does not hold what they are part of.
    fn copy(self: &Arc<Self>, bytes: &[u8], align: usize) -> Bytes {
        if bytes.len() < POOLED_COPY {
            return Bytes::copy_from_slice(bytes);
        }
        let mut copy = self.take(bytes.len(), align);
        copy.bytes(bytes.len()).copy_from_slice(bytes);
        Bytes::from_owner(copy)
    }
}

impl Direct {
    pub(crate) fn new(disk: &dyn Disk) -> Self {
        let block = disk.block_size();
        Self {
            block,
            on: AtomicBool::new(PIECE.is_multiple_of(block)),
            windows: Mutex::new(VecDeque::new()),
            pool: Arc::default(),
        }
    }

    /// Whether objects go around the page cache.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// From now on objects go through the page cache.
    pub(crate) fn switch_off(&self) {
        self.on.store(false, Ordering::Relaxed);
    }

    /// Whether `error` says that the file system does not do this; objects go through the page cache from then on.
    pub(crate) fn is_refusal(&self, error: &io::Error) -> bool {
        let refused = self.is_on() && error.kind() == io::ErrorKind::InvalidInput;
        if refused {
            tracing::warn!(%error, "no direct reads and writes of segments here, going through the page cache");
            self.switch_off();
        }
        refused
    }

    /// Writes and syncs a new file; gently, a piece at a time: a device that acknowledges from a cache would else have all
    /// of it to write out before the next sync of the write-ahead log.
    pub(crate) fn write(
        &self,
        disk: &dyn Disk,
        path: &Path,
        parts: &[Bytes],
        gently: bool,
    ) -> io::Result<()> {
        disk.open(path, OpenMode::CreateNew)?;
        let file = disk.open(path, OpenMode::Direct)?;
        let mut buffer = self.pool.take(PIECE, self.block);
        let (mut at, mut filled) = (0u64, 0usize);
        for part in parts {
            let mut rest: &[u8] = part;
            while !rest.is_empty() {
                let piece = buffer.bytes(PIECE);
                let (taken, after) = rest.split_at(rest.len().min(PIECE - filled));
                if let Some(to) = piece.get_mut(filled..filled + taken.len()) {
                    to.copy_from_slice(taken);
                }
                filled += taken.len();
                rest = after;
                if filled == PIECE {
                    file.write_all_at(&[io::IoSlice::new(piece)], at)?;
                    if gently {
                        file.sync_data()?;
                    }
                    at += PIECE as u64;
                    filled = 0;
                }
            }
        }
        if filled > 0 {
            let piece = buffer.bytes(filled.next_multiple_of(self.block));
            piece.get_mut(filled..).unwrap_or_default().fill(0);
            file.write_all_at(&[io::IoSlice::new(piece)], at)?;
            file.set_len(at + filled as u64)?;
        }
        file.sync_data()
    }

    /// What of `range`, which ends within the object, is in memory: all of it or nothing.
    pub(crate) fn in_memory(&self, object: &str, range: &Range<u64>) -> Option<Bytes> {
        let mut windows = self.windows.lock();
        let holds = |window: &Window| {
            let end = window.start + window.bytes.len() as u64;
            window.start <= range.start && range.end <= end && window.object == object
        };
        let at = windows.iter().rposition(holds)?;
        let window = windows.remove(at)?;
        windows.push_back(window);
        let window = windows.back()?;
        let start = usize::try_from(range.start - window.start).ok()?;
        let end = usize::try_from(range.end - window.start).ok()?;
        // A copy, so that a few bytes do not hold a whole window.
        window.bytes.get(start..end).map(|bytes| self.pool.copy(bytes, self.block))
    }

    /// Reads `range` of an object of `length` bytes, within which it ends.
    pub(crate) fn read(
        &self,
        object: &str,
        file: &dyn DiskFile,
        length: u64,
        range: Range<u64>,
    ) -> io::Result<Bytes> {
        if range.end - range.start >= LARGE {
            return self.read_range(file, range);
        }
        let start = range.start - range.start % self.block as u64;
        let bytes = self.read_range(file, start..length.min(start + self.window_size(object, start)))?;
        let mut windows = self.windows.lock();
        windows.push_back(Window { object: object.to_owned(), start, bytes });
        let mut kept: usize = windows.iter().map(|window| window.bytes.len()).sum();
        while kept > WINDOW_BYTES
            && let Some(oldest) = windows.pop_front()
        {
            kept -= oldest.bytes.len();
        }
        drop(windows);
        self.in_memory(object, &range).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// How large a window that begins at `start` is: who reads on gets more at once.
    fn window_size(&self, object: &str, start: u64) -> u64 {
        let windows = self.windows.lock();
        let before = windows.iter().rev().find(|window| {
            let end = window.start + window.bytes.len() as u64;
            window.start < start && start <= end && window.object == object
        });
        before.map_or(WINDOW, |window| (2 * window.bytes.len() as u64).clamp(WINDOW, WINDOW_MAX))
    }

    fn read_range(&self, file: &dyn DiskFile, range: Range<u64>) -> io::Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let block = self.block as u64;
        let start = range.start - range.start % block;
        let size = |bytes: u64| usize::try_from(bytes).map_err(io::Error::other);
        let (skip, needed) = (size(range.start - start)?, size(range.end - start)?);
        let room = needed.next_multiple_of(self.block);
        let mut buffer = self.pool.take(room, self.block);
        let into = buffer.bytes(room);
        let mut got = 0;
        while got < needed {
            let rest = into.get_mut(got..).unwrap_or_default();
            match file.read_at(rest, start + got as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => got += read,
            }
        }
        buffer.length = needed;
        Ok(Bytes::from_owner(buffer).slice(skip..))
    }

    /// Forgets an object.
    pub(crate) fn forget(&self, object: &str) {
        self.windows.lock().retain(|window| window.object != object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_rt::RealDisk;

    /// An object of 4 MiB and something whose bytes tell where they stand.
    fn object() -> (tempfile::TempDir, Direct, Arc<dyn DiskFile>, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let disk = RealDisk::shared();
        let bytes: Vec<u8> =
            (0u64..(4 << 20) + 1000).map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect();
        let direct = Direct::new(&*disk);
        let path = folder.path().join("object");
        direct.write(&*disk, &path, &[Bytes::from(bytes.clone())], false).unwrap();
        let file = disk.open(&path, OpenMode::Read).unwrap();
        (folder, direct, file, bytes)
    }

    #[test]
    fn any_range_is_what_was_written() {
        let (_folder, direct, file, bytes) = object();
        let length = bytes.len() as u64;
        let mut state = 7u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let mut end = 0;
        for round in 0..4000u64 {
            // Half of the time from where the last one ended, as a reader of many partitions goes.
            let start = if round % 2 == 0 && end < length { end } else { next(length) };
            end = length.min(start + 1 + next(2 * LARGE));
            let range = start as usize..end as usize;
            let read = direct
                .in_memory("object", &(start..end))
                .unwrap_or_else(|| direct.read("object", &*file, length, start..end).unwrap());
            assert_eq!(read, bytes[range.clone()], "{range:?}");
        }
        let kept: usize = direct.windows.lock().iter().map(|window| window.bytes.len()).sum();
        assert!(kept <= WINDOW_BYTES, "{kept}");
    }

    #[test]
    fn who_reads_on_is_given_larger_windows() {
        let (_folder, direct, file, bytes) = object();
        let (length, step) = (bytes.len() as u64, 20_000);
        let mut reads = 0u64;
        for start in (0..length).step_by(step) {
            let range = start..length.min(start + step as u64);
            if direct.in_memory("object", &range).is_none() {
                direct.read("object", &*file, length, range).unwrap();
                reads += 1;
            }
        }
        let alone = length / WINDOW;
        assert!(reads <= alone / 2, "{reads} reads where windows of one size would have taken {alone}");
    }
}
