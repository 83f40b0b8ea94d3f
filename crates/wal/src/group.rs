//! Groups: what one write and one sync make durable together.
//!
//! ```text
//! header (80 bytes) | entry, records | entry, records | … | zeros up to a whole block
//! ```
//!
//! The header's checksum covers the header, every entry and the padding; each entry's checksum covers its records. So
//! together they cover every byte, and the records are summed once.

use bytes::{Buf, BufMut, Bytes};
use crc32c::{crc32c, crc32c_append};
use waybill_types::{Incarnation, StoreId};

use crate::api::{DurableFrame, WalPosition};
use crate::entry::{ENTRY_LEN, Entry};
use crate::frame::Frame;

/// Length of a group's header in bytes.
pub const GROUP_HEADER_LEN: usize = 80;

const MAGIC: [u8; 4] = *b"WbGr";
const VERSION: u8 = 1;
const SUMMED: usize = GROUP_HEADER_LEN - 4;

/// What stands at the start of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupHeader {
    /// The WAL store that the group belongs to.
    pub store: StoreId,
    /// The writer's incarnation.
    pub incarnation: Incarnation,
    /// Where the group stands.
    pub position: WalPosition,
    /// Everything below this was durable when the group was written.
    pub durable: WalPosition,
    /// Where the group before this one ended: smaller than `position` where the rest of a file was left unused.
    pub previous: WalPosition,
    /// Length of the whole group with its padding, in bytes.
    pub length: u32,
    /// Length without the padding.
    pub used: u32,
    /// How many frames it holds; an empty group only carries `durable`.
    pub frames: u32,
}

/// Why bytes are not a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupFault {
    /// Nothing here looks like a header.
    #[error("no group header")]
    NoHeader,
    /// A checksum does not match.
    #[error("checksum mismatch")]
    Checksum,
    /// Lengths contradict each other.
    #[error("lengths contradict each other")]
    Shape,
}

impl GroupHeader {
    /// Where the group ends.
    #[must_use]
    pub fn end(&self) -> WalPosition {
        WalPosition(self.position.0.saturating_add(u64::from(self.length)))
    }

    fn encode_summed(&self) -> [u8; SUMMED] {
        let mut bytes = [0; SUMMED];
        let mut out: &mut [u8] = &mut bytes;
        out.put_slice(&MAGIC);
        out.put_u8(VERSION);
        out.put_u8(0);
        out.put_u16_le(GROUP_HEADER_LEN as u16);
        out.put_slice(self.store.as_bytes());
        out.put_u64_le(self.incarnation.get());
        out.put_u64_le(self.position.0);
        out.put_u64_le(self.durable.0);
        out.put_u64_le(self.previous.0);
        out.put_u32_le(self.length);
        out.put_u32_le(self.used);
        out.put_u32_le(self.frames);
        bytes
    }

    /// Reads a header from the start of a block, without checking the checksum: `None` when it can not be one.
    #[must_use]
    pub fn peek(block: &[u8]) -> Option<Self> {
        let mut from = block.get(..SUMMED)?;
        let mut magic = [0; 4];
        from.copy_to_slice(&mut magic);
        let version = from.get_u8();
        let reserved = from.get_u8();
        let header_len = usize::from(from.get_u16_le());
        if magic != MAGIC || version != VERSION || reserved != 0 || header_len != GROUP_HEADER_LEN {
            return None;
        }
        let mut store = [0; 16];
        from.copy_to_slice(&mut store);
        let header = Self {
            store: StoreId(store),
            incarnation: Incarnation(from.get_u64_le()),
            position: WalPosition(from.get_u64_le()),
            durable: WalPosition(from.get_u64_le()),
            previous: WalPosition(from.get_u64_le()),
            length: from.get_u32_le(),
            used: from.get_u32_le(),
            frames: from.get_u32_le(),
        };
        let sound = header.used <= header.length
            && header.used as usize >= GROUP_HEADER_LEN
            && header.durable <= header.position
            && header.previous <= header.position
            && header.position.0.checked_add(u64::from(header.length)).is_some();
        sound.then_some(header)
    }
}

/// Length of a group that holds records of the given lengths, without padding.
pub fn used_length(records: impl Iterator<Item = usize>) -> usize {
    records.fold(GROUP_HEADER_LEN, |sum, length| sum.saturating_add(ENTRY_LEN).saturating_add(length))
}

/// Writes a group over the whole of `out`, whose length is `header.length`, and returns where each frame's records
/// begin in it.
///
/// # Errors
/// [`GroupFault::Shape`] when the frames do not fill exactly `header.used` bytes of `out`; `out` is then garbage.
pub fn encode_group<'a>(
    out: &mut [u8],
    header: &GroupHeader,
    frames: impl Iterator<Item = &'a Frame>,
) -> Result<Vec<u32>, GroupFault> {
    if out.len() != header.length as usize {
        return Err(GroupFault::Shape);
    }
    let head = header.encode_summed();
    let mut sum = crc32c(&head);
    let mut starts = Vec::with_capacity(header.frames as usize);
    let mut at = GROUP_HEADER_LEN;
    for frame in frames {
        let start = at + ENTRY_LEN;
        let end = start + frame.records.len();
        let entry = Entry {
            header: frame.header,
            at: u32::try_from(start).map_err(|_| GroupFault::Shape)?,
            length: u32::try_from(frame.records.len()).map_err(|_| GroupFault::Shape)?,
            crc: crc32c(&frame.records),
        }
        .encode();
        sum = crc32c_append(sum, &entry);
        out.get_mut(at..start).ok_or(GroupFault::Shape)?.copy_from_slice(&entry);
        out.get_mut(start..end).ok_or(GroupFault::Shape)?.copy_from_slice(&frame.records);
        starts.push(start as u32);
        at = end;
    }
    if at != header.used as usize || starts.len() != header.frames as usize {
        return Err(GroupFault::Shape);
    }
    let padding = out.get_mut(at..).ok_or(GroupFault::Shape)?;
    padding.fill(0);
    sum = crc32c_append(sum, padding);
    let (head_out, rest) = out.split_at_mut_checked(SUMMED).ok_or(GroupFault::Shape)?;
    head_out.copy_from_slice(&head);
    rest.get_mut(..4).ok_or(GroupFault::Shape)?.copy_from_slice(&sum.to_le_bytes());
    Ok(starts)
}

/// Checks a whole group: every byte of `bytes` counts.
///
/// # Errors
/// A [`GroupFault`] naming what does not hold.
pub fn verify_group(bytes: &[u8]) -> Result<GroupHeader, GroupFault> {
    let header = GroupHeader::peek(bytes).ok_or(GroupFault::NoHeader)?;
    if bytes.len() != header.length as usize {
        return Err(GroupFault::Shape);
    }
    let mut sum = crc32c(bytes.get(..SUMMED).ok_or(GroupFault::Shape)?);
    let mut at = GROUP_HEADER_LEN;
    for _ in 0..header.frames {
        let encoded = bytes.get(at..at + ENTRY_LEN).ok_or(GroupFault::Shape)?;
        let entry = Entry::decode(encoded).ok_or(GroupFault::Shape)?;
        sum = crc32c_append(sum, encoded);
        let end = (at + ENTRY_LEN).checked_add(entry.length as usize).ok_or(GroupFault::Shape)?;
        let records = bytes.get(at + ENTRY_LEN..end).ok_or(GroupFault::Shape)?;
        if entry.at as usize != at + ENTRY_LEN || crc32c(records) != entry.crc {
            return Err(GroupFault::Checksum);
        }
        at = end;
    }
    if at != header.used as usize {
        return Err(GroupFault::Shape);
    }
    sum = crc32c_append(sum, bytes.get(at..).ok_or(GroupFault::Shape)?);
    let stored = bytes.get(SUMMED..GROUP_HEADER_LEN).ok_or(GroupFault::Shape)?;
    if stored != sum.to_le_bytes() {
        return Err(GroupFault::Checksum);
    }
    Ok(header)
}

/// Checks a whole group and takes its frames out, as slices of `bytes`.
///
/// # Errors
/// As [`verify_group`].
pub fn decode_group(bytes: &Bytes) -> Result<(GroupHeader, Vec<DurableFrame>), GroupFault> {
    let header = verify_group(bytes)?;
    let mut frames = Vec::with_capacity(header.frames as usize);
    let mut at = GROUP_HEADER_LEN;
    for _ in 0..header.frames {
        let entry = bytes.get(at..).and_then(Entry::decode).ok_or(GroupFault::Shape)?;
        let start = at + ENTRY_LEN;
        let end = start + entry.length as usize;
        frames.push(DurableFrame {
            frame: Frame { header: entry.header, records: bytes.slice(start..end) },
            position: WalPosition(header.position.0 + start as u64),
        });
        at = end;
    }
    Ok((header, frames))
}

#[cfg(test)]
mod tests;
