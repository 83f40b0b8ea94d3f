//! Length-delimited frames: an i32 of big-endian length, then that many bytes (KIP-35's requests and responses).
//!
//! Pure: whoever owns the socket reads the four bytes, asks [`frame_len`], reserves, and reads the rest.

use std::ops::Range;

use bytes::{BufMut, BytesMut};

/// Bytes of the length before a frame.
pub const LENGTH_LEN: usize = 4;
/// Default of `socket.request.max.bytes`: 100 MiB.
pub const DEFAULT_MAX_FRAME: usize = 100 * 1024 * 1024;

/// Why a frame is refused. The connection can not go on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A negative length.
    #[error("frame length {0} is negative")]
    Negative(i32),
    /// Longer than this side takes.
    #[error("frame of {length} bytes exceeds the maximum of {limit} bytes")]
    TooLarge {
        /// The frame's length.
        length: usize,
        /// The maximum.
        limit: usize,
    },
    /// Parts that do not lie in order within the frame.
    #[error("parts of a frame overlap or lie outside it")]
    Parts,
}

/// The length of the frame that these four bytes announce.
///
/// # Errors
/// [`FrameError::Negative`], [`FrameError::TooLarge`] beyond `limit` bytes.
pub fn frame_len(prefix: [u8; LENGTH_LEN], limit: usize) -> Result<usize, FrameError> {
    let length = i32::from_be_bytes(prefix);
    let length = usize::try_from(length).map_err(|_| FrameError::Negative(length))?;
    if length > limit { Err(FrameError::TooLarge { length, limit }) } else { Ok(length) }
}

/// Takes the next whole frame, without its length, off the front of `buffer`; `None` when bytes are missing.
///
/// # Errors
/// As [`frame_len`].
pub fn take_frame(buffer: &mut BytesMut, limit: usize) -> Result<Option<BytesMut>, FrameError> {
    let Some(prefix) = buffer.first_chunk::<LENGTH_LEN>() else { return Ok(None) };
    let length = frame_len(*prefix, limit)?;
    if buffer.len() - LENGTH_LEN < length {
        buffer.reserve(LENGTH_LEN + length - buffer.len());
        return Ok(None);
    }
    drop(buffer.split_to(LENGTH_LEN));
    Ok(Some(buffer.split_to(length)))
}

/// Leaves room for a frame's length at the end of `out`; to be closed by [`end_frame`] with what this returns.
pub fn begin_frame(out: &mut BytesMut) -> usize {
    let start = out.len();
    out.put_i32(0);
    start
}

/// Writes the length of everything behind the room that [`begin_frame`] left at `start`. `beyond` bytes count as
/// part of the frame although they are sent from elsewhere (records by reference).
///
/// # Errors
/// [`FrameError::TooLarge`] beyond 2^31 - 1 bytes, [`FrameError::Parts`] when `start` is no such room.
pub fn end_frame(out: &mut BytesMut, start: usize, beyond: usize) -> Result<(), FrameError> {
    let limit = i32::MAX as usize;
    let own = out.len().checked_sub(start + LENGTH_LEN).ok_or(FrameError::Parts)?;
    let length = own.saturating_add(beyond);
    let written = i32::try_from(length).map_err(|_| FrameError::TooLarge { length, limit })?;
    let place = out
        .get_mut(start..)
        .and_then(|rest| rest.first_chunk_mut::<LENGTH_LEN>())
        .ok_or(FrameError::Parts)?;
    *place = written.to_be_bytes();
    Ok(())
}

/// Where `part` lies in `frame`, when it is a slice of it: what a decoder that borrows from the frame gives.
pub fn range_in(frame: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(frame.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= frame.len()).then_some(start..end)
}

/// Cuts `frame` into the parts at `ranges`, which must be in order and disjoint. Nothing is copied: each part is a
/// mutable view of its own piece of the frame's allocation, so batches can be patched in place and frozen one by one,
/// by different tasks. The allocation lives until the last part is gone. A frame that was frozen so that a message
/// could be decoded from it becomes mutable again by `Bytes::try_into_mut` once the message's parts are dropped.
///
/// # Errors
/// [`FrameError::Parts`] when ranges overlap, are out of order or lie outside the frame.
pub fn carve(mut frame: BytesMut, ranges: &[Range<usize>]) -> Result<Vec<BytesMut>, FrameError> {
    let mut parts = Vec::with_capacity(ranges.len());
    let mut cut = 0;
    for range in ranges {
        let skip = range.start.checked_sub(cut).ok_or(FrameError::Parts)?;
        let length = range.end.checked_sub(range.start).ok_or(FrameError::Parts)?;
        if skip.checked_add(length).is_none_or(|taken| taken > frame.len()) {
            return Err(FrameError::Parts);
        }
        drop(frame.split_to(skip));
        parts.push(frame.split_to(length));
        cut = range.end;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_and_in_order() {
        let mut wire = BytesMut::new();
        for body in [&b"one"[..], b"", b"three"] {
            let start = begin_frame(&mut wire);
            wire.put_slice(body);
            end_frame(&mut wire, start, 0).unwrap();
        }
        let mut buffer = BytesMut::new();
        let mut out = Vec::new();
        for byte in wire {
            buffer.put_u8(byte);
            while let Some(frame) = take_frame(&mut buffer, 16).unwrap() {
                out.push(frame.to_vec());
            }
        }
        assert_eq!(out, [b"one".to_vec(), b"".to_vec(), b"three".to_vec()]);
    }

    #[test]
    fn forged_lengths_reserve_nothing() {
        let mut buffer = BytesMut::from(&[0x7f, 0xff, 0xff, 0xff, 0][..]);
        let length = 0x7fff_ffff;
        assert_eq!(take_frame(&mut buffer, 1000), Err(FrameError::TooLarge { length, limit: 1000 }));
        let mut buffer = BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]);
        assert_eq!(take_frame(&mut buffer, 1000), Err(FrameError::Negative(-1)));
    }

    #[test]
    fn carving_copies_nothing() {
        let frame = BytesMut::from(&b"headAAAAmidBBtail"[..]);
        let base = frame.as_ptr() as usize;
        let ranges = [range_in(&frame, &frame[4..8]).unwrap(), range_in(&frame, &frame[11..13]).unwrap()];
        let mut parts = carve(frame, &ranges).unwrap();
        parts[0][0] = b'x';
        let frozen: Vec<_> = parts.into_iter().map(BytesMut::freeze).collect();
        assert_eq!(frozen, [&b"xAAA"[..], b"BB"]);
        assert_eq!(frozen[0].as_ptr() as usize, base + 4);
        assert_eq!(frozen[1].as_ptr() as usize, base + 11);

        assert_eq!(range_in(b"abc", b"other"), None);
        let overlap = [0..3, 2..4];
        assert_eq!(carve(BytesMut::from(&b"abcdef"[..]), &overlap).unwrap_err(), FrameError::Parts);
        let outside = [0..1, 1..9];
        assert_eq!(carve(BytesMut::from(&b"abc"[..]), &outside).unwrap_err(), FrameError::Parts);
    }
}
