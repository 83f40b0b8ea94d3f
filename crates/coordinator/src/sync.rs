//! The sync phase: the leader assigns, everyone is told.

use std::collections::BTreeMap;

use crate::answer::{Refusal, SyncAnswer};
use crate::group::{Group, GroupState, Parts};
use crate::record::{GroupValue, Record};
use crate::request::SyncRequest;
use crate::step::RequestId;

impl Group {
    /// A SyncGroup to this group. Its answer is in the step now, or in a later one.
    pub(crate) fn sync(&mut self, request: SyncRequest, to: RequestId, parts: &mut Parts<'_>) {
        if let Err(refusal) = self.check_sync(&request) {
            parts.step.sync(to, SyncAnswer::refused(refusal));
            return;
        }
        self.pending_sync.remove(request.member_id.as_str());
        if self.pending_sync.is_empty() {
            parts.timers.cancel(&self.sync_key());
        }
        let Some(member) = self.members.get_mut(request.member_id.as_str()) else { return };
        if self.state == GroupState::Stable {
            let member = member.clone();
            parts.step.sync(to, self.synced(&member));
            return;
        }
        if let Some(before) = member.sync.replace(to) {
            // Only another connection can have sent it; whoever still waits there must not wait for ever.
            parts.step.sync(before, SyncAnswer::refused(Refusal::RebalanceInProgress));
        }
        if self.is_leader(&request.member_id) {
            self.assign(request, parts);
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), Refusal> {
        if self.state == GroupState::Empty {
            return Err(Refusal::UnknownMemberId);
        }
        self.validate(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(Refusal::IllegalGeneration);
        }
        let differs = |told: &Option<String>, known: &Option<String>| {
            told.is_some() && known.is_some() && told != known
        };
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol, &self.protocol)
        {
            return Err(Refusal::InconsistentGroupProtocol);
        }
        if self.state == GroupState::PreparingRebalance {
            return Err(Refusal::RebalanceInProgress);
        }
        Ok(())
    }

    /// The leader's assignment makes the group stable. Members that it leaves out get an empty one.
    fn assign(&mut self, request: SyncRequest, parts: &mut Parts<'_>) {
        let mut assignments: BTreeMap<String, bytes::Bytes> = request.assignments.into_iter().collect();
        for member in self.members.values_mut() {
            member.assignment = assignments.remove(&*member.id).unwrap_or_default();
        }
        if record_bytes(&self.record()) > parts.config.limits.group_record_bytes {
            tracing::warn!(group = %self.id, generation = self.generation, "group is too large for its record");
            self.fail_syncs(Refusal::UnknownServerError, parts);
            self.rebalance_or_complete(parts);
            return;
        }
        self.transition(GroupState::Stable, parts.now);
        parts.step.records.push(self.record());
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for member_id in ids {
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            if let Some(waiting) = member.sync.take() {
                let member = member.clone();
                parts.step.sync(waiting, self.synced(&member));
                self.keep_alive(&member_id, parts);
            }
        }
    }
}

/// What a group's record takes in the log, nearly.
fn record_bytes(record: &Record) -> usize {
    let Record::Group { group, value: Some(value) } = record else { return 0 };
    let GroupValue { protocol_type, protocol, leader, members, .. } = value;
    let text = |optional: &Option<String>| optional.as_deref().map_or(0, str::len);
    let members = members.iter().map(|member| {
        member.member_id.len()
            + text(&member.instance_id)
            + member.client_id.len()
            + member.client_host.len()
            + member.subscription.len()
            + member.assignment.len()
            + 32
    });
    group.len() + protocol_type.len() + text(protocol) + text(leader) + members.sum::<usize>() + 64
}
