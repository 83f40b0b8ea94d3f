//! What the fuzz target and the seeded tests call: bytes in, a broken promise panics.
//!
//! Promises of the metadata store's records and keys: no panic, no memory beyond a small multiple of the bytes, and
//! what decodes also encodes, to bytes that decode to the same again.

use std::fmt::Debug;

use bytes::BytesMut;
use waybill_meta::{
    BrokerConfigsRecord, ChainRecord, ClusterRecord, IndexRecord, NodeRecord, ObjectIdsRecord, ObjectRecord,
    PartitionRecord, ProducerBlockRecord, ProducerSnapshot, Record, TermRecord, TopicNameRecord, TopicRecord,
    WalTrimRecord, keys,
};

/// How many kinds the first byte chooses from.
pub(crate) const KINDS: u8 = 15;

/// A value or a key of the metadata store: the first byte chooses which kind. Answers whether it decoded.
pub(crate) fn value(data: &[u8]) -> bool {
    let Some((kind, bytes)) = data.split_first() else { return false };
    match kind % KINDS {
        0 => record::<ClusterRecord>(bytes),
        1 => record::<NodeRecord>(bytes),
        2 => record::<WalTrimRecord>(bytes),
        3 => record::<TopicRecord>(bytes),
        4 => record::<TopicNameRecord>(bytes),
        5 => record::<PartitionRecord>(bytes),
        6 => record::<ObjectRecord>(bytes),
        7 => record::<IndexRecord>(bytes),
        8 => record::<ObjectIdsRecord>(bytes),
        9 => record::<ProducerBlockRecord>(bytes),
        10 => producers(bytes),
        11 => record::<BrokerConfigsRecord>(bytes),
        12 => record::<ChainRecord>(bytes),
        13 => record::<TermRecord>(bytes),
        _ => key(bytes),
    }
}

fn record<R: Record + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let Ok(first) = R::decode(bytes) else { return false };
    let encoded = first.encode();
    match R::decode(&encoded) {
        Ok(again) => assert_eq!(first, again, "a {} record changes by writing it", R::KIND),
        Err(error) => panic!("own bytes are refused: {error}"),
    }
    true
}

/// Producers stand back to back inside other records.
fn producers(mut bytes: &[u8]) -> bool {
    let mut read = 0;
    while let Some(producer) = ProducerSnapshot::read_from(&mut bytes) {
        let mut encoded = BytesMut::new();
        producer.write_to(&mut encoded);
        let mut rest = &encoded[..];
        assert_eq!(ProducerSnapshot::read_from(&mut rest), Some(producer));
        assert!(rest.is_empty(), "{} own bytes are left", rest.len());
        read += 1;
    }
    read > 0
}

/// A key that parses is the key of what it names.
fn key(bytes: &[u8]) -> bool {
    let partition = keys::parse_partition(bytes).map(keys::partition);
    let object = keys::parse_object(bytes).map(keys::object);
    let index = keys::parse_index(bytes).map(|(of, base)| keys::index(of, base));
    let found: Vec<_> = [partition, object, index].into_iter().flatten().collect();
    assert!(found.len() <= 1, "one key of two kinds: {bytes:?}");
    for key in &found {
        assert_eq!(&key[..], bytes);
    }
    !found.is_empty()
}
