//! Timeouts and limits. Names and defaults are Kafka's; those of [`Limits`] are Waybill's own.

use std::time::Duration;

/// How long a JoinGroup of a member that is new may be parked before the member is given up (Kafka's
/// `CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`).
pub const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_mins(5);

/// The configuration of a group coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`: 6 s.
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`: 30 min.
    pub max_session_timeout: Duration,
    /// `group.initial.rebalance.delay.ms`: 3 s.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: unlimited.
    pub max_size: usize,
    /// `offset.metadata.max.bytes`: 4,096. Kafka counts UTF-16 units; so does Waybill.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`: 7 days (KIP-211).
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`: 10 min.
    pub retention_check_interval: Duration,
    /// Bounds that Kafka does not have.
    pub limits: Limits,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_mins(30),
            initial_rebalance_delay: Duration::from_secs(3),
            max_size: i32::MAX as usize,
            offset_metadata_max: 4096,
            offsets_retention: Duration::from_hours(7 * 24),
            retention_check_interval: Duration::from_mins(10),
            limits: Limits::default(),
        }
    }
}

/// Bounds on what clients can make one coordinator partition hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Groups; what would make another is refused with COORDINATOR_NOT_AVAILABLE.
    pub groups: usize,
    /// Members of a group that were given an id and did not come back with it yet; the next is refused with
    /// GROUP_MAX_SIZE_REACHED.
    pub pending_members: usize,
    /// Protocols that a member may offer; more is refused with INCONSISTENT_GROUP_PROTOCOL.
    pub protocols: usize,
    /// Bytes of a group's record, which holds every member's subscription and assignment. As with Kafka's
    /// `max.message.bytes`, a larger one fails the rebalance with UNKNOWN_SERVER_ERROR.
    pub group_record_bytes: usize,
    /// Bytes of members' subscriptions in all groups; a member that would pass it is refused with
    /// GROUP_MAX_SIZE_REACHED.
    pub member_bytes: usize,
    /// Bytes of committed offsets; a commit of further partitions is refused with COORDINATOR_NOT_AVAILABLE.
    pub offset_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            groups: 20_000,
            pending_members: 10_000,
            protocols: 100,
            group_record_bytes: 1_000_000,
            member_bytes: 16 << 20,
            offset_bytes: 16 << 20,
        }
    }
}
