//! A compacted topic, written and read by librdkafka while it is compacted, and after a restart.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests with real clients, in real time"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use waybill_broker::{LocalNode, LocalOptions, Machine};
use waybill_tests::{node_options, start_node};

const TOPIC: &str = "table";
const KEYS: usize = 40;
const RECORDS: usize = 4_000;

async fn start(root: &std::path::Path) -> (LocalNode, String) {
    let mut options: LocalOptions = node_options(root, 1).unwrap();
    let settings = [
        ("log.cleanup.policy", "compact"),
        ("log.cleaner.backoff.ms", "100"),
        ("log.cleaner.min.cleanable.ratio", "0.01"),
        ("log.roll.ms", "200"),
        ("offsets.topic.num.partitions", "1"),
    ];
    for (key, value) in settings {
        options.broker.kafka.insert(key.to_owned(), value.to_owned());
    }
    start_node(options, Machine::real()).await.unwrap()
}

/// Sends records over all keys, compressed, some of them tombstones. Returns the newest of each key.
async fn send(bootstrap: &str) -> BTreeMap<String, Option<String>> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("compression.type", "zstd")
        .set("linger.ms", "5")
        .create()
        .unwrap();
    let mut newest = BTreeMap::new();
    let mut sends = Vec::new();
    for number in 0..RECORDS {
        let (key, value) = (format!("key {}", number * 7 % KEYS), format!("value {number}"));
        let mut record = FutureRecord::<str, str>::to(TOPIC).key(&key);
        let tombstone = number * 7 % KEYS < 5 && number > RECORDS / 2;
        if !tombstone {
            record = record.payload(&value);
        }
        let sent = producer.send_result(record).unwrap();
        newest.insert(key.clone(), (!tombstone).then(|| value.clone()));
        sends.push(sent);
        if number % 200 == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    for sent in sends {
        sent.await.unwrap().unwrap();
    }
    newest
}

/// Everything from the start to the end, by offset; commits as a group as it goes.
fn read(bootstrap: &str) -> BTreeMap<i64, (String, Option<String>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "readers")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut all = BTreeMap::new();
    loop {
        match consumer.poll(Duration::from_secs(30)).expect("something comes") {
            Ok(record) => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let said = (text(record.key().unwrap()), record.payload().map(text));
                assert!(all.insert(record.offset(), said).is_none(), "an offset came twice");
                consumer.commit_message(&record, CommitMode::Async).unwrap();
            }
            Err(KafkaError::PartitionEOF(_)) => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn table(bootstrap: &str) -> (usize, BTreeMap<String, Option<String>>) {
    let bootstrap = bootstrap.to_owned();
    let all = tokio::task::spawn_blocking(move || read(&bootstrap)).await.unwrap();
    (all.len(), all.into_values().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_a_compacted_topic_sees_the_newest_of_each_key() {
    let folder = tempfile::tempdir().unwrap();
    let (node, bootstrap) = start(folder.path()).await;
    let newest = send(&bootstrap).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    let left = loop {
        let (count, seen) = table(&bootstrap).await;
        assert_eq!(seen, newest, "of {count} records");
        if count <= KEYS + 10 {
            break count;
        }
        assert!(Instant::now() < deadline, "{count} records are left of {RECORDS}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    println!("{left} of {RECORDS} records left for {KEYS} keys");
    node.stop().await.unwrap();
    let (node, bootstrap) = start(folder.path()).await;
    assert_eq!(table(&bootstrap).await.1, newest);
    node.stop().await.unwrap();
}
