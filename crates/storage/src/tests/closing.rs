//! A stop in order over the real ring: the next start finds its mark, and the ring says nothing against it.

use std::sync::Arc;
use std::time::Duration;

use waybill_meta::{MetaStore, NodeRecord, Record, WalTrimRecord, keys};
use waybill_rt::{Metrics, RealClock, RealDisk, SeededEntropy, Supervisor};
use waybill_types::{Incarnation, StoreId};
use waybill_wal::{FileWalOptions, Registered, Ring, RingOptions, WalPosition};

use crate::testing::world::{World, append, read_all};
use crate::testing::{TOPIC, partition, prepared};
use crate::{EngineDeps, FileWalDriver, LogEngine};

/// After so long without frames the last group is covered by an empty one.
const IDLE: Duration = Duration::from_millis(1);

const RING: RingOptions = RingOptions { files: 4, file_size: 1 << 20, sabotage: waybill_wal::Sabotage::None };

async fn open(world: &mut World, dir: &std::path::Path) -> Arc<LogEngine> {
    world.supervisor = Supervisor::default();
    world.clock = RealClock::shared();
    let options = FileWalOptions { zero_step: 64 << 10, free_min: 0, ..FileWalOptions::default() };
    let wal = FileWalDriver {
        disk: RealDisk::shared(),
        dir: dir.to_owned(),
        ring: RING,
        options: FileWalOptions { frame_headroom: 64 << 10, idle: IDLE, ..options },
        clock: Arc::clone(&world.clock),
        metrics: Metrics::default(),
        pid: std::process::id(),
    };
    let deps = EngineDeps {
        clock: Arc::clone(&world.clock),
        entropy: Arc::new(SeededEntropy::new(1)),
        meta: Arc::new(world.meta.clone()),
        store: Arc::new(world.store.clone()),
        wal: Arc::new(wal),
        metrics: Metrics::default(),
        supervisor: world.supervisor.clone(),
    };
    LogEngine::open(world.options.clone(), deps).await.unwrap()
}

async fn stop(world: &World, engine: Arc<LogEngine>) {
    engine.close().await.unwrap();
    world.supervisor.shutdown().await.unwrap();
    drop(engine);
}

/// What the metadata says: who wrote last, from where on, and up to where if it stopped in order.
async fn registered(world: &World) -> (StoreId, Registered, Option<WalPosition>) {
    let node = world.meta.get(&keys::node(world.options.node)).await.unwrap().unwrap();
    let node = NodeRecord::decode(&node).unwrap();
    let trim = world.meta.get(&keys::wal_trim(world.options.node)).await.unwrap().unwrap();
    let trim = WalTrimRecord::decode(&trim).unwrap();
    let registered = Registered { incarnation: node.incarnation, trim: WalPosition(trim.position) };
    (node.wal_store, registered, trim.closed_at.map(WalPosition))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_after_a_stop_in_order_needs_not_look_through_the_ring() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::automatic();
    let mut expected = Vec::new();
    for start in 1..5 {
        let engine = open(&mut world, folder.path()).await;
        if start == 1 {
            world.create_topic(&engine, TOPIC, 1).await;
        }
        let (_, running, closed_at) = registered(&world).await;
        assert_eq!((running.incarnation, closed_at), (Incarnation(start), None), "a running one has no mark");
        let log = engine.partition(&partition(0)).unwrap();
        assert_eq!(read_all(&log).await, expected, "start {start}");
        // The third writes nothing.
        for _ in 0..if start == 3 { 0 } else { 5 } {
            let appended = append(&engine, &log, prepared(2, 1, 50)).await;
            expected.push((appended.base_offset.get(), appended.last_offset.get()));
        }
        drop(log);
        if start % 2 == 0 {
            // Most nodes have been idle for a while when they are stopped.
            world.clock.sleep(50 * IDLE).await;
        }
        stop(&world, engine).await;
        let (store, registered, closed_at) = registered(&world).await;
        let ring = Ring::open(RealDisk::shared(), folder.path(), store, RING, 1).unwrap();
        let closed = ring.recover_closed(registered, closed_at.expect("a mark")).unwrap();
        let closed = closed.unwrap_or_else(|| panic!("start {start}: the ring stands against its mark"));
        // Looking at all of it comes to the same, and starts no earlier.
        let whole = ring.recover(registered).unwrap();
        assert!(closed.next_trim >= whole.end && closed.next_trim <= whole.next_trim, "start {start}");
    }
}
