use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use waybill_coordinator::answer::{CommitAnswer, Refusal};
use waybill_coordinator::request::{CommitPartition, CommitRequest, CommitTopic, JoinRequest, Protocol};
use waybill_coordinator::{Coordinator, GroupConfig, Now, Parked, Step};
use waybill_rt::clock::VirtualClock;
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use super::desk::{Desk, Moved};
use super::log::{Durable, GroupLog, LogFault};
use super::owner::owner;

/// A log that makes batches durable when it is told to.
#[derive(Clone, Default)]
struct SlowLog(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    durable: Vec<Bytes>,
    waiting: VecDeque<(Bytes, oneshot::Sender<Result<(), LogFault>>)>,
    loads: usize,
}

impl SlowLog {
    fn settle_one(&self, outcome: Result<(), LogFault>) {
        let mut inner = self.0.lock();
        let (batch, ack) = inner.waiting.pop_front().expect("something waits");
        if outcome.is_ok() {
            inner.durable.push(batch);
        }
        ack.send(outcome).expect("the owner waits");
    }

    fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }
}

impl GroupLog for SlowLog {
    fn load<'a>(
        &'a self,
        each: &'a mut (dyn FnMut(Bytes) -> Result<(), LogFault> + Send),
    ) -> BoxFuture<'a, Result<(), LogFault>> {
        Box::pin(async move {
            let durable = {
                let mut inner = self.0.lock();
                inner.loads += 1;
                assert!(inner.waiting.is_empty(), "a load must see everything that will be durable");
                inner.durable.clone()
            };
            durable.into_iter().try_for_each(each)
        })
    }

    fn append(&self, batch: Bytes) -> BoxFuture<'_, Result<Durable, LogFault>> {
        let (ack, acked) = oneshot::channel();
        self.0.lock().waiting.push_back((batch, ack));
        let durable: Durable = Box::pin(async move { acked.await.unwrap_or(Err(LogFault::Gone)) });
        Box::pin(std::future::ready(Ok(durable)))
    }
}

fn start(log: &SlowLog) -> (Desk, CancellationToken) {
    let stop = CancellationToken::new();
    let clock = VirtualClock::shared(TimestampMs(1_700_000_000_000));
    let (desk, task) = owner(0, Arc::new(GroupConfig::default()), log.clone(), clock, stop.clone());
    tokio::spawn(task);
    (desk, stop)
}

fn commit(offset: i64) -> impl FnOnce(&mut Coordinator, Now) -> (Result<CommitAnswer, Refusal>, Step) {
    move |coordinator, now| {
        let partition = CommitPartition {
            partition: PartitionId(0),
            offset: Offset(offset),
            leader_epoch: -1,
            metadata: None,
        };
        let topic =
            CommitTopic { topic_id: TopicId::ZERO, topic: "t".to_owned(), partitions: vec![partition] };
        let request = CommitRequest {
            group_id: "g".to_owned(),
            generation: -1,
            member_id: String::new(),
            instance_id: None,
            retention: None,
            knows_group_id_not_found: true,
            topics: vec![topic],
        };
        coordinator.commit(now, request)
    }
}

fn committed(coordinator: &mut Coordinator, _: Now) -> (i64, Step) {
    let offset = coordinator.offset("g", "t", PartitionId(0)).map_or(-1, |value| value.offset.0);
    (offset, Step::default())
}

fn join(coordinator: &mut Coordinator, now: Now, to: waybill_coordinator::RequestId) -> Step {
    let request = JoinRequest {
        group_id: "h".to_owned(),
        member_id: String::new(),
        instance_id: Some("static".to_owned()),
        client_id: "c".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(60),
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol { name: "range".to_owned(), metadata: Bytes::new() }],
        knows_member_id_required: true,
        knows_skip_assignment: true,
        entropy: [7; 16],
    };
    coordinator.join(now, request, to)
}

/// Lets the owner do what it can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_what_is_not_durable() {
    let log = SlowLog::default();
    let (desk, _stop) = start(&log);
    let mut first = Box::pin(desk.ask(commit(5)));
    assert!((&mut first).now_or_never().is_none());
    settle().await;
    // A read sees the commit in memory, and waits as long as the commit does.
    let mut read = Box::pin(desk.ask(committed));
    assert!((&mut read).now_or_never().is_none());
    settle().await;
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut read).now_or_never().is_none());
    log.settle_one(Ok(()));
    assert!(first.await.unwrap().is_ok());
    assert_eq!(read.await, Ok(5));
    // With nothing under way, a read is answered at once.
    assert_eq!(desk.ask(committed).await, Ok(5));
}

#[tokio::test(start_paused = true)]
async fn what_waits_together_is_appended_together() {
    let log = SlowLog::default();
    let (desk, _stop) = start(&log);
    let mut asked: Vec<_> = (0..100).map(|offset| Box::pin(desk.ask(commit(offset)))).collect();
    for one in &mut asked {
        assert!(one.now_or_never().is_none());
    }
    settle().await;
    assert_eq!(log.waiting(), 1);
    log.settle_one(Ok(()));
    for one in asked {
        assert!(one.await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_append_gives_the_partition_up_and_loads_it_again() {
    let log = SlowLog::default();
    let (desk, _stop) = start(&log);
    let kept = tokio::spawn({
        let desk = desk.clone();
        async move { desk.ask(commit(5)).await.map(|told| told.is_ok()) }
    });
    settle().await;
    log.settle_one(Ok(()));
    assert_eq!(kept.await.unwrap(), Ok(true));

    let parked = tokio::spawn({
        let desk = desk.clone();
        async move { desk.park(join).await }
    });
    settle().await;
    log.settle_one(Ok(()));
    settle().await;
    let lost = tokio::spawn({
        let desk = desk.clone();
        async move { desk.ask(commit(6)).await.map(|_| ()) }
    });
    settle().await;
    log.settle_one(Err(LogFault::Failed("no space".to_owned())));
    assert_eq!(lost.await.unwrap(), Err(Moved));
    match parked.await.unwrap() {
        Ok(Parked::Join(answer)) => assert_eq!(answer.error, Some(Refusal::NotCoordinator)),
        other => panic!("{other:?}"),
    }
    // The owner serves again, from what is durable.
    assert_eq!(desk.ask(committed).await, Ok(5));
    assert_eq!(log.0.lock().loads, 2);
}

#[tokio::test(start_paused = true)]
async fn timers_fire_and_a_restart_knows_the_group() {
    let log = SlowLog::default();
    let (desk, stop) = start(&log);
    let parked = tokio::spawn({
        let desk = desk.clone();
        async move { desk.park(join).await }
    });
    settle().await;
    log.settle_one(Ok(()));
    tokio::time::sleep(Duration::from_secs(4)).await;
    match parked.await.unwrap() {
        Ok(Parked::Join(answer)) => assert_eq!((answer.error, answer.generation), (None, 1)),
        other => panic!("{other:?}"),
    }
    stop.cancel();
    settle().await;
    assert_eq!(desk.ask(committed).await, Err(Moved));

    let (desk, _stop) = start(&log);
    let state =
        desk.ask(|coordinator: &mut Coordinator, _| (coordinator.group_count(), Step::default())).await;
    assert_eq!(state, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_gone_ends_its_owner() {
    let log = SlowLog::default();
    let (desk, _stop) = start(&log);
    let asked = tokio::spawn({
        let desk = desk.clone();
        async move { desk.ask(commit(1)).await.map(|_| ()) }
    });
    settle().await;
    log.settle_one(Err(LogFault::Gone));
    assert_eq!(asked.await.unwrap(), Err(Moved));
    settle().await;
    assert!(desk.is_closed());
}
