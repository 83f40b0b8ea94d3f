//! Derive: works out the rows of dirty subjects again. Any order and any repetition give the same rows.
//!
//! A batch works on one snapshot, loads each subject once, works each row out once, and writes what differs from what
//! is there. Changes go on where they stopped, unless something was told for a time that they had passed.

use std::collections::{BTreeSet, VecDeque};

use sha2::{Digest, Sha256};
use waybill_types::TimestampMs;

use crate::model::answer::Fold;
use crate::model::exception::{self, Rule};
use crate::model::time::{Day, When};
use crate::model::{Answer, Body, Classifier, Kind, Known, Milestone, Moment, Scope, Subject, change};
use crate::query::closure::{self, Closure, Loader};
use crate::query::lists;
use crate::store::{Basis, Changes, Derivation, Derived, Read, Store, StoreError, Words};

/// Dirty subjects taken at once.
pub const BATCH: usize = 4_096;

/// Subjects that one dirty subject makes dirty, at most.
pub const MAX_AFFECTED: usize = 5_000;

/// The end of time: rows rest on everything known.
const EVER: TimestampMs = TimestampMs(i64::MAX);

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
        let mut loader = Loader::new(read.as_ref(), EVER);
        let mut affected = BTreeSet::new();
        for dirty in &dirty {
            spread(&mut loader, &dirty.subject, &mut affected)?;
        }
        let mut rows = Vec::with_capacity(affected.len());
        for subject in &affected {
            derive(read.as_ref(), &mut loader, subject, &mut rows)?;
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
pub(crate) fn spread(
    loader: &mut Loader<'_>,
    subject: &Subject,
    affected: &mut BTreeSet<Subject>,
) -> Result<(), StoreError> {
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
        queue.extend(loader.parts(&next)?.iter().cloned());
        if next.kind == Kind::Line {
            for holder in loader.holders(&next)? {
                // Its order may lie in a shipment with all its lines.
                if holder.kind == Kind::Order {
                    affected.extend(loader.holders(&holder)?);
                }
                affected.insert(holder);
            }
        }
    }
    affected.extend(looked);
    Ok(())
}

/// The rows that rest on `subject`'s facts, as far as they change: its own and, for an order, its lines'.
fn derive(
    read: &dyn Read,
    loader: &mut Loader<'_>,
    subject: &Subject,
    rows: &mut Vec<Derivation>,
) -> Result<(), StoreError> {
    if matches!(subject.kind, Kind::Place | Kind::Event | Kind::Document) {
        return Ok(());
    }
    if subject.kind == Kind::Line && loader.holders(subject)?.iter().any(|other| other.kind == Kind::Order) {
        // Its order makes its row, from the same facts.
        return Ok(());
    }
    let closure = closure::load(loader, subject)?;
    let moment = Moment::as_of(EVER);
    let known = Known::new(closure.tellings(), &moment, &Scope::All);
    let fold = Fold::new(&known);
    let answer = fold.answer(subject);
    let lines: Vec<Answer> = match subject.kind {
        Kind::Order => {
            let lines = answer.lines.iter().map(|line| Subject::new(Kind::Line, line.id.clone()));
            lines.map(|line| fold.answer(&line)).collect()
        }
        _ => Vec::new(),
    };
    // Each thing is flagged for itself: a line's fault is found once, not again with its order and its shipment.
    let flagged = |answer: &Answer| {
        let found = exception::find(&known, answer, &moment, std::slice::from_ref(&answer.subject));
        found.iter().any(|exception| !matches!(exception.rule, Rule::Overdue | Rule::ExpectedLate))
    };
    let bounds = bounds(&known);
    let basis = Basis {
        tellings: told_once(&closure, EVER),
        latest: closure.tellings().map(|telling| telling.fact.known_from()).max().unwrap_or(EVER),
    };
    for line in lines {
        // Words of a line are its order's.
        let Some(row) = row(&known, &line, flagged(&line), 0, Basis::default(), bounds) else { continue };
        let before = read.derived(&row.subject)?;
        if before.as_ref() != Some(&row) {
            rows.push(Derivation { row, words: None, changes: Changes::More(Vec::new()) });
        }
    }
    let text = words(&answer, &closure);
    let Some(row) = row(&known, &answer, flagged(&answer), digest(&text), basis, bounds) else {
        return Ok(());
    };
    let before = read.derived(subject)?;
    if before.as_ref() == Some(&row) {
        return Ok(());
    }
    let differs = before.as_ref().is_none_or(|before| before.words != row.words);
    let words = differs.then_some(Words { text, replace: before.is_some() });
    let changes = changes(&closure, subject, before.map(|before| before.basis));
    rows.push(Derivation { row, words, changes });
    Ok(())
}

/// How much was told up to `until`, but for what sensors tell: of that, the store gives only the last.
fn told_once(closure: &Closure, until: TimestampMs) -> u64 {
    let told = closure.tellings().filter(|telling| !telling.fact.draft.sampled && telling.fact.told <= until);
    u64::try_from(told.count()).unwrap_or(u64::MAX)
}

/// Those since the last time, if nothing was told for earlier meanwhile.
fn changes(closure: &Closure, subject: &Subject, before: Option<Basis>) -> Changes {
    let goes_on = before.filter(|before| told_once(closure, before.latest) == before.tellings);
    let after = goes_on.map(|before| before.latest);
    let found = change::of(closure.tellings(), subject, &Scope::All, after);
    if after.is_some() { Changes::More(found) } else { Changes::All(found) }
}

/// What full-text search looks in: one `label value` a line. What was said once stays, so that a question as of then finds
/// it; whether it counts is decided when it is found.
fn words(answer: &Answer, closure: &Closure) -> String {
    let mut values: BTreeSet<(String, String)> = lists::searchable(answer).into_iter().collect();
    let lines: BTreeSet<&str> = answer.lines.iter().map(|line| line.id.as_str()).collect();
    for telling in closure.tellings() {
        let of = &telling.fact.subject;
        let own = *of == answer.subject || of.kind == Kind::Line && lines.contains(of.id.as_str());
        match &telling.fact.draft.body {
            Body::Attributes { values: told } if own => values.extend(told.iter().cloned()),
            Body::Link { holder, .. } if own && holder.kind == Kind::Shipment && !holder.id.is_empty() => {
                values.insert(("shipment".to_owned(), holder.id.clone()));
            }
            Body::Location(located) => {
                let place = located.name.clone().unwrap_or_else(|| located.place.clone());
                values.insert(("place".to_owned(), place));
            }
            _ => {}
        }
    }
    values.into_iter().map(|(label, value)| format!("{label} {value}")).collect::<Vec<_>>().join("\n")
}

/// Never 0, which says that there are no words.
fn digest(text: &str) -> i64 {
    let hash = Sha256::digest(text.as_bytes());
    let first = hash.first_chunk::<8>().map_or(1, |bytes| i64::from_be_bytes(*bytes));
    if first == 0 { 1 } else { first }
}

/// The earliest promise ever told of what bears on a subject, and whether an estimate after it was: at no moment is a
/// promise due before, whatever is taken back or comes late.
fn bounds(known: &Known<'_>) -> (Option<Day>, bool) {
    let days = |classifier: Classifier| {
        let told = known.all().filter(move |each| {
            each.fact.milestone() == Some(Milestone::Deliver) && each.fact.draft.classifier == classifier
        });
        told.filter(|each| each.fact.is_plausible())
            .filter_map(|each| each.fact.draft.happened.map(When::day))
    };
    let earliest = days(Classifier::Pln).min();
    let late = earliest.is_some_and(|earliest| days(Classifier::Est).any(|estimated| estimated > earliest));
    (earliest, late)
}

fn row(
    known: &Known<'_>,
    answer: &Answer,
    flagged: bool,
    words: i64,
    basis: Basis,
    (earliest, late): (Option<Day>, bool),
) -> Option<Derived> {
    let own_facts = known.all().filter(|each| closure::tells_of(each.fact, &answer.subject));
    let first_told = own_facts.map(|each| each.fact.told).min()?;
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
        words,
        basis,
        earliest,
        late,
    })
}
