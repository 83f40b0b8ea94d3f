//! Which topic bears a name: creation requires that this key is absent.

use waybill_types::TopicId;

use crate::codec::{Fault, FieldWriter, Fields, Record};

/// The topic that bears a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicNameRecord {
    /// Its id.
    pub id: TopicId,
}

impl Record for TopicNameRecord {
    const KIND: &'static str = "topic name";

    fn write(&self, out: &mut FieldWriter) {
        out.bytes(1, self.id.as_bytes());
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let mut id = None;
        while let Some(field) = fields.next_field()? {
            if field.tag == 1 {
                id = Some(TopicId(field.array()?));
            }
        }
        Ok(Self { id: id.ok_or(Fault::Missing(1))? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::testing::golden;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        golden(&TopicNameRecord { id: TopicId([2; 16]) }, "01 0110 02020202020202020202020202020202");
    }

    proptest! {
        #[test]
        fn round_trip(id: [u8; 16]) {
            let record = TopicNameRecord { id: TopicId(id) };
            prop_assert_eq!(TopicNameRecord::decode(&record.encode()), Ok(record));
        }
    }
}
