//! CreatePartitions (KIP-195).

use std::sync::Arc;

use waybill_protocol::ErrorCode;
use waybill_protocol_gen::messages::create_partitions_request::CreatePartitionsTopic;
use waybill_protocol_gen::messages::create_partitions_response::CreatePartitionsTopicResult;
use waybill_protocol_gen::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use waybill_security::{
    Action, AuditAction, AuditEvent, Authorized, OnDenial, Operation, Outcome, QuotaKind, ResourceType,
};

use super::errors::Told;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct CreatePartitions;

impl Handler for CreatePartitions {
    type Request = CreatePartitionsRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: CreatePartitionsRequest,
    ) -> Result<Authorized<CreatePartitionsRequest>, Box<CreatePartitionsResponse>> {
        Ok(broker.gate.open(request, "each topic is judged by itself"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<CreatePartitionsRequest>,
    ) -> CreatePartitionsResponse {
        let request = request.into_inner();
        let mut results = Vec::with_capacity(request.topics.len());
        for (at, topic) in request.topics.iter().enumerate() {
            let twice =
                request.topics.iter().enumerate().any(|(other, t)| other != at && t.name == topic.name);
            let told = if twice {
                Some(Told::new(ErrorCode::InvalidRequest, "Duplicate topic in request."))
            } else {
                grow(&broker, &call, topic, request.validate_only).await.err()
            };
            let mut result = CreatePartitionsTopicResult { name: topic.name.clone(), ..Default::default() };
            if let Some(told) = told {
                result.error_code = told.code.code();
                result.error_message = told.message.or_else(|| Some(told.code.message().into()));
            }
            results.push(result);
        }
        CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
    }

    fn throttle(response: &mut CreatePartitionsResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

async fn grow(
    broker: &Broker,
    call: &Call,
    topic: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), Told> {
    if !broker.gate.allows(&call.context, Action::topic(Operation::Alter, &topic.name), OnDenial::Audit) {
        return Err(Told::bare(ErrorCode::TopicAuthorizationFailed));
    }
    let now = broker.controller.image().topic(&topic.name).map_or(0, |topic| topic.partitions);
    let added = u64::try_from(topic.count.saturating_sub(now)).unwrap_or_default();
    broker.quotas.charge(&call.context, QuotaKind::ControllerMutation, added);
    let assignments =
        topic.assignments.as_ref().map(|all| all.iter().map(|one| one.broker_ids.clone()).collect());
    let name = topic.name.to_string();
    let grown = broker.controller.create_partitions(name, topic.count, assignments, validate_only).await;
    if !validate_only {
        let outcome = match &grown {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Failed(error.to_string()),
        };
        let event = AuditEvent::of(
            &call.context,
            AuditAction::CreatePartitions,
            ResourceType::Topic,
            &topic.name,
            outcome,
        );
        broker.gate.audit().record(event.with_detail(format!("count={}", topic.count)));
    }
    grown.map_err(|error| Told::from(&error))
}
