//! From one generation to the next.

use std::sync::Arc;
use std::time::Duration;

use crate::answer::{Refusal, SyncAnswer};
use crate::group::{Group, GroupState, Parts};
use crate::timers::Fire;

impl Group {
    /// Begins a rebalance where one can begin, else sees whether the one under way is through its join phase.
    pub(crate) fn rebalance_or_complete(&mut self, parts: &mut Parts<'_>) {
        if self.can_rebalance() {
            self.prepare_rebalance(parts);
        } else {
            self.maybe_complete(parts);
        }
    }

    /// Ends the join phase if everyone has joined. The initial one is left to its timer, so that more can come.
    pub(crate) fn maybe_complete(&mut self, parts: &mut Parts<'_>) {
        if self.state == GroupState::PreparingRebalance
            && self.previous != GroupState::Empty
            && self.all_joined()
        {
            self.complete_join(parts);
        }
    }

    pub(crate) fn prepare_rebalance(&mut self, parts: &mut Parts<'_>) {
        if self.state == GroupState::CompletingRebalance {
            self.fail_syncs(Refusal::RebalanceInProgress, parts);
        }
        self.pending_sync.clear();
        parts.timers.cancel(&self.sync_key());
        let initial = self.state == GroupState::Empty;
        self.transition(GroupState::PreparingRebalance, parts.now);
        if initial {
            let delay = parts.config.initial_rebalance_delay;
            let remaining = self.rebalance_timeout().saturating_sub(delay);
            parts.arm(self.join_key(), delay, Fire::InitialJoin { delay, remaining });
        } else if self.all_joined() {
            self.complete_join(parts);
        } else {
            parts.arm(self.join_key(), self.rebalance_timeout(), Fire::Plain);
        }
    }

    /// The timer of the initial rebalance: puts it off as long as members keep coming, up to the rebalance timeout.
    pub(crate) fn initial_join_fired(&mut self, delay: Duration, remaining: Duration, parts: &mut Parts<'_>) {
        if self.new_member_added && !remaining.is_zero() {
            self.new_member_added = false;
            let next = parts.config.initial_rebalance_delay.min(remaining);
            let left = remaining.saturating_sub(delay);
            parts.arm(self.join_key(), next, Fire::InitialJoin { delay: next, remaining: left });
        } else {
            self.complete_join(parts);
        }
    }

    /// Ends the join phase: dynamic members that did not join are gone, those that did are told the new generation.
    pub(crate) fn complete_join(&mut self, parts: &mut Parts<'_>) {
        if self.state != GroupState::PreparingRebalance {
            return;
        }
        parts.timers.cancel(&self.join_key());
        let late =
            self.members.values().filter(|member| member.join.is_none() && member.instance_id.is_none());
        let late: Vec<Arc<str>> = late.map(|member| Arc::clone(&member.id)).collect();
        for member_id in late {
            self.remove(&member_id, parts);
        }
        if !self.members.is_empty() && !self.elect_leader() {
            // Only static members are left, and none of them joined: until their sessions end, wait.
            parts.arm(self.join_key(), self.rebalance_timeout(), Fire::Plain);
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.new_member_added = false;
        self.pending_sync.clear();
        if self.members.is_empty() {
            self.protocol = None;
            self.leader = None;
            self.subscribed = self.compute_subscribed();
            self.transition(GroupState::Empty, parts.now);
            parts.step.records.push(self.record());
            return;
        }
        self.protocol = self.select_protocol();
        self.subscribed = self.compute_subscribed();
        self.transition(GroupState::CompletingRebalance, parts.now);
        self.tell_generation(parts);
    }

    fn tell_generation(&mut self, parts: &mut Parts<'_>) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for member_id in ids {
            let answer = self.joined(&member_id);
            if let Some(member) = self.members.get_mut(&member_id) {
                member.is_new = false;
                if let Some(to) = member.join.take() {
                    parts.step.join(to, answer);
                }
            }
            self.keep_alive(&member_id, parts);
            self.pending_sync.insert(member_id);
        }
        parts.arm(self.sync_key(), self.rebalance_timeout(), Fire::Generation(self.generation));
    }

    /// Keeps the leader if it has joined, else makes one of a member that has. False when nobody has joined.
    fn elect_leader(&mut self) -> bool {
        let joined = |group: &Self, id: &Arc<str>| group.members.get(id).is_some_and(|m| m.join.is_some());
        if self.leader.as_ref().is_some_and(|leader| joined(self, leader)) {
            return true;
        }
        let next = self.members.values().find(|member| member.join.is_some()).map(|m| Arc::clone(&m.id));
        match next {
            Some(leader) => {
                self.leader = Some(leader);
                true
            }
            None => false,
        }
    }

    /// Answers every parked SyncGroup with an error and forgets this generation's assignments.
    pub(crate) fn fail_syncs(&mut self, refusal: Refusal, parts: &mut Parts<'_>) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for member_id in ids {
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            member.assignment = bytes::Bytes::new();
            if let Some(to) = member.sync.take() {
                parts.step.sync(to, SyncAnswer::refused(refusal));
                self.keep_alive(&member_id, parts);
            }
        }
    }

    /// The timer of the sync phase: members that did not sync are gone.
    pub(crate) fn sync_fired(&mut self, generation: i32, parts: &mut Parts<'_>) {
        let waits = matches!(self.state, GroupState::CompletingRebalance | GroupState::Stable);
        if generation != self.generation || !waits || self.pending_sync.is_empty() {
            return;
        }
        for member_id in std::mem::take(&mut self.pending_sync) {
            self.remove(&member_id, parts);
        }
        self.prepare_rebalance(parts);
    }
}
