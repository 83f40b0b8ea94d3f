//! Two brokers on one bucket: the first rules, the second waits, and takes over when the first is gone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use waybill_control::terms::campaign::{Campaign, CampaignDeps, Office, Pulse};
use waybill_control::terms::claim::NodeChoice;
use waybill_control::terms::claiming::{self, ClaimError, Claimed, Process};
use waybill_control::terms::creating::ControlStore;
use waybill_control::terms::holder::{claim_name, parse_claim, term_name};
use waybill_control::terms::{Heart, NetPulse, OfficeMeta};
use waybill_meta::{Batch, MetaError, MetaStore, SlateHome, SlateOptions};
use waybill_rt::{RealClock, RealNet, SeededEntropy, SharedClock, SharedNet, Supervisor, VirtualClock};
use waybill_store::{MemoryStore, ObjectStore};
use waybill_types::{BrokerId, Incarnation, TimestampMs};

struct Bucket {
    control: MemoryStore,
    meta: Arc<InMemory>,
}

struct Broker {
    tasks: Supervisor,
    io: ControlStore,
    me: Claimed,
    heart: Heart,
    campaign: Campaign,
}

fn clock() -> SharedClock {
    RealClock::shared()
}

async fn start(bucket: &Bucket, node: NodeChoice, seed: u64) -> Broker {
    let tasks = Supervisor::default();
    let net: SharedNet = Arc::new(RealNet);
    let listener = net.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
    let address = listener.local_addr().expect("it listens").to_string();
    let io = ControlStore::new(Arc::new(bucket.control.clone()), clock(), SeededEntropy::shared(seed));
    let process = Process { host: "here".to_owned(), pid: seed as u32, address };
    let me = claiming::claim(&io, node, &process).await.expect("a store in memory answers");
    let heart = Heart::new(me.holder.incarnation);
    heart.start(listener, clock(), &tasks);
    let home = SlateHome {
        store: bucket.meta.clone(),
        path: "meta".to_owned(),
        options: SlateOptions::default(),
        clock: clock(),
        tasks: tasks.clone(),
    };
    let pulse: Arc<dyn Pulse> = Arc::new(NetPulse::new(net, clock()));
    let deps = CampaignDeps {
        io: io.clone(),
        me: me.clone(),
        home: Arc::new(home),
        pulse,
        heart: heart.clone(),
        standing: Arc::new(|_| {}),
    };
    Broker { tasks, io, me, heart, campaign: Campaign::new(deps) }
}

impl Broker {
    async fn win(&mut self) -> (Office, OfficeMeta) {
        let office = self.campaign.win().await;
        let meta = OfficeMeta::new(&office, &self.tasks);
        (office, meta)
    }
}

fn put(key: &'static str, value: &'static str) -> Batch {
    let mut batch = Batch::default();
    batch.put(key, value);
    batch
}

async fn within<T>(seconds: u64, what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), what).await.expect("in time")
}

fn bucket() -> Bucket {
    Bucket { control: MemoryStore::default(), meta: Arc::new(InMemory::new()) }
}

#[tokio::test]
async fn a_standby_takes_over_when_the_first_is_gone_and_the_first_is_harmless() {
    let bucket = bucket();
    let mut first = start(&bucket, NodeChoice::Auto, 1).await;
    let (office, meta) = within(5, first.win()).await;
    assert_eq!((office.term.term, office.term.node), (1, BrokerId(1)));
    office.meta.start_upkeep();
    meta.commit(put("\x10k", "first")).await.unwrap();

    let mut second = start(&bucket, NodeChoice::Auto, 2).await;
    assert_eq!(second.me.holder.node, BrokerId(2));
    // It waits while the first lives: longer than a session.
    let early = tokio::time::timeout(Duration::from_millis(2500), second.campaign.win()).await;
    assert!(early.is_err());

    // The first falls silent, but goes on believing.
    first.heart.hold(0);
    let (newer, its_meta) = within(8, second.win()).await;
    assert_eq!((newer.term.term, newer.term.node), (2, BrokerId(2)));
    assert_eq!(its_meta.get(b"\x10k").await.unwrap().unwrap(), "first");

    let refused = meta.commit(put("\x10k", "late")).await;
    assert!(matches!(refused, Err(MetaError::Fenced(_))), "{refused:?}");
    meta.over().await;
    assert!(meta.get(b"\x10k").await.is_err());
    assert!(meta.commit(put("\x10k", "later")).await.is_err());
    its_meta.commit(put("\x10j", "second")).await.unwrap();
    assert_eq!(its_meta.get(b"\x10k").await.unwrap().unwrap(), "first");

    // It stands down, and becomes the standby.
    first.campaign.leave(office).await;
    let waits = tokio::time::timeout(Duration::from_millis(1000), first.campaign.win()).await;
    assert!(waits.is_err());
    for name in [term_name(1), term_name(2)] {
        assert!(bucket.control.get(&name, 0..1).await.is_ok(), "terms are never deleted");
    }
    within(10, first.tasks.shutdown()).await.unwrap();
    within(10, second.tasks.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_dead_holder_is_followed_at_once_and_its_node_does_not_wait_at_all() {
    let bucket = bucket();
    let mut first = start(&bucket, NodeChoice::Fixed(BrokerId(7)), 1).await;
    let (_office, meta) = within(5, first.win()).await;
    meta.commit(put("\x10k", "v")).await.unwrap();
    // The process dies: its connections close, nobody listens at its address.
    within(10, first.tasks.shutdown()).await.unwrap();
    let watch = clock();
    let mut second = start(&bucket, NodeChoice::Auto, 2).await;
    let (office, meta) = within(5, second.win()).await;
    println!("a standby took over {:?} after it looked", watch.monotonic());
    assert_eq!(office.term.term, 2);
    assert_eq!(meta.get(b"\x10k").await.unwrap().unwrap(), "v");
    // Started again while the second rules and lives: it is node 7's next incarnation, and no controller.
    let mut again = start(&bucket, NodeChoice::Fixed(BrokerId(7)), 3).await;
    assert_eq!(again.me.holder.incarnation, Incarnation(2));
    assert!(tokio::time::timeout(Duration::from_millis(500), again.win()).await.is_err());
    // The second's node is started again while it is still there: a newer incarnation is reason enough.
    let mut newer = start(&bucket, NodeChoice::Fixed(second.me.holder.node), 4).await;
    let (office, _meta) = within(5, newer.win()).await;
    assert_eq!(office.term.term, 3);
    let superseded = claiming::claim_again(&second.io, &second.me).await;
    let Err(ClaimError::Superseded(other)) = superseded else { panic!("{superseded:?}") };
    assert!(other.to_string().contains("process 4 on here"), "{other}");
    let next = claiming::claim_again(&newer.io, &newer.me).await.unwrap();
    assert_eq!(next.holder.incarnation, Incarnation(3));
    for tasks in [second.tasks, again.tasks, newer.tasks] {
        within(10, tasks.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn processes_that_start_together_claim_different_incarnations() {
    let bucket = bucket();
    let process = |pid| Process { host: "here".to_owned(), pid, address: String::new() };
    for (choice, nodes) in [(NodeChoice::Fixed(BrokerId(3)), 1), (NodeChoice::Auto, 8)] {
        let claims = (0..8).map(|pid| {
            let store = Arc::new(bucket.control.clone());
            let io = ControlStore::new(store, clock(), SeededEntropy::shared(u64::from(pid)));
            let process = process(pid);
            async move { claiming::claim(&io, choice, &process).await.unwrap().holder }
        });
        let mut holders = futures::future::join_all(claims).await;
        holders.sort_by_key(|holder| (holder.node, holder.incarnation));
        holders.dedup_by_key(|holder| (holder.node, holder.incarnation));
        assert_eq!(holders.len(), 8);
        let mut seen: Vec<_> = holders.iter().map(|holder| holder.node).collect();
        seen.dedup();
        assert_eq!(seen.len(), nodes);
        for holder in holders {
            let name = claim_name(holder.node, holder.incarnation);
            assert_eq!(parse_claim(&name), Some((holder.node, holder.incarnation)));
            assert!(bucket.control.get(&name, 0..1).await.is_ok());
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_is_waited_for_and_then_named() {
    let bucket = bucket();
    let io = ControlStore::new(Arc::new(bucket.control.clone()), clock(), SeededEntropy::shared(1));
    bucket.control.fail_puts(3);
    let process = Process { host: "here".to_owned(), pid: 1, address: String::new() };
    let claimed = claiming::claim(&io, NodeChoice::Fixed(BrokerId(1)), &process).await.unwrap();
    assert_eq!(claimed.holder.incarnation, Incarnation(1));
    bucket.control.fail_puts(u32::MAX);
    let hasty = ControlStore { budget: Duration::from_millis(200), ..io };
    let failed = claiming::claim(&hasty, NodeChoice::Fixed(BrokerId(1)), &process).await;
    assert!(matches!(failed, Err(ClaimError::Store(_))), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn who_stood_still_looks_for_a_higher_term_and_who_did_not_asks_nothing() {
    let control = MemoryStore::default();
    let clock: SharedClock = VirtualClock::shared(TimestampMs(0));
    let io = ControlStore::new(Arc::new(control.clone()), Arc::clone(&clock), SeededEntropy::shared(1));
    let seconds = Duration::from_secs;
    control.put(&term_name(5), vec!["another's".into()]).await.unwrap();
    let mut watching = Box::pin(io.overtaken(4));
    assert!(tokio::time::timeout(seconds(60), &mut watching).await.is_err(), "nobody looks without a reason");
    let mut own = Box::pin(io.overtaken(5));
    assert!(tokio::time::timeout(seconds(1), &mut own).await.is_err());
    // As after SIGSTOP: the clock has gone on, and no timer has fired meanwhile.
    tokio::time::advance(seconds(2)).await;
    assert_eq!(tokio::time::timeout(seconds(1), &mut watching).await, Ok(5));
    assert!(tokio::time::timeout(seconds(1), &mut own).await.is_err(), "its own term is not a higher one");
}
