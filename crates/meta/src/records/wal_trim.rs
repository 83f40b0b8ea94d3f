//! Where a node's WAL is trimmed: everything below is in the index.

use crate::codec::{Fault, FieldWriter, Fields, Record};

/// A WAL's trim point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalTrimRecord {
    /// The position; recovery starts here.
    pub position: u64,
}

impl Record for WalTrimRecord {
    const KIND: &'static str = "wal trim";

    fn write(&self, out: &mut FieldWriter) {
        out.u64(1, self.position);
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let mut position = None;
        while let Some(field) = fields.next_field()? {
            if field.tag == 1 {
                position = Some(field.u64()?);
            }
        }
        Ok(Self { position: position.ok_or(Fault::Missing(1))? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::testing::golden;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        golden(&WalTrimRecord { position: 0x0200_0000 }, "01 0108 0000000002000000");
    }

    proptest! {
        #[test]
        fn round_trip(position: u64) {
            let record = WalTrimRecord { position };
            prop_assert_eq!(WalTrimRecord::decode(&record.encode()), Ok(record));
        }
    }
}
