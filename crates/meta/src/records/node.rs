//! A node's registration: which incarnation writes, and to which WAL.

use waybill_types::{BrokerId, Incarnation, StoreId, TimestampMs};

use crate::codec::{Fault, FieldWriter, Fields, Record};

/// How a node's WAL is kept, which decides who may recover it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalKind {
    /// A ring of files: nobody recovers it without holding its lock.
    File,
    /// A chain of objects: anybody may seal and recover it.
    Object,
}

/// A node's registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// The node.
    pub node: BrokerId,
    /// Its newest incarnation: everything that an older one wrote to the WAL is in the index.
    pub incarnation: Incarnation,
    /// How its WAL is kept.
    pub wal_kind: WalKind,
    /// The id written into the WAL's store when it was first used.
    pub wal_store: StoreId,
    /// When this incarnation registered.
    pub registered_at: TimestampMs,
}

impl Record for NodeRecord {
    const KIND: &'static str = "node";

    fn write(&self, out: &mut FieldWriter) {
        out.i32(1, self.node.get());
        out.u64(2, self.incarnation.get());
        out.u8(
            3,
            match self.wal_kind {
                WalKind::File => 1,
                WalKind::Object => 2,
            },
        );
        out.bytes(4, self.wal_store.as_bytes());
        out.i64(5, self.registered_at.get());
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let (mut node, mut incarnation, mut wal_kind, mut wal_store) = (None, None, None, None);
        let mut registered_at = TimestampMs::NONE;
        while let Some(field) = fields.next_field()? {
            match field.tag {
                1 => node = Some(BrokerId(field.i32()?)),
                2 => incarnation = Some(Incarnation(field.u64()?)),
                3 => {
                    wal_kind = Some(match field.u8()? {
                        1 => WalKind::File,
                        2 => WalKind::Object,
                        _ => return Err(field.malformed()),
                    });
                }
                4 => wal_store = Some(StoreId(field.array()?)),
                5 => registered_at = TimestampMs(field.i64()?),
                _ => {}
            }
        }
        Ok(Self {
            node: node.ok_or(Fault::Missing(1))?,
            incarnation: incarnation.ok_or(Fault::Missing(2))?,
            wal_kind: wal_kind.ok_or(Fault::Missing(3))?,
            wal_store: wal_store.ok_or(Fault::Missing(4))?,
            registered_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::testing::golden;
    use proptest::prelude::*;

    fn sample(node: i32, incarnation: u64, file: bool, store: [u8; 16], at: i64) -> NodeRecord {
        NodeRecord {
            node: BrokerId(node),
            incarnation: Incarnation(incarnation),
            wal_kind: if file { WalKind::File } else { WalKind::Object },
            wal_store: StoreId(store),
            registered_at: TimestampMs(at),
        }
    }

    #[test]
    fn golden_bytes() {
        golden(
            &sample(1, 3, true, [9; 16], 5),
            "01 0104 00000001 0208 0000000000000003 0301 01 0410 09090909090909090909090909090909
             0508 0000000000000005",
        );
    }

    proptest! {
        #[test]
        fn round_trip(node: i32, incarnation: u64, file: bool, store: [u8; 16], at: i64) {
            let record = sample(node, incarnation, file, store, at);
            prop_assert_eq!(NodeRecord::decode(&record.encode()), Ok(record));
        }
    }
}
