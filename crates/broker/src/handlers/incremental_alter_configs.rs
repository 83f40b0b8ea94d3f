//! IncrementalAlterConfigs (KIP-339).

use std::sync::Arc;

use waybill_control::BrokerChange;
use waybill_control::alter::Change;
use waybill_control::configs::Level;
use waybill_protocol::ErrorCode;
use waybill_protocol::wire::KString;
use waybill_protocol_gen::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use waybill_protocol_gen::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use waybill_security::{
    Action, AuditAction, AuditEvent, Authorized, OnDenial, Operation, Outcome, ResourceType,
};

use super::config_resources::alter_each;
use super::describe_configs::{check_node, resource};
use super::errors::Told;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct IncrementalAlterConfigs;

impl Handler for IncrementalAlterConfigs {
    type Request = IncrementalAlterConfigsRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: IncrementalAlterConfigsRequest,
    ) -> Result<Authorized<IncrementalAlterConfigsRequest>, Box<IncrementalAlterConfigsResponse>> {
        Ok(broker.gate.open(request, "each resource is judged by itself"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<IncrementalAlterConfigsRequest>,
    ) -> IncrementalAlterConfigsResponse {
        let request = request.into_inner();
        let validate_only = request.validate_only;
        let responses =
            alter_each(&request.resources, |asked| alter(&broker, &call, asked, validate_only)).await;
        IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() }
    }

    fn throttle(response: &mut IncrementalAlterConfigsResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

async fn alter(
    broker: &Broker,
    call: &Call,
    asked: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Told> {
    let target = may_alter(broker, call, asked.resource_type, &asked.resource_name)?;
    let changes = asked.configs.iter().map(change).collect::<Result<Vec<_>, _>>()?;
    let detail = asked.configs.iter().map(|config| &*config.name).collect::<Vec<_>>().join(",");
    let altered = match &target {
        Target::Topic(name) => broker.controller.alter_topic(name.clone(), changes, validate_only).await,
        Target::Broker(level) => {
            broker.controller.alter_broker(*level, BrokerChange::Some(changes), validate_only).await
        }
    };
    if !validate_only {
        audit(broker, call, &target, &detail, altered.as_ref().err());
    }
    altered.map_err(|error| Told::from(&error))
}

fn change(config: &AlterableConfig) -> Result<(String, Change), Told> {
    let value = || {
        let message = format!("Null value not supported for : {}", config.name);
        config
            .value
            .as_ref()
            .map(ToString::to_string)
            .ok_or_else(|| Told::new(ErrorCode::InvalidConfig, message))
    };
    let change = match config.config_operation {
        0 => Change::Set(value()?),
        1 => Change::Delete,
        2 => Change::Append(value()?),
        3 => Change::Subtract(value()?),
        other => {
            let message = format!("Unknown config operation type id {other}");
            return Err(Told::new(ErrorCode::InvalidRequest, message));
        }
    };
    Ok((config.name.to_string(), change))
}

/// What is to be altered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A topic, by name.
    Topic(String),
    /// This broker, or all brokers.
    Broker(Level),
}

/// Lets a change of a resource's configuration through; what can not be altered is refused with the reason.
pub(super) fn may_alter(broker: &Broker, call: &Call, kind: i8, name: &KString) -> Result<Target, Told> {
    let may = |action| broker.gate.allows(&call.context, action, OnDenial::Audit);
    match kind {
        resource::TOPIC => {
            if !may(Action::topic(Operation::AlterConfigs, name)) {
                return Err(Told::bare(ErrorCode::TopicAuthorizationFailed));
            }
            Ok(Target::Topic(name.to_string()))
        }
        resource::BROKER | resource::BROKER_LOGGER | resource::CLIENT_METRICS => {
            if !may(Action::cluster(Operation::AlterConfigs)) {
                return Err(Told::bare(ErrorCode::ClusterAuthorizationFailed));
            }
            check_node(&broker.controller.image(), name)?;
            if kind == resource::BROKER {
                return Ok(Target::Broker(if name.is_empty() { Level::AllNodes } else { Level::Node }));
            }
            let message = "Loggers and client metrics are not altered over this protocol.";
            Err(Told::new(ErrorCode::InvalidRequest, message))
        }
        resource::GROUP => {
            if !may(Action::new(Operation::AlterConfigs, ResourceType::Group, name)) {
                return Err(Told::bare(ErrorCode::GroupAuthorizationFailed));
            }
            let message = "Group configurations belong to protocols that this broker does not serve yet.";
            Err(Told::new(ErrorCode::InvalidRequest, message))
        }
        other => Err(Told::new(ErrorCode::InvalidRequest, format!("Unsupported resource type: {other}"))),
    }
}

/// Notes a change of configuration.
pub(super) fn audit(
    broker: &Broker,
    call: &Call,
    target: &Target,
    keys: &str,
    error: Option<&waybill_control::ControllerError>,
) {
    let outcome = error.map_or(Outcome::Done, |error| Outcome::Failed(error.to_string()));
    let node = broker.controller.image().node.to_string();
    let (kind, name) = match target {
        Target::Topic(name) => (ResourceType::Topic, name.as_str()),
        Target::Broker(Level::AllNodes) => (ResourceType::Cluster, "all brokers"),
        Target::Broker(_) => (ResourceType::Cluster, node.as_str()),
    };
    let event = AuditEvent::of(&call.context, AuditAction::AlterConfigs, kind, name, outcome);
    broker.gate.audit().record(event.with_detail(keys));
}
