//! Which facts bear on a subject: its own, those of its lines, of what holds or held them, and the corrections of them.

use std::collections::{BTreeSet, VecDeque};

use crate::model::{Body, Fact, Kind, Relation, Subject, Telling};
use crate::store::{Read, StoreError};

/// Subjects looked at for one answer, at most. Reaching it is reported.
pub const MAX_SUBJECTS: usize = 2_000;

/// Parts listed of one holder, at most.
pub const MAX_PARTS: usize = 2_000;

/// The facts that bear on a subject.
#[derive(Debug, Clone, Default)]
pub struct Closure {
    /// Everything told, at any time.
    pub tellings: Vec<Telling>,
    /// The subjects whose own facts are here whole: the subject first, then in the order found.
    pub subjects: Vec<Subject>,
    /// More subjects exist than were looked at.
    pub is_bounded: bool,
}

/// Collects the facts that bear on `subject`.
///
/// # Errors
/// The store failed.
pub fn load(read: &dyn Read, subject: &Subject) -> Result<Closure, StoreError> {
    let mut closure = Closure::default();
    let mut seen: BTreeSet<Subject> = BTreeSet::new();
    let mut queue: VecDeque<Subject> = VecDeque::from([subject.clone()]);
    seen.insert(subject.clone());
    // A shipment that carries an order whole carries its lines.
    let mut holders = vec![subject.clone()];
    while let Some(holder) = holders.pop() {
        let links = read.links_into(&holder, MAX_PARTS)?;
        closure.is_bounded |= links.len() >= MAX_PARTS;
        for link in links {
            let part = &link.fact.subject;
            // An order is as its lines are, a shipment as what it carries; other parts are only listed.
            let bears =
                matches!((holder.kind, part.kind), (Kind::Order | Kind::Shipment, Kind::Line | Kind::Order));
            if !bears {
                closure.tellings.push(link);
            } else if seen.insert(part.clone()) {
                queue.push_back(part.clone());
                if (holder.kind, part.kind) == (Kind::Shipment, Kind::Order) {
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
        let tellings = read.tellings(&next)?;
        for telling in &tellings {
            if let Body::Link { holder, relation, .. } = &telling.fact.draft.body
                && *relation != Relation::Named
                && !holder.id.is_empty()
                && seen.insert(holder.clone())
            {
                queue.push_back(holder.clone());
            }
        }
        closure.tellings.extend(tellings);
        closure.subjects.push(next);
    }
    // Links of parts whose own facts came in whole are there already; the fold takes repetition.
    add_corrections(read, &mut closure)?;
    Ok(closure)
}

/// Whether a fact tells that `subject` exists: it is about it, or something is linked to it.
#[must_use]
pub fn tells_of(fact: &Fact, subject: &Subject) -> bool {
    fact.subject == *subject || matches!(&fact.draft.body, Body::Link { holder, .. } if holder == subject)
}

fn add_corrections(read: &dyn Read, closure: &mut Closure) -> Result<(), StoreError> {
    if !read.has_corrections()? {
        return Ok(());
    }
    let mut looked: BTreeSet<String> = BTreeSet::new();
    let mut events: Vec<String> = closure.tellings.iter().map(|telling| telling.fact.event.clone()).collect();
    // A correction may itself be taken back, by another event.
    while let Some(event) = events.pop() {
        if !looked.insert(event.clone()) {
            continue;
        }
        let corrections = read.tellings(&Subject::new(Kind::Event, event))?;
        events.extend(corrections.iter().map(|correction| correction.fact.event.clone()));
        closure.tellings.extend(corrections);
    }
    Ok(())
}
