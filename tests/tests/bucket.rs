//! `serve --storage s3://…` on a real S3 server: the machine is lost, nothing acked is.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests of real processes, in real time"
)]

use std::collections::{BTreeMap, HashSet};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use waybill_tests::{Seaweed, Server, free_port};

const TOPIC: &str = "lost-machine";
const PARTITIONS: i32 = 3;
const SECRET: &str = "waybill-secret";

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

impl Acks {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Starts a broker on the bucket, with an empty folder as its machine. The folder is gone when this returns: nothing
/// may depend on it.
fn start(seaweed: &Seaweed, port: u16, secret: &str, flags: &[&str]) -> anyhow::Result<Server> {
    let machine = tempfile::tempdir()?;
    let server = Server::start_with(machine.path(), port, &[], |command: &mut Command| {
        command.args(["--storage", "s3://waybill/one"]).args(flags).envs(seaweed.variables(secret));
    })?;
    assert_eq!(std::fs::read_dir(machine.path())?.count(), 0, "nothing is kept on the machine");
    Ok(server)
}

/// The server's port listens before it can write.
fn first_start(seaweed: &Seaweed, port: u16) -> Server {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match start(seaweed, port, SECRET, &[]) {
            Ok(server) => return server,
            Err(error) if Instant::now() > until => panic!("{error}"),
            Err(error) => println!("trying again: {error}"),
        }
    }
}

fn create(bootstrap: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    let made = admin.create_topics([&topic], &AdminOptions::new());
    tokio::runtime::Runtime::new().unwrap().block_on(made).unwrap()[0].as_ref().unwrap();
}

fn produce(producer: &ThreadedProducer<Acks>, sent: &mut u64, span: Duration) {
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
fn read_all(bootstrap: &str) -> BTreeMap<(i32, i64), String> {
    let consumer = consumer(bootstrap);
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let (mut read, mut ended) = (BTreeMap::new(), 0);
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

/// A member of the group reads some records and commits; tells what it committed.
fn consume_some(bootstrap: &str, records: usize) -> BTreeMap<i32, i64> {
    let consumer = consumer(bootstrap);
    consumer.subscribe(&[TOPIC]).unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    let (mut next, mut read) = (BTreeMap::new(), 0);
    while read < records {
        assert!(Instant::now() < patience, "the group reads nothing");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) {
            read += 1;
            next.insert(message.partition(), message.offset() + 1);
        }
    }
    let mut offsets = TopicPartitionList::new();
    for (partition, offset) in &next {
        offsets.add_partition_offset(TOPIC, *partition, Offset::Offset(*offset)).unwrap();
    }
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
    next
}

/// What the group has committed, for the partitions that have anything.
fn committed(bootstrap: &str) -> BTreeMap<i32, i64> {
    let mut asked = TopicPartitionList::new();
    (0..PARTITIONS).for_each(|partition| drop(asked.add_partition(TOPIC, partition)));
    let found = consumer(bootstrap).committed_offsets(asked, Duration::from_secs(30)).unwrap();
    let offset = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
    found.elements().iter().filter_map(|one| Some((one.partition(), offset(one.offset())?))).collect()
}

fn idempotent(bootstrap: &str, acks: &Acks) -> ThreadedProducer<Acks> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "5")
        .set("reconnect.backoff.max.ms", "200")
        .create_with_context(acks.clone())
        .unwrap()
}

/// Whatever was acked is there, where it was acked, and nothing else is.
fn check(bootstrap: &str, acks: &Acks, sent: u64) -> BTreeMap<(i32, i64), String> {
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

#[test]
fn a_folder_with_its_log_in_another_store_survives_kill_9_and_never_runs_without_it() {
    let (folder, log) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = format!("file://{}", log.path().display());
    let port = free_port().unwrap();
    let start = || {
        let with = |command: &mut Command| drop(command.args(["--wal-storage", &url]));
        Server::start_with(folder.path(), port, &[], with).unwrap()
    };
    let mut server = start();
    let bootstrap = server.bootstrap.clone();
    create(&bootstrap);
    let acks = Acks::default();
    let producer = idempotent(&bootstrap, &acks);
    let mut sent = 0;
    for _ in 0..3 {
        produce(&producer, &mut sent, Duration::from_millis(300));
        server.kill().unwrap();
        server = start();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    check(&bootstrap, &acks, sent);
    assert!(server.stop().unwrap());
    let without = Server::start(folder.path(), port, &[]).err().unwrap().to_string();
    assert!(without.contains("is on an object store") && without.contains("--wal-storage"), "{without}");
    let server = start();
    check(&bootstrap, &acks, sent);
    drop(server);
}

#[test]
fn the_machine_is_lost_and_everything_acked_is_there() {
    let Some(seaweed) = Seaweed::start().unwrap() else {
        println!("skipped: no SeaweedFS (WAYBILL_WEED, or weed on the path)");
        return;
    };
    let port = free_port().unwrap();
    let mut server = first_start(&seaweed, port);
    let bootstrap = server.bootstrap.clone();
    create(&bootstrap);
    let acks = Acks::default();
    let producer = idempotent(&bootstrap, &acks);
    let mut sent = 0;
    produce(&producer, &mut sent, Duration::from_millis(800));
    producer.flush(Duration::from_secs(60)).unwrap();
    assert_eq!(acks.len() as u64, sent);
    let place = consume_some(&bootstrap, 100);

    for round in 0..3 {
        produce(&producer, &mut sent, Duration::from_millis(400 + 130 * round));
        let acked = acks.len();
        server.kill().unwrap();
        let began = Instant::now();
        server = start(&seaweed, port, SECRET, &[]).unwrap();
        println!("round {round}: {sent} sent, {acked} acked, up after {:?}", began.elapsed());
        assert_eq!(committed(&bootstrap), place, "the group resumes where it was");
    }
    produce(&producer, &mut sent, Duration::from_millis(200));
    producer.flush(Duration::from_secs(60)).unwrap();
    let read = check(&bootstrap, &acks, sent);

    // A second process of this node takes over; the first can not ack any more, and ends.
    let other = free_port().unwrap();
    let second = start(&seaweed, other, SECRET, &[]).unwrap();
    producer.send(BaseRecord::<(), str>::to(TOPIC).partition(0).payload("late")).unwrap();
    let ended = server.ended_within(Duration::from_secs(45)).unwrap();
    assert_eq!(ended, Some(false), "the first ends, and says that it did not end well");
    assert_eq!(read_all(&second.bootstrap), read);
    assert!(second.stop().unwrap(), "a stop in order is a success");

    let told = |secret: &str, flags: &[&str]| {
        start(&seaweed, free_port().unwrap(), secret, flags).err().unwrap().to_string()
    };
    let wrong = told("wrong", &[]);
    assert!(wrong.contains("s3://waybill/one") && wrong.contains("credentials"), "{wrong}");
    let elsewhere = told(SECRET, &["--wal-storage", "s3://waybill/elsewhere"]);
    assert!(elsewhere.contains("--wal-storage") && elsewhere.contains("Nothing was changed"), "{elsewhere}");
    let stranger = told(SECRET, &["--node-id", "2"]);
    assert!(stranger.contains("--node-id 1"), "{stranger}");
    let last = start(&seaweed, other, SECRET, &[]).unwrap();
    assert_eq!(read_all(&last.bootstrap), read);
}
