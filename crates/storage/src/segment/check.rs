//! Holding a whole segment against everything that it says about itself.

use bytes::Bytes;
use waybill_protocol::batch::split_batches;

use super::{
    Directory, DirectoryEntry, SegmentFault, TRAILER_LEN, parse_directory, parse_slice_index, parse_trailer,
};

/// Checks a whole segment: trailer, directory, and of every slice its block index, the checksums of its blocks and that
/// they hold the batches from its first offset to its last. Answers what it holds.
///
/// # Errors
/// The first [`SegmentFault`] met.
pub fn check_segment(bytes: &Bytes) -> Result<Directory, SegmentFault> {
    let at = bytes.len().checked_sub(TRAILER_LEN).ok_or(SegmentFault::Magic)?;
    let trailer = bytes.get(at..).unwrap_or_default();
    let (position, length) = parse_trailer(trailer, bytes.len() as u64)?;
    let directory = parse_directory(&piece(bytes, position, length, "directory")?)?;
    for slice in &directory.slices {
        check_slice(bytes, slice)?;
    }
    Ok(directory)
}

fn check_slice(bytes: &Bytes, slice: &DirectoryEntry) -> Result<(), SegmentFault> {
    let index = parse_slice_index(&piece(bytes, slice.index_position, slice.index_length, "block index")?)?;
    let data = piece(bytes, slice.data_position, slice.data_length, "slice")?;
    index.verify(0, index.blocks.len(), &data)?;
    let mut next = slice.base_offset;
    for batch in split_batches(data).strict() {
        let batch = batch.map_err(|_| SegmentFault::Batches)?;
        if batch.header().base_offset < next {
            return Err(SegmentFault::Batches);
        }
        next = batch.header().next_offset();
    }
    if next == slice.last_offset.next() { Ok(()) } else { Err(SegmentFault::Batches) }
}

fn piece(bytes: &Bytes, position: u64, length: u64, what: &'static str) -> Result<Bytes, SegmentFault> {
    let end = position.checked_add(length).filter(|end| *end <= bytes.len() as u64);
    end.map(|end| bytes.slice(position as usize..end as usize)).ok_or(SegmentFault::Short(what))
}
