//! What the metadata lets happen to a chain, as batches: registration, index commits, and the first and last step of recovery.
//! Pure: each batch requires what it was decided on, so that it is taken whole and unchanged, or not.
//!
//! A chain is registered before its incarnation leads anything. A recovery begins with a commit that freezes it (the trim
//! is what that commit requires); from then on index commits, trims and deletions are refused. What the recovery found
//! is taken only while the chain is still being recovered by the same attempt, in parts if need be; the last part closes it.
//! What is allowed when is [`Ledger`]'s to decide; here it is read from the chain's record and written back.

use bytes::Bytes;
use waybill_meta::{Batch, ChainLife, ChainRecord, NodeRecord, Record, WalKind, keys};
use waybill_types::{BrokerId, Incarnation, StoreId, TimestampMs};
use waybill_wal::Sabotage;
pub use waybill_wal::chain::ledger::{Attempt, Refusal};
use waybill_wal::chain::ledger::{ChainState, FIRST_SLOT, Ledger};
use waybill_wal::chain::names::Slot;

/// Why a chain is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegisterRefusal {
    /// The node has a newer incarnation.
    #[error("the node has a newer incarnation, {}", .0.get())]
    NewerIncarnation(Incarnation),
    /// The node's WAL is a ring of files, which only the holder of its lock recovers.
    #[error("the node is registered with a write-ahead log in files")]
    OtherKind,
    /// The node is registered with another store for its WAL.
    #[error("the node is registered with another store for its write-ahead log, {0}")]
    OtherStore(StoreId),
    /// The chain was registered before, and its life has gone on.
    #[error(transparent)]
    Chain(Refusal),
}

/// Who registers a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// The broker.
    pub node: BrokerId,
    /// Its incarnation, claimed before.
    pub incarnation: Incarnation,
    /// The id that the WAL's store shows.
    pub wal_store: StoreId,
    /// When.
    pub at: TimestampMs,
    /// Which lead of every partition begins with it; 0: it leads what it is assigned.
    pub lead: u64,
}

impl Registration {
    /// The record of a chain that was just registered.
    #[must_use]
    pub fn opened(&self) -> ChainRecord {
        ChainRecord {
            node: self.node,
            incarnation: self.incarnation,
            wal_store: self.wal_store,
            life: ChainLife::Open,
            trim: FIRST_SLOT,
            registered_at: self.at,
            lead: self.lead,
        }
    }
}

/// Registers the chain of an incarnation whose open record exists. `node` and `chain`: the node's registration so far, and
/// this chain's, if there is one: an owner that ended between the commit and the telling leaves a broker that asks the next
/// owner again, and that one restates what is durable.
///
/// # Errors
/// When the node has a newer incarnation, another kind of WAL, or another WAL store; when this chain is registered and was
/// frozen since.
pub fn register(
    new: Registration,
    node: Option<&NodeRecord>,
    chain: Option<&ChainRecord>,
) -> Result<Batch, RegisterRefusal> {
    if let Some(known) = node {
        if known.incarnation > new.incarnation {
            return Err(RegisterRefusal::NewerIncarnation(known.incarnation));
        }
        if known.wal_kind != WalKind::Object {
            return Err(RegisterRefusal::OtherKind);
        }
        if known.wal_store != new.wal_store {
            return Err(RegisterRefusal::OtherStore(known.wal_store));
        }
    }
    let mut batch = Batch::default();
    batch.require(keys::node(new.node), node.map(Record::encode));
    batch.require(keys::chain(new.node, new.incarnation), chain.map(Record::encode));
    if let Some(chain) = chain {
        return match chain.life {
            ChainLife::Open => Ok(batch),
            ChainLife::Recovering { .. } => Err(RegisterRefusal::Chain(Refusal::Recovering)),
            ChainLife::Closed { .. } => Err(RegisterRefusal::Chain(Refusal::Closed)),
        };
    }
    let registered = NodeRecord {
        node: new.node,
        incarnation: new.incarnation,
        wal_kind: WalKind::Object,
        wal_store: new.wal_store,
        registered_at: new.at,
    };
    batch.put(keys::node(new.node), registered.encode());
    batch.put(keys::chain(new.node, new.incarnation), new.opened().encode());
    Ok(batch)
}

/// What a chain's record says, as the decisions see it.
#[must_use]
pub fn ledger(record: &ChainRecord, sabotage: Sabotage) -> Ledger {
    let state = match record.life {
        ChainLife::Open => ChainState::Open,
        ChainLife::Recovering { term, attempt } => ChainState::Recovering(Attempt { term, number: attempt }),
        ChainLife::Closed { end } => ChainState::Closed(end),
    };
    Ledger::known(state, record.trim, sabotage)
}

/// Decisions about one chain, on what its record was when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainRules {
    /// The record.
    pub record: ChainRecord,
    /// The rule that is left out; nothing without the feature `sim`.
    pub sabotage: Sabotage,
}

impl ChainRules {
    /// The attempt that the owner of the metadata store in `term` begins next: later than all that were begun.
    #[must_use]
    pub fn next_attempt(&self, term: u64) -> Attempt {
        match self.record.life {
            ChainLife::Recovering { term: other, attempt } if other >= term => {
                Attempt { term, number: attempt.saturating_add(1) }
            }
            _ => Attempt { term, number: 1 },
        }
    }

    /// Begins a recovery. The batch holds nothing else, so that the trim that is returned is the one that the commit found.
    ///
    /// # Errors
    /// When the chain is closed, or this attempt or a later one has it.
    pub fn begin(&self, attempt: Attempt) -> Result<(Batch, Slot), Refusal> {
        let mut next = self.ledger();
        let trim = next.begin(attempt)?;
        Ok((self.step(&next, Sabotage::StaleTrim), trim))
    }

    /// An index commit of the chain's writer, which puts the slots below `trim` into the index. To be put together with
    /// the index entries.
    ///
    /// # Errors
    /// Once a recovery has begun, or when the trim would go back.
    pub fn index(&self, trim: Slot) -> Result<Batch, Refusal> {
        let mut next = self.ledger();
        next.index(trim)?;
        Ok(self.step(&next, Sabotage::NoFreeze))
    }

    /// A part of what a recovery found, to be put together with the index entries of some partitions.
    ///
    /// # Errors
    /// Unless the chain is being recovered by `attempt`.
    pub fn part(&self, attempt: Attempt) -> Result<Batch, Refusal> {
        let next = self.ledger();
        next.recovers(attempt)?;
        Ok(self.step(&next, Sabotage::RecoveryUnchecked))
    }

    /// The last part: everything up to the seal at `end` is in the index.
    ///
    /// # Errors
    /// As [`Self::part`].
    pub fn close(&self, attempt: Attempt, end: Slot) -> Result<Batch, Refusal> {
        let mut next = self.ledger();
        next.close(attempt, end)?;
        Ok(self.step(&next, Sabotage::RecoveryUnchecked))
    }

    /// The decisions themselves.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        ledger(&self.record, self.sabotage)
    }

    /// The record becomes what `next` says, if it is still what was read.
    fn step(&self, next: &Ledger, unchecked: Sabotage) -> Batch {
        let life = match next.state() {
            ChainState::Open => ChainLife::Open,
            ChainState::Recovering(Attempt { term, number }) => {
                ChainLife::Recovering { term, attempt: number }
            }
            ChainState::Closed(end) => ChainLife::Closed { end },
        };
        let key = self.key();
        let mut batch = Batch::default();
        if !self.sabotage.breaks(unchecked) {
            batch.require(key.clone(), Some(self.record.encode()));
        }
        batch.put(key, ChainRecord { life, trim: next.trim(), ..self.record }.encode());
        batch
    }

    fn key(&self) -> Bytes {
        keys::chain(self.record.node, self.record.incarnation)
    }
}

#[cfg(test)]
mod tests;
