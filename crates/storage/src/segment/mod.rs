//! Segments: objects that hold the batches of many partitions, sorted by partition, and say themselves what they hold.
//!
//! ```text
//! magic, version                                   16 bytes
//! slice 0, slice 1, …                              each: record batches as readers get them, back to back, then the
//!                                                  block index: checksums, epochs, aborted transactions, producers
//! directory                                        cluster, object, placement, one entry a slice
//! trailer                                          where the directory is, checksum, magic; 32 bytes
//! ```
//!
//! A slice is the stretch of one partition (a small one is read whole, in one request); a block is a run of whole batches of about 64 KiB, the unit of checksums
//! and of the sparse offset and time index. Numbers are big-endian. The layout is written down in docs/formats.md.

mod check;
mod read;
mod write;

pub use check::check_segment;
pub(crate) use check::{Batched, check_batches};
pub use read::{
    BlockEntry, Directory, DirectoryEntry, SegmentFault, SliceIndex, TRAILER_LEN, parse_directory,
    parse_slice_index, parse_trailer,
};
pub(crate) use write::{BuiltSegment, Piece, SegmentIdentity, SliceInput, build};

use bytes::Bytes;
use waybill_meta::ObjectId;

/// The version of the layout.
pub(crate) const VERSION: u8 = 1;
/// At the start of every segment.
pub(crate) const HEAD_MAGIC: [u8; 8] = *b"WbSegm\r\n";
/// At the end of every segment.
pub(crate) const TAIL_MAGIC: [u8; 8] = *b"WbSEnd\r\n";
/// Bytes before the first slice.
pub(crate) const HEAD_LEN: usize = 16;
/// A block ends before the batch that would make it larger.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;

/// The name of an object: `seg/<hash2>/<id>`. The hash spreads objects over the prefixes of a store.
#[must_use]
pub fn object_name(id: ObjectId) -> String {
    let hash = crc32c::crc32c(&id.get().to_be_bytes()) & 0xff;
    format!("seg/{hash:02x}/{id}")
}

/// The id of the object with this name, when it is a segment's.
#[must_use]
pub fn parse_object_name(name: &str) -> Option<ObjectId> {
    let id = ObjectId(name.rsplit('/').next()?.parse().ok()?);
    (object_name(id) == name).then_some(id)
}

/// The fixed start of a segment.
pub(crate) fn head() -> Bytes {
    let mut head = [0; HEAD_LEN];
    if let Some(place) = head.first_chunk_mut::<8>() {
        *place = HEAD_MAGIC;
    }
    if let Some(place) = head.get_mut(8) {
        *place = VERSION;
    }
    Bytes::copy_from_slice(&head)
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
