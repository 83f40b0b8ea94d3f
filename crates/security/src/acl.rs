//! Kafka's vocabulary of permissions: operations, resource types, and one asked for on the other.

use std::fmt;

/// The one resource of type [`ResourceType::Cluster`].
pub const CLUSTER_NAME: &str = "kafka-cluster";

/// What someone wants to do. Kafka's `AclOperation`, and Waybill's own [`Operation::Replay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Read records or commit offsets.
    Read,
    /// Write records.
    Write,
    /// Make topics.
    Create,
    /// Delete topics, records, groups.
    Delete,
    /// Change partitions, reassign, grant.
    Alter,
    /// See that it is there.
    Describe,
    /// What brokers ask of each other.
    ClusterAction,
    /// See configurations.
    DescribeConfigs,
    /// Change configurations.
    AlterConfigs,
    /// Get a producer id (Kafka before 2.8 needed it for idempotence).
    IdempotentWrite,
    /// Make delegation tokens for others.
    CreateTokens,
    /// See delegation tokens of others.
    DescribeTokens,
    /// Take part in two-phase commit (KIP-939).
    TwoPhaseCommit,
    /// Waybill's own: read records that were appended longer ago than the topic's live window.
    Replay,
}

impl Operation {
    /// The code that Kafka's ACL messages and bit fields use; none for Waybill's own.
    #[must_use]
    pub const fn code(self) -> Option<u8> {
        match self {
            Self::Read => Some(3),
            Self::Write => Some(4),
            Self::Create => Some(5),
            Self::Delete => Some(6),
            Self::Alter => Some(7),
            Self::Describe => Some(8),
            Self::ClusterAction => Some(9),
            Self::DescribeConfigs => Some(10),
            Self::AlterConfigs => Some(11),
            Self::IdempotentWrite => Some(12),
            Self::CreateTokens => Some(13),
            Self::DescribeTokens => Some(14),
            Self::TwoPhaseCommit => Some(15),
            Self::Replay => None,
        }
    }
}

/// What something is done to. Kafka's `ResourceType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// A topic, by name.
    Topic,
    /// A group of any kind, by id.
    Group,
    /// The cluster, always [`CLUSTER_NAME`].
    Cluster,
    /// A transactional id.
    TransactionalId,
    /// A delegation token, by id.
    DelegationToken,
    /// A user, as an owner of delegation tokens.
    User,
}

impl ResourceType {
    /// The code that Kafka's ACL messages use.
    #[must_use]
    pub const fn code(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Group => 3,
            Self::Cluster => 4,
            Self::TransactionalId => 5,
            Self::DelegationToken => 6,
            Self::User => 7,
        }
    }

    /// The operations that this type knows: those of Kafka's `AclEntry.supportedOperations`.
    #[must_use]
    pub const fn operations(self) -> &'static [Operation] {
        use Operation as O;
        match self {
            Self::Topic => &[
                O::Read,
                O::Write,
                O::Create,
                O::Describe,
                O::Delete,
                O::Alter,
                O::DescribeConfigs,
                O::AlterConfigs,
            ],
            Self::Group => &[O::Read, O::Describe, O::Delete, O::DescribeConfigs, O::AlterConfigs],
            Self::Cluster => &[
                O::Create,
                O::ClusterAction,
                O::DescribeConfigs,
                O::AlterConfigs,
                O::IdempotentWrite,
                O::Alter,
                O::Describe,
            ],
            Self::TransactionalId => &[O::Describe, O::Write, O::TwoPhaseCommit],
            Self::DelegationToken => &[O::Describe],
            Self::User => &[O::CreateTokens, O::DescribeTokens],
        }
    }

    /// The error code with which Kafka refuses something on a resource of this type: TOPIC_AUTHORIZATION_FAILED 29,
    /// GROUP_ 30, CLUSTER_ 31, TRANSACTIONAL_ID_ 53, DELEGATION_TOKEN_ 65.
    #[must_use]
    pub const fn denial_code(self) -> i16 {
        match self {
            Self::Topic => 29,
            Self::Group => 30,
            Self::Cluster => 31,
            Self::TransactionalId => 53,
            Self::DelegationToken | Self::User => 65,
        }
    }
}

/// One thing that someone wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action<'a> {
    /// What.
    pub operation: Operation,
    /// To what kind of thing.
    pub resource_type: ResourceType,
    /// To which.
    pub resource: &'a str,
}

impl<'a> Action<'a> {
    /// `operation` on the resource of that type and name.
    #[must_use]
    pub const fn new(operation: Operation, resource_type: ResourceType, resource: &'a str) -> Self {
        Self { operation, resource_type, resource }
    }

    /// `operation` on the topic `name`.
    #[must_use]
    pub const fn topic(operation: Operation, name: &'a str) -> Self {
        Self::new(operation, ResourceType::Topic, name)
    }

    /// `operation` on the group `id`.
    #[must_use]
    pub const fn group(operation: Operation, id: &'a str) -> Self {
        Self::new(operation, ResourceType::Group, id)
    }

    /// `operation` on the transactional id `id`.
    #[must_use]
    pub const fn transactional_id(operation: Operation, id: &'a str) -> Self {
        Self::new(operation, ResourceType::TransactionalId, id)
    }
}

impl Action<'static> {
    /// `operation` on the cluster.
    #[must_use]
    pub const fn cluster(operation: Operation) -> Self {
        Self::new(operation, ResourceType::Cluster, CLUSTER_NAME)
    }
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} on {:?} {}", self.operation, self.resource_type, self.resource)
    }
}
