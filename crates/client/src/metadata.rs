//! What a cluster says of itself.

use std::collections::BTreeMap;

use waybill_protocol::wire::Uuid;
use waybill_protocol_gen::messages::metadata_response::{MetadataResponse, MetadataResponseTopic};

use crate::config::Endpoint;
use crate::error::ApiError;

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its node id.
    pub id: i32,
    /// Where clients reach it.
    pub endpoint: Endpoint,
    /// Its rack.
    pub rack: Option<String>,
}

/// A cluster at an instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The cluster's id, where the broker tells it.
    pub cluster_id: Option<String>,
    /// The controller's node id; -1 when there is none.
    pub controller_id: i32,
    /// The live brokers by id.
    pub brokers: BTreeMap<i32, Broker>,
    /// The topics that were asked for, by name; those that can not be told have an error.
    pub topics: BTreeMap<String, Result<TopicInfo, ApiError>>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its id (KIP-516), zero where the broker is too old to have one.
    pub id: Uuid,
    /// Whether it is one of the broker's own.
    pub internal: bool,
    /// Its partitions by index.
    pub partitions: BTreeMap<i32, PartitionInfo>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Its leader's node id; -1 when it has none.
    pub leader: i32,
    /// Its leader epoch; -1 when the broker does not tell.
    pub leader_epoch: i32,
    /// Its replicas.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub in_sync: Vec<i32>,
    /// Those of them that are offline.
    pub offline: Vec<i32>,
}

impl Metadata {
    pub(crate) fn from_response(response: MetadataResponse) -> Self {
        let brokers = response
            .brokers
            .into_iter()
            .filter_map(|broker| {
                let endpoint =
                    Endpoint { host: broker.host.to_string(), port: u16::try_from(broker.port).ok()? };
                let rack = broker.rack.map(|rack| rack.to_string());
                Some((broker.node_id, Broker { id: broker.node_id, endpoint, rack }))
            })
            .collect();
        Self {
            cluster_id: response.cluster_id.map(|id| id.to_string()),
            controller_id: response.controller_id,
            brokers,
            topics: response.topics.into_iter().filter_map(topic).collect(),
        }
    }

    /// The leader of a partition, when it is known and alive.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<&Broker> {
        let topic = self.topics.get(topic)?.as_ref().ok()?;
        self.brokers.get(&topic.partitions.get(&partition)?.leader)
    }
}

fn topic(topic: MetadataResponseTopic) -> Option<(String, Result<TopicInfo, ApiError>)> {
    let name = topic.name.as_ref()?.to_string();
    if let Err(error) = ApiError::check(topic.error_code, None) {
        return Some((name, Err(error)));
    }
    let partitions = topic
        .partitions
        .into_iter()
        .map(|partition| {
            let info = PartitionInfo {
                leader: partition.leader_id,
                leader_epoch: partition.leader_epoch,
                replicas: partition.replica_nodes,
                in_sync: partition.isr_nodes,
                offline: partition.offline_replicas,
            };
            (partition.partition_index, info)
        })
        .collect();
    let info = TopicInfo { name: name.clone(), id: topic.topic_id, internal: topic.is_internal, partitions };
    Some((name, Ok(info)))
}
