//! DescribeTopicPartitions (KIP-966): topics page by page.

use std::sync::Arc;

use waybill_control::Topic;
use waybill_protocol::ErrorCode;
use waybill_protocol::wire::{KString, Uuid};
use waybill_protocol_gen::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use waybill_protocol_gen::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use waybill_security::{Action, Authorized, OnDenial, Operation, ResourceType};

use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// `max.request.partition.size.limit`: the most partitions of one answer.
const MAX_PARTITIONS: i32 = 2000;

/// The handler.
pub struct DescribeTopicPartitions;

impl Handler for DescribeTopicPartitions {
    type Request = DescribeTopicPartitionsRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: DescribeTopicPartitionsRequest,
    ) -> Result<Authorized<DescribeTopicPartitionsRequest>, Box<DescribeTopicPartitionsResponse>> {
        Ok(broker.gate.open(request, "topics are filtered one by one"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<DescribeTopicPartitionsRequest>,
    ) -> DescribeTopicPartitionsResponse {
        let request = request.into_inner();
        let image = broker.controller.image();
        let all = request.topics.is_empty();
        let mut names: Vec<KString> = if all {
            image.topics().map(|topic| Arc::clone(&topic.name).into()).collect()
        } else {
            request.topics.iter().map(|topic| topic.name.clone()).collect()
        };
        names.sort();
        names.dedup();
        let (first, first_partition) = request
            .cursor
            .map_or_else(Default::default, |cursor| (cursor.topic_name, cursor.partition_index));
        let mut left = request.response_partition_limit.clamp(1, MAX_PARTITIONS);
        let mut response = DescribeTopicPartitionsResponse::default();
        for name in names.into_iter().filter(|name| *name >= first) {
            let on_denial = if all { OnDenial::Silent } else { OnDenial::Audit };
            let may = broker.gate.allows(&call.context, Action::topic(Operation::Describe, &name), on_denial);
            let Some(topic) = image.topic(&name).filter(|_| may) else {
                if !all {
                    let unknown = ErrorCode::UnknownTopicOrPartition;
                    let code = if may { unknown } else { ErrorCode::TopicAuthorizationFailed };
                    response.topics.push(failed(name, code));
                }
                continue;
            };
            let from = if name == first { first_partition.max(0) } else { 0 };
            if left == 0 {
                response.next_cursor = Some(cursor(topic, from));
                break;
            }
            let until = topic.partitions.min(from.saturating_add(left));
            response.topics.push(page(&broker, &call, topic, from..until));
            left -= (until - from).max(0);
            if until < topic.partitions {
                response.next_cursor = Some(cursor(topic, until));
                break;
            }
        }
        response
    }

    fn throttle(response: &mut DescribeTopicPartitionsResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

fn cursor(topic: &Topic, partition_index: i32) -> Cursor {
    Cursor { topic_name: Arc::clone(&topic.name).into(), partition_index, ..Cursor::default() }
}

fn failed(name: KString, code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: code.code(),
        name: Some(name),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn page(
    broker: &Broker,
    call: &Call,
    topic: &Topic,
    indexes: std::ops::Range<i32>,
) -> DescribeTopicPartitionsResponseTopic {
    let node = broker.controller.image().node.get();
    let partitions = topic.partition_ids().filter(|id| indexes.contains(&id.partition.get())).map(|id| {
        DescribeTopicPartitionsResponsePartition {
            partition_index: id.partition.get(),
            leader_id: node,
            leader_epoch: broker.leader_epoch(&id),
            replica_nodes: vec![node],
            isr_nodes: vec![node],
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            ..DescribeTopicPartitionsResponsePartition::default()
        }
    });
    DescribeTopicPartitionsResponseTopic {
        name: Some(Arc::clone(&topic.name).into()),
        topic_id: Uuid(topic.id.0),
        is_internal: topic.is_internal(),
        partitions: partitions.collect(),
        topic_authorized_operations: broker.gate.operations(&call.context, ResourceType::Topic, &topic.name),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}
