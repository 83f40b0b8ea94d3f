//! Listing, describing and deleting groups.

use crate::answer::{DescribedGroup, DescribedMember, ListedGroup, Refusal};
use crate::coordinator::Coordinator;
use crate::group::{Group, GroupState};
use crate::member::Member;
use crate::offsets::tombstone;
use crate::record::Record;
use crate::step::{Now, Step};

/// The type of every group here, as ListGroups shows it (KIP-848).
pub const GROUP_TYPE: &str = "classic";

impl Coordinator {
    /// The groups in one of `states` (any when none is named) and of one of `types` (likewise); case does not matter.
    #[must_use]
    pub fn list(&self, states: &[String], types: &[String]) -> Vec<ListedGroup> {
        let wanted = |group: &&Group| {
            let state = states.is_empty()
                || states.iter().any(|name| name.trim().eq_ignore_ascii_case(group.state.name()));
            let kind = types.is_empty() || types.iter().any(|name| name.eq_ignore_ascii_case(GROUP_TYPE));
            state && kind
        };
        let listed = self.groups.values().filter(wanted).map(|group| ListedGroup {
            group_id: group.id.to_string(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            state: group.state,
        });
        listed.collect()
    }

    /// A group with its members; Dead and not found when there is no such group.
    #[must_use]
    pub fn describe(&self, group_id: &str) -> DescribedGroup {
        let Some(group) = self.groups.get(group_id) else {
            return DescribedGroup {
                group_id: group_id.to_owned(),
                state: GroupState::Dead,
                found: false,
                protocol_type: String::new(),
                protocol: String::new(),
                members: Vec::new(),
            };
        };
        // Only of a stable group is it told what its members offered.
        let protocol = group.protocol.as_deref().filter(|_| group.state == GroupState::Stable);
        DescribedGroup {
            group_id: group_id.to_owned(),
            state: group.state,
            found: true,
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: group.members.values().map(|member| member.describe(protocol)).collect(),
        }
    }

    /// Deletes a group without members, its offsets first.
    pub fn delete_group(&mut self, now: Now, group_id: &str) -> (Result<(), Refusal>, Step) {
        let mut step = Step::default();
        let Some(group) = self.groups.get(group_id) else { return (Err(Refusal::GroupIdNotFound), step) };
        if group.state != GroupState::Empty {
            return (Err(Refusal::NonEmptyGroup), step);
        }
        for (topic, partitions) in self.offsets.get(group_id).into_iter().flatten() {
            step.records.extend(partitions.keys().map(|partition| tombstone(group_id, topic, *partition)));
        }
        for record in step.records.clone() {
            self.replay(record, now.wall);
        }
        self.forget(group_id);
        step.records.push(Record::Group { group: group_id.to_owned(), value: None });
        (Ok(()), step)
    }
}

impl Member {
    fn describe(&self, protocol: Option<&str>) -> DescribedMember {
        DescribedMember {
            member_id: self.id.to_string(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            metadata: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }
}
