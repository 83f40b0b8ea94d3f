//! Reads of history beyond a topic's live window: permitted apart, counted apart, audited once a client and partition.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use waybill_control::Topic;
use waybill_security::{Action, AuditAction, AuditEvent, OnDenial, Operation, Outcome, ResourceType};
use waybill_storage::Partition;
use waybill_types::Offset;

use crate::broker::Broker;
use crate::handler::Call;

/// The most replays remembered as told; beyond it the memory starts anew, and a replay may be told twice.
const MAX_TOLD: usize = 100_000;

/// The replays seen so far.
#[derive(Debug, Default)]
pub struct Replays {
    told: Mutex<HashSet<(String, String, i32)>>,
    bytes: AtomicU64,
}

impl Replays {
    /// Bytes read as replays so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Whether a read of `bytes` bytes that starts at `from` may go on.
pub(crate) async fn permits(
    broker: &Broker,
    call: &Call,
    topic: &Topic,
    log: &Partition,
    from: Offset,
    bytes: usize,
) -> bool {
    let Some(window) = topic.settings.live_window_ms else { return true };
    match log.append_time_at(from).await {
        Ok(Some(appended)) if broker.clock.now().since_ms(appended) > window => {}
        _ => return true,
    }
    let action = Action::topic(Operation::Replay, &topic.name);
    if !broker.gate.allows(&call.context, action, OnDenial::Audit) {
        return false;
    }
    broker.replays.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    let mut told = broker.replays.told.lock();
    if told.len() >= MAX_TOLD {
        told.clear();
    }
    let partition = log.id().partition;
    if told.insert((call.context.principal.to_string(), topic.name.to_string(), partition.get())) {
        let event = AuditEvent::of(
            &call.context,
            AuditAction::Replay,
            ResourceType::Topic,
            &topic.name,
            Outcome::Done,
        );
        broker.gate.audit().record(event.with_detail(format!("partition={partition} from={from}")));
    }
    true
}
