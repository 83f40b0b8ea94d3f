//! Offsets: those of logs, and those that groups committed.

use std::collections::BTreeMap;

use waybill_protocol::wire::KString;
use waybill_protocol_gen::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use waybill_protocol_gen::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use waybill_protocol_gen::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use waybill_protocol_gen::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup};
use waybill_types::TimestampMs;

use super::left_out;
use crate::client::{Client, Route};
use crate::error::{ApiError, ClientError};

/// The newest versions that name topics instead of giving their ids.
const OFFSET_FETCH_BY_NAME: i16 = 9;
const OFFSET_COMMIT_BY_NAME: i16 = 9;

/// A partition by its topic's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Which offset of a log is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first one kept.
    Earliest,
    /// The one behind the last.
    Latest,
    /// That of the record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// That of the first record with this timestamp or a later one.
    AtOrAfter(TimestampMs),
}

impl OffsetSpec {
    const fn timestamp(self) -> i64 {
        match self {
            Self::Earliest => -2,
            Self::Latest => -1,
            Self::MaxTimestamp => -3,
            Self::AtOrAfter(time) => time.get(),
        }
    }
}

/// An offset of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionOffset {
    /// The offset; `None` when no record is that late.
    pub offset: Option<i64>,
    /// The record's timestamp, where one is meant.
    pub timestamp: Option<TimestampMs>,
    /// Its leader epoch, where the broker tells.
    pub leader_epoch: Option<i32>,
}

/// An offset that a group committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// The offset to go on at.
    pub offset: i64,
    /// The leader epoch of the record before it, where the committer told.
    pub leader_epoch: Option<i32>,
    /// What the committer noted with it.
    pub metadata: String,
}

/// Partitions of one topic behind its name.
fn by_topic<'a>(
    partitions: impl Iterator<Item = &'a TopicPartition>,
) -> BTreeMap<&'a str, Vec<&'a TopicPartition>> {
    let mut topics: BTreeMap<&str, Vec<&TopicPartition>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition);
    }
    topics
}

impl Client {
    /// An offset of a partition's log.
    ///
    /// # Errors
    /// [`ClientError::Refused`], as with UNKNOWN_TOPIC_OR_PARTITION.
    pub async fn list_offset(
        &self,
        partition: &TopicPartition,
        spec: OffsetSpec,
    ) -> Result<PartitionOffset, ClientError> {
        let build = |_version| ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: partition.topic.as_str().into(),
                partitions: vec![ListOffsetsPartition {
                    partition_index: partition.partition,
                    current_leader_epoch: -1,
                    timestamp: spec.timestamp(),
                    ..ListOffsetsPartition::default()
                }],
                ..ListOffsetsTopic::default()
            }],
            ..ListOffsetsRequest::default()
        };
        let what = format!("asking for an offset of {partition}");
        let route = Route::Leader(&partition.topic, partition.partition);
        self.ask(&what, route, i16::MAX, build, |response| {
            let topic = response.topics.into_iter().next().ok_or_else(left_out)?;
            let found = topic.partitions.into_iter().next().ok_or_else(left_out)?;
            ApiError::check(found.error_code, None)?;
            Ok(PartitionOffset {
                offset: Some(found.offset).filter(|offset| *offset >= 0),
                timestamp: Some(TimestampMs(found.timestamp)).filter(|time| time.get() >= 0),
                leader_epoch: Some(found.leader_epoch).filter(|epoch| *epoch >= 0),
            })
        })
        .await
    }

    /// Offsets of several partitions, many asked at a time.
    ///
    /// # Errors
    /// The first partition's error, as [`Self::list_offset`].
    pub async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, PartitionOffset>, ClientError> {
        use futures::stream::{StreamExt, TryStreamExt};
        // The first goes alone, so that leaders are looked up once and not by everyone.
        let mut found = BTreeMap::new();
        let Some((first, rest)) = partitions.split_first() else { return Ok(found) };
        found.insert(first.clone(), self.list_offset(first, spec).await?);
        let asking = futures::stream::iter(rest).map(|partition| async move {
            self.list_offset(partition, spec).await.map(|offset| (partition.clone(), offset))
        });
        let others: Vec<_> =
            asking.buffer_unordered(self.config().max_in_flight.max(1)).try_collect().await?;
        found.extend(others);
        Ok(found)
    }

    /// Every offset that a group committed.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn committed_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, Committed>, ClientError> {
        let build = |version| {
            if version < 8 {
                return OffsetFetchRequest {
                    group_id: group.into(),
                    topics: None,
                    ..OffsetFetchRequest::default()
                };
            }
            let group = OffsetFetchRequestGroup {
                group_id: group.into(),
                topics: None,
                ..OffsetFetchRequestGroup::default()
            };
            OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() }
        };
        let what = format!("reading the offsets of group '{group}'");
        self.ask(&what, Route::Group(group), OFFSET_FETCH_BY_NAME, build, |response| {
            let mut found = BTreeMap::new();
            ApiError::check(response.error_code, None)?;
            for group in response.groups {
                ApiError::check(group.error_code, None)?;
                for topic in group.topics {
                    for one in topic.partitions {
                        ApiError::check(one.error_code, None)?;
                        let at = TopicPartition::new(topic.name.as_str(), one.partition_index);
                        keep(&mut found, at, one.committed_offset, one.committed_leader_epoch, one.metadata);
                    }
                }
            }
            for topic in response.topics {
                for one in topic.partitions {
                    ApiError::check(one.error_code, None)?;
                    let at = TopicPartition::new(topic.name.as_str(), one.partition_index);
                    keep(&mut found, at, one.committed_offset, one.committed_leader_epoch, one.metadata);
                }
            }
            Ok(found)
        })
        .await
    }

    /// Commits offsets for a group from outside. Brokers allow it while the group has no members.
    ///
    /// # Errors
    /// [`ClientError::Refused`], as with UNKNOWN_MEMBER_ID or REBALANCE_IN_PROGRESS while it has members. Some
    /// partitions may have been committed then.
    pub async fn commit_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Committed>,
    ) -> Result<(), ClientError> {
        let topics = by_topic(offsets.keys());
        let commit = |at: &&TopicPartition| {
            let committed = offsets.get(*at).cloned().unwrap_or_default();
            OffsetCommitRequestPartition {
                partition_index: at.partition,
                committed_offset: committed.offset,
                committed_leader_epoch: committed.leader_epoch.unwrap_or(-1),
                committed_metadata: Some(committed.metadata.into()),
                ..OffsetCommitRequestPartition::default()
            }
        };
        let build = |_version| OffsetCommitRequest {
            group_id: group.into(),
            topics: topics
                .iter()
                .map(|(name, partitions)| OffsetCommitRequestTopic {
                    name: (*name).into(),
                    partitions: partitions.iter().map(commit).collect(),
                    ..OffsetCommitRequestTopic::default()
                })
                .collect(),
            ..OffsetCommitRequest::default()
        };
        let what = format!("committing offsets of group '{group}'");
        self.ask(&what, Route::Group(group), OFFSET_COMMIT_BY_NAME, build, |response| {
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.into_iter().try_for_each(|one| ApiError::check(one.error_code, None))
        })
        .await
    }

    /// Forgets offsets that a group committed (KIP-496).
    ///
    /// # Errors
    /// [`ClientError::Refused`], as with GROUP_SUBSCRIBED_TO_TOPIC while it consumes the topic.
    pub async fn delete_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<(), ClientError> {
        let topics = by_topic(partitions.iter());
        let build = |_version| OffsetDeleteRequest {
            group_id: group.into(),
            topics: topics
                .iter()
                .map(|(name, partitions)| OffsetDeleteRequestTopic {
                    name: (*name).into(),
                    partitions: partitions
                        .iter()
                        .map(|at| OffsetDeleteRequestPartition { partition_index: at.partition })
                        .collect(),
                })
                .collect(),
        };
        let what = format!("deleting offsets of group '{group}'");
        self.ask(&what, Route::Group(group), i16::MAX, build, |response| {
            ApiError::check(response.error_code, None)?;
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.into_iter().try_for_each(|one| ApiError::check(one.error_code, None))
        })
        .await
    }
}

fn keep(
    found: &mut BTreeMap<TopicPartition, Committed>,
    at: TopicPartition,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<KString>,
) {
    // Partitions that were asked for but never committed come back as -1.
    if offset < 0 {
        return;
    }
    let leader_epoch = Some(leader_epoch).filter(|epoch| *epoch >= 0);
    let metadata = metadata.map(|text| text.to_string()).unwrap_or_default();
    found.insert(at, Committed { offset, leader_epoch, metadata });
}
