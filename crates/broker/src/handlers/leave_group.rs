//! LeaveGroup: one member up to version 2, many from then on (KIP-345).

use std::sync::Arc;

use waybill_coordinator::request::LeavingMember;
use waybill_protocol::wire::KString;
use waybill_protocol_gen::messages::leave_group_response::MemberResponse;
use waybill_protocol_gen::messages::{LeaveGroupRequest, LeaveGroupResponse};
use waybill_security::{Action, Authorized, Operation};

use super::errors::denied;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct LeaveGroup;

impl Handler for LeaveGroup {
    type Request = LeaveGroupRequest;

    fn authorise(
        broker: &Broker,
        call: &Call,
        request: LeaveGroupRequest,
    ) -> Result<Authorized<LeaveGroupRequest>, Box<LeaveGroupResponse>> {
        let group = request.group_id.clone();
        let gated = broker.gate.require(&call.context, Action::group(Operation::Read, &group), request);
        gated.map_err(|refused| Box::new(failed(denied(refused).code())))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<LeaveGroupRequest>,
    ) -> LeaveGroupResponse {
        let request = request.into_inner();
        let leaving = if call.version >= 3 {
            let members = request.members.into_iter().map(|member| LeavingMember {
                member_id: member.member_id.into(),
                instance_id: member.group_instance_id.map(String::from),
            });
            members.collect()
        } else {
            vec![LeavingMember { member_id: request.member_id.into(), instance_id: None }]
        };
        let group = String::from(request.group_id.clone());
        let left = broker
            .groups
            .ask(&broker, &request.group_id, move |coordinator, now| coordinator.leave(now, &group, leaving));
        let members = match left.await {
            Ok(Ok(members)) => members,
            Ok(Err(refusal)) => return failed(refusal.code()),
            Err(code) => return failed(code.code()),
        };
        let members: Vec<_> = members
            .into_iter()
            .map(|member| MemberResponse {
                member_id: member.member_id.into(),
                group_instance_id: member.instance_id.map(KString::from),
                error_code: member.error.map_or(0, |refusal| refusal.code()),
                ..MemberResponse::default()
            })
            .collect();
        if call.version >= 3 {
            return LeaveGroupResponse { members, ..LeaveGroupResponse::default() };
        }
        failed(members.first().map_or(0, |member| member.error_code))
    }

    fn throttle(response: &mut LeaveGroupResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

fn failed(error_code: i16) -> LeaveGroupResponse {
    LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() }
}
