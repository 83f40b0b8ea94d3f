//! OffsetFetch: one group up to version 7, many from version 8 on; topic ids from version 10 on.
//!
//! Every answer waits until all commits before it are durable, so `require_stable` asks for nothing more here as long
//! as there are no transactions.

use std::sync::Arc;

use waybill_coordinator::Step;
use waybill_coordinator::answer::{FetchedOffset, FetchedTopic};
use waybill_coordinator::request::FetchTopic;
use waybill_protocol::ErrorCode;
use waybill_protocol::wire::Uuid;
use waybill_protocol_gen::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use waybill_protocol_gen::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use waybill_protocol_gen::messages::{OffsetFetchRequest, OffsetFetchResponse};
use waybill_security::{Action, Authorized, OnDenial, Operation};
use waybill_types::{PartitionId, TopicId};

use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct OffsetFetch;

impl Handler for OffsetFetch {
    type Request = OffsetFetchRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: OffsetFetchRequest,
    ) -> Result<Authorized<OffsetFetchRequest>, Box<OffsetFetchResponse>> {
        Ok(broker.gate.open(request, "each group is judged by itself"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<OffsetFetchRequest>,
    ) -> OffsetFetchResponse {
        let request = request.into_inner();
        if call.version >= 8 {
            let mut groups = Vec::with_capacity(request.groups.len());
            for group in &request.groups {
                groups.push(fetch(&broker, &call, group).await);
            }
            return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
        }
        let named = |topic: OffsetFetchRequestTopic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..OffsetFetchRequestTopics::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: request.group_id,
            topics: request.topics.map(|topics| topics.into_iter().map(named).collect()),
            ..OffsetFetchRequestGroup::default()
        };
        let told = fetch(&broker, &call, &group).await;
        OffsetFetchResponse {
            error_code: told.error_code,
            topics: told.topics.into_iter().map(single_group).collect(),
            ..OffsetFetchResponse::default()
        }
    }

    fn throttle(response: &mut OffsetFetchResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

fn single_group(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|one| OffsetFetchResponsePartition {
        partition_index: one.partition_index,
        committed_offset: one.committed_offset,
        committed_leader_epoch: one.committed_leader_epoch,
        metadata: one.metadata,
        error_code: one.error_code,
        ..OffsetFetchResponsePartition::default()
    });
    OffsetFetchResponseTopic {
        name: topic.name,
        partitions: partitions.collect(),
        ..OffsetFetchResponseTopic::default()
    }
}

async fn fetch(broker: &Broker, call: &Call, group: &OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    let action = Action::group(Operation::Describe, &group.group_id);
    let fetched = if !broker.gate.allows(&call.context, action, OnDenial::Audit) {
        Err(ErrorCode::GroupAuthorizationFailed)
    } else {
        match &group.topics {
            Some(topics) => fetch_some(broker, call, group, topics).await,
            None => fetch_all(broker, call, group).await,
        }
    };
    match fetched {
        Ok(topics) => OffsetFetchResponseGroup {
            group_id: group.group_id.clone(),
            topics,
            ..OffsetFetchResponseGroup::default()
        },
        Err(code) => group_failed(call.version, group, code),
    }
}

/// Version 1 has no place for a group's error, so that every partition carries it.
fn group_failed(version: i16, group: &OffsetFetchRequestGroup, code: ErrorCode) -> OffsetFetchResponseGroup {
    let mut told =
        OffsetFetchResponseGroup { group_id: group.group_id.clone(), ..OffsetFetchResponseGroup::default() };
    if version >= 2 {
        told.error_code = code.code();
    } else {
        told.topics = group.topics.iter().flatten().map(|topic| topic_failed(topic, code)).collect();
    }
    told
}

fn topic_failed(topic: &OffsetFetchRequestTopics, code: ErrorCode) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.iter().map(|index| OffsetFetchResponsePartitions {
        partition_index: *index,
        committed_offset: -1,
        metadata: Some("".into()),
        error_code: code.code(),
        ..OffsetFetchResponsePartitions::default()
    });
    OffsetFetchResponseTopics {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: partitions.collect(),
        ..OffsetFetchResponseTopics::default()
    }
}

async fn fetch_some(
    broker: &Broker,
    call: &Call,
    group: &OffsetFetchRequestGroup,
    topics: &[OffsetFetchRequestTopics],
) -> Result<Vec<OffsetFetchResponseTopics>, ErrorCode> {
    let mut known = Vec::with_capacity(topics.len());
    let mut failed = Vec::new();
    let image = broker.controller.image();
    for asked in topics {
        let topic = if call.version >= 10 {
            match image.topic_by_id(TopicId(asked.topic_id.0)) {
                Some(topic) => Some(topic),
                None => {
                    failed.push(topic_failed(asked, ErrorCode::UnknownTopicId));
                    continue;
                }
            }
        } else {
            image.topic(&asked.name)
        };
        let name = topic.map_or_else(|| asked.name.to_string(), |topic| topic.name.to_string());
        if !broker.gate.allows(&call.context, Action::topic(Operation::Describe, &name), OnDenial::Audit) {
            failed.push(topic_failed(asked, ErrorCode::TopicAuthorizationFailed));
            continue;
        }
        known.push(FetchTopic {
            topic_id: topic.map_or(TopicId::ZERO, |topic| topic.id),
            topic: name,
            partitions: asked.partition_indexes.iter().copied().map(PartitionId).collect(),
        });
    }
    let id = group.group_id.to_string();
    let fetched = broker.groups.ask(broker, &group.group_id, move |coordinator, _| {
        (coordinator.fetch(&id, &known), Step::default())
    });
    let mut told: Vec<_> = fetched.await?.into_iter().map(told_topic).collect();
    told.extend(failed);
    Ok(told)
}

async fn fetch_all(
    broker: &Broker,
    call: &Call,
    group: &OffsetFetchRequestGroup,
) -> Result<Vec<OffsetFetchResponseTopics>, ErrorCode> {
    let id = group.group_id.to_string();
    let image = broker.controller.image();
    let current = Arc::clone(&image);
    let fetched = broker.groups.ask(broker, &group.group_id, move |coordinator, _| {
        let id_of = |name: &str| current.topic(name).map_or(TopicId::ZERO, |topic| topic.id);
        (coordinator.fetch_all(&id, &id_of), Step::default())
    });
    let mut told = Vec::new();
    for topic in fetched.await? {
        let may = Action::topic(Operation::Describe, &topic.topic);
        // Nobody asked for it by name: leaving it out is no event. An id that is not known can not be told.
        let nameable = call.version < 10 || topic.topic_id != TopicId::ZERO;
        if nameable && broker.gate.allows(&call.context, may, OnDenial::Silent) {
            told.push(told_topic(topic));
        }
    }
    Ok(told)
}

fn told_topic(topic: FetchedTopic) -> OffsetFetchResponseTopics {
    let told = |one: FetchedOffset| OffsetFetchResponsePartitions {
        partition_index: one.partition.get(),
        committed_offset: one.offset.get(),
        committed_leader_epoch: one.leader_epoch,
        metadata: Some(one.metadata.into()),
        ..OffsetFetchResponsePartitions::default()
    };
    OffsetFetchResponseTopics {
        name: topic.topic.into(),
        topic_id: Uuid(topic.topic_id.0),
        partitions: topic.partitions.into_iter().map(told).collect(),
        ..OffsetFetchResponseTopics::default()
    }
}
