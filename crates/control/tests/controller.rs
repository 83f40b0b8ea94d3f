//! The controller on the in-memory metadata store: what it tells is durable, and it ends when a commit fails.

use std::ops::Range;
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use waybill_control::alter::Change;
use waybill_control::configs::Level;
use waybill_control::create::{NewTopic, TopicFault};
use waybill_control::{
    BrokerChange, Controller, ControllerDeps, ControllerError, Image, PartitionHost, Topic,
};
use waybill_meta::{Batch, MemoryMeta, MetaError};
use waybill_rt::{SeededEntropy, Supervisor, VirtualClock};
use waybill_types::{ProducerId, TopicId};

#[derive(Default)]
struct Host {
    heard: Mutex<Vec<String>>,
}

impl PartitionHost for Host {
    fn contribute_new(&self, batch: &mut Batch, topic: TopicId, partitions: Range<i32>) {
        for partition in partitions {
            let key = [&b"test"[..], topic.as_bytes(), &partition.to_be_bytes()].concat();
            batch.put(key, vec![1]);
        }
    }

    fn applied(&self, topic: &Topic, new_partitions: Range<i32>) {
        self.heard.lock().push(format!("{} +{}", topic.name, new_partitions.len()));
    }

    fn removed<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, Result<(), MetaError>> {
        self.heard.lock().push(format!("{} removed", topic.name));
        Box::pin(async { Ok(()) })
    }
}

struct World {
    meta: Arc<MemoryMeta>,
    host: Arc<Host>,
    tasks: Supervisor,
}

impl World {
    fn new() -> Self {
        Self { meta: Arc::new(MemoryMeta::default()), host: Arc::default(), tasks: Supervisor::default() }
    }

    async fn open(&self) -> Controller {
        let deps = ControllerDeps {
            meta: Arc::clone(&self.meta) as _,
            host: Arc::clone(&self.host) as _,
            clock: VirtualClock::shared(1000.into()),
            entropy: SeededEntropy::shared(self.host.heard.lock().len() as u64),
            tasks: self.tasks.clone(),
        };
        Controller::open(deps, Image::default()).await.expect("an empty store opens")
    }
}

fn new(name: &str, partitions: i32) -> NewTopic {
    NewTopic { name: name.to_owned(), partitions, replication_factor: 1, ..NewTopic::default() }
}

#[tokio::test(start_paused = true)]
async fn topics_survive_a_restart_and_ids_are_never_reused() {
    let world = World::new();
    let controller = world.open().await;
    let made = controller.create_topics(vec![new("orders", 3), new("orders", 1)], false).await.unwrap();
    let first = made[0].as_ref().unwrap().id;
    assert_eq!(made[1], Err(TopicFault::Exists("orders".to_owned())));
    controller.create_partitions("orders".to_owned(), 5, None, false).await.unwrap();
    let change = vec![("retention.ms".to_owned(), Change::Set("-1".to_owned()))];
    controller.alter_topic("orders".to_owned(), change, false).await.unwrap();

    let again = world.open().await;
    let topic = Arc::clone(again.image().topic("orders").unwrap());
    assert_eq!((topic.id, topic.partitions, topic.settings.retention_ms), (first, 5, None));
    assert_eq!(
        again.delete_topics(vec![first, TopicId([9; 16])]).await.unwrap(),
        [Ok(()), Err(TopicFault::UnknownId)]
    );
    assert!(again.image().topic("orders").is_none());
    let made = again.create_topics(vec![new("orders", 1)], false).await.unwrap();
    assert_ne!(made[0].as_ref().unwrap().id, first);
    let heard = world.host.heard.lock().clone();
    assert_eq!(heard, ["orders +3", "orders +2", "orders +0", "orders +0", "orders removed", "orders +1"]);
}

#[tokio::test(start_paused = true)]
async fn validation_makes_nothing() {
    let world = World::new();
    let controller = world.open().await;
    let made = controller.create_topics(vec![new("orders", 3)], true).await.unwrap();
    assert!(made[0].is_ok());
    assert_eq!(controller.image().topic_count(), 0);
    assert!(world.host.heard.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn producer_ids_are_never_given_twice_across_restarts() {
    let world = World::new();
    let controller = world.open().await;
    let mut given = Vec::new();
    for _ in 0..3 {
        given.push(controller.next_producer_id().await.unwrap());
    }
    let again = world.open().await;
    given.push(again.next_producer_id().await.unwrap());
    assert_eq!(given, [0, 1, 2, 1000].map(ProducerId));
}

#[tokio::test(start_paused = true)]
async fn a_failed_commit_ends_the_controller_and_tells_nobody() {
    let world = World::new();
    let controller = world.open().await;
    world.meta.fail_after(0);
    let failed = controller.create_topics(vec![new("orders", 3)], false).await;
    assert!(matches!(failed, Err(ControllerError::Unavailable(_))));
    world.meta.heal();
    let after = controller.create_topics(vec![new("orders", 3)], false).await;
    assert!(matches!(after, Err(ControllerError::Unavailable(_))));
    assert_eq!(controller.image().topic_count(), 0);
    assert!(world.host.heard.lock().is_empty());
    world.tasks.failed().await;
    assert!(world.tasks.failure().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_told_and_ends_nothing() {
    let world = World::new();
    let controller = world.open().await;
    world.meta.fill();
    let refused = controller.create_topics(vec![new("orders", 3)], false).await;
    assert!(matches!(refused, Err(ControllerError::NoSpace(_))));
    assert!(matches!(controller.next_producer_id().await, Err(ControllerError::NoSpace(_))));
    assert!(world.host.heard.lock().is_empty() && world.tasks.failure().is_none());
    world.meta.heal();
    assert_eq!(controller.next_producer_id().await.unwrap(), ProducerId(0));
    assert!(controller.create_topics(vec![new("orders", 3)], false).await.unwrap()[0].is_ok());
    assert_eq!(controller.image().topic_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_altered_on_the_broker_reaches_topics_and_survives_a_restart() {
    let world = World::new();
    let controller = world.open().await;
    controller.create_topics(vec![new("orders", 1), new("scans", 1)], false).await.unwrap();
    let own = vec![("retention.ms".to_owned(), Change::Set("7".to_owned()))];
    controller.alter_topic("scans".to_owned(), own, false).await.unwrap();
    let set =
        |key: &str, value: &str| BrokerChange::Some(vec![(key.to_owned(), Change::Set(value.to_owned()))]);
    let all = set("log.retention.ms", "5000");
    controller.alter_broker(Level::AllNodes, all.clone(), true).await.unwrap();
    assert_eq!(controller.image().broker_configs.get("log.retention.ms"), None);
    controller.alter_broker(Level::AllNodes, all, false).await.unwrap();
    controller.alter_broker(Level::AllNodes, set("message.max.bytes", "9000"), false).await.unwrap();
    let settings = |of: &Controller, name: &str| of.image().topic(name).unwrap().settings.clone();
    assert_eq!(settings(&controller, "orders").retention_ms, Some(5000));
    assert_eq!(settings(&controller, "scans").retention_ms, Some(7));
    assert_eq!(settings(&controller, "scans").max_message_bytes, 9000);
    controller.alter_broker(Level::Node, set("log.retention.ms", "6000"), false).await.unwrap();
    let fixed = controller.alter_broker(Level::Node, set("node.id", "2"), false).await;
    assert!(matches!(fixed, Err(ControllerError::Fault(TopicFault::InvalidRequest(_)))));

    let again = world.open().await;
    assert_eq!(settings(&again, "orders").retention_ms, Some(6000));
    let unset = BrokerChange::Some(vec![("log.retention.ms".to_owned(), Change::Delete)]);
    again.alter_broker(Level::Node, unset, false).await.unwrap();
    assert_eq!(settings(&again, "orders").retention_ms, Some(5000));
    again.alter_broker(Level::AllNodes, BrokerChange::All(Vec::new()), false).await.unwrap();
    assert_eq!(settings(&again, "orders").retention_ms, Some(604_800_000));
    // The host hears of each topic whose settings changed.
    assert_eq!(world.host.heard.lock().last().unwrap(), "scans +0");
}
