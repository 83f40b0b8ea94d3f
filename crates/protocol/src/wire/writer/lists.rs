//! Arrays and tagged fields.

use super::{TagStart, Writer};
use crate::wire::{
    EncodeError, EncodeErrorKind, KString, MAX_VARINT_LEN, UnknownTaggedFields, Uuid, put_unsigned_varint,
};

macro_rules! fixed_width_lists {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// There are too many to count.
        pub fn $name(&mut self, field: &'static str, flex: bool, values: &[$type]) -> Result<(), EncodeError> {
            self.length(field, flex, values.len())?;
            for value in values {
                self.buf.extend_from_slice(&value.to_be_bytes());
            }
            Ok(())
        }
    )*};
}

impl Writer {
    fixed_width_lists! {
        /// Writes an array of `int8`.
        i8s: i8;
        /// Writes an array of `int16`.
        i16s: i16;
        /// Writes an array of `int32`.
        i32s: i32;
        /// Writes an array of `int64`.
        i64s: i64;
    }

    /// Writes an array of `uuid`.
    ///
    /// # Errors
    /// There are too many to count.
    pub fn uuids(&mut self, field: &'static str, flex: bool, values: &[Uuid]) -> Result<(), EncodeError> {
        self.length(field, flex, values.len())?;
        for value in values {
            self.uuid(*value);
        }
        Ok(())
    }

    /// Writes an array of strings.
    ///
    /// # Errors
    /// One is longer than 32,767 bytes.
    pub fn strings(
        &mut self,
        field: &'static str,
        flex: bool,
        values: &[KString],
    ) -> Result<(), EncodeError> {
        self.length(field, flex, values.len())?;
        for (index, value) in values.iter().enumerate() {
            self.string("", flex, value).map_err(|e| e.inside(field, Some(index)))?;
        }
        Ok(())
    }

    /// Writes an array of structs.
    ///
    /// # Errors
    /// What `write` answers, with this array's name and the index added.
    pub fn structs<T>(
        &mut self,
        field: &'static str,
        flex: bool,
        values: &[T],
        version: i16,
        write: fn(&T, &mut Self, i16) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.length(field, flex, values.len())?;
        for (index, value) in values.iter().enumerate() {
            if let Err(error) = write(value, self, version) {
                return Err(error.inside(field, Some(index)));
            }
        }
        Ok(())
    }

    /// Writes a null array.
    ///
    /// # Errors
    /// It may not be null.
    pub fn null_array(&mut self, field: &'static str, flex: bool, nullable: bool) -> Result<(), EncodeError> {
        self.null(field, flex, nullable)
    }

    /// Writes the tagged fields of a struct without known ones.
    ///
    /// # Errors
    /// There are unknown ones, and the version is not `flex`.
    pub fn unknown_tags(
        &mut self,
        flex: bool,
        version: i16,
        unknown: &UnknownTaggedFields,
    ) -> Result<(), EncodeError> {
        self.tag_count(flex, version, 0, unknown)?;
        if flex {
            self.raw_tags(unknown, 0, u32::MAX)?;
        }
        Ok(())
    }

    /// Writes the number of tagged fields.
    ///
    /// # Errors
    /// There are unknown ones, and the version is not `flex`.
    pub fn tag_count(
        &mut self,
        flex: bool,
        version: i16,
        known: u32,
        unknown: &UnknownTaggedFields,
    ) -> Result<(), EncodeError> {
        if !flex {
            if unknown.is_empty() {
                return Ok(());
            }
            return Err(EncodeError::new(EncodeErrorKind::TagsNotSupported(version), ""));
        }
        self.unsigned_varint(known + unknown.len() as u32);
        Ok(())
    }

    /// Opens the known tagged field `tag`, after the unknown ones from `from` that come before it; moves `from` on.
    ///
    /// # Errors
    /// An unknown field has that tag.
    pub fn begin_tag(
        &mut self,
        tag: u32,
        from: &mut u32,
        unknown: &UnknownTaggedFields,
    ) -> Result<TagStart, EncodeError> {
        if !unknown.is_empty() {
            if unknown.as_slice().iter().any(|field| field.tag == tag) {
                return Err(EncodeError::new(EncodeErrorKind::TagTaken(tag), ""));
            }
            self.raw_tags(unknown, *from, tag)?;
        }
        *from = tag + 1;
        self.unsigned_varint(tag);
        Ok(TagStart(self.buf.len()))
    }

    /// Closes a tagged field: puts its size before it. Records never stand in one, so no cut can move.
    pub fn end_tag(&mut self, start: TagStart) {
        let size = self.buf.len() - start.0;
        let mut prefix = Vec::with_capacity(MAX_VARINT_LEN);
        put_unsigned_varint(&mut prefix, size as u32);
        self.buf.splice(start.0..start.0, prefix);
    }

    /// Writes the unknown tagged fields from `from` up to, not including, `before`; `u32::MAX` means all.
    ///
    /// # Errors
    /// One is too long.
    pub fn raw_tags(
        &mut self,
        unknown: &UnknownTaggedFields,
        from: u32,
        before: u32,
    ) -> Result<(), EncodeError> {
        for field in unknown.as_slice() {
            let wanted = field.tag >= from && (field.tag < before || before == u32::MAX);
            if !wanted {
                continue;
            }
            self.unsigned_varint(field.tag);
            let Ok(size) = u32::try_from(field.data.len()) else {
                return Err(EncodeError::new(EncodeErrorKind::TooLong(field.data.len()), "tagged field"));
            };
            self.unsigned_varint(size);
            self.raw(&field.data);
        }
        Ok(())
    }
}
