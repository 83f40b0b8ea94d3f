//! What a chain's writer does next. Pure: an event in, actions out; no time, no bytes, no I/O.
//!
//! A slot is sent, possibly twice (a hedge), until one answer or a read-back says that it holds our bytes. Slots are acked in
//! order. The chain ends for this writer when a slot holds something else or does not become durable in its time.

use std::collections::VecDeque;

use crate::chain::names::Slot;
use crate::sabotage::Sabotage;

/// How a create was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PutAnswer {
    /// The object is there, and this create made it.
    Created,
    /// The name is taken, or was contended: by our own earlier try, perhaps.
    Exists,
    /// Anything else: it may have been applied, or may be applied at any later time.
    Unknown,
}

/// What a read of a slot found, as the one who reads it must see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Found {
    /// The very bytes that we sent (writer only).
    Ours,
    /// Our own header over other bytes (writer only): something is badly wrong.
    Differs,
    /// A data object: to a writer, another's.
    Data,
    /// A seal, whoever placed it.
    Seal,
    /// Bytes that are no sound object of this chain.
    Damaged,
    /// Nothing, as a strongly consistent read says.
    Absent,
    /// The read failed, was refused or timed out: says nothing.
    Failed,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriterEvent {
    /// The bytes of the next slot are ready; only while [`Writer::may_submit`].
    Submit,
    /// A create was answered.
    Answered(Slot, PutAnswer),
    /// A read-back came home.
    Read(Slot, Found),
    /// The first create of a slot takes longer than most: send it again meanwhile.
    Hedge(Slot),
    /// A slot was not durable in its time.
    Expired(Slot),
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriterAction {
    /// Create the slot with its bytes, which never change.
    Put {
        /// The slot.
        slot: Slot,
        /// Rounds that failed before.
        tries: u32,
    },
    /// Read the slot back.
    Read {
        /// The slot.
        slot: Slot,
        /// Rounds that failed before.
        tries: u32,
    },
    /// Everything below this slot is durable.
    Durable(Slot),
    /// The chain is over for this writer: nothing that was not acked will be.
    End(Ending),
    /// Mutants only: the slot is given other bytes, or none.
    Tamper(Slot),
}

/// Why a chain ended for its writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// A slot was not durable in its time.
    Expired(Slot),
    /// A slot holds a seal.
    Sealed(Slot),
    /// A slot holds another writer's data.
    Taken(Slot),
    /// A slot holds our header over other bytes, or bytes that make no sense. A human must look.
    Alarm(Slot),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Flight {
    /// Creates that were not answered yet.
    out: u32,
    reading: bool,
    /// Rounds that failed: creates that left nothing, reads that said nothing.
    tries: u32,
    done: bool,
}

/// The state of a chain's writer. The first slot of data is 1: slot 0, the open record, is durable before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Writer {
    depth: u32,
    durable: Slot,
    flights: VecDeque<Flight>,
    ending: Option<Ending>,
    sabotage: Sabotage,
}

impl Writer {
    /// A writer that may have `depth` slots in flight.
    #[must_use]
    pub fn new(depth: u32, sabotage: Sabotage) -> Self {
        Self { depth: depth.max(1), durable: 1, flights: VecDeque::new(), ending: None, sabotage }
    }

    /// The slot that the next [`WriterEvent::Submit`] takes.
    #[must_use]
    pub fn next(&self) -> Slot {
        self.durable + self.flights.len() as Slot
    }

    /// Everything below this slot is durable.
    #[must_use]
    pub fn durable(&self) -> Slot {
        self.durable
    }

    /// Slots sent and not known durable with all before them.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Why the chain ended, once it has.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Whether another slot may be sent. The depth bound is what lets a sealer stop a writer that it can not catch.
    #[must_use]
    pub fn may_submit(&self) -> bool {
        self.ending.is_none() && self.flights.len() < self.depth as usize
    }

    /// Whether a slot is still waited for.
    #[must_use]
    pub fn waits_for(&self, slot: Slot) -> bool {
        self.ending.is_none() && self.flight(slot).is_some_and(|flight| !flight.done)
    }

    fn flight(&self, slot: Slot) -> Option<&Flight> {
        self.flights.get(usize::try_from(slot.checked_sub(self.durable)?).ok()?)
    }

    fn flight_mut(&mut self, slot: Slot) -> Option<&mut Flight> {
        let at = usize::try_from(slot.checked_sub(self.durable)?).ok()?;
        self.flights.get_mut(at).filter(|flight| !flight.done)
    }

    /// Takes an event and says what to do. After the end nothing is done any more.
    pub fn on(&mut self, event: WriterEvent) -> Vec<WriterAction> {
        if self.ending.is_some() {
            return Vec::new();
        }
        match event {
            WriterEvent::Submit => self.submit(),
            WriterEvent::Answered(slot, answer) => self.answered(slot, answer),
            WriterEvent::Read(slot, found) => self.read(slot, found),
            WriterEvent::Hedge(slot) => self.hedge(slot),
            WriterEvent::Expired(slot) => self.expired(slot),
        }
    }

    fn submit(&mut self) -> Vec<WriterAction> {
        if !self.may_submit() {
            return Vec::new();
        }
        let slot = self.next();
        self.flights.push_back(Flight { out: 1, reading: false, tries: 0, done: false });
        let mut actions = vec![WriterAction::Put { slot, tries: 0 }];
        if self.sabotage.breaks(Sabotage::AckUnwritten) {
            actions.extend(self.done(slot));
        }
        actions
    }

    fn answered(&mut self, slot: Slot, answer: PutAnswer) -> Vec<WriterAction> {
        let sabotage = self.sabotage;
        let Some(flight) = self.flight_mut(slot) else { return Vec::new() };
        flight.out = flight.out.saturating_sub(1);
        let blind = answer == PutAnswer::Exists && sabotage.breaks(Sabotage::ExistsIsOurs);
        if answer == PutAnswer::Created || blind {
            return self.done(slot);
        }
        if answer == PutAnswer::Unknown {
            if sabotage.breaks(Sabotage::SkipSlot) {
                return self.done(slot);
            }
            if sabotage.breaks(Sabotage::VoidSlot) || sabotage.breaks(Sabotage::ReuseSlot) {
                // Other bytes under the same name: the first ones may still land.
                flight.out += 1;
                flight.tries += 1;
                let tries = flight.tries;
                return vec![WriterAction::Tamper(slot), WriterAction::Put { slot, tries }];
            }
        }
        if flight.reading {
            return Vec::new();
        }
        flight.reading = true;
        vec![WriterAction::Read { slot, tries: 0 }]
    }

    fn read(&mut self, slot: Slot, found: Found) -> Vec<WriterAction> {
        let sabotage = self.sabotage;
        let Some(flight) = self.flight_mut(slot) else { return Vec::new() };
        flight.reading = false;
        match found {
            Found::Ours => self.done(slot),
            Found::Differs if sabotage.breaks(Sabotage::ReuseSlot) => self.done(slot),
            Found::Differs | Found::Damaged => self.end(Ending::Alarm(slot)),
            Found::Data => self.end(Ending::Taken(slot)),
            Found::Seal => self.end(Ending::Sealed(slot)),
            // Absence is evidence of nothing: the same bytes again, unless a create is still on its way.
            Found::Absent if flight.out > 0 => Vec::new(),
            Found::Absent => {
                flight.out += 1;
                flight.tries += 1;
                vec![WriterAction::Put { slot, tries: flight.tries }]
            }
            Found::Failed => {
                flight.reading = true;
                flight.tries += 1;
                vec![WriterAction::Read { slot, tries: flight.tries }]
            }
        }
    }

    fn hedge(&mut self, slot: Slot) -> Vec<WriterAction> {
        let lone = |flight: &&mut Flight| flight.tries == 0 && flight.out == 1 && !flight.reading;
        let Some(flight) = self.flight_mut(slot).filter(lone) else { return Vec::new() };
        flight.out += 1;
        vec![WriterAction::Put { slot, tries: 0 }]
    }

    fn expired(&mut self, slot: Slot) -> Vec<WriterAction> {
        if self.waits_for(slot) { self.end(Ending::Expired(slot)) } else { Vec::new() }
    }

    fn end(&mut self, ending: Ending) -> Vec<WriterAction> {
        self.ending = Some(ending);
        vec![WriterAction::End(ending)]
    }

    fn done(&mut self, slot: Slot) -> Vec<WriterAction> {
        let before = self.durable;
        if let Some(flight) = self.flight_mut(slot) {
            flight.done = true;
        }
        if self.sabotage.breaks(Sabotage::AckOutOfOrder) {
            // The slots before are taken for done too.
            for flight in self.flights.iter_mut().take((slot.saturating_sub(before)) as usize) {
                flight.done = true;
            }
        }
        while self.flights.front().is_some_and(|flight| flight.done) {
            self.flights.pop_front();
            self.durable += 1;
        }
        if self.durable > before { vec![WriterAction::Durable(self.durable)] } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests;
