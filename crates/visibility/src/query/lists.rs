//! Search, exceptions and changes. Candidates come from derived rows; what is said of them is folded as of the moment.

use waybill_types::TimestampMs;

use super::closure::{self, Loader};
use super::{QueryError, Question, Settled, settle};
use crate::model::answer::Fold;
use crate::model::change::Change;
use crate::model::exception::{self, Exception};
use crate::model::{Answer, Kind, Known, Subject};
use crate::store::{Listing, Match, Read, StoreError};

/// Hits of one search, at most.
pub const MAX_HITS: usize = 500;

/// Changes of one answer, at most.
pub const MAX_CHANGES: usize = 1_000;

/// A hit.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// What is said of it.
    pub answer: Answer,
    /// What the words matched.
    pub matched: String,
}

/// What is said of a subject as of a settled moment; `None` when it was not known then or is out of scope.
///
/// # Errors
/// The store failed.
pub fn answer_of(
    read: &dyn Read,
    settled: &Settled,
    subject: &Subject,
) -> Result<Option<(Answer, Vec<Exception>)>, StoreError> {
    let closure = closure::load(&mut Loader::new(read, settled.moment.as_of), subject)?;
    let tellings = closure.tellings().filter(|telling| settled.covers(&telling.evidence));
    if !settled.scope.sees(tellings.clone().map(|telling| &telling.fact)) {
        return Ok(None);
    }
    let known = Known::new(tellings, &settled.moment, &settled.scope);
    if !known.all().any(|each| closure::tells_of(each.fact, subject)) {
        return Ok(None);
    }
    let answer = Fold::new(&known).answer(subject);
    // Only what is its own: what holds it has a line of its own.
    let mut own: Vec<Subject> =
        answer.lines.iter().map(|line| Subject::new(Kind::Line, line.id.clone())).collect();
    own.insert(0, subject.clone());
    let exceptions = exception::find(&known, &answer, &settled.moment, &own);
    Ok(Some((answer, exceptions)))
}

/// Subjects whose ids, references, names or places match `words`: exact ids first, then prefixes, then text.
///
/// # Errors
/// The moment can not be asked for; the store failed.
pub fn search(
    read: &dyn Read,
    question: &Question,
    words: &str,
    limit: usize,
    now: TimestampMs,
) -> Result<(Settled, Vec<Hit>), QueryError> {
    let settled = settle(read, question, now)?;
    let limit = limit.min(MAX_HITS);
    if words.trim().is_empty() {
        return Ok((settled, Vec::new()));
    }
    let mut hits = Vec::new();
    // Some candidates may not have been known then, so look at more than asked for.
    for candidate in read.search(words, limit.saturating_mul(2).saturating_add(16))? {
        if hits.len() >= limit {
            break;
        }
        let Some((answer, _)) = answer_of(read, &settled, &candidate.subject)? else { continue };
        let matched = match candidate.by {
            Match::Exact => Some("id".to_owned()),
            Match::Prefix => Some("beginning of id".to_owned()),
            Match::Text => text_match(&answer, words),
        };
        if let Some(matched) = matched {
            hits.push(Hit { answer, matched });
        }
    }
    Ok((settled, hits))
}

/// What full-text search looks in: the subject's names and references, its lines', and its place.
#[must_use]
pub fn searchable(answer: &Answer) -> Vec<(String, String)> {
    let mut values = vec![("id".to_owned(), answer.subject.id.clone())];
    values.extend(answer.attributes.iter().cloned());
    for line in &answer.lines {
        values.extend(line.attributes.iter().cloned());
        values.extend(line.shipments.iter().map(|shipment| ("shipment".to_owned(), shipment.clone())));
    }
    if let Some(seen) = &answer.location {
        let place = seen.located.name.clone().unwrap_or_else(|| seen.located.place.clone());
        values.push(("place".to_owned(), place));
    }
    values.sort();
    values.dedup();
    values
}

/// Which label the words match; `None` when what matched was told only later.
fn text_match(answer: &Answer, words: &str) -> Option<String> {
    let wanted: Vec<String> = split(words);
    let values = searchable(answer);
    let holds = |value: &str, word: &String| split(value).iter().any(|known| known.starts_with(word));
    if !wanted.iter().all(|word| values.iter().any(|(_, value)| holds(value, word))) {
        return None;
    }
    let (label, value) =
        values.iter().max_by_key(|(_, value)| wanted.iter().filter(|word| holds(value, word)).count())?;
    Some(format!("{label} {value}"))
}

fn split(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// What needs a decision as of the moment, oldest due first.
///
/// # Errors
/// The moment can not be asked for; the store failed.
pub fn exceptions(
    read: &dyn Read,
    question: &Question,
    now: TimestampMs,
) -> Result<(Settled, Vec<Exception>), QueryError> {
    let settled = settle(read, question, now)?;
    let mut found = Vec::new();
    for row in read.list(Listing::Suspect { as_of: settled.moment.as_of })? {
        if let Some((_, exceptions)) = answer_of(read, &settled, &row.subject)? {
            for exception in exceptions {
                // A line's exception is found by its order and by its shipment.
                if !found.contains(&exception) {
                    found.push(exception);
                }
            }
        }
    }
    found.sort_by(|a, b| {
        (a.due.is_none(), a.due, a.rule, &a.subject).cmp(&(b.due.is_none(), b.due, b.rule, &b.subject))
    });
    Ok((settled, found))
}

/// What changed after `since`, newest told first.
///
/// # Errors
/// The moment can not be asked for; the store failed.
pub fn changes(
    read: &dyn Read,
    question: &Question,
    since: TimestampMs,
    limit: usize,
    now: TimestampMs,
) -> Result<(Settled, Vec<Change>), QueryError> {
    let settled = settle(read, question, now)?;
    let mut found = read.changes(since, settled.moment.as_of, limit.min(MAX_CHANGES))?;
    found.retain(|change| change.evidence.is_none_or(|at| settled.covers(&at)));
    if settled.scope != crate::model::Scope::All {
        let mut visible = Vec::new();
        for change in found {
            if answer_of(read, &settled, &change.subject)?.is_some() {
                visible.push(change);
            }
        }
        found = visible;
    }
    Ok((settled, found))
}
