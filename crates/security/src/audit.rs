//! Who did what, when, from where, and how it ended.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use waybill_types::TimestampMs;

use crate::{Operation, RequestContext, ResourceType};

/// What was done or tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditAction {
    /// An access that was refused.
    Access(Operation),
    /// A topic was made, also by auto-creation.
    CreateTopic,
    /// A topic was deleted.
    DeleteTopic,
    /// Partitions were added.
    CreatePartitions,
    /// Configurations were changed.
    AlterConfigs,
    /// Records were deleted up to an offset.
    DeleteRecords,
    /// A group was deleted.
    DeleteGroup,
    /// Committed offsets were deleted.
    DeleteOffsets,
    /// A committed offset went backwards.
    OffsetReset,
    /// History was read again.
    Replay,
    /// Data left through an export.
    Export,
    /// Another administrative change, named in the detail.
    Admin,
}

impl AuditAction {
    /// A stable name for logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Access(_) => "access",
            Self::CreateTopic => "create_topic",
            Self::DeleteTopic => "delete_topic",
            Self::CreatePartitions => "create_partitions",
            Self::AlterConfigs => "alter_configs",
            Self::DeleteRecords => "delete_records",
            Self::DeleteGroup => "delete_group",
            Self::DeleteOffsets => "delete_offsets",
            Self::OffsetReset => "offset_reset",
            Self::Replay => "replay",
            Self::Export => "export",
            Self::Admin => "admin",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused by the authoriser.
    Denied,
    /// It was permitted and failed, for this reason.
    Failed(String),
}

/// One entry of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// When the request was received.
    pub at: TimestampMs,
    /// Who, as `User:name`.
    pub principal: String,
    /// The client id it gave.
    pub client_id: String,
    /// From which host.
    pub host: String,
    /// Through which listener.
    pub listener: String,
    /// What.
    pub action: AuditAction,
    /// On what kind of thing.
    pub resource_type: ResourceType,
    /// On which.
    pub resource: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What else a reader needs: partitions, offsets, keys changed. Never values of secrets.
    pub detail: String,
}

impl AuditEvent {
    /// An event of the request that runs in `context`, with no detail yet.
    #[must_use]
    pub fn of(
        context: &RequestContext,
        action: AuditAction,
        resource_type: ResourceType,
        resource: &str,
        outcome: Outcome,
    ) -> Self {
        Self {
            at: context.received,
            principal: context.principal.to_string(),
            client_id: context.client_id.to_string(),
            host: context.peer.to_string(),
            listener: context.listener.to_string(),
            action,
            resource_type,
            resource: resource.to_owned(),
            outcome,
            detail: String::new(),
        }
    }

    /// The same event with a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

/// Receives the audit trail. Called on the request path: must not block.
pub trait AuditSink: Send + Sync + 'static {
    /// Takes one event.
    fn record(&self, event: AuditEvent);
}

/// A sink as it is handed around.
pub type SharedAudit = Arc<dyn AuditSink>;

/// Keeps the newest events in memory; older ones are dropped and counted.
#[derive(Debug)]
pub struct MemoryAudit {
    limit: usize,
    events: Mutex<VecDeque<AuditEvent>>,
    dropped: AtomicU64,
}

impl MemoryAudit {
    /// A sink that keeps `limit` events.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, events: Mutex::new(VecDeque::new()), dropped: AtomicU64::new(0) }
    }

    /// The events kept, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<AuditEvent> {
        self.events.lock().iter().cloned().collect()
    }

    /// How many events had to go.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl AuditSink for MemoryAudit {
    fn record(&self, event: AuditEvent) {
        let mut events = self.events.lock();
        events.push_back(event);
        while events.len() > self.limit {
            events.pop_front();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes each event as one structured line under the target `waybill::audit`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingAudit;

impl AuditSink for TracingAudit {
    fn record(&self, event: AuditEvent) {
        let operation = match event.action {
            AuditAction::Access(operation) => format!("{operation:?}"),
            _ => String::new(),
        };
        tracing::info!(
            target: "waybill::audit",
            at = event.at.0,
            principal = event.principal,
            client_id = event.client_id,
            host = event.host,
            listener = event.listener,
            action = event.action.name(),
            operation,
            resource_type = ?event.resource_type,
            resource = event.resource,
            outcome = ?event.outcome,
            detail = event.detail,
            "audit"
        );
    }
}

/// Hands each event to several sinks.
#[derive(Clone, Default)]
pub struct FanoutAudit {
    sinks: Vec<SharedAudit>,
}

impl FanoutAudit {
    /// All of `sinks`, in that order.
    #[must_use]
    pub fn new(sinks: Vec<SharedAudit>) -> Self {
        Self { sinks }
    }
}

impl std::fmt::Debug for FanoutAudit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FanoutAudit({} sinks)", self.sinks.len())
    }
}

impl AuditSink for FanoutAudit {
    fn record(&self, event: AuditEvent) {
        if let Some((last, others)) = self.sinks.split_last() {
            for sink in others {
                sink.record(event.clone());
            }
            last.record(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_keeps_the_newest_and_counts_the_rest() {
        let memory = Arc::new(MemoryAudit::new(2));
        let sinks = FanoutAudit::new(vec![Arc::new(TracingAudit), memory.clone()]);
        let context = RequestContext::internal(TimestampMs(1));
        for name in ["a", "b", "c"] {
            let event =
                AuditEvent::of(&context, AuditAction::CreateTopic, ResourceType::Topic, name, Outcome::Done);
            sinks.record(event.with_detail("partitions=3"));
        }
        let names: Vec<_> = memory.events().into_iter().map(|event| event.resource).collect();
        assert_eq!(names, ["b", "c"]);
        assert_eq!(memory.dropped(), 1);
    }
}
