//! Sessions: heartbeats, leaving, and members that fall silent.

use std::sync::Arc;

use crate::answer::{LeftMember, Refusal};
use crate::group::{Group, GroupState, Parts};
use crate::request::{HeartbeatRequest, LeavingMember};

impl Group {
    pub(crate) fn heartbeat(
        &mut self,
        request: &HeartbeatRequest,
        parts: &mut Parts<'_>,
    ) -> Result<(), Refusal> {
        self.validate(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(Refusal::IllegalGeneration);
        }
        match self.state {
            GroupState::Empty | GroupState::Dead => Err(Refusal::UnknownMemberId),
            GroupState::PreparingRebalance => {
                self.keep_alive(&request.member_id, parts);
                Err(Refusal::RebalanceInProgress)
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.keep_alive(&request.member_id, parts);
                Ok(())
            }
        }
    }

    pub(crate) fn leave(&mut self, leaving: Vec<LeavingMember>, parts: &mut Parts<'_>) -> Vec<LeftMember> {
        let mut left = Vec::with_capacity(leaving.len());
        for member in leaving {
            let error = self.leave_one(&member, parts).err();
            left.push(LeftMember { member_id: member.member_id, instance_id: member.instance_id, error });
        }
        if left.iter().any(|member| member.error.is_none()) {
            self.members_gone(parts);
        }
        left
    }

    fn leave_one(&mut self, member: &LeavingMember, parts: &mut Parts<'_>) -> Result<(), Refusal> {
        let instance = member.instance_id.as_deref();
        if member.member_id.is_empty() {
            // An administrator removes a static member without knowing its id.
            let owner = instance.and_then(|instance| self.statics.get(instance)).cloned();
            self.remove(&owner.ok_or(Refusal::UnknownMemberId)?, parts);
        } else {
            if !self.pending_join.contains(member.member_id.as_str()) {
                self.validate(&member.member_id, instance)?;
            }
            self.remove(&member.member_id, parts);
        }
        Ok(())
    }

    /// A member's session timer.
    pub(crate) fn session_fired(&mut self, member_id: &Arc<str>, parts: &mut Parts<'_>) {
        if self.pending_join.contains(member_id) {
            self.remove(member_id, parts);
            if self.state == GroupState::PreparingRebalance && self.all_joined() {
                self.complete_join(parts);
            }
            return;
        }
        let Some(member) = self.members.get(member_id) else { return };
        if member.waits() {
            return;
        }
        tracing::info!(group = %self.id, member = %member_id, "member fell silent");
        self.remove(member_id, parts);
        match self.state {
            GroupState::Stable | GroupState::CompletingRebalance => self.rebalance_or_complete(parts),
            GroupState::PreparingRebalance if self.all_joined() => self.complete_join(parts),
            GroupState::PreparingRebalance | GroupState::Empty | GroupState::Dead => {}
        }
    }

    fn members_gone(&mut self, parts: &mut Parts<'_>) {
        match self.state {
            GroupState::Stable | GroupState::CompletingRebalance => self.rebalance_or_complete(parts),
            GroupState::PreparingRebalance => self.maybe_complete(parts),
            GroupState::Empty | GroupState::Dead => {}
        }
    }
}
