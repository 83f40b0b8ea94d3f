//! What can happen next.

use waybill_wal::Sabotage;
use waybill_wal::chain::ledger::ChainState;
use waybill_wal::chain::names::Slot;
use waybill_wal::chain::seal::{OpenFound, SealAction, SealEvent};
use waybill_wal::chain::writer::{Found, PutAnswer, WriterAction, WriterEvent};

use crate::world::{Bounds, Commit, Create, NEXT_LEADERS, Object, Place, SLOTS, Sender, World};

/// A step. Numbers are places in the network, slots, or recoverers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Submit,
    Hedge(u8),
    Land(usize),
    Answer(usize),
    TimeOut(usize),
    ReadBack(u8),
    Expire(u8),
    PrepareCommit { upto: Slot, rewritten: bool },
    ApplyCommit,
    Rewrite,
    Delete(u8),
    StaleTrim(u8),
    Begin(u8),
    Recover(u8),
    NextLeader,
    Follow(u8),
}

impl World {
    /// All steps that can be taken.
    pub(crate) fn steps(&self, bounds: &Bounds) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.writer.may_submit() && self.writer.next() <= bounds.slots {
            steps.push(Step::Submit);
        }
        for slot in self.writer.durable()..self.writer.next() {
            if self.hedges > 0 && self.writer.waits_for(slot) {
                steps.push(Step::Hedge(slot as u8));
            }
            if self.timeouts > 0 && self.writer.waits_for(slot) {
                steps.push(Step::Expire(slot as u8));
            }
        }
        for (at, create) in self.network.iter().enumerate() {
            match create.answer {
                None => steps.push(Step::Land(at)),
                Some(_) => steps.push(Step::Answer(at)),
            }
            if self.timeouts > 0 && create.sender != Sender::Nobody {
                steps.push(Step::TimeOut(at));
            }
        }
        steps.extend(self.reading.iter().map(|slot| Step::ReadBack(*slot)));
        self.index_steps(bounds, &mut steps);
        self.recovery_steps(bounds, &mut steps);
        if bounds.reader {
            let blind = bounds.sabotage == Sabotage::ReadPastHole;
            let next = self.follower.next();
            steps.extend(
                (1..=bounds.slots)
                    .filter(|slot| blind || next == Some(*slot))
                    .map(|slot| Step::Follow(slot as u8)),
            );
        }
        steps
    }

    fn index_steps(&self, bounds: &Bounds, steps: &mut Vec<Step>) {
        if self.commits > 0 && self.commit.is_none() && self.writer.durable() > self.writers_trim() {
            for rewritten in [false, true] {
                steps.push(Step::PrepareCommit { upto: self.writer.durable(), rewritten });
            }
        }
        if self.commit.is_some() {
            steps.push(Step::ApplyCommit);
        }
        if self.index.iter().any(|(_, place)| matches!(place, Place::Slot(_))) {
            steps.push(Step::Rewrite);
        }
        if self.deletes == 0 {
            return;
        }
        for slot in 1..SLOTS as u8 {
            let there = self.objects[usize::from(slot)] != Object::Nothing;
            let named = self.index.iter().any(|(_, place)| *place == Place::Slot(slot));
            // What a prepared commit will free is taken for free already.
            let early = bounds.sabotage == Sabotage::DeleteEarly
                && self.commit.is_some_and(|commit| {
                    commit.rewritten && (commit.from..commit.upto).contains(&Slot::from(slot))
                });
            if there && (early || self.ledger.may_delete(Slot::from(slot), named)) {
                steps.push(Step::Delete(slot));
            }
        }
    }

    fn recovery_steps(&self, bounds: &Bounds, steps: &mut Vec<Step>) {
        for (number, recoverer) in self.recoverers.iter().enumerate() {
            if recoverer.begun {
                if !recoverer.waits && !recoverer.committed {
                    steps.push(Step::Recover(number as u8));
                }
                continue;
            }
            steps.push(Step::Begin(number as u8));
            if bounds.sabotage == Sabotage::StaleTrim && recoverer.trim < self.ledger.trim() {
                steps.push(Step::StaleTrim(number as u8));
            }
        }
        if matches!(self.ledger.state(), ChainState::Closed(_)) && self.next_leader.is_none() {
            steps.push(Step::NextLeader);
        }
    }

    /// The trim as the writer knows it: its own commits, whatever others did.
    fn writers_trim(&self) -> Slot {
        self.ledger.trim()
    }

    /// Takes a step.
    pub(crate) fn take(&mut self, step: Step, bounds: &Bounds) {
        match step {
            Step::Submit => {
                let slot = self.writer.next();
                self.sent[slot as usize] = Object::Record(slot as u8);
                self.write(WriterEvent::Submit);
            }
            Step::Hedge(slot) => {
                self.hedges -= 1;
                self.write(WriterEvent::Hedge(Slot::from(slot)));
            }
            Step::Expire(slot) => {
                self.timeouts -= 1;
                self.write(WriterEvent::Expired(Slot::from(slot)));
            }
            Step::Land(at) => self.land(at),
            Step::Answer(at) => self.answer(at),
            Step::TimeOut(at) => self.time_out(at),
            Step::ReadBack(slot) => {
                self.reading.retain(|other| *other != slot);
                let found = match self.objects[usize::from(slot)] {
                    Object::Nothing => Found::Absent,
                    Object::Seal => Found::Seal,
                    object if object == self.sent[usize::from(slot)] => Found::Ours,
                    _ => Found::Differs,
                };
                self.write(WriterEvent::Read(Slot::from(slot), found));
            }
            Step::PrepareCommit { upto, rewritten } => {
                self.commits -= 1;
                self.commit = Some(Commit { from: self.writers_trim(), upto, rewritten });
            }
            Step::ApplyCommit => self.apply_commit(bounds),
            Step::Rewrite => self.index.iter_mut().for_each(|(_, place)| *place = Place::Segment),
            Step::Delete(slot) => {
                self.deletes -= 1;
                self.objects[usize::from(slot)] = Object::Nothing;
            }
            Step::StaleTrim(number) => {
                // Read now, used after later commits.
                self.recoverers[usize::from(number)].trim = self.ledger.trim();
            }
            Step::Begin(number) => self.begin(usize::from(number), bounds),
            Step::Recover(number) => self.recover(usize::from(number), bounds),
            Step::NextLeader => {
                self.next_leader = Some(self.index.len() as u8);
                self.index.push((NEXT_LEADERS, Place::Segment));
            }
            Step::Follow(slot) => self.follow(slot),
        }
        self.network.sort_unstable();
        self.reading.sort_unstable();
    }

    fn write(&mut self, event: WriterEvent) {
        for action in self.writer.on(event) {
            match action {
                WriterAction::Put { slot, .. } => {
                    let object = self.sent[slot as usize];
                    let create = Create { slot: slot as u8, object, sender: Sender::Writer, answer: None };
                    self.network.push(create);
                }
                WriterAction::Read { slot, .. } => self.reading.push(slot as u8),
                WriterAction::Durable(below) => {
                    while (self.acked.len() as Slot) + 1 < below {
                        self.acked.push(self.sent[self.acked.len() + 1]);
                    }
                }
                WriterAction::End(_) => self.reading.clear(),
                WriterAction::Tamper(slot) => {
                    let void = self.sabotage == Sabotage::VoidSlot;
                    self.sent[slot as usize] =
                        if void { Object::Void } else { Object::Record(slot as u8 + 100) };
                }
            }
        }
    }

    fn land(&mut self, at: usize) {
        let create = &mut self.network[at];
        let object = &mut self.objects[usize::from(create.slot)];
        let answer = if *object == Object::Nothing {
            *object = create.object;
            PutAnswer::Created
        } else {
            PutAnswer::Exists
        };
        if create.sender == Sender::Nobody {
            self.network.remove(at);
        } else {
            create.answer = Some(answer);
        }
    }

    /// The sender hears; the create may be applied once more, later.
    fn answer(&mut self, at: usize) {
        let create = self.network.remove(at);
        if self.twice > 0 {
            self.twice -= 1;
            self.network.push(Create { sender: Sender::Nobody, answer: None, ..create });
        }
        self.tell(create, create.answer.unwrap_or(PutAnswer::Unknown));
    }

    /// The sender gives up; a create that was not applied yet may be, at any later time.
    fn time_out(&mut self, at: usize) {
        self.timeouts -= 1;
        let create = self.network.remove(at);
        if create.answer.is_none() {
            self.network.push(Create { sender: Sender::Nobody, ..create });
        }
        self.tell(create, PutAnswer::Unknown);
    }

    fn tell(&mut self, create: Create, answer: PutAnswer) {
        match create.sender {
            Sender::Writer => self.write(WriterEvent::Answered(Slot::from(create.slot), answer)),
            Sender::Recoverer(number) => {
                let recoverer = &mut self.recoverers[usize::from(number)];
                recoverer.waits = false;
                recoverer.sealer.on(SealEvent::Answered(answer));
            }
            Sender::Nobody => {}
        }
    }

    fn apply_commit(&mut self, bounds: &Bounds) {
        let Some(commit) = self.commit.take() else { return };
        let unchecked = bounds.sabotage == Sabotage::IndexUnchecked;
        // The check that a partition's commit follows its committed end.
        let follows = self.index.len() as Slot + 1 == commit.from;
        if (!follows && !unchecked) || self.ledger.index(commit.upto).is_err() {
            return;
        }
        self.index.truncate(commit.from as usize - 1);
        for slot in commit.from..commit.upto {
            let place = if commit.rewritten { Place::Segment } else { Place::Slot(slot as u8) };
            self.index.push((self.sent[slot as usize], place));
        }
    }

    fn begin(&mut self, number: usize, bounds: &Bounds) {
        let Ok(trim) = self.ledger.begin(self.recoverers[number].attempt) else {
            self.recoverers[number].begun = true;
            self.recoverers[number].committed = true;
            return;
        };
        let recoverer = &mut self.recoverers[number];
        recoverer.begun = true;
        if bounds.sabotage != Sabotage::StaleTrim {
            recoverer.trim = trim;
        }
        recoverer.sealer = waybill_wal::chain::seal::Sealer::new(recoverer.trim, bounds.sabotage);
        recoverer.sealer.on(SealEvent::OpenRead(OpenFound::Ours { depth: bounds.depth }));
    }

    fn recover(&mut self, number: usize, bounds: &Bounds) {
        if bounds.sabotage == Sabotage::NoSeal {
            let mut slot = self.recoverers[number].trim;
            while self.is_data(slot) {
                let object = self.objects[slot as usize];
                self.recoverers[number].passed.push((slot as u8, object));
                slot += 1;
            }
            return self.commit_recovery(number, slot, bounds);
        }
        match self.recoverers[number].sealer.action() {
            SealAction::List => {
                let highest = (1..SLOTS).rev().find(|slot| self.objects[*slot] != Object::Nothing);
                self.recoverers[number].sealer.on(SealEvent::Listed(highest.map(|slot| slot as Slot)));
            }
            SealAction::PutSeal(slot) => {
                self.recoverers[number].waits = true;
                let sender = Sender::Recoverer(number as u8);
                let create = Create { slot: slot as u8, object: Object::Seal, sender, answer: None };
                self.network.push(create);
            }
            SealAction::Read(slot) => {
                let object = self.objects[slot as usize];
                let found = match object {
                    Object::Nothing => Found::Absent,
                    Object::Seal => Found::Seal,
                    Object::Record(_) | Object::Void => Found::Data,
                };
                let recoverer = &mut self.recoverers[number];
                recoverer.sealer.on(SealEvent::Read(found));
                let walked = matches!(recoverer.sealer.action(), SealAction::Read(next) if next == slot + 1);
                if walked {
                    recoverer.passed.push((slot as u8, object));
                }
            }
            SealAction::Ended(end) => self.commit_recovery(number, end, bounds),
            SealAction::ReadOpen | SealAction::Refused(_) => {}
        }
    }

    fn commit_recovery(&mut self, number: usize, end: Slot, bounds: &Bounds) {
        let Self { recoverers, ledger, index, objects, .. } = self;
        let recoverer = &mut recoverers[number];
        recoverer.committed = true;
        let unchecked = bounds.sabotage == Sabotage::RecoveryUnchecked;
        if ledger.recovers(recoverer.attempt).is_err() {
            return;
        }
        if bounds.sabotage == Sabotage::TakeOrphans {
            let beyond = (end as usize + 1..SLOTS).filter(|slot| matches!(objects[*slot], Object::Record(_)));
            recoverer.passed.extend(beyond.map(|slot| (slot as u8, objects[slot])));
        }
        // Each partition's record is set to what this recovery concluded.
        index.truncate(recoverer.trim as usize - 1);
        index.extend(recoverer.passed.iter().map(|(slot, object)| (*object, Place::Slot(*slot))));
        let closed = ledger.close(recoverer.attempt, end);
        assert!(closed.is_ok() || unchecked);
        // Of a closed chain nothing is needed any more but the bytes that it knows of.
        recoverer.passed.clear();
    }

    fn follow(&mut self, slot: u8) {
        let found = match self.objects[usize::from(slot)] {
            Object::Nothing => Found::Absent,
            Object::Seal => Found::Seal,
            Object::Record(_) | Object::Void => Found::Data,
        };
        if self.follower.on(Slot::from(slot), found) {
            self.seen.push((slot - 1, self.objects[usize::from(slot)]));
        }
    }
}
