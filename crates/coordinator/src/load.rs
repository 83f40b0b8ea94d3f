//! From the log to memory, and back to nothing.

use std::sync::Arc;

use waybill_types::{PartitionId, TimestampMs};

use crate::answer::{JoinAnswer, Refusal, SyncAnswer};
use crate::coordinator::Coordinator;
use crate::group::Group;
use crate::record::{OffsetValue, Record};
use crate::step::{Now, Step};
use crate::timers::{Fire, TimerKey};

impl Coordinator {
    /// Takes one record of the partition, in the order of the log. `wall` dates what the record does not.
    pub fn replay(&mut self, record: Record, wall: TimestampMs) {
        match record {
            Record::Group { group, value: None } => {
                self.forget(&group);
            }
            Record::Group { group, value: Some(value) } => {
                self.forget(&group);
                let loaded = Group::from_value(&group, value, wall);
                self.held.member_bytes = self.held.member_bytes.saturating_add(loaded.bytes);
                self.groups.insert(Arc::clone(&loaded.id), loaded);
            }
            Record::Offset { group, topic, partition, value: Some(value) } => {
                // Offsets may be committed outside of the group protocol: such a group has no record of its own.
                let id = self.group_or_simple(&group, wall);
                let topics = self.offsets.entry(id).or_default();
                let added = offset_bytes(&topic, &value);
                let before = topics.get(&topic).and_then(|partitions| partitions.get(&partition));
                let gone = before.map_or(0, |before| offset_bytes(&topic, before));
                self.held.offset_bytes = self.held.offset_bytes.saturating_sub(gone).saturating_add(added);
                topics.entry(topic).or_default().insert(partition, value);
            }
            Record::Offset { group, topic, partition, value: None } => {
                self.forget_offset(&group, &topic, partition);
            }
        }
    }

    /// The id of a group, which is made when it does not exist.
    pub(crate) fn group_or_simple(&mut self, group_id: &str, wall: TimestampMs) -> Arc<str> {
        if let Some(group) = self.groups.get(group_id) {
            return Arc::clone(&group.id);
        }
        let group = Group::new(group_id, wall);
        let id = Arc::clone(&group.id);
        self.groups.insert(Arc::clone(&id), group);
        id
    }

    /// All records are in: sessions begin anew now, since nobody could send a heartbeat meanwhile.
    pub fn loaded(&mut self, now: Now) -> Step {
        let mut step = Step::default();
        let ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for id in ids {
            self.with_group(&id, now, &mut step, |group, parts| {
                let members: Vec<Arc<str>> = group.members.keys().cloned().collect();
                for member in &members {
                    group.keep_alive(member, parts);
                }
                if members.len() > parts.config.max_size {
                    // The limit was lowered: a rebalance lets members commit before the last ones are turned away.
                    group.prepare_rebalance(parts);
                }
            });
        }
        self.arm_retention(now);
        step
    }

    pub(crate) fn arm_retention(&mut self, now: Now) {
        let deadline = now.monotonic.saturating_add(self.config.retention_check_interval);
        self.timers.set(TimerKey::Retention, deadline, Fire::Plain);
    }

    /// Gives the partition up: every parked request is answered NOT_COORDINATOR. These answers rest on no record and
    /// may be sent at once.
    pub fn unload(mut self) -> Step {
        let mut step = Step::default();
        for group in std::mem::take(&mut self.groups).into_values() {
            for (id, member) in group.members {
                if let Some(to) = member.join {
                    step.join(to, JoinAnswer::refused(&id, Refusal::NotCoordinator));
                }
                if let Some(to) = member.sync {
                    step.sync(to, SyncAnswer::refused(Refusal::NotCoordinator));
                }
            }
        }
        step
    }

    /// What the log should hold: a record for each group that is settled, and for each offset. For tests that compare
    /// the live state with its replay; groups amid a rebalance are left out, their record is of an earlier generation.
    #[must_use]
    pub fn settled(&self) -> Vec<Record> {
        let groups = self.groups.values().filter(|group| {
            use crate::group::GroupState::{Empty, Stable};
            matches!(group.state, Stable | Empty)
        });
        let offsets = self.offsets.iter().flat_map(|(group, topics)| {
            topics.iter().flat_map(move |(topic, partitions)| {
                partitions.iter().map(move |(partition, value)| Record::Offset {
                    group: group.to_string(),
                    topic: topic.clone(),
                    partition: *partition,
                    value: Some(value.clone()),
                })
            })
        });
        groups.map(Group::record).chain(offsets).collect()
    }

    pub(crate) fn forget_offset(&mut self, group: &str, topic: &str, partition: PartitionId) {
        let Some(topics) = self.offsets.get_mut(group) else { return };
        if let Some(partitions) = topics.get_mut(topic) {
            if let Some(value) = partitions.remove(&partition) {
                let gone = offset_bytes(topic, &value);
                self.held.offset_bytes = self.held.offset_bytes.saturating_sub(gone);
            }
            if partitions.is_empty() {
                topics.remove(topic);
            }
        }
        if topics.is_empty() {
            self.offsets.remove(group);
        }
    }
}

/// What an offset takes in memory, nearly.
pub(crate) fn offset_bytes(topic: &str, value: &OffsetValue) -> usize {
    topic.len() + value.metadata.len() + 96
}
