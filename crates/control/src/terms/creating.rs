//! Objects below `control/`: created once, read, listed, with time-outs and pauses.

use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, Either, select};
use waybill_rt::{SharedClock, SharedEntropy};
use waybill_store::{SharedStore, StoreError};

use crate::terms::holder::{TERMS, parse_term};
use crate::terms::lease::{SESSION, may_be_deposed};
use crate::terms::pulse::BEAT;
use crate::terms::sabotage::Sabotage;
use crate::terms::settle::{CreateAnswer, ReadBack, Settle, SettleAction};

/// Objects below `control/` are small; more is not read.
const LARGEST: u64 = 64 << 10;

/// A way to the store.
#[derive(Clone)]
pub struct ControlStore {
    /// The store.
    pub store: SharedStore,
    /// Time.
    pub clock: SharedClock,
    /// Chance, for jitter and for bytes that nobody else writes.
    pub entropy: SharedEntropy,
    /// One request is waited for so long.
    pub request: Duration,
    /// A create, read or LIST with all its tries.
    pub budget: Duration,
    /// The rule that is left out; nothing without the feature `sim`.
    pub sabotage: Sabotage,
}

impl std::fmt::Debug for ControlStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlStore").field("budget", &self.budget).finish_non_exhaustive()
    }
}

impl ControlStore {
    /// A way to `store` with the usual times.
    #[must_use]
    pub fn new(store: SharedStore, clock: SharedClock, entropy: SharedEntropy) -> Self {
        let (request, budget) = (Duration::from_secs(5), Duration::from_secs(20));
        Self { store, clock, entropy, request, budget, sabotage: Sabotage::None }
    }

    /// Creates an object whose bytes nobody else can have written, and tells whether it is ours.
    ///
    /// # Errors
    /// The last error, when the budget is used up or trying again can not help: the outcome is then unknown, and the
    /// object may appear at any later time.
    pub async fn create(&self, name: &str, bytes: &Bytes) -> Result<bool, StoreError> {
        let mut settle = Settle::new(self.sabotage);
        let mut tries = Tries::new(self);
        loop {
            let error = match settle.action() {
                SettleAction::Done { ours } => return Ok(ours),
                SettleAction::Put => {
                    match self.bounded(name, self.store.put(name, vec![bytes.clone()])).await {
                        Ok(()) => {
                            settle.answered(CreateAnswer::Created);
                            continue;
                        }
                        Err(StoreError::Exists(_)) => {
                            settle.answered(CreateAnswer::Exists);
                            continue;
                        }
                        Err(error) => {
                            settle.answered(CreateAnswer::Unknown);
                            error
                        }
                    }
                }
                // One byte more than ours tells a longer object from ours.
                SettleAction::Read => {
                    match self.bounded(name, self.store.get(name, 0..bytes.len() as u64 + 1)).await {
                        Ok(found) => {
                            settle.read(if found == *bytes { ReadBack::Ours } else { ReadBack::Others });
                            continue;
                        }
                        Err(error @ StoreError::NotFound(_)) => {
                            settle.read(ReadBack::Absent);
                            error
                        }
                        Err(error) => {
                            settle.read(ReadBack::Failed);
                            error
                        }
                    }
                }
            };
            tries.pause(error).await?;
        }
    }

    /// Reads an object; `None` if there is none.
    ///
    /// # Errors
    /// The last error, when the budget is used up.
    pub async fn read(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let mut tries = Tries::new(self);
        loop {
            match self.bounded(name, self.store.get(name, 0..LARGEST)).await {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(StoreError::NotFound(_)) => return Ok(None),
                Err(error) => tries.pause(error).await?,
            }
        }
    }

    /// The names that start with `prefix`, in no order.
    ///
    /// # Errors
    /// The last error, when the budget is used up.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut tries = Tries::new(self);
        loop {
            match self.bounded(prefix, self.store.list(prefix)).await {
                Ok(names) => return Ok(names),
                Err(error) => tries.pause(error).await?,
            }
        }
    }

    /// The highest term that anybody has created, 0 if nobody has.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn newest_term(&self) -> Result<u64, StoreError> {
        let names = self.list(TERMS).await?;
        Ok(names.iter().filter_map(|name| parse_term(name)).max().unwrap_or(0))
    }

    /// Resolves with a term higher than `term`, which this process holds, once it has seen one. It looks whenever the process
    /// has stood still for so long that its standbys may have taken it for dead.
    pub async fn overtaken(&self, term: u64) -> u64 {
        let mut last = self.clock.monotonic();
        loop {
            self.clock.sleep(BEAT).await;
            let now = self.clock.monotonic();
            if may_be_deposed(now.saturating_sub(last), SESSION) {
                match self.newest_term().await {
                    Ok(newest) if newest > term => return newest,
                    Ok(_) => {}
                    // The store does not answer: look again.
                    Err(_) => continue,
                }
            }
            last = now;
        }
    }

    /// Waits about so long: between half and one and a half times.
    pub async fn pause(&self, about: Duration) {
        self.clock.sleep(about.mul_f64(0.5 + self.entropy.below(1000) as f64 / 1000.0)).await;
    }

    async fn bounded<T>(
        &self,
        name: &str,
        request: BoxFuture<'_, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match select(request, self.clock.sleep(self.request)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(StoreError::TimedOut(name.into())),
        }
    }
}

/// Pauses between tries, until the budget is used up.
struct Tries<'a> {
    io: &'a ControlStore,
    until: Duration,
    pause: Duration,
}

impl<'a> Tries<'a> {
    fn new(io: &'a ControlStore) -> Self {
        Self { io, until: io.clock.monotonic() + io.budget, pause: Duration::from_millis(20) }
    }

    async fn pause(&mut self, error: StoreError) -> Result<(), StoreError> {
        let lasting = matches!(error, StoreError::Denied { .. } | StoreError::NoSpace(_));
        if lasting || self.io.clock.monotonic() + self.pause >= self.until {
            return Err(error);
        }
        self.io.pause(self.pause).await;
        self.pause = (self.pause * 2).min(Duration::from_secs(1));
        Ok(())
    }
}
