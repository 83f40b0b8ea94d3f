//! The metadata store: ordered keys, atomic durable batches, scans, a commit sequence.
//!
//! - [`api`]: the [`MetaStore`] trait.
//!
//! Invariant: a value is read back only after its commit is durable, and nothing else in the project knows how a
//! record kept here is encoded: one file a kind stands in this crate.

pub mod api;

pub use api::{Batch, CommitSeq, MetaError, MetaStore, Op, SharedMeta};
