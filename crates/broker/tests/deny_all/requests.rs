//! One request for each key that is served, naming a topic, a group or the cluster, in a given version.

use std::collections::BTreeSet;

use waybill_protocol::wire::Uuid;
use waybill_protocol_gen::ApiKey;
use waybill_protocol_gen::messages::*;

use super::World;

pub(super) const TOPIC: &str = "orders";
const GROUP: &str = "readers";

/// Kafka's `ConfigResource.Type`.
const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;

/// Sends the request of `key` in `version`.
pub(super) async fn send(world: &World, key: ApiKey, version: i16) -> BTreeSet<i16> {
    let id = Uuid(world.topic.id.0);
    match key {
        ApiKey::Produce => world.ask(version, produce(version, id)).await,
        ApiKey::Fetch => world.ask(version, fetch(version, id)).await,
        ApiKey::ListOffsets => world.ask(version, list_offsets()).await,
        ApiKey::Metadata => world.ask(version, metadata(version, id)).await,
        ApiKey::ApiVersions => world.ask(version, api_versions()).await,
        ApiKey::CreateTopics => world.ask(version, create_topics()).await,
        ApiKey::DeleteTopics => world.ask(version, delete_topics(version)).await,
        ApiKey::DeleteRecords => world.ask(version, delete_records()).await,
        ApiKey::InitProducerId => world.ask(version, init_producer_id(None)).await,
        ApiKey::OffsetForLeaderEpoch => world.ask(version, offset_for_leader_epoch()).await,
        ApiKey::DescribeConfigs => world.ask(version, describe_configs()).await,
        ApiKey::AlterConfigs => world.ask(version, alter_configs()).await,
        ApiKey::IncrementalAlterConfigs => world.ask(version, incremental_alter_configs()).await,
        ApiKey::DescribeLogDirs => {
            world.ask(version, DescribeLogDirsRequest { topics: None, ..Default::default() }).await
        }
        ApiKey::CreatePartitions => world.ask(version, create_partitions()).await,
        ApiKey::DescribeCluster => world.ask(version, DescribeClusterRequest::default()).await,
        ApiKey::DescribeTopicPartitions => world.ask(version, describe_topic_partitions()).await,
        _ => send_to_group(world, key, version, id).await,
    }
}

async fn send_to_group(world: &World, key: ApiKey, version: i16, id: Uuid) -> BTreeSet<i16> {
    match key {
        ApiKey::FindCoordinator => world.ask(version, find_coordinator(version, 0)).await,
        ApiKey::JoinGroup => world.ask(version, join_group()).await,
        ApiKey::SyncGroup => world.ask(version, sync_group(version)).await,
        ApiKey::Heartbeat => {
            world.ask(version, HeartbeatRequest { group_id: GROUP.into(), ..Default::default() }).await
        }
        ApiKey::LeaveGroup => world.ask(version, leave_group(version)).await,
        ApiKey::OffsetCommit => world.ask(version, offset_commit(version, id)).await,
        ApiKey::OffsetFetch => world.ask(version, offset_fetch(version, id)).await,
        ApiKey::OffsetDelete => world.ask(version, offset_delete()).await,
        ApiKey::ListGroups => world.ask(version, ListGroupsRequest::default()).await,
        ApiKey::DescribeGroups => {
            world
                .ask(version, DescribeGroupsRequest { groups: vec![GROUP.into()], ..Default::default() })
                .await
        }
        ApiKey::DeleteGroups => {
            world
                .ask(version, DeleteGroupsRequest { groups_names: vec![GROUP.into()], ..Default::default() })
                .await
        }
        other => panic!("{other} is served, but there is no request for it here"),
    }
}

fn produce(version: i16, topic_id: Uuid) -> ProduceRequest {
    use produce_request::{PartitionProduceData, TopicProduceData};
    let partition =
        PartitionProduceData { records: Some(Vec::<bytes::Bytes>::new().into()), ..Default::default() };
    let mut topic = TopicProduceData { partition_data: vec![partition], ..Default::default() };
    if version >= 13 {
        topic.topic_id = topic_id
    } else {
        topic.name = TOPIC.into()
    }
    ProduceRequest { acks: 1, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() }
}

fn fetch(version: i16, topic_id: Uuid) -> FetchRequest {
    use fetch_request::{FetchPartition, FetchTopic};
    let partition = FetchPartition { partition_max_bytes: 1000, ..Default::default() };
    let mut topic = FetchTopic { partitions: vec![partition], ..Default::default() };
    if version >= 13 {
        topic.topic_id = topic_id
    } else {
        topic.topic = TOPIC.into()
    }
    FetchRequest { topics: vec![topic], max_wait_ms: 10, ..Default::default() }
}

fn list_offsets() -> ListOffsetsRequest {
    use list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    let partition = ListOffsetsPartition { timestamp: -1, ..Default::default() };
    let topic = ListOffsetsTopic { name: TOPIC.into(), partitions: vec![partition], ..Default::default() };
    ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() }
}

fn metadata(version: i16, topic_id: Uuid) -> MetadataRequest {
    use metadata_request::MetadataRequestTopic;
    let mut topic = MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() };
    if version >= 12 {
        (topic.name, topic.topic_id) = (None, topic_id);
    }
    MetadataRequest { topics: Some(vec![topic]), ..Default::default() }
}

fn api_versions() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: "test".into(),
        client_software_version: "1".into(),
        ..Default::default()
    }
}

fn create_topics() -> CreateTopicsRequest {
    let topic = create_topics_request::CreatableTopic {
        name: "another".into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    CreateTopicsRequest { topics: vec![topic], ..Default::default() }
}

fn delete_topics(version: i16) -> DeleteTopicsRequest {
    let named = delete_topics_request::DeleteTopicState { name: Some(TOPIC.into()), ..Default::default() };
    let (topics, topic_names) =
        if version >= 6 { (vec![named], vec![]) } else { (vec![], vec![TOPIC.into()]) };
    DeleteTopicsRequest { topics, topic_names, timeout_ms: 1000, ..Default::default() }
}

fn delete_records() -> DeleteRecordsRequest {
    use delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    let partition = DeleteRecordsPartition { offset: -1, ..Default::default() };
    let topic = DeleteRecordsTopic { name: TOPIC.into(), partitions: vec![partition], ..Default::default() };
    DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() }
}

pub(super) fn init_producer_id(transactional_id: Option<&str>) -> InitProducerIdRequest {
    InitProducerIdRequest {
        transactional_id: transactional_id.map(Into::into),
        transaction_timeout_ms: 1000,
        ..Default::default()
    }
}

fn offset_for_leader_epoch() -> OffsetForLeaderEpochRequest {
    use offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
    let partitions = vec![OffsetForLeaderPartition::default()];
    let topic = OffsetForLeaderTopic { topic: TOPIC.into(), partitions, ..Default::default() };
    OffsetForLeaderEpochRequest { topics: vec![topic], ..Default::default() }
}

fn describe_configs() -> DescribeConfigsRequest {
    let of = |resource_type, name: &str| describe_configs_request::DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: None,
        ..Default::default()
    };
    let resources = vec![of(TOPIC_RESOURCE, TOPIC), of(BROKER_RESOURCE, "1")];
    DescribeConfigsRequest { resources, ..Default::default() }
}

fn alter_configs() -> AlterConfigsRequest {
    use alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let of = |resource_type, name: &str, key: &str| AlterConfigsResource {
        resource_type,
        resource_name: name.into(),
        configs: vec![AlterableConfig { name: key.into(), value: Some("1".into()), ..Default::default() }],
        ..Default::default()
    };
    let resources =
        vec![of(TOPIC_RESOURCE, TOPIC, "retention.ms"), of(BROKER_RESOURCE, "1", "log.cleaner.threads")];
    AlterConfigsRequest { resources, ..Default::default() }
}

fn incremental_alter_configs() -> IncrementalAlterConfigsRequest {
    use incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let of = |resource_type, name: &str, key: &str| AlterConfigsResource {
        resource_type,
        resource_name: name.into(),
        configs: vec![AlterableConfig { name: key.into(), value: Some("1".into()), ..Default::default() }],
        ..Default::default()
    };
    let resources =
        vec![of(TOPIC_RESOURCE, TOPIC, "retention.ms"), of(BROKER_RESOURCE, "1", "log.cleaner.threads")];
    IncrementalAlterConfigsRequest { resources, ..Default::default() }
}

fn create_partitions() -> CreatePartitionsRequest {
    let topic = create_partitions_request::CreatePartitionsTopic {
        name: TOPIC.into(),
        count: 2,
        assignments: None,
        ..Default::default()
    };
    CreatePartitionsRequest { topics: vec![topic], ..Default::default() }
}

fn describe_topic_partitions() -> DescribeTopicPartitionsRequest {
    let topic = describe_topic_partitions_request::TopicRequest { name: TOPIC.into(), ..Default::default() };
    DescribeTopicPartitionsRequest { topics: vec![topic], ..Default::default() }
}

pub(super) fn find_coordinator(version: i16, key_type: i8) -> FindCoordinatorRequest {
    let mut request = FindCoordinatorRequest { key_type, ..Default::default() };
    if version >= 4 {
        request.coordinator_keys = vec![GROUP.into()]
    } else {
        request.key = GROUP.into()
    }
    request
}

fn join_group() -> JoinGroupRequest {
    let protocol =
        join_group_request::JoinGroupRequestProtocol { name: "range".into(), ..Default::default() };
    JoinGroupRequest {
        group_id: GROUP.into(),
        session_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    }
}

fn sync_group(version: i16) -> SyncGroupRequest {
    let mut request =
        SyncGroupRequest { group_id: GROUP.into(), member_id: "m".into(), ..Default::default() };
    if version >= 5 {
        request.protocol_type = Some("consumer".into());
        request.protocol_name = Some("range".into());
    }
    request
}

fn leave_group(version: i16) -> LeaveGroupRequest {
    let mut request = LeaveGroupRequest { group_id: GROUP.into(), ..Default::default() };
    if version >= 3 {
        let member = leave_group_request::MemberIdentity { member_id: "m".into(), ..Default::default() };
        request.members = vec![member];
    } else {
        request.member_id = "m".into();
    }
    request
}

fn offset_commit(version: i16, topic_id: Uuid) -> OffsetCommitRequest {
    use offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
    let partitions = vec![OffsetCommitRequestPartition::default()];
    let mut topic = OffsetCommitRequestTopic { partitions, ..Default::default() };
    if version >= 10 {
        topic.topic_id = topic_id
    } else {
        topic.name = TOPIC.into()
    }
    OffsetCommitRequest { group_id: GROUP.into(), topics: vec![topic], ..Default::default() }
}

fn offset_fetch(version: i16, topic_id: Uuid) -> OffsetFetchRequest {
    use offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics};
    if version < 8 {
        let topic =
            OffsetFetchRequestTopic { name: TOPIC.into(), partition_indexes: vec![0], ..Default::default() };
        return OffsetFetchRequest {
            group_id: GROUP.into(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
    }
    let mut topic = OffsetFetchRequestTopics { partition_indexes: vec![0], ..Default::default() };
    if version >= 10 {
        topic.topic_id = topic_id
    } else {
        topic.name = TOPIC.into()
    }
    let group =
        OffsetFetchRequestGroup { group_id: GROUP.into(), topics: Some(vec![topic]), ..Default::default() };
    OffsetFetchRequest { groups: vec![group], ..Default::default() }
}

fn offset_delete() -> OffsetDeleteRequest {
    use offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
    let partitions = vec![OffsetDeleteRequestPartition::default()];
    let topic = OffsetDeleteRequestTopic { name: TOPIC.into(), partitions };
    OffsetDeleteRequest { group_id: GROUP.into(), topics: vec![topic] }
}
