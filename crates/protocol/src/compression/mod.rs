//! The four codecs of record batches, with every output bounded.
//!
//! - [`reader`]: decompression in chunks, for walking records without keeping the output.
//! - [`snappy`]: the xerial framing that Kafka's Java clients write, and raw snappy, which they also read.
//! - [`lz4`]: the LZ4 frame format as Kafka uses it.
//! - [`zstd`], and gzip through its library.

mod error;
pub mod lz4;
pub mod reader;
pub mod snappy;
mod xxh32;
pub mod zstd;

pub use error::CompressionError;
pub use reader::Decompressor;

use std::io::Write as _;

/// Who compresses a batch's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// Nobody.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy in the xerial framing.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard (KIP-110).
    Zstd,
}

impl Compression {
    /// Every codec.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec of an id in batch attributes, `None` when there is no such codec.
    pub const fn from_id(id: i16) -> Option<Self> {
        match id {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its id in batch attributes.
    pub const fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Its name in `compression.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of a `compression.type`; `uncompressed` is the topic configuration's word for none, and `producer`
    /// is not a codec.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "uncompressed" {
            return Some(Self::None);
        }
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Compresses `plain`. `level` is the codec's own (KIP-390): gzip 1 to 9, zstd -131072 to 22; snappy and lz4
    /// have one level here.
    ///
    /// # Errors
    /// [`CompressionError::Codec`] when the codec fails, which none does on valid levels.
    pub fn compress(self, plain: &[u8], level: Option<i32>) -> Result<Vec<u8>, CompressionError> {
        match self {
            Self::None => Ok(plain.to_vec()),
            Self::Gzip => {
                let level = level
                    .and_then(|level| u32::try_from(level).ok())
                    .map_or_else(flate2::Compression::default, |level| {
                        flate2::Compression::new(level.min(9))
                    });
                let out = Vec::with_capacity(plain.len() / 2 + 32);
                let mut encoder = flate2::write::GzEncoder::new(out, level);
                encoder.write_all(plain).map_err(CompressionError::codec)?;
                encoder.finish().map_err(CompressionError::codec)
            }
            Self::Snappy => snappy::compress(plain),
            Self::Lz4 => lz4::compress(plain),
            Self::Zstd => zstd::compress(plain, level),
        }
    }

    /// Decompresses all of `input`, at most `limit` bytes of output.
    ///
    /// # Errors
    /// [`CompressionError::TooLarge`] beyond the limit, else what is wrong with the input.
    pub fn decompress(self, input: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        let mut reader = Decompressor::new(self, input, limit)?;
        let mut out = Vec::new();
        loop {
            let chunk = reader.fill()?;
            if chunk.is_empty() {
                return Ok(out);
            }
            out.extend_from_slice(chunk);
            let taken = chunk.len();
            reader.consume(taken);
        }
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
