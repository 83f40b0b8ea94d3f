//! What clients altered of a broker's configuration: of one node, or of all of them. Which one is the key.

use std::collections::BTreeMap;

use crate::codec::{Fault, FieldWriter, Fields, Record};
use crate::records::topic::{config_payload, read_config};

/// Configuration that was altered at run time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrokerConfigsRecord {
    /// The values, by Kafka's names.
    pub configs: BTreeMap<String, String>,
}

impl Record for BrokerConfigsRecord {
    const KIND: &'static str = "broker configs";

    fn write(&self, out: &mut FieldWriter) {
        for (key, value) in &self.configs {
            out.bytes(1, &config_payload(key, value));
        }
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let mut configs = BTreeMap::new();
        while let Some(field) = fields.next_field()? {
            if field.tag == 1 {
                let (key, value) = read_config(field)?;
                configs.insert(key, value);
            }
        }
        Ok(Self { configs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::testing::{hex, unhex};
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let sample =
            BrokerConfigsRecord { configs: [("log.retention.ms".to_owned(), "-1".to_owned())].into() };
        let golden = "01 0113 6c6f672e726574656e74696f6e2e6d73 00 2d31";
        assert_eq!(hex(&sample.encode()), golden.replace(' ', ""), "encoding changed: add a version instead");
        assert_eq!(BrokerConfigsRecord::decode(&unhex(golden)), Ok(sample));
        assert_eq!(BrokerConfigsRecord::decode(&[1]), Ok(BrokerConfigsRecord::default()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn round_trip(configs in proptest::collection::btree_map("[a-z.]{1,20}", "\\PC{0,20}", 0..5)) {
            let record = BrokerConfigsRecord { configs };
            prop_assert_eq!(BrokerConfigsRecord::decode(&record.encode()), Ok(record));
        }
    }
}
