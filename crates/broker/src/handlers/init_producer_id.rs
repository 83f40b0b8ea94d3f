//! InitProducerId (KIP-98, KIP-360), for idempotent producers.

use std::sync::Arc;

use waybill_protocol::ErrorCode;
use waybill_protocol_gen::messages::{InitProducerIdRequest, InitProducerIdResponse};
use waybill_security::{Action, Authorized, OnDenial, Operation, ResourceType};

use super::errors::{Told, denied};
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct InitProducerId;

fn failed(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code: code.code(), ..InitProducerIdResponse::default() }
}

impl Handler for InitProducerId {
    type Request = InitProducerIdRequest;

    fn authorise(
        broker: &Broker,
        call: &Call,
        request: InitProducerIdRequest,
    ) -> Result<Authorized<InitProducerIdRequest>, Box<InitProducerIdResponse>> {
        if let Some(id) = request.transactional_id.clone() {
            let action = Action::transactional_id(Operation::Write, &id);
            let gated = broker.gate.require(&call.context, action, request);
            return gated.map_err(|refused| Box::new(failed(denied(refused))));
        }
        // Since KIP-679 who may write any topic may be idempotent; the older cluster permission counts too.
        let cluster = Action::cluster(Operation::IdempotentWrite);
        if broker.gate.allows(&call.context, cluster, OnDenial::Silent) {
            return Ok(broker.gate.open(request, "IdempotentWrite on the cluster was permitted"));
        }
        let any = broker.gate.require_any(&call.context, Operation::Write, ResourceType::Topic, request);
        any.map_err(|_| Box::new(failed(ErrorCode::ClusterAuthorizationFailed)))
    }

    async fn handle(
        broker: Arc<Broker>,
        _: Call,
        request: Authorized<InitProducerIdRequest>,
    ) -> InitProducerIdResponse {
        let request = request.into_inner();
        if request.transactional_id.is_some() {
            // No transaction coordinator is advertised (FindCoordinator refuses the type), so no client gets here in
            // good faith.
            return failed(ErrorCode::TransactionalIdNotFound);
        }
        // Without a transactional id an epoch is never bumped: the producer gets a fresh id, as in Kafka.
        match broker.controller.next_producer_id().await {
            Ok(id) => InitProducerIdResponse {
                producer_id: id.get(),
                producer_epoch: 0,
                ..InitProducerIdResponse::default()
            },
            Err(error) => failed(Told::from(&error).code),
        }
    }

    fn throttle(response: &mut InitProducerIdResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}
