//! One life of one writer: load, index commits.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use waybill_rt::{Entropy, SeededEntropy, SharedClock};
use waybill_store::{Limits, Measured, Purpose, SharedStore, StoreMetrics};
use waybill_testkit::store::{FaultyStore, StoreClient};
use waybill_types::{BrokerId, Incarnation, LeaderEpoch, Offset, StoreId, TopicPartition};
use waybill_wal::chain::names::ChainId;
use waybill_wal::chain::open::open_chain;
use waybill_wal::chain::options::ChainOptions;
use waybill_wal::chain::wal::ChainWal;
use waybill_wal::{DurableFrame, Frame, FrameHeader, Sabotage, Wal, WalError, WalPosition, WalSink};

use crate::history::{SharedHistory, number, record};
use crate::meta::{Place, SharedMeta, ToIndex};

pub(crate) const STORE: StoreId = StoreId([3; 16]);

/// What all processes of a run share.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) clock: SharedClock,
    pub(crate) store: FaultyStore,
    pub(crate) meta: SharedMeta,
    pub(crate) history: SharedHistory,
    pub(crate) options: ChainOptions,
    pub(crate) entropy: Arc<SeededEntropy>,
    pub(crate) sabotage: Sabotage,
}

impl World {
    /// A new process's way to the store: bounded, counted and hedged as in production.
    pub(crate) fn client(&self) -> (StoreClient, SharedStore) {
        let client = self.store.client();
        let ms = Duration::from_millis;
        let limits = Limits { request: ms(1_500), total: ms(4_000), list: ms(4_000), ..Limits::default() };
        let entropy = SeededEntropy::shared(self.entropy.next_u64());
        let clock = Arc::clone(&self.clock);
        let measured = Measured::new(client.shared(), clock, entropy, limits, StoreMetrics::default());
        (client, measured.for_purpose(Purpose::Wal))
    }

    pub(crate) async fn sleep(&self, least: u64, most: u64) {
        let millis = least + self.entropy.below(most - least + 1);
        self.clock.sleep(Duration::from_millis(millis)).await;
    }
}

/// What became durable, to be acked and then put into the index.
struct Sink {
    history: SharedHistory,
    durable: Mutex<Vec<DurableFrame>>,
    last: Mutex<WalPosition>,
}

impl WalSink for Sink {
    fn durable(&self, frames: Vec<DurableFrame>) {
        let mut history = self.history.lock();
        let mut last = self.last.lock();
        for frame in &frames {
            if frame.position <= *last {
                history.violate(format!("position {} after {}", frame.position, *last));
            }
            *last = frame.position;
            let header = &frame.frame.header;
            history.ack(header.partition, header.base_offset, number(&frame.frame.records));
        }
        self.durable.lock().extend(frames);
    }

    fn poisoned(&self, _: &WalError) {}
}

/// A writer that may be alive, frozen, or deposed without knowing it.
pub(crate) struct Broker {
    pub(crate) chain: ChainId,
    pub(crate) client: StoreClient,
    pub(crate) store: SharedStore,
    pub(crate) wal: Arc<ChainWal>,
    sink: Arc<Sink>,
    epoch: LeaderEpoch,
    next: Mutex<BTreeMap<TopicPartition, Offset>>,
    tasks: Mutex<Vec<tokio::task::AbortHandle>>,
}

impl Broker {
    /// Opens a chain, registers it, and leads everything from what the index says.
    pub(crate) async fn start(world: &World) -> Result<Arc<Self>, String> {
        let (client, store) = world.client();
        let chain = {
            let mut meta = world.meta.lock();
            meta.incarnation = Incarnation(meta.incarnation.get() + 1);
            // Now and then another broker takes over.
            ChainId { broker: BrokerId(1 + (world.entropy.below(3) as i32)), incarnation: meta.incarnation }
        };
        let start = WalPosition(chain.incarnation.get() << 40);
        let entropy = Arc::clone(&world.entropy);
        let opened = open_chain(&*store, STORE, chain, start, world.options, &*world.clock, &*entropy).await;
        let opened = opened.map_err(|error| error.to_string())?;
        world.sleep(20, 80).await;
        let (epoch, next) = {
            let mut meta = world.meta.lock();
            meta.lead(chain);
            let epoch = meta.partitions.values().next().unwrap().mark.epoch;
            (epoch, meta.partitions.iter().map(|(id, state)| (*id, state.mark.end)).collect())
        };
        let sink = Arc::new(Sink {
            history: Arc::clone(&world.history),
            durable: Mutex::default(),
            last: Mutex::default(),
        });
        let heard = Arc::clone(&sink) as Arc<dyn WalSink>;
        let (wal, work) =
            ChainWal::prepare(Arc::clone(&store), opened, Arc::clone(&world.clock), entropy, heard);
        let process = client.clone();
        let work = tokio::spawn(async move { process.run(work).await });
        let broker = Self {
            chain,
            client,
            store,
            wal,
            sink,
            epoch,
            next: Mutex::new(next),
            tasks: Mutex::new(vec![work.abort_handle()]),
        };
        Ok(Arc::new(broker))
    }

    /// Starts a task of this process, which stands still while it is frozen.
    pub(crate) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let process = self.client.clone();
        let task = tokio::spawn(async move { process.run(work).await });
        self.tasks.lock().push(task.abort_handle());
    }

    /// The process is gone, in the middle of whatever it did. What it has sent is on its way.
    pub(crate) fn kill(&self) {
        self.tasks.lock().drain(..).for_each(|task| task.abort());
    }

    /// Whether it was not killed.
    pub(crate) fn lives(&self) -> bool {
        !self.tasks.lock().is_empty()
    }

    /// Produces until the WAL ends. Batches of one partition are handed over in the order of their offsets.
    pub(crate) async fn produce(self: Arc<Self>, world: World) {
        loop {
            world.sleep(1, 60).await;
            let lengths: Vec<usize> =
                (0..1 + world.entropy.below(3)).map(|_| 8 + world.entropy.below(400) as usize).collect();
            let Ok(permit) = self.wal.reserve(lengths.iter().sum()).await else { return };
            let frames: Vec<Frame> = lengths.iter().map(|length| self.frame(&world, *length)).collect();
            if self.wal.append(frames, permit).is_err() {
                return;
            }
        }
    }

    fn frame(&self, world: &World, length: usize) -> Frame {
        let mut next = self.next.lock();
        let at = world.entropy.below(next.len() as u64) as usize;
        let (partition, offset) = next.iter_mut().nth(at).unwrap();
        let mut header = FrameHeader::plain(*partition);
        header.leader_epoch = self.epoch;
        (header.base_offset, header.last_offset) = (*offset, *offset);
        *offset = Offset(offset.get() + 1);
        let mut history = world.history.lock();
        history.next_record += 1;
        Frame { header, records: record(history.next_record, length) }
    }

    /// Commits what is durable to the index, by reference or rewritten into segments, until it is refused.
    pub(crate) async fn index(self: Arc<Self>, world: World) {
        let mut trim = 1;
        loop {
            world.sleep(200, 1_500).await;
            let frames = std::mem::take(&mut *self.sink.durable.lock());
            if frames.is_empty() {
                if self.wal.ending().is_some() {
                    return;
                }
                continue;
            }
            let rewritten = world.entropy.below(2) == 0;
            let (mut batches, mut slots) = (Vec::new(), Vec::new());
            for frame in &frames {
                let Some((slot, at)) = self.wal.place_of(frame.position) else { return };
                slots.push(slot);
                let records = &frame.frame.records;
                let place = if rewritten {
                    Place::Segment(number(records))
                } else {
                    let (length, crc) = (records.len(), crc32c::crc32c(records));
                    Place::Slot { chain: self.chain, slot, at, length, crc }
                };
                batches.push(ToIndex { header: frame.frame.header, place });
            }
            if world.entropy.below(3) > 0 {
                // Else it stays: recovery then meets batches that are in the index already.
                trim = slots.last().unwrap() + 1;
            }
            if rewritten && world.sabotage == Sabotage::DeleteEarly {
                for slot in slots {
                    let _ = self.store.delete(&self.chain.slot(slot)).await;
                }
            }
            // The commit is on its way for a while, now and then for very long.
            if world.entropy.below(6) == 0 {
                world.sleep(500, 8_000).await;
            } else {
                world.sleep(20, 80).await;
            }
            if !world.meta.lock().index(self.chain, trim, &batches) {
                return;
            }
            self.wal.trim(frames.last().unwrap().position);
        }
    }
}
