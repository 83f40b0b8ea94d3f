//! What all processes share: objects, the durable metadata, chains of slots, messages on their way.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use waybill_control::terms::assign::{Assign, Released};
use waybill_control::terms::chains::Attempt;
use waybill_control::terms::sabotage::Sabotage;
use waybill_meta::{Batch, MetaError, Op, TermRecord};
use waybill_rt::{Entropy, SeededEntropy};
use waybill_types::{BrokerId, Incarnation, LeaderEpoch, PartitionId, TopicId, TopicPartition};

use crate::checker::Checker;

/// A node and its incarnation: a chain, too.
pub(crate) type Chain = (BrokerId, Incarnation);

/// The rule that a run leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    Rule(Sabotage),
    Chain(waybill_wal::Sabotage),
    /// A recovery takes what it finds and does not seal.
    NoSeal,
    /// A partition is given to another incarnation while its leader's chain is open.
    MoveUnrecovered,
    /// A broker says that it has released an epoch while slots of it are on their way.
    ReleaseEarly,
    /// A recovery closes its chain before every partition had its part.
    CloseEarly,
    /// A handover whose intent is durable is called off, and an answer to it is ignored.
    CallOff,
}

/// What a commit decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Term,
    Register(Chain),
    Assign(Assign, BrokerId),
    /// A partition's epoch shall end by its leader's release.
    Intend(usize, LeaderEpoch, Chain),
    CallOff,
    Index(Chain),
    Begin {
        chain: Chain,
        attempt: Attempt,
        trim: u64,
    },
    /// What a recovery found of one partition.
    Part {
        chain: Chain,
        attempt: Attempt,
    },
    /// The last part, and the end of the chain.
    Close {
        chain: Chain,
        attempt: Attempt,
    },
}

/// A commit on its way.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) epoch: u64,
    pub(crate) term: TermRecord,
    pub(crate) batch: Batch,
    pub(crate) what: What,
}

/// An owner's open metadata store: what it believes is there.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(crate) epoch: u64,
    pub(crate) view: BTreeMap<Bytes, Bytes>,
}

/// A slot of a chain: one record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) partition: usize,
    pub(crate) epoch: i32,
    pub(crate) base: i64,
    pub(crate) record: u64,
}

/// A chain on the store. Slot 0 is the open record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots {
    pub(crate) data: Vec<Slot>,
    /// Sent, in order, and not durable. That they land in any order is the chain's own simulation's business.
    pub(crate) flying: VecDeque<Slot>,
    pub(crate) sealed: bool,
}

impl Slots {
    /// The slot behind the last one.
    pub(crate) fn end(&self) -> u64 {
        self.data.len() as u64 + 1
    }

    pub(crate) fn between(&self, from: u64, to: u64) -> impl Iterator<Item = Slot> + '_ {
        let (from, to) = (from.max(1) as usize - 1, (to.max(1) as usize - 1).min(self.data.len()));
        self.data[from.min(to)..to].iter().copied()
    }

    /// The next one that was sent becomes durable, or meets the seal.
    fn land(&mut self) {
        if let Some(slot) = self.flying.pop_front()
            && !self.sealed
        {
            self.data.push(slot);
        }
    }
}

/// What an owner says to brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Assign(Assign),
    Release(usize, LeaderEpoch, Incarnation),
}

/// A message to a node on its way. It may arrive at any time, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) term: u64,
    pub(crate) node: BrokerId,
    pub(crate) order: Order,
}

/// A broker's answer to a release: whoever owns the metadata may get it, at any time, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) released: Released,
    /// The slot behind its last one.
    pub(crate) end: u64,
}

pub(crate) struct World {
    pub(crate) rng: SeededEntropy,
    pub(crate) mutant: Mutant,
    /// Whether brokers ignore messages of terms below one that they have heard of.
    pub(crate) check_term: bool,
    pub(crate) calm: bool,
    pub(crate) objects: BTreeMap<String, Bytes>,
    late_objects: Vec<(String, Bytes)>,
    pub(crate) durable: BTreeMap<Bytes, Bytes>,
    pub(crate) epoch: u64,
    late_commits: Vec<Commit>,
    pub(crate) chains: BTreeMap<Chain, Slots>,
    pub(crate) requests: Vec<Chain>,
    /// Chains whose registration is durable, as their brokers were told.
    pub(crate) registered: Vec<Chain>,
    /// Terms whose holder runs.
    pub(crate) reigning: Vec<u64>,
    /// Chains whose writer runs.
    pub(crate) living: Vec<Chain>,
    pub(crate) messages: Vec<Message>,
    pub(crate) freed: Vec<Freed>,
    pub(crate) records: u64,
    pub(crate) checker: Checker,
}

/// Partitions, by number.
pub(crate) const PARTITIONS: usize = 2;

pub(crate) fn partition(number: usize) -> TopicPartition {
    TopicPartition::new(TopicId([9; 16]), PartitionId(number as i32))
}

pub(crate) fn number(of: TopicPartition) -> usize {
    (0..PARTITIONS).find(|number| partition(*number) == of).unwrap()
}

/// What became of a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    Created,
    Exists,
    Unknown,
}

impl World {
    pub(crate) fn new(seed: u64, mutant: Mutant, check_term: bool) -> Self {
        Self {
            rng: SeededEntropy::new(seed),
            mutant,
            check_term,
            calm: false,
            objects: BTreeMap::new(),
            late_objects: Vec::new(),
            durable: BTreeMap::new(),
            epoch: 0,
            late_commits: Vec::new(),
            chains: BTreeMap::new(),
            requests: Vec::new(),
            registered: Vec::new(),
            reigning: Vec::new(),
            living: Vec::new(),
            messages: Vec::new(),
            freed: Vec::new(),
            records: 0,
            checker: Checker::default(),
        }
    }

    pub(crate) fn sabotage(&self) -> Sabotage {
        match self.mutant {
            Mutant::Rule(rule) => rule,
            _ => Sabotage::None,
        }
    }

    pub(crate) fn chain_sabotage(&self) -> waybill_wal::Sabotage {
        match self.mutant {
            Mutant::Chain(rule) => rule,
            _ => waybill_wal::Sabotage::None,
        }
    }

    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    /// Whether something goes wrong this time.
    pub(crate) fn fault(&self, percent: u64) -> bool {
        !self.calm && self.chance(percent)
    }

    /// One of some things, if there are any.
    pub(crate) fn one_of<T: Copy>(&self, some: &[T]) -> Option<T> {
        let count = some.len() as u64;
        (count > 0).then(|| some[self.rng.below(count) as usize])
    }

    /// A create: plain, or of unknown outcome: lost, applied, applied later, or said to exist although it is only contended.
    pub(crate) fn put(&mut self, name: &str, bytes: &Bytes) -> Put {
        if self.fault(30) {
            match self.rng.below(4) {
                0 => return Put::Unknown,
                1 => {
                    self.create(name, bytes);
                    return if self.chance(50) { Put::Unknown } else { Put::Exists };
                }
                2 => {
                    self.late_objects.push((name.to_owned(), bytes.clone()));
                    return if self.chance(50) { Put::Unknown } else { Put::Exists };
                }
                _ => self.late_objects.push((name.to_owned(), bytes.clone())),
            }
        }
        if self.create(name, bytes) { Put::Created } else { Put::Exists }
    }

    fn create(&mut self, name: &str, bytes: &Bytes) -> bool {
        let free = !self.objects.contains_key(name);
        if free {
            self.objects.insert(name.to_owned(), bytes.clone());
        }
        free
    }

    /// Lets something land that was on its way, whatever has become of who sent it.
    pub(crate) fn land_something_late(&mut self) {
        if !self.late_objects.is_empty() && self.chance(20) {
            let at = self.rng.below(self.late_objects.len() as u64) as usize;
            let (name, bytes) = self.late_objects.swap_remove(at);
            self.create(&name, &bytes);
        }
        if !self.late_commits.is_empty() && self.chance(20) {
            let at = self.rng.below(self.late_commits.len() as u64) as usize;
            let commit = self.late_commits.swap_remove(at);
            self.apply(&commit, true);
        }
        let flying: Vec<Chain> =
            self.chains.iter().filter(|(_, slots)| !slots.flying.is_empty()).map(|(of, _)| *of).collect();
        if self.chance(20)
            && let Some(of) = self.one_of(&flying)
            && let Some(slots) = self.chains.get_mut(&of)
        {
            slots.land();
        }
    }

    /// Says something to a node. Once is enough: it stays on its way.
    pub(crate) fn say(&mut self, message: Message) {
        if !self.messages.contains(&message) {
            self.messages.push(message);
        }
    }

    /// Opening fences whoever had the store open.
    pub(crate) fn open(&mut self) -> Handle {
        self.epoch += 1;
        Handle { epoch: self.epoch, view: self.durable.clone() }
    }

    /// A commit: checked against what its owner believes, then made durable, or not, or later.
    pub(crate) fn commit(&mut self, handle: &mut Handle, commit: Commit) -> Result<(), MetaError> {
        // Without the rule it was accepted when it was decided.
        let accepted = self.mutant == Mutant::Rule(Sabotage::TellBeforeDurable) && commit.what != What::Term;
        for op in commit.batch.ops.iter().filter(|_| !accepted) {
            if let Op::Require(key, expected) = op
                && handle.view.get(key) != expected.as_ref()
            {
                return Err(MetaError::Conflict(key.clone()));
            }
        }
        // Accepted in memory, as a fenced owner was seen to do.
        write(&mut handle.view, &commit.batch);
        let failed = || Err(MetaError::Failed("unknown".into()));
        let result = if self.fault(8) {
            match self.rng.below(3) {
                0 => {}
                1 => drop(self.apply(&commit, false)),
                _ => self.late_commits.push(commit.clone()),
            }
            failed()
        } else if self.apply(&commit, false) {
            Ok(())
        } else {
            Err(MetaError::Fenced("a newer owner".into()))
        };
        if result.is_err() {
            self.checker.failed.insert(commit.epoch);
        }
        result
    }

    fn apply(&mut self, commit: &Commit, late: bool) -> bool {
        if commit.epoch != self.epoch {
            return false;
        }
        let before = self.durable.clone();
        write(&mut self.durable, &commit.batch);
        self.checker.committed(&before, &self.durable, commit, late, &self.objects);
        true
    }
}

/// Applies a batch whose requirements hold.
pub(crate) fn write(map: &mut BTreeMap<Bytes, Bytes>, batch: &Batch) {
    for op in &batch.ops {
        match op {
            Op::Put(key, value) => drop(map.insert(key.clone(), value.clone())),
            Op::Delete(key) => drop(map.remove(key)),
            Op::Require(..) => {}
        }
    }
}
