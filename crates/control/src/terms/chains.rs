//! What the metadata lets happen to a chain: registration, index commits, and the first and last step of recovery.
//! Pure: each decision is a batch that requires what it was decided on, so that it is taken whole and unchanged, or not.
//!
//! A chain is registered before its incarnation leads anything. A recovery begins with a commit that freezes it (the trim
//! is what that commit requires); from then on index commits, trims and deletions are refused. What the recovery found
//! is taken only while the chain is still being recovered by the same attempt, in parts if need be; the last part closes it.

use bytes::Bytes;
use waybill_meta::{Batch, ChainLife, ChainRecord, NodeRecord, Record, WalKind, keys};
use waybill_types::{BrokerId, Incarnation, StoreId, TimestampMs};
pub use waybill_wal::chain::ledger::Attempt;

use crate::terms::sabotage::Sabotage;

/// The first slot that holds records; slot 0 is the open record.
pub const FIRST_SLOT: u64 = 1;

/// Why a decision is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainRefusal {
    /// The node has a newer incarnation.
    #[error("the node has a newer incarnation, {}", .0.get())]
    NewerIncarnation(Incarnation),
    /// The node's WAL is a ring of files, which only the holder of its lock recovers.
    #[error("the node is registered with a write-ahead log in files")]
    OtherKind,
    /// The node is registered with another store for its WAL.
    #[error("the node is registered with another store for its write-ahead log, {0}")]
    OtherStore(StoreId),
    /// The chain is being recovered.
    #[error("the chain is being recovered")]
    Recovering,
    /// The chain is closed.
    #[error("the chain is closed")]
    Closed,
    /// A later attempt recovers the chain, or none does.
    #[error("the chain is not being recovered by this attempt")]
    Superseded,
    /// The trim would go back.
    #[error("the trim would go back")]
    TrimBack,
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
}

/// Registers the chain of an incarnation whose open record exists. `known` is the node's registration so far.
///
/// # Errors
/// When the node has a newer incarnation, another kind of WAL, or another WAL store.
pub fn register(new: Registration, known: Option<&NodeRecord>) -> Result<Batch, ChainRefusal> {
    if let Some(known) = known {
        if known.incarnation >= new.incarnation {
            return Err(ChainRefusal::NewerIncarnation(known.incarnation));
        }
        if known.wal_kind != WalKind::Object {
            return Err(ChainRefusal::OtherKind);
        }
        if known.wal_store != new.wal_store {
            return Err(ChainRefusal::OtherStore(known.wal_store));
        }
    }
    let node = NodeRecord {
        node: new.node,
        incarnation: new.incarnation,
        wal_kind: WalKind::Object,
        wal_store: new.wal_store,
        registered_at: new.at,
    };
    let chain = ChainRecord {
        node: new.node,
        incarnation: new.incarnation,
        wal_store: new.wal_store,
        life: ChainLife::Open,
        trim: FIRST_SLOT,
        registered_at: new.at,
    };
    let mut batch = Batch::default();
    batch.require(keys::node(new.node), known.map(Record::encode));
    batch.require(keys::chain(new.node, new.incarnation), None);
    batch.put(keys::node(new.node), node.encode());
    batch.put(keys::chain(new.node, new.incarnation), chain.encode());
    Ok(batch)
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
    /// Begins a recovery. The batch holds nothing else, so that the trim that is returned is the one that the commit found.
    ///
    /// # Errors
    /// When the chain is closed, or a later attempt has it.
    pub fn begin(&self, attempt: Attempt) -> Result<(Batch, u64), ChainRefusal> {
        match self.record.life {
            ChainLife::Closed { .. } => return Err(ChainRefusal::Closed),
            ChainLife::Recovering { term, attempt: number } if Attempt { term, number } >= attempt => {
                return Err(ChainRefusal::Superseded);
            }
            ChainLife::Recovering { .. } | ChainLife::Open => {}
        }
        let life = ChainLife::Recovering { term: attempt.term, attempt: attempt.number };
        let mut batch = self.step(ChainRecord { life, ..self.record }, &[Sabotage::StaleTrim]);
        if self.sabotage.breaks(Sabotage::StaleTrim) {
            batch.ops.retain(|op| !matches!(op, waybill_meta::Op::Require(..)));
        }
        Ok((batch, self.record.trim))
    }

    /// An index commit of the chain's writer, which puts the slots below `trim` into the index. To be put together with
    /// the index entries.
    ///
    /// # Errors
    /// Once a recovery has begun, or when the trim would go back.
    pub fn index(&self, trim: u64) -> Result<Batch, ChainRefusal> {
        let frozen = match self.record.life {
            ChainLife::Recovering { .. } => Some(ChainRefusal::Recovering),
            ChainLife::Closed { .. } => Some(ChainRefusal::Closed),
            ChainLife::Open if trim < self.record.trim => Some(ChainRefusal::TrimBack),
            ChainLife::Open => None,
        };
        match frozen {
            Some(refusal) if !self.sabotage.breaks(Sabotage::NoFreeze) => Err(refusal),
            _ => Ok(self.step(ChainRecord { trim, ..self.record }, &[Sabotage::NoFreeze])),
        }
    }

    /// A part of what a recovery found, to be put together with the index entries of some partitions.
    ///
    /// # Errors
    /// Unless the chain is being recovered by `attempt`.
    pub fn part(&self, attempt: Attempt) -> Result<Batch, ChainRefusal> {
        self.recovered_by(attempt)?;
        Ok(self.step(self.record, &[Sabotage::RecoveryUnchecked]))
    }

    /// The last part: everything up to the seal at `end` is in the index.
    ///
    /// # Errors
    /// As [`Self::part`].
    pub fn close(&self, attempt: Attempt, end: u64) -> Result<Batch, ChainRefusal> {
        self.recovered_by(attempt)?;
        let life = ChainLife::Closed { end };
        Ok(self.step(ChainRecord { life, ..self.record }, &[Sabotage::RecoveryUnchecked]))
    }

    /// Whether a slot's object may be deleted, decided after a LIST from the state after a later durable commit.
    /// `named`: the index names it.
    #[must_use]
    pub fn may_delete(&self, slot: u64, named: bool) -> bool {
        match self.record.life {
            // The seal at the end stays for ever: no grace period stops a create that lands late.
            ChainLife::Closed { end } => !named && slot != end,
            ChainLife::Open | ChainLife::Recovering { .. } => false,
        }
    }

    fn recovered_by(&self, by: Attempt) -> Result<(), ChainRefusal> {
        match self.record.life {
            _ if self.sabotage.breaks(Sabotage::RecoveryUnchecked) => Ok(()),
            ChainLife::Recovering { term, attempt } if (Attempt { term, number: attempt }) == by => Ok(()),
            ChainLife::Closed { .. } => Err(ChainRefusal::Closed),
            ChainLife::Recovering { .. } | ChainLife::Open => Err(ChainRefusal::Superseded),
        }
    }

    /// The record becomes `next`, if it is still what was read.
    fn step(&self, next: ChainRecord, unchecked: &[Sabotage]) -> Batch {
        let key = self.key();
        let mut batch = Batch::default();
        if !self.sabotage.any(unchecked) {
            batch.require(key.clone(), Some(self.record.encode()));
        }
        batch.put(key, next.encode());
        batch
    }

    fn key(&self) -> Bytes {
        keys::chain(self.record.node, self.record.incarnation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use waybill_meta::{MemoryMeta, MetaStore};

    const FIRST: Attempt = Attempt { term: 1, number: 9 };
    const SECOND: Attempt = Attempt { term: 2, number: 0 };

    fn registration(incarnation: u64) -> Registration {
        Registration {
            node: BrokerId(1),
            incarnation: Incarnation(incarnation),
            wal_store: StoreId([7; 16]),
            at: TimestampMs(5),
        }
    }

    fn rules(meta: &MemoryMeta) -> ChainRules {
        let found = block_on(meta.get(&keys::chain(BrokerId(1), Incarnation(1)))).unwrap().unwrap();
        ChainRules { record: ChainRecord::decode(&found).unwrap(), sabotage: Sabotage::None }
    }

    fn node(meta: &MemoryMeta) -> Option<NodeRecord> {
        let found = block_on(meta.get(&keys::node(BrokerId(1)))).unwrap();
        found.map(|bytes| NodeRecord::decode(&bytes).unwrap())
    }

    fn registered() -> MemoryMeta {
        let meta = MemoryMeta::default();
        block_on(meta.commit(register(registration(1), None).unwrap())).unwrap();
        meta
    }

    #[test]
    fn an_incarnation_registers_once_and_never_behind_a_newer_one() {
        let meta = registered();
        let again = register(registration(1), None).unwrap();
        assert!(block_on(meta.commit(again)).is_err());
        let known = node(&meta);
        let refused = register(registration(1), known.as_ref());
        assert_eq!(refused, Err(ChainRefusal::NewerIncarnation(Incarnation(1))));
        let other = Registration { wal_store: StoreId([8; 16]), ..registration(2) };
        assert_eq!(register(other, known.as_ref()), Err(ChainRefusal::OtherStore(StoreId([7; 16]))));
        let ring = known.clone().map(|known| NodeRecord { wal_kind: WalKind::File, ..known });
        assert_eq!(register(registration(2), ring.as_ref()), Err(ChainRefusal::OtherKind));
        block_on(meta.commit(register(registration(2), known.as_ref()).unwrap())).unwrap();
        // Decided on what was true before.
        assert!(block_on(meta.commit(register(registration(3), known.as_ref()).unwrap())).is_err());
    }

    #[test]
    fn a_recovery_freezes_the_chain_and_reads_the_trim_that_its_commit_found() {
        let meta = registered();
        let before = rules(&meta);
        block_on(meta.commit(before.index(4).unwrap())).unwrap();
        // Decided on an older trim: not taken.
        assert!(block_on(meta.commit(before.begin(FIRST).unwrap().0)).is_err());
        let now = rules(&meta);
        assert_eq!(now.index(3), Err(ChainRefusal::TrimBack));
        let late = now.index(5).unwrap();
        let (begin, trim) = now.begin(FIRST).unwrap();
        assert_eq!(trim, 4);
        block_on(meta.commit(begin)).unwrap();
        assert!(block_on(meta.commit(late)).is_err());
        assert_eq!(rules(&meta).index(5), Err(ChainRefusal::Recovering));
        assert!(!rules(&meta).may_delete(2, false));
    }

    #[test]
    fn only_the_latest_attempt_closes_a_chain_and_only_once() {
        let meta = registered();
        assert_eq!(rules(&meta).close(FIRST, 9), Err(ChainRefusal::Superseded));
        block_on(meta.commit(rules(&meta).begin(FIRST).unwrap().0)).unwrap();
        let (part, close) = (rules(&meta).part(FIRST).unwrap(), rules(&meta).close(FIRST, 9).unwrap());
        block_on(meta.commit(part.clone())).unwrap();
        assert_eq!(rules(&meta).begin(FIRST), Err(ChainRefusal::Superseded));
        block_on(meta.commit(rules(&meta).begin(SECOND).unwrap().0)).unwrap();
        assert!(block_on(meta.commit(part)).is_err() && block_on(meta.commit(close)).is_err());
        assert_eq!(rules(&meta).part(FIRST), Err(ChainRefusal::Superseded));
        block_on(meta.commit(rules(&meta).close(SECOND, 9).unwrap())).unwrap();
        let closed = rules(&meta);
        assert_eq!(closed.close(SECOND, 9), Err(ChainRefusal::Closed));
        assert_eq!(closed.begin(Attempt { term: 3, number: 0 }), Err(ChainRefusal::Closed));
        assert_eq!(closed.index(9), Err(ChainRefusal::Closed));
        assert!(closed.may_delete(8, false) && closed.may_delete(40, false));
        assert!(!closed.may_delete(9, false) && !closed.may_delete(8, true));
    }
}
