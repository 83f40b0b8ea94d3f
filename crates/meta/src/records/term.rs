//! The controller's term: which owner's commits this store takes.

use waybill_types::{BrokerId, Incarnation};

use crate::codec::{Fault, FieldWriter, Fields, Record};

/// The newest term whose owner has made a commit. The first commit of every owner raises it, or the owner stands down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermRecord {
    /// The term, from 1 on.
    pub term: u64,
    /// The broker that holds it.
    pub node: BrokerId,
    /// That broker's incarnation.
    pub incarnation: Incarnation,
}

impl Record for TermRecord {
    const KIND: &'static str = "term";

    fn write(&self, out: &mut FieldWriter) {
        out.u64(1, self.term);
        out.i32(2, self.node.get());
        out.u64(3, self.incarnation.get());
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let (mut term, mut node, mut incarnation) = (None, None, None);
        while let Some(field) = fields.next_field()? {
            match field.tag {
                1 => term = Some(field.u64()?),
                2 => node = Some(BrokerId(field.i32()?)),
                3 => incarnation = Some(Incarnation(field.u64()?)),
                _ => {}
            }
        }
        Ok(Self {
            term: term.ok_or(Fault::Missing(1))?,
            node: node.ok_or(Fault::Missing(2))?,
            incarnation: incarnation.ok_or(Fault::Missing(3))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::testing::golden;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let sample = TermRecord { term: 7, node: BrokerId(2), incarnation: Incarnation(5) };
        golden(&sample, "01 0108 0000000000000007 0204 00000002 0308 0000000000000005");
    }

    proptest! {
        #[test]
        fn round_trip(term: u64, node: i32, incarnation: u64) {
            let (node, incarnation) = (BrokerId(node), Incarnation(incarnation));
            let record = TermRecord { term, node, incarnation };
            prop_assert_eq!(TermRecord::decode(&record.encode()), Ok(record));
        }
    }
}
