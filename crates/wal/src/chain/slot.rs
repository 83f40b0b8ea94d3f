//! The bytes of a chain's objects.
//!
//! ```text
//! data: header (96) | entry (88) per batch | records of each batch
//! open: header (96) | depth u32, largest object u32, written i64 ms, zeros (16)
//! seal: header (96) | term u64, attempt u64, written i64 ms, zeros (8)
//! ```
//!
//! Little-endian. What stands before the records is the *front*: the footer of the design, moved to where every store can
//! read it with one ranged request of a known start. The header's checksum covers header and front, each entry's covers
//! its records: together every byte, and the records are summed once.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc32c::{crc32c, crc32c_append};
use waybill_types::{BrokerId, Incarnation, StoreId, TimestampMs};

use crate::api::{DurableFrame, WalPosition};
use crate::chain::names::{ChainId, Slot};
use crate::entry::{ENTRY_LEN, Entry};
use crate::frame::Frame;

/// Length of the header in bytes.
pub const HEAD_LEN: usize = 96;
/// Length of what follows the header of an open record or a seal, in bytes.
pub const BODY_LEN: usize = 32;
/// The version of this format.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 4] = *b"WbCh";
const SUMMED: usize = HEAD_LEN - 4;

/// What kind of object a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Slot 0: what the chain is.
    Open,
    /// Batches.
    Data,
    /// The end of the chain, if no seal stands below it.
    Seal,
}

/// Who writes a chain, and where it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The WAL store.
    pub store: StoreId,
    /// The chain.
    pub chain: ChainId,
    /// Drawn by the process that writes: tells two processes apart that believe to be the same incarnation.
    pub writer: u64,
}

/// The header of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What it is.
    pub kind: Kind,
    /// Whose it is. A seal names the chain that it ends, and its own writer.
    pub identity: Identity,
    /// Which slot of the chain.
    pub slot: Slot,
    /// Where its first byte stands in the log of this broker.
    pub position: WalPosition,
    /// The first slot that was not known durable, with all before it, when this was written.
    pub durable: Slot,
    /// Batches in it.
    pub frames: u32,
    /// Length of the whole object in bytes.
    pub length: u64,
    /// CRC-32C of header and front.
    pub crc: u32,
}

/// What an open record says about its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenRecord {
    /// How many slots may be in flight: a writer never has written one further above a slot that is not durable.
    pub depth: u32,
    /// The largest object of the chain in bytes.
    pub largest: u32,
    /// When it was written.
    pub written: TimestampMs,
}

/// Who placed a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SealRecord {
    /// The controller's term; 0 when the writer itself did.
    pub term: u64,
    /// The attempt within it.
    pub attempt: u64,
    /// When it was placed.
    pub written: TimestampMs,
}

/// What stands before the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Front {
    /// An open record.
    Open(Head, OpenRecord),
    /// A table of batches.
    Data(Head, Vec<Entry>),
    /// A seal.
    Seal(Head, SealRecord),
}

/// Why bytes are not an object of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotFault {
    /// Nothing here looks like one.
    #[error("it has no header")]
    NoHeader,
    /// It is of a newer format.
    #[error("its format {0} is newer than this program")]
    Newer(u8),
    /// It ends early, or lengths contradict each other.
    #[error("it is cut short or its lengths contradict each other")]
    Shape,
    /// A checksum does not match.
    #[error("its checksum does not match")]
    Checksum,
}

impl Head {
    fn encode(&self) -> [u8; SUMMED] {
        let mut bytes = [0; SUMMED];
        let mut out: &mut [u8] = &mut bytes;
        out.put_slice(&MAGIC);
        out.put_u8(VERSION);
        out.put_u8(match self.kind {
            Kind::Open => 1,
            Kind::Data => 2,
            Kind::Seal => 3,
        });
        out.put_u16_le(HEAD_LEN as u16);
        out.put_slice(self.identity.store.as_bytes());
        out.put_i32_le(self.identity.chain.broker.get());
        out.put_u32_le(self.frames);
        out.put_u64_le(self.identity.chain.incarnation.get());
        out.put_u64_le(self.slot);
        out.put_u64_le(self.position.0);
        out.put_u64_le(self.durable);
        out.put_u64_le(self.length);
        out.put_u64_le(self.identity.writer);
        bytes
    }

    /// Reads a header, without checking its checksum.
    ///
    /// # Errors
    /// When it can not be one.
    pub fn peek(bytes: &[u8]) -> Result<Self, SlotFault> {
        let mut from = bytes.get(..HEAD_LEN).ok_or(SlotFault::NoHeader)?;
        let mut magic = [0; 4];
        from.copy_to_slice(&mut magic);
        if magic != MAGIC {
            return Err(SlotFault::NoHeader);
        }
        let version = from.get_u8();
        if version > VERSION {
            return Err(SlotFault::Newer(version));
        }
        let kind = match from.get_u8() {
            1 => Kind::Open,
            2 => Kind::Data,
            3 => Kind::Seal,
            _ => return Err(SlotFault::NoHeader),
        };
        if usize::from(from.get_u16_le()) != HEAD_LEN {
            return Err(SlotFault::NoHeader);
        }
        let mut store = [0; 16];
        from.copy_to_slice(&mut store);
        let broker = BrokerId(from.get_i32_le());
        let frames = from.get_u32_le();
        let chain = ChainId { broker, incarnation: Incarnation(from.get_u64_le()) };
        let (slot, position) = (from.get_u64_le(), WalPosition(from.get_u64_le()));
        let (durable, length, writer) = (from.get_u64_le(), from.get_u64_le(), from.get_u64_le());
        from.advance(HEAD_LEN - 4 - 80);
        let crc = from.get_u32_le();
        let identity = Identity { store: StoreId(store), chain, writer };
        let head = Self { kind, identity, slot, position, durable, frames, length, crc };
        if (head.front_len() as u64) > length {
            return Err(SlotFault::Shape);
        }
        Ok(head)
    }

    /// Length of what stands before the records, in bytes.
    #[must_use]
    pub fn front_len(&self) -> usize {
        match self.kind {
            Kind::Open | Kind::Seal => HEAD_LEN + BODY_LEN,
            Kind::Data => HEAD_LEN.saturating_add((self.frames as usize).saturating_mul(ENTRY_LEN)),
        }
    }

    /// Where the next object's bytes begin in the log.
    #[must_use]
    pub fn end(&self) -> WalPosition {
        WalPosition(self.position.0.saturating_add(self.length))
    }
}

/// Length of a data object with records of the given lengths.
pub fn data_length(records: impl Iterator<Item = usize>) -> u64 {
    records.fold(HEAD_LEN as u64, |sum, length| sum + (ENTRY_LEN + length) as u64)
}

/// An encoded object: its header as it stands there, and its bytes in parts.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The header, checksum included.
    pub head: Head,
    /// The bytes.
    pub parts: Vec<Bytes>,
}

fn with_front(mut head: Head, front: &[u8]) -> Result<(Head, BytesMut), SlotFault> {
    let summed = head.encode();
    head.crc = crc32c_append(crc32c(&summed), front);
    let mut out = BytesMut::with_capacity(HEAD_LEN + front.len());
    out.put_slice(&summed);
    out.put_u32_le(head.crc);
    out.put_slice(front);
    Ok((head, out))
}

/// Encodes batches as the data object of `slot`. The records are not copied.
///
/// # Errors
/// [`SlotFault::Shape`] when they are larger than the format can say.
pub fn encode_data(
    identity: Identity,
    slot: Slot,
    position: WalPosition,
    durable: Slot,
    frames: &[Frame],
) -> Result<Encoded, SlotFault> {
    let count = u32::try_from(frames.len()).map_err(|_| SlotFault::Shape)?;
    let length = data_length(frames.iter().map(|frame| frame.records.len()));
    let head = Head { kind: Kind::Data, identity, slot, position, durable, frames: count, length, crc: 0 };
    let mut front = Vec::with_capacity(frames.len() * ENTRY_LEN);
    let mut at = head.front_len();
    for frame in frames {
        let entry = Entry {
            header: frame.header,
            at: u32::try_from(at).map_err(|_| SlotFault::Shape)?,
            length: u32::try_from(frame.records.len()).map_err(|_| SlotFault::Shape)?,
            crc: crc32c(&frame.records),
        };
        front.extend_from_slice(&entry.encode());
        at += frame.records.len();
    }
    let (head, front) = with_front(head, &front)?;
    let mut parts = Vec::with_capacity(frames.len() + 1);
    parts.push(front.freeze());
    parts.extend(frames.iter().map(|frame| frame.records.clone()));
    Ok(Encoded { head, parts })
}

fn encode_body(head: Head, body: [u8; BODY_LEN]) -> Result<Encoded, SlotFault> {
    let (head, front) = with_front(head, &body)?;
    Ok(Encoded { head, parts: vec![front.freeze()] })
}

/// Encodes the open record of a chain whose first data object begins at `position`.
///
/// # Errors
/// Never in practice.
pub fn encode_open(
    identity: Identity,
    position: WalPosition,
    record: OpenRecord,
) -> Result<Encoded, SlotFault> {
    let mut body = [0; BODY_LEN];
    let mut out: &mut [u8] = &mut body;
    out.put_u32_le(record.depth);
    out.put_u32_le(record.largest);
    out.put_i64_le(record.written.get());
    let length = (HEAD_LEN + BODY_LEN) as u64;
    let head = Head { kind: Kind::Open, identity, slot: 0, position, durable: 0, frames: 0, length, crc: 0 };
    encode_body(head, body)
}

/// Encodes a seal of `identity.chain` at `slot`.
///
/// # Errors
/// Never in practice.
pub fn encode_seal(identity: Identity, slot: Slot, record: SealRecord) -> Result<Encoded, SlotFault> {
    let mut body = [0; BODY_LEN];
    let mut out: &mut [u8] = &mut body;
    out.put_u64_le(record.term);
    out.put_u64_le(record.attempt);
    out.put_i64_le(record.written.get());
    let length = (HEAD_LEN + BODY_LEN) as u64;
    let position = WalPosition(0);
    let head = Head { kind: Kind::Seal, identity, slot, position, durable: 0, frames: 0, length, crc: 0 };
    encode_body(head, body)
}

/// Reads what stands before the records. `bytes` is a beginning of the object of at least [`Head::front_len`] bytes.
///
/// # Errors
/// A [`SlotFault`] naming what does not hold.
pub fn decode_front(bytes: &[u8]) -> Result<Front, SlotFault> {
    let head = Head::peek(bytes)?;
    let front = bytes.get(HEAD_LEN..head.front_len()).ok_or(SlotFault::Shape)?;
    let summed = bytes.get(..SUMMED).ok_or(SlotFault::Shape)?;
    if crc32c_append(crc32c(summed), front) != head.crc {
        return Err(SlotFault::Checksum);
    }
    let mut body = front;
    match head.kind {
        Kind::Open => {
            let (depth, largest) = (body.get_u32_le(), body.get_u32_le());
            Ok(Front::Open(head, OpenRecord { depth, largest, written: TimestampMs(body.get_i64_le()) }))
        }
        Kind::Seal => {
            let (term, attempt) = (body.get_u64_le(), body.get_u64_le());
            Ok(Front::Seal(head, SealRecord { term, attempt, written: TimestampMs(body.get_i64_le()) }))
        }
        Kind::Data => decode_table(head, front),
    }
}

fn decode_table(head: Head, front: &[u8]) -> Result<Front, SlotFault> {
    let mut entries = Vec::with_capacity(front.len() / ENTRY_LEN);
    let mut at = head.front_len() as u64;
    for encoded in front.chunks_exact(ENTRY_LEN) {
        let entry = Entry::decode(encoded).ok_or(SlotFault::Shape)?;
        if u64::from(entry.at) != at {
            return Err(SlotFault::Shape);
        }
        at += u64::from(entry.length);
        entries.push(entry);
    }
    if at != head.length { Err(SlotFault::Shape) } else { Ok(Front::Data(head, entries)) }
}

/// Checks a whole data object and takes its batches out, as slices of `bytes`.
///
/// # Errors
/// A [`SlotFault`]; [`SlotFault::NoHeader`] when it is not a data object.
pub fn decode_data(bytes: &Bytes) -> Result<(Head, Vec<DurableFrame>), SlotFault> {
    let Front::Data(head, entries) = decode_front(bytes)? else { return Err(SlotFault::NoHeader) };
    if bytes.len() as u64 != head.length {
        return Err(SlotFault::Shape);
    }
    let mut frames = Vec::with_capacity(entries.len());
    for entry in entries {
        let (start, length) = (entry.at as usize, entry.length as usize);
        let end = start.checked_add(length).filter(|end| *end <= bytes.len()).ok_or(SlotFault::Shape)?;
        let records = bytes.slice(start..end);
        if crc32c(&records) != entry.crc {
            return Err(SlotFault::Checksum);
        }
        let position = WalPosition(head.position.0.saturating_add(u64::from(entry.at)));
        frames.push(DurableFrame { frame: Frame { header: entry.header, records }, position });
    }
    Ok((head, frames))
}

#[cfg(test)]
mod tests;
