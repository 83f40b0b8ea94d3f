//! What must hold, judged from what happened and from nothing that a process believes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use waybill_control::terms::holder::{Holder, claim_name, term_name};
use waybill_meta::{ChainLife, ChainRecord, Record, TermRecord, keys};
use waybill_types::Incarnation;

use crate::partition::Partition;
use crate::world::{Chain, Commit, PARTITIONS, Slots, What};

/// A record that a producer was told is durable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acked {
    pub(crate) partition: usize,
    pub(crate) record: u64,
    pub(crate) chain: Chain,
    pub(crate) epoch: i32,
    pub(crate) base: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// The first thing that did not hold.
    pub(crate) broken: Option<String>,
    /// Owners that were told of a failed commit.
    pub(crate) failed: BTreeSet<u64>,
    pub(crate) acked: Vec<Acked>,
    pub(crate) commits: u64,
    /// Epochs that ended by a release.
    pub(crate) handovers: u64,
    /// Recoveries' parts but the last.
    pub(crate) parts: u64,
    facts: Vec<What>,
    leaders: BTreeMap<(usize, i32), (usize, Chain)>,
    claimed: BTreeMap<Chain, usize>,
}

fn chain(map: &BTreeMap<Bytes, Bytes>, of: Chain) -> Option<ChainRecord> {
    map.get(&keys::chain(of.0, of.1)).map(|bytes| ChainRecord::decode(bytes).unwrap())
}

fn term(map: &BTreeMap<Bytes, Bytes>) -> Option<TermRecord> {
    map.get(&keys::term()).map(|bytes| TermRecord::decode(bytes).unwrap())
}

impl Checker {
    fn must(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(what());
        }
    }

    /// A process believes that an incarnation is its own.
    pub(crate) fn claims(&mut self, process: usize, holder: &Holder, objects: &BTreeMap<String, Bytes>) {
        let of = (holder.node, holder.incarnation);
        let there = objects.get(&claim_name(of.0, of.1)) == Some(&holder.encode());
        self.must(there, || format!("process {process} believes in a claim {of:?} that is not there"));
        let other = *self.claimed.entry(of).or_insert(process);
        self.must(other == process, || format!("{of:?} is claimed by processes {other} and {process}"));
        // Who claimed before claims again only behind its own claim.
        let earlier = self.claimed.iter().any(|(of, by)| *by == process && of.1 < holder.incarnation);
        let before = claim_name(of.0, Incarnation(of.1.get() - 1));
        let before = objects.get(&before).map(|bytes| Holder::decode(bytes).unwrap());
        let own = before.is_some_and(|before| before.pid == process as u32);
        self.must(own || !earlier, || format!("process {process} claimed {of:?} again, behind another's"));
    }

    pub(crate) fn committed(
        &mut self,
        before: &BTreeMap<Bytes, Bytes>,
        after: &BTreeMap<Bytes, Bytes>,
        commit: &Commit,
        late: bool,
        objects: &BTreeMap<String, Bytes>,
    ) {
        self.commits += 1;
        let failed = self.failed.contains(&commit.epoch) && !late;
        self.must(!failed, || format!("owner {} commits after a failed commit", commit.epoch));
        let (was, is) = (term(before), term(after));
        self.must(is == Some(commit.term), || format!("a commit of {:?} in the term {is:?}", commit.term));
        let (old, new) = (was.map_or(0, |was| was.term), commit.term.term);
        let grew = if commit.what == What::Term { old < new } else { old == new };
        self.must(grew, || format!("the term went from {old} to {new} with {:?}", commit.what));
        let object = objects.get(&term_name(new)).map(|bytes| Holder::decode(bytes).unwrap());
        let winner = object.map(|holder| (holder.node, holder.incarnation));
        self.must(winner == Some((commit.term.node, commit.term.incarnation)), || {
            format!("term {new} was won by {winner:?}, and {:?} commits in it", commit.term)
        });
        self.chain_rules(before, commit);
        (0..PARTITIONS).for_each(|number| self.partition_rules(number, before, after));
        self.facts.push(commit.what.clone());
    }

    fn partition_rules(
        &mut self,
        number: usize,
        before: &BTreeMap<Bytes, Bytes>,
        after: &BTreeMap<Bytes, Bytes>,
    ) {
        let (old, new) = (Partition::read(before, number), Partition::read(after, number));
        self.must(new.epoch >= old.epoch && new.log.starts_with(&old.log), || {
            format!("partition {number} went back: {old:?} to {new:?}")
        });
        let open = |leader| chain(before, leader).is_some_and(|record| record.life == ChainLife::Open);
        self.handovers += u64::from(new.epoch > old.epoch && old.leader.is_some_and(open));
        let once: BTreeSet<u64> = new.log.iter().copied().collect();
        self.must(once.len() == new.log.len(), || format!("a record twice in the log {:?}", new.log));
    }

    fn chain_rules(&mut self, before: &BTreeMap<Bytes, Bytes>, commit: &Commit) {
        match &commit.what {
            What::Index(of) => {
                let life = chain(before, *of).map(|record| record.life);
                self.must(life == Some(ChainLife::Open), || format!("index commit of {of:?}, {life:?}"));
            }
            What::Begin { chain: of, trim, .. } => {
                let found = chain(before, *of).map(|record| record.trim);
                self.must(found == Some(*trim), || format!("recovery of {of:?} from {trim}, not {found:?}"));
            }
            What::Part { chain: of, attempt } | What::Close { chain: of, attempt } => {
                self.parts += u64::from(matches!(commit.what, What::Part { .. }));
                let life = chain(before, *of).map(|record| record.life);
                let own = ChainLife::Recovering { term: attempt.term, attempt: attempt.number };
                self.must(life == Some(own), || format!("{of:?} recovered by {attempt:?} while {life:?}"));
            }
            What::Term | What::Register(_) | What::Assign(..) | What::Intend(..) | What::CallOff => {}
        }
    }

    /// An owner tells a decision to whom it concerns.
    pub(crate) fn told(&mut self, what: &What, epoch: u64) {
        let durable = self.facts.contains(what);
        self.must(durable, || format!("owner {epoch} told {what:?}, which is not durable"));
        let failed = self.failed.contains(&epoch);
        self.must(!failed, || format!("owner {epoch} told {what:?} after a failed commit"));
    }

    /// A process begins to lead.
    pub(crate) fn leads(&mut self, process: usize, of: Chain, partition: usize, epoch: i32) {
        let first = *self.leaders.entry((partition, epoch)).or_insert((process, of));
        self.must(first == (process, of), || {
            format!("epoch {epoch} of partition {partition} led by {first:?} and {:?}", (process, of))
        });
    }

    /// A recovery found everything up to the seal.
    pub(crate) fn no_gap(&mut self, gap: bool, of: Chain) {
        self.must(!gap, || format!("a batch is missing in the recovery of {of:?}"));
    }

    /// No acked record is lost, and each is at its offset: in the log, or in the part of its leader's chain that is not in
    /// the index yet.
    pub(crate) fn nothing_lost(&mut self, durable: &BTreeMap<Bytes, Bytes>, chains: &BTreeMap<Chain, Slots>) {
        for acked in self.acked.clone() {
            let partition = Partition::read(durable, acked.partition);
            let trim = chain(durable, acked.chain).map_or(1, |record| record.trim);
            let leads = partition.leader == Some(acked.chain) && partition.epoch == acked.epoch;
            let waits = leads
                && acked.base >= partition.log.len() as i64
                && chains.get(&acked.chain).is_some_and(|slots| {
                    slots
                        .between(trim, slots.end())
                        .any(|slot| (slot.record, slot.base) == (acked.record, acked.base))
                });
            let kept = waits || partition.log.get(acked.base as usize) == Some(&acked.record);
            self.must(kept, || format!("{acked:?} is lost: {partition:?}"));
        }
    }
}
