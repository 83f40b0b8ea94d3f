//! A process: claims an incarnation, takes part in the election, rules when it has won, and serves as a broker.

use bytes::Bytes;
use waybill_control::terms::assign::{Assign, Assignments, Released, Taken};
use waybill_control::terms::claim::{Claim, ClaimAction, NodeChoice, may_claim_again};
use waybill_control::terms::election::{Election, ElectionAction, ElectionEvent, Newest};
use waybill_control::terms::holder::{
    Holder, TERMS, claim_name, claims_of, parse_claim, parse_term, term_name,
};
use waybill_control::terms::reign::{Reign, first_commit};
use waybill_control::terms::settle::{CreateAnswer, ReadBack, Settle, SettleAction};
use waybill_meta::{Record, TermRecord, keys};
use waybill_rt::Entropy;
use waybill_types::{BrokerId, Incarnation, LeaderEpoch, Offset, TimestampMs};

use crate::checker::Acked;
use crate::owner::Recovery;
use crate::partition::chain_id;
use crate::world::{
    Chain, Commit, Freed, Handle, Mutant, Order, PARTITIONS, Put, Slot, What, World, number, partition,
};

/// A create under way.
struct Creating {
    settle: Settle,
    name: String,
    bytes: Bytes,
}

pub(crate) struct Process {
    pub(crate) id: usize,
    pub(crate) node: BrokerId,
    pub(crate) frozen: bool,
    pub(crate) dead: bool,
    nonce: u64,
    creating: Option<Creating>,
    claim: Claim,
    claiming_again: bool,
    pub(crate) holder: Option<Holder>,
    pub(crate) election: Election,
    pub(crate) handle: Option<Handle>,
    stored: Option<Bytes>,
    /// As whom it created the object of the term that it runs for; it may have claimed again since.
    candidate: Option<Chain>,
    pub(crate) reign: Option<Reign<What>>,
    pub(crate) under_way: Option<Commit>,
    /// Decisions that are waiting or under way, in order.
    pub(crate) decided: Vec<What>,
    pub(crate) recoveries: Vec<Recovery>,
    pub(crate) attempts: u64,
    requested: bool,
    assignments: Assignments,
    heard_term: u64,
    /// The offset of its next record of each partition.
    log_ends: [i64; PARTITIONS],
    /// Slots of its chain that it knows to be durable.
    known: usize,
    /// Epochs that it was asked to release and has not answered.
    releasing: Vec<(usize, LeaderEpoch)>,
}

impl Process {
    pub(crate) fn new(id: usize, node: BrokerId, world: &World) -> Self {
        let sabotage = world.sabotage();
        Self {
            id,
            node,
            frozen: false,
            dead: false,
            nonce: world.rng.next_u64(),
            creating: None,
            claim: Claim::new(NodeChoice::Fixed(node)),
            claiming_again: false,
            holder: None,
            election: Election::new(sabotage),
            handle: None,
            stored: None,
            candidate: None,
            reign: None,
            under_way: None,
            decided: Vec::new(),
            recoveries: Vec::new(),
            attempts: 0,
            requested: false,
            assignments: Assignments::new(Incarnation(0), sabotage),
            heard_term: 0,
            log_ends: [0; PARTITIONS],
            known: 0,
            releasing: Vec::new(),
        }
    }

    /// What it does now, to be shown.
    pub(crate) fn doing(&self) -> String {
        let Self { id, dead, claiming_again, .. } = self;
        let (chain, action) = (self.chain(), self.election.action());
        let leads: Vec<_> = (0..PARTITIONS).map(|number| self.leads(number)).collect();
        format!("{id} {chain:?} dead {dead} claims {claiming_again} leads {leads:?} {action:?}")
    }

    pub(crate) fn runs(&self) -> bool {
        !self.frozen && !self.dead
    }

    pub(crate) fn chain(&self) -> Option<Chain> {
        self.holder.as_ref().map(|holder| (holder.node, holder.incarnation))
    }

    /// One step of this process.
    pub(crate) fn step(&mut self, world: &mut World) {
        if self.holder.is_none() || self.claiming_again {
            self.step_claim(world);
        } else if world.chance(50) {
            self.serve(world);
        } else {
            self.step_election(world);
        }
    }

    fn object(&self, incarnation: Incarnation) -> Holder {
        Holder {
            node: self.node,
            incarnation,
            host: "sim".to_owned(),
            pid: self.id as u32,
            address: String::new(),
            nonce: self.nonce,
            written: TimestampMs(0),
        }
    }

    /// One request of a create; `Some` once the outcome is known.
    fn settle(&mut self, world: &mut World) -> Option<bool> {
        let creating = self.creating.as_mut()?;
        match creating.settle.action() {
            SettleAction::Put => creating.settle.answered(match world.put(&creating.name, &creating.bytes) {
                Put::Created => CreateAnswer::Created,
                Put::Exists => CreateAnswer::Exists,
                Put::Unknown => CreateAnswer::Unknown,
            }),
            SettleAction::Read => creating.settle.read(match world.objects.get(&creating.name) {
                _ if world.fault(10) => ReadBack::Failed,
                Some(found) if *found == creating.bytes => ReadBack::Ours,
                Some(_) => ReadBack::Others,
                None => ReadBack::Absent,
            }),
            SettleAction::Done { ours } => return Some(ours),
        }
        None
    }

    fn step_claim(&mut self, world: &mut World) {
        match self.claim.action() {
            ClaimAction::List(_) => {
                let prefix = claims_of(self.node);
                let names = world.objects.keys().filter(|name| name.starts_with(&prefix));
                let claims: Vec<_> = names.filter_map(|name| parse_claim(name)).collect();
                if self.claiming_again && !self.may_claim_again(world, &claims) {
                    self.dead = true;
                    return;
                }
                self.claim.listed(&claims);
            }
            ClaimAction::Create(node, incarnation) => {
                if self.creating.is_none() {
                    let holder = self.object(incarnation);
                    let name = claim_name(node, incarnation);
                    let settle = Settle::new(world.sabotage());
                    self.creating = Some(Creating { settle, name, bytes: holder.encode() });
                }
                if world.fault(2) {
                    // Given up: it may appear at any later time.
                    self.creating = None;
                    self.claim = Claim::new(NodeChoice::Fixed(self.node));
                } else if let Some(ours) = self.settle(world) {
                    self.claim.settled(ours);
                    if let Some(creating) = self.creating.take().filter(|_| ours) {
                        self.claimed(world, Holder::decode(&creating.bytes).unwrap());
                    }
                }
            }
            ClaimAction::Done(..) => {}
        }
    }

    fn may_claim_again(&self, world: &World, claims: &[Chain]) -> bool {
        let (Some(mine), Some(newest)) = (&self.holder, claims.iter().map(|(_, e)| *e).max()) else {
            return false;
        };
        let found = world.objects.get(&claim_name(self.node, newest)).map(|bytes| Holder::decode(bytes));
        found.is_some_and(|found| may_claim_again(mine, &found.unwrap(), world.sabotage()).is_ok())
    }

    fn claimed(&mut self, world: &mut World, holder: Holder) {
        world.checker.claims(self.id, &holder, &world.objects);
        world.chains.entry((holder.node, holder.incarnation)).or_default();
        self.assignments = Assignments::new(holder.incarnation, world.sabotage());
        self.holder = Some(holder);
        (self.claiming_again, self.requested, self.known) = (false, false, 0);
        self.releasing.clear();
    }

    /// The epoch in which it leads a partition, if it does.
    pub(crate) fn leads(&self, number: usize) -> Option<LeaderEpoch> {
        self.assignments.leads(partition(number)).filter(|_| !self.claiming_again)
    }

    /// As a broker: registers its chain, hears the owner, appends, acks, and meets seals.
    fn serve(&mut self, world: &mut World) {
        let Some(chain) = self.chain() else { return };
        if !self.requested {
            self.requested = true;
            world.requests.push(chain);
            return;
        }
        let Some(slots) = world.chains.get_mut(&chain) else { return };
        for Slot { partition, epoch, base, record } in slots.data.iter().skip(self.known).copied() {
            world.checker.acked.push(Acked { partition, record, chain, epoch, base });
        }
        self.known = slots.data.len();
        let (durable, sealed) = (slots.flying.is_empty(), slots.sealed);
        let any = world.rng.below(PARTITIONS as u64) as usize;
        if sealed {
            self.assignments.stop();
            self.releasing.clear();
            self.claiming_again = true;
            self.claim = Claim::new(NodeChoice::Fixed(self.node));
            self.creating = None;
        } else if let Some(epoch) = self.leads(any).filter(|_| world.chance(50)) {
            world.records += 1;
            let (base, record) = (self.log_ends[any], world.records);
            let slot = Slot { partition: any, epoch: epoch.get(), base, record };
            self.log_ends[any] += 1;
            world.chains.entry(chain).or_default().flying.push_back(slot);
        } else if !self.releasing.is_empty() && (durable || world.mutant == Mutant::ReleaseEarly) {
            let end = world.chains.get(&chain).map_or(1, |slots| slots.end());
            for (number, epoch) in self.releasing.drain(..) {
                let released = Released { partition: partition(number), epoch, chain: chain_id(chain) };
                world.freed.push(Freed { released, end });
            }
        } else {
            self.hear(world, chain);
        }
    }

    /// Any message for this node, again and again, in any order.
    fn hear(&mut self, world: &mut World, chain: Chain) {
        let mine: Vec<_> =
            world.messages.iter().filter(|message| message.node == self.node).copied().collect();
        // What was said last is more likely to arrive when all is calm.
        let old = if world.calm { mine.len().saturating_sub(12) } else { 0 };
        let Some(message) = world.one_of(&mine[old..]).filter(|_| world.registered.contains(&chain)) else {
            return;
        };
        if world.check_term && message.term < self.heard_term {
            return;
        }
        self.heard_term = self.heard_term.max(message.term);
        match message.order {
            Order::Assign(assign) => self.assigned(world, chain, &assign),
            Order::Release(number, epoch, incarnation) if incarnation == chain.1 => {
                self.assignments.release(partition(number), epoch);
                if !self.releasing.contains(&(number, epoch)) {
                    self.releasing.push((number, epoch));
                }
            }
            Order::Release(..) => {}
        }
    }

    fn assigned(&mut self, world: &mut World, chain: Chain, assign: &Assign) {
        if self.assignments.assign(assign) == Taken::Lead {
            let (LeaderEpoch(epoch), Offset(start)) = (assign.epoch, assign.start);
            let of = number(assign.partition);
            self.log_ends[of] = start;
            world.checker.leads(self.id, chain, of, epoch);
        }
    }

    fn step_election(&mut self, world: &mut World) {
        let event = match self.election.action() {
            ElectionAction::Wait(_) => ElectionEvent::Waited,
            ElectionAction::FindNewest if world.fault(5) => ElectionEvent::Failed,
            ElectionAction::FindNewest => ElectionEvent::Newest(self.find_newest(world)),
            ElectionAction::Watch(term) => {
                // A suspicion may be wrong, except when all is calm.
                let lives = world.reigning.contains(&term);
                let percent = if world.calm && lives { 0 } else { 5 };
                if !world.chance(percent) {
                    return;
                }
                ElectionEvent::Lost(term)
            }
            ElectionAction::Create(term) => match self.create_term(world, term) {
                Some(event) => event,
                None => return,
            },
            ElectionAction::Open(_) if world.fault(5) => {
                // It may have fenced the owner before it, and still have failed.
                drop(world.open());
                ElectionEvent::Failed
            }
            ElectionAction::Open(_) => {
                let handle = world.open();
                self.stored = handle.view.get(&keys::term()).cloned();
                let stored = self.stored.as_ref().map_or(0, |term| TermRecord::decode(term).unwrap().term);
                self.handle = Some(handle);
                ElectionEvent::Opened { stored }
            }
            ElectionAction::CommitTerm(term) => self.commit_term(world, term),
            ElectionAction::Reign(_) => match self.rule(world) {
                Some(event) => event,
                None => return,
            },
            ElectionAction::Close => {
                (self.handle, self.reign, self.under_way) = (None, None, None);
                self.decided.clear();
                ElectionEvent::Closed
            }
        };
        self.election.on(event);
    }

    fn find_newest(&self, world: &World) -> Option<Newest> {
        let (node, incarnation) = self.chain()?;
        let newest = world.objects.keys().rfind(|name| name.starts_with(TERMS))?;
        let term = parse_term(newest)?;
        let holder = Holder::decode(world.objects.get(newest)?).unwrap();
        let own = holder.node == node && holder.incarnation <= incarnation;
        Some(Newest { term, own })
    }

    fn create_term(&mut self, world: &mut World, term: u64) -> Option<ElectionEvent> {
        if self.creating.is_none() {
            let (_, incarnation) = self.chain()?;
            self.candidate = self.chain();
            let bytes = self.object(incarnation).encode();
            let settle = Settle::new(world.sabotage());
            self.creating = Some(Creating { settle, name: term_name(term), bytes });
        }
        if world.fault(3) {
            // Given up: it may appear at any later time.
            self.creating = None;
            return Some(ElectionEvent::Failed);
        }
        let ours = self.settle(world)?;
        self.creating = None;
        Some(ElectionEvent::Settled { ours })
    }

    fn commit_term(&mut self, world: &mut World, term: u64) -> ElectionEvent {
        let Some((node, incarnation)) = self.candidate else { return ElectionEvent::Ended };
        let term = TermRecord { term, node, incarnation };
        let Some(handle) = &mut self.handle else { return ElectionEvent::Ended };
        let batch = first_commit(term, self.stored.clone());
        let commit = Commit { epoch: handle.epoch, term, batch, what: What::Term };
        match world.commit(handle, commit) {
            Ok(()) => {
                self.reign = Some(Reign::new(term, world.sabotage()));
                ElectionEvent::Committed
            }
            Err(_) => ElectionEvent::Ended,
        }
    }
}
