//! Real clients, and one that repeats itself on purpose.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use waybill_client::admin::TopicPartition;
use waybill_client::{Client, Env, parse_bootstrap};
use waybill_protocol::batch::{BatchBuilder, NewRecord};
use waybill_protocol::compression::Compression;
use waybill_rt::{RealClock, RealEntropy, RealNet};
use waybill_types::{ProducerEpoch, ProducerId, Sequence};

/// What is produced to by clients that send again by themselves.
pub(crate) const TOPIC: &str = "lost-machine";
const PARTITIONS: i32 = 3;
/// What [`Raw`] produces to.
const RAW: &str = "repeated";

/// What was acked: where each value is.
#[derive(Clone, Default)]
pub(crate) struct Acks(Arc<Mutex<BTreeMap<(i32, i64), String>>>);

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Ok(message) = result {
            let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            let place = (message.partition(), message.offset());
            let before = self.0.lock().unwrap().insert(place, value.clone());
            assert!(before.is_none(), "{before:?} and {value} were both acked at {place:?}");
        }
    }
}

impl Acks {
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Makes both topics.
pub(crate) fn create(bootstrap: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let topics = [
        NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1)),
        NewTopic::new(RAW, 1, TopicReplication::Fixed(1)),
    ];
    let made = admin.create_topics(&topics, &AdminOptions::new());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for made in runtime.block_on(made).unwrap() {
        made.unwrap();
    }
}

pub(crate) fn idempotent(bootstrap: &str, acks: &Acks) -> ThreadedProducer<Acks> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "5")
        .set("reconnect.backoff.max.ms", "200")
        // A broker that stands still is given up soon.
        .set("request.timeout.ms", "2000")
        .set("socket.timeout.ms", "2000")
        .set("topic.metadata.refresh.interval.ms", "1000")
        .create_with_context(acks.clone())
        .unwrap()
}

/// Produces for a while. What is sent counts up, so that a value tells which record it is.
pub(crate) fn produce(producer: &ThreadedProducer<Acks>, sent: &mut u64, span: Duration) {
    let until = Instant::now() + span;
    while Instant::now() < until {
        for _ in 0..20 {
            let value = format!("record-{sent}");
            let partition = i32::try_from(*sent % PARTITIONS as u64).unwrap();
            let record = BaseRecord::<(), str>::to(TOPIC).partition(partition).payload(&value);
            if producer.send(record).is_ok() {
                *sent += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn consumer(bootstrap: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "survivor")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap()
}

/// Everything in the topic, by place.
pub(crate) fn read_all(bootstrap: &str) -> BTreeMap<(i32, i64), String> {
    let consumer = consumer(bootstrap);
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let (mut read, mut ended) = (BTreeMap::new(), HashSet::new());
    let patience = Instant::now() + Duration::from_secs(60);
    while ended.len() < PARTITIONS as usize {
        assert!(Instant::now() < patience, "the log can not be read to its end");
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
                let place = (message.partition(), message.offset());
                assert!(read.insert(place, value).is_none(), "{place:?} was read twice");
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                ended.insert(partition);
            }
            Some(Err(error)) => println!("reading: {error}"),
            None => {}
        }
    }
    read
}

/// A member of the group reads so many records; tells where it stands in each partition, from where to where.
fn read_as_member(consumer: &BaseConsumer, records: usize) -> BTreeMap<i32, (i64, i64)> {
    consumer.subscribe(&[TOPIC]).unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    let (mut spans, mut read) = (BTreeMap::new(), 0);
    while read < records {
        assert!(Instant::now() < patience, "the group has read {read} of {records} records");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) {
            read += 1;
            spans.entry(message.partition()).or_insert((message.offset(), 0)).1 = message.offset() + 1;
        }
    }
    spans
}

/// A member of the group reads some records and commits; tells what it committed.
pub(crate) fn consume_some(bootstrap: &str, records: usize) -> BTreeMap<i32, i64> {
    let consumer = consumer(bootstrap);
    let spans = read_as_member(&consumer, records);
    let mut offsets = TopicPartitionList::new();
    for (partition, (_, next)) in &spans {
        offsets.add_partition_offset(TOPIC, *partition, Offset::Offset(*next)).unwrap();
    }
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
    spans.into_iter().map(|(partition, (_, next))| (partition, next)).collect()
}

/// Another member reads the rest, which must begin where the group has committed.
pub(crate) fn resume(bootstrap: &str, told: &BTreeMap<i32, i64>, records: usize) {
    let spans = read_as_member(&consumer(bootstrap), records);
    for (partition, (first, _)) in spans {
        assert_eq!(first, told.get(&partition).copied().unwrap_or(0), "partition {partition}");
    }
}

/// What the group has committed, for the partitions that have anything.
pub(crate) fn committed(bootstrap: &str) -> BTreeMap<i32, i64> {
    let mut asked = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        asked.add_partition(TOPIC, partition);
    }
    let found = consumer(bootstrap).committed_offsets(asked, Duration::from_secs(30)).unwrap();
    let offset = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
    found.elements().iter().filter_map(|one| Some((one.partition(), offset(one.offset())?))).collect()
}

/// Whatever was acked is there, where it was acked, and nothing else is.
pub(crate) fn check(bootstrap: &str, acks: &Acks, sent: u64) -> BTreeMap<(i32, i64), String> {
    let acked = acks.0.lock().unwrap().clone();
    assert_eq!(acked.len() as u64, sent, "idempotent retries bring every record in");
    let read = read_all(bootstrap);
    for (place, value) in &acked {
        assert_eq!(read.get(place), Some(value), "acked at {place:?}");
    }
    assert_eq!(read.len(), acked.len(), "and none twice");
    assert_eq!(read.values().collect::<HashSet<_>>().len(), read.len());
    read
}

/// The node that a broker names as the one to administer.
pub(crate) fn controller(bootstrap: &str) -> i32 {
    let metadata = consumer(bootstrap).fetch_metadata(Some(TOPIC), Duration::from_secs(30)).unwrap();
    let leaders = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|of| of.leader());
    let leaders: HashSet<i32> = leaders.collect();
    assert_eq!(leaders.len(), 1, "one broker leads: {leaders:?}");
    leaders.into_iter().next().unwrap()
}

/// A producer without a library's ideas: it sends what it is told, with the sequence that it is told.
pub(crate) struct Raw {
    runtime: tokio::runtime::Runtime,
    id: ProducerId,
    epoch: ProducerEpoch,
}

impl Raw {
    pub(crate) fn start(bootstrap: &str) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (id, epoch) = runtime.block_on(client(bootstrap).init_producer_id()).unwrap();
        Self { runtime, id, epoch }
    }

    /// Sends batch `number` and gives its offset.
    pub(crate) fn send(&self, bootstrap: &str, number: i32) -> i64 {
        let mut builder =
            BatchBuilder::new(Compression::None).producer(self.id, self.epoch, Sequence(number));
        let (now, value) = (RealClock::shared().now(), number.to_string());
        let record = NewRecord { timestamp: now, value: Some(value.as_bytes()), ..NewRecord::default() };
        builder.push(record).unwrap();
        let (client, at) = (client(bootstrap), TopicPartition::new(RAW, 0));
        let sent = client.produce(&at, builder.build_bytes().unwrap(), waybill_client::data::Acks::All);
        self.runtime.block_on(sent).unwrap().get()
    }

    /// The partition holds so many records.
    pub(crate) fn check(&self, bootstrap: &str, records: u64) {
        let marks = consumer(bootstrap).fetch_watermarks(RAW, 0, Duration::from_secs(30)).unwrap();
        assert_eq!(marks, (0, i64::try_from(records).unwrap()));
    }
}

fn client(bootstrap: &str) -> Client {
    let env = Env { net: RealNet::shared(), clock: RealClock::shared(), entropy: RealEntropy::shared() };
    Client::new(env, Default::default(), parse_bootstrap(bootstrap).unwrap())
}
