//! DescribeCluster (KIP-700).

use std::sync::Arc;

use waybill_protocol::ErrorCode;
use waybill_protocol_gen::messages::describe_cluster_response::DescribeClusterBroker;
use waybill_protocol_gen::messages::{DescribeClusterRequest, DescribeClusterResponse};
use waybill_security::{Authorized, CLUSTER_NAME, ResourceType};

use super::metadata::OPERATIONS_NOT_ASKED;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// Endpoints of brokers, as opposed to those of controllers (KIP-919).
const BROKERS: i8 = 1;

/// The handler.
pub struct DescribeCluster;

impl Handler for DescribeCluster {
    type Request = DescribeClusterRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: DescribeClusterRequest,
    ) -> Result<Authorized<DescribeClusterRequest>, Box<DescribeClusterResponse>> {
        Ok(broker.gate.open(request, "Metadata shows the brokers to everyone"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<DescribeClusterRequest>,
    ) -> DescribeClusterResponse {
        let request = request.into_inner();
        if request.endpoint_type != BROKERS {
            let message =
                "The request was sent to an endpoint of type BROKER, but wanted one of another type.";
            return DescribeClusterResponse {
                error_code: ErrorCode::MismatchedEndpointType.code(),
                error_message: Some(message.into()),
                ..DescribeClusterResponse::default()
            };
        }
        let image = broker.controller.image();
        let endpoint = broker.endpoint(&call.context.listener);
        DescribeClusterResponse {
            cluster_id: image.cluster.to_string().into(),
            controller_id: image.node.get(),
            brokers: vec![DescribeClusterBroker {
                broker_id: image.node.get(),
                host: endpoint.host.as_str().into(),
                port: i32::from(endpoint.port),
                rack: broker.config.rack.as_deref().map(Into::into),
                ..DescribeClusterBroker::default()
            }],
            cluster_authorized_operations: if request.include_cluster_authorized_operations {
                broker.gate.operations(&call.context, ResourceType::Cluster, CLUSTER_NAME)
            } else {
                OPERATIONS_NOT_ASKED
            },
            ..DescribeClusterResponse::default()
        }
    }

    fn throttle(response: &mut DescribeClusterResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}
