//! What the coordinator answers, free of wire versions.

use bytes::Bytes;
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use crate::group::GroupState;

/// Declares the refusals with their Kafka error codes: the one place where they meet.
macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Why something is not done. The mapping to Kafka's error codes stands here and nowhere else.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
        pub enum Refusal {
            $($(#[$doc])* #[error("{}", stringify!($name))] $name,)*
        }

        impl Refusal {
            /// Kafka's error code.
            #[must_use]
            pub const fn code(self) -> i16 {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// Every refusal there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

refusals! {
    /// Something the coordinator can not handle, such as a group too large for a record.
    UnknownServerError = -1,
    /// The metadata of a committed offset is too long.
    OffsetMetadataTooLarge = 12,
    /// The coordinator can not take this now; ask again.
    CoordinatorNotAvailable = 15,
    /// Another broker, or a later life of this one, coordinates the group.
    NotCoordinator = 16,
    /// Of another generation than the group's.
    IllegalGeneration = 22,
    /// The member's protocols do not go with those of the group.
    InconsistentGroupProtocol = 23,
    /// The group id is empty where it must not be.
    InvalidGroupId = 24,
    /// The group has no such member.
    UnknownMemberId = 25,
    /// The session timeout is out of the broker's bounds.
    InvalidSessionTimeout = 26,
    /// The group is rebalancing: rejoin.
    RebalanceInProgress = 27,
    /// The group still has members.
    NonEmptyGroup = 68,
    /// There is no such group.
    GroupIdNotFound = 69,
    /// Join again with the id that comes with this (KIP-394).
    MemberIdRequired = 79,
    /// The group is full.
    GroupMaxSizeReached = 81,
    /// Another member has taken over this group instance id (KIP-345).
    FencedInstanceId = 82,
    /// A member still subscribes to the topic.
    GroupSubscribedToTopic = 86,
}

/// The answer to a JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinAnswer {
    /// None when it went well.
    pub error: Option<Refusal>,
    /// The generation; -1 with an error.
    pub generation: i32,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The protocol that was chosen.
    pub protocol: Option<String>,
    /// The leader's member id; empty with an error.
    pub leader: String,
    /// Whether the leader must not assign anew (KIP-814).
    pub skip_assignment: bool,
    /// The id of the member asked for, or its new one.
    pub member_id: String,
    /// All members with what they subscribe to; only the leader gets it.
    pub members: Vec<JoinedMember>,
}

impl JoinAnswer {
    pub(crate) fn refused(member_id: &str, error: Refusal) -> Self {
        Self {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: Vec::new(),
        }
    }
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: String,
    /// Its group instance id when it is static.
    pub instance_id: Option<String>,
    /// Its subscription under the protocol that was chosen.
    pub metadata: Bytes,
}

/// The answer to a SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncAnswer {
    /// None when it went well.
    pub error: Option<Refusal>,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The protocol that was chosen.
    pub protocol: Option<String>,
    /// What the leader assigned to the member.
    pub assignment: Bytes,
}

impl SyncAnswer {
    pub(crate) fn refused(error: Refusal) -> Self {
        Self { error: Some(error), protocol_type: None, protocol: None, assignment: Bytes::new() }
    }
}

/// What became of one member of a LeaveGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftMember {
    /// The member id that was given.
    pub member_id: String,
    /// The group instance id that was given.
    pub instance_id: Option<String>,
    /// None when it left.
    pub error: Option<Refusal>,
}

/// What became of an OffsetCommit: per topic, in the order asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitAnswer {
    /// Each topic's partitions with their errors.
    pub topics: Vec<TopicErrors>,
    /// Where an offset went backwards, for the audit.
    pub backwards: Vec<Backwards>,
}

/// Errors by partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicErrors {
    /// The topic's id, zero where the request named it.
    pub topic_id: TopicId,
    /// The topic's name.
    pub topic: String,
    /// None where it went well.
    pub partitions: Vec<(PartitionId, Option<Refusal>)>,
}

/// A committed offset that went backwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backwards {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionId,
    /// Committed before.
    pub from: Offset,
    /// Committed now.
    pub to: Offset,
}

/// Committed offsets of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedTopic {
    /// As asked, or what the topic's name stands for where everything was asked for.
    pub topic_id: TopicId,
    /// The topic's name.
    pub topic: String,
    /// The partitions asked for, or all that have an offset.
    pub partitions: Vec<FetchedOffset>,
}

/// A committed offset, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedOffset {
    /// The partition.
    pub partition: PartitionId,
    /// The offset, -1 when none is committed.
    pub offset: Offset,
    /// The leader epoch that was committed with it, or -1.
    pub leader_epoch: i32,
    /// What was committed with it.
    pub metadata: String,
}

/// A committed offset, for those who watch groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionId,
    /// The offset of the next record to read.
    pub offset: Offset,
    /// When it was committed.
    pub committed: TimestampMs,
}

/// A group as ListGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    /// The group's id.
    pub group_id: String,
    /// The protocol type, empty when there is none.
    pub protocol_type: String,
    /// The state.
    pub state: GroupState,
}

/// A group as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedGroup {
    /// The group's id.
    pub group_id: String,
    /// The state; Dead when there is no such group.
    pub state: GroupState,
    /// Whether there is such a group (from version 6 on its lack is an error, KIP-1043).
    pub found: bool,
    /// The protocol type, empty when there is none.
    pub protocol_type: String,
    /// The protocol that was chosen, empty unless the group is stable.
    pub protocol: String,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: String,
    /// Its group instance id when it is static.
    pub instance_id: Option<String>,
    /// The client id that it joined with.
    pub client_id: String,
    /// The host that it joined from.
    pub client_host: String,
    /// Its subscription, empty unless the group is stable.
    pub metadata: Bytes,
    /// What is assigned to it.
    pub assignment: Bytes,
}
