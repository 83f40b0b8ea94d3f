//! Laying out a segment: pure. Batches are passed by reference and never copied.

use bytes::{BufMut, Bytes, BytesMut};
use waybill_meta::{IndexRecord, ObjectId, ProducerSnapshot};
use waybill_types::{ClusterId, Incarnation, LeaderEpoch, Offset, TimestampMs, TopicPartition};
use waybill_wal::FrameHeader;

use super::{BLOCK_BYTES, HEAD_LEN, TAIL_MAGIC, VERSION, head};
use crate::transactions::AbortedTransaction;

/// Whose segment it is.
#[derive(Debug, Clone)]
pub(crate) struct SegmentIdentity {
    pub(crate) cluster: ClusterId,
    pub(crate) region: String,
    pub(crate) placement: String,
    pub(crate) object: ObjectId,
    pub(crate) incarnation: Incarnation,
    pub(crate) created_at: TimestampMs,
}

/// A run of whole batches, at most about a block.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) base_offset: Offset,
    /// The largest timestamp of a record in it.
    pub(crate) max_timestamp: TimestampMs,
    pub(crate) bytes: Bytes,
}

/// A stretch of one partition, and what is true at its end.
#[derive(Debug)]
pub(crate) struct SliceInput {
    pub(crate) partition: TopicPartition,
    /// Where the stretch begins. Its first batch may begin later, where log compaction has left nothing.
    pub(crate) base_offset: Offset,
    /// The last offset of its last batch.
    pub(crate) last_offset: Offset,
    /// The leader epochs of the first and of the last batch.
    pub(crate) leaders: (LeaderEpoch, LeaderEpoch),
    /// When the first and the last batch were appended.
    pub(crate) appended: (TimestampMs, TimestampMs),
    /// At least one, in offset order.
    pub(crate) pieces: Vec<Piece>,
    /// The epochs of the partition up to the slice's end.
    pub(crate) epochs: Vec<(LeaderEpoch, Offset)>,
    /// The producers at the slice's end.
    pub(crate) producers: Vec<ProducerSnapshot>,
    /// The transactions whose abort marker is in the slice.
    pub(crate) aborted: Vec<AbortedTransaction>,
}

impl SliceInput {
    /// A slice of frames that follow each other; `None` of none.
    pub(crate) fn of_frames(partition: TopicPartition, frames: Vec<(FrameHeader, Bytes)>) -> Option<Self> {
        let (first, last) = (frames.first()?.0, frames.last()?.0);
        let piece = |(header, bytes): (FrameHeader, Bytes)| Piece {
            base_offset: header.base_offset,
            max_timestamp: header.max_timestamp,
            bytes,
        };
        Some(Self {
            partition,
            base_offset: first.base_offset,
            last_offset: last.last_offset,
            leaders: (first.leader_epoch, last.leader_epoch),
            appended: (first.append_time, last.append_time),
            pieces: frames.into_iter().map(piece).collect(),
            epochs: Vec::new(),
            producers: Vec::new(),
            aborted: Vec::new(),
        })
    }
}

/// A slice as the index will name it.
#[derive(Debug, Clone)]
pub(crate) struct BuiltSlice {
    pub(crate) partition: TopicPartition,
    pub(crate) base_offset: Offset,
    pub(crate) record: IndexRecord,
}

/// A segment ready to be written.
#[derive(Debug)]
pub(crate) struct BuiltSegment {
    pub(crate) parts: Vec<Bytes>,
    pub(crate) size: u64,
    pub(crate) slices: Vec<BuiltSlice>,
}

struct Block {
    position: u32,
    base_offset: Offset,
    max_timestamp: TimestampMs,
    crc: u32,
}

/// Lays out a segment of these slices, which are in order of their partitions.
pub(crate) fn build(identity: &SegmentIdentity, inputs: &[SliceInput]) -> BuiltSegment {
    let mut parts = vec![head()];
    let mut position = HEAD_LEN as u64;
    let mut slices = Vec::with_capacity(inputs.len());
    let mut entries = BytesMut::with_capacity(inputs.len() * 128);
    for input in inputs {
        if input.pieces.is_empty() {
            continue;
        }
        let mut index = BytesMut::new();
        let (data_length, max_timestamp) = write_blocks(input, &mut index);
        write_rest(input, &mut index);
        let record = IndexRecord {
            object: identity.object,
            placement: identity.placement.clone(),
            data_position: position,
            data_length,
            index_position: position + data_length,
            index_length: index.len() as u64,
            last_offset: input.last_offset,
            max_timestamp,
            first_append: input.appended.0,
            last_append: input.appended.1,
            aborted: u32::try_from(input.aborted.len()).unwrap_or(u32::MAX),
        };
        position += data_length + record.index_length;
        parts.extend(input.pieces.iter().map(|piece| piece.bytes.clone()));
        parts.push(index.freeze());
        let slice = BuiltSlice { partition: input.partition, base_offset: input.base_offset, record };
        write_entry(&slice, input.leaders, &mut entries);
        slices.push(slice);
    }
    let directory_at = position;
    let end = write_end(identity, slices.len(), &entries, directory_at);
    let size = directory_at + end.len() as u64;
    parts.push(end);
    BuiltSegment { parts, size, slices }
}

/// Writes the block table and returns the slice's length and largest timestamp.
fn write_blocks(input: &SliceInput, out: &mut BytesMut) -> (u64, TimestampMs) {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut position, mut block_bytes) = (0u64, 0usize);
    for piece in &input.pieces {
        let open = blocks.last_mut().filter(|_| block_bytes + piece.bytes.len() <= BLOCK_BYTES);
        if let Some(block) = open {
            block.crc = crc32c::crc32c_append(block.crc, &piece.bytes);
            block.max_timestamp = block.max_timestamp.max(piece.max_timestamp);
            block_bytes += piece.bytes.len();
        } else {
            blocks.push(Block {
                position: u32::try_from(position).unwrap_or(u32::MAX),
                base_offset: piece.base_offset,
                max_timestamp: piece.max_timestamp,
                crc: crc32c::crc32c(&piece.bytes),
            });
            block_bytes = piece.bytes.len();
        }
        position += piece.bytes.len() as u64;
    }
    out.reserve(16 + blocks.len() * 24);
    out.put_u8(VERSION);
    out.put_u32(blocks.len() as u32);
    for block in &blocks {
        out.put_u32(block.position);
        out.put_i64(block.base_offset.get());
        out.put_i64(block.max_timestamp.get());
        out.put_u32(block.crc);
    }
    let max_timestamp = blocks.iter().map(|block| block.max_timestamp).max().unwrap_or(TimestampMs::NONE);
    (position, max_timestamp)
}

fn write_rest(input: &SliceInput, out: &mut BytesMut) {
    out.put_u32(input.epochs.len() as u32);
    for (epoch, offset) in &input.epochs {
        out.put_i32(epoch.get());
        out.put_i64(offset.get());
    }
    out.put_u32(input.aborted.len() as u32);
    for txn in &input.aborted {
        out.put_i64(txn.producer_id.get());
        out.put_i64(txn.first_offset.get());
        out.put_i64(txn.last_offset.get());
    }
    let mut producers = BytesMut::new();
    for producer in &input.producers {
        producer.write_to(&mut producers);
    }
    out.put_u32(producers.len() as u32);
    out.put_slice(&producers);
    let crc = crc32c::crc32c(out);
    out.put_u32(crc);
}

fn write_entry(slice: &BuiltSlice, epochs: (LeaderEpoch, LeaderEpoch), out: &mut BytesMut) {
    let record = &slice.record;
    out.put_slice(slice.partition.topic.as_bytes());
    out.put_i32(slice.partition.partition.get());
    out.put_i32(epochs.0.get());
    out.put_i32(epochs.1.get());
    out.put_i64(slice.base_offset.get());
    out.put_i64(record.last_offset.get());
    out.put_u64(record.data_position);
    out.put_u64(record.data_length);
    out.put_u64(record.index_position);
    out.put_u64(record.index_length);
    out.put_i64(record.max_timestamp.get());
    out.put_i64(record.first_append.get());
    out.put_i64(record.last_append.get());
    out.put_u32(record.aborted);
}

/// The directory and the trailer.
fn write_end(identity: &SegmentIdentity, slices: usize, entries: &[u8], directory_at: u64) -> Bytes {
    let mut out = BytesMut::with_capacity(entries.len() + 160);
    out.put_u8(VERSION);
    out.put_slice(identity.cluster.as_bytes());
    out.put_u64(identity.object.get());
    out.put_u64(identity.incarnation.get());
    out.put_i64(identity.created_at.get());
    for text in [&identity.region, &identity.placement] {
        let text = text.as_bytes().get(..text.len().min(usize::from(u16::MAX))).unwrap_or_default();
        out.put_u16(text.len() as u16);
        out.put_slice(text);
    }
    out.put_u32(slices as u32);
    out.put_slice(entries);
    let crc = crc32c::crc32c(&out);
    out.put_u32(crc);
    let length = out.len();
    let trailer_at = out.len();
    out.put_u64(directory_at);
    out.put_u32(length as u32);
    out.put_u64(directory_at + length as u64 + super::TRAILER_LEN as u64);
    let crc = crc32c::crc32c(out.get(trailer_at..).unwrap_or_default());
    out.put_u32(crc);
    out.put_slice(&TAIL_MAGIC);
    out.freeze()
}
