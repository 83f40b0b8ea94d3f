//! What every kind of WAL does.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use waybill_rt::BudgetPermit;

use crate::frame::Frame;

/// A place in a WAL: 64 bits, only ever growing, never used twice in the life of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WalPosition(pub u64);

impl fmt::Display for WalPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Room in the WAL's queue, taken before offsets are assigned so that appending never blocks.
#[derive(Debug)]
pub struct WalPermit {
    bytes: usize,
    _permit: Option<BudgetPermit>,
}

impl WalPermit {
    /// Room for `bytes`, backed by a share of a budget.
    #[must_use]
    pub fn new(bytes: usize, permit: Option<BudgetPermit>) -> Self {
        Self { bytes, _permit: permit }
    }

    /// The bytes there is room for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A frame that is durable, and where.
#[derive(Debug, Clone)]
pub struct DurableFrame {
    /// The frame.
    pub frame: Frame,
    /// Where its record bytes stand.
    pub position: WalPosition,
}

/// Why a WAL did not take or give bytes.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WalError {
    /// A write or sync failed, or the writer was fenced: nothing not yet acked will be acked. The process must stop
    /// (file WAL) or go on as the next incarnation (object WAL).
    #[error("the write-ahead log is poisoned: {0}")]
    Poisoned(Arc<str>),
    /// The WAL is closed: the broker is stopping.
    #[error("the write-ahead log is closed")]
    Closed,
    /// Free space is below the reserve; produce is refused until space is free again.
    #[error("no space left for the write-ahead log in {0}; free some space or lower retention")]
    NoSpace(Arc<str>),
    /// A batch is larger than a WAL file can hold.
    #[error("a batch of {bytes} bytes is larger than the write-ahead log takes ({limit})")]
    TooLarge {
        /// The batch.
        bytes: usize,
        /// The largest that is taken.
        limit: usize,
    },
    /// Bytes asked for are no longer in the WAL (trimmed): resolve again through the index.
    #[error("position {0} is no longer in the write-ahead log")]
    Trimmed(WalPosition),
    /// Bytes read do not match their checksum.
    #[error("the write-ahead log is damaged at position {position}: {what}")]
    Corrupt {
        /// Where.
        position: WalPosition,
        /// What did not match.
        what: Arc<str>,
    },
    /// The disk failed to read.
    #[error("reading the write-ahead log failed: {0}")]
    Io(Arc<std::io::Error>),
}

/// Whom a WAL tells what became durable. Called by the WAL's writer, in WAL order, never concurrently.
pub trait WalSink: Send + Sync + 'static {
    /// These frames, and all before them, are durable. Must be quick: the next group waits.
    fn durable(&self, frames: Vec<DurableFrame>);

    /// The WAL is poisoned: no frame that was appended and not yet reported durable will ever be.
    fn poisoned(&self, why: &WalError);
}

/// A write-ahead log.
///
/// Order is the caller's: frames become durable, and are reported to the sink, in the order of the calls to
/// [`Wal::append`]. Assigning offsets and calling `append` must be one step per partition.
pub trait Wal: Send + Sync + 'static {
    /// Waits for room for `bytes` of records, of one batch or of several. Here, before offsets are assigned, producers
    /// are slowed; each single batch must be checked against [`Wal::max_frame`] before that.
    ///
    /// # Errors
    /// When the WAL is poisoned, closed or out of space.
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Result<WalPermit, WalError>>;

    /// Hands frames over. Returns at once; the sink hears when they are durable.
    ///
    /// # Errors
    /// When the WAL is poisoned or closed, or a frame is larger than [`Wal::max_frame`]: then no frame was taken.
    fn append(&self, frames: Vec<Frame>, permit: WalPermit) -> Result<(), WalError>;

    /// Reads back the `length` record bytes of a durable frame at `position`.
    ///
    /// # Errors
    /// When they are trimmed, damaged, or the disk fails.
    fn read(&self, position: WalPosition, length: usize) -> BoxFuture<'_, Result<Bytes, WalError>>;

    /// The largest `records` of one frame, in bytes.
    fn max_frame(&self) -> usize;

    /// Everything below this position is durable.
    fn durable_end(&self) -> WalPosition;

    /// The end of the last *sealed* stretch of the WAL that segments may be made of: everything below it is durable,
    /// and trimming to it frees space (a file boundary of the ring).
    fn flushable_end(&self) -> WalPosition;

    /// Whether segments should be made of what is flushable, however few bytes it has: recovery would take long.
    fn wants_trim(&self) -> bool {
        false
    }

    /// Of a chain of objects: the first object that a trim to `position` keeps. `None` where nobody needs to know.
    fn first_kept(&self, position: WalPosition) -> Option<u64> {
        let _ = position;
        None
    }

    /// Asks that what is durable now becomes flushable soon (at a clean stop, or when memory is short).
    fn roll(&self);

    /// Gives back everything below `position`, a value that [`Wal::flushable_end`] had. Only after the metadata commit
    /// that puts the trim there is durable.
    fn trim(&self, position: WalPosition);

    /// Writes out what is queued and stops. Frames appended before are reported durable or the WAL is poisoned.
    fn close(&self) -> BoxFuture<'_, Result<(), WalError>>;
}

/// A WAL as it is handed around.
pub type SharedWal = Arc<dyn Wal>;
