//! One classic group: its members and the state it is in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use waybill_types::TimestampMs;

use crate::answer::{JoinAnswer, JoinedMember, Refusal, SyncAnswer};
use crate::config::GroupConfig;
use crate::member::{Member, protocol_bytes};
use crate::record::{GroupValue, Record};
use crate::request::Protocol;
use crate::step::{Now, RequestId, Step};
use crate::subscription::{CONSUMER, collect_topics};
use crate::timers::{Fire, TimerKey, Timers};

/// The states of a classic group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupState {
    /// No members; offsets may be left.
    Empty,
    /// Waits for all members to join.
    PreparingRebalance,
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
    /// There is no such group.
    Dead,
}

impl GroupState {
    /// The name that Kafka's tools show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a group's transitions work with, besides the group.
pub(crate) struct Parts<'a> {
    pub(crate) config: &'a GroupConfig,
    pub(crate) timers: &'a mut Timers,
    pub(crate) step: &'a mut Step,
    pub(crate) now: Now,
}

impl Parts<'_> {
    pub(crate) fn arm(&mut self, key: TimerKey, after: Duration, fire: Fire) {
        self.timers.set(key, self.now.monotonic.saturating_add(after), fire);
    }
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: Arc<str>,
    pub(crate) state: GroupState,
    /// The state before this one: a rebalance that began in Empty is the initial one.
    pub(crate) previous: GroupState,
    pub(crate) since: Option<TimestampMs>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<Arc<str>>,
    pub(crate) members: BTreeMap<Arc<str>, Member>,
    /// Member ids by group instance id.
    pub(crate) statics: BTreeMap<String, Arc<str>>,
    /// Ids given out and not yet come back with (KIP-394).
    pub(crate) pending_join: BTreeSet<Arc<str>>,
    /// Members that have not synced in this generation.
    pub(crate) pending_sync: BTreeSet<Arc<str>>,
    /// How many members offer each protocol.
    supported: BTreeMap<String, usize>,
    /// Bytes of all that members offer.
    pub(crate) bytes: usize,
    /// The topics of all members; none when that is not known.
    pub(crate) subscribed: Option<BTreeSet<String>>,
    /// A member was added since the initial rebalance was last put off.
    pub(crate) new_member_added: bool,
}

impl Group {
    pub(crate) fn new(id: &str, wall: TimestampMs) -> Self {
        Self {
            id: Arc::from(id),
            state: GroupState::Empty,
            previous: GroupState::Dead,
            since: Some(wall),
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            pending_join: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            supported: BTreeMap::new(),
            bytes: 0,
            subscribed: None,
            new_member_added: false,
        }
    }

    /// The group as a record made it.
    pub(crate) fn from_value(id: &str, value: GroupValue, wall: TimestampMs) -> Self {
        let mut group = Self::new(id, wall);
        group.since = value.since;
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type).filter(|kind| !kind.is_empty());
        group.protocol = value.protocol;
        group.leader = value.leader.filter(|leader| !leader.is_empty()).map(Arc::from);
        if !value.members.is_empty() {
            group.state = GroupState::Stable;
        }
        let kind = group.protocol_type.clone().unwrap_or_default();
        for member in value.members {
            let member = Member::from_value(member, &kind, group.protocol.as_deref());
            group.insert(member);
        }
        group.subscribed = group.compute_subscribed();
        group
    }

    /// The group as a record keeps it.
    pub(crate) fn record(&self) -> Record {
        let protocol = self.protocol.as_deref();
        Record::Group {
            group: self.id.to_string(),
            value: Some(GroupValue {
                protocol_type: self.protocol_type.clone().unwrap_or_default(),
                generation: self.generation,
                protocol: self.protocol.clone(),
                leader: self.leader.as_deref().map(str::to_owned),
                since: self.since,
                members: self.members.values().map(|member| member.value(protocol)).collect(),
            }),
        }
    }

    /// The record of a group that nothing has happened in yet.
    pub(crate) fn empty_record(&self) -> Record {
        Record::Group {
            group: self.id.to_string(),
            value: Some(GroupValue {
                protocol_type: String::new(),
                generation: 0,
                protocol: None,
                leader: None,
                since: self.since,
                members: Vec::new(),
            }),
        }
    }

    pub(crate) fn session_key(&self, member: &Arc<str>) -> TimerKey {
        TimerKey::Session { group: Arc::clone(&self.id), member: Arc::clone(member) }
    }

    pub(crate) fn join_key(&self) -> TimerKey {
        TimerKey::Join { group: Arc::clone(&self.id) }
    }

    pub(crate) fn sync_key(&self) -> TimerKey {
        TimerKey::Sync { group: Arc::clone(&self.id) }
    }

    pub(crate) fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    pub(crate) fn leader_or_empty(&self) -> String {
        self.leader.as_deref().unwrap_or_default().to_owned()
    }

    pub(crate) fn is_consumer(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether members may still consume `topic`. A consumer group whose subscriptions can not be read consumes
    /// everything.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        self.subscribed.as_ref().map_or_else(|| self.is_consumer(), |topics| topics.contains(topic))
    }

    pub(crate) fn transition(&mut self, to: GroupState, now: Now) {
        self.previous = self.state;
        self.state = to;
        self.since = Some(now.wall);
    }

    /// Takes a member in. A static member's instance id must be free.
    pub(crate) fn insert(&mut self, member: Member) {
        if self.members.is_empty() {
            self.protocol_type = Some(member.protocol_type.clone());
        }
        if let Some(instance) = &member.instance_id {
            self.statics.insert(instance.clone(), Arc::clone(&member.id));
        }
        if self.leader.is_none() {
            self.leader = Some(Arc::clone(&member.id));
        }
        self.count_protocols(&member.protocols, true);
        self.pending_join.remove(&member.id);
        self.members.insert(Arc::clone(&member.id), member);
    }

    /// Forgets a member or a pending one: its parked requests are answered, its session ends, another leads.
    pub(crate) fn remove(&mut self, member_id: &str, parts: &mut Parts<'_>) {
        self.pending_join.remove(member_id);
        self.pending_sync.remove(member_id);
        parts.timers.cancel(&self.session_key(&Arc::from(member_id)));
        if let Some(member) = self.members.remove(member_id) {
            self.count_protocols(&member.protocols, false);
            if let Some(instance) = &member.instance_id {
                self.statics.remove(instance);
            }
            // With UNKNOWN_MEMBER_ID a client that is still there joins anew.
            if let Some(to) = member.join {
                parts.step.join(to, JoinAnswer::refused("", Refusal::UnknownMemberId));
            }
            if let Some(to) = member.sync {
                parts.step.sync(to, SyncAnswer::refused(Refusal::UnknownMemberId));
            }
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Takes over what a member says of itself in a JoinGroup, and parks the request.
    pub(crate) fn update(
        &mut self,
        member_id: &str,
        protocols: Vec<Protocol>,
        timeouts: (Duration, Duration),
        park: RequestId,
        step: &mut Step,
    ) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        let before = std::mem::replace(&mut member.protocols, protocols.clone());
        (member.session_timeout, member.rebalance_timeout) = timeouts;
        if let Some(to) = member.join.replace(park) {
            // Only another connection can have sent it; whoever still waits there must not wait for ever.
            step.join(to, JoinAnswer::refused(member_id, Refusal::RebalanceInProgress));
        }
        self.count_protocols(&before, false);
        self.count_protocols(&protocols, true);
    }

    fn count_protocols(&mut self, protocols: &[Protocol], more: bool) {
        let bytes = protocol_bytes(protocols);
        self.bytes = if more { self.bytes.saturating_add(bytes) } else { self.bytes.saturating_sub(bytes) };
        for protocol in protocols {
            let count = self.supported.entry(protocol.name.clone()).or_default();
            *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
            if *count == 0 {
                self.supported.remove(&protocol.name);
            }
        }
    }

    /// Whether a member that offers these can be in the group: one of them must be known to all.
    pub(crate) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let all = self.members.len();
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| {
                self.supported.get(protocol.name.as_str()).copied().unwrap_or_default() == all
            })
    }

    /// The protocol that most members prefer among those that all know; the first by name of those with equal votes.
    pub(crate) fn select_protocol(&self) -> Option<String> {
        let all = self.members.len();
        let known = self.supported.iter().filter(|(_, count)| **count == all);
        let candidates: BTreeSet<&str> = known.map(|(name, _)| name.as_str()).collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(name) = member.vote(&candidates) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
    }

    pub(crate) fn compute_subscribed(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumer() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            if !collect_topics(&member.metadata(Some(protocol)), &mut topics) {
                tracing::warn!(group = %self.id, member = %member.id, "subscription can not be read");
                return None;
            }
        }
        Some(topics)
    }

    /// The largest rebalance timeout of all members.
    pub(crate) fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    pub(crate) fn joining(&self) -> usize {
        self.members.values().filter(|member| member.join.is_some()).count()
    }

    pub(crate) fn all_joined(&self) -> bool {
        self.pending_join.is_empty() && self.members.values().all(|member| member.join.is_some())
    }

    pub(crate) fn can_rebalance(&self) -> bool {
        matches!(self.state, GroupState::Stable | GroupState::CompletingRebalance | GroupState::Empty)
    }

    /// Whether `member_id` is a member, and the one that its instance id stands for.
    pub(crate) fn validate(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), Refusal> {
        if let Some(instance) = instance_id {
            match self.statics.get(instance) {
                None => return Err(Refusal::UnknownMemberId),
                Some(owner) if &**owner != member_id => return Err(Refusal::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(Refusal::UnknownMemberId) }
    }

    /// Puts the end of a member's session off by its session timeout.
    pub(crate) fn keep_alive(&self, member_id: &str, parts: &mut Parts<'_>) {
        if let Some(member) = self.members.get(member_id) {
            parts.arm(self.session_key(&member.id), member.session_timeout, Fire::Plain);
        }
    }

    /// What a member is told of the generation it is in.
    pub(crate) fn joined(&self, member_id: &str) -> JoinAnswer {
        let members = if self.is_leader(member_id) { self.joined_members() } else { Vec::new() };
        JoinAnswer {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader_or_empty(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members,
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref();
        let told = self.members.values().map(|member| JoinedMember {
            member_id: member.id.to_string(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        });
        told.collect()
    }

    /// What a member is told of its assignment.
    pub(crate) fn synced(&self, member: &Member) -> SyncAnswer {
        SyncAnswer {
            error: None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: member.assignment.clone(),
        }
    }
}
