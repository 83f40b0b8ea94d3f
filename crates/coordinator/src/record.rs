//! What is kept in `__consumer_offsets`.

use bytes::Bytes;
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

/// A record: a key, and a value or (as `None`) its tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A group, as of its last completed rebalance.
    Group {
        /// The group's id.
        group: String,
        /// None deletes the group.
        value: Option<GroupValue>,
    },
    /// A committed offset.
    Offset {
        /// The group's id.
        group: String,
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// None deletes the offset.
        value: Option<OffsetValue>,
    },
}

/// Kafka's `GroupMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupValue {
    /// The protocol type, empty when there is none.
    pub protocol_type: String,
    /// The generation.
    pub generation: i32,
    /// The protocol that was chosen; none when the group is empty.
    pub protocol: Option<String>,
    /// The leader's member id.
    pub leader: Option<String>,
    /// When the group came into its state; none in records of old.
    pub since: Option<TimestampMs>,
    /// The members; none makes an empty group.
    pub members: Vec<MemberValue>,
}

/// Kafka's `MemberMetadata`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberValue {
    /// The member's id.
    pub member_id: String,
    /// The group instance id when it is static.
    pub instance_id: Option<String>,
    /// The client id that it joined with.
    pub client_id: String,
    /// The host that it joined from.
    pub client_host: String,
    /// In milliseconds; -1 in records of old, where the session timeout counts.
    pub rebalance_timeout_ms: i32,
    /// In milliseconds.
    pub session_timeout_ms: i32,
    /// Its subscription under the protocol that was chosen.
    pub subscription: Bytes,
    /// What is assigned to it.
    pub assignment: Bytes,
}

/// Kafka's `OffsetCommitValue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetValue {
    /// The offset of the next record to read.
    pub offset: Offset,
    /// The leader epoch of the last record read, or -1.
    pub leader_epoch: i32,
    /// Whatever the client wants to keep with it.
    pub metadata: String,
    /// When it was committed.
    pub committed: TimestampMs,
    /// When it ends, where the client gave a retention (OffsetCommit versions 2 to 4).
    pub expires: Option<TimestampMs>,
    /// The topic's id, zero where it was not known.
    pub topic_id: TopicId,
}
