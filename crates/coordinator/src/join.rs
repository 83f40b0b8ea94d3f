//! The join phase: who comes in, and with which id.

use std::sync::Arc;

use bytes::Bytes;

use crate::answer::{JoinAnswer, Refusal};
use crate::config::NEW_MEMBER_JOIN_TIMEOUT;
use crate::group::{Group, GroupState, Parts};
use crate::member::Member;
use crate::request::JoinRequest;
use crate::step::RequestId;
use crate::timers::Fire;

impl Group {
    /// A JoinGroup to this group. Its answer is in the step now, or in a later one.
    pub(crate) fn join(&mut self, request: JoinRequest, to: RequestId, parts: &mut Parts<'_>) {
        if !self.accepts(&request.member_id, parts) {
            self.remove(&request.member_id, parts);
            parts.step.join(to, JoinAnswer::refused("", Refusal::GroupMaxSizeReached));
        } else if !self.supports(&request.protocol_type, &request.protocols) {
            let refused = JoinAnswer::refused(&request.member_id, Refusal::InconsistentGroupProtocol);
            parts.step.join(to, refused);
        } else if request.member_id.is_empty() {
            self.join_new(request, to, parts);
        } else {
            self.join_known(request, to, parts);
        }
    }

    /// Whether the group has room for this member (`group.max.size`).
    fn accepts(&self, member_id: &str, parts: &Parts<'_>) -> bool {
        let max = parts.config.max_size;
        match self.state {
            GroupState::Empty | GroupState::Dead => true,
            // Members that are over are those that rejoin last.
            GroupState::PreparingRebalance => {
                self.members.get(member_id).is_some_and(|member| member.join.is_some())
                    || self.joining() < max
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.members.contains_key(member_id) || self.members.len() < max
            }
        }
    }

    fn join_new(&mut self, request: JoinRequest, to: RequestId, parts: &mut Parts<'_>) {
        let stem = request.instance_id.as_deref().unwrap_or(&request.client_id);
        let member_id = format!("{stem}-{}", uuid_text(request.entropy));
        if let Some(instance) = request.instance_id.clone() {
            match self.statics.get(&instance).cloned() {
                Some(old) => self.take_over(request, &instance, &old, &member_id, to, parts),
                None => self.add(request, &member_id, to, parts),
            }
        } else if request.knows_member_id_required {
            if self.pending_join.len() >= parts.config.limits.pending_members {
                parts.step.join(to, JoinAnswer::refused("", Refusal::GroupMaxSizeReached));
                return;
            }
            let id: Arc<str> = Arc::from(member_id.as_str());
            self.pending_join.insert(Arc::clone(&id));
            parts.arm(self.session_key(&id), request.session_timeout, Fire::Plain);
            parts.step.join(to, JoinAnswer::refused(&member_id, Refusal::MemberIdRequired));
        } else {
            self.add(request, &member_id, to, parts);
        }
    }

    fn join_known(&mut self, request: JoinRequest, to: RequestId, parts: &mut Parts<'_>) {
        let member_id = request.member_id.clone();
        if self.pending_join.contains(member_id.as_str()) {
            if request.instance_id.is_some() {
                // Ids are only pending for dynamic members.
                parts.step.join(to, JoinAnswer::refused(&member_id, Refusal::UnknownServerError));
                return;
            }
            self.add(request, &member_id, to, parts);
            return;
        }
        if let Err(refusal) = self.validate(&member_id, request.instance_id.as_deref()) {
            parts.step.join(to, JoinAnswer::refused(&member_id, refusal));
            return;
        }
        let same =
            self.members.get(member_id.as_str()).is_some_and(|known| known.protocols == request.protocols);
        let rebalances = match self.state {
            GroupState::PreparingRebalance => true,
            // With the same metadata it is a retry: the first answer was lost.
            GroupState::CompletingRebalance => !same,
            // A leader rejoins when something changed that members' metadata does not show.
            GroupState::Stable => !same || self.is_leader(&member_id),
            GroupState::Empty | GroupState::Dead => {
                parts.step.join(to, JoinAnswer::refused(&member_id, Refusal::UnknownMemberId));
                return;
            }
        };
        if rebalances {
            let timeouts = (request.session_timeout, request.rebalance_timeout);
            self.update(&member_id, request.protocols, timeouts, to, parts.step);
            self.rebalance_or_complete(parts);
        } else {
            let mut answer = self.joined(&member_id);
            if self.state == GroupState::Stable {
                answer.members = Vec::new();
            }
            parts.step.join(to, answer);
        }
    }

    fn add(&mut self, request: JoinRequest, member_id: &str, to: RequestId, parts: &mut Parts<'_>) {
        if self.state == GroupState::PreparingRebalance && self.previous == GroupState::Empty {
            self.new_member_added = true;
        }
        let id: Arc<str> = Arc::from(member_id);
        self.insert(Member {
            id: Arc::clone(&id),
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocol_type: request.protocol_type,
            protocols: request.protocols,
            assignment: Bytes::new(),
            join: Some(to),
            sync: None,
            is_new: true,
        });
        // It can not send heartbeats before it knows its id; should it be gone, its place is free again after this.
        parts.arm(self.session_key(&id), NEW_MEMBER_JOIN_TIMEOUT, Fire::Plain);
        self.rebalance_or_complete(parts);
    }

    /// A static member comes back without its id (KIP-345): it gets a new one, and its old self is fenced.
    fn take_over(
        &mut self,
        request: JoinRequest,
        instance: &str,
        old: &Arc<str>,
        new: &str,
        to: RequestId,
        parts: &mut Parts<'_>,
    ) {
        let leader_before = self.leader_or_empty();
        let skips = request.knows_skip_assignment;
        self.replace_static(instance, old, new, parts);
        let timeouts = (request.session_timeout, request.rebalance_timeout);
        self.update(new, request.protocols, timeouts, to, parts.step);
        match self.state {
            GroupState::Stable if self.select_protocol() == self.protocol => {
                // Nothing changes for the others: keep the new id, and let the member go on where it was.
                let is_leader = self.is_leader(new);
                let mut answer = self.joined(new);
                if skips {
                    answer.skip_assignment = is_leader;
                } else {
                    // Older clients must not take themselves for the leader, or they would assign anew.
                    answer.leader = leader_before;
                    answer.members = Vec::new();
                }
                if let Some(member) = self.members.get_mut(new) {
                    member.join = None;
                }
                parts.step.records.push(self.record());
                parts.step.join(to, answer);
            }
            GroupState::Stable => self.rebalance_or_complete(parts),
            // The leader may already assign to the old id.
            GroupState::CompletingRebalance => self.prepare_rebalance(parts),
            GroupState::PreparingRebalance | GroupState::Empty | GroupState::Dead => {
                self.maybe_complete(parts)
            }
        }
    }

    fn replace_static(&mut self, instance: &str, old: &Arc<str>, new: &str, parts: &mut Parts<'_>) {
        let Some(mut member) = self.members.remove(old) else { return };
        if let Some(to) = member.join.take() {
            parts.step.join(to, JoinAnswer::refused(old, Refusal::FencedInstanceId));
        }
        if let Some(to) = member.sync.take() {
            parts.step.sync(to, crate::answer::SyncAnswer::refused(Refusal::FencedInstanceId));
        }
        parts.timers.cancel(&self.session_key(old));
        let id: Arc<str> = Arc::from(new);
        member.id = Arc::clone(&id);
        member.is_new = false;
        if self.is_leader(old) {
            self.leader = Some(Arc::clone(&id));
        }
        if self.pending_sync.remove(old) {
            self.pending_sync.insert(Arc::clone(&id));
        }
        self.statics.insert(instance.to_owned(), Arc::clone(&id));
        self.members.insert(id, member);
        self.keep_alive(new, parts);
    }
}

/// Random bytes as a version 4 UUID's text.
fn uuid_text(bytes: [u8; 16]) -> String {
    let value = u128::from_be_bytes(bytes);
    let value = (value & !(0xf << 76)) | (0x4 << 76);
    let value = (value & !(0x3 << 62)) | (0x2 << 62);
    let hex = format!("{value:032x}");
    let mut text = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_version_4_uuids() {
        assert_eq!(super::uuid_text([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(super::uuid_text([0; 16]), "00000000-0000-4000-8000-000000000000");
    }
}
