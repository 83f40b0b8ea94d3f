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
/// The size of a window.
const WINDOW: u64 = 128 << 10;
/// Reads of at least so many bytes go straight to the device.
const LARGE: u64 = 64 << 10;
/// Windows kept, those used last.
const WINDOWS: usize = 32;
/// Bytes of buffers kept for the next read, those in use counted: a reader that lets go of much at once finds it again
/// when it comes back, and memory stays bounded by what readers may hold.
const POOL_BYTES: usize = 40 << 20;
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
    idle: Vec<AlignedBuf>,
    /// Bytes of idle buffers and of those in use.
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
        if let Some(at) = state.idle.iter().rposition(fits) {
            return state.idle.swap_remove(at);
        }
        let mut buffer = AlignedBuf::new(align);
        buffer.bytes(length);
        state.bytes += buffer.room();
        // Those of other sizes make room, so that what is kept follows what is asked for.
        while state.bytes > POOL_BYTES
            && let Some(other) = state.idle.pop()
        {
            state.bytes = state.bytes.saturating_sub(other.room());
        }
        buffer
    }

    fn give_back(&self, buffer: AlignedBuf) {
        let mut state = self.state.lock();
        if state.bytes <= POOL_BYTES {
            state.idle.push(buffer);
        } else {
            state.bytes = state.bytes.saturating_sub(buffer.room());
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
        let window = range.start - range.start % WINDOW;
        let end = length.min(window + WINDOW);
        if range.end - range.start >= LARGE || range.end > end {
            return self.read_range(file, range);
        }
        let bytes = self.read_range(file, window..end)?;
        let mut windows = self.windows.lock();
        windows.push_back(Window { object: object.to_owned(), start: window, bytes });
        if windows.len() > WINDOWS {
            windows.pop_front();
        }
        drop(windows);
        self.in_memory(object, &range).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
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
