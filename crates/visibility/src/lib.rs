//! Facts from the log, and the answers that rest on them: an ordinary consumer of the log over the Kafka protocol.
//!
//! A record's way: [`ingest`] reads it, [`mapping`] turns its bytes into facts or refuses it, [`store`] keeps both with
//! the offset in one transaction, [`project`] works out derived rows, [`query`] answers from the facts through
//! [`model`], [`api`] speaks HTTP and serves the pages. [`views`] builds views anew beside the one that answers. [`alerts`] tells outside what needs a decision. [`serve`] runs all of it. [`load`] goes the other way: files to records.
//!
//! Invariants: nothing here knows the broker's crates, records are reached over the Kafka protocol only; [`model`]
//! does no I/O and its answers are functions of the set of facts; no question is asked without scope, as of and
//! frontier.

pub mod alerts;
pub mod api;
pub mod ingest;
pub mod load;
pub mod mapping;
pub mod model;
mod pages;
pub mod project;
pub mod query;
mod serve;
pub mod store;
pub mod views;

pub use serve::{Running, ServeError, VisibilityConfig, serve, serve_from};
