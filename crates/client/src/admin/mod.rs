//! What administrators ask of a cluster, one call each.
//!
//! Every call finds its broker, tries again while that may help, and gives one error in the end. Calls are methods of
//! [`crate::Client`]; a file here holds those of one subject with their types.

mod cluster;
mod configs;
mod group_members;
mod groups;
mod offsets;
mod records;
mod reset;
mod topics;

pub use cluster::{ClusterDescription, LogDir, LogDirReplica};
pub use configs::{ConfigChange, ConfigEntry, ConfigOp, ConfigResource, ConfigSource, ConfigSynonym};
pub use group_members::{GroupMember, MemberAssignment};
pub use groups::{GroupDescription, GroupListing};
pub use offsets::{Committed, OffsetSpec, PartitionOffset, TopicPartition};
pub use reset::{PlannedReset, ResetTarget};
pub use topics::{CreatedTopic, NewTopic};

use waybill_protocol::error_code::ErrorCode;

use crate::error::ApiError;

/// An answer that leaves out what was asked about.
fn left_out() -> ApiError {
    ApiError {
        code: ErrorCode::UnknownServerError,
        message: Some("the broker's answer says nothing about it".to_owned()),
    }
}

/// Milliseconds as requests carry them.
fn millis(span: std::time::Duration) -> i32 {
    i32::try_from(span.as_millis()).unwrap_or(i32::MAX)
}
