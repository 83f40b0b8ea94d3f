//! JoinGroup: parked until the group's join phase ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use waybill_coordinator::Parked;
use waybill_coordinator::answer::JoinAnswer;
use waybill_coordinator::request::{JoinRequest, Protocol};
use waybill_protocol::ErrorCode;
use waybill_protocol::wire::KString;
use waybill_protocol_gen::messages::join_group_response::JoinGroupResponseMember;
use waybill_protocol_gen::messages::{JoinGroupRequest, JoinGroupResponse};
use waybill_security::{Action, Authorized, Operation};

use super::errors::denied;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct JoinGroup;

impl Handler for JoinGroup {
    type Request = JoinGroupRequest;

    fn authorise(
        broker: &Broker,
        call: &Call,
        request: JoinGroupRequest,
    ) -> Result<Authorized<JoinGroupRequest>, Box<JoinGroupResponse>> {
        let group = request.group_id.clone();
        let gated = broker.gate.require(&call.context, Action::group(Operation::Read, &group), request);
        gated.map_err(|refused| Box::new(failed(call.version, KString::default(), denied(refused))))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<JoinGroupRequest>,
    ) -> JoinGroupResponse {
        let request = request.into_inner();
        let member_id = request.member_id.clone();
        let group = request.group_id.clone();
        let asked = asked(&broker, &call, request);
        let parked =
            broker.groups.park(&broker, &group, move |coordinator, now, to| coordinator.join(now, asked, to));
        match parked.await {
            Ok(Parked::Join(answer)) => told(call.version, answer),
            Ok(Parked::Sync(_)) => failed(call.version, member_id, ErrorCode::UnknownServerError),
            Err(code) => failed(call.version, member_id, code),
        }
    }

    fn throttle(response: &mut JoinGroupResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

/// A time-out as the wire has it; what is negative is none at all.
fn span(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

fn asked(broker: &Broker, call: &Call, request: JoinGroupRequest) -> JoinRequest {
    let mut entropy = [0; 16];
    broker.entropy.fill(&mut entropy);
    let protocols = request.protocols.into_iter().map(|offered| Protocol {
        name: offered.name.into(),
        // Copied: it outlives the frame.
        metadata: Bytes::copy_from_slice(&offered.metadata),
    });
    JoinRequest {
        group_id: request.group_id.into(),
        member_id: request.member_id.into(),
        instance_id: request.group_instance_id.map(String::from),
        client_id: call.context.client_id.to_string(),
        client_host: call.context.client_host(),
        session_timeout: span(request.session_timeout_ms),
        // Version 0 has none of its own.
        rebalance_timeout: span(if call.version == 0 {
            request.session_timeout_ms
        } else {
            request.rebalance_timeout_ms
        }),
        protocol_type: request.protocol_type.into(),
        protocols: protocols.collect(),
        knows_member_id_required: call.version >= 4,
        knows_skip_assignment: call.version >= 9,
        entropy,
    }
}

fn told(version: i16, answer: JoinAnswer) -> JoinGroupResponse {
    let members = answer.members.into_iter().map(|member| JoinGroupResponseMember {
        member_id: member.member_id.into(),
        group_instance_id: member.instance_id.map(KString::from),
        metadata: member.metadata,
        ..JoinGroupResponseMember::default()
    });
    JoinGroupResponse {
        error_code: answer.error.map_or(0, |refusal| refusal.code()),
        generation_id: answer.generation,
        protocol_type: answer.protocol_type.map(KString::from),
        protocol_name: protocol_name(version, answer.protocol),
        leader: answer.leader.into(),
        skip_assignment: answer.skip_assignment,
        member_id: answer.member_id.into(),
        members: members.collect(),
        ..JoinGroupResponse::default()
    }
}

fn failed(version: i16, member_id: KString, code: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: code.code(),
        generation_id: -1,
        protocol_name: protocol_name(version, None),
        member_id,
        ..JoinGroupResponse::default()
    }
}

/// Before version 7 the name can not be null; from then on it must not be empty.
fn protocol_name(version: i16, name: Option<String>) -> Option<KString> {
    let name = name.filter(|name| !name.is_empty()).map(KString::from);
    if version < 7 { Some(name.unwrap_or_default()) } else { name }
}
