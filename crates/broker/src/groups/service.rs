//! All coordinator partitions of this broker, and how handlers reach the one of a group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use waybill_control::Topic;
use waybill_control::create::NewTopic;
use waybill_coordinator::placement::{OFFSETS_TOPIC, partition_for};
use waybill_coordinator::{Coordinator, GroupConfig, Now, Parked, RequestId, Step};
use waybill_protocol::ErrorCode;
use waybill_types::{PartitionId, TopicId, TopicPartition};

use super::desk::{Desk, Moved};
use super::engine_log::EngineLog;
use super::owner::owner;
use crate::broker::Broker;
use crate::config::BrokerConfig;

/// The group coordinator of a broker.
#[derive(Debug)]
pub struct Groups {
    config: Arc<GroupConfig>,
    commit_timeout: Duration,
    open: Mutex<Open>,
}

/// The owners of one life of the offsets topic.
#[derive(Debug, Default)]
struct Open {
    topic: TopicId,
    desks: BTreeMap<i32, Desk>,
}

impl Groups {
    /// A coordinator without partitions yet, configured by Kafka's keys.
    #[must_use]
    pub fn new(config: &BrokerConfig) -> Self {
        let count = |key| usize::try_from(config.kafka_number(key)).unwrap_or_default();
        let minutes = u64::try_from(config.kafka_number("offsets.retention.minutes")).unwrap_or_default();
        Self {
            config: Arc::new(GroupConfig {
                min_session_timeout: config.kafka_ms("group.min.session.timeout.ms"),
                max_session_timeout: config.kafka_ms("group.max.session.timeout.ms"),
                initial_rebalance_delay: config.kafka_ms("group.initial.rebalance.delay.ms"),
                max_size: count("group.max.size"),
                offset_metadata_max: count("offset.metadata.max.bytes"),
                offsets_retention: Duration::from_secs(minutes.saturating_mul(60)),
                retention_check_interval: config.kafka_ms("offsets.retention.check.interval.ms"),
                ..GroupConfig::default()
            }),
            commit_timeout: config.kafka_ms("offsets.commit.timeout.ms"),
            open: Mutex::default(),
        }
    }

    /// Opens every partition of the offsets topic, if it is there: sessions and retentions count from now on.
    pub fn start(&self, broker: &Broker) {
        if let Some(topic) = broker.controller.image().topic(OFFSETS_TOPIC) {
            for partition in 0..topic.partitions {
                self.open(broker, topic, partition);
            }
        }
    }

    /// The offsets topic, which is made at first use.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE when it can not be made.
    pub async fn topic(&self, broker: &Broker) -> Result<Arc<Topic>, ErrorCode> {
        if let Some(topic) = broker.controller.image().topic(OFFSETS_TOPIC) {
            return Ok(Arc::clone(topic));
        }
        let number = |key| i32::try_from(broker.config.kafka_number(key)).unwrap_or(-1);
        let segment = broker.config.kafka_text("offsets.topic.segment.bytes").unwrap_or("104857600");
        let new = NewTopic {
            name: OFFSETS_TOPIC.to_owned(),
            partitions: number("offsets.topic.num.partitions"),
            replication_factor: i16::try_from(number("offsets.topic.replication.factor")).unwrap_or(-1),
            // As Kafka's `GroupCoordinator.groupMetadataTopicConfigs`.
            configs: vec![
                ("cleanup.policy".to_owned(), Some("compact".to_owned())),
                ("compression.type".to_owned(), Some("producer".to_owned())),
                ("segment.bytes".to_owned(), Some(segment.to_owned())),
            ],
            ..NewTopic::default()
        };
        let made = broker.controller.create_topics(vec![new], false).await;
        if let Err(error) = &made {
            tracing::warn!(%error, "the offsets topic can not be made");
        }
        // Another request may have made it in between.
        let image = broker.controller.image();
        let topic = image.topic(OFFSETS_TOPIC).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        for partition in 0..topic.partitions {
            self.open(broker, topic, partition);
        }
        Ok(Arc::clone(topic))
    }

    fn open(&self, broker: &Broker, topic: &Topic, partition: i32) -> Option<Desk> {
        let mut open = self.open.lock();
        if open.topic != topic.id {
            *open = Open { topic: topic.id, desks: BTreeMap::new() };
        }
        if let Some(desk) = open.desks.get(&partition).filter(|desk| !desk.is_closed()) {
            return Some(desk.clone());
        }
        let log = broker.engine.partition(&TopicPartition::new(topic.id, PartitionId(partition)))?;
        let log = EngineLog::new(Arc::clone(&broker.engine), log, Arc::clone(&broker.clock));
        let clock = Arc::clone(&broker.clock);
        let (desk, task) = owner(partition, Arc::clone(&self.config), log, clock, broker.tasks.stopping());
        broker.tasks.spawn("group coordinator", task);
        open.desks.insert(partition, desk.clone());
        Some(desk)
    }

    /// The desk of the partition that coordinates `group`.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE when there is no such partition.
    async fn desk(&self, broker: &Broker, group: &str) -> Result<Desk, ErrorCode> {
        let topic = self.topic(broker).await?;
        let partition = partition_for(group, topic.partitions);
        self.open(broker, &topic, partition).ok_or(ErrorCode::CoordinatorNotAvailable)
    }

    /// The desks of all partitions that are open.
    #[must_use]
    pub fn desks(&self) -> Vec<Desk> {
        self.open.lock().desks.values().cloned().collect()
    }

    /// Asks the coordinator of `group`; the answer comes once what it rests on is durable.
    ///
    /// # Errors
    /// NOT_COORDINATOR when the partition was given up meanwhile; COORDINATOR_NOT_AVAILABLE when there is none, or
    /// when nothing became durable within `offsets.commit.timeout.ms`.
    pub async fn ask<T: Send + 'static>(
        &self,
        broker: &Broker,
        group: &str,
        act: impl FnOnce(&mut Coordinator, Now) -> (T, Step) + Send + 'static,
    ) -> Result<T, ErrorCode> {
        let desk = self.desk(broker, group).await?;
        tokio::select! {
            told = desk.ask(act) => told.map_err(|Moved| ErrorCode::NotCoordinator),
            () = broker.clock.sleep(self.commit_timeout) => Err(ErrorCode::CoordinatorNotAvailable),
        }
    }

    /// As [`Groups::ask`], for what may be parked for as long as the coordinator likes.
    ///
    /// # Errors
    /// As [`Groups::ask`], without the time-out.
    pub async fn park(
        &self,
        broker: &Broker,
        group: &str,
        act: impl FnOnce(&mut Coordinator, Now, RequestId) -> Step + Send + 'static,
    ) -> Result<Parked, ErrorCode> {
        let desk = self.desk(broker, group).await?;
        desk.park(act).await.map_err(|Moved| ErrorCode::NotCoordinator)
    }

    /// Topics were deleted: their committed offsets go too.
    pub async fn topics_deleted(&self, topics: Vec<(String, TopicId)>) {
        for desk in self.desks() {
            let topics = topics.clone();
            // A partition that has moved meanwhile finds the offsets again; they are of other topic ids and not told.
            let _ = desk.ask(move |coordinator, now| ((), coordinator.topics_deleted(now, &topics))).await;
        }
    }
}
