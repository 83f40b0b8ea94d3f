//! Members of consumer groups and what they are assigned.

use std::collections::BTreeMap;

use bytes::Bytes;
use waybill_protocol::wire::{Message, Reader};
use waybill_protocol_gen::messages::consumer_group_describe_response::{Assignment, Member};
use waybill_protocol_gen::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use waybill_protocol_gen::messages::describe_groups_response::DescribedGroupMember;

/// The partitions a member has, by topic.
pub type MemberAssignment = BTreeMap<String, Vec<i32>>;

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// The id that the coordinator gave it.
    pub member_id: String,
    /// The id that its configuration gave it (KIP-345).
    pub instance_id: Option<String>,
    /// What it calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// What it has.
    pub assignment: MemberAssignment,
}

impl GroupMember {
    pub(super) fn classic(member: DescribedGroupMember, protocol_type: &str) -> Self {
        Self {
            member_id: member.member_id.to_string(),
            instance_id: member.group_instance_id.map(|id| id.to_string()),
            client_id: member.client_id.to_string(),
            host: member.client_host.to_string(),
            assignment: if protocol_type == "consumer" {
                parse_assignment(member.member_assignment)
            } else {
                MemberAssignment::new()
            },
        }
    }

    pub(super) fn modern(member: Member) -> Self {
        Self {
            member_id: member.member_id.to_string(),
            instance_id: member.instance_id.map(|id| id.to_string()),
            client_id: member.client_id.to_string(),
            host: member.client_host.to_string(),
            assignment: from_topics(member.assignment),
        }
    }
}

fn from_topics(assignment: Assignment) -> MemberAssignment {
    let topics = assignment.topic_partitions.into_iter();
    topics.map(|topic| (topic.topic_name.to_string(), topic.partitions)).collect()
}

/// Reads an assignment of the consumer protocol: a version, then the message. Empty where a member has none yet, or
/// wrote what is no assignment: it is the member's to write, not the broker's to check.
fn parse_assignment(bytes: Bytes) -> MemberAssignment {
    let mut reader = Reader::new(bytes);
    let Ok(version) = reader.i16("version") else { return MemberAssignment::new() };
    let version =
        version.clamp(ConsumerProtocolAssignment::MIN_VERSION, ConsumerProtocolAssignment::MAX_VERSION);
    match ConsumerProtocolAssignment::decode(&mut reader, version) {
        Ok(assignment) => {
            let topics = assignment.assigned_partitions.into_iter();
            topics.map(|topic| (topic.topic.to_string(), topic.partitions)).collect()
        }
        Err(_) => MemberAssignment::new(),
    }
}
