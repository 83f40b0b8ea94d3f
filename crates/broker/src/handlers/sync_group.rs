//! SyncGroup: parked until the leader has assigned.

use std::sync::Arc;

use bytes::Bytes;
use waybill_coordinator::Parked;
use waybill_coordinator::request::SyncRequest;
use waybill_protocol::ErrorCode;
use waybill_protocol::wire::KString;
use waybill_protocol_gen::messages::{SyncGroupRequest, SyncGroupResponse};
use waybill_security::{Action, Authorized, Operation};

use super::errors::denied;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct SyncGroup;

impl Handler for SyncGroup {
    type Request = SyncGroupRequest;

    fn authorise(
        broker: &Broker,
        call: &Call,
        request: SyncGroupRequest,
    ) -> Result<Authorized<SyncGroupRequest>, Box<SyncGroupResponse>> {
        // From version 5 on, what the member joined must be named (KIP-559); Kafka looks at it first.
        if call.version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
            return Err(Box::new(failed(ErrorCode::InconsistentGroupProtocol)));
        }
        let group = request.group_id.clone();
        let gated = broker.gate.require(&call.context, Action::group(Operation::Read, &group), request);
        gated.map_err(|refused| Box::new(failed(denied(refused))))
    }

    async fn handle(
        broker: Arc<Broker>,
        _: Call,
        request: Authorized<SyncGroupRequest>,
    ) -> SyncGroupResponse {
        let request = request.into_inner();
        let group = request.group_id.clone();
        let assignments = request.assignments.into_iter().map(|one| {
            // Copied: it outlives the frame.
            (String::from(one.member_id), Bytes::copy_from_slice(&one.assignment))
        });
        let asked = SyncRequest {
            group_id: request.group_id.into(),
            generation: request.generation_id,
            member_id: request.member_id.into(),
            instance_id: request.group_instance_id.map(String::from),
            protocol_type: request.protocol_type.map(String::from),
            protocol: request.protocol_name.map(String::from),
            assignments: assignments.collect(),
        };
        let parked =
            broker.groups.park(&broker, &group, move |coordinator, now, to| coordinator.sync(now, asked, to));
        match parked.await {
            Ok(Parked::Sync(answer)) => SyncGroupResponse {
                error_code: answer.error.map_or(0, |refusal| refusal.code()),
                protocol_type: answer.protocol_type.map(KString::from),
                protocol_name: answer.protocol.map(KString::from),
                assignment: answer.assignment,
                ..SyncGroupResponse::default()
            },
            Ok(Parked::Join(_)) => failed(ErrorCode::UnknownServerError),
            Err(code) => failed(code),
        }
    }

    fn throttle(response: &mut SyncGroupResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

fn failed(code: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: code.code(), ..SyncGroupResponse::default() }
}
