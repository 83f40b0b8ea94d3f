//! What a handler relies on: names, defaults, nulls, versions and paths of errors, on messages known by heart.

use bytes::Bytes;
use waybill_protocol::wire::{
    DecodeErrorKind, EncodeErrorKind, KString, Message, Reader, Records, UnknownTaggedFields, Uuid, Writer,
};
use waybill_protocol_gen::coordinator::{decode_key, decode_value, encode_key, encode_value};
use waybill_protocol_gen::header::{HeaderError, decode_request_header, encode_request_header};
use waybill_protocol_gen::messages::fetch_request::{FetchPartition, FetchTopic};
use waybill_protocol_gen::messages::produce_request::{PartitionProduceData, TopicProduceData};
use waybill_protocol_gen::messages::{
    ApiVersionsRequest, FetchRequest, GroupMetadataKey, HeartbeatRequest, MetadataRequest, OffsetCommitKey,
    OffsetCommitValue, ProduceRequest,
};
use waybill_protocol_gen::{ApiKey, Request};

fn encode<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = Writer::new();
    message.encode(&mut writer, version).unwrap();
    writer.into_bytes().unwrap()
}

fn produce() -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 1500,
        topic_data: vec![TopicProduceData {
            name: "orders".into(),
            partition_data: vec![PartitionProduceData {
                index: 2,
                records: Some(Records::from(Bytes::from_static(b"\x01\x02\x03"))),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn a_produce_request_is_laid_out_as_the_protocol_says() {
    let old = b"\xff\xff\xff\xff\x00\x00\x05\xdc\x00\x00\x00\x01\x00\x06orders\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x01\x02\x03";
    assert_eq!(encode(&produce(), 3)[..], old[..]);
    let flexible =
        b"\x00\xff\xff\x00\x00\x05\xdc\x02\x07orders\x02\x00\x00\x00\x02\x04\x01\x02\x03\x00\x00\x00";
    assert_eq!(encode(&produce(), 9)[..], flexible[..]);
    let back = ProduceRequest::decode(&mut Reader::new(Bytes::from_static(flexible)), 9).unwrap();
    assert_eq!(back, produce());
    assert_eq!(ProduceRequest::KEY, ApiKey::Produce);
}

#[test]
fn records_share_the_frame() {
    let frame = encode(&produce(), 9);
    let message = ProduceRequest::decode(&mut Reader::new(frame.clone()), 9).unwrap();
    let records = message.topic_data[0].partition_data[0].records.as_ref().unwrap().to_bytes();
    let inside = frame.as_ptr_range();
    assert!(inside.contains(&records.as_ptr()), "records were copied");
}

#[test]
fn defaults_are_the_schemas() {
    let fetch = FetchRequest::default();
    assert_eq!((fetch.replica_id, fetch.max_bytes, fetch.session_epoch), (-1, i32::MAX, -1));
    assert_eq!(fetch.cluster_id, None);
    assert_eq!(FetchPartition::default().high_watermark, i64::MAX);
    // Nullable without "default: null" starts empty, not null.
    assert_eq!(MetadataRequest::default().topics, Some(Vec::new()));
    assert!(MetadataRequest::default().allow_auto_topic_creation);
}

#[test]
fn what_a_version_lacks_is_refused_unless_it_may_be_ignored() {
    // RackId (11+) is ignorable; LastFetchedEpoch (12+) is not.
    let mut fetch = FetchRequest { rack_id: "r1".into(), ..Default::default() };
    encode(&fetch, 4);
    let partition = FetchPartition { last_fetched_epoch: 3, ..Default::default() };
    fetch.topics =
        vec![FetchTopic::default(), FetchTopic { partitions: vec![partition], ..Default::default() }];
    encode(&fetch, 12);
    let error = fetch.encode(&mut Writer::new(), 11).unwrap_err();
    assert_eq!(error.kind(), EncodeErrorKind::NotInVersion(11));
    assert_eq!(error.path(), "FetchRequest.topics[1].partitions[0].last_fetched_epoch");
    assert_eq!(
        error.to_string(),
        "FetchRequest.topics[1].partitions[0].last_fetched_epoch: set, but version 11 does not have it"
    );
}

#[test]
fn null_is_refused_where_the_version_has_none() {
    let all = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(encode(&all, 1)[..], [0xff; 4]);
    let error = all.encode(&mut Writer::new(), 0).unwrap_err();
    assert_eq!(
        (error.kind(), error.path().as_str()),
        (EncodeErrorKind::UnexpectedNull, "MetadataRequest.topics")
    );
    let null = Reader::new(Bytes::from_static(&[0xff; 4]));
    let error = MetadataRequest::decode(&mut null.clone(), 0).unwrap_err();
    assert_eq!(
        (error.kind(), error.path().as_str()),
        (DecodeErrorKind::UnexpectedNull, "MetadataRequest.topics")
    );
}

#[test]
fn versions_outside_the_range_are_refused() {
    let error = ProduceRequest::decode(&mut Reader::new(Bytes::new()), 2).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::UnsupportedVersion { version: 2, min: 3, max: 13 });
    assert_eq!(error.to_string(), "ProduceRequest: version 2 is not within 3 to 13 (at byte 0)");
    let error = ProduceRequest::default().encode(&mut Writer::new(), 14).unwrap_err();
    assert_eq!(error.kind(), EncodeErrorKind::UnsupportedVersion { version: 14, min: 3, max: 13 });
}

#[test]
fn a_decode_error_names_the_field_and_the_byte() {
    let whole = encode(&produce(), 9);
    let error = ProduceRequest::decode(&mut Reader::new(whole.slice(..22)), 9).unwrap_err();
    assert_eq!(error.path(), "ProduceRequest.topic_data[0].partition_data[0].records");
    assert_eq!(error.kind(), DecodeErrorKind::Truncated { needed: 3, remaining: 1 });
    assert_eq!(error.offset(), 21);
}

#[test]
fn unknown_tagged_fields_survive_and_need_a_flexible_version() {
    // v4: group, generation, member, instance (null), one tagged field.
    let bytes = b"\x01\x00\x00\x00\x01\x01\x00\x01\x63\x02hi";
    let message = HeartbeatRequest::decode(&mut Reader::new(Bytes::from_static(bytes)), 4).unwrap();
    assert_eq!((message.generation_id, message.group_instance_id.as_deref()), (1, None));
    assert_eq!(message.unknown_tagged_fields.as_slice()[0].tag, 0x63);
    assert_eq!(encode(&message, 4)[..], bytes[..]);
    let error = message.encode(&mut Writer::new(), 3).unwrap_err();
    assert_eq!(error.kind(), EncodeErrorKind::TagsNotSupported(3));
    assert_ne!(message.unknown_tagged_fields, UnknownTaggedFields::default());
}

#[test]
fn headers_take_the_form_of_their_version() {
    let mut writer = Writer::new();
    encode_request_header(&mut writer, ApiKey::Produce, 9, 7, Some("me")).unwrap();
    let bytes = writer.into_bytes().unwrap();
    // The client id keeps its two-byte length even in the flexible header.
    assert_eq!(bytes[..], b"\x00\x00\x00\x09\x00\x00\x00\x07\x00\x02me\x00"[..]);
    let mut reader = Reader::new(bytes);
    let (key, header) = decode_request_header(&mut reader).unwrap();
    assert_eq!((key, header.correlation_id, reader.remaining()), (ApiKey::Produce, 7, 0));
    assert_eq!(header.client_id, Some(KString::from("me")));

    // A version that does not exist yet: the header must still be read, to answer ApiVersions.
    let future = Bytes::from_static(b"\x00\x12\x03\xe7\x00\x00\x00\x01\xff\xff\x00rest");
    let mut reader = Reader::new(future);
    let (key, header) = decode_request_header(&mut reader).unwrap();
    assert_eq!((key, header.request_api_version), (ApiKey::ApiVersions, 999));
    assert_eq!(reader.take_rest(), b"rest"[..]);
    assert_eq!(ApiKey::ApiVersions.response_header_version(3), 0);
    assert!(ApiVersionsRequest::decode(&mut Reader::new(Bytes::new()), 999).is_err());

    let unknown = decode_request_header(&mut Reader::new(Bytes::from_static(b"\x03\xe8\x00\x00")));
    assert!(matches!(unknown, Err(HeaderError::UnknownApiKey(key)) if key.0 == 1000));
}

#[test]
fn coordinator_records_carry_their_type_and_version() {
    let key = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 3 };
    let bytes = encode_key(&key).unwrap();
    assert_eq!(bytes[..], b"\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x03"[..]);
    assert_eq!(decode_key::<OffsetCommitKey>(&bytes).unwrap(), key);
    assert!(decode_key::<GroupMetadataKey>(&bytes).is_err());
    let value = OffsetCommitValue { offset: 9, topic_id: Uuid([1; 16]), ..Default::default() };
    let bytes = encode_value(&value, 4).unwrap();
    assert_eq!(bytes[..2], [0, 4]);
    assert_eq!(decode_value::<OffsetCommitValue>(&bytes).unwrap(), value);
}
