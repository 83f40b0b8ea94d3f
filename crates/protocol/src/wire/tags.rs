//! Tagged fields (KIP-482) that the schema of a message does not know.

use bytes::Bytes;

/// One tagged field as it stood on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTaggedField {
    /// The number that names the field within its struct.
    pub tag: u32,
    /// The field's bytes, uninterpreted.
    pub data: Bytes,
}

/// The unknown tagged fields of one struct, in ascending order of tag. Empty almost always, hence one pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::box_collection, reason = "eight bytes in every struct of every message, instead of 24")]
pub struct UnknownTaggedFields(Option<Box<Vec<RawTaggedField>>>);

impl UnknownTaggedFields {
    /// Keeps a field, in the order of tags; of two with the same tag the later one stays.
    pub fn insert(&mut self, field: RawTaggedField) {
        let fields = self.0.get_or_insert_default();
        // Encoders write tags in ascending order, so the usual place is the end.
        if fields.last().is_none_or(|last| last.tag < field.tag) {
            fields.push(field);
            return;
        }
        match fields.binary_search_by_key(&field.tag, |known| known.tag) {
            Ok(position) => {
                if let Some(known) = fields.get_mut(position) {
                    *known = field;
                }
            }
            Err(position) => fields.insert(position, field),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The fields in ascending order of tag.
    #[must_use]
    pub fn as_slice(&self) -> &[RawTaggedField] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}
