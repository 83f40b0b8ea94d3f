//! Objects by name: made once, never changed, read by range, deleted, listed.
//!
//! - [`api`]: the [`ObjectStore`] trait that storage, WAL and metadata are written against.
//! - [`location`], [`connect`]: from a URL and the usual variables to a store.
//! - [`disk_store`]: objects as files below a folder, on any [`waybill_rt::Disk`], alone or shared between machines;
//!   [`direct`] is their way around the page cache.
//! - [`cloud`]: objects in a bucket (S3 and its kin, Google Cloud Storage, Azure).
//! - [`measured`], [`meters`]: the one wrapper that counts, bounds and hedges requests.
//! - [`certain`]: creating an object and knowing the outcome.
//! - [`probe`]: whether a store keeps the promises that everything rests on.
//! - [`quantile`]: a running quantile of latencies.
//! - [`memory`]: objects in memory, for tests, with faults that can be asked for.
//!
//! Invariant: nothing outside this crate knows how an object's name becomes a file or a request.

pub mod api;
pub mod certain;
pub mod cloud;
#[cfg(any(test, feature = "conformance"))]
pub mod conforms;
pub mod connect;
mod direct;
pub mod disk_store;
mod handles;
pub mod location;
pub mod measured;
pub mod memory;
pub mod meters;
mod names;
pub mod probe;
pub mod quantile;

pub use api::{ObjectStore, SharedStore, StoreError};
pub use certain::{Created, create_certainly};
pub use cloud::CloudStore;
pub use connect::{ConnectError, FolderSeams, Variables, connect, connect_bucket, is_private};
pub use disk_store::{DiskStore, Sharing};
pub use location::{Cloud, Location, LocationError};
pub use measured::{Limits, Measured};
pub use memory::MemoryStore;
pub use meters::{Operation, Purpose, StoreMetrics};
pub use probe::{ProbeError, probe};
pub use quantile::Quantile;

#[cfg(test)]
mod conformance;
