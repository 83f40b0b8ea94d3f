//! Decompression in chunks.
//!
//! A chunk is what the codec yields at once: the whole input when there is no codec, a block of snappy or lz4, 64 KiB
//! of gzip or zstd. Only the current chunk is held, so a body is checked in bounded memory however large it grows.

use std::io::Read;

use super::lz4::Lz4Blocks;
use super::snappy::SnappyBlocks;
use super::zstd::ZstdReader;
use super::{Compression, CompressionError};

/// Output of gzip and zstd per chunk.
pub(super) const CHUNK: usize = 64 * 1024;

/// A bounded reader over compressed bytes.
pub struct Decompressor<'a> {
    inner: Inner<'a>,
    /// Read position in the current chunk.
    at: usize,
    /// Bytes of all chunks so far.
    produced: usize,
    limit: usize,
}

enum Inner<'a> {
    Plain { bytes: &'a [u8], started: bool },
    Gzip(Box<Streamed<flate2::bufread::MultiGzDecoder<&'a [u8]>>>),
    Snappy(SnappyBlocks<'a>),
    Lz4(Lz4Blocks<'a>),
    Zstd(ZstdReader<'a>),
}

/// A codec that is a reader, with the buffer it reads into.
pub(super) struct Streamed<R> {
    reader: R,
    buffer: Vec<u8>,
    filled: usize,
}

impl<R: Read> Streamed<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: vec![0; CHUNK], filled: 0 }
    }

    pub(super) fn advance(&mut self, codec: &'static str) -> Result<usize, CompressionError> {
        self.filled = 0;
        while let Some(space) = self.buffer.get_mut(self.filled..).filter(|space| !space.is_empty()) {
            match self.reader.read(space) {
                Ok(0) => break,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Err(CompressionError::Truncated { codec });
                }
                Err(error) => return Err(CompressionError::Codec(format!("{codec}: {error}"))),
            }
        }
        Ok(self.filled)
    }

    pub(super) fn chunk(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }
}

impl<'a> Decompressor<'a> {
    /// Starts reading `input`, to yield at most `limit` bytes.
    ///
    /// # Errors
    /// What is wrong with the codec's own header.
    pub fn new(codec: Compression, input: &'a [u8], limit: usize) -> Result<Self, CompressionError> {
        let inner = match codec {
            Compression::None => Inner::Plain { bytes: input, started: false },
            Compression::Gzip => {
                Inner::Gzip(Box::new(Streamed::new(flate2::bufread::MultiGzDecoder::new(input))))
            }
            Compression::Snappy => Inner::Snappy(SnappyBlocks::new(input)),
            Compression::Lz4 => Inner::Lz4(Lz4Blocks::new(input)?),
            Compression::Zstd => Inner::Zstd(ZstdReader::new(input, limit)?),
        };
        Ok(Self { inner, at: 0, produced: 0, limit })
    }

    /// What has been decompressed and not yet consumed, decompressing more if that is nothing; empty at the end.
    ///
    /// # Errors
    /// [`CompressionError::TooLarge`] when the output passes the limit, else what is wrong with the input.
    #[inline]
    pub fn fill(&mut self) -> Result<&[u8], CompressionError> {
        if self.at >= self.chunk().len() {
            self.advance()?;
        }
        Ok(self.chunk().get(self.at..).unwrap_or_default())
    }

    /// Marks `count` bytes of what [`Self::fill`] gave as read.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    fn chunk(&self) -> &[u8] {
        match &self.inner {
            Inner::Plain { started: false, .. } => &[],
            Inner::Plain { bytes, started: true } => bytes,
            Inner::Gzip(streamed) => streamed.chunk(),
            Inner::Snappy(blocks) => blocks.chunk(),
            Inner::Lz4(blocks) => blocks.chunk(),
            Inner::Zstd(reader) => reader.chunk(),
        }
    }

    #[cold]
    fn advance(&mut self) -> Result<(), CompressionError> {
        let room = self.limit.saturating_sub(self.produced);
        self.at = 0;
        let grown = match &mut self.inner {
            Inner::Plain { bytes, started } => {
                let grown = if *started { 0 } else { bytes.len() };
                if *started {
                    *bytes = &[];
                }
                *started = true;
                grown
            }
            Inner::Gzip(streamed) => streamed.advance("gzip")?,
            Inner::Snappy(blocks) => blocks.advance(room, self.limit)?,
            Inner::Lz4(blocks) => blocks.advance(room, self.limit)?,
            Inner::Zstd(reader) => reader.advance()?,
        };
        if grown > room {
            return Err(CompressionError::TooLarge { limit: self.limit });
        }
        self.produced += grown;
        Ok(())
    }
}

impl Read for Decompressor<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let chunk = self.fill().map_err(std::io::Error::other)?;
        let taken = chunk.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..taken), chunk.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.consume(taken);
        Ok(taken)
    }
}

impl std::fmt::Debug for Decompressor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor").field("produced", &self.produced).field("limit", &self.limit).finish()
    }
}
