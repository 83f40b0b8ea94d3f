//! Which facts bear on a subject: its own, those of its lines, of what holds or held them, and the corrections of them.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use waybill_types::TimestampMs;

use crate::model::fact::row_of;
use crate::model::{Body, Fact, Frontier, Kind, Relation, Subject, Telling};
use crate::query::Settled;
use crate::store::{Read, Sampled, StoreError};

/// Subjects looked at for one answer, at most. Reaching it is reported.
pub const MAX_SUBJECTS: usize = 2_000;

/// Parts listed of one holder, at most.
pub const MAX_PARTS: usize = 2_000;

/// Places told by a sensor that are looked at, the last to happen: more only lengthen the history.
pub const MAX_POSITIONS: usize = 256;

/// Readings outside limits that are looked at, the last to happen.
pub const MAX_EXCURSIONS: usize = 1_000;

/// What a snapshot holds of subjects, loaded once each: those that are looked at together share most of it.
pub struct Loader<'r> {
    read: &'r dyn Read,
    as_of: TimestampMs,
    below: Option<Frontier>,
    tellings: HashMap<Subject, Arc<[Telling]>>,
    parts: HashMap<Subject, Arc<[Subject]>>,
    has_corrections: Option<bool>,
}

impl std::fmt::Debug for Loader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("tellings", &self.tellings.len()).finish_non_exhaustive()
    }
}

impl<'r> Loader<'r> {
    /// Loads from `read`; of what sensors tell, what is last as of `as_of`.
    #[must_use]
    pub fn new(read: &'r dyn Read, as_of: TimestampMs) -> Self {
        Self {
            read,
            as_of,
            below: None,
            tellings: HashMap::new(),
            parts: HashMap::new(),
            has_corrections: None,
        }
    }

    /// Loads what a settled question may rest on: under a token only what lies below its frontier, so that nothing told
    /// later decides what is looked at.
    #[must_use]
    pub fn of(read: &'r dyn Read, settled: &Settled) -> Self {
        Self { below: settled.below().cloned(), ..Self::new(read, settled.moment.as_of) }
    }

    fn covers(&self, telling: &Telling) -> bool {
        self.below.as_ref().is_none_or(|below| below.covers(&telling.evidence))
    }

    /// All that bears on answers of what was told of a subject.
    ///
    /// # Errors
    /// The store failed.
    pub fn tellings(&mut self, subject: &Subject) -> Result<Arc<[Telling]>, StoreError> {
        if let Some(known) = self.tellings.get(subject) {
            return Ok(Arc::clone(known));
        }
        let mut tellings = self.read.tellings(subject)?;
        if has_sensors(subject.kind) {
            let below = self.below.as_ref();
            for (what, limit) in [(Sampled::Excursions, MAX_EXCURSIONS), (Sampled::Positions, MAX_POSITIONS)]
            {
                tellings.extend(self.read.sampled(subject, what, self.as_of, below, limit)?);
            }
        }
        tellings.retain(|telling| self.covers(telling));
        let tellings: Arc<[Telling]> = tellings.into();
        self.tellings.insert(subject.clone(), Arc::clone(&tellings));
        Ok(tellings)
    }

    /// What was ever told to be part of a subject.
    ///
    /// # Errors
    /// The store failed.
    pub fn parts(&mut self, holder: &Subject) -> Result<Arc<[Subject]>, StoreError> {
        if let Some(known) = self.parts.get(holder) {
            return Ok(Arc::clone(known));
        }
        let parts: Arc<[Subject]> = self.read.parts(holder, MAX_PARTS)?.into();
        self.parts.insert(holder.clone(), Arc::clone(&parts));
        Ok(parts)
    }

    /// What a subject was ever told to lie in or to be part of.
    ///
    /// # Errors
    /// The store failed.
    pub fn holders(&mut self, subject: &Subject) -> Result<BTreeSet<Subject>, StoreError> {
        let tellings = self.tellings(subject)?;
        Ok(tellings.iter().filter_map(|telling| holder(&telling.fact)).cloned().collect())
    }

    /// Whether `part` was told to be part of `holder` below the frontier.
    fn is_part(&mut self, part: &Subject, of: &Subject) -> Result<bool, StoreError> {
        if self.below.is_none() {
            return Ok(true);
        }
        Ok(self.tellings(part)?.iter().any(|telling| holder(&telling.fact) == Some(of)))
    }

    fn has_corrections(&mut self) -> Result<bool, StoreError> {
        let known = match self.has_corrections {
            Some(known) => known,
            None => self.read.has_corrections()?,
        };
        self.has_corrections = Some(known);
        Ok(known)
    }
}

const fn has_sensors(kind: Kind) -> bool {
    matches!(kind, Kind::Shipment | Kind::Container | Kind::Pallet | Kind::Item | Kind::Vehicle | Kind::Place)
}

fn holder(fact: &Fact) -> Option<&Subject> {
    match &fact.draft.body {
        Body::Link { holder, relation, .. } if *relation != Relation::Named && !holder.id.is_empty() => {
            Some(holder)
        }
        _ => None,
    }
}

/// The facts that bear on a subject.
#[derive(Debug, Clone, Default)]
pub struct Closure {
    groups: Vec<Arc<[Telling]>>,
    /// The subjects whose own facts are here whole: the subject first, then in the order found.
    pub subjects: Vec<Subject>,
    /// More subjects exist than were looked at.
    pub is_bounded: bool,
}

impl Closure {
    /// Everything told, at any time.
    pub fn tellings(&self) -> impl Iterator<Item = &Telling> + Clone {
        self.groups.iter().flat_map(|group| group.iter())
    }
}

/// Collects the facts that bear on `subject`.
///
/// # Errors
/// The store failed.
pub fn load(loader: &mut Loader<'_>, subject: &Subject) -> Result<Closure, StoreError> {
    let mut closure = Closure::default();
    let mut seen: BTreeSet<Subject> = BTreeSet::new();
    let mut queue: VecDeque<Subject> = VecDeque::from([subject.clone()]);
    seen.insert(subject.clone());
    // A shipment that carries an order whole carries its lines.
    let mut holders = vec![subject.clone()];
    while let Some(from) = holders.pop() {
        let parts = loader.parts(&from)?;
        closure.is_bounded |= parts.len() >= MAX_PARTS;
        for part in parts.iter() {
            // An order is as its lines are, a shipment as what it carries; other parts are only listed.
            let bears =
                matches!((from.kind, part.kind), (Kind::Order | Kind::Shipment, Kind::Line | Kind::Order));
            if !bears {
                let links = loader.read.links(part)?.into_iter().filter(|link| loader.covers(link));
                closure.groups.push(links.filter(|link| is_link_to(&link.fact, &from)).collect());
            } else if !loader.is_part(part, &from)? {
                // Told only behind the frontier.
            } else if seen.insert(part.clone()) {
                queue.push_back(part.clone());
                if (from.kind, part.kind) == (Kind::Shipment, Kind::Order) {
                    holders.push(part.clone());
                }
            }
        }
    }
    while let Some(next) = queue.pop_front() {
        if closure.subjects.len() >= MAX_SUBJECTS {
            closure.is_bounded = true;
            break;
        }
        let tellings = loader.tellings(&next)?;
        for holder in tellings.iter().filter_map(|telling| holder(&telling.fact)) {
            if seen.insert(holder.clone()) {
                queue.push_back(holder.clone());
            }
        }
        closure.groups.push(tellings);
        closure.subjects.push(next);
    }
    // Links of parts whose own facts came in whole are there already; the fold takes repetition.
    add_corrections(loader, &mut closure)?;
    Ok(closure)
}

fn is_link_to(fact: &Fact, to: &Subject) -> bool {
    matches!(&fact.draft.body, Body::Link { holder, .. } if holder == to || holder.id.is_empty())
}

/// Whether a fact tells that `subject` exists: it is about it, or something is linked to it.
#[must_use]
pub fn tells_of(fact: &Fact, subject: &Subject) -> bool {
    fact.subject == *subject || matches!(&fact.draft.body, Body::Link { holder, .. } if holder == subject)
}

fn add_corrections(loader: &mut Loader<'_>, closure: &mut Closure) -> Result<(), StoreError> {
    if !loader.has_corrections()? {
        return Ok(());
    }
    let mut looked: BTreeSet<String> = BTreeSet::new();
    let mut events: Vec<String> = closure.tellings().map(|telling| telling.fact.event.clone()).collect();
    // A correction may itself be taken back, by another event.
    while let Some(event) = events.pop() {
        if !looked.insert(event.clone()) {
            continue;
        }
        // Corrections of a row take back all versions of it up to a bound.
        let row = row_of(&event).map(|(row, _)| row.to_owned()).filter(|row| looked.insert(row.clone()));
        for withdrawn in row.into_iter().chain([event]) {
            let corrections = loader.tellings(&Subject::new(Kind::Event, withdrawn))?;
            if !corrections.is_empty() {
                events.extend(corrections.iter().map(|correction| correction.fact.event.clone()));
                closure.groups.push(corrections);
            }
        }
    }
    Ok(())
}
