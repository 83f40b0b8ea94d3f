//! LZ4 frames as Kafka reads and writes them (`Lz4BlockInputStream.java`, `Lz4BlockOutputStream.java`).
//!
//! One frame, version 1, blocks independent and at most 4 MiB, the header's checksum right (unlike in magic 0 and 1),
//! block checksums verified when there, a content size and a content checksum passed over. What follows the end mark
//! is not looked at.

use lz4_flex::block::DecompressError;

use super::CompressionError;
use super::xxh32::xxh32;

const MAGIC: [u8; 4] = 0x184d_2204u32.to_le_bytes();
const CODEC: &str = "lz4";
/// Block maximum written: 64 KiB, Kafka's default.
const BLOCK: usize = 64 * 1024;
const STORED: u32 = 0x8000_0000;

const VERSION: u8 = 0b0100_0000;
const VERSION_MASK: u8 = 0b1100_0000;
const INDEPENDENT: u8 = 0b0010_0000;
const BLOCK_CHECKSUM: u8 = 0b0001_0000;
const CONTENT_SIZE: u8 = 0b0000_1000;
const CONTENT_CHECKSUM: u8 = 0b0000_0100;
const RESERVED: u8 = 0b0000_0011;

/// The blocks of a frame, one decompressed at a time.
pub(super) struct Lz4Blocks<'a> {
    rest: &'a [u8],
    flags: u8,
    max_block: usize,
    block: Vec<u8>,
    current: Current<'a>,
}

enum Current<'a> {
    Stored(&'a [u8]),
    Filled(usize),
    End,
}

const fn cut() -> CompressionError {
    CompressionError::Truncated { codec: CODEC }
}

const fn bad(what: &'static str) -> CompressionError {
    CompressionError::malformed(CODEC, what)
}

impl<'a> Lz4Blocks<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<Self, CompressionError> {
        let descriptor = input.strip_prefix(&MAGIC).ok_or(if input.len() < MAGIC.len() {
            cut()
        } else {
            bad("not an lz4 frame")
        })?;
        let [flags, sizes] = *descriptor.first_chunk::<2>().ok_or(cut())?;
        if flags & VERSION_MASK != VERSION || flags & RESERVED != 0 {
            return Err(bad("unknown frame version or flags"));
        }
        if flags & INDEPENDENT == 0 {
            return Err(bad("blocks that depend on each other"));
        }
        if sizes & 0b1000_1111 != 0 {
            return Err(bad("reserved bits are set"));
        }
        let max_block = match sizes >> 4 {
            4 => 64 * 1024,
            5 => 256 * 1024,
            6 => 1024 * 1024,
            7 => 4 * 1024 * 1024,
            _ => return Err(bad("unknown block size")),
        };
        let length = if flags & CONTENT_SIZE == 0 { 2 } else { 10 };
        let (descriptor, rest) = descriptor.split_at_checked(length).ok_or(cut())?;
        let (&checksum, rest) = rest.split_first().ok_or(cut())?;
        if checksum != (xxh32(descriptor) >> 8) as u8 {
            return Err(bad("frame descriptor checksum"));
        }
        Ok(Self { rest, flags, max_block, block: Vec::new(), current: Current::Filled(0) })
    }

    pub(super) fn chunk(&self) -> &[u8] {
        match self.current {
            Current::Stored(bytes) => bytes,
            Current::Filled(length) => self.block.get(..length).unwrap_or_default(),
            Current::End => &[],
        }
    }

    /// Decompresses the next block that is not empty; 0 at the end. `room` of `limit` bytes may still be made.
    pub(super) fn advance(&mut self, room: usize, limit: usize) -> Result<usize, CompressionError> {
        loop {
            if matches!(self.current, Current::End) {
                return Ok(0);
            }
            self.next_block(room, limit)?;
            let length = self.chunk().len();
            if length > 0 {
                return Ok(length);
            }
        }
    }

    fn word(&mut self) -> Result<u32, CompressionError> {
        let (word, rest) = self.rest.split_first_chunk::<4>().ok_or(cut())?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*word))
    }

    fn next_block(&mut self, room: usize, limit: usize) -> Result<(), CompressionError> {
        let word = self.word()?;
        if word & !STORED == 0 {
            if self.flags & CONTENT_CHECKSUM != 0 {
                self.word()?;
            }
            self.current = Current::End;
            return Ok(());
        }
        let length = (word & !STORED) as usize;
        if length > self.max_block {
            return Err(bad("a block is larger than the frame allows"));
        }
        let (raw, rest) = self.rest.split_at_checked(length).ok_or(cut())?;
        self.rest = rest;
        if self.flags & BLOCK_CHECKSUM != 0 && self.word()? != xxh32(raw) {
            return Err(bad("block checksum"));
        }
        if word & STORED != 0 {
            self.current = Current::Stored(raw);
            return Ok(());
        }
        // LZ4 can not yield more than 255 bytes from one of input, so a short block needs no full-size buffer; and a
        // byte more than may be made is enough to see that there are too many.
        let space = self.max_block.min(raw.len().saturating_mul(255)).min(room.saturating_add(1));
        if self.block.len() < space {
            self.block.resize(space, 0);
        }
        let place = self.block.get_mut(..space).unwrap_or_default();
        let filled = lz4_flex::block::decompress_into(raw, place).map_err(|error| match error {
            DecompressError::OutputTooSmall { .. } if space > room => CompressionError::TooLarge { limit },
            other => CompressionError::codec(other),
        })?;
        self.current = Current::Filled(filled);
        Ok(())
    }
}

/// Compresses `plain` into one frame of independent 64 KiB blocks without checksums, as Kafka's producer writes.
pub(super) fn compress(plain: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let descriptor = [VERSION | INDEPENDENT, 4 << 4];
    let mut out = Vec::with_capacity(16 + plain.len() / 2);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&descriptor);
    out.push((xxh32(&descriptor) >> 8) as u8);
    let mut space = vec![0; lz4_flex::block::get_maximum_output_size(BLOCK.min(plain.len()))];
    for block in plain.chunks(BLOCK) {
        let written = lz4_flex::block::compress_into(block, &mut space).map_err(CompressionError::codec)?;
        match space.get(..written).filter(|packed| packed.len() < block.len()) {
            Some(packed) => {
                out.extend_from_slice(&(packed.len() as u32).to_le_bytes());
                out.extend_from_slice(packed);
            }
            None => {
                out.extend_from_slice(&(block.len() as u32 | STORED).to_le_bytes());
                out.extend_from_slice(block);
            }
        }
    }
    out.extend_from_slice(&0u32.to_le_bytes());
    Ok(out)
}
