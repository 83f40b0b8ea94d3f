//! What is asked of the coordinator, free of wire versions.

use std::time::Duration;

use bytes::Bytes;
use waybill_types::{Offset, PartitionId, TopicId};

/// A protocol that a member can speak, and its subscription in that protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// The name, for a consumer its assignor's.
    pub name: String,
    /// Opaque here, but for the topics of consumers.
    pub metadata: Bytes,
}

/// A JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The group.
    pub group_id: String,
    /// The member's id, empty when it has none yet.
    pub member_id: String,
    /// The group instance id of a static member (KIP-345).
    pub instance_id: Option<String>,
    /// The client id of the request header.
    pub client_id: String,
    /// The peer as groups show it: `/127.0.0.1`.
    pub client_host: String,
    /// How long the member may be silent.
    pub session_timeout: Duration,
    /// How long the member may take to rejoin; the session timeout in version 0.
    pub rebalance_timeout: Duration,
    /// `consumer`, `connect`, ...
    pub protocol_type: String,
    /// In the member's order of preference.
    pub protocols: Vec<Protocol>,
    /// Whether the request's version lets the coordinator ask for a second join with a member id: from 4 on (KIP-394).
    pub knows_member_id_required: bool,
    /// Whether the request's version knows skipAssignment: from 9 on (KIP-814).
    pub knows_skip_assignment: bool,
    /// Sixteen fresh random bytes, from which a member id is made if one is needed.
    pub entropy: [u8; 16],
}

/// A SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRequest {
    /// The group.
    pub group_id: String,
    /// The generation that the member joined.
    pub generation: i32,
    /// The member.
    pub member_id: String,
    /// The group instance id of a static member.
    pub instance_id: Option<String>,
    /// What the member takes the group's protocol type for, if it says so.
    pub protocol_type: Option<String>,
    /// What the member takes the chosen protocol for, if it says so.
    pub protocol: Option<String>,
    /// From the leader: what each member is assigned.
    pub assignments: Vec<(String, Bytes)>,
}

/// A Heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatRequest {
    /// The group.
    pub group_id: String,
    /// The generation that the member is in.
    pub generation: i32,
    /// The member.
    pub member_id: String,
    /// The group instance id of a static member.
    pub instance_id: Option<String>,
}

/// Who leaves in a LeaveGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeavingMember {
    /// The member's id; empty where an administrator removes a static member by its instance id.
    pub member_id: String,
    /// The group instance id of a static member.
    pub instance_id: Option<String>,
}

/// An OffsetCommit, with its topics resolved and its partitions known to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRequest {
    /// The group; may be empty.
    pub group_id: String,
    /// The generation, or -1 from outside of the group protocol.
    pub generation: i32,
    /// The member, or empty from outside of the group protocol.
    pub member_id: String,
    /// The group instance id of a static member.
    pub instance_id: Option<String>,
    /// How long to keep the offsets, in versions 2 to 4; none means the broker's retention.
    pub retention: Option<Duration>,
    /// Whether the request's version knows GROUP_ID_NOT_FOUND: from 9 on.
    pub knows_group_id_not_found: bool,
    /// What to commit.
    pub topics: Vec<CommitTopic>,
}

/// The offsets of one topic to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitTopic {
    /// The topic's id, zero where the request named it.
    pub topic_id: TopicId,
    /// The topic's name.
    pub topic: String,
    /// The partitions.
    pub partitions: Vec<CommitPartition>,
}

/// One offset to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitPartition {
    /// The partition.
    pub partition: PartitionId,
    /// The offset of the next record to read.
    pub offset: Offset,
    /// The leader epoch of the last record read, or -1.
    pub leader_epoch: i32,
    /// Whatever the client wants to keep with it.
    pub metadata: Option<String>,
}

/// The offsets of one topic to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchTopic {
    /// The topic's id, zero where the request named it.
    pub topic_id: TopicId,
    /// The topic's name.
    pub topic: String,
    /// The partitions.
    pub partitions: Vec<PartitionId>,
}
