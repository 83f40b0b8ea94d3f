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
    /// Adds a field at the end; [`UnknownTaggedFields::settle`] follows when all are there.
    pub fn push(&mut self, field: RawTaggedField) {
        self.0.get_or_insert_default().push(field);
    }

    /// Restores the order of tags; of several fields with one tag the last stays.
    ///
    /// One sort at the end, because a sender that is not ours may use any order, as many times as a frame holds.
    pub fn settle(&mut self) {
        let Some(fields) = &mut self.0 else { return };
        if fields.is_sorted_by(|a, b| a.tag < b.tag) {
            return;
        }
        fields.reverse();
        fields.sort_by_key(|field| field.tag);
        fields.dedup_by_key(|field| field.tag);
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
