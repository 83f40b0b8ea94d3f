//! CreateTopics.

use std::sync::Arc;

use waybill_control::configs::topic::TOPIC_CONFIGS;
use waybill_control::create::NewTopic;
use waybill_control::{ControllerError, Topic};
use waybill_protocol::ErrorCode;
use waybill_protocol::wire::Uuid;
use waybill_protocol_gen::messages::create_topics_request::CreatableTopic;
use waybill_protocol_gen::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use waybill_protocol_gen::messages::{CreateTopicsRequest, CreateTopicsResponse};
use waybill_security::{Action, Authorized, OnDenial, Operation, QuotaKind, ResourceType};

use super::describe_configs::resolve;
use super::errors::Told;
use super::metadata::audit_creation;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct CreateTopics;

impl Handler for CreateTopics {
    type Request = CreateTopicsRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: CreateTopicsRequest,
    ) -> Result<Authorized<CreateTopicsRequest>, Box<CreateTopicsResponse>> {
        Ok(broker.gate.open(request, "each topic is judged by itself"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<CreateTopicsRequest>,
    ) -> CreateTopicsResponse {
        let request = request.into_inner();
        let mut results: Vec<Option<CreatableTopicResult>> = Vec::with_capacity(request.topics.len());
        let mut wanted = Vec::new();
        let everywhere =
            broker.gate.allows(&call.context, Action::cluster(Operation::Create), OnDenial::Silent);
        for (at, topic) in request.topics.iter().enumerate() {
            let twice =
                request.topics.iter().enumerate().any(|(other, t)| other != at && t.name == topic.name);
            let may = everywhere
                || broker.gate.allows(
                    &call.context,
                    Action::topic(Operation::Create, &topic.name),
                    OnDenial::Audit,
                );
            results.push(if twice {
                Some(failed(topic, Told::new(ErrorCode::InvalidRequest, "Duplicate topic name.")))
            } else if !may {
                Some(failed(topic, Told::new(ErrorCode::TopicAuthorizationFailed, "Authorization failed.")))
            } else {
                wanted.push(new_topic(topic));
                None
            });
        }
        let asked: u64 = wanted.iter().map(|topic| u64::try_from(topic.partitions.max(1)).unwrap_or(1)).sum();
        broker.quotas.charge(&call.context, QuotaKind::ControllerMutation, asked);
        let made = broker.controller.create_topics(wanted, request.validate_only).await;
        fill(&broker, &call, &request, &mut results, made);
        CreateTopicsResponse {
            topics: results.into_iter().flatten().collect(),
            ..CreateTopicsResponse::default()
        }
    }

    fn throttle(response: &mut CreateTopicsResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

/// Puts the controller's outcomes where no result stands yet.
fn fill(
    broker: &Broker,
    call: &Call,
    request: &CreateTopicsRequest,
    results: &mut [Option<CreatableTopicResult>],
    made: Result<Vec<Result<Arc<Topic>, waybill_control::create::TopicFault>>, ControllerError>,
) {
    let open = results.iter_mut().zip(&request.topics).filter(|(result, _)| result.is_none());
    match made {
        Ok(outcomes) => {
            for ((result, asked), outcome) in open.zip(outcomes) {
                *result = Some(match outcome {
                    Ok(topic) => {
                        if !request.validate_only {
                            audit_creation(broker, call, &topic.name);
                        }
                        succeeded(broker, call, &topic, request.validate_only)
                    }
                    Err(fault) => failed(asked, Told::from(&fault)),
                });
            }
        }
        Err(error) => {
            for (result, asked) in open {
                *result = Some(failed(asked, Told::from(&error)));
            }
        }
    }
}

fn new_topic(topic: &CreatableTopic) -> NewTopic {
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic.assignments.iter().map(|a| (a.partition_index, a.broker_ids.clone())).collect(),
        configs: topic
            .configs
            .iter()
            .map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)))
            .collect(),
    }
}

fn failed(topic: &CreatableTopic, told: Told) -> CreatableTopicResult {
    CreatableTopicResult {
        name: topic.name.clone(),
        error_code: told.code.code(),
        error_message: told.message.or_else(|| Some(told.code.message().into())),
        configs: Some(Vec::new()),
        ..CreatableTopicResult::default()
    }
}

/// KIP-525: the topic as it was made, its configuration only for those who may describe it.
fn succeeded(broker: &Broker, call: &Call, topic: &Topic, validate_only: bool) -> CreatableTopicResult {
    let mut result = CreatableTopicResult {
        name: Arc::clone(&topic.name).into(),
        topic_id: if validate_only { Uuid::ZERO } else { Uuid(topic.id.0) },
        num_partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        ..CreatableTopicResult::default()
    };
    let action = Action::new(Operation::DescribeConfigs, ResourceType::Topic, &topic.name);
    if !broker.gate.allows(&call.context, action, OnDenial::Silent) {
        result.topic_config_error_code = ErrorCode::TopicAuthorizationFailed.code();
        result.num_partitions = -1;
        result.replication_factor = -1;
        return result;
    }
    let image = broker.controller.image();
    let configs = TOPIC_CONFIGS.iter().map(|def| {
        let (value, source) = resolve(def, &topic.configs, &image.broker_configs);
        CreatableTopicConfigs {
            name: def.name.into(),
            value: value.map(Into::into),
            config_source: source.wire(),
            is_sensitive: false,
            ..CreatableTopicConfigs::default()
        }
    });
    result.configs = Some(configs.collect());
    result
}
