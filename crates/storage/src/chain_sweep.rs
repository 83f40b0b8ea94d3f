//! Deleting the objects of closed chains.
//!
//! What may go is [`crate::chains`]'s to say, on the chain's record as a durable commit after the LIST has left it: nothing of
//! a chain that is open or being recovered, and of a closed one everything but the seal at its end. Open records are kept too,
//! some hundred bytes a start. Chains that the metadata does not know are left alone. A create that lands late makes a
//! deleted object again, so that closed chains are swept at every start and again from time to time.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use waybill_meta::{Batch, ChainRecord, MetaError, Record, RecordError, SharedMeta, keys};
use waybill_rt::SharedClock;
use waybill_store::{SharedStore, StoreError};
use waybill_types::{BrokerId, Incarnation, StoreId};
use waybill_wal::Sabotage;
use waybill_wal::chain::ledger::FIRST_SLOT;
use waybill_wal::chain::names::{ChainId, Slot};

use crate::chains::ledger;

/// Objects deleted by one request.
const DELETED_AT_ONCE: usize = 64;
/// Time between sweeps: each costs a LIST of all chains.
const PAUSE: Duration = Duration::from_secs(3600);

/// Deletes what closed chains of one store hold.
pub(crate) struct Sweep {
    /// The store's id.
    pub(crate) id: StoreId,
    /// The store.
    pub(crate) store: SharedStore,
    /// What says which chains are closed.
    pub(crate) meta: SharedMeta,
    /// Time between sweeps.
    pub(crate) clock: SharedClock,
    /// The rule that is left out; nothing without the feature `sim`.
    pub(crate) sabotage: Sabotage,
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Sweep {
    /// Sweeps until everything stops. That one sweep fails is no failure of the process.
    pub(crate) async fn run(self, stopping: CancellationToken) -> Result<(), String> {
        let sweeping = async {
            loop {
                match self.sweep().await {
                    Ok(deleted) => tracing::debug!(deleted, "closed chains are swept"),
                    Err(error) => tracing::warn!(%error, "closed chains are swept later"),
                }
                self.clock.sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = stopping.cancelled() => Ok(()),
            () = sweeping => Ok(()),
        }
    }

    async fn sweep(&self) -> Result<usize, SweepError> {
        let mut found: BTreeMap<ChainId, Vec<Slot>> = BTreeMap::new();
        for (chain, slot) in self.store.list("wal/").await?.iter().filter_map(|name| parse(name)) {
            if slot >= FIRST_SLOT {
                found.entry(chain).or_default().push(slot);
            }
        }
        // Awaited: what was listed is judged by what is durable after the LIST, and by the metadata's owner.
        self.meta.commit(Batch::default()).await?;
        let mut dead = Vec::new();
        for (_, value) in self.meta.scan(keys::chains()).await? {
            let record = ChainRecord::decode(&value)?;
            let chain = ChainId { broker: record.node, incarnation: record.incarnation };
            let Some(slots) = found.remove(&chain).filter(|_| record.wal_store == self.id) else { continue };
            let rules = ledger(&record, self.sabotage);
            dead.extend(
                slots.into_iter().filter(|slot| rules.may_delete(*slot, false)).map(|slot| chain.slot(slot)),
            );
        }
        for some in dead.chunks(DELETED_AT_ONCE) {
            for answer in self.store.delete_many(some.to_vec()).await {
                answer?;
            }
        }
        Ok(dead.len())
    }
}

/// The chain and slot that an object's name says.
pub(crate) fn parse(name: &str) -> Option<(ChainId, Slot)> {
    let (node, rest) = name.strip_prefix("wal/")?.split_once('/')?;
    let (incarnation, _) = rest.split_once('/')?;
    let chain =
        ChainId { broker: BrokerId(node.parse().ok()?), incarnation: Incarnation(incarnation.parse().ok()?) };
    Some((chain, chain.parse(name)?))
}
