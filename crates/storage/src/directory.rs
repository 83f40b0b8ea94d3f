//! Reading what a segment in a store says about itself, without its batches.

use waybill_meta::ObjectId;
use waybill_store::{ObjectStore, StoreError};

use crate::segment::{Directory, SegmentFault, TRAILER_LEN, object_name, parse_directory, parse_trailer};

/// What is read of a segment's end first, in the hope that its directory is in it.
const TAIL: u64 = 64 << 10;

/// Why a segment says nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryFault {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Damaged(#[from] SegmentFault),
}

/// The directory of the segment `id`, which has `size` bytes: in one request mostly.
pub(crate) async fn read_directory(
    store: &dyn ObjectStore,
    id: ObjectId,
    size: u64,
) -> Result<Directory, DirectoryFault> {
    let name = object_name(id);
    let from = size.saturating_sub(TAIL);
    let tail = store.get(&name, from..size).await?;
    let trailer = tail.len().checked_sub(TRAILER_LEN).and_then(|at| tail.get(at..));
    let (position, length) = parse_trailer(trailer.ok_or(SegmentFault::Short("object"))?, size)?;
    let directory = match position.checked_sub(from) {
        // parse_trailer has seen that it ends before the trailer.
        Some(at) => tail.slice(at as usize..(at + length) as usize),
        None => store.get(&name, position..position + length).await?,
    };
    Ok(parse_directory(&directory)?)
}
