//! Administration, producing and fetching through `waybill-client` and the command line, against a real broker.
//!
//! `WAYBILL_TEST_BOOTSTRAP` names another cluster to run against, so that the same checks hold Apache Kafka.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests of real processes, in real time"
)]

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use waybill_client::admin::{
    Committed, ConfigChange, ConfigOp, ConfigResource, ConfigSource, NewTopic, OffsetSpec, ResetTarget,
    TopicPartition,
};
use waybill_client::data::{Acks, FetchOptions};
use waybill_client::{Client, ClientConfig, Env, parse_bootstrap};
use waybill_protocol::ErrorCode;
use waybill_protocol::batch::{BatchBuilder, NewRecord, RecordBatch, split_batches};
use waybill_protocol::compression::Compression;
use waybill_rt::{RealClock, RealEntropy, RealNet};
use waybill_tests::{Server, free_port, program};
use waybill_types::{Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

const TIME: i64 = 1_700_000_000_000;

struct World {
    client: Client,
    bootstrap: String,
    /// Kept so that names do not meet those of an earlier run against a cluster that lives on.
    suffix: String,
    _server: Option<(Server, TempDir)>,
}

impl World {
    fn start() -> Self {
        let (bootstrap, server) = match std::env::var("WAYBILL_TEST_BOOTSTRAP") {
            Ok(bootstrap) => (bootstrap, None),
            Err(_) => {
                let folder = tempfile::tempdir().unwrap();
                let server = Server::start(folder.path(), free_port().unwrap(), &[]).unwrap();
                (server.bootstrap.clone(), Some((server, folder)))
            }
        };
        let clock = RealClock::shared();
        let suffix = clock.now().to_string();
        let env = Env { net: Arc::new(RealNet), clock, entropy: RealEntropy::shared() };
        let client = Client::new(env, ClientConfig::default(), parse_bootstrap(&bootstrap).unwrap());
        Self { client, bootstrap, suffix, _server: server }
    }

    fn name(&self, stem: &str) -> String {
        format!("{stem}-{}", self.suffix)
    }

    async fn topic(&self, stem: &str, partitions: i32, configs: &[(&str, &str)]) -> String {
        let name = self.name(stem);
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let topic = NewTopic {
            name: name.clone(),
            partitions: Some(partitions),
            configs: configs.iter().map(owned).collect(),
            ..NewTopic::default()
        };
        self.client.create_topic(&topic, false).await.unwrap();
        self.settled(&name, partitions).await;
        name
    }

    /// Waits until the cluster shows so many partitions, each with a leader: Apache Kafka tells its brokers later.
    async fn settled(&self, name: &str, partitions: i32) {
        let partitions = usize::try_from(partitions).unwrap();
        for _ in 0..100 {
            if let Ok(topic) = self.client.describe_topic(name).await
                && topic.partitions.values().filter(|one| one.leader >= 0).count() == partitions
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{name} does not show {partitions} partitions");
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(program().unwrap());
        command.args(["--output", "json"]).args(arguments).env("WAYBILL_BOOTSTRAP", &self.bootstrap);
        command.output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn error(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} should have failed");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// A batch of `count` records, their timestamps from `TIME + first` on, a second apart.
fn batch(codec: Compression, first: i64, count: i64) -> RecordBatch {
    let mut builder = BatchBuilder::new(codec);
    push(&mut builder, first, count);
    builder.build().unwrap()
}

fn push(builder: &mut BatchBuilder, first: i64, count: i64) {
    for n in first..first + count {
        let (key, value) = (format!("key {n}"), format!("value {n}").repeat(20));
        builder
            .push(NewRecord {
                timestamp: TimestampMs(TIME + n * 1000),
                key: Some(key.as_bytes()),
                value: Some(value.as_bytes()),
                headers: &[("n", Some(b"v")), ("n", None)],
            })
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_every_codec_come_back_as_they_went() {
    let world = World::start();
    let at = TopicPartition::new(world.topic("codecs", 1, &[]).await, 0);
    let mut sent = Vec::new();
    for (n, codec) in Compression::ALL.into_iter().enumerate() {
        let batch = batch(codec, n as i64 * 10, 10);
        let base = world.client.produce(&at, batch.bytes().clone(), Acks::All).await.unwrap();
        assert_eq!(base, Offset(n as i64 * 10), "{codec}");
        sent.push(batch);
    }
    let fetched = world.client.fetch(&at, Offset(0), FetchOptions::default()).await.unwrap();
    assert_eq!(fetched.high_watermark, Offset(50));
    let got: Vec<RecordBatch> = split_batches(fetched.records).collect::<Result<_, _>>().unwrap();
    assert_eq!(got.len(), sent.len());
    for (n, (got, sent)) in got.iter().zip(&sent).enumerate() {
        got.verify_crc().unwrap();
        assert_eq!(got.header().base_offset, Offset(n as i64 * 10));
        assert_eq!(got.bytes()[16..], sent.bytes()[16..], "the records' bytes are those that were sent");
    }
    // From the middle of a compressed batch: the whole batch comes, the reader skips.
    let middle = world.client.fetch(&at, Offset(25), FetchOptions::default()).await.unwrap();
    let first = split_batches(middle.records).next().unwrap().unwrap();
    assert!(first.header().base_offset <= Offset(25) && first.header().last_offset() >= Offset(25));

    let offset = |spec| world.client.list_offset(&at, spec);
    assert_eq!(offset(OffsetSpec::Earliest).await.unwrap().offset, Some(0));
    assert_eq!(offset(OffsetSpec::Latest).await.unwrap().offset, Some(50));
    assert_eq!(offset(OffsetSpec::MaxTimestamp).await.unwrap().offset, Some(49));
    for n in [0, 7, 23, 49] {
        let spec = OffsetSpec::AtOrAfter(TimestampMs(TIME + n * 1000 - 1));
        assert_eq!(offset(spec).await.unwrap().offset, Some(n));
    }
    let late = OffsetSpec::AtOrAfter(TimestampMs(TIME + 50_000));
    assert_eq!(offset(late).await.unwrap().offset, None);
    let beyond = world.client.fetch(&at, Offset(51), FetchOptions::default()).await.unwrap_err();
    assert_eq!(beyond.code(), Some(ErrorCode::OffsetOutOfRange));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_batches_are_refused_with_their_records_named() {
    let world = World::start();
    let at = TopicPartition::new(world.topic("compacted", 1, &[("cleanup.policy", "compact")]).await, 0);
    let mut builder = BatchBuilder::new(Compression::Gzip);
    push(&mut builder, 0, 2);
    let keyless = NewRecord { timestamp: TimestampMs(TIME), value: Some(b"no key"), ..NewRecord::default() };
    builder.push(keyless).unwrap();
    let answer =
        world.client.produce_answer(&at, builder.build_bytes().unwrap(), Acks::All).await.unwrap().unwrap();
    assert_eq!(ErrorCode::from_i16(answer.error_code), Some(ErrorCode::InvalidRecord));
    assert_eq!(answer.record_errors.iter().map(|error| error.batch_index).collect::<Vec<_>>(), [2]);

    let damaged = |at: usize| {
        let mut bytes = batch(Compression::None, 0, 3).into_bytes().to_vec();
        bytes[at] ^= 1;
        bytes.into()
    };
    let refused = world.client.produce(&at, damaged(80), Acks::All).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::CorruptMessage));
    let twice = [batch(Compression::None, 0, 1), batch(Compression::None, 1, 1)];
    let twice: Vec<u8> = twice.iter().flat_map(|batch| batch.bytes().to_vec()).collect();
    let refused = world.client.produce(&at, twice.into(), Acks::All).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::InvalidRecord));
    let end = world.client.list_offset(&at, OffsetSpec::Latest).await.unwrap();
    assert_eq!(end.offset, Some(0), "nothing was appended");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotent_producers_retry_is_appended_once() {
    let world = World::start();
    let at = TopicPartition::new(world.topic("idempotent", 1, &[]).await, 0);
    let (id, epoch): (ProducerId, ProducerEpoch) = world.client.init_producer_id().await.unwrap();
    let numbered = |sequence: i32| {
        let mut builder = BatchBuilder::new(Compression::Lz4).producer(id, epoch, Sequence(sequence));
        push(&mut builder, i64::from(sequence), 3);
        builder.build_bytes().unwrap()
    };
    assert_eq!(world.client.produce(&at, numbered(0), Acks::All).await.unwrap(), Offset(0));
    assert_eq!(world.client.produce(&at, numbered(3), Acks::All).await.unwrap(), Offset(3));
    assert_eq!(world.client.produce(&at, numbered(0), Acks::All).await.unwrap(), Offset(0));
    let gap = world.client.produce(&at, numbered(9), Acks::All).await.unwrap_err();
    assert_eq!(gap.code(), Some(ErrorCode::OutOfOrderSequenceNumber));
    let end = world.client.list_offset(&at, OffsetSpec::Latest).await.unwrap();
    assert_eq!(end.offset, Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_and_records_are_administered() {
    let world = World::start();
    let name = world.topic("configured", 2, &[("retention.ms", "86400000")]).await;
    let resource = ConfigResource::Topic(name.clone());
    let own = |entries: Vec<waybill_client::admin::ConfigEntry>| -> BTreeMap<String, String> {
        let own = entries.into_iter().filter(|entry| entry.source == ConfigSource::Topic);
        own.map(|entry| (entry.name, entry.value.unwrap_or_default())).collect()
    };
    let set = |name: &str, op, value: Option<&str>| ConfigChange {
        name: name.to_owned(),
        op,
        value: value.map(str::to_owned),
    };
    let changes = [
        set("retention.ms", ConfigOp::Delete, None),
        set("cleanup.policy", ConfigOp::Append, Some("compact")),
        set("max.message.bytes", ConfigOp::Set, Some("2000")),
    ];
    world.client.alter_configs(&resource, &changes, true).await.unwrap();
    assert_eq!(own(world.client.describe_configs(&resource, false).await.unwrap()).len(), 1);
    world.client.alter_configs(&resource, &changes, false).await.unwrap();
    let now = own(world.client.describe_configs(&resource, false).await.unwrap());
    assert_eq!(now.get("cleanup.policy").map(String::as_str), Some("delete,compact"));
    assert_eq!(now.get("retention.ms"), None);
    let bad = [set("max.message.bytes", ConfigOp::Set, Some("many"))];
    let refused = world.client.alter_configs(&resource, &bad, false).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::InvalidConfig));

    let at = TopicPartition::new(name.clone(), 1);
    let large =
        world.client.produce(&at, batch(Compression::None, 0, 20).into_bytes(), Acks::All).await.unwrap_err();
    assert_eq!(large.code(), Some(ErrorCode::MessageTooLarge));
    world.client.produce(&at, batch(Compression::None, 0, 5).into_bytes(), Acks::All).await.unwrap();
    assert_eq!(world.client.delete_records(&at, Some(3)).await.unwrap(), 3);
    assert_eq!(world.client.delete_records(&at, None).await.unwrap(), 5);
    let refused = world.client.delete_records(&at, Some(6)).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::OffsetOutOfRange));

    world.client.create_partitions(&name, 4, false).await.unwrap();
    world.settled(&name, 4).await;
    world.client.delete_topic(&name).await.unwrap();
    let gone = world.client.delete_topic(&name).await.unwrap_err();
    assert_eq!(gone.code(), Some(ErrorCode::UnknownTopicOrPartition));
}

/// What a broker takes while it runs reaches topics that say nothing themselves, from the level that is nearest.
#[tokio::test(flavor = "multi_thread")]
async fn the_broker_is_configured_while_it_runs() {
    const KEY: &str = "message.max.bytes";
    let world = World::start();
    let name = world.topic("unconfigured", 1, &[]).await;
    let at = TopicPartition::new(name, 0);
    let (all, own) = (ConfigResource::Broker(None), ConfigResource::Broker(Some(1)));
    let change = |op, value: Option<&str>| {
        [ConfigChange { name: KEY.to_owned(), op, value: value.map(str::to_owned) }]
    };
    let set = |value: &'static str| change(ConfigOp::Set, Some(value));
    let unset = change(ConfigOp::Delete, None);
    // Apache Kafka tells its broker of it a moment later.
    let shown = async |resource: &ConfigResource, wanted: Option<(&str, ConfigSource)>| {
        for _ in 0..100 {
            let entries = world.client.describe_configs(resource, true).await.unwrap();
            let entry = entries.into_iter().find(|entry| entry.name == KEY);
            let now = entry.as_ref().map(|entry| (entry.value.as_deref().unwrap_or_default(), entry.source));
            if now == wanted {
                return entry;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{resource} does not show {wanted:?}");
    };
    world.client.alter_configs(&all, &set("3000"), true).await.unwrap();
    shown(&all, None).await;
    world.client.alter_configs(&all, &set("3000"), false).await.unwrap();
    shown(&all, Some(("3000", ConfigSource::DefaultBroker))).await;
    let entry = shown(&own, Some(("3000", ConfigSource::DefaultBroker))).await.unwrap();
    assert!(!entry.read_only);
    world.client.alter_configs(&own, &set("2000"), false).await.unwrap();
    let entry = shown(&own, Some(("2000", ConfigSource::Broker))).await.unwrap();
    let sources: Vec<_> = entry.synonyms.iter().map(|synonym| synonym.source).collect();
    assert_eq!(sources, [ConfigSource::Broker, ConfigSource::DefaultBroker, ConfigSource::Default]);
    let produce = async |records| {
        world.client.produce(&at, batch(Compression::None, 0, records).into_bytes(), Acks::All).await
    };
    assert_eq!(produce(20).await.unwrap_err().code(), Some(ErrorCode::MessageTooLarge));

    for (resource, key) in [(&own, "node.id"), (&all, "auto.create.topics.enable")] {
        let fixed = [ConfigChange { name: key.to_owned(), op: ConfigOp::Set, value: Some("1".to_owned()) }];
        let refused = world.client.alter_configs(resource, &fixed, false).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::InvalidRequest), "{key}");
        assert!(refused.to_string().contains("Cannot update these configs dynamically"), "{refused}");
    }
    for resource in [&own, &all] {
        world.client.alter_configs(resource, &unset, false).await.unwrap();
    }
    shown(&all, None).await;
    shown(&own, Some(("1048588", ConfigSource::Default))).await;
    produce(20).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_offsets_are_administered() {
    let world = World::start();
    let (topic, group) = (world.topic("read", 2, &[]).await, world.name("group"));
    let at = |partition| TopicPartition::new(topic.clone(), partition);
    for partition in 0..2 {
        world
            .client
            .produce(&at(partition), batch(Compression::Zstd, 0, 10).into_bytes(), Acks::All)
            .await
            .unwrap();
    }
    let committed = |offset| Committed { offset, metadata: "note".to_owned(), ..Committed::default() };
    let offsets = BTreeMap::from([(at(0), committed(4)), (at(1), committed(10))]);
    world.client.commit_offsets(&group, &offsets).await.unwrap();
    assert_eq!(world.client.committed_offsets(&group).await.unwrap(), offsets);
    let listed = world.client.list_groups().await.unwrap();
    assert!(listed.iter().any(|listing| listing.id == group && listing.state == "Empty"), "{listed:?}");
    let plan = |target| {
        let partitions = [at(0), at(1)];
        let (client, group) = (world.client.clone(), group.clone());
        async move {
            let plan = client.plan_reset(&group, &partitions, target).await.unwrap();
            plan.iter().map(|one| one.new).collect::<Vec<_>>()
        }
    };
    assert_eq!(plan(ResetTarget::Shift(-1)).await, [3, 9]);
    assert_eq!(plan(ResetTarget::Time(TimestampMs(TIME + 6500))).await, [7, 7]);
    assert_eq!(plan(ResetTarget::Offset(99)).await, [10, 10]);

    let described = &world.json(&["group", "describe", &group])[0];
    assert_eq!((described["lag"].as_i64(), described["state"].as_str()), (Some(6), Some("Empty")));
    let reset = ["group", "reset-offsets", &group, "--topic", &topic, "--to-earliest"];
    assert_eq!(world.json(&reset)["executed"], Value::Bool(false));
    assert_eq!(world.client.committed_offsets(&group).await.unwrap(), offsets, "only shown");
    world.json(&[&reset[..], &["--execute"]].concat());
    let now = world.client.committed_offsets(&group).await.unwrap();
    assert_eq!(now.values().map(|committed| committed.offset).collect::<Vec<_>>(), [0, 0]);
    world.json(&["group", "delete-offsets", &group, "--topic", &format!("{topic}:1")]);
    assert_eq!(world.client.committed_offsets(&group).await.unwrap().len(), 1);
    world.json(&["group", "delete", &group]);
    let error = world.error(&["group", "delete", &group]);
    assert!(error.contains("GROUP_ID_NOT_FOUND") && error.contains("waybill group list"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_administered_from_the_command_line() {
    let world = World::start();
    let name = world.name("cli");
    let made = world.json(&["topic", "create", &name, "--partitions", "3", "--set", "retention.ms=86400000"]);
    assert_eq!((made["result"].as_str(), made["partitions"].as_i64()), (Some("created"), Some(3)));
    world.settled(&name, 3).await;
    let error = world.error(&["topic", "create", &name]);
    assert!(error.contains("TOPIC_ALREADY_EXISTS") && error.contains("--if-not-exists"), "{error}");
    assert_eq!(world.json(&["topic", "create", &name, "--if-not-exists"])["result"], "exists");
    world.json(&["topic", "alter", &name, "--partitions", "4", "--unset", "retention.ms"]);
    world.settled(&name, 4).await;
    let listed = world.json(&["topic", "list"]);
    let listed = listed.as_array().unwrap().iter().find(|topic| topic["name"] == name.as_str()).unwrap();
    assert_eq!(listed["partitions"], 4);
    let described = &world.json(&["topic", "describe", &name])[0];
    assert_eq!(described["partitions"].as_array().unwrap().len(), 4);
    assert_eq!(described["partitions"][0]["end"], 0);
    assert_eq!(world.json(&["topic", "configs", &name]).as_array().unwrap().len(), 0);
    world.json(&["topic", "delete", &name]);
    assert!(world.error(&["topic", "describe", &name]).contains("waybill topic list"));
    let nobody = Command::new(program().unwrap())
        .args(["topic", "list", "--bootstrap", "127.0.0.1:1"])
        .output()
        .unwrap();
    let words = String::from_utf8(nobody.stderr).unwrap();
    assert!(
        !nobody.status.success() && words.contains("127.0.0.1:1") && words.contains("waybill serve"),
        "{words}"
    );
}
