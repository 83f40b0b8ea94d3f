//! What a process does while it rules: registers chains, gives the partition to one, puts slots into the index, hands over,
//! recovers.

use waybill_control::terms::assign::Assign;
use waybill_control::terms::chains::{Attempt, ChainRules, Refusal, Registration, register};
use waybill_control::terms::election::ElectionEvent;
use waybill_control::terms::reign::ReignAction;
use waybill_control::terms::sabotage::Sabotage;
use waybill_meta::{Batch, ChainLife, ChainRecord, CommitSeq, NodeRecord, Record, keys};
use waybill_rt::Entropy;
use waybill_types::{LeaderEpoch, Offset, StoreId, TimestampMs};
use waybill_wal::Sabotage as ChainSabotage;

use crate::partition::{Partition, chain_id};
use crate::process::Process;
use crate::world::{
    Chain, Commit, Handle, Message, Mutant, Order, PARTITIONS, Slot, What, World, number, partition, write,
};

/// A recovery that was begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery {
    chain: Chain,
    attempt: Attempt,
    trim: u64,
    end: Option<u64>,
}

/// Decisions that wait in a process.
const WAITING: usize = 3;

fn chain_record(handle: &Handle, of: Chain) -> Option<ChainRecord> {
    handle.view.get(&keys::chain(of.0, of.1)).map(|bytes| ChainRecord::decode(bytes).unwrap())
}

fn node_record(handle: &Handle, of: Chain) -> Option<NodeRecord> {
    handle.view.get(&keys::node(of.0)).map(|bytes| NodeRecord::decode(bytes).unwrap())
}

fn all_chains(handle: &Handle) -> Vec<ChainRecord> {
    let chains = handle.view.range(keys::chains()).map(|(_, bytes)| ChainRecord::decode(bytes).unwrap());
    chains.collect()
}

/// The assignment that a partition's epoch began with.
fn assignment(number: usize, of: &Partition) -> Option<(Assign, Chain)> {
    let leader = of.leader?;
    let assign = Assign {
        partition: partition(number),
        epoch: LeaderEpoch(of.epoch),
        incarnation: leader.1,
        start: Offset(of.start),
    };
    Some((assign, leader))
}

impl Process {
    /// One step as the owner; an event when the term is over.
    pub(crate) fn rule(&mut self, world: &mut World) -> Option<ElectionEvent> {
        let handle = self.handle.as_ref()?;
        if handle.epoch != world.epoch && world.chance(5) {
            // It notices that there is a newer owner.
            let ended = self.reign.as_mut().map(|reign| reign.end());
            drop(ended);
            self.reign = None;
            return Some(ElectionEvent::Ended);
        }
        if self.under_way.is_some() && world.chance(50) {
            self.finish(world);
        } else if self.waiting() < WAITING {
            self.decide_something(world);
        }
        let over = self.reign.as_ref().is_none_or(|reign| reign.is_over());
        over.then(|| {
            self.reign = None;
            ElectionEvent::Ended
        })
    }

    fn waiting(&self) -> usize {
        self.decided.len()
    }

    fn finish(&mut self, world: &mut World) {
        let (Some(commit), Some(handle)) = (self.under_way.take(), self.handle.as_mut()) else { return };
        self.decided.remove(0);
        let result = world.commit(handle, commit).map(|()| CommitSeq(0));
        let Some(reign) = &mut self.reign else { return };
        let actions = reign.committed(result);
        self.carry_out(world, actions);
    }

    fn decide_something(&mut self, world: &mut World) {
        let Some((batch, what)) = self.choose(world) else { return };
        if world.mutant == Mutant::Rule(Sabotage::TellBeforeDurable)
            && let Some(handle) = &mut self.handle
        {
            // Accepted in memory, believed in.
            write(&mut handle.view, &batch);
        }
        let Some(reign) = &mut self.reign else { return };
        if let Ok(actions) = reign.decide(batch, what.clone()) {
            self.decided.push(what);
            self.carry_out(world, actions);
        }
    }

    fn carry_out(&mut self, world: &mut World, actions: Vec<ReignAction<What>>) {
        let Some(term) = self.reign.as_ref().map(|reign| reign.term()) else { return };
        let Some(epoch) = self.handle.as_ref().map(|handle| handle.epoch) else { return };
        for action in actions {
            match action {
                ReignAction::Commit(batch) => {
                    let what = self.decided.first().cloned().unwrap_or(What::Term);
                    self.under_way = Some(Commit { epoch, term, batch, what });
                }
                ReignAction::Tell(what) => {
                    world.checker.told(&what, epoch);
                    self.tell(world, term.term, what);
                }
                ReignAction::HandBack(_) | ReignAction::End(_) => {}
            }
        }
    }

    fn tell(&mut self, world: &mut World, term: u64, what: What) {
        match what {
            What::Register(chain) => {
                world.requests.retain(|request| *request != chain);
                world.registered.push(chain);
            }
            What::Assign(assign, node) => world.say(Message { term, node, order: Order::Assign(assign) }),
            What::Intend(of, epoch, (node, incarnation)) => {
                world.say(Message { term, node, order: Order::Release(of, epoch, incarnation) });
            }
            What::Begin { chain, attempt, trim } => {
                self.recoveries.push(Recovery { chain, attempt, trim, end: None });
            }
            What::Close { chain, attempt } => {
                self.recoveries.retain(|recovery| (recovery.chain, recovery.attempt) != (chain, attempt));
            }
            What::Term | What::Index(_) | What::CallOff | What::Part { .. } => {}
        }
    }

    fn choose(&mut self, world: &mut World) -> Option<(Batch, What)> {
        let any = world.rng.below(PARTITIONS as u64) as usize;
        match world.rng.below(10) {
            0 => self.choose_register(world),
            1 => self.choose_assign(world, any),
            2 => self.choose_index(world),
            3 => self.choose_begin(world),
            4 | 5 => self.choose_recovery(world),
            6 => self.choose_intent(world, any),
            7 | 8 => self.choose_handover(world),
            _ => {
                self.repeat(world, any);
                None
            }
        }
    }

    /// Says again what is durable: whoever committed it may have ended before it could say so.
    fn repeat(&self, world: &mut World, number: usize) {
        let (Some(handle), Some(reign)) = (&self.handle, &self.reign) else { return };
        let now = Partition::read(&handle.view, number);
        let Some((assign, (node, incarnation))) = assignment(number, &now) else { return };
        let term = reign.term().term;
        world.checker.told(&What::Assign(assign, node), handle.epoch);
        world.say(Message { term, node, order: Order::Assign(assign) });
        if now.ending {
            world.checker.told(&What::Intend(number, assign.epoch, (node, incarnation)), handle.epoch);
            world.say(Message { term, node, order: Order::Release(number, assign.epoch, incarnation) });
        }
    }

    fn choose_register(&self, world: &World) -> Option<(Batch, What)> {
        let handle = self.handle.as_ref()?;
        let chain = world.one_of(&world.requests)?;
        let (node, incarnation) = chain;
        let (wal_store, at) = (StoreId([1; 16]), TimestampMs(0));
        let new = Registration { node, incarnation, wal_store, at, lead: 0 };
        let (known, record) = (node_record(handle, chain), chain_record(handle, chain));
        let batch = register(new, known.as_ref(), record.as_ref()).ok()?;
        Some((batch, What::Register(chain)))
    }

    /// A partition goes to an open chain, once its epoch has ended: its part of a recovery is durable, or the chain is closed.
    fn choose_assign(&self, world: &World, number: usize) -> Option<(Batch, What)> {
        let handle = self.handle.as_ref()?;
        let now = Partition::read(&handle.view, number);
        let life = now.leader.and_then(|leader| chain_record(handle, leader)).map(|record| record.life);
        let ended = now.ended || matches!(life, None | Some(ChainLife::Closed { .. }));
        if !ended && world.mutant != Mutant::MoveUnrecovered {
            return None;
        }
        self.next_epoch(world, Batch::default(), number, now)
    }

    /// The partition's next epoch, led by any open chain.
    fn next_epoch(
        &self,
        world: &World,
        mut batch: Batch,
        number: usize,
        now: Partition,
    ) -> Option<(Batch, What)> {
        let handle = self.handle.as_ref()?;
        let mut open = all_chains(handle);
        open.retain(|record| record.life == ChainLife::Open);
        let to = world.one_of(&open)?;
        let next = now.next_epoch((to.node, to.incarnation));
        let (assign, (node, _)) = assignment(number, &next)?;
        batch.require(Partition::key(number), handle.view.get(&Partition::key(number)).cloned());
        batch.put(Partition::key(number), next.encode());
        Some((batch, What::Assign(assign, node)))
    }

    /// The partition shall be handed over. From when this is durable its epoch must end.
    fn choose_intent(&self, world: &World, number: usize) -> Option<(Batch, What)> {
        let handle = self.handle.as_ref()?;
        let now = Partition::read(&handle.view, number);
        let leader = now.leader?;
        let call_off = now.ending && world.mutant == Mutant::CallOff;
        let begins = !now.ending && !world.calm;
        if !(call_off || begins) || !world.chance(30) {
            return None;
        }
        let what =
            if call_off { What::CallOff } else { What::Intend(number, LeaderEpoch(now.epoch), leader) };
        let mut batch = Batch::default();
        batch.require(Partition::key(number), handle.view.get(&Partition::key(number)).cloned());
        batch.put(Partition::key(number), Partition { ending: !call_off, ..now }.encode());
        Some((batch, what))
    }

    /// A release ends the epoch that it is about: its slots go into the index, and the next epoch begins, in one batch.
    fn choose_handover(&self, world: &World) -> Option<(Batch, What)> {
        let handle = self.handle.as_ref()?;
        let old = if world.calm { world.freed.len().saturating_sub(12) } else { 0 };
        let freed = world.one_of(&world.freed[old..])?;
        let number = number(freed.released.partition);
        let mut now = Partition::read(&handle.view, number);
        let leader = now.leader?;
        if !now.ending && world.mutant == Mutant::CallOff {
            return None;
        }
        if !freed.released.ends(LeaderEpoch(now.epoch), chain_id(leader), world.sabotage()) {
            return None;
        }
        // Also the check that its chain is open: once it is being recovered, that ends the epoch.
        let rules = self.rules(world, leader)?;
        let batch = rules.index(rules.record.trim).ok()?;
        let slots = world.chains.get(&leader)?.between(rules.record.trim, freed.end);
        let gap = now.take(leader, number, slots, ChainSabotage::None);
        if gap {
            return None;
        }
        self.next_epoch(world, batch, number, now)
    }

    fn rules(&self, world: &World, of: Chain) -> Option<ChainRules> {
        let record = chain_record(self.handle.as_ref()?, of)?;
        Some(ChainRules { record, sabotage: world.chain_sabotage() })
    }

    /// Adds a chain's records of a partition to its log, in the same batch. Says whether one was missing.
    fn add(
        &self,
        batch: &mut Batch,
        number: usize,
        of: Chain,
        slots: impl Iterator<Item = Slot>,
        recovery: Option<ChainSabotage>,
    ) -> Option<bool> {
        let view = &self.handle.as_ref()?.view;
        let mut partition = Partition::read(view, number);
        let known = view.get(&Partition::key(number)).cloned();
        let gap = partition.take(of, number, slots, recovery.unwrap_or(ChainSabotage::None));
        partition.ended |= recovery.is_some() && partition.leader == Some(of);
        if known.is_some() {
            batch.require(Partition::key(number), known);
            batch.put(Partition::key(number), partition.encode());
        }
        Some(gap)
    }

    /// An index commit of a chain's writer, which is alive as far as it knows.
    fn choose_index(&self, world: &World) -> Option<(Batch, What)> {
        let of = self.any_chain(world)?;
        let rules = self.rules(world, of)?;
        let (trim, end) = (rules.record.trim, world.chains.get(&of)?.end());
        let more = end.checked_sub(trim).filter(|more| *more > 0)?;
        let to = trim + 1 + world.rng.below(more);
        let mut batch = rules.index(to).ok()?;
        for number in 0..PARTITIONS {
            let slots = world.chains.get(&of)?.between(trim, to);
            if self.add(&mut batch, number, of, slots, None)? {
                return None;
            }
        }
        Some((batch, What::Index(of)))
    }

    fn any_chain(&self, world: &World) -> Option<Chain> {
        let record = world.one_of(&all_chains(self.handle.as_ref()?))?;
        Some((record.node, record.incarnation))
    }

    /// A recovery begins: because a newer incarnation is registered, or because of a suspicion, which may be wrong.
    fn choose_begin(&mut self, world: &World) -> Option<(Batch, What)> {
        let of = self.any_chain(world)?;
        let rules = self.rules(world, of)?;
        let mine = self.reign.as_ref()?.term().term;
        let newer = node_record(self.handle.as_ref()?, of).is_some_and(|node| node.incarnation > of.1);
        // An earlier owner has begun it.
        let left = matches!(rules.record.life, ChainLife::Recovering { term, .. } if term < mine);
        // A suspicion may be wrong, except when all is calm; then it is also certain to come.
        let suspected = if world.calm { !world.living.contains(&of) } else { world.chance(15) };
        if !newer && !left && !suspected {
            return None;
        }
        self.attempts += 1;
        let attempt = Attempt { term: mine, number: self.attempts };
        let (batch, trim) = rules.begin(attempt).ok()?;
        Some((batch, What::Begin { chain: of, attempt, trim }))
    }

    /// A recovery's next step: seal, then a part for each partition that the chain leads, with the last of which it closes.
    fn choose_recovery(&mut self, world: &mut World) -> Option<(Batch, What)> {
        let at = world.rng.below(self.recoveries.len().max(1) as u64) as usize;
        let Recovery { chain, attempt, trim, end } = *self.recoveries.get(at)?;
        let Some(end) = end else {
            let slots = world.chains.get_mut(&chain)?;
            slots.sealed |= world.mutant != Mutant::NoSeal;
            let end = slots.end();
            self.recoveries.get_mut(at)?.end = Some(end);
            return None;
        };
        let rules = self.rules(world, chain)?;
        let view = &self.handle.as_ref()?.view;
        let left: Vec<usize> = (0..PARTITIONS)
            .filter(|number| {
                let partition = Partition::read(view, *number);
                partition.leader == Some(chain) && !partition.ended
            })
            .collect();
        let last = left.len() <= 1 || world.mutant == Mutant::CloseEarly;
        let decided = if last { rules.close(attempt, end) } else { rules.part(attempt) };
        match decided {
            Ok(mut batch) => {
                if let Some(number) = world.one_of(&left) {
                    let slots = world.chains.get(&chain)?.between(trim, end);
                    let gap = self.add(&mut batch, number, chain, slots, Some(world.chain_sabotage()))?;
                    world.checker.no_gap(gap, chain);
                }
                let what = if last { What::Close { chain, attempt } } else { What::Part { chain, attempt } };
                Some((batch, what))
            }
            Err(Refusal::Closed | Refusal::Superseded) => {
                self.recoveries.remove(at);
                None
            }
            Err(_) => None,
        }
    }
}
