//! History of many partitions, read by one consumer through a broker with little memory.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests with real clients, in real time"
)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use waybill_broker::{BrokerConfig, ListenerSpec, LocalNode, LocalOptions, Machine};
use waybill_rt::{Metrics, RealClock, RealDisk, RealEntropy, RealNet, Running, Supervisor};
use waybill_types::BrokerId;

const TOPIC: &str = "history";
const PARTITIONS: usize = 64;
const RECORDS: usize = 4_000;
const SIZE: usize = 16 << 10;

fn machine() -> Machine {
    Machine {
        disk: RealDisk::shared(),
        net: RealNet::shared(),
        clock: RealClock::shared(),
        entropy: RealEntropy::shared(),
        tasks: Supervisor::default(),
        metrics: Metrics::default(),
        running: Running::Blocking,
        pid: std::process::id(),
    }
}

fn options(root: &std::path::Path) -> LocalOptions {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = ListenerSpec { name: "PLAINTEXT".into(), addr };
    let settings = BTreeMap::from([("num.partitions".to_owned(), PARTITIONS.to_string())]);
    let broker = BrokerConfig::new(BrokerId(1), vec![listener], Vec::new(), settings, String::new()).unwrap();
    let mut options = LocalOptions::new(broker, root.to_owned());
    // Much less than a client asks for at once.
    options.engine.block_cache_bytes = 2 << 20;
    options.engine.catch_up_bytes = 2 << 20;
    options.engine.log_cache_bytes = 1 << 20;
    options.engine.flush_bytes = 8 << 20;
    options
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

/// Once a fetch over many partitions waited for ever for memory that it held itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_of_many_partitions_is_read_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let node = LocalNode::start(options(folder.path()), machine()).await.unwrap();
    let bootstrap = format!("{}:{}", node.broker.endpoints[0].host, node.broker.endpoints[0].port);
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .set("linger.ms", "20")
        .create()
        .unwrap();
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

    let node = LocalNode::start(options(folder.path()), machine()).await.unwrap();
    let bootstrap = format!("{}:{}", node.broker.endpoints[0].host, node.broker.endpoints[0].port);
    let seen = tokio::task::spawn_blocking(move || consume(&bootstrap)).await.unwrap();
    assert_eq!(seen.len(), PARTITIONS);
    for (partition, offsets) in seen {
        let expected: Vec<i64> = (0..offsets.len() as i64).collect();
        assert_eq!(offsets, expected, "partition {partition}");
    }
    node.stop().await.unwrap();
}
