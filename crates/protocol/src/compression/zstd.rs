//! Zstandard with bounded memory.
//!
//! A decoder that streams needs the frame's window, which a frame may declare as large as 128 MiB (Java's level 22
//! does, even around few bytes). Frames with windows up to 8 MiB (all levels up to 19) are streamed; those with larger
//! ones are decoded at once into a buffer no larger than the caller's limit, which needs no window.

use std::cell::Cell;

use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

use super::CompressionError;
use super::reader::CHUNK;

const CODEC: &str = "zstd";
/// Largest window that is streamed: 2^23 bytes.
const WINDOW_LOG: u32 = 23;
/// Largest window whose decoder is kept for the next batch of the thread: 2 MiB, what level 3 declares.
const SPARE_WINDOW: u64 = 2 << 20;

thread_local! {
    /// A decoder that is done: making one costs as much as decoding a small batch.
    static SPARE: Cell<Option<Spare>> = const { Cell::new(None) };
}

struct Spare {
    context: DCtx<'static>,
    buffer: Vec<u8>,
}

pub(super) enum ZstdReader<'a> {
    Stream(ZstdStream<'a>),
    Whole { bytes: Vec<u8>, given: bool },
}

/// A decoder at work.
pub(super) struct ZstdStream<'a> {
    /// There until it is dropped.
    decoder: Option<Spare>,
    reusable: bool,
    input: InBuffer<'a>,
    input_len: usize,
    filled: usize,
    /// Whether the last frame is whole.
    whole: bool,
}

impl Drop for ZstdStream<'_> {
    fn drop(&mut self) {
        if self.reusable {
            SPARE.set(self.decoder.take());
        }
    }
}

impl<'a> ZstdStream<'a> {
    fn new(input: &'a [u8], reusable: bool) -> Result<Self, CompressionError> {
        let mut decoder = match SPARE.take() {
            Some(spare) => spare,
            None => Spare {
                context: DCtx::try_create().ok_or_else(|| CompressionError::codec("zstd: no memory"))?,
                buffer: vec![0; CHUNK],
            },
        };
        decoder.context.reset(ResetDirective::SessionOnly).map_err(fault)?;
        decoder.context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(fault)?;
        let input_len = input.len();
        let input = InBuffer::around(input);
        Ok(Self { decoder: Some(decoder), reusable, input, input_len, filled: 0, whole: false })
    }

    fn chunk(&self) -> &[u8] {
        self.decoder.as_ref().and_then(|decoder| decoder.buffer.get(..self.filled)).unwrap_or_default()
    }

    /// Decodes until the buffer is full or the input is at its end.
    fn advance(&mut self) -> Result<usize, CompressionError> {
        self.filled = 0;
        let Some(Spare { context, buffer }) = &mut self.decoder else { return Ok(0) };
        while self.filled < buffer.len() {
            let (read, made) = (self.input.pos(), self.filled);
            if self.whole && read == self.input_len {
                break;
            }
            let mut output = OutBuffer::around_pos(buffer.as_mut_slice(), made);
            let hint = context.decompress_stream(&mut output, &mut self.input).map_err(fault)?;
            self.filled = output.pos();
            self.whole = hint == 0;
            if !self.whole && self.filled == made && self.input.pos() == read {
                return Err(CompressionError::Truncated { codec: CODEC });
            }
        }
        Ok(self.filled)
    }
}

fn fault(code: usize) -> CompressionError {
    CompressionError::Codec(format!("zstd: {}", get_error_name(code)))
}

impl<'a> ZstdReader<'a> {
    pub(super) fn new(input: &'a [u8], limit: usize) -> Result<Self, CompressionError> {
        if input.is_empty() {
            return Err(CompressionError::Truncated { codec: CODEC });
        }
        let window = window_of(input);
        if window.is_some_and(|window| window > 1 << WINDOW_LOG) {
            return whole(input, limit);
        }
        let reusable = window.is_some_and(|window| window <= SPARE_WINDOW);
        ZstdStream::new(input, reusable).map(Self::Stream)
    }

    pub(super) fn chunk(&self) -> &[u8] {
        match self {
            Self::Stream(stream) => stream.chunk(),
            Self::Whole { given: false, .. } => &[],
            Self::Whole { bytes, given: true } => bytes,
        }
    }

    pub(super) fn advance(&mut self) -> Result<usize, CompressionError> {
        match self {
            Self::Stream(stream) => stream.advance(),
            Self::Whole { bytes, given } => {
                if *given {
                    *bytes = Vec::new();
                }
                *given = true;
                Ok(bytes.len())
            }
        }
    }
}

/// Decodes at once. The buffer holds what the frame declares, or grows to the limit where it declares nothing.
fn whole(input: &[u8], limit: usize) -> Result<ZstdReader<'_>, CompressionError> {
    let declared = zstd::zstd_safe::get_frame_content_size(input).ok().flatten();
    let declared = declared.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    if declared.is_some_and(|size| size > limit) {
        return Err(CompressionError::TooLarge { limit });
    }
    // A second frame may follow the first, so the declared size is no more than a first guess.
    let mut capacity = declared.unwrap_or_else(|| input.len().saturating_mul(8)).clamp(1024, limit.max(1024));
    loop {
        match zstd::bulk::decompress(input, capacity) {
            Ok(bytes) if bytes.len() > limit => return Err(CompressionError::TooLarge { limit }),
            Ok(bytes) => return Ok(ZstdReader::Whole { bytes, given: false }),
            // The library tells "no room" from other faults only by its text.
            Err(error) if error.to_string().contains("too small") => {
                if capacity >= limit {
                    return Err(CompressionError::TooLarge { limit });
                }
                capacity = capacity.saturating_mul(4).min(limit);
            }
            Err(error) => return Err(CompressionError::codec(error)),
        }
    }
}

/// The window in bytes that the first frame asks for (RFC 8878, 3.1.1.1), `None` when it is not a plain frame.
fn window_of(input: &[u8]) -> Option<u64> {
    let rest = input.strip_prefix(&0xfd2f_b528u32.to_le_bytes())?;
    let (&descriptor, rest) = rest.split_first()?;
    if descriptor & 0x20 != 0 {
        // A single segment: the window is the content.
        return zstd::zstd_safe::get_frame_content_size(input).ok().flatten();
    }
    let window = *rest.first()?;
    let base = 1u64 << (10 + u32::from(window >> 3));
    Some(base + base / 8 * u64::from(window & 7))
}

/// Compresses `plain` at `level`, 3 unless told.
pub(super) fn compress(plain: &[u8], level: Option<i32>) -> Result<Vec<u8>, CompressionError> {
    zstd::bulk::compress(plain, level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL))
        .map_err(CompressionError::codec)
}
