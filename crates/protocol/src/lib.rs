//! Kafka wire primitives, framing, compression and record batches viewed in place.
//!
//! - [`batch`]: record batches of magic 2: view, validation, building.
//! - [`compression`]: the four codecs, with every output bounded.
//! - [`framing`]: length-delimited frames, and cutting them up without copying.

pub mod batch;
pub mod compression;
pub mod framing;
