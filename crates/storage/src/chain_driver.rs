//! The object chain as the engine opens it.
//!
//! A start ends the chain that led last, which another node may have written, hands out its batches from the trim on, and
//! creates the next chain's open record before the commit that registers it. [`crate::chain_sweep`] deletes what closed
//! chains hold.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Notify;
use waybill_meta::{SharedMeta, WalKind};
use waybill_rt::{Metrics, SharedClock, SharedEntropy, Supervisor};
use waybill_store::{Measured, Purpose};
use waybill_types::{BrokerId, Incarnation, StoreId};
use waybill_wal::chain::ledger::FIRST_SLOT;
use waybill_wal::chain::names::{ChainId, Slot};
use waybill_wal::chain::open::{OpenedChain, open_chain, read_store_id, wal_store_id};
use waybill_wal::chain::options::ChainOptions;
use waybill_wal::chain::recovery::{ChainReader, next_start};
use waybill_wal::chain::sealer::{SealJob, Sealed, seal};
use waybill_wal::chain::slot::SealRecord;
use waybill_wal::chain::wal::ChainWal;
use waybill_wal::{DurableFrame, SharedWal, Wal, WalPosition, WalSink};

use crate::chain_sweep::{Sweep, parse};
use crate::driver::{RecoveredWal, WalDriver, WalOpenError, WalRegistration};

/// How often the length of the chain is looked at.
const LENGTH_CHECK: Duration = Duration::from_secs(1);
/// How many stretches a chain may hold beyond its trim before segments are written, however little is in it.
const STRETCHES: u64 = 16;

/// Opens the chains of one broker on an object store.
#[derive(Clone)]
pub struct ChainWalDriver {
    /// The broker. Only the process that claimed the incarnation that begins may open its chains.
    pub node: BrokerId,
    /// Where the chains live.
    pub store: Measured,
    /// The metadata, which says what may be deleted.
    pub meta: SharedMeta,
    /// How they are written.
    pub options: ChainOptions,
    /// Told once the chain is so long that the process should go on as the next incarnation soon: behind its bounds
    /// producers wait.
    pub long: Arc<Notify>,
    /// Time.
    pub clock: SharedClock,
    /// Chance.
    pub entropy: SharedEntropy,
    /// Where its counters are registered.
    pub metrics: Metrics,
    /// What its tasks run under.
    pub tasks: Supervisor,
}

impl std::fmt::Debug for ChainWalDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainWalDriver").field("node", &self.node).finish_non_exhaustive()
    }
}

impl ChainWalDriver {
    fn chain(&self, incarnation: Incarnation) -> ChainId {
        ChainId { broker: self.node, incarnation }
    }

    fn job(&self, registration: &WalRegistration) -> SealJob {
        let (term, attempt) = registration.recovery.map_or((0, 0), |of| (of.attempt.term, of.attempt.number));
        SealJob {
            store: self.store.for_purpose(Purpose::Recovery),
            id: registration.store,
            chain: ChainId { broker: registration.node, incarnation: registration.incarnation },
            trim: registration.recovery.map_or(FIRST_SLOT, |recovery| recovery.trim),
            record: SealRecord { term, attempt, written: self.clock.now() },
            options: self.options,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
        }
    }

    /// What brokers leave that were never registered: open records only.
    async fn refuse_unknown_log(&self) -> Result<(), WalOpenError> {
        let names = self.store.for_purpose(Purpose::Recovery).list("wal/").await;
        let names = names.map_err(WalOpenError::new)?;
        match names.iter().find(|name| parse(name).is_some_and(|(_, slot)| slot > 0)) {
            None => Ok(()),
            Some(name) => Err(WalOpenError::new(format_args!(
                "the write-ahead log's store holds a log ({name}) that the metadata does not know: the metadata is lost or this is \
                 another cluster's store. Restore meta/, or name an empty prefix. No record was changed"
            ))),
        }
    }

    /// Ends the chain of a registration.
    async fn end(&self, registration: &WalRegistration) -> Result<(SealJob, Sealed), WalOpenError> {
        let job = self.job(registration);
        let sealed = seal(job.clone(), |_, _| {}).await.map_err(|error| {
            WalOpenError::new(format_args!(
                "{error}. Start with the --storage and --wal-storage that the broker was started with before"
            ))
        })?;
        if let Some(slot) = sealed.damaged.first() {
            return Err(WalOpenError::new(format_args!(
                "{} is damaged, and acked records may stand in it; put the object back from a copy or an older version of it, \
                 then start again",
                job.chain.slot(*slot)
            )));
        }
        tracing::info!(chain = %job.chain, from = job.trim, end = sealed.end, "the chain that led last has ended");
        Ok((job, sealed))
    }
}

impl WalDriver for ChainWalDriver {
    fn kind(&self) -> WalKind {
        WalKind::Object
    }

    fn store_id(&self) -> BoxFuture<'_, Result<Option<StoreId>, WalOpenError>> {
        async move {
            let store = self.store.for_purpose(Purpose::Recovery);
            let id = wal_store_id(&*store, &*self.clock, &*self.entropy).await;
            id.map(Some).map_err(WalOpenError::new)
        }
        .boxed()
    }

    fn shown_id(&self) -> BoxFuture<'_, Result<Option<StoreId>, WalOpenError>> {
        async move {
            let store = self.store.for_purpose(Purpose::Recovery);
            read_store_id(&*store).await.map_err(WalOpenError::new)
        }
        .boxed()
    }

    fn recover(
        &self,
        registration: WalRegistration,
    ) -> BoxFuture<'_, Result<Box<dyn RecoveredWal>, WalOpenError>> {
        async move {
            let mut recovered = RecoveredChain {
                driver: self.clone(),
                id: registration.store,
                reader: None,
                end: None,
                start: registration.trim,
                opened: None,
            };
            if registration.incarnation == Incarnation(0) {
                self.refuse_unknown_log().await?;
            } else {
                let (job, sealed) = self.end(&registration).await?;
                recovered.start = start_behind(&sealed, registration.trim);
                recovered.end = Some(sealed.end);
                recovered.reader = Some(ChainReader::new(job, sealed.end));
            }
            Ok(Box::new(recovered) as Box<dyn RecoveredWal>)
        }
        .boxed()
    }
}

/// Where the next incarnation's positions begin. Everything below the trim was durable, in slots that the sealer has not
/// looked at.
fn start_behind(sealed: &Sealed, trim: WalPosition) -> WalPosition {
    let (_, open) = &sealed.open;
    let flying = (u64::from(open.depth) + 1).saturating_mul(u64::from(open.largest));
    next_start(sealed).max(WalPosition(trim.0.saturating_add(flying)))
}

struct RecoveredChain {
    driver: ChainWalDriver,
    id: StoreId,
    reader: Option<ChainReader>,
    /// The slot of the seal that ends it.
    end: Option<Slot>,
    /// Where the next chain's open record stands.
    start: WalPosition,
    opened: Option<OpenedChain>,
}

impl RecoveredWal for RecoveredChain {
    fn next_frames(&mut self) -> BoxFuture<'_, Result<Option<Vec<DurableFrame>>, WalOpenError>> {
        async move {
            match &mut self.reader {
                None => Ok(None),
                Some(reader) => reader.next_frames().await.map_err(WalOpenError::new),
            }
        }
        .boxed()
    }

    fn prepare(&mut self, incarnation: Incarnation) -> BoxFuture<'_, Result<(), WalOpenError>> {
        async move {
            let ChainWalDriver { store, options, clock, entropy, .. } = &self.driver;
            let (store, chain) = (store.for_purpose(Purpose::Wal), self.driver.chain(incarnation));
            let opened = open_chain(&*store, self.id, chain, self.start, *options, &**clock, &**entropy);
            self.opened = Some(opened.await.map_err(WalOpenError::new)?);
            Ok(())
        }
        .boxed()
    }

    fn next_trim(&self) -> WalPosition {
        self.opened.as_ref().map_or(self.start, |opened| opened.start)
    }

    fn end(&self) -> Option<Slot> {
        self.end
    }

    fn capacity(&self) -> u64 {
        self.driver.options.stretch.saturating_mul(STRETCHES)
    }

    fn start(
        self: Box<Self>,
        incarnation: Incarnation,
        sink: Arc<dyn WalSink>,
    ) -> BoxFuture<'static, Result<SharedWal, WalOpenError>> {
        async move {
            let Self { driver, opened, id, .. } = *self;
            let opened = opened.filter(|opened| opened.identity.chain.incarnation == incarnation);
            let opened = opened
                .ok_or_else(|| WalOpenError::new("the chain was not opened before it was registered"))?;
            let ChainWalDriver { store, clock, entropy, metrics, tasks, .. } = &driver;
            let (clock, entropy) = (Arc::clone(clock), Arc::clone(entropy));
            let wal = ChainWal::start(store.for_purpose(Purpose::Wal), opened, clock, entropy, sink);
            wal.metrics().register(metrics);
            tasks.spawn("wal-length", watch_length(driver.clone(), Arc::downgrade(&wal), opened.start));
            let (meta, clock) = (Arc::clone(&driver.meta), Arc::clone(&driver.clock));
            let sabotage = driver.options.sabotage;
            let sweep = Sweep { id, store: store.for_purpose(Purpose::Sweep), meta, clock, sabotage };
            tasks.spawn("wal-sweeper", sweep.run(tasks.stopping()));
            Ok(wal as SharedWal)
        }
        .boxed()
    }
}

/// Says when a chain has three quarters of what it may have.
async fn watch_length(
    driver: ChainWalDriver,
    wal: std::sync::Weak<ChainWal>,
    start: WalPosition,
) -> Result<(), WalOpenError> {
    let stopping = driver.tasks.stopping();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return Ok(()),
            () = driver.clock.sleep(LENGTH_CHECK) => {}
        }
        let Some(wal) = wal.upgrade() else { return Ok(()) };
        let bytes = wal.durable_end().0.saturating_sub(start.0);
        let limits = driver.options;
        if wal.metrics().objects.get() >= limits.slots / 4 * 3 || bytes >= limits.bytes / 4 * 3 {
            tracing::info!(chain = %wal.identity().chain, "the chain is long");
            driver.long.notify_one();
            return Ok(());
        }
    }
}
