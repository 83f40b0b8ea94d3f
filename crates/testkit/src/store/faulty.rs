//! The simulated store itself.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use waybill_rt::{Entropy, SeededEntropy, SharedClock};
use waybill_store::{ObjectStore, SharedStore, StoreError};

use crate::store::options::FaultOptions;

/// A simulated store. Clones are handles to the same one. To be used inside a paused current-thread runtime.
#[derive(Clone)]
pub struct FaultyStore {
    world: Arc<World>,
}

struct World {
    clock: SharedClock,
    entropy: SeededEntropy,
    state: Mutex<State>,
}

struct State {
    options: FaultOptions,
    objects: BTreeMap<String, Bytes>,
    counts: Counts,
    trace: u64,
    down_until: Duration,
}

/// Requests that reached the store, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Creates sent.
    pub puts: u64,
    /// Reads sent.
    pub gets: u64,
    /// LISTs sent.
    pub lists: u64,
    /// Deletes sent.
    pub deletes: u64,
    /// Creates that were not answered with the plain truth.
    pub odd_puts: u64,
    /// Creates that were applied when their sender had long been told otherwise, or for the second time.
    pub ghosts: u64,
}

/// A client process's way to the store. It can be frozen: answers wait, and so does what it sends.
#[derive(Clone)]
pub struct StoreClient {
    store: FaultyStore,
    frozen_until: Arc<Mutex<Duration>>,
}

impl std::fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FaultyStore({:?})", self.counts())
    }
}

/// What becomes of a create or delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Plain,
    Refused,
    ConflictApplied,
    Conflict,
    AnswerLost,
    Silent,
    Late,
    Twice,
    Stale,
}

impl FaultyStore {
    /// An empty store.
    #[must_use]
    pub fn new(seed: u64, options: FaultOptions, clock: SharedClock) -> Self {
        let state = State {
            options,
            objects: BTreeMap::new(),
            counts: Counts::default(),
            trace: 0xcbf2_9ce4_8422_2325,
            down_until: Duration::ZERO,
        };
        let world = World { clock, entropy: SeededEntropy::new(seed), state: Mutex::new(state) };
        Self { world: Arc::new(world) }
    }

    /// A way to it for a new client process.
    #[must_use]
    pub fn client(&self) -> StoreClient {
        StoreClient { store: self.clone(), frozen_until: Arc::default() }
    }

    /// From now on it behaves so.
    pub fn behave(&self, options: FaultOptions) {
        self.world.state.lock().options = options;
    }

    /// Answers everything with 503 for so long.
    pub fn go_down(&self, span: Duration) {
        let until = self.world.clock.monotonic() + span;
        self.world.state.lock().down_until = until;
    }

    /// Requests so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.world.state.lock().counts
    }

    /// A number that two runs share only if they did the same.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.world.state.lock().trace
    }

    /// An object as it is, at once and without faults.
    #[must_use]
    pub fn peek(&self, name: &str) -> Option<Bytes> {
        self.world.state.lock().objects.get(name).cloned()
    }

    /// All names, at once and without faults.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.world.state.lock().objects.keys().cloned().collect()
    }

    /// Changes an object behind everybody's back.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.world.state.lock();
        if let Some(object) = state.objects.get_mut(name) {
            let mut bytes = object.to_vec();
            change(&mut bytes);
            *object = bytes.into();
        }
    }

    fn chance(&self, share: f64) -> bool {
        share > 0.0 && (self.world.entropy.below(1 << 20) as f64) < share * (1_u64 << 20) as f64
    }

    fn fate(&self, create: bool) -> Fate {
        let (options, down) = {
            let state = self.world.state.lock();
            (state.options, self.world.clock.monotonic() < state.down_until)
        };
        if down {
            return Fate::Refused;
        }
        let conflict = if create { options.conflict } else { 0.0 };
        let fates = [
            (options.refused, Fate::Refused),
            (conflict / 2.0, Fate::Conflict),
            (conflict / 2.0, Fate::ConflictApplied),
            (options.answer_lost, Fate::AnswerLost),
            (options.silent, Fate::Silent),
            (options.late, Fate::Late),
            (options.twice, Fate::Twice),
            (options.stale, Fate::Stale),
        ];
        fates.into_iter().find(|(share, _)| self.chance(*share)).map_or(Fate::Plain, |(_, fate)| fate)
    }

    fn busy(&self, name: &str) -> StoreError {
        let why = ["429 SlowDown", "500 InternalError", "503 SlowDown"];
        let why = why.get(self.world.entropy.below(3) as usize).copied().unwrap_or("503");
        StoreError::Busy { name: name.into(), why: why.into() }
    }

    /// The time that "much later" is this time.
    fn later(&self) -> Duration {
        let latest = self.world.state.lock().options.latest;
        // Often soon enough to matter, sometimes after everything.
        latest.mul_f64((self.world.entropy.below(1000) as f64 / 1000.0).powi(3))
    }

    /// Carries a create or delete to the store, whether or not anyone waits for the answer.
    fn change<T: Send + 'static>(
        &self,
        name: &str,
        latency: Duration,
        fate: Fate,
        apply: impl Fn(&mut State) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let (store, name) = (self.clone(), name.to_owned());
        let (tell, told) = oneshot::channel();
        let carried = async move { store.carry(&name, latency, fate, apply, tell).await };
        drop(tokio::spawn(carried));
        async move {
            match told.await {
                Ok(answer) => answer,
                // Never answered.
                Err(_) => std::future::pending().await,
            }
        }
        .boxed()
    }

    async fn carry<T>(
        &self,
        name: &str,
        latency: Duration,
        fate: Fate,
        apply: impl Fn(&mut State) -> Result<T, StoreError>,
        tell: oneshot::Sender<Result<T, StoreError>>,
    ) {
        let clock = &self.world.clock;
        let there = latency.mul_f64(0.2 + 0.6 * self.world.entropy.below(1000) as f64 / 1000.0);
        let back = latency.saturating_sub(there);
        clock.sleep(there).await;
        let lost = Err(self.busy(name));
        let exists = Err(StoreError::Exists(name.into()));
        let (answer, ghost) = match fate {
            Fate::Stale => return,
            Fate::Refused => (Some(lost), false),
            Fate::Conflict => (Some(exists), false),
            Fate::Late => (Some(lost), true),
            Fate::Plain => (Some(self.apply(&apply, false)), false),
            Fate::Twice => (Some(self.apply(&apply, false)), true),
            Fate::Silent => {
                drop(self.apply(&apply, false));
                return;
            }
            Fate::AnswerLost => {
                drop(self.apply(&apply, false));
                (Some(lost), false)
            }
            Fate::ConflictApplied => {
                drop(self.apply(&apply, false));
                (Some(exists), false)
            }
        };
        clock.sleep(back).await;
        if let Some(answer) = answer {
            // Nobody may wait any more.
            let _ = tell.send(answer);
        }
        if ghost {
            let later = self.later();
            clock.sleep(later).await;
            drop(self.apply(&apply, true));
        }
    }

    fn apply<T>(
        &self,
        apply: &impl Fn(&mut State) -> Result<T, StoreError>,
        ghost: bool,
    ) -> Result<T, StoreError> {
        let mut state = self.world.state.lock();
        state.counts.ghosts += u64::from(ghost);
        apply(&mut state)
    }

    /// A request that changes nothing: it is answered from what is there at some moment between question and answer.
    fn ask<T: Send + 'static>(
        &self,
        name: &str,
        latency: Duration,
        read: impl Fn(&State) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let (store, name, fate) = (self.clone(), name.to_owned(), self.fate(false));
        async move {
            let there = latency.mul_f64(store.world.entropy.below(1000) as f64 / 1000.0);
            store.world.clock.sleep(there).await;
            let answer = match fate {
                Fate::Stale | Fate::Silent => std::future::pending().await,
                Fate::Refused | Fate::AnswerLost => Err(store.busy(&name)),
                _ => read(&store.world.state.lock()),
            };
            store.world.clock.sleep(latency.saturating_sub(there)).await;
            answer
        }
        .boxed()
    }

    fn note(&self, what: u64, name: &str) {
        let now = self.world.clock.monotonic().as_nanos() as u64;
        let mut state = self.world.state.lock();
        for value in [what, now].into_iter().chain(name.bytes().map(u64::from)) {
            state.trace = (state.trace ^ value).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl State {
    fn create(&mut self, name: &str, bytes: &Bytes) -> Result<(), StoreError> {
        if self.objects.contains_key(name) {
            return Err(StoreError::Exists(name.into()));
        }
        self.objects.insert(name.to_owned(), bytes.clone());
        Ok(())
    }

    fn object(&self, name: &str) -> Result<Bytes, StoreError> {
        self.objects.get(name).cloned().ok_or_else(|| StoreError::NotFound(name.into()))
    }
}

impl StoreClient {
    /// The client stops for so long: it hears no answers, and what it sends meanwhile goes out afterwards.
    pub fn freeze(&self, span: Duration) {
        let until = self.store.world.clock.monotonic() + span;
        let mut frozen = self.frozen_until.lock();
        *frozen = (*frozen).max(until);
    }

    /// Runs a process's own work, which stands still while the client is frozen: no timer of it fires, no answer is taken.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut thaw: Option<BoxFuture<'_, ()>> = None;
        std::future::poll_fn(|context| {
            loop {
                if let Some(waiting) = &mut thaw {
                    std::task::ready!(waiting.poll_unpin(context));
                    thaw = None;
                }
                if self.is_frozen() {
                    thaw = Some(self.thaw().boxed());
                    continue;
                }
                return work.as_mut().poll(context);
            }
        })
        .await
    }

    fn is_frozen(&self) -> bool {
        self.store.world.clock.monotonic() < *self.frozen_until.lock()
    }

    /// The client as it is handed around.
    #[must_use]
    pub fn shared(&self) -> SharedStore {
        Arc::new(self.clone())
    }

    /// Waits while the client is frozen, before it sends and before it hears.
    fn thawed<T: Send + 'static>(
        &self,
        send: impl FnOnce(&FaultyStore) -> BoxFuture<'static, T> + Send + 'static,
    ) -> BoxFuture<'static, T> {
        let client = self.clone();
        async move {
            client.thaw().await;
            let answer = send(&client.store).await;
            client.thaw().await;
            answer
        }
        .boxed()
    }

    async fn thaw(&self) {
        loop {
            let (now, until) = (self.store.world.clock.monotonic(), *self.frozen_until.lock());
            if now >= until {
                return;
            }
            self.store.world.clock.sleep(until - now).await;
        }
    }
}

impl ObjectStore for StoreClient {
    fn put(&self, name: &str, parts: Vec<Bytes>) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut whole = BytesMut::new();
        parts.iter().for_each(|part| whole.extend_from_slice(part));
        let (name, bytes) = (name.to_owned(), whole.freeze());
        self.thawed(move |store| {
            store.note(1, &name);
            let fate = store.fate(true);
            let latency = {
                let mut state = store.world.state.lock();
                state.counts.puts += 1;
                state.counts.odd_puts += u64::from(fate != Fate::Plain);
                state.options.put.draw(&store.world.entropy)
            };
            let object = name.clone();
            store.change(&name, latency, fate, move |state| state.create(&object, &bytes))
        })
    }

    fn get(&self, name: &str, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, StoreError>> {
        let name = name.to_owned();
        self.thawed(move |store| {
            store.note(2, &name);
            let latency = {
                let mut state = store.world.state.lock();
                state.counts.gets += 1;
                state.options.get.draw(&store.world.entropy)
            };
            let object = name.clone();
            store.ask(&name, latency, move |state| {
                let bytes = state.object(&object)?;
                let end = range.end.min(bytes.len() as u64);
                let start = range.start.min(end);
                Ok(bytes.slice(start as usize..end as usize))
            })
        })
    }

    fn len(&self, name: &str) -> BoxFuture<'_, Result<u64, StoreError>> {
        let name = name.to_owned();
        self.thawed(move |store| {
            let latency = store.world.state.lock().options.get.draw(&store.world.entropy);
            let object = name.clone();
            store.ask(&name, latency, move |state| Ok(state.object(&object)?.len() as u64))
        })
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), StoreError>> {
        let name = name.to_owned();
        self.thawed(move |store| {
            store.note(3, &name);
            let fate = store.fate(false);
            let latency = {
                let mut state = store.world.state.lock();
                state.counts.deletes += 1;
                state.options.get.draw(&store.world.entropy)
            };
            let object = name.clone();
            store.change(&name, latency, fate, move |state| {
                state.objects.remove(&object);
                Ok(())
            })
        })
    }

    fn list(&self, prefix: &str) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        let prefix = prefix.to_owned();
        self.thawed(move |store| {
            store.note(4, &prefix);
            let latency = {
                let mut state = store.world.state.lock();
                state.counts.lists += 1;
                state.options.list.draw(&store.world.entropy)
            };
            let start = prefix.clone();
            store.ask(&prefix, latency, move |state| {
                Ok(state.objects.keys().filter(|name| name.starts_with(&start)).cloned().collect())
            })
        })
    }
}
