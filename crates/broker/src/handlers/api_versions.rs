//! ApiVersions: what this broker serves. Its answer decides which protocol clients use.

use std::time::Duration;

use waybill_protocol::ErrorCode;
use waybill_protocol_gen::ApiKey;
use waybill_protocol_gen::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use waybill_protocol_gen::messages::{ApiVersionsRequest, ApiVersionsResponse};

use super::served_keys;
use crate::broker::Broker;
use crate::handler::{Call, respond};
use crate::net::outbox::Reply;

/// Kafka 4.4's features: name, supported range, and the level that is finalized here. A feature is finalized above 0
/// only when its work has landed; `metadata.version` is what clients take for the broker's age.
pub const FEATURES: &[(&str, i16, i16, i16)] = &[
    ("metadata.version", 7, 33, 33),
    ("transaction.version", 0, 2, 0),
    ("group.version", 0, 1, 0),
    ("share.version", 0, 2, 0),
    ("streams.version", 0, 1, 0),
    ("kraft.version", 0, 1, 0),
    ("eligible.leader.replicas.version", 0, 1, 0),
];

/// Whether client software name and version have the form that KIP-511 asks for.
pub fn is_valid(request: &ApiVersionsRequest) -> bool {
    let legal = |text: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        edge(bytes.first()) && edge(bytes.last()) && bytes.iter().copied().all(inner)
    };
    legal(&request.client_software_name) && legal(&request.client_software_version)
}

/// The answer to a version beyond what we know: a v0 body that lists the versions of ApiVersions itself.
pub fn unsupported(broker: &Broker, call: Call) -> Reply {
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: api_keys().into_iter().filter(|api| api.api_key == ApiKey::ApiVersions as i16).collect(),
        ..body(broker)
    };
    respond(&Call { version: 0, ..call }, ApiKey::ApiVersions, &response, Duration::ZERO)
}

/// The answer to a version that we know.
pub fn answer(broker: &Broker, call: &Call, request: &ApiVersionsRequest) -> Reply {
    let mut response = body(broker);
    if call.version >= 3 && !is_valid(request) {
        response = ApiVersionsResponse {
            error_code: ErrorCode::InvalidRequest.code(),
            ..ApiVersionsResponse::default()
        };
    } else if is_elsewhere(broker, request) {
        response.error_code = ErrorCode::RebootstrapRequired.code();
    }
    respond(call, ApiKey::ApiVersions, &response, Duration::ZERO)
}

/// Whether the client wanted another cluster or node: the recycled-address case of KIP-1242.
fn is_elsewhere(broker: &Broker, request: &ApiVersionsRequest) -> bool {
    let image = broker.controller.image();
    let other_cluster = request.cluster_id.as_ref().is_some_and(|id| **id != *image.cluster.to_string());
    let other_node = request.node_id >= 0 && request.node_id != image.node.get();
    other_cluster || other_node
}

fn api_keys() -> Vec<ApiVersion> {
    served_keys()
        .map(|key| {
            let versions = key.stable_versions();
            // librdkafka reads from Produce v0 that compression is supported; below v3 it is refused.
            let min_version = if key == ApiKey::Produce { 0 } else { *versions.start() };
            ApiVersion {
                api_key: key.into(),
                min_version,
                max_version: *versions.end(),
                ..ApiVersion::default()
            }
        })
        .collect()
}

fn body(broker: &Broker) -> ApiVersionsResponse {
    let supported = FEATURES.iter().map(|(name, min_version, max_version, _)| SupportedFeatureKey {
        name: (*name).into(),
        min_version: *min_version,
        max_version: *max_version,
        ..SupportedFeatureKey::default()
    });
    let finalized = FEATURES.iter().filter(|feature| feature.3 > 0);
    let finalized = finalized.map(|(name, _, _, level)| FinalizedFeatureKey {
        name: (*name).into(),
        max_version_level: *level,
        min_version_level: *level,
        ..FinalizedFeatureKey::default()
    });
    ApiVersionsResponse {
        api_keys: api_keys(),
        supported_features: supported.collect(),
        finalized_features_epoch: broker.features_epoch,
        finalized_features: finalized.collect(),
        ..ApiVersionsResponse::default()
    }
}
