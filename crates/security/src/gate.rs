//! The one way to an [`Authorized`] value.

use std::ops::Deref;

use crate::{
    Action, AuditAction, AuditEvent, Decision, Operation, Outcome, RequestContext, ResourceType, SharedAudit,
    SharedAuthorizer,
};

/// A value whose use was permitted. Only a [`Gate`] makes it, so what takes one can not be reached unchecked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Authorized<T> {
    value: T,
}

impl<T> Authorized<T> {
    /// The value, without its permission.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// A part or another form of the value, under the same permission.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Authorized<U> {
        Authorized { value: change(self.value) }
    }

    /// The value by reference, under the same permission.
    pub fn as_ref(&self) -> Authorized<&T> {
        Authorized { value: &self.value }
    }
}

impl<T> Deref for Authorized<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{operation:?} on {resource_type:?} is denied")]
pub struct Denied {
    /// What was asked for.
    pub operation: Operation,
    /// On what kind of thing; decides the error code.
    pub resource_type: ResourceType,
}

impl Denied {
    /// The error code with which Kafka tells it.
    #[must_use]
    pub const fn code(self) -> i16 {
        self.resource_type.denial_code()
    }
}

/// What [`Gate::filter`] lets through and what it holds back, each in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filtered<T> {
    /// May be used.
    pub allowed: Vec<Authorized<T>>,
    /// May not; [`ResourceType::denial_code`] tells the error.
    pub denied: Vec<T>,
}

/// Whether a refusal is worth an audit event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDenial {
    /// Someone asked for this very thing.
    Audit,
    /// It was one of many that nobody named (a listing): leaving it out is no event, as in Kafka (`logIfDenied`).
    Silent,
}

/// Asks the authoriser, audits what is refused. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    authorizer: SharedAuthorizer,
    audit: SharedAudit,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate that asks `authorizer` and tells refusals to `audit`.
    #[must_use]
    pub fn new(authorizer: SharedAuthorizer, audit: SharedAudit) -> Self {
        Self { authorizer, audit }
    }

    /// Where refusals and changes are recorded.
    #[must_use]
    pub fn audit(&self) -> &SharedAudit {
        &self.audit
    }

    /// Lets `value` through if `action` is permitted, else fails whole.
    pub fn require<T>(
        &self,
        context: &RequestContext,
        action: Action<'_>,
        value: T,
    ) -> Result<Authorized<T>, Denied> {
        if self.allows(context, action, OnDenial::Audit) {
            Ok(Authorized { value })
        } else {
            Err(Denied { operation: action.operation, resource_type: action.resource_type })
        }
    }

    /// Lets `value` through if `operation` on the cluster is permitted.
    pub fn require_cluster<T>(
        &self,
        context: &RequestContext,
        operation: Operation,
        value: T,
    ) -> Result<Authorized<T>, Denied> {
        self.require(context, Action::cluster(operation), value)
    }

    /// Lets `value` through if `operation` is permitted on at least one resource of the type.
    pub fn require_any<T>(
        &self,
        context: &RequestContext,
        operation: Operation,
        resource_type: ResourceType,
        value: T,
    ) -> Result<Authorized<T>, Denied> {
        match self.authorizer.decide_any(context, operation, resource_type) {
            Decision::Allowed => Ok(Authorized { value }),
            Decision::Denied => {
                self.tell(context, Action::new(operation, resource_type, "*"));
                Err(Denied { operation, resource_type })
            }
        }
    }

    /// Lets `value` through unchecked: for what Kafka permits everyone (ApiVersions, the answer to a listing before
    /// its rows are filtered). `why` is for the reader of the handler.
    pub fn open<T>(&self, value: T, why: &'static str) -> Authorized<T> {
        tracing::trace!(why, "open to everyone");
        Authorized { value }
    }

    /// Parts `items` into those on whose resource `operation` is permitted and the others. A name that occurs many
    /// times is asked about once while the items stand together.
    pub fn filter<T>(
        &self,
        context: &RequestContext,
        operation: Operation,
        resource_type: ResourceType,
        items: impl IntoIterator<Item = T>,
        name: impl Fn(&T) -> &str,
        on_denial: OnDenial,
    ) -> Filtered<T> {
        let mut filtered = Filtered { allowed: Vec::new(), denied: Vec::new() };
        let mut last: Option<(String, bool)> = None;
        for item in items {
            let resource = name(&item);
            let allowed = match &last {
                Some((known, allowed)) if known == resource => *allowed,
                _ => {
                    let action = Action::new(operation, resource_type, resource);
                    let allowed = self.allows(context, action, on_denial);
                    last = Some((resource.to_owned(), allowed));
                    allowed
                }
            };
            if allowed {
                filtered.allowed.push(Authorized { value: item });
            } else {
                filtered.denied.push(item);
            }
        }
        filtered
    }

    /// Whether `action` is permitted.
    #[must_use]
    pub fn allows(&self, context: &RequestContext, action: Action<'_>, on_denial: OnDenial) -> bool {
        let allowed = self.authorizer.decide(context, action) == Decision::Allowed;
        if !allowed && on_denial == OnDenial::Audit {
            self.tell(context, action);
        }
        allowed
    }

    /// The operations permitted on a resource as the bit field of Metadata and DescribeGroups (KIP-430): bit n stands
    /// for the operation with code n.
    #[must_use]
    pub fn operations(&self, context: &RequestContext, resource_type: ResourceType, resource: &str) -> i32 {
        let mut bits = 0;
        for operation in resource_type.operations() {
            let action = Action::new(*operation, resource_type, resource);
            if let Some(code) = operation.code()
                && self.allows(context, action, OnDenial::Silent)
            {
                bits |= 1 << code;
            }
        }
        bits
    }

    fn tell(&self, context: &RequestContext, action: Action<'_>) {
        self.audit.record(AuditEvent::of(
            context,
            AuditAction::Access(action.operation),
            action.resource_type,
            action.resource,
            Outcome::Denied,
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use waybill_types::TimestampMs;

    use super::*;
    use crate::{AllowAll, Authorizer, DenyAll, MemoryAudit};

    /// Permits what the topic's name begins with.
    struct Prefix(&'static str);

    impl Authorizer for Prefix {
        fn decide(&self, _: &RequestContext, action: Action<'_>) -> Decision {
            if action.resource.starts_with(self.0) { Decision::Allowed } else { Decision::Denied }
        }

        fn decide_any(&self, _: &RequestContext, _: Operation, _: ResourceType) -> Decision {
            Decision::Allowed
        }
    }

    fn gate(authorizer: impl Authorizer) -> (Gate, Arc<MemoryAudit>, RequestContext) {
        let audit = Arc::new(MemoryAudit::new(100));
        let gate = Gate::new(Arc::new(authorizer), audit.clone());
        (gate, audit, RequestContext::internal(TimestampMs(7)))
    }

    #[test]
    fn a_denied_request_fails_with_its_types_code_and_is_audited() {
        let (gate, audit, context) = gate(DenyAll);
        let denied = gate.require(&context, Action::group(Operation::Read, "g"), ()).unwrap_err();
        assert_eq!(denied.code(), 30);
        assert_eq!(gate.require_cluster(&context, Operation::Alter, ()).unwrap_err().code(), 31);
        assert!(gate.require_any(&context, Operation::Write, ResourceType::Topic, ()).is_err());
        let events = audit.events();
        assert_eq!(events.len(), 3);
        assert_eq!(events[0].resource, "g");
        assert_eq!(events[0].outcome, Outcome::Denied);
        assert_eq!(events[0].at, TimestampMs(7));
        assert_eq!(events[0].principal, "User:ANONYMOUS");
    }

    #[test]
    fn a_filter_keeps_order_and_asks_by_name() {
        let (gate, audit, context) = gate(Prefix("a"));
        let names = ["a1", "b", "a2", "b"];
        let parted = gate.filter(
            &context,
            Operation::Describe,
            ResourceType::Topic,
            names,
            |name| name,
            OnDenial::Audit,
        );
        let allowed: Vec<_> = parted.allowed.into_iter().map(Authorized::into_inner).collect();
        assert_eq!(allowed, ["a1", "a2"]);
        assert_eq!(parted.denied, ["b", "b"]);
        assert_eq!(audit.events().len(), 2);
        let silent =
            gate.filter(&context, Operation::Read, ResourceType::Topic, ["b"], |name| name, OnDenial::Silent);
        assert_eq!(silent.denied, ["b"]);
        assert_eq!(audit.events().len(), 2);
    }

    #[test]
    fn operations_are_kafkas_bit_field() {
        let (gate, audit, context) = gate(AllowAll);
        // Kafka answers 3400 for a group since 4.0: READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS.
        let group = (1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11);
        assert_eq!(gate.operations(&context, ResourceType::Group, "g"), group);
        let (denying, _, _) = self::gate(DenyAll);
        assert_eq!(denying.operations(&context, ResourceType::Group, "g"), 0);
        assert!(audit.events().is_empty());
    }
}
