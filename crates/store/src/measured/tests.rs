use std::collections::VecDeque;

use waybill_rt::{SeededEntropy, VirtualClock};
use waybill_types::TimestampMs;

use super::*;
use crate::MemoryStore;

/// Answers reads after delays and with errors that are told in advance; everything else as a store in memory.
struct Scripted {
    store: MemoryStore,
    clock: SharedClock,
    reads: Mutex<VecDeque<(u64, bool)>>,
    put_delay: Duration,
}

impl ObjectStore for Scripted {
    fn put(&self, name: &str, parts: Vec<Bytes>) -> BoxFuture<'_, Result<(), StoreError>> {
        let (put, sleep) = (self.store.put(name, parts), self.clock.sleep(self.put_delay));
        async move {
            sleep.await;
            put.await
        }
        .boxed()
    }

    fn get(&self, name: &str, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, StoreError>> {
        let (delay, fails) = self.reads.lock().pop_front().unwrap_or((10, false));
        let (read, sleep) = (self.store.get(name, range), self.clock.sleep(Duration::from_millis(delay)));
        async move {
            sleep.await;
            let read = read.await;
            if fails { Err(StoreError::Busy { name: "x".into(), why: "503".into() }) } else { read }
        }
        .boxed()
    }

    fn len(&self, name: &str) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.len(name)
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.delete(name)
    }

    fn list(&self, prefix: &str) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        self.store.list(prefix)
    }
}

struct World {
    clock: SharedClock,
    scripted: Arc<Scripted>,
    measured: Measured,
    store: SharedStore,
}

fn world(put_delay: Duration) -> World {
    let clock = VirtualClock::shared(TimestampMs(0));
    let (store, reads) = (MemoryStore::default(), Mutex::default());
    let scripted = Arc::new(Scripted { store, clock: Arc::clone(&clock), reads, put_delay });
    let inner: SharedStore = Arc::clone(&scripted) as SharedStore;
    let (entropy, metrics) = (SeededEntropy::shared(1), StoreMetrics::default());
    let measured = Measured::new(inner, Arc::clone(&clock), entropy, Limits::default(), metrics);
    let store = measured.for_purpose(Purpose::History);
    World { clock, scripted, measured, store }
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_purpose_and_errors_by_kind() {
    let World { measured, store, scripted, .. } = world(Duration::ZERO);
    store.put("a/b", vec![Bytes::from_static(b"hello")]).await.unwrap();
    assert_eq!(store.put("a/b", Vec::new()).await.unwrap_err().kind(), "exists");
    scripted.reads.lock().push_back((1, true));
    assert_eq!(store.get("a/b", 0..4).await.unwrap(), "hell");
    store.list("a/").await.unwrap();
    let metrics = measured.metrics();
    let count = |operation| metrics.requests(operation, Purpose::History);
    assert_eq!((count(Operation::Put), count(Operation::Get), count(Operation::List)), (2, 2, 1));
    assert_eq!(metrics.requests(Operation::Put, Purpose::Wal), 0);
    assert_eq!(metrics.errors(Operation::Put, Purpose::History, "exists"), 1);
    assert_eq!(metrics.errors(Operation::Get, Purpose::History, "busy"), 1);
    assert_eq!(metrics.bytes(Purpose::History), (5, 4));
    assert_eq!(metrics.running.get(), 0);
    let registry = waybill_rt::Metrics::default();
    metrics.register(&registry);
    let text = registry.render();
    assert!(text.contains("waybill_store_requests_total{operation=\"get\",purpose=\"history\"} 2"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_create_is_bounded_and_never_tried_again() {
    let World { clock, measured, store, scripted, .. } = world(Duration::from_secs(3600));
    let error = store.put("a/b", vec![Bytes::from(vec![0; 4 << 20])]).await.unwrap_err();
    assert_eq!(error.kind(), "timeout");
    // 5 s and half a second for each MiB.
    assert_eq!(clock.monotonic().as_secs(), 7);
    assert_eq!(measured.metrics().requests(Operation::Put, Purpose::History), 1);
    drop(scripted);
}

#[tokio::test(start_paused = true)]
async fn reads_are_tried_again_while_there_is_time_but_not_for_absence() {
    let World { clock, measured, store, scripted, .. } = world(Duration::ZERO);
    assert_eq!(store.get("a/b", 0..4).await.unwrap_err().kind(), "not_found");
    assert_eq!(measured.metrics().requests(Operation::Get, Purpose::History), 1);
    scripted.reads.lock().extend(std::iter::repeat_n((1, true), 1000));
    assert_eq!(store.get("a/b", 0..4).await.unwrap_err().kind(), "busy");
    assert!((23..=25).contains(&clock.monotonic().as_secs()), "{:?}", clock.monotonic());
}

#[tokio::test(start_paused = true)]
async fn slow_reads_are_hedged_within_their_share() {
    let World { clock, measured, store, scripted, .. } = world(Duration::ZERO);
    store.put("a/b", vec![Bytes::from_static(b"hello")]).await.unwrap();
    for _ in 0..100 {
        store.get("a/b", 0..4).await.unwrap();
    }
    scripted.reads.lock().push_back((4_000, false));
    let before = clock.monotonic();
    assert_eq!(store.get("a/b", 0..4).await.unwrap(), "hell");
    assert!(clock.monotonic() - before < Duration::from_millis(100));
    // If everything is slow, hedging stops: the store is to be left alone.
    let hedges = measured.metrics().hedges.get();
    for _ in 0..200 {
        scripted.reads.lock().extend([(2_000, false), (2_000, false)]);
        store.get("a/b", 0..4).await.unwrap();
        scripted.reads.lock().clear();
    }
    assert!(measured.metrics().hedges.get() - hedges <= 20, "{}", measured.metrics().hedges.get());
}
