//! Reading a frame: every length is checked against what remains before anything is taken or reserved.

mod lists;
mod values;

use bytes::Bytes;

use super::{DecodeError, DecodeErrorKind};

/// A position in a frame.
///
/// Every method takes the name of the field it reads for, which only an error looks at.
#[derive(Debug, Clone)]
pub struct Reader {
    buf: Bytes,
    pos: usize,
    /// Reading stops here: the end of the frame, or of the tagged field being read.
    end: usize,
    memory_left: usize,
    memory_limit: usize,
}

/// An open tagged field; hand it back to [`Reader::end_tag`].
#[derive(Debug)]
#[must_use]
pub struct TagScope {
    /// The field's number.
    pub tag: u32,
    outer_end: usize,
}

impl Reader {
    /// A reader at the start of `buf`.
    #[must_use]
    pub fn new(buf: Bytes) -> Self {
        let end = buf.len();
        Self { buf, pos: 0, end, memory_left: usize::MAX, memory_limit: usize::MAX }
    }

    /// Bounds what decoding may allocate for arrays and strings, in bytes.
    ///
    /// Without it a frame may still grow by the ratio between an element's size in memory and its smallest form on
    /// the wire (measured: up to 24 times, and 72 for unknown tagged fields).
    #[must_use]
    pub fn with_memory_limit(mut self, bytes: usize) -> Self {
        self.memory_left = bytes;
        self.memory_limit = bytes;
        self
    }

    /// Bytes read so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.pos
    }

    /// Bytes left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.end - self.pos
    }

    /// Takes all that is left, sharing the buffer.
    pub fn take_rest(&mut self) -> Bytes {
        let rest = self.buf.slice(self.pos..self.end);
        self.pos = self.end;
        rest
    }

    /// An error at this position.
    #[must_use]
    #[cold]
    pub fn error(&self, kind: DecodeErrorKind, field: &'static str) -> DecodeError {
        DecodeError::new(kind, self.pos, field)
    }

    /// Refuses versions that a message does not have.
    ///
    /// # Errors
    /// `version` is outside `min..=max`.
    pub fn check_version(&self, version: i16, min: i16, max: i16) -> Result<(), DecodeError> {
        if version < min || version > max {
            return Err(self.error(DecodeErrorKind::UnsupportedVersion { version, min, max }, ""));
        }
        Ok(())
    }

    /// The next `count` bytes.
    fn take(&mut self, field: &'static str, count: usize) -> Result<&[u8], DecodeError> {
        let from = self.advance(field, count)?;
        Ok(self.buf.get(from..self.pos).unwrap_or_default())
    }

    /// The next `count` bytes, sharing the buffer.
    fn share(&mut self, field: &'static str, count: usize) -> Result<Bytes, DecodeError> {
        let from = self.advance(field, count)?;
        Ok(self.buf.slice(from..self.pos))
    }

    /// Steps over `count` bytes and answers where they begin.
    fn advance(&mut self, field: &'static str, count: usize) -> Result<usize, DecodeError> {
        let remaining = self.remaining();
        if count > remaining {
            return Err(self.error(DecodeErrorKind::Truncated { needed: count, remaining }, field));
        }
        let from = self.pos;
        self.pos += count;
        Ok(from)
    }

    fn take_array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let chunk = self.buf.get(self.pos..self.end).and_then(|rest| rest.first_chunk::<N>()).copied();
        let Some(chunk) = chunk else {
            let kind = DecodeErrorKind::Truncated { needed: N, remaining: self.remaining() };
            return Err(self.error(kind, field));
        };
        self.pos += N;
        Ok(chunk)
    }

    fn charge(&mut self, field: &'static str, bytes: usize) -> Result<(), DecodeError> {
        match self.memory_left.checked_sub(bytes) {
            Some(left) => {
                self.memory_left = left;
                Ok(())
            }
            None => Err(self.error(DecodeErrorKind::MemoryLimit { limit: self.memory_limit }, field)),
        }
    }

    /// How many tagged fields follow.
    ///
    /// # Errors
    /// The count is not a varint, or more than could follow.
    pub fn tag_count(&mut self) -> Result<usize, DecodeError> {
        let count = self.unsigned_varint("tagged fields")? as usize;
        // A tagged field is at least its tag and its size.
        let possible = self.remaining() / 2;
        if count > possible {
            return Err(
                self.error(DecodeErrorKind::CountTooLarge { claimed: count, possible }, "tagged fields")
            );
        }
        Ok(count)
    }

    /// Opens the next tagged field: until [`Reader::end_tag`] nothing beyond it can be read.
    ///
    /// # Errors
    /// Its head is cut short or its size is more than what remains.
    pub fn begin_tag(&mut self) -> Result<TagScope, DecodeError> {
        let tag = self.unsigned_varint("tag")?;
        let size = self.unsigned_varint("tag size")? as usize;
        let remaining = self.remaining();
        if size > remaining {
            return Err(self.error(DecodeErrorKind::Truncated { needed: size, remaining }, "tagged field"));
        }
        let outer_end = self.end;
        self.end = self.pos + size;
        Ok(TagScope { tag, outer_end })
    }

    /// Refuses a known tagged field in a version that does not have it, as Kafka does.
    ///
    /// # Errors
    /// `valid` is false.
    pub fn check_tag(&self, field: &'static str, version: i16, valid: bool) -> Result<(), DecodeError> {
        if valid { Ok(()) } else { Err(self.error(DecodeErrorKind::TagNotInVersion(version), field)) }
    }

    /// Closes a tagged field.
    ///
    /// # Errors
    /// Its value was shorter than its declared size.
    pub fn end_tag(&mut self, scope: TagScope) -> Result<(), DecodeError> {
        let left = self.remaining();
        if left > 0 {
            return Err(self.error(DecodeErrorKind::TagSizeMismatch(left), "tagged field"));
        }
        self.end = scope.outer_end;
        Ok(())
    }
}
