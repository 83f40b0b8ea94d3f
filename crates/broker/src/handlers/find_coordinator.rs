//! FindCoordinator: who coordinates a group. Makes the offsets topic at first use.

use std::sync::Arc;

use waybill_protocol::ErrorCode;
use waybill_protocol::wire::KString;
use waybill_protocol_gen::messages::find_coordinator_response::Coordinator;
use waybill_protocol_gen::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use waybill_security::{Action, Authorized, OnDenial, Operation};

use super::errors::Told;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// The handler.
pub struct FindCoordinator;

impl Handler for FindCoordinator {
    type Request = FindCoordinatorRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: FindCoordinatorRequest,
    ) -> Result<Authorized<FindCoordinatorRequest>, Box<FindCoordinatorResponse>> {
        Ok(broker.gate.open(request, "each key is judged by itself"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<FindCoordinatorRequest>,
    ) -> FindCoordinatorResponse {
        let request = request.into_inner();
        if call.version >= 4 {
            let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
            for key in &request.coordinator_keys {
                coordinators.push(find(&broker, &call, request.key_type, key).await);
            }
            return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
        }
        let found = find(&broker, &call, request.key_type, &request.key).await;
        FindCoordinatorResponse {
            error_code: found.error_code,
            error_message: found.error_message,
            node_id: found.node_id,
            host: found.host,
            port: found.port,
            ..FindCoordinatorResponse::default()
        }
    }

    fn throttle(response: &mut FindCoordinatorResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

async fn find(broker: &Broker, call: &Call, kind: i8, key: &KString) -> Coordinator {
    match check(broker, call, kind, key).await {
        Ok(()) => {
            let endpoint = broker.endpoint(&call.context.listener);
            Coordinator {
                key: key.clone(),
                node_id: broker.controller.image().node.get(),
                host: endpoint.host.as_str().into(),
                port: i32::from(endpoint.port),
                ..Coordinator::default()
            }
        }
        Err(told) => Coordinator {
            key: key.clone(),
            node_id: -1,
            port: -1,
            error_code: told.code.code(),
            error_message: told.message.or_else(|| Some(told.code.message().into())),
            ..Coordinator::default()
        },
    }
}

/// Whether this broker coordinates the key.
async fn check(broker: &Broker, call: &Call, kind: i8, key: &str) -> Result<(), Told> {
    let allows = |action| broker.gate.allows(&call.context, action, OnDenial::Audit);
    match kind {
        GROUP if !allows(Action::group(Operation::Describe, key)) => {
            Err(Told::bare(ErrorCode::GroupAuthorizationFailed))
        }
        GROUP => broker.groups.topic(broker).await.map(|_| ()).map_err(Told::bare),
        TRANSACTION if !allows(Action::transactional_id(Operation::Describe, key)) => {
            Err(Told::bare(ErrorCode::TransactionalIdAuthorizationFailed))
        }
        TRANSACTION => Err(Told::new(ErrorCode::InvalidRequest, "transactions are not supported yet")),
        other => Err(Told::new(ErrorCode::InvalidRequest, format!("no coordinator of type {other} here"))),
    }
}
