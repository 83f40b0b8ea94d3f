//! The state of one partition of `__consumer_offsets`, and what can be asked of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use waybill_types::PartitionId;

use crate::answer::{JoinAnswer, LeftMember, Refusal, SyncAnswer};
use crate::config::GroupConfig;
use crate::group::{Group, GroupState, Parts};
use crate::member::protocol_bytes;
use crate::record::OffsetValue;
use crate::request::{HeartbeatRequest, JoinRequest, LeavingMember, SyncRequest};
use crate::step::{Now, RequestId, Step};
use crate::timers::{Fire, TimerKey, Timers};

/// Bytes of what a member id is made from: with a UUID behind it, it must still be a string of Kafka's.
const MAX_ID_STEM: usize = i16::MAX as usize - 64;

/// Committed offsets of a group, by topic and partition.
pub(crate) type GroupOffsets = BTreeMap<String, BTreeMap<PartitionId, OffsetValue>>;

/// The state of one partition of `__consumer_offsets`.
///
/// Made empty, fed with all records of the partition ([`Coordinator::replay`]), then [`Coordinator::loaded`], then
/// asked. Answers, also of methods that return them at once, may be sent only when all records that the coordinator
/// has issued so far are durable.
#[derive(Debug)]
pub struct Coordinator {
    pub(crate) config: Arc<GroupConfig>,
    pub(crate) groups: BTreeMap<Arc<str>, Group>,
    pub(crate) offsets: BTreeMap<Arc<str>, GroupOffsets>,
    pub(crate) timers: Timers,
    pub(crate) held: Held,
}

/// What the bounds are held against.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) member_bytes: usize,
    pub(crate) offset_bytes: usize,
}

impl Coordinator {
    /// A coordinator that knows nothing yet.
    #[must_use]
    pub fn new(config: Arc<GroupConfig>) -> Self {
        Self {
            config,
            groups: BTreeMap::new(),
            offsets: BTreeMap::new(),
            timers: Timers::default(),
            held: Held::default(),
        }
    }

    /// How many groups there are.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// How many offsets are kept.
    #[must_use]
    pub fn offset_count(&self) -> usize {
        self.offsets.values().flat_map(BTreeMap::values).map(BTreeMap::len).sum()
    }

    /// A JoinGroup. Makes the group if a member without an id comes to one that does not exist.
    pub fn join(&mut self, now: Now, request: JoinRequest, to: RequestId) -> Step {
        let mut step = Step::default();
        if let Err(refusal) = self.check_join(&request) {
            step.join(to, JoinAnswer::refused(&request.member_id, refusal));
            return step;
        }
        let known = self.groups.contains_key(request.group_id.as_str());
        if !known && !request.member_id.is_empty() {
            step.join(to, JoinAnswer::refused(&request.member_id, Refusal::UnknownMemberId));
            return step;
        }
        let id: Arc<str> = Arc::from(request.group_id.as_str());
        if !known {
            self.groups.insert(Arc::clone(&id), Group::new(&id, now.wall));
        }
        self.with_group(&id, now, &mut step, |group, parts| group.join(request, to, parts));
        if !known && let Some(group) = self.groups.get(&id) {
            if group.members.is_empty() && group.pending_join.is_empty() {
                self.groups.remove(&id);
            } else if step.records.is_empty() {
                // So that the group is there after a restart, as in Kafka.
                step.records.push(group.empty_record());
            }
        }
        step
    }

    fn check_join(&self, request: &JoinRequest) -> Result<(), Refusal> {
        if request.group_id.is_empty() {
            return Err(Refusal::InvalidGroupId);
        }
        let bounds = self.config.min_session_timeout..=self.config.max_session_timeout;
        if !bounds.contains(&request.session_timeout) {
            return Err(Refusal::InvalidSessionTimeout);
        }
        let limits = &self.config.limits;
        let stem = request.instance_id.as_deref().unwrap_or(&request.client_id);
        if stem.len() > MAX_ID_STEM {
            return Err(Refusal::UnknownServerError);
        }
        if request.protocols.len() > limits.protocols {
            return Err(Refusal::InconsistentGroupProtocol);
        }
        let mut names: Vec<&str> = request.protocols.iter().map(|offered| offered.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            // Kafka's collection keeps them all and then counts one member twice.
            return Err(Refusal::InconsistentGroupProtocol);
        }
        if !self.groups.contains_key(request.group_id.as_str()) && self.groups.len() >= limits.groups {
            return Err(Refusal::CoordinatorNotAvailable);
        }
        let offered = protocol_bytes(&request.protocols);
        if self.held.member_bytes.saturating_add(offered) > limits.member_bytes {
            return Err(Refusal::GroupMaxSizeReached);
        }
        Ok(())
    }

    /// A SyncGroup.
    pub fn sync(&mut self, now: Now, request: SyncRequest, to: RequestId) -> Step {
        let mut step = Step::default();
        if request.group_id.is_empty() {
            step.sync(to, SyncAnswer::refused(Refusal::InvalidGroupId));
            return step;
        }
        let id: Arc<str> = Arc::from(request.group_id.as_str());
        let found = self.with_group(&id, now, &mut step, |group, parts| group.sync(request, to, parts));
        if found.is_none() {
            step.sync(to, SyncAnswer::refused(Refusal::UnknownMemberId));
        }
        step
    }

    /// A Heartbeat.
    pub fn heartbeat(&mut self, now: Now, request: &HeartbeatRequest) -> Result<(), Refusal> {
        if request.group_id.is_empty() {
            return Err(Refusal::InvalidGroupId);
        }
        let mut step = Step::default();
        let id: Arc<str> = Arc::from(request.group_id.as_str());
        let beat = self.with_group(&id, now, &mut step, |group, parts| group.heartbeat(request, parts));
        beat.unwrap_or(Err(Refusal::UnknownMemberId))
    }

    /// A LeaveGroup; `Err` fails it whole.
    pub fn leave(
        &mut self,
        now: Now,
        group_id: &str,
        leaving: Vec<LeavingMember>,
    ) -> (Result<Vec<LeftMember>, Refusal>, Step) {
        let mut step = Step::default();
        if group_id.is_empty() {
            return (Err(Refusal::InvalidGroupId), step);
        }
        if !self.groups.contains_key(group_id) {
            let unknown = leaving.into_iter().map(|member| LeftMember {
                member_id: member.member_id,
                instance_id: member.instance_id,
                error: Some(Refusal::UnknownMemberId),
            });
            return (Ok(unknown.collect()), step);
        }
        let id: Arc<str> = Arc::from(group_id);
        let left = self.with_group(&id, now, &mut step, |group, parts| group.leave(leaving, parts));
        (Ok(left.unwrap_or_default()), step)
    }

    /// When [`Coordinator::tick`] is to be called next, by the monotonic clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now) -> Step {
        let mut step = Step::default();
        while let Some((key, fire)) = self.timers.pop_due(now.monotonic) {
            match (key, fire) {
                (TimerKey::Session { group, member }, _) => {
                    self.with_group(&group, now, &mut step, |g, parts| g.session_fired(&member, parts));
                }
                (TimerKey::Join { group }, Fire::InitialJoin { delay, remaining }) => {
                    self.with_group(&group, now, &mut step, |g, parts| {
                        g.initial_join_fired(delay, remaining, parts);
                    });
                }
                (TimerKey::Join { group }, _) => {
                    self.with_group(&group, now, &mut step, Group::complete_join);
                }
                (TimerKey::Sync { group }, Fire::Generation(generation)) => {
                    self.with_group(&group, now, &mut step, |g, parts| g.sync_fired(generation, parts));
                }
                (TimerKey::Sync { .. }, _) => {}
                (TimerKey::Retention, _) => self.expire(now, &mut step),
            }
        }
        step
    }

    pub(crate) fn with_group<T>(
        &mut self,
        id: &str,
        now: Now,
        step: &mut Step,
        act: impl FnOnce(&mut Group, &mut Parts<'_>) -> T,
    ) -> Option<T> {
        let group = self.groups.get_mut(id)?;
        let before = group.bytes;
        let mut parts = Parts { config: &self.config, timers: &mut self.timers, step, now };
        let outcome = act(group, &mut parts);
        self.held.member_bytes = self.held.member_bytes.saturating_sub(before).saturating_add(group.bytes);
        Some(outcome)
    }

    /// Forgets a group and its timers; its offsets are another matter.
    pub(crate) fn forget(&mut self, id: &str) {
        if let Some(group) = self.groups.remove(id) {
            self.held.member_bytes = self.held.member_bytes.saturating_sub(group.bytes);
            for member in group.members.keys().chain(&group.pending_join) {
                self.timers.cancel(&group.session_key(member));
            }
            self.timers.cancel(&group.join_key());
            self.timers.cancel(&group.sync_key());
        }
    }

    /// Whether a group is between two generations.
    #[must_use]
    pub fn is_rebalancing(&self, group_id: &str) -> bool {
        use GroupState::{CompletingRebalance, PreparingRebalance};
        matches!(self.state_of(group_id), Some(PreparingRebalance | CompletingRebalance))
    }

    /// The generation of a group; none when there is no such group.
    #[must_use]
    pub fn generation_of(&self, group_id: &str) -> Option<i32> {
        self.groups.get(group_id).map(|group| group.generation)
    }

    /// The state of a group; none when there is no such group.
    #[must_use]
    pub fn state_of(&self, group_id: &str) -> Option<GroupState> {
        self.groups.get(group_id).map(|group| group.state)
    }
}
