//! Stores and the object WAL against a real S3 server. Skipped where there is none (see [`server`]).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what a test run shows")]

mod server;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use server::Seaweed;
use waybill_rt::{RealClock, RealDisk, RealEntropy, Running, SharedClock};
use waybill_store::conforms::conforms;
use waybill_store::{
    FolderSeams, Limits, Measured, Operation, Purpose, SharedStore, Sharing, StoreError, StoreMetrics,
    connect, probe,
};
use waybill_types::{BrokerId, Incarnation, Offset, PartitionId, StoreId, TopicId, TopicPartition};
use waybill_wal::chain::names::ChainId;
use waybill_wal::chain::open::open_chain;
use waybill_wal::chain::options::ChainOptions;
use waybill_wal::chain::recovery::ChainReader;
use waybill_wal::chain::sealer::{SealJob, seal};
use waybill_wal::chain::slot::SealRecord;
use waybill_wal::chain::wal::ChainWal;
use waybill_wal::chain::writer::Ending;
use waybill_wal::{DurableFrame, Frame, FrameHeader, Wal, WalError, WalPosition, WalSink};

fn open(url: &str, variables: &[(String, String)]) -> Measured {
    let seams = FolderSeams {
        disk: RealDisk::shared(),
        entropy: RealEntropy::shared(),
        running: Running::Blocking,
        sharing: Sharing::Alone,
    };
    let store = connect(&url.parse().unwrap(), &variables.to_vec(), &seams).unwrap();
    Measured::new(
        store,
        RealClock::shared(),
        RealEntropy::shared(),
        Limits::default(),
        StoreMetrics::default(),
    )
}

/// One server for all: it takes seconds to start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_s3_server() {
    let Some(server) = Seaweed::start() else {
        println!("skipped: no SeaweedFS here (WAYBILL_WEED, or weed on the path)");
        return;
    };
    let variables = server.variables("owner", "secret");
    let measured = open("s3://box/one", &variables);
    let store = measured.for_purpose(Purpose::Other);
    await_ready(&store).await;
    conforms(&*open("s3://box/two", &variables).for_purpose(Purpose::Other)).await;
    probe(&*store, &*RealClock::shared(), &*RealEntropy::shared()).await.unwrap();
    probe(&*store, &*RealClock::shared(), &*RealEntropy::shared()).await.unwrap();
    refusals(&server).await;
    chain(&measured).await;
}

/// The port listens before the server can write.
async fn await_ready(store: &SharedStore) {
    for _ in 0..200 {
        match store.put("control/ready", vec![bytes::Bytes::from_static(b"x")]).await {
            Ok(()) | Err(StoreError::Exists(_)) => return,
            Err(error) => println!("waiting: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the server is not ready");
}

async fn refusals(server: &Seaweed) {
    let why = |key: &'static str, secret: &'static str, url: &'static str| async move {
        let store = open(url, &server.variables(key, secret)).for_purpose(Purpose::Other);
        probe(&*store, &*RealClock::shared(), &*RealEntropy::shared()).await.unwrap_err().to_string()
    };
    let wrong = why("owner", "wrong", "s3://box/three").await;
    assert!(wrong.contains("refuses access") && wrong.contains("credentials"), "{wrong}");
    let unknown = why("nobody", "secret", "s3://box/three").await;
    assert!(unknown.contains("refuses access"), "{unknown}");
    let blind = why("blind", "secret", "s3://box/three").await;
    println!("without the right to list: {blind}");
    assert!(blind.contains("s3:ListBucket") || blind.contains("may list"), "{blind}");
}

#[derive(Default)]
struct Sink {
    acked: Mutex<Vec<(DurableFrame, Duration)>>,
    clock: Mutex<Option<SharedClock>>,
}

impl WalSink for Sink {
    fn durable(&self, frames: Vec<DurableFrame>) {
        let now = self.clock.lock().as_ref().unwrap().monotonic();
        self.acked.lock().extend(frames.into_iter().map(|frame| (frame, now)));
    }

    fn poisoned(&self, _: &WalError) {}
}

fn frame(offset: i64) -> Frame {
    let mut header = FrameHeader::plain(TopicPartition::new(TopicId([1; 16]), PartitionId(0)));
    (header.base_offset, header.last_offset) = (Offset(offset), Offset(offset));
    Frame { header, records: vec![offset as u8; 1_000].into() }
}

/// Writes a chain, ends it from elsewhere while it is written, and reads back what was acked.
async fn chain(measured: &Measured) {
    let (store, clock, entropy) =
        (measured.for_purpose(Purpose::Wal), RealClock::shared(), RealEntropy::shared());
    let chain = ChainId { broker: BrokerId(1), incarnation: Incarnation(entropy.next_u64() >> 1) };
    let (id, options) = (StoreId([8; 16]), ChainOptions::default());
    let opened = open_chain(&*store, id, chain, WalPosition(0), options, &*clock, &*entropy).await.unwrap();
    let sink = Arc::new(Sink { clock: Mutex::new(Some(Arc::clone(&clock))), ..Sink::default() });
    let heard = Arc::clone(&sink) as Arc<dyn WalSink>;
    let wal = ChainWal::start(Arc::clone(&store), opened, Arc::clone(&clock), Arc::clone(&entropy), heard);
    let mut sent = Vec::new();
    for offset in 0..300 {
        sent.push(clock.monotonic());
        append(&wal, offset).await.unwrap();
        clock.sleep(Duration::from_millis(5)).await;
    }
    let job = SealJob {
        store: measured.for_purpose(Purpose::Recovery),
        id,
        chain,
        trim: 1,
        record: SealRecord { term: 1, ..SealRecord::default() },
        options,
        clock: Arc::clone(&clock),
        entropy,
    };
    let began = clock.monotonic();
    let sealed = seal(job.clone(), |_, _| {}).await.unwrap();
    println!("SeaweedFS: sealed after {:?}", clock.monotonic() - began);
    // The writer runs into a seal.
    let mut offset = 300;
    while wal.ending().is_none() && offset < 1_000 {
        drop(append(&wal, offset).await);
        offset += 1;
        clock.sleep(Duration::from_millis(10)).await;
    }
    assert!(matches!(wal.ending(), Some(Ending::Sealed(_))), "{:?}", wal.ending());
    let mut reader = ChainReader::new(job, sealed.end);
    let mut read = Vec::new();
    while let Some(frames) = reader.next_frames().await.unwrap() {
        read.extend(frames.into_iter().map(|frame| (frame.position, frame.frame.header.base_offset)));
    }
    let acked = sink.acked.lock();
    let positions: Vec<_> =
        acked.iter().map(|(frame, _)| (frame.position, frame.frame.header.base_offset)).collect();
    assert!(positions.len() >= 200, "{}", positions.len());
    assert_eq!(read[..positions.len()], positions[..], "what was acked is there");
    let mut waits: Vec<Duration> = acked.iter().zip(&sent).map(|((_, at), sent)| *at - *sent).collect();
    waits.sort_unstable();
    let metrics = measured.metrics();
    println!(
        "SeaweedFS: ack p50 {:?}, p99 {:?}, {} creates, {} read-backs",
        waits[waits.len() / 2],
        waits[waits.len() * 99 / 100],
        metrics.requests(Operation::Put, Purpose::Wal),
        metrics.requests(Operation::Get, Purpose::Wal),
    );
}

async fn append(wal: &ChainWal, offset: i64) -> Result<(), WalError> {
    let permit = wal.reserve(1_000).await?;
    wal.append(vec![frame(offset)], permit)
}
