//! Objects by name: made once, never changed, read by range, deleted, listed.
//!
//! - [`api`]: the [`ObjectStore`] trait that storage and metadata are written against.
//! - [`disk_store`]: objects as files below a folder, on any [`waybill_rt::Disk`]; [`direct`] is their way around the
//!   page cache.
//! - [`memory`]: objects in memory, for tests, with faults that can be asked for.
//!
//! Invariant: nothing outside this crate knows how an object's name becomes a file or a request.

pub mod api;
mod direct;
pub mod disk_store;
mod handles;
pub mod memory;

pub use api::{ObjectStore, SharedStore, StoreError};
pub use disk_store::DiskStore;
pub use memory::MemoryStore;

#[cfg(test)]
mod conformance;
