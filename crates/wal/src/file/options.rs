//! How a file WAL is run.

use std::sync::Arc;
use std::time::Duration;

use crate::sabotage::Sabotage;

/// How long the disk is to take for a group of so many bytes, in simulated time.
pub type Pace = Arc<dyn Fn(usize) -> Duration + Send + Sync>;

/// Who runs the writer.
#[derive(Clone, Default)]
pub enum WriterMode {
    /// Two threads of its own (writing, zeroing ahead): for disks whose calls block.
    #[default]
    Thread,
    /// Tasks of the current runtime: under simulation, so that one seed gives one log.
    Task {
        /// Waited between a group's write and its sync.
        pace: Option<Pace>,
    },
}

impl std::fmt::Debug for WriterMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Thread => "Thread",
            Self::Task { .. } => "Task",
        })
    }
}

/// How a file WAL is run. None of this is written down: it may differ at each start.
#[derive(Debug, Clone)]
pub struct FileWalOptions {
    /// Bytes of records that may wait or be in flight (`WAL queue`).
    pub queue_bytes: usize,
    /// The largest group, in bytes; only a single larger frame makes a larger one.
    pub group_bytes: usize,
    /// Files are zeroed ahead of the writer in steps of this many bytes, a multiple of 4,096.
    pub zero_step: u64,
    /// The largest frame is this much smaller than a file.
    pub frame_headroom: u64,
    /// After this long without frames an empty group covers the last one.
    pub idle: Duration,
    /// Below this many free bytes produce is refused (`storage.free.min`); above it, up to a quarter more, slowed.
    pub free_min: u64,
    /// Who runs the writer.
    pub mode: WriterMode,
    /// The rule that is left out; nothing without the feature `sim`.
    pub sabotage: Sabotage,
}

impl Default for FileWalOptions {
    fn default() -> Self {
        Self {
            queue_bytes: 32 << 20,
            group_bytes: 4 << 20,
            zero_step: 4 << 20,
            frame_headroom: 1 << 20,
            idle: Duration::from_millis(100),
            free_min: 256 << 20,
            mode: WriterMode::Thread,
            sabotage: Sabotage::None,
        }
    }
}
