//! An object of the data store: prepared → live → dead → gone, each step durable. Gone means: no record.

use waybill_types::{Incarnation, TimestampMs};

use crate::codec::{Fault, FieldWriter, Fields, Record};

/// An object's id, given once by the metadata store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ObjectId(pub u64);

impl ObjectId {
    /// The bare number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The id after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:020}", self.0)
    }
}

/// Where an object is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectLife {
    /// It may be written; nothing names it yet.
    Prepared,
    /// The index names it.
    Live,
    /// Nothing names it; it may be deleted.
    Dead,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRecord {
    /// Where it is in its life.
    pub life: ObjectLife,
    /// The incarnation that prepared it: once that one has ended, it stays as it is.
    pub incarnation: Incarnation,
    /// Its length in bytes; 0 while prepared.
    pub size: u64,
    /// How many index entries name it; 0 while prepared and when dead.
    pub slices: u32,
    /// The name of the store that holds it.
    pub placement: String,
    /// When this record was last changed.
    pub changed_at: TimestampMs,
    /// How many bytes of its slices are not named any more: 0 while nothing has died, and in what early releases wrote.
    pub dead: u64,
    /// When the oldest batch in it was appended; [`TimestampMs::NONE`] in what early releases wrote.
    pub since: TimestampMs,
}

impl Record for ObjectRecord {
    const KIND: &'static str = "object";

    fn write(&self, out: &mut FieldWriter) {
        out.u8(
            1,
            match self.life {
                ObjectLife::Prepared => 1,
                ObjectLife::Live => 2,
                ObjectLife::Dead => 3,
            },
        );
        out.u64(2, self.incarnation.get());
        out.u64(3, self.size);
        out.u32(4, self.slices);
        out.text(5, &self.placement);
        out.i64(6, self.changed_at.get());
        if self.dead > 0 {
            out.u64(7, self.dead);
        }
        if self.since != TimestampMs::NONE {
            out.i64(8, self.since.get());
        }
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let (mut life, mut incarnation, mut placement) = (None, None, None);
        let (mut size, mut slices, mut changed_at) = (0, 0, TimestampMs::NONE);
        let (mut dead, mut since) = (0, TimestampMs::NONE);
        while let Some(field) = fields.next_field()? {
            match field.tag {
                1 => {
                    life = Some(match field.u8()? {
                        1 => ObjectLife::Prepared,
                        2 => ObjectLife::Live,
                        3 => ObjectLife::Dead,
                        _ => return Err(field.malformed()),
                    });
                }
                2 => incarnation = Some(Incarnation(field.u64()?)),
                3 => size = field.u64()?,
                4 => slices = field.u32()?,
                5 => placement = Some(field.text()?.to_owned()),
                6 => changed_at = TimestampMs(field.i64()?),
                7 => dead = field.u64()?,
                8 => since = TimestampMs(field.i64()?),
                _ => {}
            }
        }
        Ok(Self {
            life: life.ok_or(Fault::Missing(1))?,
            incarnation: incarnation.ok_or(Fault::Missing(2))?,
            size,
            slices,
            placement: placement.ok_or(Fault::Missing(5))?,
            changed_at,
            dead,
            since,
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
        let sample = ObjectRecord {
            life: ObjectLife::Live,
            incarnation: Incarnation(2),
            size: 4096,
            slices: 3,
            placement: "local".into(),
            changed_at: TimestampMs(9),
            dead: 0,
            since: TimestampMs::NONE,
        };
        golden(
            &sample,
            "01 0101 02 0208 0000000000000002 0308 0000000000001000 0404 00000003 0505 6c6f63616c
             0608 0000000000000009",
        );
        golden(
            &ObjectRecord { dead: 5, since: TimestampMs(7), ..sample },
            "01 0101 02 0208 0000000000000002 0308 0000000000001000 0404 00000003 0505 6c6f63616c
             0608 0000000000000009 0708 0000000000000005 0808 0000000000000007",
        );
    }

    proptest! {
        #[test]
        fn round_trip(
            life in 0..3, incarnation: u64, size: u64, slices: u32, placement in "[a-z]{0,9}", at: i64,
            dead: u64, since: i64,
        ) {
            let life = match life {
                0 => ObjectLife::Prepared,
                1 => ObjectLife::Live,
                _ => ObjectLife::Dead,
            };
            let record = ObjectRecord {
                life, incarnation: Incarnation(incarnation), size, slices, placement, changed_at: TimestampMs(at),
                dead, since: TimestampMs(since),
            };
            prop_assert_eq!(ObjectRecord::decode(&record.encode()), Ok(record));
        }
    }
}
