//! Records from any Kafka, by librdkafka. Partitions are assigned by hand: the store's offsets decide where to read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders, Timestamp};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset as Seek, TopicPartitionList};
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use super::topic_id::describe;
use super::{
    LogRange, Opens, Part, QUARANTINE_SUFFIX, RecordSource, SourceError, TopicInfo, quarantine_headers,
    quarantine_key, repair_headers,
};
use crate::mapping::Record;
use crate::store::{QuarantineRow, RepairRow};

/// For metadata and offsets.
const TIMEOUT: Duration = Duration::from_secs(5);

/// For a quarantined record to be acked.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// How to reach the brokers.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// `HOST:PORT`, comma-separated.
    pub bootstrap: String,
    /// The consumer group in which progress is shown.
    pub group: String,
    /// More properties of librdkafka.
    pub properties: Vec<(String, String)>,
}

impl KafkaConfig {
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("client.id", "waybill-visibility");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("allow.auto.create.topics", "false")
            // Bounds what waits in memory; twice this can be in flight.
            .set("queued.max.messages.kbytes", "32768");
        config
    }
}

impl Opens for KafkaConfig {
    fn open(&self, group: &str) -> Result<Box<dyn RecordSource>, SourceError> {
        let config = Self { group: group.to_owned(), ..self.clone() };
        Ok(Box::new(KafkaSource::new(&config)?))
    }
}

/// Reads topics of a Kafka.
pub struct KafkaSource {
    config: KafkaConfig,
    consumer: BaseConsumer,
    assigned: BTreeMap<String, TopicId>,
    producer: Option<FutureProducer>,
    quarantines: BTreeSet<String>,
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSource").field("config", &self.config).finish_non_exhaustive()
    }
}

fn broker(error: &KafkaError) -> SourceError {
    SourceError::Broker(error.to_string())
}

/// Whether an error tells of a connection, not of a partition.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
        )
    )
}

impl KafkaSource {
    /// Prepares to read; connects when first asked something.
    ///
    /// # Errors
    /// A property is wrong.
    pub fn new(config: &KafkaConfig) -> Result<Self, SourceError> {
        let consumer = config.consumer().create().map_err(|error| broker(&error))?;
        Ok(Self {
            config: config.clone(),
            consumer,
            assigned: BTreeMap::new(),
            producer: None,
            quarantines: BTreeSet::new(),
        })
    }

    /// Records are fetched by name. Names are asked for their ids after the fetch: as ids never come back, what was
    /// fetched before belongs to the topic that still has its id now.
    fn check_ids(&self, records: &[Record]) -> Result<(), SourceError> {
        let fetched: BTreeSet<&str> = records.iter().map(|record| record.topic_name.as_ref()).collect();
        let names: Vec<String> = fetched.into_iter().map(str::to_owned).collect();
        let now = describe(self.consumer.client(), &names)?;
        for name in names {
            let is_same =
                |topic: &&TopicInfo| topic.name == name && self.assigned.get(&name) == Some(&topic.id);
            if !now.iter().any(|topic| is_same(&topic)) {
                return Err(SourceError::NotTheSame { topic: name });
            }
        }
        Ok(())
    }
}

fn record(message: &BorrowedMessage<'_>, topic: TopicId) -> Record {
    let headers = message.headers().map(|headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(Bytes::copy_from_slice)))
            .collect()
    });
    let (timestamp, append_time) = match message.timestamp() {
        Timestamp::CreateTime(ms) => (ms, false),
        Timestamp::LogAppendTime(ms) => (ms, true),
        Timestamp::NotAvailable => (-1, false),
    };
    Record {
        topic,
        topic_name: Arc::from(message.topic()),
        partition: PartitionId(message.partition()),
        offset: Offset(message.offset()),
        timestamp: TimestampMs(timestamp),
        append_time,
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers: headers.unwrap_or_default(),
    }
}

impl KafkaSource {
    fn producer(&mut self) -> Result<FutureProducer, SourceError> {
        if let Some(producer) = &self.producer {
            return Ok(producer.clone());
        }
        let mut config = self.config.client();
        config.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "5");
        let producer: FutureProducer = config.create().map_err(|error| broker(&error))?;
        self.producer = Some(producer.clone());
        Ok(producer)
    }

    /// Makes a quarantine topic: one partition, kept for ever.
    fn make_quarantine(&mut self, name: &str) -> Result<(), SourceError> {
        if self.quarantines.contains(name) {
            return Ok(());
        }
        let admin: AdminClient<DefaultClientContext> =
            self.config.client().create().map_err(|error| broker(&error))?;
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(-1)).set("retention.ms", "-1");
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
        let made = block_on(admin.create_topics([&topic], &options)).map_err(|error| broker(&error))?;
        for result in made {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(SourceError::Broker(format!("making {topic}: {code}"))),
            }
        }
        self.quarantines.insert(name.to_owned());
        Ok(())
    }
}

impl RecordSource for KafkaSource {
    fn topics(&mut self) -> Result<Vec<TopicInfo>, SourceError> {
        let metadata = self.consumer.fetch_metadata(None, TIMEOUT).map_err(|error| broker(&error))?;
        let names: Vec<String> = metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none() && !topic.name().starts_with("__"))
            .map(|topic| topic.name().to_owned())
            .collect();
        describe(self.consumer.client(), &names)
    }

    fn first_record(&mut self, topic: &TopicInfo) -> Result<Option<Record>, SourceError> {
        let ranges = self.ranges(topic)?;
        let Some((partition, range)) = ranges.into_iter().find(|(_, range)| range.start < range.end) else {
            return Ok(None);
        };
        let mut config = self.config.consumer();
        config
            .set("group.id", format!("{}-peek", self.config.group))
            .set("fetch.message.max.bytes", "1048576");
        let consumer: BaseConsumer = config.create().map_err(|error| broker(&error))?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic.name, partition.get(), Seek::Offset(range.start.get()))
            .map_err(|error| broker(&error))?;
        consumer.assign(&list).map_err(|error| broker(&error))?;
        match consumer.poll(TIMEOUT) {
            Some(Ok(message)) => Ok(Some(record(&message, topic.id))),
            Some(Err(error)) => Err(broker(&error)),
            None => Ok(None),
        }
    }

    fn ranges(&mut self, topic: &TopicInfo) -> Result<BTreeMap<PartitionId, LogRange>, SourceError> {
        let mut ranges = BTreeMap::new();
        for partition in 0..topic.partitions {
            let (start, end) = self
                .consumer
                .fetch_watermarks(&topic.name, partition, TIMEOUT)
                .map_err(|error| broker(&error))?;
            ranges.insert(PartitionId(partition), LogRange { start: Offset(start), end: Offset(end) });
        }
        Ok(ranges)
    }

    fn is_compacted(&mut self, topic: &TopicInfo) -> Result<bool, SourceError> {
        let admin: AdminClient<DefaultClientContext> =
            self.config.client().create().map_err(|error| broker(&error))?;
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let asked = [ResourceSpecifier::Topic(&topic.name)];
        let answers = block_on(admin.describe_configs(&asked, &options)).map_err(|error| broker(&error))?;
        let config = match answers.into_iter().next() {
            Some(Ok(config)) => config,
            // Who may read a topic may not always see its configuration.
            Some(Err(error)) => {
                tracing::warn!(topic = topic.name, %error, "whether the topic is compacted can not be seen");
                return Ok(false);
            }
            None => return Ok(false),
        };
        let policy = config.get("cleanup.policy").and_then(|entry| entry.value.clone());
        Ok(policy.is_some_and(|policy| policy.split(',').any(|word| word.trim() == "compact")))
    }

    fn assign(&mut self, topics: &[TopicInfo], from: &BTreeMap<Part, Offset>) -> Result<(), SourceError> {
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for ((_, partition), offset) in from.iter().filter(|((id, _), _)| *id == topic.id) {
                list.add_partition_offset(&topic.name, partition.get(), Seek::Offset(offset.get()))
                    .map_err(|error| broker(&error))?;
            }
        }
        self.consumer.assign(&list).map_err(|error| broker(&error))?;
        self.assigned = topics.iter().map(|topic| (topic.name.clone(), topic.id)).collect();
        Ok(())
    }

    fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Record>, SourceError> {
        let mut records = Vec::new();
        let mut wait = wait;
        while records.len() < max {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let topic = self.assigned.get(message.topic());
                    records.extend(topic.map(|topic| record(&message, *topic)));
                }
                // librdkafka tells of every connection that went and mends it by itself: an outage leaves many of these
                // in its queue, and none says anything of what is read. That the brokers are away, questions tell.
                Some(Err(error)) if is_passing(&error) => {
                    tracing::debug!(%error, "a connection to the brokers");
                }
                Some(Err(error)) => {
                    // What was read so far is good; the error comes again if it lasts.
                    if records.is_empty() {
                        return Err(broker(&error));
                    }
                    break;
                }
            }
            if !records.is_empty() {
                wait = Duration::ZERO;
            }
        }
        if !records.is_empty() {
            self.check_ids(&records)?;
        }
        Ok(records)
    }

    fn show_progress(&mut self, topics: &[TopicInfo], next: &BTreeMap<Part, Offset>) {
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for ((_, partition), offset) in next.iter().filter(|((id, _), _)| *id == topic.id) {
                let _ = list.add_partition_offset(&topic.name, partition.get(), Seek::Offset(offset.get()));
            }
        }
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "progress could not be shown");
        }
    }

    fn send_quarantined(&mut self, rows: &[QuarantineRow]) -> Result<(), SourceError> {
        let producer = self.producer()?;
        for row in rows {
            let topic = format!("{}{QUARANTINE_SUFFIX}", row.topic_name);
            self.make_quarantine(&topic)?;
            let mut headers = OwnedHeaders::new();
            for (name, value) in quarantine_headers(row) {
                headers = headers.insert(Header { key: &name, value: value.as_deref() });
            }
            let key = quarantine_key(row);
            let mut record = FutureRecord::to(&topic).key(&key).headers(headers);
            if let Some(value) = &row.value {
                record = record.payload(value);
            }
            block_on(producer.send(record, SEND_TIMEOUT)).map_err(|(error, _)| broker(&error))?;
        }
        Ok(())
    }
    fn send_repaired(&mut self, rows: &[RepairRow]) -> Result<(), SourceError> {
        let producer = self.producer()?;
        for repair in rows {
            let mut headers = OwnedHeaders::new();
            for (name, value) in repair_headers(repair) {
                headers = headers.insert(Header { key: &name, value: value.as_deref() });
            }
            let mut record = FutureRecord::<[u8], [u8]>::to(&repair.row.topic_name)
                .partition(repair.row.evidence.partition.get())
                .timestamp(repair.at.get())
                .payload(&repair.value)
                .headers(headers);
            if let Some(key) = &repair.row.key {
                record = record.key(key);
            }
            block_on(producer.send(record, SEND_TIMEOUT)).map_err(|(error, _)| broker(&error))?;
        }
        Ok(())
    }
}
