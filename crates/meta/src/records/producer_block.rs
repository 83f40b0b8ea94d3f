//! The allocator of producer ids, handed out in blocks after a durable commit.

use waybill_types::ProducerId;

use crate::codec::{Fault, FieldWriter, Fields, Record};

/// The next producer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerBlockRecord {
    /// Never given yet, nor is any above it.
    pub next: ProducerId,
}

impl Record for ProducerBlockRecord {
    const KIND: &'static str = "producer block";

    fn write(&self, out: &mut FieldWriter) {
        out.i64(1, self.next.get());
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let mut next = None;
        while let Some(field) = fields.next_field()? {
            if field.tag == 1 {
                next = Some(ProducerId(field.i64()?));
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
        golden(&ProducerBlockRecord { next: ProducerId(1000) }, "01 0108 00000000000003e8");
    }

    proptest! {
        #[test]
        fn round_trip(next: i64) {
            let record = ProducerBlockRecord { next: ProducerId(next) };
            prop_assert_eq!(ProducerBlockRecord::decode(&record.encode()), Ok(record));
        }
    }
}
