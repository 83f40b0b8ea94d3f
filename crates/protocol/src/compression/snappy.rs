//! Snappy as Kafka's clients write it.
//!
//! The xerial framing of snappy-java: 8 bytes of magic, a version and a compatible version (i32 each), then blocks,
//! each an i32 length and that many bytes of raw snappy. A framing may follow another. Input without the magic is
//! one raw snappy block: some clients send that, and snappy-java reads it.

use super::CompressionError;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER: usize = MAGIC.len() + 8;
/// Plain bytes per block when writing; snappy-java's default.
const BLOCK: usize = 32 * 1024;
/// Snappy's copies yield at most 64 bytes from 2 of input, so a larger declared length is a lie.
const MAX_RATIO: usize = 32;
const CODEC: &str = "snappy";

/// The blocks of snappy data, one decompressed at a time.
pub(super) struct SnappyBlocks<'a> {
    rest: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    filled: usize,
}

impl<'a> SnappyBlocks<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        let framed = input.starts_with(&MAGIC);
        Self { rest: input, framed, block: Vec::new(), filled: 0 }
    }

    pub(super) fn chunk(&self) -> &[u8] {
        self.block.get(..self.filled).unwrap_or_default()
    }

    /// Decompresses the next block that is not empty; 0 at the end. `room` of `limit` bytes may still be made.
    pub(super) fn advance(&mut self, room: usize, limit: usize) -> Result<usize, CompressionError> {
        self.filled = 0;
        while self.filled == 0 && !self.rest.is_empty() {
            let raw = if self.framed { self.next_framed()? } else { std::mem::take(&mut self.rest) };
            let Some(raw) = raw.get(..).filter(|raw| !raw.is_empty()) else { continue };
            let declared = snap::raw::decompress_len(raw).map_err(CompressionError::codec)?;
            if declared > room {
                return Err(CompressionError::TooLarge { limit });
            }
            if declared > raw.len().saturating_mul(MAX_RATIO) {
                return Err(CompressionError::malformed(CODEC, "a block declares more than it can hold"));
            }
            if self.block.len() < declared {
                self.block.resize(declared, 0);
            }
            let space = self.block.get_mut(..declared).unwrap_or_default();
            self.filled =
                snap::raw::Decoder::new().decompress(raw, space).map_err(CompressionError::codec)?;
        }
        Ok(self.filled)
    }

    /// Takes the next block's raw bytes, past any header before it; empty at the end.
    fn next_framed(&mut self) -> Result<&'a [u8], CompressionError> {
        while self.rest.starts_with(&MAGIC) {
            self.rest = self.rest.get(HEADER..).ok_or(CompressionError::Truncated { codec: CODEC })?;
        }
        if self.rest.is_empty() {
            return Ok(&[]);
        }
        let (length, rest) =
            self.rest.split_first_chunk::<4>().ok_or(CompressionError::Truncated { codec: CODEC })?;
        let length = usize::try_from(i32::from_be_bytes(*length))
            .map_err(|_| CompressionError::malformed(CODEC, "negative block length"))?;
        let (block, rest) =
            rest.split_at_checked(length).ok_or(CompressionError::Truncated { codec: CODEC })?;
        self.rest = rest;
        Ok(block)
    }
}

/// Compresses `plain` in the xerial framing.
pub(super) fn compress(plain: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::with_capacity(HEADER + plain.len() / 2);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    let mut space = vec![0; snap::raw::max_compress_len(BLOCK.min(plain.len()))];
    for block in plain.chunks(BLOCK) {
        let written = encoder.compress(block, &mut space).map_err(CompressionError::codec)?;
        out.extend_from_slice(&(written as u32).to_be_bytes());
        out.extend_from_slice(space.get(..written).unwrap_or_default());
    }
    Ok(out)
}
