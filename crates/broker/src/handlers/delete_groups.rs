//! DeleteGroups (KIP-229): groups without members, with their offsets.

use std::collections::BTreeSet;
use std::sync::Arc;

use waybill_protocol::ErrorCode;
use waybill_protocol_gen::messages::delete_groups_response::DeletableGroupResult;
use waybill_protocol_gen::messages::{DeleteGroupsRequest, DeleteGroupsResponse};
use waybill_security::{
    Action, AuditAction, AuditEvent, Authorized, OnDenial, Operation, Outcome, ResourceType,
};

use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// The handler.
pub struct DeleteGroups;

impl Handler for DeleteGroups {
    type Request = DeleteGroupsRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: DeleteGroupsRequest,
    ) -> Result<Authorized<DeleteGroupsRequest>, Box<DeleteGroupsResponse>> {
        Ok(broker.gate.open(request, "each group is judged by itself"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<DeleteGroupsRequest>,
    ) -> DeleteGroupsResponse {
        let request = request.into_inner();
        let mut seen = BTreeSet::new();
        let mut results = Vec::with_capacity(request.groups_names.len());
        for id in request.groups_names {
            if !seen.insert(id.clone()) {
                continue;
            }
            let error_code = delete(&broker, &call, &id).await;
            results.push(DeletableGroupResult {
                group_id: id,
                error_code,
                ..DeletableGroupResult::default()
            });
        }
        DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }
    }

    fn throttle(response: &mut DeleteGroupsResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

/// Deletes one group if the client may; gives the error code.
async fn delete(broker: &Broker, call: &Call, id: &str) -> i16 {
    if !broker.gate.allows(&call.context, Action::group(Operation::Delete, id), OnDenial::Audit) {
        return ErrorCode::GroupAuthorizationFailed.code();
    }
    let group = id.to_owned();
    let deleted =
        broker.groups.ask(broker, id, move |coordinator, now| coordinator.delete_group(now, &group));
    let (code, outcome) = match deleted.await {
        Ok(Ok(())) => (ErrorCode::None.code(), Outcome::Done),
        Ok(Err(refusal)) => (refusal.code(), Outcome::Failed(refusal.to_string())),
        Err(code) => (code.code(), Outcome::Failed(code.name().to_owned())),
    };
    let event = AuditEvent::of(&call.context, AuditAction::DeleteGroup, ResourceType::Group, id, outcome);
    broker.gate.audit().record(event);
    code
}
