//! One file per Kafka API: parse, authorise, apply, respond.
//!
//! [`ROUTES`] is the one list of what is served besides ApiVersions, Produce and Fetch, which have their own paths;
//! what ApiVersions advertises is read from it, so nothing is advertised that has no handler.

pub mod alter_configs;
pub mod api_versions;
mod config_resources;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_topic_partitions;
pub mod errors;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod sync_group;

use waybill_protocol_gen::ApiKey;

use crate::handler::Route;

/// What is served, besides ApiVersions, Produce and Fetch.
pub static ROUTES: &[Route] = &[
    Route::to::<list_offsets::ListOffsets>(),
    Route::to::<metadata::Metadata>(),
    Route::to::<create_topics::CreateTopics>(),
    Route::to::<delete_topics::DeleteTopics>(),
    Route::to::<delete_records::DeleteRecords>(),
    Route::to::<init_producer_id::InitProducerId>(),
    Route::to::<offset_for_leader_epoch::OffsetForLeaderEpoch>(),
    Route::to::<describe_configs::DescribeConfigs>(),
    Route::to::<alter_configs::AlterConfigs>(),
    Route::to::<describe_log_dirs::DescribeLogDirs>(),
    Route::to::<create_partitions::CreatePartitions>(),
    Route::to::<incremental_alter_configs::IncrementalAlterConfigs>(),
    Route::to::<describe_cluster::DescribeCluster>(),
    Route::to::<describe_topic_partitions::DescribeTopicPartitions>(),
    Route::to::<offset_commit::OffsetCommit>(),
    Route::to::<offset_fetch::OffsetFetch>(),
    Route::to::<find_coordinator::FindCoordinator>(),
    Route::to::<join_group::JoinGroup>(),
    Route::to::<heartbeat::Heartbeat>(),
    Route::to::<leave_group::LeaveGroup>(),
    Route::to::<sync_group::SyncGroup>(),
    Route::to::<describe_groups::DescribeGroups>(),
    Route::to::<list_groups::ListGroups>(),
    Route::to::<delete_groups::DeleteGroups>(),
    Route::to::<offset_delete::OffsetDelete>(),
];

/// The route of an API, if it is served and has no path of its own.
#[must_use]
pub fn route(key: ApiKey) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.key == key)
}

/// Every API that is served.
pub fn served_keys() -> impl Iterator<Item = ApiKey> {
    let own = [ApiKey::Produce, ApiKey::Fetch, ApiKey::ApiVersions];
    own.into_iter().chain(ROUTES.iter().map(|route| route.key))
}
