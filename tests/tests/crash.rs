//! kill -9 under load: nothing acked is lost, doubled or moved.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests of real processes, in real time"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use waybill_tests::{Server, free_port};

const PARTITIONS: i32 = 6;
const ROUNDS: usize = 20;

/// What was acked: where each value is.
#[derive(Clone, Default)]
struct Acks(Arc<Mutex<BTreeMap<(i32, i64), String>>>);

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

fn create(bootstrap: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let topic = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
    let made = admin.create_topics([&topic], &AdminOptions::new());
    tokio::runtime::Runtime::new().unwrap().block_on(made).unwrap()[0].as_ref().unwrap();
}

/// Everything in a topic, by place.
fn read_all(bootstrap: &str, topic: &str) -> BTreeMap<(i32, i64), String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "reader")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let mut read = BTreeMap::new();
    let mut ended = 0;
    let patience = Instant::now() + Duration::from_secs(60);
    while ended < PARTITIONS {
        assert!(Instant::now() < patience, "the log can not be read to its end");
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
                let place = (message.partition(), message.offset());
                assert!(read.insert(place, value).is_none(), "{place:?} was read twice");
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => println!("reading: {error}"),
            None => {}
        }
    }
    read
}

/// Produces for a while. What is sent counts up, so that a value tells which record it is.
fn load(producer: &ThreadedProducer<Acks>, topic: &str, sent: &mut u64, span: Duration) {
    let until = Instant::now() + span;
    while Instant::now() < until {
        for _ in 0..50 {
            let value = format!("record-{sent}");
            let record = BaseRecord::<(), str>::to(topic)
                .partition(i32::try_from(*sent % PARTITIONS as u64).unwrap())
                .payload(&value);
            if producer.send(record).is_ok() {
                *sent += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn twenty_rounds_of_kill_9_lose_double_and_move_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().unwrap();
    let mut server = Server::start(folder.path(), port, &[]).unwrap();
    let bootstrap = server.bootstrap.clone();
    create(&bootstrap, "crash");
    let acks = Acks::default();
    let producer: ThreadedProducer<Acks> = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "1")
        .set("batch.num.messages", "50")
        .set("reconnect.backoff.max.ms", "200")
        .create_with_context(acks.clone())
        .unwrap();
    let mut sent = 0;
    for round in 0..ROUNDS {
        // Each round is cut at another moment of the load.
        load(&producer, "crash", &mut sent, Duration::from_millis(150 + 37 * (round as u64 % 7)));
        server.kill().unwrap();
        let acked = acks.0.lock().unwrap().len();
        server = Server::start(folder.path(), port, &[]).unwrap();
        println!("round {round}: {sent} sent, {acked} acked");
    }
    load(&producer, "crash", &mut sent, Duration::from_millis(200));
    producer.flush(Duration::from_secs(60)).unwrap();
    let acked = acks.0.lock().unwrap().clone();
    assert_eq!(acked.len() as u64, sent, "idempotent retries bring every record in");
    let read = read_all(&bootstrap, "crash");
    for (place, value) in &acked {
        assert_eq!(read.get(place), Some(value), "acked at {place:?}");
    }
    let mut seen: HashMap<&String, (i32, i64)> = HashMap::new();
    for (place, value) in &read {
        if let Some(first) = seen.insert(value, *place) {
            panic!("{value} stands at {first:?} and at {place:?}");
        }
    }
    assert_eq!(read.len(), acked.len());
    println!("{} records acked over {ROUNDS} kills, each exactly once where it was acked", acked.len());
}

#[test]
fn a_second_serve_on_the_same_folder_is_refused_and_names_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), free_port().unwrap(), &[]).unwrap();
    let refused = Server::start(folder.path(), free_port().unwrap(), &[]).err().unwrap().to_string();
    assert!(refused.contains(&format!("process {}", server.pid())), "{refused}");
}

#[test]
fn a_topic_deleted_and_recreated_at_once_is_empty_also_with_kill_9_between() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().unwrap();
    let mut server = Server::start(folder.path(), port, &[]).unwrap();
    let bootstrap = server.bootstrap.clone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    create(&bootstrap, "again");
    for round in 0..6 {
        let acks = Acks::default();
        let producer: ThreadedProducer<Acks> = ClientConfig::new()
            .set("bootstrap.servers", &bootstrap)
            .set("enable.idempotence", "true")
            .create_with_context(acks.clone())
            .unwrap();
        let mut sent = 0;
        load(&producer, "again", &mut sent, Duration::from_millis(100));
        producer.flush(Duration::from_secs(30)).unwrap();
        assert_eq!(acks.0.lock().unwrap().len() as u64, sent);
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &bootstrap).create().unwrap();
        let deleted = runtime.block_on(admin.delete_topics(&["again"], &AdminOptions::new())).unwrap();
        deleted[0].as_ref().unwrap();
        if round % 2 == 1 {
            server.kill().unwrap();
            server = Server::start(folder.path(), port, &[]).unwrap();
        }
        create(&bootstrap, "again");
        assert_eq!(read_all(&bootstrap, "again"), BTreeMap::new(), "round {round}");
    }
    drop(server);
}
