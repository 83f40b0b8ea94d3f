//! Appends of one producer overlap: several batches wait for the disk at once. And a retry of a batch that is still on
//! its way is never answered before the batch itself.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests with real clients, in real time"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use waybill_broker::{LocalNode, Machine};
use waybill_client::admin::{NewTopic, TopicPartition};
use waybill_client::data::Acks;
use waybill_client::{Client, Env, parse_bootstrap};
use waybill_protocol::batch::{BatchBuilder, NewRecord};
use waybill_protocol::compression::Compression;
use waybill_rt::{RealClock, RealDisk, RealEntropy, RealNet, SharedDisk};
use waybill_storage::WalDriver;
use waybill_testkit::disk::SlowDisk;
use waybill_testkit::wal::{PipelinedDriver, PipelinedWalOptions};
use waybill_tests::{node_options, start_node};

const TOPIC: &str = "pipelined";
const PARTITIONS: i32 = 10;

async fn node(root: &Path, disk: SharedDisk, wal: Option<Arc<dyn WalDriver>>) -> (LocalNode, String) {
    let mut options = node_options(root, PARTITIONS as usize).unwrap();
    options.other_wal = wal;
    start_node(options, Machine { disk, ..Machine::real() }).await.unwrap()
}

fn producer(bootstrap: &str, in_flight: u32) -> FutureProducer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("max.in.flight.requests.per.connection", in_flight.to_string())
        .set("batch.num.messages", "10")
        .set("linger.ms", "0")
        .create()
        .unwrap()
}

/// Sends records and gives the rate at which they were acked, per second. They go to many partitions: an idempotent
/// librdkafka counts *records* where it limits a partition to five in flight, so a batch of ten goes alone.
async fn rate(bootstrap: &str, in_flight: u32, records: usize) -> f64 {
    let producer = producer(bootstrap, in_flight);
    // The first record pays for the producer id and the connection.
    let first = FutureRecord::<(), str>::to(TOPIC).partition(0).payload("first");
    producer.send(first, Duration::from_secs(30)).await.unwrap();
    let started = Instant::now();
    let sends = (0..records).map(|number| {
        let producer = &producer;
        async move {
            let value = number.to_string();
            let partition = (number / 10) as i32 % PARTITIONS;
            let record = FutureRecord::<(), str>::to(TOPIC).partition(partition).payload(&value);
            producer.send(record, Duration::from_secs(60)).await.unwrap();
        }
    });
    futures::future::join_all(sends).await;
    records as f64 / started.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_in_flight_are_three_times_as_fast_on_a_store_far_away() {
    let folder = tempfile::tempdir().unwrap();
    let driver = PipelinedDriver::new(PipelinedWalOptions::default(), RealClock::shared());
    let (node, bootstrap) = node(folder.path(), RealDisk::shared(), Some(Arc::new(driver))).await;
    let one = rate(&bootstrap, 1, 400).await;
    let five = rate(&bootstrap, 5, 400).await;
    println!("appends of 100 ms that overlap: {one:.0}/s with 1 in flight, {five:.0}/s with 5");
    assert!(five >= 3.0 * one, "{five:.0}/s with 5 in flight, {one:.0}/s with 1");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_in_flight_are_twice_as_fast_on_a_slow_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SlowDisk::shared(RealDisk::shared(), Duration::from_millis(30));
    let (node, bootstrap) = node(folder.path(), disk, None).await;
    let one = rate(&bootstrap, 1, 400).await;
    let five = rate(&bootstrap, 5, 400).await;
    println!("syncs of 30 ms, one at a time: {one:.0}/s with 1 in flight, {five:.0}/s with 5");
    assert!(five >= 2.0 * one, "{five:.0}/s with 5 in flight, {one:.0}/s with 1");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_is_not_acked_before_its_original_on_a_store_that_stalls() {
    let folder = tempfile::tempdir().unwrap();
    let options = PipelinedWalOptions { delay: Duration::from_millis(5), ..PipelinedWalOptions::default() };
    let driver = Arc::new(PipelinedDriver::new(options, RealClock::shared()));
    let (node, bootstrap) =
        node(folder.path(), RealDisk::shared(), Some(Arc::clone(&driver) as Arc<dyn WalDriver>)).await;
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .set("enable.idempotence", "true")
        .set("request.timeout.ms", "500")
        .set("socket.timeout.ms", "1000")
        .set("retry.backoff.ms", "50")
        .create()
        .unwrap();
    let send = |value: &'static str| {
        let record = FutureRecord::<(), str>::to(TOPIC).partition(0).payload(value);
        producer.send(record, Duration::from_secs(60))
    };
    send("before").await.unwrap();
    let wal = driver.wal().unwrap();
    wal.stall();
    let stalled = send("stalled");
    tokio::pin!(stalled);
    // The client loses patience several times and sends the same batch again.
    let early = tokio::time::timeout(Duration::from_secs(4), &mut stalled).await;
    assert!(early.is_err(), "acked while nothing was durable: {early:?}");
    assert_eq!(wal.in_flight(), 1, "retries are joined to the original, not appended");
    wal.resume();
    let delivery = stalled.await.unwrap();
    assert_eq!(delivery.offset, 1);
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &bootstrap).create().unwrap();
    let marks = tokio::task::spawn_blocking(move || {
        consumer.fetch_watermarks(TOPIC, 0, Duration::from_secs(10)).unwrap()
    });
    assert_eq!(marks.await.unwrap(), (0, 2));
    node.stop().await.unwrap();
}

/// The broker alone, without a client library's own ideas: five requests on one connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_on_one_connection_wait_for_the_store_together() {
    let folder = tempfile::tempdir().unwrap();
    let driver = PipelinedDriver::new(PipelinedWalOptions::default(), RealClock::shared());
    let (node, bootstrap) = node(folder.path(), RealDisk::shared(), Some(Arc::new(driver))).await;
    let env = Env { net: RealNet::shared(), clock: RealClock::shared(), entropy: RealEntropy::shared() };
    let client = Client::new(env, Default::default(), parse_bootstrap(&bootstrap).unwrap());
    let topic = NewTopic { name: TOPIC.to_owned(), partitions: Some(1), ..NewTopic::default() };
    client.create_topic(&topic, false).await.unwrap();
    let at = TopicPartition::new(TOPIC, 0);
    let batch = || {
        let mut builder = BatchBuilder::new(Compression::None);
        let now = node.broker.clock.now();
        builder.push(NewRecord { timestamp: now, value: Some(b"v"), ..NewRecord::default() }).unwrap();
        builder.build_bytes().unwrap()
    };
    client.produce(&at, batch(), Acks::All).await.unwrap();
    let started = Instant::now();
    let sends = (0..20).map(|_| client.produce(&at, batch(), Acks::All));
    let offsets = futures::future::try_join_all(sends).await.unwrap();
    let took = started.elapsed();
    println!("20 requests of 100 ms each took {took:?}");
    assert_eq!(offsets.iter().map(|offset| offset.get()).collect::<Vec<_>>(), (1..21).collect::<Vec<_>>());
    assert!(took < Duration::from_millis(1000), "they did not overlap: {took:?}");
    node.stop().await.unwrap();
}
