//! The allocator of object ids: an id is given once, whatever became of the object.

use crate::codec::{Fault, FieldWriter, Fields, Record};
use crate::records::ObjectId;

/// The next object id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectIdsRecord {
    /// Never given yet, nor is any above it.
    pub next: ObjectId,
}

impl Record for ObjectIdsRecord {
    const KIND: &'static str = "object ids";

    fn write(&self, out: &mut FieldWriter) {
        out.u64(1, self.next.get());
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let mut next = None;
        while let Some(field) = fields.next_field()? {
            if field.tag == 1 {
                next = Some(ObjectId(field.u64()?));
            }
        }
        Ok(Self { next: next.ok_or(Fault::Missing(1))? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::testing::golden;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        golden(&ObjectIdsRecord { next: ObjectId(17) }, "01 0108 0000000000000011");
    }

    proptest! {
        #[test]
        fn round_trip(next: u64) {
            let record = ObjectIdsRecord { next: ObjectId(next) };
            prop_assert_eq!(ObjectIdsRecord::decode(&record.encode()), Ok(record));
        }
    }
}
