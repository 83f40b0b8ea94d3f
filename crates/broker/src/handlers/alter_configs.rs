//! AlterConfigs: replaces everything that is set. Deprecated in Kafka in favour of IncrementalAlterConfigs.

use std::sync::Arc;

use waybill_control::BrokerChange;
use waybill_protocol_gen::messages::alter_configs_request::AlterConfigsResource;
use waybill_protocol_gen::messages::{AlterConfigsRequest, AlterConfigsResponse};
use waybill_security::Authorized;

use super::config_resources::alter_each;
use super::errors::Told;
use super::incremental_alter_configs::{Target, audit, may_alter};
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct AlterConfigs;

impl Handler for AlterConfigs {
    type Request = AlterConfigsRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: AlterConfigsRequest,
    ) -> Result<Authorized<AlterConfigsRequest>, Box<AlterConfigsResponse>> {
        Ok(broker.gate.open(request, "each resource is judged by itself"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<AlterConfigsRequest>,
    ) -> AlterConfigsResponse {
        let request = request.into_inner();
        let validate_only = request.validate_only;
        let responses =
            alter_each(&request.resources, |asked| replace(&broker, &call, asked, validate_only)).await;
        AlterConfigsResponse { responses, ..AlterConfigsResponse::default() }
    }

    fn throttle(response: &mut AlterConfigsResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

async fn replace(
    broker: &Broker,
    call: &Call,
    asked: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Told> {
    let target = may_alter(broker, call, asked.resource_type, &asked.resource_name)?;
    let configs = asked.configs.iter();
    let configs: Vec<_> =
        configs.map(|c| (c.name.to_string(), c.value.as_ref().map(ToString::to_string))).collect();
    let detail = asked.configs.iter().map(|config| &*config.name).collect::<Vec<_>>().join(",");
    let replaced = match &target {
        Target::Topic(name) => {
            broker.controller.replace_topic_configs(name.clone(), configs, validate_only).await
        }
        Target::Broker(level) => {
            broker.controller.alter_broker(*level, BrokerChange::All(configs), validate_only).await
        }
    };
    if !validate_only {
        audit(broker, call, &target, &detail, replaced.as_ref().err());
    }
    replaced.map_err(|error| Told::from(&error))
}
