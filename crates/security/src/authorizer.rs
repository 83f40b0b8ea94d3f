//! Who may do what.

use std::sync::Arc;

use crate::{Action, Operation, RequestContext, ResourceType};

/// An authoriser's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead.
    Allowed,
    /// Refused.
    Denied,
}

/// Decides. Called on the request path: answers from memory, without I/O.
pub trait Authorizer: Send + Sync + 'static {
    /// One decision.
    fn decide(&self, context: &RequestContext, action: Action<'_>) -> Decision;

    /// Whether `context` may do `operation` on at least one resource of the type, as InitProducerId asks
    /// (Kafka's `authorizeByResourceType`, KIP-679).
    fn decide_any(
        &self,
        context: &RequestContext,
        operation: Operation,
        resource_type: ResourceType,
    ) -> Decision;
}

/// An authoriser as it is handed around.
pub type SharedAuthorizer = Arc<dyn Authorizer>;

/// Allows everything: the default while no authentication is configured.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn decide(&self, _: &RequestContext, _: Action<'_>) -> Decision {
        Decision::Allowed
    }

    fn decide_any(&self, _: &RequestContext, _: Operation, _: ResourceType) -> Decision {
        Decision::Allowed
    }
}

/// Denies everything: what the test over all keys and versions runs against.
#[derive(Debug, Clone, Copy, Default)]
pub struct DenyAll;

impl Authorizer for DenyAll {
    fn decide(&self, _: &RequestContext, _: Action<'_>) -> Decision {
        Decision::Denied
    }

    fn decide_any(&self, _: &RequestContext, _: Operation, _: ResourceType) -> Decision {
        Decision::Denied
    }
}
