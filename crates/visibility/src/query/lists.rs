//! Search, exceptions and changes. Candidates come from derived rows; what is said of them is folded as of the moment.

use waybill_types::TimestampMs;

use super::closure::{self, Loader};
use super::{QueryError, Question, Settled, settle};
use crate::model::answer::Fold;
use crate::model::change::Change;
use crate::model::exception::{self, Exception};
use crate::model::time::Day;
use crate::model::{Answer, Kind, Known, Subject, change};
use crate::store::{Match, Read, StoreError, SuspectKey, Suspects};

/// Hits of one search, at most.
pub const MAX_HITS: usize = 500;

/// Exceptions of one page, at most.
pub const MAX_EXCEPTIONS: usize = 1_000;

/// Suspects looked at in one go.
const SUSPECTS: usize = 128;

/// Changes of one answer, at most.
pub const MAX_CHANGES: usize = 1_000;

/// Subjects looked at in one go for changes under a token.
const PINNED_PAGE: usize = 4_096;

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
    let closure = closure::load(&mut Loader::of(read, settled), subject)?;
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
    let wanted = limit.saturating_mul(2).saturating_add(16);
    let mut candidates = read.search(words, if settled.pinned { wanted.max(MAX_HITS) } else { wanted })?;
    if settled.pinned {
        // Ranks depend on all there is: under a token hits come by name.
        candidates.sort_by(|a, b| (a.by, &a.subject).cmp(&(b.by, &b.subject)));
    }
    let mut hits = Vec::new();
    // Some candidates may not have been known then, so look at more than asked for.
    for candidate in candidates {
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

/// What needs a decision as of the moment, oldest due first: all of it.
///
/// # Errors
/// The moment can not be asked for; the store failed.
pub fn exceptions(
    read: &dyn Read,
    question: &Question,
    now: TimestampMs,
) -> Result<(Settled, Vec<Exception>), QueryError> {
    let settled = settle(read, question, now)?;
    let found = everything(read, &settled)?;
    Ok((settled, found))
}

fn everything(read: &dyn Read, settled: &Settled) -> Result<Vec<Exception>, StoreError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let mut page = page(read, settled, after, MAX_EXCEPTIONS)?;
        found.append(&mut page.found);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    found.sort_by(|a, b| {
        (a.due.is_none(), a.due, a.rule, &a.subject).cmp(&(b.due.is_none(), b.due, b.rule, &b.subject))
    });
    Ok(found)
}

/// Where a page of exceptions ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Promises are through: what is left is flagged otherwise.
    flagged: bool,
    /// The last subject looked at.
    key: SuspectKey,
    /// Of that one, so many exceptions were given and more are left; 0 when all were.
    given: usize,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SuspectKey { day, kind, id } = &self.key;
        let id = crate::model::digest::hex(id.as_bytes());
        write!(f, "{}.{day}.{kind}.{}.{id}", u8::from(self.flagged), self.given)
    }
}

impl std::str::FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let parts: Vec<&str> = text.split('.').collect();
        let [flagged, day, kind, given, id] = parts[..] else { return Err(NotACursor) };
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes = id.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        });
        let id = bytes.collect::<Option<Vec<u8>>>().and_then(|bytes| String::from_utf8(bytes).ok());
        let number = |text: &str| text.parse::<i64>().map_err(|_| NotACursor);
        Ok(Self {
            flagged: number(flagged)? != 0,
            key: SuspectKey { day: number(day)?, kind: number(kind)?, id: id.ok_or(NotACursor)? },
            given: given.parse().map_err(|_| NotACursor)?,
        })
    }
}

/// A text is not where a page ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not where a page ended")]
pub struct NotACursor;

/// One page of exceptions.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Those found.
    pub found: Vec<Exception>,
    /// Where it ended; `None` after the last.
    pub next: Option<Cursor>,
}

/// Up to `limit` of what needs a decision, from where an earlier page ended. As of now promises come oldest due first,
/// as of another moment by the earliest day ever promised; then comes what is flagged otherwise. Only subjects that may
/// have an exception are looked at, and only until the page is full.
///
/// # Errors
/// The moment can not be asked for; the store failed.
pub fn exceptions_page(
    read: &dyn Read,
    question: &Question,
    after: Option<Cursor>,
    limit: usize,
    now: TimestampMs,
) -> Result<(Settled, Page), QueryError> {
    let settled = settle(read, question, now)?;
    let limit = limit.clamp(1, MAX_EXCEPTIONS);
    let page = match settled.pinned {
        true => pinned_page(read, &settled, after.as_ref(), limit)?,
        false => page(read, &settled, after, limit)?,
    };
    Ok((settled, page))
}

/// Under a token pages repeat for ever: they are cut from all there is, in an order that nothing told later changes.
fn pinned_page(
    read: &dyn Read,
    settled: &Settled,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page, StoreError> {
    let mut found = everything(read, settled)?;
    let from = after.map_or(0, |cursor| cursor.given);
    let upto = from.saturating_add(limit);
    let next = (found.len() > upto).then(|| Cursor {
        flagged: false,
        key: SuspectKey { day: 0, kind: 0, id: String::new() },
        given: upto,
    });
    found.truncate(upto);
    found.drain(..from.min(found.len()));
    Ok(Page { found, next })
}

fn page(read: &dyn Read, settled: &Settled, after: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
    let mut found = Vec::new();
    let flagged_only = after.as_ref().is_some_and(|cursor| cursor.flagged);
    if !flagged_only {
        let next = walk(read, settled, false, after.as_ref(), limit, &mut found)?;
        if next.is_some() {
            return Ok(Page { found, next });
        }
    }
    let after = after.filter(|cursor| cursor.flagged);
    let next = walk(read, settled, true, after.as_ref(), limit, &mut found)?;
    Ok(Page { found, next })
}

/// Looks at suspects of one sort until the page is full; returns where, `None` when there are no more.
fn walk(
    read: &dyn Read,
    settled: &Settled,
    flagged: bool,
    after: Option<&Cursor>,
    limit: usize,
    found: &mut Vec<Exception>,
) -> Result<Option<Cursor>, StoreError> {
    let moment = &settled.moment;
    let of = if flagged {
        Suspects::Flagged { as_of: moment.as_of }
    } else {
        let is_now = settled.is_now && moment.at.is_none();
        Suspects::Promised { as_of: moment.as_of, today: Day::of(moment.at.unwrap_or(moment.as_of)), is_now }
    };
    let mut last = after.map(|cursor| cursor.key.clone());
    // A subject of which only some exceptions were given comes first, again.
    let mut suspects = Vec::new();
    let mut skip = 0;
    if let Some(cursor) = after.filter(|cursor| cursor.given > 0)
        && let Some(kind) = Kind::from_code(cursor.key.kind)
    {
        suspects.push((cursor.key.clone(), Subject::new(kind, cursor.key.id.clone())));
        skip = cursor.given;
    }
    loop {
        let batch = SUSPECTS.min(limit.saturating_sub(found.len()).max(1));
        suspects.extend(read.suspects(of, last.as_ref(), batch)?);
        if suspects.is_empty() {
            return Ok(None);
        }
        for (key, subject) in suspects.drain(..) {
            if found.len() >= limit {
                return Ok(last.map(|key| Cursor { flagged, key, given: 0 }));
            }
            let exceptions = answer_of(read, settled, &subject)?.map(|(_, exceptions)| exceptions);
            let own = exceptions
                .unwrap_or_default()
                .into_iter()
                .filter(|exception| exception.subject == subject && exception.due.is_none() == flagged);
            let own: Vec<Exception> = own.collect();
            let left = own.len().saturating_sub(skip);
            let room = limit.saturating_sub(found.len());
            found.extend(own.into_iter().skip(skip).take(room));
            if left > room {
                return Ok(Some(Cursor { flagged, key, given: skip + room }));
            }
            skip = 0;
            last = Some(key);
        }
        if found.len() >= limit {
            return Ok(last.map(|key| Cursor { flagged, key, given: 0 }));
        }
    }
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
    if settled.pinned {
        let found = pinned_changes(read, &settled, since, limit.min(MAX_CHANGES))?;
        return Ok((settled, found));
    }
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

/// Changes under a token, folded from what lies below it: rows of changes rest on everything told since.
fn pinned_changes(
    read: &dyn Read,
    settled: &Settled,
    since: TimestampMs,
    limit: usize,
) -> Result<Vec<Change>, StoreError> {
    let mut found: Vec<Change> = Vec::new();
    let newest_first = |a: &Change, b: &Change| b.told.cmp(&a.told).then_with(|| a.subject.cmp(&b.subject));
    let mut skip = 0;
    loop {
        let page = read.last_told(since, skip, PINNED_PAGE)?;
        skip += page.len();
        let ended = page.len() < PINNED_PAGE;
        for (latest, subject) in page {
            // Nothing told of this one, or of those that follow, is newer than what fills the list.
            if found.len() >= limit && found.get(limit - 1).is_some_and(|last| last.told > latest) {
                found.truncate(limit);
                return Ok(found);
            }
            let closure = closure::load(&mut Loader::of(read, settled), &subject)?;
            let told = || closure.tellings().filter(|telling| settled.covers(&telling.evidence));
            if !settled.scope.sees(told().map(|telling| &telling.fact)) {
                continue;
            }
            let changes = change::of(told(), &subject, &settled.scope, None).into_iter();
            let before = found.len();
            found.extend(changes.filter(|each| each.told > since && each.told <= settled.moment.as_of));
            if found.len() > before {
                // Stable: changes of one subject stay in their order.
                found.sort_by(newest_first);
            }
        }
        if ended {
            found.truncate(limit);
            return Ok(found);
        }
    }
}
