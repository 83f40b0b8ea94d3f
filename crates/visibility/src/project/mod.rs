//! Derive: works out the rows of dirty subjects again. Any order and any repetition give the same rows.

use std::collections::{BTreeSet, VecDeque};

use waybill_types::TimestampMs;

use crate::model::answer::Fold;
use crate::model::exception::{self, Rule};
use crate::model::{Answer, Kind, Known, Moment, Scope, Subject, change};
use crate::query::{closure, lists};
use crate::store::{Derivation, Derived, Read, Store, StoreError};

/// Dirty subjects taken at once.
pub const BATCH: usize = 512;

/// Subjects that one dirty subject makes dirty, at most.
pub const MAX_AFFECTED: usize = 5_000;

/// Works out one batch of dirty subjects. Returns how many were dirty; 0 means that all rows are up to date.
///
/// # Errors
/// The store failed.
pub fn derive_batch(store: &dyn Store) -> Result<usize, StoreError> {
    let dirty = store.dirty(BATCH)?;
    if dirty.is_empty() {
        return Ok(0);
    }
    let rows = {
        let read = store.read()?;
        let mut affected = BTreeSet::new();
        for subject in &dirty {
            spread(read.as_ref(), subject, &mut affected)?;
        }
        let mut rows = Vec::with_capacity(affected.len());
        for subject in &affected {
            rows.extend(derivations(read.as_ref(), subject)?);
        }
        rows
    };
    store.derive(&rows, &dirty)?;
    Ok(dirty.len())
}

/// Works out everything that is dirty.
///
/// # Errors
/// The store failed.
pub fn derive_all(store: &dyn Store) -> Result<(), StoreError> {
    while derive_batch(store)? > 0 {}
    Ok(())
}

/// Adds `subject`, what lies in it, and the orders and shipments of lines among these: all whose rows rest on it.
fn spread(read: &dyn Read, subject: &Subject, affected: &mut BTreeSet<Subject>) -> Result<(), StoreError> {
    let mut queue = VecDeque::from([subject.clone()]);
    let mut looked: BTreeSet<Subject> = BTreeSet::new();
    while let Some(next) = queue.pop_front() {
        if looked.len() >= MAX_AFFECTED {
            tracing::warn!(subject = %subject, "too many subjects rest on one; some rows lag until they change themselves");
            break;
        }
        if !looked.insert(next.clone()) {
            continue;
        }
        // What an order's lines rest on does not include their order, but for its promise.
        for link in read.links_into(&next, closure::MAX_PARTS)? {
            queue.push_back(link.fact.subject);
        }
        if next.kind == Kind::Line {
            for holder in holders(read, &next)? {
                // Its order may lie in a shipment with all its lines.
                if holder.kind == Kind::Order {
                    affected.extend(holders(read, &holder)?);
                }
                affected.insert(holder);
            }
        }
    }
    affected.extend(looked);
    Ok(())
}

/// What a subject was ever told to lie in or to be part of.
fn holders(read: &dyn Read, subject: &Subject) -> Result<Vec<Subject>, StoreError> {
    let tellings = read.tellings(subject)?.into_iter();
    Ok(tellings
        .filter_map(|telling| match telling.fact.draft.body {
            crate::model::Body::Link { holder, .. } if !holder.id.is_empty() => Some(holder),
            _ => None,
        })
        .collect())
}

/// The rows that rest on `subject`'s facts: its own and, for an order, its lines'.
fn derivations(read: &dyn Read, subject: &Subject) -> Result<Vec<Derivation>, StoreError> {
    if matches!(subject.kind, Kind::Place | Kind::Event | Kind::Document) {
        return Ok(Vec::new());
    }
    let closure = closure::load(read, subject)?;
    if subject.kind == Kind::Line && closure.subjects.iter().any(|other| other.kind == Kind::Order) {
        // Its order makes its row, from the same facts.
        return Ok(Vec::new());
    }
    let moment = Moment::as_of(TimestampMs(i64::MAX));
    let known = Known::new(&closure.tellings, &moment, &Scope::All);
    let fold = Fold::new(&known);
    let answer = fold.answer(subject);
    let mut own: Vec<Subject> =
        answer.lines.iter().map(|line| Subject::new(Kind::Line, line.id.clone())).collect();
    let lines: Vec<Answer> = match subject.kind {
        Kind::Order => own.iter().map(|line| fold.answer(line)).collect(),
        _ => Vec::new(),
    };
    own.insert(0, subject.clone());
    let flagged = exception::find(&known, &answer, &moment, &own)
        .iter()
        .any(|exception| !matches!(exception.rule, Rule::Overdue | Rule::ExpectedLate));
    let mut rows = Vec::with_capacity(lines.len() + 1);
    for line in lines {
        rows.extend(row(&known, &line, false).map(|row| Derivation { row, changes: Vec::new() }));
    }
    if let Some(row) = row(&known, &answer, flagged) {
        rows.push(Derivation { row, changes: change::of(&closure.tellings, subject, &Scope::All) });
    }
    Ok(rows)
}

fn row(known: &Known<'_>, answer: &Answer, flagged: bool) -> Option<Derived> {
    let own_facts = known.all().filter(|each| closure::tells_of(each.fact, &answer.subject));
    let first_told = own_facts.map(|each| each.fact.told).min()?;
    let text: Vec<String> =
        lists::searchable(answer).into_iter().map(|(label, value)| format!("{label} {value}")).collect();
    Some(Derived {
        subject: answer.subject.clone(),
        state: answer.state,
        promised: answer.promised,
        estimated: answer.estimated,
        delivered: answer.delivered,
        delivered_told: answer.delivered_told,
        days_late: answer.days_late,
        first_told,
        flagged,
        text: text.join("\n"),
    })
}
