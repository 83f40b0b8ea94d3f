//! Writing messages: one buffer, with `records` kept aside by reference.

mod lists;

use bytes::Bytes;

use super::{
    EncodeError, EncodeErrorKind, KString, Records, Uuid, put_unsigned_varint, put_varint, put_varlong,
};

/// Pieces of records shorter than this are copied: a segment of its own costs more than the copy.
const MIN_SEGMENT: usize = 512;

/// The buffer that messages are written into.
///
/// Large pieces of `records` are not copied; [`Writer::into_segments`] gives the buffer's parts and the pieces in
/// order, ready for a vectored write.
#[derive(Debug, Default)]
pub struct Writer {
    buf: Vec<u8>,
    /// Pieces that belong between the bytes of `buf`, each with the position it stands before, ascending.
    cuts: Vec<(usize, Bytes)>,
    cut_bytes: usize,
    framed: bool,
}

/// Where an open tagged field's value begins; hand it back to [`Writer::end_tag`].
#[derive(Debug)]
#[must_use]
pub struct TagStart(usize);

macro_rules! fixed_width {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, value: $type) {
            self.buf.extend_from_slice(&value.to_be_bytes());
        }
    )*};
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `bytes`.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { buf: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// A writer of one frame: four bytes are kept free for the size that [`Writer::into_segments`] fills in.
    #[must_use]
    pub fn framed() -> Self {
        let mut writer = Self::with_capacity(128);
        writer.buf.extend_from_slice(&[0; 4]);
        writer.framed = true;
        writer
    }

    /// Bytes written, those kept aside and the frame's size included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buf.len() + self.cut_bytes
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses versions that a message does not have.
    ///
    /// # Errors
    /// `version` is outside `min..=max`.
    pub fn check_version(&self, version: i16, min: i16, max: i16) -> Result<(), EncodeError> {
        if version < min || version > max {
            return Err(EncodeError::new(EncodeErrorKind::UnsupportedVersion { version, min, max }, ""));
        }
        Ok(())
    }

    /// What was written, in order; records stand in segments of their own.
    ///
    /// # Errors
    /// A frame is larger than its 32-bit size can say.
    pub fn into_segments(mut self) -> Result<Vec<Bytes>, EncodeError> {
        self.fill_in_size()?;
        let whole = Bytes::from(self.buf);
        let mut segments = Vec::with_capacity(2 * self.cuts.len() + 1);
        let mut from = 0;
        for (at, piece) in self.cuts {
            if at > from {
                segments.push(whole.slice(from..at));
                from = at;
            }
            segments.push(piece);
        }
        if from < whole.len() {
            segments.push(whole.slice(from..));
        }
        Ok(segments)
    }

    /// What was written in one piece; copies only when records were kept aside.
    ///
    /// # Errors
    /// As [`Writer::into_segments`].
    pub fn into_bytes(mut self) -> Result<Bytes, EncodeError> {
        if self.cuts.is_empty() {
            self.fill_in_size()?;
            return Ok(Bytes::from(self.buf));
        }
        let mut joined = Vec::with_capacity(self.len());
        for segment in self.into_segments()? {
            joined.extend_from_slice(&segment);
        }
        Ok(Bytes::from(joined))
    }

    fn fill_in_size(&mut self) -> Result<(), EncodeError> {
        if !self.framed {
            return Ok(());
        }
        let size = self.len().saturating_sub(4);
        let prefix =
            i32::try_from(size).map_err(|_| EncodeError::new(EncodeErrorKind::TooLong(size), "frame"))?;
        if let Some(head) = self.buf.first_chunk_mut::<4>() {
            *head = prefix.to_be_bytes();
        }
        Ok(())
    }

    fixed_width! {
        /// Writes an `int8`.
        i8: i8;
        /// Writes an `int16`.
        i16: i16;
        /// Writes an `int32`.
        i32: i32;
        /// Writes an `int64`.
        i64: i64;
        /// Writes a `uint16`.
        u16: u16;
        /// Writes a `uint32`.
        u32: u32;
        /// Writes a `float64`.
        f64: f64;
    }

    /// Writes a `bool`.
    pub fn bool(&mut self, value: bool) {
        self.buf.push(u8::from(value));
    }

    /// Writes a `uuid`.
    pub fn uuid(&mut self, value: Uuid) {
        self.buf.extend_from_slice(value.as_bytes());
    }

    /// Writes an unsigned varint.
    pub fn unsigned_varint(&mut self, value: u32) {
        put_unsigned_varint(&mut self.buf, value);
    }

    /// Writes a zigzag varint.
    pub fn varint(&mut self, value: i32) {
        put_varint(&mut self.buf, value);
    }

    /// Writes a zigzag varlong.
    pub fn varlong(&mut self, value: i64) {
        put_varlong(&mut self.buf, value);
    }

    /// Writes bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    fn length(&mut self, field: &'static str, flex: bool, length: usize) -> Result<(), EncodeError> {
        // A compact length is one more, and Kafka reads it as a signed number.
        let Some(length) = i32::try_from(length).ok().filter(|length| *length < i32::MAX) else {
            return Err(EncodeError::new(EncodeErrorKind::TooLong(length), field));
        };
        if flex {
            self.unsigned_varint(length as u32 + 1)
        } else {
            self.i32(length)
        }
        Ok(())
    }

    fn null(&mut self, field: &'static str, flex: bool, nullable: bool) -> Result<(), EncodeError> {
        if !nullable {
            return Err(EncodeError::new(EncodeErrorKind::UnexpectedNull, field));
        }
        if flex {
            self.unsigned_varint(0)
        } else {
            self.i32(-1)
        }
        Ok(())
    }

    /// Writes a `string`.
    ///
    /// # Errors
    /// It is longer than 32,767 bytes.
    pub fn string(&mut self, field: &'static str, flex: bool, value: &str) -> Result<(), EncodeError> {
        let Ok(length) = i16::try_from(value.len()) else {
            return Err(EncodeError::new(EncodeErrorKind::TooLong(value.len()), field));
        };
        if flex {
            self.unsigned_varint(length as u32 + 1)
        } else {
            self.i16(length)
        }
        self.raw(value.as_bytes());
        Ok(())
    }

    /// Writes a `string` that may be null when `nullable`.
    ///
    /// # Errors
    /// As [`Writer::string`], or it is null and may not be.
    pub fn opt_string(
        &mut self,
        field: &'static str,
        flex: bool,
        nullable: bool,
        value: Option<&KString>,
    ) -> Result<(), EncodeError> {
        match value {
            Some(text) => self.string(field, flex, text),
            None if nullable && !flex => {
                self.i16(-1);
                Ok(())
            }
            None => self.null(field, flex, nullable),
        }
    }

    /// Writes `bytes`.
    ///
    /// # Errors
    /// They are 2^31 - 1 or more.
    pub fn bytes(&mut self, field: &'static str, flex: bool, value: &[u8]) -> Result<(), EncodeError> {
        self.length(field, flex, value.len())?;
        self.raw(value);
        Ok(())
    }

    /// Writes `bytes` that may be null when `nullable`.
    ///
    /// # Errors
    /// As [`Writer::bytes`], or they are null and may not be.
    pub fn opt_bytes(
        &mut self,
        field: &'static str,
        flex: bool,
        nullable: bool,
        value: Option<&Bytes>,
    ) -> Result<(), EncodeError> {
        match value {
            Some(bytes) => self.bytes(field, flex, bytes),
            None => self.null(field, flex, nullable),
        }
    }

    /// Writes `records`, keeping large pieces aside.
    ///
    /// # Errors
    /// They are 2^31 - 1 bytes or more.
    pub fn records(&mut self, field: &'static str, flex: bool, value: &Records) -> Result<(), EncodeError> {
        self.length(field, flex, value.len())?;
        for piece in value.pieces() {
            if piece.len() < MIN_SEGMENT {
                self.raw(piece);
            } else {
                self.cut_bytes += piece.len();
                self.cuts.push((self.buf.len(), piece.clone()));
            }
        }
        Ok(())
    }

    /// Writes `records` that may be null when `nullable`, keeping large pieces aside.
    ///
    /// # Errors
    /// As [`Writer::records`], or they are null and may not be.
    pub fn opt_records(
        &mut self,
        field: &'static str,
        flex: bool,
        nullable: bool,
        value: Option<&Records>,
    ) -> Result<(), EncodeError> {
        match value {
            Some(records) => self.records(field, flex, records),
            None => self.null(field, flex, nullable),
        }
    }

    /// Writes the marker before a struct that may be null: a byte, in a tagged field a varint.
    ///
    /// # Errors
    /// It is null and may not be.
    pub fn struct_follows(
        &mut self,
        field: &'static str,
        tagged: bool,
        nullable: bool,
        follows: bool,
    ) -> Result<(), EncodeError> {
        if !follows && !nullable {
            return Err(EncodeError::new(EncodeErrorKind::UnexpectedNull, field));
        }
        if !nullable {
            return Ok(());
        }
        match (tagged, follows) {
            (true, follows) => self.unsigned_varint(u32::from(follows)),
            (false, true) => self.i8(1),
            (false, false) => self.i8(-1),
        }
        Ok(())
    }
}
