//! DeleteRecords (KIP-107): moves the log start; answers once that is durable.

use std::sync::Arc;

use waybill_protocol::ErrorCode;
use waybill_protocol_gen::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use waybill_protocol_gen::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use waybill_security::{
    Action, AuditAction, AuditEvent, Authorized, OnDenial, Operation, Outcome, ResourceType,
};
use waybill_types::{Offset, PartitionId, TopicPartition};

use super::errors::delete_records_code;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// Stands for the high watermark.
const TO_HIGH_WATERMARK: i64 = -1;

/// The handler.
pub struct DeleteRecords;

impl Handler for DeleteRecords {
    type Request = DeleteRecordsRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: DeleteRecordsRequest,
    ) -> Result<Authorized<DeleteRecordsRequest>, Box<DeleteRecordsResponse>> {
        Ok(broker.gate.open(request, "topics are judged one by one"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<DeleteRecordsRequest>,
    ) -> DeleteRecordsResponse {
        let request = request.into_inner();
        let mut response = DeleteRecordsResponse::default();
        for topic in request.topics {
            let action = Action::topic(Operation::Delete, &topic.name);
            let may = broker.gate.allows(&call.context, action, OnDenial::Audit);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let result = if may {
                    delete(&broker, &call, &topic.name, asked.partition_index, asked.offset).await
                } else {
                    Err(ErrorCode::TopicAuthorizationFailed)
                };
                partitions.push(DeleteRecordsPartitionResult {
                    partition_index: asked.partition_index,
                    low_watermark: result.as_ref().map_or(-1, |start| start.get()),
                    error_code: result.err().unwrap_or(ErrorCode::None).code(),
                    ..DeleteRecordsPartitionResult::default()
                });
            }
            response.topics.push(DeleteRecordsTopicResult {
                name: topic.name,
                partitions,
                ..DeleteRecordsTopicResult::default()
            });
        }
        response
    }

    fn throttle(response: &mut DeleteRecordsResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

async fn delete(
    broker: &Broker,
    call: &Call,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<Offset, ErrorCode> {
    let image = broker.controller.image();
    let known = image.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if known.settings.compact && !known.settings.delete {
        // Kafka: deleting from a purely compacted topic is a policy violation.
        return Err(ErrorCode::PolicyViolation);
    }
    let log = broker.engine.partition(&TopicPartition::new(known.id, PartitionId(partition)));
    let log = log.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let before = match offset {
        TO_HIGH_WATERMARK => log.high_watermark(),
        negative if negative < 0 => return Err(ErrorCode::OffsetOutOfRange),
        given => Offset(given),
    };
    let deleted = log.delete_records(before).await.map_err(|error| delete_records_code(&error));
    let outcome = match &deleted {
        Ok(_) => Outcome::Done,
        Err(code) => Outcome::Failed(code.name().to_owned()),
    };
    let event =
        AuditEvent::of(&call.context, AuditAction::DeleteRecords, ResourceType::Topic, topic, outcome);
    broker.gate.audit().record(event.with_detail(format!("partition={partition} before={before}")));
    deleted
}
