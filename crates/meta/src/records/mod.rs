//! The record kinds, one file each: fields, encoding, round trip and the golden bytes of every released version.

mod broker_configs;
mod chain;
mod cluster;
mod index;
mod node;
mod object;
mod object_ids;
mod partition;
mod producer_block;
mod producers;
mod term;
mod topic;
mod topic_name;
mod wal_trim;

pub use broker_configs::BrokerConfigsRecord;
pub use chain::{ChainLife, ChainRecord};
pub use cluster::ClusterRecord;
pub use index::IndexRecord;
pub use node::{NodeRecord, WalKind};
pub use object::{ObjectId, ObjectLife, ObjectRecord};
pub use object_ids::ObjectIdsRecord;
pub use partition::PartitionRecord;
pub use producer_block::ProducerBlockRecord;
pub use producers::{ProducerBatchSnapshot, ProducerSnapshot};
pub use term::TermRecord;
pub use topic::TopicRecord;
pub use topic_name::TopicNameRecord;
pub use wal_trim::WalTrimRecord;

#[cfg(test)]
pub(crate) mod testing {
    use crate::codec::Record;

    pub(crate) fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// The golden bytes decode to the sample, the sample encodes to them, and no prefix of them decodes to it.
    pub(crate) fn golden<R: Record + PartialEq + std::fmt::Debug>(sample: &R, golden: &str) {
        let bytes = unhex(golden);
        assert_eq!(hex(&sample.encode()), hex(&bytes), "encoding changed: add a version instead");
        assert_eq!(&R::decode(&bytes).unwrap(), sample);
        for length in 0..bytes.len() {
            assert_ne!(R::decode(&bytes[..length]).as_ref(), Ok(sample), "length {length}");
        }
    }
}
