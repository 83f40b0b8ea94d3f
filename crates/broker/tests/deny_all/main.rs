//! Every API key and version that is served, against an authoriser that denies everything: the errors must be those
//! of Kafka's table, nothing may change, and every refusal of something named must be in the audit trail.
//!
//! The table below is written from Kafka 4.x's `KafkaApis` and `ControllerApis`. A key without a line in it, or without
//! a request in `requests`, fails the test.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test: what fails here is what it tests")]

mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use waybill_broker::connection::Connection;
use waybill_broker::handlers::served_keys;
use waybill_broker::net::connection::Service;
use waybill_broker::net::outbox::Reply;
use waybill_broker::{BrokerConfig, ListenerSpec, LocalNode, LocalOptions, Machine};
use waybill_control::Topic;
use waybill_control::create::NewTopic;
use waybill_protocol::wire::{Message, Reader, Writer};
use waybill_protocol_gen::header::encode_request_header;
use waybill_protocol_gen::messages::ResponseHeader;
use waybill_protocol_gen::{ApiKey, Request};
use waybill_security::{DenyAll, MemoryAudit, Outcome, RequestContext};
use waybill_types::{BrokerId, Offset, PartitionId, TopicPartition};

const TOPIC: i16 = 29;
const GROUP: i16 = 30;
const CLUSTER: i16 = 31;
const TRANSACTIONAL_ID: i16 = 53;

/// The errors that a response must carry, and no others; none where everyone is answered.
fn expected(key: ApiKey, version: i16) -> &'static [i16] {
    match key {
        ApiKey::ApiVersions | ApiKey::DescribeCluster => &[],
        // What may not be seen is left out.
        ApiKey::ListGroups => &[],
        ApiKey::Produce
        | ApiKey::Fetch
        | ApiKey::ListOffsets
        | ApiKey::Metadata
        | ApiKey::CreateTopics
        | ApiKey::DeleteTopics
        | ApiKey::DeleteRecords
        | ApiKey::OffsetForLeaderEpoch
        | ApiKey::CreatePartitions
        | ApiKey::DescribeTopicPartitions => &[TOPIC],
        ApiKey::OffsetCommit
        | ApiKey::OffsetFetch
        | ApiKey::JoinGroup
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::SyncGroup
        | ApiKey::DescribeGroups
        | ApiKey::DeleteGroups
        | ApiKey::OffsetDelete
        | ApiKey::FindCoordinator => &[GROUP],
        ApiKey::InitProducerId => &[CLUSTER],
        // Older versions have no place for the error and tell nothing.
        ApiKey::DescribeLogDirs if version < 3 => &[],
        ApiKey::DescribeLogDirs => &[CLUSTER],
        // A topic and a broker are asked for.
        ApiKey::DescribeConfigs | ApiKey::AlterConfigs | ApiKey::IncrementalAlterConfigs => &[TOPIC, CLUSTER],
        other => panic!("{other} is served, but Kafka's table of refusals has no line for it"),
    }
}

/// A node that denies everything, with one topic that was made past the gate.
struct World {
    node: LocalNode,
    audit: Arc<MemoryAudit>,
    topic: Arc<Topic>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = ListenerSpec { name: "PLAINTEXT".into(), addr: "127.0.0.1:0".parse().unwrap() };
        let config =
            BrokerConfig::new(BrokerId(1), vec![listener], Vec::new(), BTreeMap::new(), String::new());
        let audit = Arc::new(MemoryAudit::new(10_000));
        let mut options = LocalOptions::new(config.unwrap(), folder.path().join("storage"));
        options.authorizer = Arc::new(DenyAll);
        options.audit = audit.clone();
        let machine = Machine::real();
        let node = LocalNode::start(options, machine).await.unwrap();
        let new = NewTopic {
            name: requests::TOPIC.to_owned(),
            partitions: 1,
            replication_factor: 1,
            ..NewTopic::default()
        };
        let made = node.broker.controller.create_topics(vec![new], false).await.unwrap();
        let topic = made.into_iter().next().unwrap().unwrap();
        Self { node, audit, topic, _folder: folder }
    }

    /// Sends a request of some version and gives the non-zero error codes of its response.
    async fn ask<R: Request>(&self, version: i16, request: R) -> BTreeSet<i16> {
        let mut writer = Writer::new();
        encode_request_header(&mut writer, R::KEY, version, 7, Some("test")).unwrap();
        request.encode(&mut writer, version).unwrap_or_else(|error| panic!("{} v{version}: {error}", R::KEY));
        let frame = BytesMut::from(&writer.into_bytes().unwrap()[..]);
        let context = RequestContext::internal(self.node.broker.clock.now());
        let mut connection = Connection::new(Arc::clone(&self.node.broker), context);
        let reply = connection.start(frame).await.await;
        let Reply::Send { segments, .. } = reply else { panic!("{} v{version}: {reply:?}", R::KEY) };
        let bytes = Bytes::from(segments.concat()).slice(4..);
        let mut reader = Reader::new(bytes);
        let header = ResponseHeader::decode(&mut reader, R::KEY.response_header_version(version)).unwrap();
        assert_eq!(header.correlation_id, 7);
        let response = R::Response::decode(&mut reader, version).unwrap();
        error_codes(&format!("{response:?}"))
    }
}

/// The non-zero codes after every `error_code:` of a response as it is shown.
fn error_codes(shown: &str) -> BTreeSet<i16> {
    let after = shown.split("error_code: ").skip(1);
    let codes = after.map(|rest| {
        let end = rest.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse::<i16>().unwrap()
    });
    codes.filter(|code| *code != 0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_and_version_refuses_as_kafka_does() {
    let world = World::start().await;
    let mut asked = 0;
    let mut wrong = Vec::new();
    for key in served_keys() {
        for version in key.stable_versions() {
            let before = world.audit.events().len();
            let codes = requests::send(&world, key, version).await;
            let expected: BTreeSet<i16> = expected(key, version).iter().copied().collect();
            if codes != expected {
                wrong.push(format!("{key} v{version}: {codes:?}, Kafka {expected:?}"));
            }
            let denials = world.audit.events().split_off(before);
            assert!(denials.iter().all(|event| event.outcome == Outcome::Denied), "{denials:?}");
            if denials.is_empty() && !expected.is_empty() {
                wrong.push(format!("{key} v{version}: refused without a trace"));
            }
            asked += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // 25 keys with all their versions: fewer means that something is not served any more.
    assert!(asked >= 130, "only {asked} versions were asked");
    let image = world.node.broker.controller.image();
    let names: Vec<_> = image.topics().map(|topic| topic.name.to_string()).collect();
    assert_eq!(names, [requests::TOPIC], "topics were made or deleted");
    assert_eq!(image.topic(requests::TOPIC).unwrap().partitions, 1);
    assert_eq!(image.topic(requests::TOPIC).unwrap().configs, world.topic.configs);
    let log = TopicPartition::new(world.topic.id, PartitionId(0));
    assert_eq!(world.node.broker.engine.partition(&log).unwrap().high_watermark(), Offset::ZERO);
    assert!(world.node.broker.groups.desks().is_empty(), "a group was reached");
    world.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn transactional_ids_are_refused_as_such() {
    let world = World::start().await;
    let codes: BTreeSet<i16> = [TRANSACTIONAL_ID].into();
    for version in ApiKey::InitProducerId.stable_versions() {
        assert_eq!(world.ask(version, requests::init_producer_id(Some("tx"))).await, codes, "v{version}");
    }
    for version in 1..=*ApiKey::FindCoordinator.stable_versions().end() {
        assert_eq!(world.ask(version, requests::find_coordinator(version, 1)).await, codes, "v{version}");
    }
    world.node.stop().await.unwrap();
}
