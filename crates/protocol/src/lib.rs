//! Kafka wire primitives, framing, compression and record batches viewed in place.
//!
//! - [`wire`]: reading and writing the primitives of messages; the trait of generated messages.
//! - [`error_code`]: Kafka's error codes.
//! - [`batch`]: record batches of magic 2: view, validation, building.
//! - [`compression`]: the four codecs, with every output bounded.
//! - [`framing`]: length-delimited frames, and cutting them up without copying.

pub mod batch;
pub mod compression;
pub mod error_code;
pub mod framing;
pub mod wire;

pub use error_code::ErrorCode;
pub use wire::Uuid;
