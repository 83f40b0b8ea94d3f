//! The write-ahead log: where an acked record is durable first.
//!
//! - [`frame`]: what is appended, one record batch and the facts about it that recovery needs.
//! - [`api`]: the [`Wal`] trait that every kind of WAL implements, and the [`WalSink`] it reports to.
//! - [`entry`], [`group`]: how frames stand in a WAL.
//! - [`file`]: the file WAL, a recycled ring of files with group commit.
//! - [`chain`]: the object WAL, a chain of objects that are created only if absent.
//! - [`lock`]: the lock that fences one machine.
//!
//! Invariant: this crate knows bytes, positions and durability; it does not know the metadata store, nor what a
//! record batch contains.

pub mod api;
pub mod chain;
pub mod entry;
pub mod file;
pub mod frame;
pub mod group;
pub mod lock;
pub mod sabotage;

pub use api::{DurableFrame, SharedWal, Wal, WalError, WalPermit, WalPosition, WalSink};
pub use file::decide::Registered;
pub use file::metrics::WalMetrics;
pub use file::options::{FileWalOptions, Pace, WriterMode};
pub use file::recovery::{RecoverError, Recovery};
pub use file::ring::{OpenError, Ring, RingOptions};
pub use file::wal::{FileWal, StartError};
pub use frame::{Frame, FrameFlags, FrameHeader};
pub use lock::{DirLock, LockError};
pub use sabotage::Sabotage;
