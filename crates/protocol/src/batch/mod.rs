//! Record batches of magic 2 (KIP-98), viewed in place.
//!
//! A batch is a header of 61 bytes and a body of records, compressed as a whole or not at all. The broker keeps
//! batches as clients sent them and only writes base offset and leader epoch, which lie outside the checksum.
//!
//! - [`header`]: the header's fields and how they lie in it.
//! - [`view`]: one batch over shared bytes; [`split`]: many of them in a row.
//! - [`record`]: one record; [`records`]: a batch's records.
//! - [`patch`]: writing offsets, epochs, timestamps in place.
//! - [`validate`]: what Kafka checks before it appends, and what it corrects.
//! - [`thin`]: what log compaction leaves of a batch.
//! - [`builder`]: making batches; [`control`]: the markers that end transactions.

pub mod builder;
pub mod control;
pub mod error;
pub mod header;
pub mod patch;
pub mod record;
pub mod records;
mod scan;
pub mod split;
pub mod thin;
pub mod validate;
mod varint;
pub mod view;

pub use builder::{BatchBuilder, BuildError, NewRecord};
pub use control::{ControlKind, EndTxnMarker};
pub use error::{BatchError, BatchErrorKind, RecordFault};
pub use header::{Attributes, BatchHeader, HEADER_LEN, TimestampType};
pub use patch::{patch_in_place, restamp_in_place};
pub use record::{Record, RecordHeader};
pub use records::Records;
pub use scan::RecordFacts;
pub use split::{Batches, split_batches};
pub use thin::{RawRecord, RawRecords, ThinBatch};
pub use validate::{BodyCheck, Origin, Policy, PreparedBatch, Validated, prepare, sole_batch_len, validate};
pub use view::RecordBatch;
