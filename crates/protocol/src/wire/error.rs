//! Why bytes are not a message, or a message can not be bytes.

use std::fmt;

use thiserror::Error;

/// What was wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end before the value does.
    #[error("{needed} bytes needed, {remaining} left")]
    Truncated {
        /// Bytes that the value takes.
        needed: usize,
        /// Bytes that remain.
        remaining: usize,
    },
    /// An array claims more elements than the bytes that remain could hold.
    #[error("{claimed} elements claimed, at most {possible} fit the bytes left")]
    CountTooLarge {
        /// The claimed number of elements.
        claimed: usize,
        /// How many could stand in what remains.
        possible: usize,
    },
    /// Null where the field, or this version of it, can not be null.
    #[error("null in a field that can not be null")]
    UnexpectedNull,
    /// A string longer than Kafka's 32,767 bytes.
    #[error("string of {0} bytes, at most 32767 are allowed")]
    StringTooLong(usize),
    /// A variable-length integer that does not end, or does not fit.
    #[error("variable-length integer out of range")]
    VarintOutOfRange,
    /// The message has no such version.
    #[error("version {version} is not within {min} to {max}")]
    UnsupportedVersion {
        /// The version asked for.
        version: i16,
        /// The oldest there is.
        min: i16,
        /// The newest there is.
        max: i16,
    },
    /// A tagged field that this version does not have.
    #[error("tagged field is not valid in version {0}")]
    TagNotInVersion(i16),
    /// A tagged field whose value ends before its declared size does.
    #[error("{0} bytes left over in a tagged field")]
    TagSizeMismatch(usize),
    /// Decoding would take more memory than the reader was given.
    #[error("decoded form exceeds the memory limit of {limit} bytes")]
    MemoryLimit {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// What can not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// A field that the version lacks has a value other than its default, and the schema forbids to drop it.
    #[error("set, but version {0} does not have it")]
    NotInVersion(i16),
    /// Null where the version does not allow it.
    #[error("null in a field that can not be null in this version")]
    UnexpectedNull,
    /// A length that does not fit its prefix.
    #[error("length {0} does not fit")]
    TooLong(usize),
    /// The message has no such version.
    #[error("version {version} is not within {min} to {max}")]
    UnsupportedVersion {
        /// The version asked for.
        version: i16,
        /// The oldest there is.
        min: i16,
        /// The newest there is.
        max: i16,
    },
    /// Unknown tagged fields in a version without tagged fields.
    #[error("version {0} has no tagged fields")]
    TagsNotSupported(i16),
    /// An unknown tagged field uses the tag of a known one.
    #[error("tag {0} is that of a known field")]
    TagTaken(u32),
}

/// One step of the way to a field, innermost first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    field: &'static str,
    index: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner<K> {
    kind: K,
    offset: usize,
    message: &'static str,
    /// Innermost first; the depth is that of the schema's structs.
    path: Vec<Step>,
}

impl<K> Inner<K> {
    fn path_text(&self) -> String {
        let mut text = String::from(self.message);
        for step in self.path.iter().rev() {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(step.field);
            if let Some(index) = step.index {
                text.push_str(&format!("[{index}]"));
            }
        }
        text
    }
}

/// Bytes that are not the message they claim to be, with the field's path and the offset in the frame.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError(Box<Inner<DecodeErrorKind>>);

impl DecodeError {
    /// An error in `field` (may be empty) at byte `offset`.
    #[must_use]
    #[cold]
    pub fn new(kind: DecodeErrorKind, offset: usize, field: &'static str) -> Self {
        let path = if field.is_empty() { Vec::new() } else { vec![Step { field, index: None }] };
        Self(Box::new(Inner { kind, offset, message: "", path }))
    }

    /// What was wrong.
    #[must_use]
    pub fn kind(&self) -> DecodeErrorKind {
        self.0.kind
    }

    /// Where, in bytes from the start of the reader's buffer.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// The field's path, as `ProduceRequest.topic_data[2].partition_data[0].records`.
    #[must_use]
    pub fn path(&self) -> String {
        self.0.path_text()
    }

    /// The same error, seen from the struct around it.
    #[must_use]
    #[cold]
    pub fn inside(mut self, field: &'static str, index: Option<usize>) -> Self {
        self.0.path.push(Step { field, index });
        self
    }

    /// The same error, with the name of the message.
    #[must_use]
    #[cold]
    pub fn of(mut self, message: &'static str) -> Self {
        self.0.message = message;
        self
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecodeError({self})")
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (at byte {})", self.path(), self.0.kind, self.0.offset)
    }
}

impl std::error::Error for DecodeError {}

/// A message that a version can not carry, with the field's path.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodeError(Box<Inner<EncodeErrorKind>>);

impl EncodeError {
    /// An error in `field` (may be empty).
    #[must_use]
    #[cold]
    pub fn new(kind: EncodeErrorKind, field: &'static str) -> Self {
        let path = if field.is_empty() { Vec::new() } else { vec![Step { field, index: None }] };
        Self(Box::new(Inner { kind, offset: 0, message: "", path }))
    }

    /// `field` is set, and `version` lacks it.
    #[must_use]
    #[cold]
    pub fn not_in_version(field: &'static str, version: i16) -> Self {
        Self::new(EncodeErrorKind::NotInVersion(version), field)
    }

    /// What can not be written.
    #[must_use]
    pub fn kind(&self) -> EncodeErrorKind {
        self.0.kind
    }

    /// The field's path, as `FetchRequest.topics[0].partitions[1].last_fetched_epoch`.
    #[must_use]
    pub fn path(&self) -> String {
        self.0.path_text()
    }

    /// The same error, seen from the struct around it.
    #[must_use]
    #[cold]
    pub fn inside(mut self, field: &'static str, index: Option<usize>) -> Self {
        self.0.path.push(Step { field, index });
        self
    }

    /// The same error, with the name of the message.
    #[must_use]
    #[cold]
    pub fn of(mut self, message: &'static str) -> Self {
        self.0.message = message;
        self
    }
}

impl fmt::Debug for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodeError({self})")
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.0.kind)
    }
}

impl std::error::Error for EncodeError {}
