//! Heartbeat.

use std::sync::Arc;

use waybill_coordinator::Step;
use waybill_coordinator::request::HeartbeatRequest as Asked;
use waybill_protocol::ErrorCode;
use waybill_protocol_gen::messages::{HeartbeatRequest, HeartbeatResponse};
use waybill_security::{Action, Authorized, Operation};

use super::errors::denied;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct Heartbeat;

impl Handler for Heartbeat {
    type Request = HeartbeatRequest;

    fn authorise(
        broker: &Broker,
        call: &Call,
        request: HeartbeatRequest,
    ) -> Result<Authorized<HeartbeatRequest>, Box<HeartbeatResponse>> {
        let group = request.group_id.clone();
        let gated = broker.gate.require(&call.context, Action::group(Operation::Read, &group), request);
        gated.map_err(|refused| Box::new(told(denied(refused).code())))
    }

    async fn handle(
        broker: Arc<Broker>,
        _: Call,
        request: Authorized<HeartbeatRequest>,
    ) -> HeartbeatResponse {
        let request = request.into_inner();
        let group = request.group_id.clone();
        let asked = Asked {
            group_id: request.group_id.into(),
            generation: request.generation_id,
            member_id: request.member_id.into(),
            instance_id: request.group_instance_id.map(String::from),
        };
        let beat = broker.groups.ask(&broker, &group, move |coordinator, now| {
            (coordinator.heartbeat(now, &asked), Step::default())
        });
        match beat.await {
            Ok(Ok(())) => told(ErrorCode::None.code()),
            Ok(Err(refusal)) => told(refusal.code()),
            Err(code) => told(code.code()),
        }
    }

    fn throttle(response: &mut HeartbeatResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

fn told(error_code: i16) -> HeartbeatResponse {
    HeartbeatResponse { error_code, ..HeartbeatResponse::default() }
}
