//! Facts from the log, and the answers that rest on them: an ordinary consumer of the log over the Kafka protocol.
//!
//! A record's way: [`mapping`] turns its bytes into facts, [`model`] says what facts are and what follows from them.
//!
//! Invariant: nothing here knows the broker's crates; records are reached over the Kafka protocol only.

pub mod mapping;
pub mod model;
