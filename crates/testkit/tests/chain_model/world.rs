//! The state.

use waybill_wal::Sabotage;
use waybill_wal::chain::follow::Follower;
use waybill_wal::chain::ledger::{Attempt, Ledger};
use waybill_wal::chain::names::Slot;
use waybill_wal::chain::seal::Sealer;
use waybill_wal::chain::writer::{PutAnswer, Writer};

/// How much can happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) depth: u32,
    /// Data slots that the writer sends.
    pub(crate) slots: Slot,
    pub(crate) recoverers: usize,
    /// Answers that are lost or never come.
    pub(crate) timeouts: u8,
    /// Creates that are applied a second time.
    pub(crate) twice: u8,
    pub(crate) hedges: u8,
    pub(crate) commits: u8,
    pub(crate) deletes: u8,
    pub(crate) reader: bool,
    pub(crate) sabotage: Sabotage,
}

/// What a slot holds. A record is named by the slot that it was first sent in; other bytes for the same slot by 100 more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Object {
    Nothing,
    Record(u8),
    /// Data without records: mutants only.
    Void,
    Seal,
}

pub(crate) const SLOTS: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Sender {
    Writer,
    Recoverer(u8),
    /// Its sender has given it up, or was answered.
    Nobody,
}

/// A create on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Create {
    pub(crate) slot: u8,
    pub(crate) object: Object,
    pub(crate) sender: Sender,
    /// Set once it was applied.
    pub(crate) answer: Option<PutAnswer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Recoverer {
    pub(crate) attempt: Attempt,
    pub(crate) trim: Slot,
    pub(crate) begun: bool,
    pub(crate) sealer: Sealer,
    /// Its create is on its way.
    pub(crate) waits: bool,
    /// The records that its walk passed.
    pub(crate) passed: Vec<(u8, Object)>,
    pub(crate) committed: bool,
}

/// Where the index says that a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Slot(u8),
    Segment,
}

/// An index commit of the writer on its way to the metadata store: the slots `from..upto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Commit {
    pub(crate) from: Slot,
    pub(crate) upto: Slot,
    /// It names a segment that the records were written to, not their slots.
    pub(crate) rewritten: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) objects: [Object; SLOTS],
    pub(crate) network: Vec<Create>,
    pub(crate) writer: Writer,
    /// The bytes of each slot at the writer.
    pub(crate) sent: [Object; SLOTS],
    /// Slots that the writer reads back.
    pub(crate) reading: Vec<u8>,
    pub(crate) acked: Vec<Object>,
    pub(crate) recoverers: Vec<Recoverer>,
    pub(crate) ledger: Ledger,
    pub(crate) index: Vec<(Object, Place)>,
    pub(crate) commit: Option<Commit>,
    /// A record that the next leader appended and acked: its offset.
    pub(crate) next_leader: Option<u8>,
    pub(crate) follower: Follower,
    /// What the reader was shown: offset and record.
    pub(crate) seen: Vec<(u8, Object)>,
    pub(crate) timeouts: u8,
    pub(crate) twice: u8,
    pub(crate) hedges: u8,
    pub(crate) commits: u8,
    pub(crate) deletes: u8,
    pub(crate) sabotage: Sabotage,
}

/// The record of the next leader.
pub(crate) const NEXT_LEADERS: Object = Object::Record(200);

impl World {
    pub(crate) fn new(bounds: &Bounds) -> Self {
        let recoverer = |number: usize| Recoverer {
            attempt: Attempt { term: 1, number: number as u64 },
            trim: 1,
            begun: false,
            sealer: Sealer::new(1, bounds.sabotage),
            waits: false,
            passed: Vec::new(),
            committed: false,
        };
        Self {
            objects: [Object::Nothing; SLOTS],
            network: Vec::new(),
            writer: Writer::new(bounds.depth, bounds.sabotage),
            sent: [Object::Nothing; SLOTS],
            reading: Vec::new(),
            acked: Vec::new(),
            recoverers: (0..bounds.recoverers).map(recoverer).collect(),
            ledger: Ledger::registered(bounds.sabotage),
            index: Vec::new(),
            commit: None,
            next_leader: None,
            follower: Follower::new(1, bounds.sabotage),
            seen: Vec::new(),
            timeouts: bounds.timeouts,
            twice: bounds.twice,
            hedges: bounds.hedges,
            commits: bounds.commits,
            deletes: bounds.deletes,
            sabotage: bounds.sabotage,
        }
    }

    pub(crate) fn is_data(&self, slot: Slot) -> bool {
        matches!(self.objects.get(slot as usize), Some(Object::Record(_) | Object::Void))
    }
}
