//! What a process does while it rules: registers chains, gives the partition to one, puts slots into the index, recovers.

use waybill_control::terms::assign::Assign;
use waybill_control::terms::chains::{Attempt, ChainRefusal, ChainRules, Registration, register};
use waybill_control::terms::election::ElectionEvent;
use waybill_control::terms::reign::ReignAction;
use waybill_control::terms::sabotage::Sabotage;
use waybill_meta::{Batch, ChainLife, ChainRecord, CommitSeq, NodeRecord, Record, keys};
use waybill_rt::Entropy;
use waybill_types::{LeaderEpoch, Offset, StoreId, TimestampMs};

use crate::partition::Partition;
use crate::process::Process;
use crate::world::{Chain, Commit, Handle, Message, Mutant, What, World, partition, write};

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

fn open_chains(handle: &Handle) -> Vec<ChainRecord> {
    let chains = handle.view.range(keys::chains()).map(|(_, bytes)| ChainRecord::decode(bytes).unwrap());
    chains.collect()
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
            What::Assign(assign, node) => world.messages.push(Message { term, node, assign }),
            What::Begin { chain, attempt, trim } => {
                self.recoveries.push(Recovery { chain, attempt, trim, end: None });
            }
            What::Close { chain, attempt } => {
                self.recoveries.retain(|recovery| (recovery.chain, recovery.attempt) != (chain, attempt));
            }
            What::Term | What::Index(_) => {}
        }
    }

    fn choose(&mut self, world: &mut World) -> Option<(Batch, What)> {
        match world.rng.below(5) {
            0 => self.choose_register(world),
            1 => self.choose_assign(world),
            2 => self.choose_index(world),
            3 => self.choose_begin(world),
            _ => self.choose_close(world),
        }
    }

    fn choose_register(&self, world: &World) -> Option<(Batch, What)> {
        let handle = self.handle.as_ref()?;
        let chain = *world.requests.get(world.rng.below(world.requests.len() as u64) as usize)?;
        let known = node_record(handle, chain);
        let (node, incarnation) = chain;
        let (wal_store, at) = (StoreId([1; 16]), TimestampMs(0));
        let batch = register(Registration { node, incarnation, wal_store, at }, known.as_ref()).ok()?;
        Some((batch, What::Register(chain)))
    }

    /// The partition goes to an open chain, once the chain of its leader is closed.
    fn choose_assign(&self, world: &World) -> Option<(Batch, What)> {
        let handle = self.handle.as_ref()?;
        let now = Partition::read(&handle.view);
        let life = now.leader.and_then(|leader| chain_record(handle, leader)).map(|record| record.life);
        let ended = matches!(life, None | Some(ChainLife::Closed { .. }));
        if !ended && world.mutant != Mutant::MoveUnrecovered {
            return None;
        }
        let open: Vec<_> =
            open_chains(handle).into_iter().filter(|record| record.life == ChainLife::Open).collect();
        let to = open.get(world.rng.below(open.len() as u64) as usize)?;
        let next = Partition { epoch: now.epoch + 1, leader: Some((to.node, to.incarnation)), log: now.log };
        let assign = Assign {
            partition: partition(),
            epoch: LeaderEpoch(next.epoch),
            incarnation: to.incarnation,
            start: Offset(next.log.len() as i64),
        };
        let mut batch = Batch::default();
        batch.require(Partition::key(), handle.view.get(&Partition::key()).cloned());
        batch.put(Partition::key(), next.encode());
        Some((batch, What::Assign(assign, to.node)))
    }

    fn rules(&self, world: &World, of: Chain) -> Option<ChainRules> {
        let record = chain_record(self.handle.as_ref()?, of)?;
        Some(ChainRules { record, sabotage: world.sabotage() })
    }

    /// Adds the records of some slots to the log, in the same batch.
    fn add_slots(&self, world: &World, batch: &mut Batch, of: Chain, from: u64, to: u64) -> Option<()> {
        let view = &self.handle.as_ref()?.view;
        let mut partition = Partition::read(view);
        let known = view.get(&Partition::key()).cloned();
        partition.take(of, world.chains.get(&of)?.between(from, to));
        if known.is_some() {
            batch.require(Partition::key(), known);
            batch.put(Partition::key(), partition.encode());
        }
        Some(())
    }

    /// An index commit of a chain's writer, which is alive as far as it knows.
    fn choose_index(&self, world: &World) -> Option<(Batch, What)> {
        let of = self.any_chain(world)?;
        let rules = self.rules(world, of)?;
        let (trim, end) = (rules.record.trim, world.chains.get(&of)?.end());
        let more = end.checked_sub(trim).filter(|more| *more > 0)?;
        let to = trim + 1 + world.rng.below(more);
        let mut batch = rules.index(to).ok()?;
        self.add_slots(world, &mut batch, of, trim, to)?;
        Some((batch, What::Index(of)))
    }

    fn any_chain(&self, world: &World) -> Option<Chain> {
        let chains = open_chains(self.handle.as_ref()?);
        let record = chains.get(world.rng.below(chains.len() as u64) as usize)?;
        Some((record.node, record.incarnation))
    }

    /// A recovery begins: because a newer incarnation is registered, or because of a suspicion, which may be wrong.
    fn choose_begin(&mut self, world: &World) -> Option<(Batch, What)> {
        let of = self.any_chain(world)?;
        let newer = node_record(self.handle.as_ref()?, of).is_some_and(|node| node.incarnation > of.1);
        if !newer && !world.chance(if world.calm { 2 } else { 15 }) {
            return None;
        }
        self.attempts += 1;
        let attempt = Attempt { term: self.reign.as_ref()?.term().term, number: self.attempts };
        let (batch, trim) = self.rules(world, of)?.begin(attempt).ok()?;
        Some((batch, What::Begin { chain: of, attempt, trim }))
    }

    fn choose_close(&mut self, world: &mut World) -> Option<(Batch, What)> {
        let at = world.rng.below(self.recoveries.len() as u64) as usize;
        let Recovery { chain, attempt, trim, end } = *self.recoveries.get(at)?;
        let Some(end) = end else {
            let slots = world.chains.get_mut(&chain)?;
            slots.sealed |= world.mutant != Mutant::NoSeal;
            let end = slots.end();
            self.recoveries.get_mut(at)?.end = Some(end);
            return None;
        };
        let rules = self.rules(world, chain)?;
        match rules.close(attempt, end) {
            Ok(mut batch) => {
                self.add_slots(world, &mut batch, chain, trim, end)?;
                Some((batch, What::Close { chain, attempt }))
            }
            Err(ChainRefusal::Closed | ChainRefusal::Superseded) => {
                self.recoveries.remove(at);
                None
            }
            Err(_) => None,
        }
    }
}
