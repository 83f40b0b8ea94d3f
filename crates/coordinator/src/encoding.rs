//! Records as the bytes of Kafka's schemas, so that whatever reads `__consumer_offsets` of Kafka reads ours.
//!
//! Versions are those that Kafka writes: `GroupMetadataValue` 3, `OffsetCommitValue` 4, or 1 where the client gave a
//! retention. All versions are read. Records of other kinds of groups are not ours yet and are passed over.

use bytes::Bytes;
use waybill_protocol::Uuid;
use waybill_protocol::wire::{EncodeError, KString};
use waybill_protocol_gen::coordinator::{
    CoordinatorKey, RecordError, decode_key, decode_value, encode_key, encode_value, record_type,
};
use waybill_protocol_gen::messages::group_metadata_value::MemberMetadata;
use waybill_protocol_gen::messages::{
    GroupMetadataKey, GroupMetadataValue, LegacyOffsetCommitKey, LegacyOffsetCommitValue, OffsetCommitKey,
    OffsetCommitValue,
};
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use crate::record::{GroupValue, MemberValue, OffsetValue, Record};

const GROUP_VERSION: i16 = 3;
const OFFSET_VERSION: i16 = 4;
const EXPIRING_OFFSET_VERSION: i16 = 1;

/// The key and the value of a record; a tombstone has no value.
///
/// # Errors
/// A name is longer than Kafka's 32,767 bytes.
pub fn encode(record: &Record) -> Result<(Bytes, Option<Bytes>), EncodeError> {
    match record {
        Record::Group { group, value } => {
            let key = encode_key(&GroupMetadataKey { group: group.into() })?;
            let value = value.as_ref().map(|value| encode_value(&group_value(value), GROUP_VERSION));
            Ok((key, value.transpose()?))
        }
        Record::Offset { group, topic, partition, value } => {
            let key = encode_key(&OffsetCommitKey {
                group: group.into(),
                topic: topic.into(),
                partition: partition.0,
            })?;
            let value = value.as_ref().map(|value| {
                let expiring = value.expires.is_some();
                encode_value(
                    &offset_value(value),
                    if expiring { EXPIRING_OFFSET_VERSION } else { OFFSET_VERSION },
                )
            });
            Ok((key, value.transpose()?))
        }
    }
}

/// The record that a key and a value hold; none where it is of a kind that is not ours.
///
/// # Errors
/// The bytes are not what their type and version say.
pub fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Option<Record>, RecordError> {
    match record_type(key)? {
        LegacyOffsetCommitKey::ID => {
            let key: LegacyOffsetCommitKey = decode_key(key)?;
            let value = value.map(decode_value::<LegacyOffsetCommitValue>).transpose()?;
            Ok(Some(Record::Offset {
                group: key.group.into(),
                topic: key.topic.into(),
                partition: PartitionId(key.partition),
                value: value.map(|value| OffsetValue {
                    offset: Offset(value.offset),
                    leader_epoch: -1,
                    metadata: value.metadata.into(),
                    committed: TimestampMs(value.commit_timestamp),
                    expires: None,
                    topic_id: TopicId::ZERO,
                }),
            }))
        }
        OffsetCommitKey::ID => {
            let key: OffsetCommitKey = decode_key(key)?;
            let value = value.map(decode_value::<OffsetCommitValue>).transpose()?;
            Ok(Some(Record::Offset {
                group: key.group.into(),
                topic: key.topic.into(),
                partition: PartitionId(key.partition),
                value: value.map(read_offset),
            }))
        }
        GroupMetadataKey::ID => {
            let key: GroupMetadataKey = decode_key(key)?;
            let value = value.map(decode_value::<GroupMetadataValue>).transpose()?;
            Ok(Some(Record::Group { group: key.group.into(), value: value.map(read_group) }))
        }
        _ => Ok(None),
    }
}

fn group_value(value: &GroupValue) -> GroupMetadataValue {
    GroupMetadataValue {
        protocol_type: value.protocol_type.as_str().into(),
        generation: value.generation,
        protocol: value.protocol.as_deref().map(KString::from),
        leader: value.leader.as_deref().map(KString::from),
        current_state_timestamp: value.since.map_or(-1, TimestampMs::get),
        members: value.members.iter().map(member_value).collect(),
        ..GroupMetadataValue::default()
    }
}

fn member_value(member: &MemberValue) -> MemberMetadata {
    MemberMetadata {
        member_id: member.member_id.as_str().into(),
        group_instance_id: member.instance_id.as_deref().map(KString::from),
        client_id: member.client_id.as_str().into(),
        client_host: member.client_host.as_str().into(),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: member.subscription.clone(),
        assignment: member.assignment.clone(),
        ..MemberMetadata::default()
    }
}

fn offset_value(value: &OffsetValue) -> OffsetCommitValue {
    OffsetCommitValue {
        offset: value.offset.0,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata.as_str().into(),
        commit_timestamp: value.committed.0,
        expire_timestamp: value.expires.map_or(-1, TimestampMs::get),
        topic_id: Uuid(value.topic_id.0),
        ..OffsetCommitValue::default()
    }
}

fn read_group(value: GroupMetadataValue) -> GroupValue {
    GroupValue {
        protocol_type: value.protocol_type.into(),
        generation: value.generation,
        protocol: value.protocol.map(String::from),
        leader: value.leader.map(String::from),
        since: Some(TimestampMs(value.current_state_timestamp)).filter(|at| *at != TimestampMs::NONE),
        members: value.members.into_iter().map(read_member).collect(),
    }
}

/// Subscription and assignment are copied: they outlive the block of the log that they were read from.
fn read_member(member: MemberMetadata) -> MemberValue {
    MemberValue {
        member_id: member.member_id.into(),
        instance_id: member.group_instance_id.map(String::from),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        rebalance_timeout_ms: member.rebalance_timeout,
        session_timeout_ms: member.session_timeout,
        subscription: Bytes::copy_from_slice(&member.subscription),
        assignment: Bytes::copy_from_slice(&member.assignment),
    }
}

fn read_offset(value: OffsetCommitValue) -> OffsetValue {
    OffsetValue {
        offset: Offset(value.offset),
        leader_epoch: value.leader_epoch,
        metadata: value.metadata.into(),
        committed: TimestampMs(value.commit_timestamp),
        expires: Some(TimestampMs(value.expire_timestamp)).filter(|at| *at != TimestampMs::NONE),
        topic_id: TopicId(value.topic_id.0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member() -> impl Strategy<Value = MemberValue> {
        let texts = (".{0,12}", prop::option::of(".{0,8}"), ".{0,8}", ".{0,8}");
        (texts, any::<(i32, i32)>(), any::<(Vec<u8>, Vec<u8>)>()).prop_map(|(texts, timeouts, bytes)| {
            MemberValue {
                member_id: texts.0,
                instance_id: texts.1,
                client_id: texts.2,
                client_host: texts.3,
                rebalance_timeout_ms: timeouts.0,
                session_timeout_ms: timeouts.1,
                subscription: bytes.0.into(),
                assignment: bytes.1.into(),
            }
        })
    }

    fn group() -> impl Strategy<Value = Record> {
        let texts = (".{0,12}", ".{0,8}", prop::option::of(".{0,8}"), prop::option::of(".{0,8}"));
        let value = (texts, any::<i32>(), prop::option::of(0i64..), prop::collection::vec(member(), 0..4));
        (value, any::<bool>()).prop_map(|((texts, generation, since, members), kept)| Record::Group {
            group: texts.0,
            value: kept.then(|| GroupValue {
                protocol_type: texts.1,
                generation,
                protocol: texts.2,
                leader: texts.3,
                since: since.map(TimestampMs),
                members,
            }),
        })
    }

    fn offset() -> impl Strategy<Value = Record> {
        let key = (".{0,12}", ".{0,12}", any::<i32>());
        let value = (
            any::<i64>(),
            any::<i32>(),
            ".{0,12}",
            any::<i64>(),
            prop::option::of(0i64..),
            any::<[u8; 16]>(),
        );
        (key, prop::option::of(value)).prop_map(|(key, value)| Record::Offset {
            group: key.0,
            topic: key.1,
            partition: PartitionId(key.2),
            value: value.map(|(offset, leader_epoch, metadata, committed, expires, topic_id)| OffsetValue {
                offset: Offset(offset),
                // Version 1, which keeps the retention, has neither.
                leader_epoch: if expires.is_some() { -1 } else { leader_epoch },
                topic_id: if expires.is_some() { TopicId::ZERO } else { TopicId(topic_id) },
                metadata,
                committed: TimestampMs(committed),
                expires: expires.map(TimestampMs),
            }),
        })
    }

    #[test]
    fn a_simple_offset_has_the_bytes_that_kafka_writes() {
        let record = Record::Offset {
            group: "g".into(),
            topic: "t".into(),
            partition: PartitionId(3),
            value: Some(OffsetValue {
                offset: Offset(7),
                leader_epoch: 2,
                metadata: "m".into(),
                committed: TimestampMs(258),
                expires: None,
                topic_id: TopicId::ZERO,
            }),
        };
        let (key, value) = encode(&record).unwrap();
        assert_eq!(&key[..], b"\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x03");
        let expected = b"\x00\x04\0\0\0\0\0\0\0\x07\0\0\0\x02\x02m\0\0\0\0\0\0\x01\x02\x00";
        assert_eq!(&value.unwrap()[..], expected);
    }

    #[test]
    fn records_of_other_kinds_are_passed_over() {
        let key = Bytes::from_static(b"\x00\x03\x00\x01g");
        assert_eq!(decode(&key, None), Ok(None));
        assert!(decode(&Bytes::from_static(b"\x00"), None).is_err());
        assert!(decode(&Bytes::from_static(b"\x00\x02\x00\x05g"), None).is_err());
    }

    proptest! {
        #[test]
        fn groups_survive_their_encoding(record in group()) {
            let (key, value) = encode(&record).unwrap();
            prop_assert_eq!(decode(&key, value.as_ref()), Ok(Some(record)));
        }

        #[test]
        fn offsets_survive_their_encoding(record in offset()) {
            let (key, value) = encode(&record).unwrap();
            prop_assert_eq!(decode(&key, value.as_ref()), Ok(Some(record)));
        }

        #[test]
        fn no_bytes_panic(key: Vec<u8>, value: Vec<u8>) {
            let _ = decode(&Bytes::from(key), Some(&Bytes::from(value)));
        }
    }
}
