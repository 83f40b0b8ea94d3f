//! Metadata: topics, partitions, leaders; makes topics at first use where that is allowed.

use std::sync::Arc;

use waybill_control::create::NewTopic;
use waybill_control::{Image, Topic};
use waybill_protocol::ErrorCode;
use waybill_protocol::wire::{KString, Uuid};
use waybill_protocol_gen::messages::metadata_request::MetadataRequestTopic;
use waybill_protocol_gen::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use waybill_protocol_gen::messages::{MetadataRequest, MetadataResponse};
use waybill_security::{
    Action, AuditAction, AuditEvent, Authorized, CLUSTER_NAME, OnDenial, Operation, Outcome, ResourceType,
};
use waybill_types::TopicId;

use crate::broker::Broker;
use crate::handler::{Call, Handler};
use crate::handlers::errors::Told;

/// "Not asked for", as Kafka encodes absent authorised operations.
pub const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

/// The handler.
pub struct Metadata;

impl Handler for Metadata {
    type Request = MetadataRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: MetadataRequest,
    ) -> Result<Authorized<MetadataRequest>, Box<MetadataResponse>> {
        Ok(broker.gate.open(request, "brokers are shown to everyone; topics are filtered one by one"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<MetadataRequest>,
    ) -> MetadataResponse {
        let request = request.into_inner();
        // v0 says "all topics" with an empty list, later versions with null.
        let all = request.topics.is_none()
            || (call.version == 0 && request.topics.as_ref().is_some_and(Vec::is_empty));
        let mut topics = Vec::new();
        if all {
            let image = broker.controller.image();
            let visible =
                image.topics().filter(|topic| may_describe(&broker, &call, &topic.name, OnDenial::Silent));
            topics.extend(visible.map(|topic| describe(&broker, &call, &request, &image, topic)));
        } else {
            for wanted in request.topics.iter().flatten() {
                topics.push(find(&broker, &call, &request, wanted).await);
            }
        }
        let image = broker.controller.image();
        let mut response = MetadataResponse {
            brokers: vec![this_broker(&broker, &call, &image)],
            cluster_id: Some(image.cluster.to_string().into()),
            controller_id: image.node.get(),
            topics,
            cluster_authorized_operations: OPERATIONS_NOT_ASKED,
            ..MetadataResponse::default()
        };
        if request.include_cluster_authorized_operations {
            response.cluster_authorized_operations =
                broker.gate.operations(&call.context, ResourceType::Cluster, CLUSTER_NAME);
        }
        response
    }

    fn throttle(response: &mut MetadataResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

fn may_describe(broker: &Broker, call: &Call, topic: &str, on_denial: OnDenial) -> bool {
    broker.gate.allows(&call.context, Action::topic(Operation::Describe, topic), on_denial)
}

fn this_broker(broker: &Broker, call: &Call, image: &Image) -> MetadataResponseBroker {
    let endpoint = broker.endpoint(&call.context.listener);
    MetadataResponseBroker {
        node_id: image.node.get(),
        host: endpoint.host.as_str().into(),
        port: i32::from(endpoint.port),
        rack: broker.config.rack.as_deref().map(Into::into),
        ..MetadataResponseBroker::default()
    }
}

fn failed(name: Option<KString>, id: Uuid, code: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: code.code(),
        name,
        topic_id: id,
        topic_authorized_operations: OPERATIONS_NOT_ASKED,
        ..MetadataResponseTopic::default()
    }
}

async fn find(
    broker: &Arc<Broker>,
    call: &Call,
    request: &MetadataRequest,
    wanted: &MetadataRequestTopic,
) -> MetadataResponseTopic {
    let image = broker.controller.image();
    let Some(name) = wanted.name.clone() else {
        // Ids give nothing away, so that a denial is told as one; the name is not.
        return match image.topic_by_id(TopicId(wanted.topic_id.0)) {
            Some(topic) if may_describe(broker, call, &topic.name, OnDenial::Audit) => {
                describe(broker, call, request, &image, topic)
            }
            Some(_) => failed(None, wanted.topic_id, ErrorCode::TopicAuthorizationFailed),
            None => failed(None, wanted.topic_id, ErrorCode::UnknownTopicId),
        };
    };
    if !may_describe(broker, call, &name, OnDenial::Audit) {
        return failed(Some(name), Uuid::ZERO, ErrorCode::TopicAuthorizationFailed);
    }
    if let Some(topic) = image.topic(&name) {
        return describe(broker, call, request, &image, topic);
    }
    let allowed = call.version < 4 || request.allow_auto_topic_creation;
    if !(allowed && broker.config.auto_create_topics) {
        let code = match waybill_control::create::check_name(&name) {
            Ok(()) => ErrorCode::UnknownTopicOrPartition,
            Err(_) => ErrorCode::InvalidTopicException,
        };
        return failed(Some(name), Uuid::ZERO, code);
    }
    match auto_create(broker, call, &name).await {
        Ok(topic) => describe(broker, call, request, &broker.controller.image(), &topic),
        Err(code) => failed(Some(name), Uuid::ZERO, code),
    }
}

/// Makes a topic at first use, with the broker's defaults, if the client may.
///
/// # Errors
/// The code for the client.
pub async fn auto_create(broker: &Broker, call: &Call, name: &str) -> Result<Arc<Topic>, ErrorCode> {
    let may = broker.gate.allows(&call.context, Action::cluster(Operation::Create), OnDenial::Silent)
        || broker.gate.allows(&call.context, Action::topic(Operation::Create, name), OnDenial::Audit);
    if !may {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let new =
        NewTopic { name: name.to_owned(), partitions: -1, replication_factor: -1, ..NewTopic::default() };
    let made = broker.controller.create_topics(vec![new], false).await;
    let made = made.map_err(|error| Told::from(&error).code)?;
    match made.into_iter().next() {
        Some(Ok(topic)) => {
            audit_creation(broker, call, name);
            Ok(topic)
        }
        // Another request made it in between.
        Some(Err(_)) if broker.controller.image().topic(name).is_some() => {
            broker.controller.image().topic(name).cloned().ok_or(ErrorCode::UnknownTopicOrPartition)
        }
        Some(Err(fault)) => Err(Told::from(&fault).code),
        None => Err(ErrorCode::UnknownServerError),
    }
}

/// Notes that a topic was made.
pub fn audit_creation(broker: &Broker, call: &Call, name: &str) {
    broker.gate.audit().record(AuditEvent::of(
        &call.context,
        AuditAction::CreateTopic,
        ResourceType::Topic,
        name,
        Outcome::Done,
    ));
}

fn describe(
    broker: &Broker,
    call: &Call,
    request: &MetadataRequest,
    image: &Image,
    topic: &Topic,
) -> MetadataResponseTopic {
    let node = image.node.get();
    let partitions = topic.partition_ids().map(|id| MetadataResponsePartition {
        partition_index: id.partition.get(),
        leader_id: node,
        leader_epoch: broker.leader_epoch(&id),
        replica_nodes: vec![node],
        isr_nodes: vec![node],
        ..MetadataResponsePartition::default()
    });
    MetadataResponseTopic {
        name: Some(KString::from(Arc::clone(&topic.name))),
        topic_id: Uuid(topic.id.0),
        is_internal: topic.is_internal(),
        partitions: partitions.collect(),
        topic_authorized_operations: if request.include_topic_authorized_operations {
            broker.gate.operations(&call.context, ResourceType::Topic, &topic.name)
        } else {
            OPERATIONS_NOT_ASKED
        },
        ..MetadataResponseTopic::default()
    }
}
