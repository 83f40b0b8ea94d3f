//! What every handler reads: an immutable picture of the cluster, replaced whole after each commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use waybill_types::{BrokerId, ClusterId, PartitionId, TimestampMs, TopicId, TopicPartition};

use crate::configs::BrokerConfigs;
use crate::settings::TopicSettings;

/// Topics that clients do not write to by themselves.
pub const INTERNAL_TOPICS: &[&str] = &["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// One topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id, never reused.
    pub id: TopicId,
    /// How many partitions it has, at least 1.
    pub partitions: i32,
    /// The replication factor that was asked for; stored and shown, the store keeps the copies.
    pub replication_factor: i16,
    /// When it was made.
    pub created_at: TimestampMs,
    /// What was set on it.
    pub configs: BTreeMap<String, String>,
    /// Its configuration with every default filled in.
    pub settings: TopicSettings,
}

impl Topic {
    /// Whether it is one of the broker's own.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        INTERNAL_TOPICS.contains(&&*self.name)
    }

    /// Whether it has this partition.
    #[must_use]
    pub fn has(&self, partition: PartitionId) -> bool {
        (0..self.partitions).contains(&partition.get())
    }

    /// Its partitions, in order.
    pub fn partition_ids(&self) -> impl Iterator<Item = TopicPartition> + use<> {
        let id = self.id;
        (0..self.partitions).map(move |index| TopicPartition::new(id, PartitionId(index)))
    }
}

/// The cluster.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// The cluster's id.
    pub cluster: ClusterId,
    /// The one broker.
    pub node: BrokerId,
    /// Values set on the broker: the file, flags, and what clients altered.
    pub broker_configs: BrokerConfigs,
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<TopicId, Arc<Topic>>,
}

impl Image {
    /// The topic of that name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// The topic with that id.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// Every topic, in byte order of the names.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }

    /// The topics from a name on, in byte order.
    pub fn topics_from<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<Topic>> {
        self.by_name
            .range::<str, _>((std::ops::Bound::Included(name), std::ops::Bound::Unbounded))
            .map(|(_, topic)| topic)
    }

    /// How many topics there are.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.by_name.len()
    }

    /// Adds or replaces a topic.
    pub fn put(&mut self, topic: Topic) {
        let topic = Arc::new(topic);
        self.by_name.insert(Arc::clone(&topic.name), Arc::clone(&topic));
        self.by_id.insert(topic.id, topic);
    }

    /// Removes a topic.
    pub fn remove(&mut self, id: TopicId) {
        if let Some(topic) = self.by_id.remove(&id) {
            self.by_name.remove(&topic.name);
        }
    }

    /// Another topic whose name differs only in `.` and `_`, which Kafka's metrics can not tell apart.
    #[must_use]
    pub fn colliding(&self, name: &str) -> Option<&Arc<Topic>> {
        if !name.contains(['.', '_']) {
            return None;
        }
        let folded = name.replace('.', "_");
        self.by_name.values().find(|topic| &*topic.name != name && topic.name.replace('.', "_") == folded)
    }
}
