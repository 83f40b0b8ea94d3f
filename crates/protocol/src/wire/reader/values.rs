//! Single values.

use bytes::Bytes;

use super::Reader;
use crate::wire::{
    DecodeError, DecodeErrorKind, KString, Records, Uuid, zigzag_decode_i32, zigzag_decode_i64,
};

/// What an allocated string costs beside its characters.
const STRING_OVERHEAD: usize = 16;

/// Replacing what is not UTF-8 turns a byte into three, in a buffer that doubles, and then copies it.
const REPLACEMENT_GROWTH: usize = 12;

macro_rules! fixed_width {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// Fewer bytes remain.
        pub fn $name(&mut self, field: &'static str) -> Result<$type, DecodeError> {
            Ok(<$type>::from_be_bytes(self.take_array(field)?))
        }
    )*};
}

impl Reader {
    fixed_width! {
        /// Reads an `int8`.
        i8: i8;
        /// Reads an `int16`.
        i16: i16;
        /// Reads an `int32`.
        i32: i32;
        /// Reads an `int64`.
        i64: i64;
        /// Reads a `uint16`.
        u16: u16;
        /// Reads a `uint32`.
        u32: u32;
        /// Reads a `float64`.
        f64: f64;
    }

    /// Reads a `bool`: any byte but 0 is true, as in Kafka.
    ///
    /// # Errors
    /// No byte remains.
    pub fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        Ok(self.i8(field)? != 0)
    }

    /// Reads a `uuid`.
    ///
    /// # Errors
    /// Fewer than 16 bytes remain.
    pub fn uuid(&mut self, field: &'static str) -> Result<Uuid, DecodeError> {
        Ok(Uuid(self.take_array(field)?))
    }

    /// Reads an unsigned varint of 32 bits.
    ///
    /// # Errors
    /// It does not end within five bytes, or is 2^32 or more.
    pub fn unsigned_varint(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        let value = self.varint_of(field, 5)?;
        u32::try_from(value).map_err(|_| self.error(DecodeErrorKind::VarintOutOfRange, field))
    }

    /// Reads a zigzag varint of 32 bits.
    ///
    /// # Errors
    /// It does not end within five bytes, or does not fit 32 bits.
    pub fn varint(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        Ok(zigzag_decode_i32(self.unsigned_varint(field)?))
    }

    /// Reads a zigzag varint of 64 bits.
    ///
    /// # Errors
    /// It does not end within ten bytes, or does not fit 64 bits.
    pub fn varlong(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        Ok(zigzag_decode_i64(self.varint_of(field, 10)?))
    }

    fn varint_of(&mut self, field: &'static str, max_len: u32) -> Result<u64, DecodeError> {
        let mut value: u64 = 0;
        for position in 0..max_len {
            let [byte] = self.take_array(field)?;
            if position == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error(DecodeErrorKind::VarintOutOfRange, field))
    }

    /// A length prefix: `None` is null.
    fn length(&mut self, field: &'static str, flex: bool, short: bool) -> Result<Option<usize>, DecodeError> {
        if flex {
            return Ok((self.unsigned_varint(field)? as usize).checked_sub(1));
        }
        let length = if short { i32::from(self.i16(field)?) } else { self.i32(field)? };
        Ok(usize::try_from(length).ok())
    }

    #[cold]
    pub(super) fn unexpected_null(&self, field: &'static str) -> DecodeError {
        self.error(DecodeErrorKind::UnexpectedNull, field)
    }

    /// Reads a `string` that can not be null.
    ///
    /// # Errors
    /// It is null, longer than 32,767 bytes, or cut short.
    pub fn string(&mut self, field: &'static str, flex: bool) -> Result<KString, DecodeError> {
        match self.opt_string(field, flex, false)? {
            Some(text) => Ok(text),
            None => Err(self.unexpected_null(field)),
        }
    }

    /// Reads a `string` that may be null when `nullable`.
    ///
    /// # Errors
    /// As [`Reader::string`].
    pub fn opt_string(
        &mut self,
        field: &'static str,
        flex: bool,
        nullable: bool,
    ) -> Result<Option<KString>, DecodeError> {
        let Some(length) = self.length(field, flex, true)? else {
            return if nullable { Ok(None) } else { Err(self.unexpected_null(field)) };
        };
        if length > i16::MAX as usize {
            return Err(self.error(DecodeErrorKind::StringTooLong(length), field));
        }
        if length == 0 {
            return Ok(Some(KString::default()));
        }
        self.charge(field, length + STRING_OVERHEAD)?;
        if let Ok(text) = std::str::from_utf8(self.take(field, length)?) {
            return Ok(Some(KString::from(text)));
        }
        self.charge(field, length.saturating_mul(REPLACEMENT_GROWTH))?;
        let bytes = self.buf.get(self.pos - length..self.pos).unwrap_or_default();
        Ok(Some(KString::from_utf8_lossy(bytes)))
    }

    /// Reads `bytes` that can not be null, sharing the buffer.
    ///
    /// # Errors
    /// They are null or cut short.
    pub fn bytes(&mut self, field: &'static str, flex: bool) -> Result<Bytes, DecodeError> {
        match self.opt_bytes(field, flex, false)? {
            Some(bytes) => Ok(bytes),
            None => Err(self.unexpected_null(field)),
        }
    }

    /// Reads `bytes` that may be null when `nullable`, sharing the buffer.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    pub fn opt_bytes(
        &mut self,
        field: &'static str,
        flex: bool,
        nullable: bool,
    ) -> Result<Option<Bytes>, DecodeError> {
        match self.length(field, flex, false)? {
            Some(length) => Ok(Some(self.share(field, length)?)),
            None if nullable => Ok(None),
            None => Err(self.unexpected_null(field)),
        }
    }

    /// Reads `records` that can not be null, sharing the buffer.
    ///
    /// # Errors
    /// They are null or cut short.
    pub fn records(&mut self, field: &'static str, flex: bool) -> Result<Records, DecodeError> {
        Ok(Records::from(self.bytes(field, flex)?))
    }

    /// Reads `records` that may be null when `nullable`, sharing the buffer.
    ///
    /// # Errors
    /// As [`Reader::records`].
    pub fn opt_records(
        &mut self,
        field: &'static str,
        flex: bool,
        nullable: bool,
    ) -> Result<Option<Records>, DecodeError> {
        Ok(self.opt_bytes(field, flex, nullable)?.map(Records::from))
    }

    /// Whether a struct that may be null follows. The marker is a byte, in a tagged field a varint.
    ///
    /// # Errors
    /// No byte remains.
    pub fn struct_follows(&mut self, field: &'static str, tagged: bool) -> Result<bool, DecodeError> {
        if tagged { Ok(self.unsigned_varint(field)? > 0) } else { Ok(self.i8(field)? >= 0) }
    }

    /// Reads the number of elements of an array that can not be null; see [`Reader::opt_array_len`].
    ///
    /// # Errors
    /// As there, and the array is null.
    pub fn array_len(
        &mut self,
        field: &'static str,
        flex: bool,
        min_wire: usize,
        in_memory: usize,
    ) -> Result<usize, DecodeError> {
        match self.opt_array_len(field, flex, false, min_wire, in_memory)? {
            Some(count) => Ok(count),
            None => Err(self.unexpected_null(field)),
        }
    }

    /// Reads the number of elements of an array, refusing more than the bytes which remain could hold at `min_wire`
    /// bytes each, and charging `in_memory` bytes each to the memory limit.
    ///
    /// # Errors
    /// The array is null and not `nullable`; the count is too large; the memory limit is reached.
    pub fn opt_array_len(
        &mut self,
        field: &'static str,
        flex: bool,
        nullable: bool,
        min_wire: usize,
        in_memory: usize,
    ) -> Result<Option<usize>, DecodeError> {
        let Some(claimed) = self.length(field, flex, false)? else {
            return if nullable { Ok(None) } else { Err(self.unexpected_null(field)) };
        };
        let possible = self.remaining() / min_wire.max(1);
        if claimed > possible {
            return Err(self.error(DecodeErrorKind::CountTooLarge { claimed, possible }, field));
        }
        self.charge(field, claimed.saturating_mul(in_memory))?;
        Ok(Some(claimed))
    }
}
