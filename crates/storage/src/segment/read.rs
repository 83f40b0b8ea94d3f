//! Reading what a segment says about itself: pure, over bytes that may be damaged.

use bytes::{Buf, Bytes};
use waybill_meta::{ObjectId, ProducerSnapshot};
use waybill_types::{
    ClusterId, Incarnation, LeaderEpoch, Offset, PartitionId, ProducerId, TimestampMs, TopicId,
    TopicPartition,
};

use super::{TAIL_MAGIC, VERSION};
use crate::transactions::AbortedTransaction;

/// Length of the trailer in bytes.
pub const TRAILER_LEN: usize = 32;

/// Why bytes are not (part of) a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentFault {
    /// They end early, or a length in them points outside.
    #[error("the {0} ends early")]
    Short(&'static str),
    /// The checksum does not fit.
    #[error("the {0} does not match its checksum")]
    Checksum(&'static str),
    /// The magic bytes are missing.
    #[error("this is not a segment")]
    Magic,
    /// A layout that this release does not know.
    #[error("version {0} of the segment layout is not known to this release")]
    Version(u8),
    /// The batches in a block are not what the index says.
    #[error("the batches do not match the index")]
    Batches,
}

/// Takes checked values off the front of bytes.
struct Cursor<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    /// Checks the CRC-32C at the end and the version at the front.
    fn checked(bytes: &'a [u8], what: &'static str) -> Result<Self, SegmentFault> {
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or(SegmentFault::Short(what))?;
        if crc32c::crc32c(body) != u32::from_be_bytes(*crc) {
            return Err(SegmentFault::Checksum(what));
        }
        let mut cursor = Self { rest: body, what };
        match cursor.u8()? {
            VERSION => Ok(cursor),
            other => Err(SegmentFault::Version(other)),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], SegmentFault> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(SegmentFault::Short(self.what))?;
        self.rest = rest;
        Ok(*head)
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], SegmentFault> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(SegmentFault::Short(self.what))?;
        self.rest = rest;
        Ok(head)
    }

    fn text(&mut self) -> Result<String, SegmentFault> {
        let length = u16::from_be_bytes(self.take()?);
        Ok(String::from_utf8_lossy(self.slice(usize::from(length))?).into_owned())
    }

    /// A count of items of `size` bytes that must still be there.
    fn count(&mut self, size: usize) -> Result<usize, SegmentFault> {
        let count = self.u32()? as usize;
        if count.saturating_mul(size) > self.rest.len() {
            Err(SegmentFault::Short(self.what))
        } else {
            Ok(count)
        }
    }

    fn u8(&mut self) -> Result<u8, SegmentFault> {
        self.take().map(u8::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, SegmentFault> {
        self.take().map(u32::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, SegmentFault> {
        self.take().map(i32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, SegmentFault> {
        self.take().map(u64::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, SegmentFault> {
        self.take().map(i64::from_be_bytes)
    }

    fn offset(&mut self) -> Result<Offset, SegmentFault> {
        self.i64().map(Offset)
    }

    fn time(&mut self) -> Result<TimestampMs, SegmentFault> {
        self.i64().map(TimestampMs)
    }
}

/// Where the directory is: position and length in bytes.
///
/// # Errors
/// When these are not the last [`TRAILER_LEN`] bytes of a segment of `size` bytes.
pub fn parse_trailer(bytes: &[u8], size: u64) -> Result<(u64, u64), SegmentFault> {
    let (body, magic) = bytes.split_last_chunk::<8>().ok_or(SegmentFault::Short("trailer"))?;
    if *magic != TAIL_MAGIC || bytes.len() != TRAILER_LEN {
        return Err(SegmentFault::Magic);
    }
    let (summed, crc) = body.split_last_chunk::<4>().ok_or(SegmentFault::Short("trailer"))?;
    if crc32c::crc32c(summed) != u32::from_be_bytes(*crc) {
        return Err(SegmentFault::Checksum("trailer"));
    }
    let mut cursor = Cursor { rest: summed, what: "trailer" };
    let (position, length, total) = (cursor.u64()?, u64::from(cursor.u32()?), cursor.u64()?);
    let fits =
        position.checked_add(length).is_some_and(|end| end.checked_add(TRAILER_LEN as u64) == Some(size));
    if total != size || !fits {
        return Err(SegmentFault::Short("segment"));
    }
    Ok((position, length))
}

/// What a segment says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its id.
    pub object: ObjectId,
    /// The incarnation that wrote it.
    pub incarnation: Incarnation,
    /// When it was written.
    pub created_at: TimestampMs,
    /// The region of the store.
    pub region: String,
    /// The name of the store.
    pub placement: String,
    /// Its slices, in order of their partitions.
    pub slices: Vec<DirectoryEntry>,
}

/// One slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader epoch of the first batch.
    pub first_epoch: LeaderEpoch,
    /// The leader epoch of the last batch.
    pub last_epoch: LeaderEpoch,
    /// The first offset.
    pub base_offset: Offset,
    /// The last offset.
    pub last_offset: Offset,
    /// Where its batches start.
    pub data_position: u64,
    /// How many bytes of batches it has.
    pub data_length: u64,
    /// Where its block index starts.
    pub index_position: u64,
    /// How many bytes that has.
    pub index_length: u64,
    /// The largest record timestamp.
    pub max_timestamp: TimestampMs,
    /// When its first batch was appended.
    pub first_append: TimestampMs,
    /// When its last batch was appended.
    pub last_append: TimestampMs,
    /// How many transactions end aborted in it.
    pub aborted: u32,
}

const ENTRY_LEN: usize = 16 + 3 * 4 + 2 * 8 + 4 * 8 + 3 * 8 + 4;

/// Reads a directory.
///
/// # Errors
/// When the bytes are damaged or of an unknown version.
pub fn parse_directory(bytes: &[u8]) -> Result<Directory, SegmentFault> {
    let mut cursor = Cursor::checked(bytes, "directory")?;
    let cluster = ClusterId(cursor.take()?);
    let object = ObjectId(cursor.u64()?);
    let incarnation = Incarnation(cursor.u64()?);
    let created_at = cursor.time()?;
    let (region, placement) = (cursor.text()?, cursor.text()?);
    let count = cursor.count(ENTRY_LEN)?;
    let slices = (0..count).map(|_| parse_entry(&mut cursor)).collect::<Result<_, _>>()?;
    Ok(Directory { cluster, object, incarnation, created_at, region, placement, slices })
}

fn parse_entry(cursor: &mut Cursor<'_>) -> Result<DirectoryEntry, SegmentFault> {
    Ok(DirectoryEntry {
        partition: TopicPartition::new(TopicId(cursor.take()?), PartitionId(cursor.i32()?)),
        first_epoch: LeaderEpoch(cursor.i32()?),
        last_epoch: LeaderEpoch(cursor.i32()?),
        base_offset: cursor.offset()?,
        last_offset: cursor.offset()?,
        data_position: cursor.u64()?,
        data_length: cursor.u64()?,
        index_position: cursor.u64()?,
        index_length: cursor.u64()?,
        max_timestamp: cursor.time()?,
        first_append: cursor.time()?,
        last_append: cursor.time()?,
        aborted: cursor.u32()?,
    })
}

/// A run of whole batches with one checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEntry {
    /// Where it starts, in bytes from the slice's start.
    pub position: u32,
    /// The first offset in it.
    pub base_offset: Offset,
    /// The largest record timestamp in it.
    pub max_timestamp: TimestampMs,
    /// CRC-32C of its bytes.
    pub crc: u32,
}

/// The block index of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceIndex {
    /// Its blocks, in order.
    pub blocks: Vec<BlockEntry>,
    /// Where each leader epoch begins, up to the slice's end.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// The transactions whose abort marker is in the slice.
    pub aborted: Vec<AbortedTransaction>,
    /// The producers at the slice's end.
    pub producers: Vec<ProducerSnapshot>,
}

/// Reads a block index.
///
/// # Errors
/// When the bytes are damaged or of an unknown version.
pub fn parse_slice_index(bytes: &[u8]) -> Result<SliceIndex, SegmentFault> {
    const WHAT: &str = "block index";
    let mut cursor = Cursor::checked(bytes, WHAT)?;
    let count = cursor.count(24)?;
    let block = |cursor: &mut Cursor<'_>| {
        Ok(BlockEntry {
            position: cursor.u32()?,
            base_offset: cursor.offset()?,
            max_timestamp: cursor.time()?,
            crc: cursor.u32()?,
        })
    };
    let blocks = (0..count).map(|_| block(&mut cursor)).collect::<Result<_, SegmentFault>>()?;
    let count = cursor.count(12)?;
    let epoch = |cursor: &mut Cursor<'_>| Ok((LeaderEpoch(cursor.i32()?), cursor.offset()?));
    let epochs = (0..count).map(|_| epoch(&mut cursor)).collect::<Result<_, SegmentFault>>()?;
    let count = cursor.count(24)?;
    let txn = |cursor: &mut Cursor<'_>| {
        Ok(AbortedTransaction {
            producer_id: ProducerId(cursor.i64()?),
            first_offset: cursor.offset()?,
            last_offset: cursor.offset()?,
        })
    };
    let aborted = (0..count).map(|_| txn(&mut cursor)).collect::<Result<_, SegmentFault>>()?;
    let length = cursor.count(1)?;
    let mut rest = cursor.slice(length)?;
    let mut producers = Vec::new();
    while rest.has_remaining() {
        producers.push(ProducerSnapshot::read_from(&mut rest).ok_or(SegmentFault::Short(WHAT))?);
    }
    Ok(SliceIndex { blocks, epochs, aborted, producers })
}

impl SliceIndex {
    /// The index of the block that holds `offset`, or of the first one when it lies before all.
    pub(crate) fn block_at(&self, offset: Offset) -> usize {
        self.blocks.partition_point(|block| block.base_offset <= offset).saturating_sub(1)
    }

    /// The first block with a record at or after `timestamp`.
    pub(crate) fn block_from(&self, timestamp: TimestampMs) -> Option<usize> {
        self.blocks.iter().position(|block| block.max_timestamp >= timestamp)
    }

    /// Where block `index` starts in a slice of `length` bytes; the end for the one behind the last.
    pub(crate) fn start_of(&self, index: usize, length: u64) -> u64 {
        self.blocks.get(index).map_or(length, |block| u64::from(block.position))
    }

    /// Holds the bytes of the blocks `first..end` against their checksums.
    ///
    /// # Errors
    /// When there are no such blocks, or a block's bytes are missing or damaged.
    pub fn verify(&self, first: usize, end: usize, bytes: &Bytes) -> Result<(), SegmentFault> {
        let blocks = self.blocks.get(first..end).ok_or(SegmentFault::Batches)?;
        let origin = blocks.first().map_or(0, |block| block.position as usize);
        for (at, block) in blocks.iter().enumerate() {
            let start = (block.position as usize).saturating_sub(origin);
            let stop = blocks
                .get(at + 1)
                .map_or(bytes.len(), |next| (next.position as usize).saturating_sub(origin));
            let block_bytes = bytes.get(start..stop).ok_or(SegmentFault::Short("block"))?;
            if crc32c::crc32c(block_bytes) != block.crc {
                return Err(SegmentFault::Checksum("block"));
            }
        }
        Ok(())
    }
}
