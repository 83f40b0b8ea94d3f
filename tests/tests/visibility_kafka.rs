//! The visibility service as a consumer of real topics: topics made again, history that is gone, brokers that restart.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests with a real client, in real time"
)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;
use tokio::runtime::Runtime;
use waybill_broker::{BrokerConfig, ListenerSpec, LocalNode, LocalOptions, Machine};
use waybill_client::admin::{NewTopic, TopicPartition};
use waybill_client::{Client, Env, parse_bootstrap};
use waybill_rt::{RealClock, RealEntropy, RealNet};
use waybill_tests::free_port;
use waybill_types::BrokerId;
use waybill_visibility::ingest::kafka::{KafkaConfig, KafkaSource};
use waybill_visibility::ingest::{Ingest, Progress, RecordSource, Sources};
use waybill_visibility::query::{Question, track};
use waybill_visibility::store::Store;
use waybill_visibility::store::sqlite::SqliteStore;

const TOPIC: &str = "orders";

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker in this process, on a port that stays.
struct Node {
    runtime: Runtime,
    folder: tempfile::TempDir,
    port: u16,
    node: Option<LocalNode>,
}

impl Node {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let mut node =
            Self { runtime, folder: tempfile::tempdir().unwrap(), port: free_port().unwrap(), node: None };
        node.up();
        node
    }

    fn up(&mut self) {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let listener = ListenerSpec { name: "PLAINTEXT".into(), addr };
        let settings = BTreeMap::from([("auto.create.topics.enable".to_owned(), "false".to_owned())]);
        let config =
            BrokerConfig::new(BrokerId(1), vec![listener], Vec::new(), settings, String::new()).unwrap();
        let options = LocalOptions::new(config, self.folder.path().to_owned());
        self.node = Some(self.runtime.block_on(LocalNode::start(options, Machine::real())).unwrap());
    }

    fn down(&mut self) {
        let node = self.node.take().unwrap();
        self.runtime.block_on(node.stop()).unwrap();
    }

    fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn client(&self) -> Client {
        let env = Env { net: RealNet::shared(), clock: RealClock::shared(), entropy: RealEntropy::shared() };
        Client::new(env, Default::default(), parse_bootstrap(&self.bootstrap()).unwrap())
    }

    fn create(&self, partitions: i32) {
        let topic = NewTopic { name: TOPIC.to_owned(), partitions: Some(partitions), ..NewTopic::default() };
        let client = self.client();
        self.runtime.block_on(async { client.create_topic(&topic, false).await }).unwrap();
    }

    fn delete(&self) {
        let client = self.client();
        self.runtime.block_on(async { client.delete_topic(TOPIC).await }).unwrap();
    }

    fn forget(&self, before: i64) {
        let client = self.client();
        let at = TopicPartition::new(TOPIC, 0);
        self.runtime.block_on(async { client.delete_records(&at, Some(before)).await }).unwrap();
    }

    /// Sends a promise for each number, to an order named after it.
    fn promise(&self, numbers: std::ops::Range<usize>) {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("linger.ms", "0")
            .create()
            .unwrap();
        self.runtime.block_on(async {
            for number in numbers {
                let value = json!({"event_id": format!("p{number}"), "event": "promise_changed", "source": "erp",
                    "event_time": "2026-01-01T00:00:00Z", "order": format!("PO-{number}"), "promised": "2026-02-01"});
                let (key, value) = (format!("PO-{number}"), value.to_string());
                let mapping = Header { key: "waybill-mapping", value: Some("events@1") };
                let record = FutureRecord::to(TOPIC)
                    .partition(0)
                    .key(&key)
                    .payload(&value)
                    .headers(OwnedHeaders::new().insert(mapping));
                producer.send(record, PATIENCE).await.unwrap();
            }
        });
    }
}

struct View {
    store: Arc<SqliteStore>,
    progress: Arc<Progress>,
    ingest: Ingest<KafkaSource>,
}

impl View {
    fn open(node: &Node, file: &Path) -> Self {
        let source = KafkaSource::new(&KafkaConfig {
            bootstrap: node.bootstrap(),
            group: "waybill-visibility-test".to_owned(),
            properties: vec![("reconnect.backoff.max.ms".to_owned(), "200".to_owned())],
        });
        let store = Arc::new(SqliteStore::open(file).unwrap());
        let clock = RealClock::shared();
        let progress = Arc::new(Progress::new(clock.monotonic()));
        let sources = Sources::Discovered;
        let ingest = Ingest::new(store.clone(), source.unwrap(), sources, clock, Arc::clone(&progress), true);
        Self { store, progress, ingest }
    }

    /// Goes on, failures and all, until something holds.
    fn run_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let patience = Instant::now() + PATIENCE;
        while !holds(self) {
            let last = self.ingest.step(Duration::from_millis(50));
            if let Err(error) = &last {
                std::thread::sleep(Duration::from_millis(50));
                assert!(
                    Instant::now() < patience,
                    "waiting until {what}: {error}, {:?}",
                    self.progress.sources()
                );
            }
            assert!(Instant::now() < patience, "waiting until {what}: {:?}", self.progress.sources());
        }
    }

    fn taken(&self) -> u64 {
        self.store.read().unwrap().counts().unwrap().iter().map(|counts| counts.taken).sum()
    }

    fn knows(&self, order: &str) -> bool {
        let read = self.store.read().unwrap();
        track::track(read.as_ref(), &Question::now(), order, None, waybill_types::TimestampMs(i64::MAX))
            .is_ok()
    }

    /// The id of the topic that the store's offsets speak of.
    fn topic(&self) -> waybill_types::TopicId {
        self.store.read().unwrap().frontier().unwrap().positions.keys().next().unwrap().0
    }

    fn stopped(&self) -> Option<String> {
        self.progress.sources().into_iter().find_map(|source| source.stopped)
    }
}

#[test]
fn a_topic_made_again_stops_its_source_and_nothing_of_the_new_one_is_taken() {
    let node = Node::start();
    let file = node.folder.path().join("view.sqlite");
    node.create(1);
    node.promise(0..3);
    let mut view = View::open(&node, &file);
    view.run_until("three are read", |view| view.taken() == 3);
    let first = view.topic();

    // Made again while it is being read, with records beyond the offset at which the view stands.
    node.delete();
    node.create(1);
    node.promise(10..18);
    view.run_until("the source stops", |view| view.stopped().is_some());
    assert!(view.stopped().unwrap().contains("deleted and made again"), "{:?}", view.stopped());
    assert_eq!(view.taken(), 3);
    assert!(view.knows("PO-2") && !view.knows("PO-13") && !view.knows("PO-17"));

    // The store keeps offsets by id, so the next instance stops too.
    drop(view);
    let mut again = View::open(&node, &file);
    again.run_until("the source stops again", |view| view.stopped().is_some());
    for _ in 0..10 {
        again.ingest.step(Duration::from_millis(20)).unwrap();
    }
    assert_eq!(again.taken(), 3);
    assert_eq!(again.store.read().unwrap().frontier().unwrap().positions.keys().next().unwrap().0, first);

    // A new view reads the new topic from its beginning.
    let mut fresh = View::open(&node, &node.folder.path().join("fresh.sqlite"));
    fresh.run_until("eight are read", |view| view.taken() == 8);
    assert!(fresh.knows("PO-17") && !fresh.knows("PO-2"));
    assert_ne!(fresh.topic(), first);
}

#[test]
fn history_that_is_gone_is_refused_and_said_and_a_view_from_what_is_kept_says_since_when() {
    let node = Node::start();
    let file = node.folder.path().join("view.sqlite");
    node.create(1);
    node.promise(0..3);
    let mut view = View::open(&node, &file);
    view.run_until("three are read", |view| view.taken() == 3);
    drop(view);
    node.promise(3..10);
    node.forget(7);

    let mut behind = View::open(&node, &file);
    behind.run_until("the source stops", |view| view.stopped().is_some());
    let why = behind.stopped().unwrap();
    assert!(why.contains("orders/0: records 3 to 7 are gone"), "{why}");
    assert_eq!(behind.taken(), 3);

    let mut rebuilt = View::open(&node, &node.folder.path().join("rebuilt.sqlite"));
    rebuilt.run_until("three are read", |view| view.taken() == 3);
    assert!(rebuilt.knows("PO-9") && !rebuilt.knows("PO-6"));
    let read = rebuilt.store.read().unwrap();
    assert!(read.sources().unwrap()[0].provable_since.is_some());
}

#[test]
fn history_lost_while_it_is_read_stops_the_source() {
    let node = Node::start();
    node.create(1);
    node.promise(0..3);
    let mut view = View::open(&node, &node.folder.path().join("view.sqlite"));
    view.run_until("three are read", |view| view.taken() == 3);
    // All that was read and more goes between two fetches.
    let mut node = node;
    node.down();
    node.up();
    node.promise(3..12);
    node.forget(12);
    view.run_until("it is known", |view| view.stopped().is_some() || view.taken() == 12);
    if let Some(why) = view.stopped() {
        assert!(why.contains("orders/0: records ") && why.contains("to 12 are gone"), "{why}");
        assert!(view.taken() < 12);
    }
}

#[test]
fn restarts_and_new_leader_epochs_are_survived_without_loss_or_repetition() {
    let mut node = Node::start();
    node.create(1);
    let mut view = View::open(&node, &node.folder.path().join("view.sqlite"));
    for round in 0..5 {
        node.promise(round * 20..round * 20 + 20);
        // Sometimes in the middle of a batch, sometimes after it.
        if round % 2 == 0 {
            let _ = view.ingest.step(Duration::from_millis(5));
        }
        node.down();
        let _ = view.ingest.step(Duration::from_millis(50));
        node.up();
    }
    view.run_until("all are read", |view| view.taken() >= 100);
    view.ingest.drain().unwrap();
    assert_eq!(view.taken(), 100);
    assert!((0..100).all(|number| view.knows(&format!("PO-{number}"))));
    let counts = view.store.read().unwrap().counts().unwrap();
    assert!(counts.iter().all(waybill_visibility::store::Counts::is_conserved));
    assert_eq!(view.stopped(), None);

    // Only what the offsets in the store say was read counts: another instance reads nothing again.
    let hashes = view.store.read().unwrap().hashes().unwrap();
    let mut again = View::open(&node, &node.folder.path().join("again.sqlite"));
    again.run_until("all are read", |view| view.taken() == 100);
    again.ingest.drain().unwrap();
    assert_eq!(again.store.read().unwrap().hashes().unwrap(), hashes);
}

#[test]
fn the_source_tells_what_a_topic_is() {
    let node = Node::start();
    node.create(2);
    let config = KafkaConfig { bootstrap: node.bootstrap(), group: "g".to_owned(), properties: Vec::new() };
    let mut source = KafkaSource::new(&config).unwrap();
    let topic = source.topics().unwrap().into_iter().find(|topic| topic.name == TOPIC).unwrap();
    assert_eq!(topic.partitions, 2);
    assert!(!source.is_compacted(&topic).unwrap());
    assert!(source.first_record(&topic).unwrap().is_none());
    let compacted = NewTopic {
        name: "compacted".to_owned(),
        partitions: Some(1),
        configs: vec![("cleanup.policy".to_owned(), "compact".to_owned())].into_iter().collect(),
        ..NewTopic::default()
    };
    let client = node.client();
    node.runtime.block_on(async { client.create_topic(&compacted, false).await }).unwrap();
    let topic = source.topics().unwrap().into_iter().find(|topic| topic.name == "compacted").unwrap();
    assert!(source.is_compacted(&topic).unwrap());
}
