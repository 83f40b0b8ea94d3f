//! DeleteTopics, by name or by id.

use std::sync::Arc;

use waybill_control::{Image, Topic};
use waybill_protocol::ErrorCode;
use waybill_protocol::wire::Uuid;
use waybill_protocol_gen::messages::delete_topics_request::DeleteTopicState;
use waybill_protocol_gen::messages::delete_topics_response::DeletableTopicResult;
use waybill_protocol_gen::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use waybill_security::{
    Action, AuditAction, AuditEvent, Authorized, OnDenial, Operation, Outcome, QuotaKind, ResourceType,
};
use waybill_types::TopicId;

use super::errors::Told;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct DeleteTopics;

impl Handler for DeleteTopics {
    type Request = DeleteTopicsRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: DeleteTopicsRequest,
    ) -> Result<Authorized<DeleteTopicsRequest>, Box<DeleteTopicsResponse>> {
        Ok(broker.gate.open(request, "each topic is judged by itself"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<DeleteTopicsRequest>,
    ) -> DeleteTopicsResponse {
        let request = request.into_inner();
        let mut asked = request.topics;
        asked.extend(
            request
                .topic_names
                .into_iter()
                .map(|name| DeleteTopicState { name: Some(name), ..DeleteTopicState::default() }),
        );
        let image = broker.controller.image();
        let mut results: Vec<Result<Arc<Topic>, DeletableTopicResult>> = Vec::with_capacity(asked.len());
        for (at, state) in asked.iter().enumerate() {
            let twice = asked
                .iter()
                .enumerate()
                .any(|(other, s)| other != at && s.name == state.name && s.topic_id == state.topic_id);
            results.push(judge(&broker, &call, &image, state, twice));
        }
        let doomed: Vec<TopicId> = results.iter().flatten().map(|topic| topic.id).collect();
        let names = results.iter().flatten().map(|topic| (topic.name.to_string(), topic.id)).collect();
        let partitions = results.iter().flatten().map(|topic| topic.partitions.unsigned_abs());
        broker.quotas.charge(&call.context, QuotaKind::ControllerMutation, partitions.map(u64::from).sum());
        let outcome = broker.controller.delete_topics(doomed).await;
        if outcome.is_ok() {
            broker.groups.topics_deleted(names).await;
        }
        let mut outcomes = outcome.as_deref().unwrap_or_default().iter();
        let responses = results.into_iter().map(|result| match result {
            Err(failed) => failed,
            Ok(topic) => {
                let told = match &outcome {
                    Err(error) => Some(Told::from(error)),
                    Ok(_) => match outcomes.next() {
                        Some(Err(fault)) => Some(Told::from(fault)),
                        _ => None,
                    },
                };
                finish(&broker, &call, &topic, told)
            }
        });
        DeleteTopicsResponse { responses: responses.collect(), ..DeleteTopicsResponse::default() }
    }

    fn throttle(response: &mut DeleteTopicsResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

fn finish(broker: &Broker, call: &Call, topic: &Topic, told: Option<Told>) -> DeletableTopicResult {
    let outcome = match &told {
        None => Outcome::Done,
        Some(told) => Outcome::Failed(told.code.name().to_owned()),
    };
    let event =
        AuditEvent::of(&call.context, AuditAction::DeleteTopic, ResourceType::Topic, &topic.name, outcome);
    broker.gate.audit().record(event);
    let mut result = DeletableTopicResult {
        name: Some(Arc::clone(&topic.name).into()),
        topic_id: Uuid(topic.id.0),
        ..DeletableTopicResult::default()
    };
    if let Some(told) = told {
        result.error_code = told.code.code();
        result.error_message = told.message;
    }
    result
}

fn judge(
    broker: &Broker,
    call: &Call,
    image: &Image,
    state: &DeleteTopicState,
    twice: bool,
) -> Result<Arc<Topic>, DeletableTopicResult> {
    let fail = |code: ErrorCode, message: &str| {
        Err(DeletableTopicResult {
            name: state.name.clone(),
            topic_id: state.topic_id,
            error_code: code.code(),
            error_message: Some(message.into()),
            ..DeletableTopicResult::default()
        })
    };
    if !broker.config.delete_topics {
        return fail(ErrorCode::TopicDeletionDisabled, ErrorCode::TopicDeletionDisabled.message());
    }
    if state.name.is_some() && !state.topic_id.is_zero() {
        return fail(ErrorCode::InvalidRequest, "Topic name and topic ID can not both be specified.");
    }
    if twice {
        return fail(ErrorCode::InvalidRequest, "Duplicate topic name or id.");
    }
    let may = |operation: Operation, name: &str| {
        broker.gate.allows(&call.context, Action::topic(operation, name), OnDenial::Audit)
    };
    match &state.name {
        Some(name) => {
            if !may(Operation::Delete, name) {
                return fail(
                    ErrorCode::TopicAuthorizationFailed,
                    ErrorCode::TopicAuthorizationFailed.message(),
                );
            }
            match image.topic(name) {
                Some(topic) => Ok(Arc::clone(topic)),
                None => {
                    fail(ErrorCode::UnknownTopicOrPartition, ErrorCode::UnknownTopicOrPartition.message())
                }
            }
        }
        None => match image.topic_by_id(TopicId(state.topic_id.0)) {
            None => fail(ErrorCode::UnknownTopicId, ErrorCode::UnknownTopicId.message()),
            Some(topic) if !may(Operation::Describe, &topic.name) => {
                // The name of a topic that may not be seen is not given away.
                fail(ErrorCode::TopicAuthorizationFailed, ErrorCode::TopicAuthorizationFailed.message())
            }
            Some(topic) if !may(Operation::Delete, &topic.name) => {
                let mut refused =
                    fail(ErrorCode::TopicAuthorizationFailed, ErrorCode::TopicAuthorizationFailed.message());
                if let Err(result) = &mut refused {
                    result.name = Some(Arc::clone(&topic.name).into());
                }
                refused
            }
            Some(topic) => Ok(Arc::clone(topic)),
        },
    }
}
