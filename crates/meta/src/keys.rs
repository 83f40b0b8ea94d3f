//! The key space: one leading byte for each record kind, then big-endian parts, so that byte order is numeric order.
//!
//! A leading byte is never given to another kind.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use waybill_types::{BrokerId, Incarnation, Offset, PartitionId, TopicId, TopicPartition};

use crate::records::ObjectId;

const CLUSTER: u8 = 0x01;
const NODE: u8 = 0x02;
const WAL_TRIM: u8 = 0x03;
const TERM: u8 = 0x04;
const CHAIN: u8 = 0x05;
const BROKER_CONFIGS: u8 = 0x06;
const TOPIC: u8 = 0x10;
const TOPIC_NAME: u8 = 0x11;
const PARTITION: u8 = 0x12;
const OBJECT: u8 = 0x20;
const INDEX: u8 = 0x21;
const OBJECT_IDS: u8 = 0x22;
const PRODUCER_BLOCK: u8 = 0x30;

fn key(kind: u8, parts: &[&[u8]]) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    out.put_u8(kind);
    for part in parts {
        out.put_slice(part);
    }
    out.freeze()
}

/// Signed numbers are never negative in keys; this keeps their order.
fn partition_part(partition: PartitionId) -> [u8; 4] {
    partition.get().to_be_bytes()
}

/// All keys that start with `prefix`.
fn below(prefix: Bytes) -> Range<Bytes> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    prefix..Bytes::from(end)
}

/// The cluster.
#[must_use]
pub fn cluster() -> Bytes {
    key(CLUSTER, &[])
}

/// A node's registration.
#[must_use]
pub fn node(node: BrokerId) -> Bytes {
    key(NODE, &[&node.get().to_be_bytes()])
}

/// Every node's registration.
#[must_use]
pub fn nodes() -> Range<Bytes> {
    below(key(NODE, &[]))
}

/// Where a node's WAL is trimmed.
#[must_use]
pub fn wal_trim(node: BrokerId) -> Bytes {
    key(WAL_TRIM, &[&node.get().to_be_bytes()])
}

/// The newest term whose owner has made a commit.
#[must_use]
pub fn term() -> Bytes {
    key(TERM, &[])
}

/// The chain of an incarnation.
#[must_use]
pub fn chain(node: BrokerId, incarnation: Incarnation) -> Bytes {
    key(CHAIN, &[&node.get().to_be_bytes(), &incarnation.get().to_be_bytes()])
}

/// The chains of a node, oldest first.
#[must_use]
pub fn chains_of(node: BrokerId) -> Range<Bytes> {
    below(key(CHAIN, &[&node.get().to_be_bytes()]))
}

/// Every chain.
#[must_use]
pub fn chains() -> Range<Bytes> {
    below(key(CHAIN, &[]))
}

/// What clients altered of a node's configuration; without a node, of all nodes'.
#[must_use]
pub fn broker_configs(node: Option<BrokerId>) -> Bytes {
    match node {
        Some(node) => key(BROKER_CONFIGS, &[&node.get().to_be_bytes()]),
        None => key(BROKER_CONFIGS, &[]),
    }
}

/// A topic.
#[must_use]
pub fn topic(id: TopicId) -> Bytes {
    key(TOPIC, &[id.as_bytes()])
}

/// Every topic.
#[must_use]
pub fn topics() -> Range<Bytes> {
    below(key(TOPIC, &[]))
}

/// A topic's name.
#[must_use]
pub fn topic_name(name: &str) -> Bytes {
    key(TOPIC_NAME, &[name.as_bytes()])
}

/// Every topic name.
#[must_use]
pub fn topic_names() -> Range<Bytes> {
    below(key(TOPIC_NAME, &[]))
}

/// A partition.
#[must_use]
pub fn partition(of: TopicPartition) -> Bytes {
    key(PARTITION, &[of.topic.as_bytes(), &partition_part(of.partition)])
}

/// Every partition of a topic.
#[must_use]
pub fn partitions_of(topic: TopicId) -> Range<Bytes> {
    below(key(PARTITION, &[topic.as_bytes()]))
}

/// Every partition.
#[must_use]
pub fn partitions() -> Range<Bytes> {
    below(key(PARTITION, &[]))
}

/// The partition that a key of [`partition`] names.
#[must_use]
pub fn parse_partition(key: &[u8]) -> Option<TopicPartition> {
    let (kind, rest) = key.split_first()?;
    let (topic, rest) = rest.split_first_chunk::<16>()?;
    let partition = i32::from_be_bytes(rest.try_into().ok()?);
    (*kind == PARTITION).then(|| TopicPartition::new(TopicId(*topic), PartitionId(partition)))
}

/// An object.
#[must_use]
pub fn object(id: ObjectId) -> Bytes {
    key(OBJECT, &[&id.get().to_be_bytes()])
}

/// The object that a key of [`object`] names.
#[must_use]
pub fn parse_object(key: &[u8]) -> Option<ObjectId> {
    let (kind, rest) = key.split_first()?;
    let id = u64::from_be_bytes(rest.try_into().ok()?);
    (*kind == OBJECT).then_some(ObjectId(id))
}

/// Every object.
#[must_use]
pub fn objects() -> Range<Bytes> {
    below(key(OBJECT, &[]))
}

/// The index entry of a partition's slice that starts at `base`.
#[must_use]
pub fn index(of: TopicPartition, base: Offset) -> Bytes {
    key(INDEX, &[of.topic.as_bytes(), &partition_part(of.partition), &base.get().to_be_bytes()])
}

/// The index of a partition.
#[must_use]
pub fn index_of(of: TopicPartition) -> Range<Bytes> {
    below(key(INDEX, &[of.topic.as_bytes(), &partition_part(of.partition)]))
}

/// The index of a topic.
#[must_use]
pub fn index_of_topic(topic: TopicId) -> Range<Bytes> {
    below(key(INDEX, &[topic.as_bytes()]))
}

/// The partition and base offset that a key of [`index`] names.
#[must_use]
pub fn parse_index(key: &[u8]) -> Option<(TopicPartition, Offset)> {
    let (kind, rest) = key.split_first()?;
    let (topic, rest) = rest.split_first_chunk::<16>()?;
    let (partition, rest) = rest.split_first_chunk::<4>()?;
    let base = i64::from_be_bytes(rest.try_into().ok()?);
    let of = TopicPartition::new(TopicId(*topic), PartitionId(i32::from_be_bytes(*partition)));
    (*kind == INDEX).then_some((of, Offset(base)))
}

/// The next object id.
#[must_use]
pub fn object_ids() -> Bytes {
    key(OBJECT_IDS, &[])
}

/// The next producer id.
#[must_use]
pub fn producer_block() -> Bytes {
    key(PRODUCER_BLOCK, &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_hold_exactly_their_keys() {
        let topic = TopicId([0xff; 16]);
        let one = TopicPartition::new(topic, PartitionId(1));
        assert!(partitions().contains(&partition(one)));
        assert!(partitions_of(topic).contains(&partition(one)));
        assert!(!partitions_of(TopicId([0xfe; 16])).contains(&partition(one)));
        assert!(!topics().contains(&topic_name("a")));
        let chain = super::chain(BrokerId(2), Incarnation(u64::MAX));
        assert!(chains().contains(&chain) && chains_of(BrokerId(2)).contains(&chain));
        assert!(!chains_of(BrokerId(3)).contains(&chain) && !chains().contains(&term()));
        assert!(index_of(one).contains(&index(one, Offset(i64::MAX))));
        assert!(!index_of(TopicPartition::new(topic, PartitionId(2))).contains(&index(one, Offset(0))));
    }

    proptest! {
        #[test]
        fn keys_parse_back_and_keep_offset_order(
            topic: [u8; 16], partition in 0..i32::MAX, one in 0..i64::MAX, two in 0..i64::MAX,
        ) {
            let of = TopicPartition::new(TopicId(topic), PartitionId(partition));
            prop_assert_eq!(parse_partition(&super::partition(of)), Some(of));
            prop_assert_eq!(parse_object(&object(ObjectId(one as u64))), Some(ObjectId(one as u64)));
            prop_assert_eq!(parse_index(&index(of, Offset(one))), Some((of, Offset(one))));
            prop_assert_eq!(index(of, Offset(one)).cmp(&index(of, Offset(two))), one.cmp(&two));
        }
    }
}
