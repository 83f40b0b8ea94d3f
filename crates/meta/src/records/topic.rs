//! A topic.

use std::collections::BTreeMap;

use waybill_types::{TimestampMs, TopicId};

use crate::codec::{Fault, Field, FieldWriter, Fields, Record};

/// A topic as it was created and configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRecord {
    /// Its id, never reused.
    pub id: TopicId,
    /// Its name.
    pub name: String,
    /// How many partitions it has, numbered from 0.
    pub partitions: i32,
    /// The replication factor that was asked for: stored and echoed.
    pub replication_factor: i16,
    /// The configs that were set, by Kafka's names and Waybill's.
    pub configs: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: TimestampMs,
}

/// A config's field holds the key, a zero byte, the value: a key never contains a zero byte.
/// A configuration as a payload: key, zero byte, value.
pub(super) fn config_payload(key: &str, value: &str) -> Vec<u8> {
    [key.as_bytes(), &[0], value.as_bytes()].concat()
}

/// Reads a [`config_payload`].
pub(super) fn read_config(field: Field<'_>) -> Result<(String, String), Fault> {
    let (key, value) = field.text()?.split_once('\0').ok_or_else(|| field.malformed())?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Record for TopicRecord {
    const KIND: &'static str = "topic";

    fn write(&self, out: &mut FieldWriter) {
        out.bytes(1, self.id.as_bytes());
        out.text(2, &self.name);
        out.i32(3, self.partitions);
        out.i16(4, self.replication_factor);
        out.i64(5, self.created_at.get());
        for (key, value) in &self.configs {
            out.bytes(6, &config_payload(key, value));
        }
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let (mut id, mut name, mut partitions, mut replication_factor) = (None, None, None, None);
        let (mut configs, mut created_at) = (BTreeMap::new(), TimestampMs::NONE);
        while let Some(field) = fields.next_field()? {
            match field.tag {
                1 => id = Some(TopicId(field.array()?)),
                2 => name = Some(field.text()?.to_owned()),
                3 => partitions = Some(field.i32()?),
                4 => replication_factor = Some(field.i16()?),
                5 => created_at = TimestampMs(field.i64()?),
                6 => {
                    let (key, value) = read_config(field)?;
                    configs.insert(key, value);
                }
                _ => {}
            }
        }
        Ok(Self {
            id: id.ok_or(Fault::Missing(1))?,
            name: name.ok_or(Fault::Missing(2))?,
            partitions: partitions.ok_or(Fault::Missing(3))?,
            replication_factor: replication_factor.ok_or(Fault::Missing(4))?,
            configs,
            created_at,
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
        let sample = TopicRecord {
            id: TopicId([1; 16]),
            name: "scans".into(),
            partitions: 3,
            replication_factor: -1,
            configs: [("retention.ms".to_owned(), "-1".to_owned())].into(),
            created_at: TimestampMs(7),
        };
        golden(
            &sample,
            "01 0110 01010101010101010101010101010101 0205 7363616e73 0304 00000003 0402 ffff
             0508 0000000000000007 060f 726574656e74696f6e2e6d73 00 2d31",
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn round_trip(
            id: [u8; 16], name in "[a-zA-Z0-9._-]{1,30}", partitions: i32, factor: i16, at: i64,
            configs in proptest::collection::btree_map("[a-z.]{1,20}", "\\PC{0,20}", 0..5),
        ) {
            let record = TopicRecord {
                id: TopicId(id), name, partitions, replication_factor: factor, configs, created_at: TimestampMs(at),
            };
            prop_assert_eq!(TopicRecord::decode(&record.encode()), Ok(record));
        }
    }
}
