//! How the fields of a record become bytes: one version byte, then fields of tag, length and payload.
//!
//! A tag is never used for another meaning. A reader skips tags that it does not know, so an older release can read
//! what a newer one of the same version wrote; a version byte above its own it refuses. Integers are big-endian and
//! as wide as their type; lengths are LEB128.

use bytes::{BufMut, Bytes, BytesMut};

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The value ends inside a field, or is empty.
    #[error("the bytes end early")]
    Short,
    /// The version byte is one that this release does not read.
    #[error("version {0} is not known to this release")]
    Version(u8),
    /// A field's payload has the wrong length or an impossible value.
    #[error("field {0} is malformed")]
    Malformed(u8),
    /// A field that every record of this kind has is not there.
    #[error("field {0} is missing")]
    Missing(u8),
}

/// A value in the metadata store does not decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {kind} record does not decode: {fault}")]
pub struct RecordError {
    /// The record kind.
    pub kind: &'static str,
    /// What is wrong.
    pub fault: Fault,
}

/// A record kind kept in the metadata store.
pub trait Record: Sized {
    /// The name of the kind, for errors.
    const KIND: &'static str;
    /// The version written; all versions from 1 on are read.
    const VERSION: u8 = 1;

    /// Writes the fields.
    fn write(&self, out: &mut FieldWriter);

    /// Reads the fields that a record of `version` has.
    ///
    /// # Errors
    /// When a field is malformed or missing.
    fn read(version: u8, fields: Fields<'_>) -> Result<Self, Fault>;

    /// The value's bytes.
    fn encode(&self) -> Bytes {
        let mut out = FieldWriter { buf: BytesMut::with_capacity(96) };
        out.buf.put_u8(Self::VERSION);
        self.write(&mut out);
        out.buf.freeze()
    }

    /// Reads a value.
    ///
    /// # Errors
    /// When the bytes are not a record of this kind, or of a version this release does not know.
    fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let read = || {
            let (version, rest) = bytes.split_first().ok_or(Fault::Short)?;
            if *version == 0 || *version > Self::VERSION {
                return Err(Fault::Version(*version));
            }
            Self::read(*version, Fields { rest })
        };
        read().map_err(|fault| RecordError { kind: Self::KIND, fault })
    }
}

/// Collects fields.
#[derive(Debug)]
pub struct FieldWriter {
    buf: BytesMut,
}

impl FieldWriter {
    /// Writes a field of bytes.
    pub fn bytes(&mut self, tag: u8, payload: &[u8]) {
        self.buf.put_u8(tag);
        let mut length = payload.len();
        while length >= 0x80 {
            self.buf.put_u8((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        self.buf.put_u8(length as u8);
        self.buf.put_slice(payload);
    }

    /// Writes a text.
    pub fn text(&mut self, tag: u8, text: &str) {
        self.bytes(tag, text.as_bytes());
    }

    /// Writes one byte.
    pub fn u8(&mut self, tag: u8, value: u8) {
        self.bytes(tag, &[value]);
    }

    /// Writes a 16-bit number.
    pub fn i16(&mut self, tag: u8, value: i16) {
        self.bytes(tag, &value.to_be_bytes());
    }

    /// Writes a 32-bit number.
    pub fn i32(&mut self, tag: u8, value: i32) {
        self.bytes(tag, &value.to_be_bytes());
    }

    /// Writes a 32-bit number.
    pub fn u32(&mut self, tag: u8, value: u32) {
        self.bytes(tag, &value.to_be_bytes());
    }

    /// Writes a 64-bit number.
    pub fn i64(&mut self, tag: u8, value: i64) {
        self.bytes(tag, &value.to_be_bytes());
    }

    /// Writes a 64-bit number.
    pub fn u64(&mut self, tag: u8, value: u64) {
        self.bytes(tag, &value.to_be_bytes());
    }
}

/// The fields of a record, in the order they were written.
#[derive(Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The next field.
    ///
    /// # Errors
    /// When the bytes end inside it.
    pub fn next_field(&mut self) -> Result<Option<Field<'a>>, Fault> {
        let Some((tag, mut rest)) = self.rest.split_first() else { return Ok(None) };
        let mut length = 0usize;
        for shift in [0, 7, 14, 21, 28] {
            let (byte, after) = rest.split_first().ok_or(Fault::Short)?;
            rest = after;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let payload = rest.get(..length).ok_or(Fault::Short)?;
                self.rest = rest.get(length..).unwrap_or_default();
                return Ok(Some(Field { tag: *tag, payload }));
            }
        }
        Err(Fault::Malformed(*tag))
    }
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// Which.
    pub tag: u8,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl<'a> Field<'a> {
    /// The payload as exactly `N` bytes.
    ///
    /// # Errors
    /// When it has another length.
    pub fn array<const N: usize>(self) -> Result<[u8; N], Fault> {
        self.payload.try_into().map_err(|_| Fault::Malformed(self.tag))
    }

    /// The payload as text.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn text(self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.payload).map_err(|_| Fault::Malformed(self.tag))
    }

    /// The payload as one byte.
    ///
    /// # Errors
    /// When it has another length.
    pub fn u8(self) -> Result<u8, Fault> {
        self.array().map(u8::from_be_bytes)
    }

    /// The payload as a 16-bit number.
    ///
    /// # Errors
    /// When it has another length.
    pub fn i16(self) -> Result<i16, Fault> {
        self.array().map(i16::from_be_bytes)
    }

    /// The payload as a 32-bit number.
    ///
    /// # Errors
    /// When it has another length.
    pub fn i32(self) -> Result<i32, Fault> {
        self.array().map(i32::from_be_bytes)
    }

    /// The payload as a 32-bit number.
    ///
    /// # Errors
    /// When it has another length.
    pub fn u32(self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    /// The payload as a 64-bit number.
    ///
    /// # Errors
    /// When it has another length.
    pub fn i64(self) -> Result<i64, Fault> {
        self.array().map(i64::from_be_bytes)
    }

    /// The payload as a 64-bit number.
    ///
    /// # Errors
    /// When it has another length.
    pub fn u64(self) -> Result<u64, Fault> {
        self.array().map(u64::from_be_bytes)
    }

    /// The fault of a payload whose value can not be.
    #[must_use]
    pub fn malformed(self) -> Fault {
        Fault::Malformed(self.tag)
    }
}

/// Splits `N` bytes off the front, for payloads of a fixed layout.
pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Sample(u32);

    impl Record for Sample {
        const KIND: &'static str = "sample";
        const VERSION: u8 = 2;

        fn write(&self, out: &mut FieldWriter) {
            out.bytes(9, &[7; 200]);
            out.u32(1, self.0);
        }

        fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
            let mut number = None;
            while let Some(field) = fields.next_field()? {
                if field.tag == 1 {
                    number = Some(field.u32()?);
                }
            }
            number.map(Self).ok_or(Fault::Missing(1))
        }
    }

    #[test]
    fn unknown_tags_are_skipped_and_unknown_versions_refused() {
        let bytes = Sample(5).encode();
        assert_eq!(Sample::decode(&bytes), Ok(Sample(5)));
        for version in [0, 3] {
            let mut other = bytes.to_vec();
            other[0] = version;
            assert_eq!(Sample::decode(&other).unwrap_err().fault, Fault::Version(version));
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = Sample(5).encode();
        for length in 0..bytes.len() {
            assert!(Sample::decode(&bytes[..length]).is_err(), "length {length}");
        }
    }
}
