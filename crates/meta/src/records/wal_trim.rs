//! Where a node's WAL is trimmed: everything below is in the index.

use crate::codec::{Fault, FieldWriter, Fields, Record};

/// A WAL's trim point, and whether its writer ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalTrimRecord {
    /// The position; recovery starts here.
    pub position: u64,
    /// The end of everything that was written, when the last incarnation ended in order and made segments of all of it.
    /// Every commit of a trim by a running incarnation takes it away again.
    pub closed_at: Option<u64>,
}

impl Record for WalTrimRecord {
    const KIND: &'static str = "wal trim";

    fn write(&self, out: &mut FieldWriter) {
        out.u64(1, self.position);
        if let Some(end) = self.closed_at {
            out.u64(2, end);
        }
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let (mut position, mut closed_at) = (None, None);
        while let Some(field) = fields.next_field()? {
            match field.tag {
                1 => position = Some(field.u64()?),
                2 => closed_at = Some(field.u64()?),
                _ => {}
            }
        }
        Ok(Self { position: position.ok_or(Fault::Missing(1))?, closed_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::testing::golden;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        golden(&WalTrimRecord { position: 0x0200_0000, closed_at: None }, "01 0108 0000000002000000");
        golden(
            &WalTrimRecord { position: 0x0200_0000, closed_at: Some(0x0201_1000) },
            "01 0108 0000000002000000 0208 0000000002011000",
        );
    }

    proptest! {
        #[test]
        fn round_trip(position: u64, closed_at: Option<u64>) {
            let record = WalTrimRecord { position, closed_at };
            prop_assert_eq!(WalTrimRecord::decode(&record.encode()), Ok(record));
        }
    }
}
