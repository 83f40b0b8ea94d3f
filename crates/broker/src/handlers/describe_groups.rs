//! DescribeGroups. A group that is not there is Dead; from version 6 on its lack is an error (KIP-1043).

use std::sync::Arc;

use waybill_coordinator::Step;
use waybill_coordinator::answer::DescribedGroup as Described;
use waybill_protocol::ErrorCode;
use waybill_protocol::wire::KString;
use waybill_protocol_gen::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use waybill_protocol_gen::messages::{DescribeGroupsRequest, DescribeGroupsResponse};
use waybill_security::{Action, Authorized, OnDenial, Operation, ResourceType};

use super::metadata::OPERATIONS_NOT_ASKED;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct DescribeGroups;

impl Handler for DescribeGroups {
    type Request = DescribeGroupsRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: DescribeGroupsRequest,
    ) -> Result<Authorized<DescribeGroupsRequest>, Box<DescribeGroupsResponse>> {
        Ok(broker.gate.open(request, "each group is judged by itself"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<DescribeGroupsRequest>,
    ) -> DescribeGroupsResponse {
        let request = request.into_inner();
        let mut groups = Vec::with_capacity(request.groups.len());
        for id in &request.groups {
            let mut told = describe(&broker, &call, id).await;
            told.authorized_operations = OPERATIONS_NOT_ASKED;
            if request.include_authorized_operations && told.error_code == ErrorCode::None.code() {
                told.authorized_operations = broker.gate.operations(&call.context, ResourceType::Group, id);
            }
            groups.push(told);
        }
        DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() }
    }

    fn throttle(response: &mut DescribeGroupsResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

async fn describe(broker: &Broker, call: &Call, id: &KString) -> DescribedGroup {
    if !broker.gate.allows(&call.context, Action::group(Operation::Describe, id), OnDenial::Audit) {
        return failed(id, ErrorCode::GroupAuthorizationFailed);
    }
    let group = id.to_string();
    let asked =
        broker.groups.ask(broker, id, move |coordinator, _| (coordinator.describe(&group), Step::default()));
    match asked.await {
        Ok(described) => told(call.version, id, described),
        Err(code) => failed(id, code),
    }
}

fn failed(id: &KString, code: ErrorCode) -> DescribedGroup {
    DescribedGroup { group_id: id.clone(), error_code: code.code(), ..DescribedGroup::default() }
}

fn told(version: i16, id: &KString, described: Described) -> DescribedGroup {
    let members = described.members.into_iter().map(|member| DescribedGroupMember {
        member_id: member.member_id.into(),
        group_instance_id: member.instance_id.map(KString::from),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
        ..DescribedGroupMember::default()
    });
    let mut told = DescribedGroup {
        group_id: id.clone(),
        group_state: described.state.name().into(),
        protocol_type: described.protocol_type.into(),
        protocol_data: described.protocol.into(),
        members: members.collect(),
        ..DescribedGroup::default()
    };
    if version >= 6 && !described.found {
        told.error_code = ErrorCode::GroupIdNotFound.code();
        told.error_message = Some(format!("Group {id} not found.").into());
    }
    told
}
