//! Reading a chain that has ended, from the store.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use waybill_store::StoreError;

use crate::api::{DurableFrame, WalPosition};
use crate::chain::names::Slot;
use crate::chain::sealer::{SealJob, Sealed};
use crate::chain::slot::{OpenRecord, SlotFault, decode_data};

/// Whole objects read side by side.
const READ_AHEAD: usize = 4;

/// Where the next incarnation's positions may begin: above everything that the ended one may have written, its objects in
/// flight behind the seal included.
#[must_use]
pub fn next_start(sealed: &Sealed) -> WalPosition {
    let (open_head, OpenRecord { depth, largest, .. }) = &sealed.open;
    let end = sealed.last.as_ref().map_or(open_head.end(), |last| last.end());
    let flying = (u64::from(*depth) + 1).saturating_mul(u64::from(*largest));
    WalPosition(end.0.saturating_add(flying))
}

/// Why an object of a chain could not be read whole.
#[derive(Debug, thiserror::Error)]
pub enum ReadChainError {
    /// The store failed for longer than it is waited for.
    #[error("{name} can not be read: {error}")]
    Store {
        /// The object.
        name: String,
        /// What the store said.
        error: StoreError,
    },
    /// Its bytes make no sense.
    #[error("{name} is damaged: {fault}")]
    Damaged {
        /// The object.
        name: String,
        /// What does not hold.
        fault: SlotFault,
    },
}

/// Hands out the batches of the slots `from..end`, in order.
pub struct ChainReader {
    job: SealJob,
    next: Slot,
    end: Slot,
    ahead: FuturesOrdered<BoxFuture<'static, Result<Vec<DurableFrame>, ReadChainError>>>,
}

impl std::fmt::Debug for ChainReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChainReader({} at {} of {})", self.job.chain, self.next, self.end)
    }
}

impl ChainReader {
    /// Reads the slots of a chain that was sealed at `end`, from the trim of `job`.
    #[must_use]
    pub fn new(job: SealJob, end: Slot) -> Self {
        Self { next: job.trim.max(1), job, end, ahead: FuturesOrdered::new() }
    }

    /// The batches of the next slot; `None` at the end.
    ///
    /// # Errors
    /// A [`ReadChainError`] that names the object. The next call goes on behind it.
    pub async fn next_frames(&mut self) -> Result<Option<Vec<DurableFrame>>, ReadChainError> {
        while self.next < self.end && self.ahead.len() < READ_AHEAD {
            self.ahead.push_back(read_slot(self.job.clone(), self.next).boxed());
            self.next += 1;
        }
        self.ahead.next().await.transpose()
    }
}

async fn read_slot(job: SealJob, slot: Slot) -> Result<Vec<DurableFrame>, ReadChainError> {
    let name = job.chain.slot(slot);
    let until = job.clock.monotonic() + job.options.budget;
    let mut tries = 0;
    let bytes: Bytes = loop {
        // Objects are at most as long as the open record says; a range may be longer than the object.
        match job.store.get(&name, 0..u64::from(u32::MAX)).await {
            Ok(bytes) => break bytes,
            Err(error) if error.is_passing() && job.clock.monotonic() < until => {}
            Err(error) => return Err(ReadChainError::Store { name, error }),
        }
        tries += 1;
        job.clock.sleep(job.options.pause_after(tries).max(Duration::from_millis(1))).await;
    };
    let (head, frames) =
        decode_data(&bytes).map_err(|fault| ReadChainError::Damaged { name: name.clone(), fault })?;
    let identity = head.identity;
    if identity.store != job.id || identity.chain != job.chain || head.slot != slot {
        return Err(ReadChainError::Damaged { name, fault: SlotFault::NoHeader });
    }
    Ok(frames)
}
