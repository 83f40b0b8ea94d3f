//! Elements of arrays, after [`Reader::array_len`] has vouched for their number; and raw tagged fields.

use super::{Reader, TagScope};
use crate::wire::{DecodeError, KString, RawTaggedField, UnknownTaggedFields, Uuid};

macro_rules! fixed_width_lists {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// They are cut short.
        pub fn $name(&mut self, field: &'static str, count: usize) -> Result<Vec<$type>, DecodeError> {
            const WIDTH: usize = size_of::<$type>();
            let bytes = self.take(field, count.saturating_mul(WIDTH))?;
            Ok(bytes.as_chunks::<WIDTH>().0.iter().map(|chunk| <$type>::from_be_bytes(*chunk)).collect())
        }
    )*};
}

impl Reader {
    fixed_width_lists! {
        /// Reads `count` values of `int8`.
        i8s: i8;
        /// Reads `count` values of `int16`.
        i16s: i16;
        /// Reads `count` values of `int32`.
        i32s: i32;
        /// Reads `count` values of `int64`.
        i64s: i64;
    }

    /// Reads `count` values of `uuid`.
    ///
    /// # Errors
    /// They are cut short.
    pub fn uuids(&mut self, field: &'static str, count: usize) -> Result<Vec<Uuid>, DecodeError> {
        let bytes = self.take(field, count.saturating_mul(16))?;
        Ok(bytes.as_chunks::<16>().0.iter().map(|chunk| Uuid(*chunk)).collect())
    }

    /// Reads `count` strings, none of them null.
    ///
    /// # Errors
    /// One is null, too long or cut short.
    pub fn strings(
        &mut self,
        field: &'static str,
        count: usize,
        flex: bool,
    ) -> Result<Vec<KString>, DecodeError> {
        let mut texts = Vec::with_capacity(count);
        for index in 0..count {
            texts.push(self.string("", flex).map_err(|e| e.inside(field, Some(index)))?);
        }
        Ok(texts)
    }

    /// Reads `count` structs.
    ///
    /// # Errors
    /// What `read` answers, with this array's name and the index added.
    pub fn structs<T>(
        &mut self,
        field: &'static str,
        count: usize,
        version: i16,
        read: fn(&mut Self, i16) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let mut elements = Vec::with_capacity(count);
        for index in 0..count {
            match read(self, version) {
                Ok(element) => elements.push(element),
                Err(error) => return Err(error.inside(field, Some(index))),
            }
        }
        Ok(elements)
    }

    /// Keeps an open tagged field that the schema does not know; [`UnknownTaggedFields::settle`] them after the last.
    ///
    /// # Errors
    /// The memory limit is reached.
    pub fn keep_tag(
        &mut self,
        scope: &TagScope,
        fields: &mut UnknownTaggedFields,
    ) -> Result<(), DecodeError> {
        // The list starts with room for four and doubles; sorting it may take half as much again.
        let elements = if fields.is_empty() { 5 } else { 4 };
        self.charge("tagged fields", elements * size_of::<RawTaggedField>())?;
        fields.push(RawTaggedField { tag: scope.tag, data: self.take_rest() });
        Ok(())
    }

    /// Reads the tagged fields of a struct that knows none; nothing when `flex` is false.
    ///
    /// # Errors
    /// They are malformed.
    pub fn unknown_tags(&mut self, flex: bool) -> Result<UnknownTaggedFields, DecodeError> {
        let mut fields = UnknownTaggedFields::default();
        if flex {
            for _ in 0..self.tag_count()? {
                let scope = self.begin_tag()?;
                self.keep_tag(&scope, &mut fields)?;
                self.end_tag(scope)?;
            }
            fields.settle();
        }
        Ok(fields)
    }
}
