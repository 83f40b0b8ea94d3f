//! The write-ahead log: where an acked record is durable first.
//!
//! - [`frame`]: what is appended, one record batch and the facts about it that recovery needs.
//! - [`api`]: the [`Wal`] trait that every kind of WAL implements, and the [`WalSink`] it reports to.
//!
//! Invariant: this crate knows bytes, positions and durability; it does not know the metadata store, nor what a
//! record batch contains.

pub mod api;
pub mod frame;

pub use api::{DurableFrame, Wal, WalError, WalPermit, WalPosition, WalSink};
pub use frame::{Frame, FrameFlags, FrameHeader};
