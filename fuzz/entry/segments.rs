//! What the fuzz target and the seeded tests call: bytes in, a broken promise panics.
//!
//! Promises of what reads segments: no panic, no memory beyond a small multiple of the bytes, nothing outside the bytes
//! is named as inside, and what fits its checksums reads the same twice.

use bytes::Bytes;
use waybill_storage::{TRAILER_LEN, check_segment, parse_directory, parse_slice_index, parse_trailer};

/// The first byte chooses what the rest is, and whether checksums are put right first, so that what lies behind them is
/// reached. Answers whether it was read.
pub(crate) fn part(data: &[u8]) -> bool {
    let Some((chosen, bytes)) = data.split_first() else { return false };
    let mut bytes = bytes.to_vec();
    let mend = chosen & 1 == 0;
    match (chosen >> 1) % 4 {
        0 => trailer(bytes, mend),
        1 => {
            put_right(&mut bytes, mend);
            parse_directory(&bytes).is_ok_and(|directory| {
                assert!(directory.slices.len() <= bytes.len() / 100, "more slices than bytes");
                true
            })
        }
        2 => {
            put_right(&mut bytes, mend);
            index(&bytes)
        }
        _ => whole(bytes, mend),
    }
}

/// Any trailer, at the end of a segment that is as long as the trailer says.
fn trailer(mut bytes: Vec<u8>, mend: bool) -> bool {
    if mend && bytes.len() == TRAILER_LEN {
        mend_trailer(&mut bytes);
    }
    let total = bytes.get(12..20).and_then(|total| total.try_into().ok()).map_or(0, u64::from_be_bytes);
    let Ok((position, length)) = parse_trailer(&bytes, total) else { return false };
    assert!(u128::from(position) + u128::from(length) + TRAILER_LEN as u128 == u128::from(total));
    true
}

fn index(bytes: &[u8]) -> bool {
    let Ok(index) = parse_slice_index(bytes) else { return false };
    assert_eq!(parse_slice_index(bytes).as_ref(), Ok(&index));
    // Blocks in any order and anywhere: refused, or within the bytes.
    let data = Bytes::copy_from_slice(bytes);
    let blocks = index.blocks.len();
    let _ = index.verify(0, blocks, &data);
    assert!(index.verify(blocks, blocks + 1, &data).is_err());
    true
}

/// A whole segment, as a check of a bucket meets it.
fn whole(mut bytes: Vec<u8>, mend: bool) -> bool {
    if mend {
        mend_whole(&mut bytes);
    }
    let bytes = Bytes::from(bytes);
    check_segment(&bytes).is_ok_and(|directory| {
        for slice in &directory.slices {
            assert!(slice.data_position + slice.data_length <= bytes.len() as u64);
            assert!(slice.index_position + slice.index_length <= bytes.len() as u64);
        }
        true
    })
}

/// Makes the last four bytes the checksum of those before.
fn put_right(bytes: &mut [u8], mend: bool) {
    if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>().filter(|_| mend) {
        *crc = crc32c::crc32c(body).to_be_bytes();
    }
}

fn mend_trailer(trailer: &mut [u8]) {
    if let Some((body, magic)) = trailer.split_last_chunk_mut::<8>() {
        *magic = *b"WbSEnd\r\n";
        put_right(body, true);
    }
}

/// Puts the trailer right, then the directory that it names.
fn mend_whole(bytes: &mut [u8]) {
    let total = bytes.len() as u64;
    let Some(at) = bytes.len().checked_sub(TRAILER_LEN) else { return };
    let (before, trailer) = bytes.split_at_mut(at);
    if let Some(place) = trailer.get_mut(12..20) {
        place.copy_from_slice(&total.to_be_bytes());
    }
    mend_trailer(trailer);
    if let Ok((position, length)) = parse_trailer(trailer, total) {
        let (from, to) = (position as usize, (position + length) as usize);
        put_right(before.get_mut(from..to).unwrap_or_default(), true);
    }
}
