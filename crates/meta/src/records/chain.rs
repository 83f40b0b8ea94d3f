//! A chain of WAL objects: who writes it, how far its life has come, and where it is trimmed.

use waybill_types::{BrokerId, Incarnation, StoreId, TimestampMs};

use crate::codec::{Fault, FieldWriter, Fields, Record};

/// How far a chain's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainLife {
    /// Its writer's index commits are taken.
    Open,
    /// Being recovered: index commits, trims and deletions of this chain are refused.
    Recovering {
        /// The term of the owner that recovers it.
        term: u64,
        /// The try within the term.
        attempt: u64,
    },
    /// Recovered.
    Closed {
        /// The slot of the seal that ends it. That seal is never deleted.
        end: u64,
    },
}

/// A chain. It belongs to one incarnation of one broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainRecord {
    /// The broker that writes it.
    pub node: BrokerId,
    /// The incarnation that writes it.
    pub incarnation: Incarnation,
    /// The id that the WAL's store shows.
    pub wal_store: StoreId,
    /// How far its life has come.
    pub life: ChainLife,
    /// The slots below are in the index. Slot 0 holds no records.
    pub trim: u64,
    /// When it was registered.
    pub registered_at: TimestampMs,
    /// Which lead of every partition this is, counted over all brokers: leader epochs and objects are stamped with it. 0 where
    /// the chain leads only what it was assigned.
    pub lead: u64,
}

impl Record for ChainRecord {
    const KIND: &'static str = "chain";

    fn write(&self, out: &mut FieldWriter) {
        out.i32(1, self.node.get());
        out.u64(2, self.incarnation.get());
        out.bytes(3, self.wal_store.as_bytes());
        match self.life {
            ChainLife::Open => out.u8(4, 1),
            ChainLife::Recovering { term, attempt } => {
                out.u8(4, 2);
                out.u64(5, term);
                out.u64(6, attempt);
            }
            ChainLife::Closed { end } => {
                out.u8(4, 3);
                out.u64(7, end);
            }
        }
        out.u64(8, self.trim);
        out.i64(9, self.registered_at.get());
        if self.lead > 0 {
            out.u64(10, self.lead);
        }
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let (mut node, mut incarnation, mut wal_store, mut life) = (None, None, None, None);
        let (mut term, mut attempt, mut end, mut trim) = (None, None, None, None);
        let (mut registered_at, mut lead) = (TimestampMs::NONE, 0);
        while let Some(field) = fields.next_field()? {
            match field.tag {
                1 => node = Some(BrokerId(field.i32()?)),
                2 => incarnation = Some(Incarnation(field.u64()?)),
                3 => wal_store = Some(StoreId(field.array()?)),
                4 => life = Some(field.u8()?),
                5 => term = Some(field.u64()?),
                6 => attempt = Some(field.u64()?),
                7 => end = Some(field.u64()?),
                8 => trim = Some(field.u64()?),
                9 => registered_at = TimestampMs(field.i64()?),
                10 => lead = field.u64()?,
                _ => {}
            }
        }
        let life = match life.ok_or(Fault::Missing(4))? {
            1 => ChainLife::Open,
            2 => ChainLife::Recovering {
                term: term.ok_or(Fault::Missing(5))?,
                attempt: attempt.ok_or(Fault::Missing(6))?,
            },
            3 => ChainLife::Closed { end: end.ok_or(Fault::Missing(7))? },
            _ => return Err(Fault::Malformed(4)),
        };
        Ok(Self {
            node: node.ok_or(Fault::Missing(1))?,
            incarnation: incarnation.ok_or(Fault::Missing(2))?,
            wal_store: wal_store.ok_or(Fault::Missing(3))?,
            life,
            trim: trim.ok_or(Fault::Missing(8))?,
            registered_at,
            lead,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::testing::golden;
    use proptest::prelude::*;

    fn sample(life: ChainLife, trim: u64, lead: u64) -> ChainRecord {
        ChainRecord {
            node: BrokerId(2),
            incarnation: Incarnation(3),
            wal_store: StoreId([9; 16]),
            life,
            trim,
            registered_at: TimestampMs(5),
            lead,
        }
    }

    #[test]
    fn golden_bytes() {
        let head = "01 0104 00000002 0208 0000000000000003 0310 09090909090909090909090909090909";
        let tail = "0808 0000000000000001 0908 0000000000000005";
        golden(&sample(ChainLife::Open, 1, 0), &format!("{head} 0401 01 {tail}"));
        let recovering = ChainLife::Recovering { term: 7, attempt: 4 };
        let life = "0401 02 0508 0000000000000007 0608 0000000000000004";
        golden(&sample(recovering, 1, 0), &format!("{head} {life} {tail}"));
        let closed = ChainLife::Closed { end: 12 };
        golden(&sample(closed, 1, 0), &format!("{head} 0401 03 0708 000000000000000c {tail}"));
        golden(&sample(ChainLife::Open, 1, 3), &format!("{head} 0401 01 {tail} 0a08 0000000000000003"));
    }

    proptest! {
        #[test]
        fn round_trip(kind in 0..3, one: u64, two: u64, trim: u64, lead: u64) {
            let life = match kind {
                0 => ChainLife::Open,
                1 => ChainLife::Recovering { term: one, attempt: two },
                _ => ChainLife::Closed { end: one },
            };
            let record = sample(life, trim, lead);
            prop_assert_eq!(ChainRecord::decode(&record.encode()), Ok(record));
        }
    }
}
