//! Holding a whole segment against everything that it says about itself.

use bytes::Bytes;
use waybill_protocol::batch::split_batches;
use waybill_types::{LeaderEpoch, Offset};

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
    check_batches(data, slice.base_offset, slice.last_offset).map(drop)
}

/// What the batches of a slice say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batched {
    /// The leader epochs of the first and of the last batch.
    pub(crate) leaders: (LeaderEpoch, LeaderEpoch),
}

/// Checks that bytes are whole batches in offset order, none before `base`, the last of which ends at `last`.
pub(crate) fn check_batches(data: Bytes, base: Offset, last: Offset) -> Result<Batched, SegmentFault> {
    let (mut next, mut leaders) = (base, None);
    for batch in split_batches(data).strict() {
        let batch = batch.map_err(|_| SegmentFault::Batches)?;
        let header = batch.header();
        if header.base_offset < next {
            return Err(SegmentFault::Batches);
        }
        next = header.next_offset();
        let (first, _) = leaders.unwrap_or((header.leader_epoch, header.leader_epoch));
        leaders = Some((first, header.leader_epoch));
    }
    match leaders {
        Some(leaders) if next == last.next() => Ok(Batched { leaders }),
        _ => Err(SegmentFault::Batches),
    }
}

fn piece(bytes: &Bytes, position: u64, length: u64, what: &'static str) -> Result<Bytes, SegmentFault> {
    let end = position.checked_add(length).filter(|end| *end <= bytes.len() as u64);
    end.map(|end| bytes.slice(position as usize..end as usize)).ok_or(SegmentFault::Short(what))
}
