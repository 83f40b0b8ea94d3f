//! Request context, authorisation, audit, quotas, accounting. No sockets, no clock, no I/O.
//!
//! - [`RequestContext`]: who asks, from where, through what.
//! - [`Operation`], [`ResourceType`], [`Action`]: Kafka's vocabulary of permissions.
//! - [`Authorizer`] decides; [`Gate`] asks it, audits denials and hands out [`Authorized`] values, which nobody else
//!   can make: a handler that takes one can not be reached without a check.
//! - [`AuditSink`]: who did what, when, from where, with what outcome.
//! - [`Usage`]: bytes and requests per principal, client id and topic, in bounded memory.
//! - [`Quotas`]: how long a client must wait (KIP-219).

mod acl;
mod audit;
mod authorizer;
mod context;
mod gate;
mod quotas;
mod usage;

pub use acl::{Action, CLUSTER_NAME, Operation, ResourceType};
pub use audit::{
    AuditAction, AuditEvent, AuditSink, FanoutAudit, MemoryAudit, Outcome, SharedAudit, TracingAudit,
};
pub use authorizer::{AllowAll, Authorizer, Decision, DenyAll, SharedAuthorizer};
pub use context::{ClientSoftware, Principal, RequestContext};
pub use gate::{Authorized, Denied, Filtered, Gate, OnDenial};
pub use quotas::{QuotaKind, Quotas, SharedQuotas, Unlimited};
pub use usage::{Direction, Meter, Usage, UsageRow};
