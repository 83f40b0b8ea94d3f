//! Objects by name: made once, never changed, read by range, deleted, listed.
//!
//! - [`api`]: the [`ObjectStore`] trait that storage and metadata are written against.
//!
//! Invariant: nothing outside this crate knows how an object's name becomes a file or a request.

pub mod api;

pub use api::{ObjectStore, SharedStore, StoreError};
