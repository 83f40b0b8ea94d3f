use std::time::Duration;

use waybill_rt::{RealClock, SeededEntropy, VirtualClock};
use waybill_store::{MemoryStore, ObjectStore};
use waybill_types::{
    BrokerId, Incarnation, Offset, PartitionId, StoreId, TimestampMs, TopicId, TopicPartition,
};

use super::*;
use crate::api::DurableFrame;
use crate::chain::names::ChainId;
use crate::chain::open::{OpenChainError, STORE_ID, open_chain, wal_store_id};
use crate::chain::recovery::{ChainReader, next_start};
use crate::chain::sealer::{Passed, SealJob, seal};
use crate::chain::slot::{SealRecord, encode_seal};
use crate::frame::FrameHeader;

const STORE: StoreId = StoreId([4; 16]);
const CHAIN: ChainId = ChainId { broker: BrokerId(1), incarnation: Incarnation(5) };

#[derive(Default)]
struct Heard {
    frames: Mutex<Vec<DurableFrame>>,
    poisoned: Mutex<Option<String>>,
}

impl WalSink for Heard {
    fn durable(&self, frames: Vec<DurableFrame>) {
        self.frames.lock().extend(frames);
    }

    fn poisoned(&self, why: &WalError) {
        assert!(self.poisoned.lock().replace(why.to_string()).is_none(), "told twice");
    }
}

fn frame(offset: i64, length: usize) -> Frame {
    let partition = TopicPartition::new(TopicId([5; 16]), PartitionId(0));
    let mut header = FrameHeader::plain(partition);
    (header.base_offset, header.last_offset) = (Offset(offset), Offset(offset));
    Frame { header, records: Bytes::from(vec![offset as u8; length]) }
}

struct World {
    store: MemoryStore,
    clock: SharedClock,
    entropy: SharedEntropy,
    heard: Arc<Heard>,
}

impl World {
    fn new() -> Self {
        let clock = VirtualClock::shared(TimestampMs(0));
        Self {
            store: MemoryStore::default(),
            clock,
            entropy: SeededEntropy::shared(1),
            heard: Arc::default(),
        }
    }

    async fn open(&self) -> Result<OpenedChain, OpenChainError> {
        let options = ChainOptions::default();
        let start = WalPosition(1000);
        open_chain(&self.store, STORE, CHAIN, start, options, &*self.clock, &*self.entropy).await
    }

    async fn start(&self) -> Arc<ChainWal> {
        let opened = self.open().await.unwrap();
        let store = Arc::new(self.store.clone());
        let (clock, entropy) = (Arc::clone(&self.clock), Arc::clone(&self.entropy));
        ChainWal::start(store, opened, clock, entropy, Arc::clone(&self.heard) as Arc<dyn WalSink>)
    }

    fn job(&self) -> SealJob {
        SealJob {
            store: Arc::new(self.store.clone()),
            id: STORE,
            chain: CHAIN,
            trim: 1,
            record: SealRecord::default(),
            options: ChainOptions::default(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
        }
    }
}

async fn append(wal: &ChainWal, offset: i64, length: usize) {
    let permit = wal.reserve(length).await.unwrap();
    wal.append(vec![frame(offset, length)], permit).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_appended_is_durable_and_read_back() {
    let world = World::new();
    let wal = world.start().await;
    for offset in 0..50 {
        append(&wal, offset, 10 + offset as usize).await;
        world.clock.sleep(Duration::from_millis(7)).await;
    }
    wal.close().await.unwrap();
    let frames = std::mem::take(&mut *world.heard.frames.lock());
    let offsets: Vec<i64> = frames.iter().map(|frame| frame.frame.header.base_offset.get()).collect();
    assert_eq!(offsets, (0..50).collect::<Vec<_>>());
    for frame in &frames {
        let length = frame.frame.records.len();
        assert_eq!(wal.read(frame.position, length).await.unwrap(), frame.frame.records);
        assert!(matches!(wal.read(frame.position, length + 1).await, Err(WalError::Corrupt { .. })));
    }
    assert!(matches!(wal.reserve(1).await, Err(WalError::Closed)));
    // Group commit: far fewer objects than batches, at the pace of 12 a second.
    let objects = wal.metrics().objects.get();
    assert!((4..=12).contains(&objects), "{objects} objects in 0.35 s");

    // Segments are made of what was rolled; a trim forgets whole objects.
    assert_eq!(wal.slot_from(wal.durable_end()), None);
    let (first, last) = (frames[0].position, frames[49].position);
    assert_eq!(wal.slot_from(first), Some(1));
    let (slot, _) = wal.place_of(last).unwrap();
    wal.trim(last);
    assert_eq!(wal.slot_from(first), Some(slot));
    assert!(matches!(wal.read(first, 10).await, Err(WalError::Trimmed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_object_is_told_and_not_served() {
    let world = World::new();
    let wal = world.start().await;
    append(&wal, 0, 100).await;
    wal.close().await.unwrap();
    let position = world.heard.frames.lock()[0].position;
    let (slot, at) = wal.place_of(position).unwrap();
    world.store.tamper(&CHAIN.slot(slot), |bytes| bytes[at as usize + 50] ^= 1);
    assert!(matches!(wal.read(position, 100).await, Err(WalError::Corrupt { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_chain_ends_at_its_seal_and_its_writer_is_fenced() {
    let world = World::new();
    let wal = world.start().await;
    for offset in 0..5 {
        append(&wal, offset, 30).await;
        world.clock.sleep(Duration::from_millis(300)).await;
    }
    let mut passed = Vec::new();
    let sealed = seal(world.job(), |slot, what| match what {
        Passed::Data(_, entries) => {
            passed.extend(entries.iter().map(|entry| (slot, entry.header.base_offset.get())))
        }
        Passed::Damaged(fault) => panic!("{fault}"),
    });
    let sealed = sealed.await.unwrap();
    assert_eq!(passed, (0..5).map(|at| (at as u64 + 1, at)).collect::<Vec<_>>());
    assert_eq!((sealed.end, sealed.open.1.depth), (6, 16));
    append(&wal, 5, 30).await;
    world.clock.sleep(Duration::from_secs(1)).await;
    let poisoned = world.heard.poisoned.lock().clone().unwrap();
    assert!(poisoned.contains("00006 holds a seal"), "{poisoned}");
    assert_eq!(wal.ending(), Some(Ending::Sealed(6)));
    assert!(matches!(wal.reserve(1).await, Err(WalError::Poisoned(_))));
    assert!(wal.close().await.is_err());
    assert_eq!(world.heard.frames.lock().len(), 5);

    // Sealing again finds the same end, and the batches are read from the store.
    let again = seal(world.job(), |_, _| {}).await.unwrap();
    assert_eq!(again.end, 6);
    let mut reader = ChainReader::new(world.job(), again.end);
    let mut offsets = Vec::new();
    while let Some(frames) = reader.next_frames().await.unwrap() {
        offsets.extend(frames.iter().map(|frame| (frame.position, frame.frame.header.base_offset.get())));
    }
    let acked: Vec<_> =
        world.heard.frames.lock().iter().map(|f| (f.position, f.frame.header.base_offset.get())).collect();
    assert_eq!(offsets, acked);
    assert!(next_start(&again) > wal.durable_end());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_down_poisons_the_chain() {
    let world = World::new();
    let wal = world.start().await;
    append(&wal, 0, 30).await;
    world.clock.sleep(Duration::from_secs(1)).await;
    world.store.fail_puts(u32::MAX);
    append(&wal, 1, 30).await;
    world.clock.sleep(Duration::from_secs(19)).await;
    assert!(world.heard.poisoned.lock().is_none());
    world.clock.sleep(Duration::from_secs(2)).await;
    let poisoned = world.heard.poisoned.lock().clone().unwrap();
    assert!(poisoned.contains("not durable after 20 s"), "{poisoned}");
    assert_eq!(wal.ending(), Some(Ending::Expired(2)));
    assert_eq!(wal.queue().used(), 0, "what waited is given up");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_comes_back_loses_nothing() {
    let world = World::new();
    let wal = world.start().await;
    world.store.fail_puts(7);
    append(&wal, 0, 30).await;
    world.clock.sleep(Duration::from_secs(5)).await;
    assert_eq!(world.heard.frames.lock().len(), 1);
    assert!(world.heard.poisoned.lock().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_slot_with_other_bytes_is_an_alarm() {
    let world = World::new();
    let wal = world.start().await;
    append(&wal, 0, 30).await;
    world.clock.sleep(Duration::from_secs(1)).await;
    let bytes = world.store.get(&CHAIN.slot(1), 0..1000).await.unwrap();
    // The same writer's header under the next name.
    world.store.put(&CHAIN.slot(2), vec![bytes]).await.unwrap();
    append(&wal, 1, 30).await;
    world.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(wal.ending(), Some(Ending::Alarm(2)));
    drop(wal);
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_opened_once_and_only_what_is_open_is_sealed() {
    let world = World::new();
    let refused = seal(world.job(), |_, _| {}).await.unwrap_err().to_string();
    assert!(refused.contains("open record is absent"), "{refused}");
    assert!(world.store.list("").await.unwrap().is_empty(), "nothing was sealed");
    world.store.fail_puts(2);
    world.open().await.unwrap();
    assert!(matches!(world.open().await, Err(OpenChainError::Taken(_))));
    let mut other = world.job();
    other.id = StoreId([5; 16]);
    let refused = seal(other, |_, _| {}).await.unwrap_err().to_string();
    assert!(refused.contains("another chain's or store's"), "{refused}");
    assert_eq!(world.store.list("").await.unwrap().len(), 1);
    world.store.fail_puts(u32::MAX);
    let elsewhere = ChainId { broker: BrokerId(2), ..CHAIN };
    let options = ChainOptions::default();
    let down =
        open_chain(&world.store, STORE, elsewhere, WalPosition(0), options, &*world.clock, &*world.entropy);
    assert!(matches!(down.await, Err(OpenChainError::Unavailable { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_full_chain_holds_producers() {
    let world = World::new();
    let mut opened = world.open().await.unwrap();
    opened.options.slots = 3;
    let (store, clock) = (Arc::new(world.store.clone()), Arc::clone(&world.clock));
    let sink = Arc::clone(&world.heard) as Arc<dyn WalSink>;
    let wal = ChainWal::start(store, opened, clock, Arc::clone(&world.entropy), sink);
    for offset in 0..4 {
        append(&wal, offset, 30).await;
        world.clock.sleep(Duration::from_secs(1)).await;
    }
    assert!(wal.is_full());
    assert_eq!(world.heard.frames.lock().len(), 2);
    assert!(world.heard.poisoned.lock().is_none());
    // At a stop they are told.
    assert!(wal.close().await.is_err());
    assert!(world.heard.poisoned.lock().clone().unwrap().contains("full"));
}

#[tokio::test(start_paused = true)]
async fn many_small_batches_do_not_make_a_huge_object() {
    let world = World::new();
    let mut opened = world.open().await.unwrap();
    opened.options.pace.full_bytes = 10_000;
    let (store, clock) = (Arc::new(world.store.clone()), Arc::clone(&world.clock));
    let sink = Arc::clone(&world.heard) as Arc<dyn WalSink>;
    let wal = ChainWal::start(store, opened, clock, Arc::clone(&world.entropy), sink);
    let permit = wal.reserve(1_000).await.unwrap();
    wal.append((0..1_000).map(|offset| frame(offset, 1)).collect(), permit).unwrap();
    wal.close().await.unwrap();
    assert_eq!(world.heard.frames.lock().len(), 1_000);
    for name in world.store.list("wal/").await.unwrap() {
        assert!(world.store.len(&name).await.unwrap() <= 10_000 + 96, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_gets_its_id_once() {
    let world = World::new();
    world.store.fail_puts(2);
    let first = wal_store_id(&world.store, &*world.clock, &*world.entropy).await.unwrap();
    assert_eq!(wal_store_id(&world.store, &*world.clock, &*world.entropy).await.unwrap(), first);
    assert_ne!(wal_store_id(&MemoryStore::default(), &*world.clock, &*world.entropy).await.unwrap(), first);
    world.store.tamper(STORE_ID, |bytes| bytes[10] ^= 1);
    let damaged = wal_store_id(&world.store, &*world.clock, &*world.entropy).await.unwrap_err();
    assert!(damaged.to_string().contains("wal/id is damaged"), "{damaged}");
}

#[tokio::test]
async fn frames_that_no_object_can_hold_are_refused() {
    let world = World { clock: RealClock::shared(), ..World::new() };
    let wal = world.start().await;
    let length = wal.max_frame() + 1;
    let permit = WalPermit::new(length, None);
    assert!(matches!(wal.append(vec![frame(0, length)], permit), Err(WalError::TooLarge { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_seal_is_no_seal_of_this_chain() {
    let world = World::new();
    world.open().await.unwrap();
    let chain = ChainId { broker: BrokerId(9), ..CHAIN };
    let identity = Identity { store: STORE, chain, writer: 1 };
    let foreign = encode_seal(identity, 1, SealRecord::default()).unwrap();
    world.store.put(&CHAIN.slot(1), foreign.parts).await.unwrap();
    let sealed = seal(world.job(), |_, _| {}).await.unwrap();
    assert_eq!((sealed.end, sealed.damaged), (2, vec![1]), "it is data that can not be read");
}
