//! OffsetDelete (KIP-496).

use std::sync::Arc;

use waybill_coordinator::request::FetchTopic;
use waybill_protocol::ErrorCode;
use waybill_protocol_gen::messages::offset_delete_request::OffsetDeleteRequestTopic;
use waybill_protocol_gen::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use waybill_protocol_gen::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use waybill_security::{
    Action, AuditAction, AuditEvent, Authorized, OnDenial, Operation, Outcome, ResourceType,
};
use waybill_types::{PartitionId, TopicId};

use super::errors::denied;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct OffsetDelete;

impl Handler for OffsetDelete {
    type Request = OffsetDeleteRequest;

    fn authorise(
        broker: &Broker,
        call: &Call,
        request: OffsetDeleteRequest,
    ) -> Result<Authorized<OffsetDeleteRequest>, Box<OffsetDeleteResponse>> {
        let group = request.group_id.clone();
        let gated = broker.gate.require(&call.context, Action::group(Operation::Delete, &group), request);
        gated.map_err(|refused| Box::new(failed(denied(refused).code())))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<OffsetDeleteRequest>,
    ) -> OffsetDeleteResponse {
        let request = request.into_inner();
        let mut told = Vec::with_capacity(request.topics.len());
        let mut places = Vec::new();
        let mut valid = Vec::new();
        for (at, topic) in request.topics.iter().enumerate() {
            let (answer, known) = sort(&broker, &call, topic);
            told.push(answer);
            if let Some(known) = known {
                places.push(at);
                valid.push(known);
            }
        }
        let group = request.group_id.to_string();
        let deleted = broker.groups.ask(&broker, &request.group_id, move |coordinator, now| {
            coordinator.delete_offsets(now, &group, &valid)
        });
        let topics = match deleted.await {
            Ok(Ok(topics)) => topics,
            Ok(Err(refusal)) => return failed(refusal.code()),
            Err(code) => return failed(code.code()),
        };
        for (place, topic) in places.iter().zip(topics) {
            audit(&broker, &call, &request.group_id, &topic.topic);
            if let Some(answer) = told.get_mut(*place) {
                let partitions = topic.partitions.into_iter();
                answer.partitions.extend(partitions.map(|(partition, error)| {
                    told_partition(partition.get(), error.map_or(0, |refusal| refusal.code()))
                }));
            }
        }
        OffsetDeleteResponse { topics: told, ..OffsetDeleteResponse::default() }
    }

    fn throttle(response: &mut OffsetDeleteResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

fn failed(error_code: i16) -> OffsetDeleteResponse {
    OffsetDeleteResponse { error_code, ..OffsetDeleteResponse::default() }
}

fn told_partition(partition_index: i32, error_code: i16) -> OffsetDeleteResponsePartition {
    OffsetDeleteResponsePartition { partition_index, error_code }
}

/// What can be told at once, and what is left for the coordinator.
fn sort(
    broker: &Broker,
    call: &Call,
    asked: &OffsetDeleteRequestTopic,
) -> (OffsetDeleteResponseTopic, Option<FetchTopic>) {
    let mut told =
        OffsetDeleteResponseTopic { name: asked.name.clone(), ..OffsetDeleteResponseTopic::default() };
    let image = broker.controller.image();
    let may = broker.gate.allows(&call.context, Action::topic(Operation::Read, &asked.name), OnDenial::Audit);
    let code = if may { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::TopicAuthorizationFailed };
    let partitions = image.topic(&asked.name).filter(|_| may).map_or(0, |topic| topic.partitions);
    let mut known = Vec::new();
    for one in &asked.partitions {
        if (0..partitions).contains(&one.partition_index) {
            known.push(PartitionId(one.partition_index));
        } else {
            told.partitions.push(told_partition(one.partition_index, code.code()));
        }
    }
    let left = FetchTopic { topic_id: TopicId::ZERO, topic: asked.name.to_string(), partitions: known };
    let left = (!left.partitions.is_empty()).then_some(left);
    (told, left)
}

fn audit(broker: &Broker, call: &Call, group: &str, topic: &str) {
    let event =
        AuditEvent::of(&call.context, AuditAction::DeleteOffsets, ResourceType::Group, group, Outcome::Done);
    broker.gate.audit().record(event.with_detail(format!("topic={topic}")));
}
