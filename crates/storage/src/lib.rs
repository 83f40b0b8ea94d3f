//! The log engine: everything between a validated batch and the bytes that consumers get.
//!
//! The way of a record: [`append`] (producer check, offset, WAL) → [`shared`] (durable: acks and readers hear) →
//! [`flush`] (a merged segment and one commit) → [`read`] (from memory, or through the index from segments) →
//! [`rewrite`] (segments merged, mostly dead ones written anew), [`clean`] (log compaction) →
//! [`change`] (retention, DeleteRecords, topic deletion) → [`sweep`] (objects go).
//!
//! Pure, without I/O: [`producers`], [`epochs`], [`transactions`], [`plan`], [`retention`], [`segment`] (layout),
//! [`tail`], [`index`], [`committed`].
//!
//! Thin: [`engine`] (open, close, partitions), [`recover`] (start), [`ledger`] (who may commit), [`blocks`] and [`cache`] (pieces of
//! segments in memory), [`log_cache`] (order of the WAL and what leaves memory), [`driver`] (kinds of WAL).
//!
//! [`fsck`] looks at all of it from outside.
//!
//! Invariants: nothing is acked, shown or answered before it is durable. The metadata store is not on the way of an
//! append. A batch's bytes are never changed once it has its offset.

mod ack;
mod ahead;
mod append;
mod append_time;
mod blocks;
mod cache;
mod chain_driver;
mod chain_sweep;
pub mod chains;
mod change;
mod clean;
mod committed;
mod directory;
mod driver;
mod engine;
mod epochs;
mod error;
mod file_driver;
mod flush;
mod fsck;
mod identity;
mod index;
mod ledger;
mod log_cache;
mod lookup;
mod metrics;
mod options;
mod partition;
mod plan;
mod producers;
mod read;
mod recover;
mod retention;
mod rewrite;
mod runs;
mod segment;
mod services;
mod shared;
mod sweep;
mod tail;
mod transactions;
mod watch;

pub use ack::{Ack, AckError};
pub use append::{AppendInfo, AppendItem, Appended};
pub use chain_driver::ChainWalDriver;
pub use clean::CleanRules;
pub use driver::{ChainRecovery, RecoveredWal, WalDriver, WalOpenError, WalRegistration};
pub use engine::{CloseError, LogEngine};
pub use epochs::Epochs;
pub use error::{AppendError, DeleteError, OpenError, ReadError};
pub use file_driver::FileWalDriver;
pub use fsck::{Checked, Finding, FsckError, FsckReport, Severity, fsck};
pub use identity::check_storage;
pub use lookup::TimestampOffset;
pub use options::{CompactionOptions, EngineDeps, EngineOptions, Prices, Sabotage};
pub use partition::Partition;
pub use producers::{AppendOrigin, BATCHES_KEPT, BatchFacts, Marker, ProducerFault, ProducerStates, Verdict};
pub use read::{ReadBound, ReadOutcome, ReadRequest};
pub use retention::{Retention, RetentionClock};
pub use segment::{
    BlockEntry, Directory, DirectoryEntry, SegmentFault, SliceIndex, TRAILER_LEN, check_segment, object_name,
    parse_directory, parse_object_name, parse_slice_index, parse_trailer,
};
pub use transactions::AbortedTransaction;
pub use watch::Waiter;

// The fuzz target's entry, which a test calls too, names this crate as others do.
#[cfg(test)]
extern crate self as waybill_storage;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
