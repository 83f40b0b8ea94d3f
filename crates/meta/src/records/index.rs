//! An index entry: which object holds a stretch of a partition, and where in it. Partition and base offset are the key.

use waybill_types::{Offset, TimestampMs};

use crate::codec::{Fault, FieldWriter, Fields, Record};
use crate::records::ObjectId;

/// Where a stretch of a partition (a slice of an object) is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRecord {
    /// The object.
    pub object: ObjectId,
    /// The name of the store that holds it.
    pub placement: String,
    /// Where its record batches start.
    pub data_position: u64,
    /// How many bytes of record batches it has.
    pub data_length: u64,
    /// Where its block index starts.
    pub index_position: u64,
    /// How many bytes the block index has.
    pub index_length: u64,
    /// The last offset in it.
    pub last_offset: Offset,
    /// The largest record timestamp in it.
    pub max_timestamp: TimestampMs,
    /// When its first batch was appended.
    pub first_append: TimestampMs,
    /// When its last batch was appended.
    pub last_append: TimestampMs,
    /// How many transactions end aborted in it.
    pub aborted: u32,
}

impl Record for IndexRecord {
    const KIND: &'static str = "index";

    fn write(&self, out: &mut FieldWriter) {
        out.u64(1, self.object.get());
        out.text(2, &self.placement);
        out.u64(3, self.data_position);
        out.u64(4, self.data_length);
        out.u64(5, self.index_position);
        out.u64(6, self.index_length);
        out.i64(7, self.last_offset.get());
        out.i64(8, self.max_timestamp.get());
        out.i64(9, self.first_append.get());
        out.i64(10, self.last_append.get());
        if self.aborted > 0 {
            out.u32(11, self.aborted);
        }
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let mut numbers = [None; 11];
        let (mut placement, mut aborted) = (None, 0);
        while let Some(field) = fields.next_field()? {
            match field.tag {
                2 => placement = Some(field.text()?.to_owned()),
                11 => aborted = field.u32()?,
                tag @ 1..=10 => {
                    if let Some(slot) = numbers.get_mut(usize::from(tag)) {
                        *slot = Some(field.u64()?);
                    }
                }
                _ => {}
            }
        }
        let number = |tag: u8| numbers.get(usize::from(tag)).copied().flatten().ok_or(Fault::Missing(tag));
        let signed = |tag: u8| number(tag).map(u64::cast_signed);
        Ok(Self {
            object: ObjectId(number(1)?),
            placement: placement.ok_or(Fault::Missing(2))?,
            data_position: number(3)?,
            data_length: number(4)?,
            index_position: number(5)?,
            index_length: number(6)?,
            last_offset: Offset(signed(7)?),
            max_timestamp: TimestampMs(signed(8)?),
            first_append: TimestampMs(signed(9)?),
            last_append: TimestampMs(signed(10)?),
            aborted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::testing::golden;
    use proptest::prelude::*;

    fn sample(numbers: [u64; 5], signed: [i64; 4], placement: String, aborted: u32) -> IndexRecord {
        IndexRecord {
            object: ObjectId(numbers[0]),
            placement,
            data_position: numbers[1],
            data_length: numbers[2],
            index_position: numbers[3],
            index_length: numbers[4],
            last_offset: Offset(signed[0]),
            max_timestamp: TimestampMs(signed[1]),
            first_append: TimestampMs(signed[2]),
            last_append: TimestampMs(signed[3]),
            aborted,
        }
    }

    #[test]
    fn golden_bytes() {
        golden(
            &sample([1, 64, 100, 200, 48], [9, -1, 5, 6], "local".into(), 1),
            "01 0108 0000000000000001 0205 6c6f63616c 0308 0000000000000040 0408 0000000000000064
             0508 00000000000000c8 0608 0000000000000030 0708 0000000000000009 0808 ffffffffffffffff
             0908 0000000000000005 0a08 0000000000000006 0b04 00000001",
        );
    }

    proptest! {
        #[test]
        fn round_trip(numbers: [u64; 5], signed: [i64; 4], placement in "[a-z]{0,9}", aborted: u32) {
            let record = sample(numbers, signed, placement, aborted);
            prop_assert_eq!(IndexRecord::decode(&record.encode()), Ok(record));
        }
    }
}
