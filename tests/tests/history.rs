//! History of many partitions, read through a broker with little memory; and clients that ask and do not read.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests with real clients, in real time"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use waybill_broker::{LocalNode, LocalOptions, Machine};
use waybill_protocol::wire::{Message as _, Writer};
use waybill_protocol_gen::ApiKey;
use waybill_protocol_gen::header::encode_request_header;
use waybill_protocol_gen::messages::FetchRequest;
use waybill_protocol_gen::messages::fetch_request::{FetchPartition, FetchTopic};
use waybill_tests::{node_options, start_node};

const TOPIC: &str = "history";
const PARTITIONS: usize = 64;
const RECORDS: usize = 4_000;
const SIZE: usize = 16 << 10;

fn options(root: &std::path::Path) -> LocalOptions {
    let mut options = node_options(root, PARTITIONS).unwrap();
    // Much less than a client asks for at once.
    options.engine.block_cache_bytes = 2 << 20;
    options.engine.catch_up_bytes = 2 << 20;
    options.engine.log_cache_bytes = 1 << 20;
    options.engine.flush_bytes = 8 << 20;
    options
}

/// A Fetch request for every partition from its start, by name (v11), as many bytes as there are, and at least
/// `min_bytes` or what there is after a minute.
fn fetch_all(min_bytes: i32) -> Vec<u8> {
    let partitions = (0..PARTITIONS as i32).map(|partition| FetchPartition {
        partition,
        partition_max_bytes: i32::MAX,
        ..FetchPartition::default()
    });
    let topic = FetchTopic { topic: TOPIC.into(), partitions: partitions.collect(), ..FetchTopic::default() };
    let request = FetchRequest {
        replica_id: -1,
        max_bytes: i32::MAX,
        min_bytes,
        max_wait_ms: 60_000,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    let mut writer = Writer::framed();
    encode_request_header(&mut writer, ApiKey::Fetch, 11, 1, Some("does not read")).unwrap();
    request.encode(&mut writer, 11).unwrap();
    writer.into_segments().unwrap().concat()
}

fn consume(bootstrap: &str) -> BTreeMap<i32, Vec<i64>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "history")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition as i32, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut seen: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for count in 0..RECORDS {
        let record = consumer.poll(Duration::from_secs(30));
        let record = record.unwrap_or_else(|| panic!("nothing came after {count} records")).unwrap();
        assert_eq!(record.payload().map(<[u8]>::len), Some(SIZE));
        seen.entry(record.partition()).or_default().push(record.offset());
    }
    seen
}

/// A node whose topic holds [`RECORDS`], all of them in segments.
async fn filled(options: LocalOptions) -> (LocalNode, String) {
    let (node, bootstrap) = start_node(options.clone(), Machine::real()).await.unwrap();
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &bootstrap).set("linger.ms", "20").create().unwrap();
    let payload = vec![b'x'; SIZE];
    let sends = (0..RECORDS).map(|number| {
        let record = FutureRecord::<(), [u8]>::to(TOPIC);
        let record = record.partition((number % PARTITIONS) as i32).payload(&payload);
        producer.send(record, Duration::from_secs(60))
    });
    for sent in futures::future::join_all(sends).await {
        sent.unwrap();
    }
    drop(producer);
    node.stop().await.unwrap();
    start_node(options, Machine::real()).await.unwrap()
}

async fn reads_everything(bootstrap: String) {
    let seen = tokio::task::spawn_blocking(move || consume(&bootstrap)).await.unwrap();
    assert_eq!(seen.len(), PARTITIONS);
    for (partition, offsets) in seen {
        let expected: Vec<i64> = (0..offsets.len() as i64).collect();
        assert_eq!(offsets, expected, "partition {partition}");
    }
}

/// Once a fetch over many partitions waited for ever for memory that it held itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_of_many_partitions_is_read_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (node, bootstrap) = filled(options(folder.path())).await;
    reads_everything(bootstrap).await;
    node.stop().await.unwrap();
}

/// Clients ask for everything, again and again on one connection, and read nothing: what is held for them is bounded,
/// and who reads is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_take_bounded_memory_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.broker.frame_timeout = Duration::from_millis(500);
    let (node, bootstrap) = filled(options).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(&bootstrap).unwrap();
        for _ in 0..4 {
            stream.write_all(&fetch_all(1)).unwrap();
        }
        stalled.push(stream);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    let memory = [node.broker.responses.clone(), node.broker.engine.segment_reads().clone()];
    // Who waits makes those who do not read go after a moment, so what counts is that someone had to.
    while memory.iter().all(|budget| budget.hits() == 0) {
        assert!(Instant::now() < deadline, "nobody had to wait for memory");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    reads_everything(bootstrap).await;
    drop(stalled);
    node.stop().await.unwrap();
}

/// A client wants more in one response than a response holds: it gets what fits at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_can_not_grow_is_not_held_back() {
    let folder = tempfile::tempdir().unwrap();
    let (node, bootstrap) = filled(options(folder.path())).await;
    let length = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(bootstrap).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&fetch_all(i32::MAX)).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).expect("an answer long before the minute is over");
        i32::from_be_bytes(length)
    });
    assert!(length.await.unwrap() as usize > SIZE);
    node.stop().await.unwrap();
}
