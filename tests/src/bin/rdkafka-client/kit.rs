//! What the scenarios share: topics, records in, records out, members of groups.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures::future::try_join_all;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// Records that a scenario moves unless it says otherwise.
pub(crate) const RECORDS: usize = 1000;

/// Partitions of a topic unless a scenario says otherwise.
pub(crate) const PARTITIONS: i32 = 3;

/// Event times start here and go on in steps of one second.
pub(crate) const FIRST_TIME_MS: i64 = 1_600_000_000_000;

/// How long a request to the broker may take.
pub(crate) const REQUEST: Duration = Duration::from_secs(10);

/// One poll of a consumer; the limits below count polls.
const POLL: Duration = Duration::from_millis(100);

/// Polls without a record before a scenario gives up.
const IDLE_POLLS: usize = 200;

/// The library has no way to do this.
#[derive(Debug)]
pub(crate) struct NotOffered(pub(crate) &'static str);

impl fmt::Display for NotOffered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for NotOffered {}

/// A broker, a prefix for all names, and an admin client.
pub(crate) struct Kit {
    bootstrap: String,
    prefix: String,
    replication: i32,
    pub(crate) admin: AdminClient<DefaultClientContext>,
}

/// A consumer that keeps account of what it loses.
pub(crate) type Member = BaseConsumer<Losses>;

/// The partitions that were revoked.
#[derive(Clone, Default)]
pub(crate) struct Losses(Arc<Mutex<BTreeSet<i32>>>);

impl Losses {
    /// Gives what was revoked so far and starts anew.
    pub(crate) fn take(&self) -> BTreeSet<i32> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Losses {}

impl ConsumerContext for Losses {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(lost) = rebalance {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(
                lost.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition),
            );
        }
    }
}

impl Kit {
    pub(crate) fn new(bootstrap: &str, prefix: &str, replication: i32) -> Result<Self> {
        let admin = config(bootstrap).create().context("admin client")?;
        Ok(Self { bootstrap: bootstrap.to_owned(), prefix: prefix.to_owned(), replication, admin })
    }

    /// The full name of a topic or group.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Makes a topic; `false` when it is there already.
    pub(crate) async fn create(&self, topic: &str, partitions: i32) -> Result<bool> {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(self.replication));
        match single(self.admin.create_topics([&new], &options()).await?)? {
            Ok(_) => Ok(true),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(false),
            Err((name, code)) => Err(anyhow!("create {name}: {code}")),
        }
    }

    /// Makes a topic that is not there yet and gives its full name.
    pub(crate) async fn topic(&self, name: &str, partitions: i32) -> Result<String> {
        let topic = self.name(name);
        ensure!(self.create(&topic, partitions).await?, "{topic} is there already");
        Ok(topic)
    }

    pub(crate) fn producer(&self, changes: &[(&str, &str)]) -> Result<FutureProducer> {
        let mut settings = config(&self.bootstrap);
        settings.set("acks", "all").set("linger.ms", "5");
        for (key, value) in changes {
            settings.set(*key, *value);
        }
        settings.create().context("producer")
    }

    /// Sends `count` records without keys, with [`value`] of each index, and waits for all acks.
    pub(crate) async fn produce(&self, topic: &str, count: usize, changes: &[(&str, &str)]) -> Result<()> {
        let producer = self.producer(changes)?;
        let values: Vec<String> = (0..count).map(value).collect();
        let sent = values.iter().map(|one| send(&producer, FutureRecord::<(), _>::to(topic).payload(one)));
        try_join_all(sent).await?;
        Ok(())
    }

    /// A consumer of a group that starts at the first record and commits nothing by itself.
    pub(crate) fn member(&self, group: &str, changes: &[(&str, &str)]) -> Result<(Member, Losses)> {
        let mut settings = config(&self.bootstrap);
        settings.set("group.id", self.name(group)).set("auto.offset.reset", "earliest");
        settings.set("enable.auto.commit", "false").set("fetch.wait.max.ms", "200");
        settings.set("session.timeout.ms", "10000").set("heartbeat.interval.ms", "500");
        for (key, value) in changes {
            settings.set(*key, *value);
        }
        let losses = Losses::default();
        Ok((settings.create_with_context(losses.clone()).context("consumer")?, losses))
    }

    /// Reads `count` records from the start of a topic's partitions.
    pub(crate) fn read(&self, topic: &str, partitions: i32, count: usize) -> Result<Vec<OwnedMessage>> {
        let (consumer, _) = self.member("read", &[])?;
        consumer.assign(&at(topic, partitions, Offset::Beginning)?)?;
        take(&consumer, count)
    }
}

/// The given position in each of a topic's first partitions.
pub(crate) fn at(topic: &str, partitions: i32, offset: Offset) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, offset)?;
    }
    Ok(list)
}

/// The value of a record: long enough for a codec to have something to do.
pub(crate) fn value(index: usize) -> String {
    format!("record-{index:06}-{}", "abcdefgh".repeat(8))
}

/// Sends one record and waits for its ack.
pub(crate) async fn send<K, P>(producer: &FutureProducer, record: FutureRecord<'_, K, P>) -> Result<()>
where
    K: rdkafka::message::ToBytes + ?Sized,
    P: rdkafka::message::ToBytes + ?Sized,
{
    producer.send(record, REQUEST).await.map(|_| ()).map_err(|(error, _)| anyhow!("produce: {error}"))
}

/// Exactly `count` records.
pub(crate) fn take<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    count: usize,
) -> Result<Vec<OwnedMessage>> {
    let mut taken = Vec::new();
    let mut idle = 0;
    while taken.len() < count {
        ensure!(idle < IDLE_POLLS, "{} of {count} records within the time", taken.len());
        match consumer.poll(POLL) {
            Some(message) => taken.push(message.context("poll")?.detach()),
            None => idle += 1,
        }
    }
    Ok(taken)
}

/// The first error that a consumer tells; a record is a failure.
pub(crate) fn first_error(consumer: &Member) -> Result<RDKafkaErrorCode> {
    for _ in 0..IDLE_POLLS {
        match consumer.poll(POLL) {
            Some(Ok(message)) => bail!("a record at {} instead of an error", message.offset()),
            Some(Err(error)) => return error.rdkafka_error_code().context("an error without a code"),
            None => {}
        }
    }
    bail!("neither a record nor an error")
}

/// Polls all members until `condition` holds.
pub(crate) fn spin(members: &[&Member], condition: impl Fn() -> Result<bool>) -> Result<()> {
    for _ in 0..IDLE_POLLS * 2 {
        for member in members {
            member.poll(POLL / 2);
        }
        if condition()? {
            return Ok(());
        }
    }
    bail!("the assignment did not come")
}

/// The partitions that a member owns.
pub(crate) fn owned(member: &Member) -> Result<BTreeSet<i32>> {
    let assignment = member.assignment()?;
    Ok(assignment
        .elements()
        .iter()
        .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
        .collect())
}

/// Checks that `messages` are all records once, in order, without holes.
pub(crate) fn whole(messages: &[OwnedMessage]) -> Result<()> {
    ensure!(messages.len() == RECORDS, "{} records, expected {RECORDS}", messages.len());
    let mut partitions: BTreeMap<i32, BTreeMap<i64, &[u8]>> = BTreeMap::new();
    let mut values = BTreeSet::new();
    for message in messages {
        let payload = message.payload().context("a record without a value")?;
        partitions.entry(message.partition()).or_default().insert(message.offset(), payload);
        values.insert(payload);
    }
    for (partition, records) in &partitions {
        let dense = records.keys().copied().eq(0..i64::try_from(records.len())?);
        ensure!(dense, "offsets of partition {partition} have holes");
        ensure!(records.values().is_sorted(), "records of partition {partition} are out of order");
    }
    let missing = (0..RECORDS).find(|index| !values.contains(value(*index).as_bytes()));
    ensure!(missing.is_none(), "record {missing:?} is missing");
    Ok(())
}

/// The one result of an admin request about one thing.
pub(crate) fn single<T>(results: Vec<T>) -> Result<T> {
    results.into_iter().next().context("an answer without a result")
}

/// Options of admin requests.
pub(crate) fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST))
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", bootstrap);
    settings.set_log_level(RDKafkaLogLevel::Error);
    settings
}
