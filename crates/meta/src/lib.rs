//! The metadata store: ordered keys, atomic durable batches, scans, a commit sequence.
//!
//! - [`api`]: the [`MetaStore`] trait.
//! - [`home`]: stores with one owner at a time, and where they are opened.
//! - [`keys`]: where each record kind stands in the key space.
//! - [`codec`]: how fields become bytes; [`records`]: one file a record kind.
//! - [`memory`]: the twin for tests; [`redb_store`]: one local file, on any [`waybill_rt::Disk`]; [`slate`]: a bucket.
//!
//! Invariant: a value is read back only after its commit is durable, and nothing else in the project knows how a
//! record kept here is encoded: one file a kind stands in this crate.

pub mod api;
pub mod codec;
pub mod home;
pub mod keys;
pub mod memory;
pub mod records;
mod redb_backend;
pub mod redb_store;
pub mod slate;

pub use api::{Batch, CommitSeq, MetaError, MetaStore, Op, SharedMeta};
pub use codec::{Record, RecordError};
pub use home::{MetaHome, OwnedMeta, SlateHome};
pub use memory::MemoryMeta;
pub use records::{
    BrokerConfigsRecord, ChainLife, ChainRecord, ClusterRecord, IndexRecord, NodeRecord, ObjectId,
    ObjectIdsRecord, ObjectLife, ObjectRecord, PartitionRecord, ProducerBatchSnapshot, ProducerBlockRecord,
    ProducerSnapshot, TermRecord, TopicNameRecord, TopicRecord, WalKind, WalTrimRecord,
};
pub use redb_store::RedbMeta;
pub use slate::{SlateMeta, SlateOptions};

#[cfg(test)]
mod conformance;
