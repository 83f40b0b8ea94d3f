//! How facts stand in the file: numbers for names, and a row for what one event told of one subject.

use std::cell::RefCell;
use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use super::StoreError;
use super::schema::class;
use crate::model::time::When;
use crate::model::{Body, ContentId, Evidence, Fact, FactDraft, Kind, Subject, Telling};

pub(super) type SqlResult<T> = Result<T, rusqlite::Error>;

/// Names whose numbers are kept in memory, at most; then they are looked up again.
const MAX_REFS: usize = 400_000;

/// Facts of one record up to which rows are looked for one by one.
const FEW: usize = 12;

/// Numbers of subjects and sources that are in the file.
#[derive(Debug, Default)]
pub(super) struct Refs {
    subjects: HashMap<Subject, i64>,
    sources: HashMap<String, i64>,
}

impl Refs {
    /// Forgets all: after a transaction that was not committed.
    pub(super) fn clear(&mut self) {
        self.subjects.clear();
        self.sources.clear();
    }

    /// Forgets what is too much.
    pub(super) fn trim(&mut self) {
        if self.subjects.len() + self.sources.len() > MAX_REFS {
            self.clear();
        }
    }
}

/// Finds numbers, and gives new ones.
pub(super) struct Interner<'t> {
    refs: &'t mut Refs,
    connection: &'t Connection,
    find_subject: CachedStatement<'t>,
    add_subject: CachedStatement<'t>,
}

impl<'t> Interner<'t> {
    pub(super) fn new(connection: &'t Connection, refs: &'t mut Refs) -> SqlResult<Self> {
        Ok(Self {
            refs,
            connection,
            find_subject: connection.prepare_cached("SELECT ref FROM subject WHERE id = ?1 AND kind = ?2")?,
            add_subject: connection.prepare_cached("INSERT INTO subject (id, kind) VALUES (?1, ?2)")?,
        })
    }

    /// The number of a subject, made when it is new.
    pub(super) fn subject(&mut self, subject: &Subject) -> SqlResult<i64> {
        if let Some(known) = self.refs.subjects.get(subject) {
            return Ok(*known);
        }
        let key = params![subject.id, subject.kind.code()];
        let found = self.find_subject.query_row(key, |row| row.get(0)).optional()?;
        let number = match found {
            Some(found) => found,
            None => self.add_subject.insert(key)?,
        };
        self.refs.subjects.insert(subject.clone(), number);
        Ok(number)
    }

    /// The number of a source, made when it is new.
    pub(super) fn source(&mut self, name: &str) -> SqlResult<i64> {
        if let Some(known) = self.refs.sources.get(name) {
            return Ok(*known);
        }
        self.connection.prepare_cached("INSERT OR IGNORE INTO source (name) VALUES (?1)")?.execute([name])?;
        let number = self
            .connection
            .prepare_cached("SELECT ref FROM source WHERE name = ?1")?
            .query_row([name], |row| row.get(0))?;
        self.refs.sources.insert(name.to_owned(), number);
        Ok(number)
    }
}

/// What one event told of one subject, of one class.
pub(super) struct Group<'f> {
    pub(super) first: &'f Fact,
    pub(super) class: i64,
    pub(super) at: i64,
    pub(super) index: usize,
    pub(super) ids: Vec<u8>,
    pub(super) drafts: Vec<u8>,
    pub(super) holders: Vec<&'f Subject>,
}

fn place_in_time(fact: &Fact) -> (i64, i64) {
    let happened = || fact.draft.happened.map_or(fact.told, When::start).get();
    match &fact.draft.body {
        Body::Condition(reading) if reading.is_excursion() => (class::EXCURSION, happened()),
        Body::Condition(_) => (class::READING, happened()),
        Body::Location(_) if fact.draft.sampled => (class::POSITION, happened()),
        _ => (class::PLAIN, fact.told.get()),
    }
}

/// The rows of one record's facts, in the order in which they were told. `keeps` says which facts are stored.
pub(super) fn groups<'f>(
    facts: &'f [Fact],
    keeps: impl Fn(&Fact) -> bool,
) -> Result<Vec<Group<'f>>, StoreError> {
    let mut groups: Vec<Group<'f>> = Vec::with_capacity(facts.len().min(FEW));
    let mut found: HashMap<(&str, &Subject, i64, i64), usize> = HashMap::new();
    for (index, fact) in facts.iter().enumerate().filter(|(_, fact)| keeps(fact)) {
        let (class, at) = place_in_time(fact);
        let known = if facts.len() <= FEW {
            groups.iter().position(|group| {
                (group.class, group.at) == (class, at)
                    && group.first.subject == fact.subject
                    && group.first.event == fact.event
            })
        } else {
            let number = *found.entry((&fact.event, &fact.subject, class, at)).or_insert(groups.len());
            (number < groups.len()).then_some(number)
        };
        let number = known.unwrap_or_else(|| {
            let (ids, drafts) = (Vec::with_capacity(32), Vec::with_capacity(160));
            groups.push(Group { first: fact, class, at, index, ids, drafts, holders: Vec::new() });
            groups.len() - 1
        });
        let Some(group) = groups.get_mut(number) else { continue };
        group.ids.extend_from_slice(&fact.id.0);
        group.drafts.push(if group.drafts.is_empty() { b'[' } else { b',' });
        serde_json::to_writer(&mut group.drafts, &(index, &fact.draft))
            .map_err(|fault| StoreError::Corrupt(fault.to_string()))?;
        if let Body::Link { holder, .. } = &fact.draft.body
            && !holder.id.is_empty()
        {
            group.holders.push(holder);
        }
    }
    for group in &mut groups {
        group.drafts.push(b']');
    }
    Ok(groups)
}

/// A number for an event's id. Ids that count up lie side by side, so that writing them touches few pages; two events
/// with one number only make more subjects dirty than must be.
pub(super) fn event_key(event: &str) -> i64 {
    let (mut stem, mut number) = (0x811c_9dc5_u32, 0_u32);
    for byte in event.bytes() {
        if byte.is_ascii_digit() {
            number = number.wrapping_mul(10).wrapping_add(u32::from(byte - b'0'));
        } else {
            stem = (stem ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
    (i64::from(stem) << 32) | i64::from(number)
}

/// Names of numbers, looked up once a snapshot.
#[derive(Debug, Default)]
pub(super) struct Names {
    parts: RefCell<HashMap<i64, (TopicId, PartitionId)>>,
    sources: RefCell<HashMap<i64, String>>,
}

impl Names {
    fn part(&self, connection: &Connection, number: i64) -> SqlResult<(TopicId, PartitionId)> {
        if let Some(known) = self.parts.borrow().get(&number) {
            return Ok(*known);
        }
        let part = connection
            .prepare_cached(
                "SELECT t.id, p.partition FROM part p JOIN topic t ON t.ref = p.topic WHERE p.ref = ?1",
            )?
            .query_row([number], |row| Ok((topic_of(row, 0)?, PartitionId(row.get(1)?))))?;
        self.parts.borrow_mut().insert(number, part);
        Ok(part)
    }

    fn source(&self, connection: &Connection, number: i64) -> SqlResult<String> {
        if let Some(known) = self.sources.borrow().get(&number) {
            return Ok(known.clone());
        }
        let name: String = connection
            .prepare_cached("SELECT name FROM source WHERE ref = ?1")?
            .query_row([number], |row| row.get(0))?;
        self.sources.borrow_mut().insert(number, name.clone());
        Ok(name)
    }
}

pub(super) fn unreadable(column: usize, what: &str) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Blob;
    rusqlite::Error::FromSqlConversionFailure(column, kind, what.to_owned().into())
}

pub(super) fn subject_of(row: &Row<'_>, at: usize) -> SqlResult<Subject> {
    let kind = Kind::from_code(row.get(at)?).ok_or_else(|| unreadable(at, "an unknown kind of subject"))?;
    Ok(Subject { kind, id: row.get(at + 1)? })
}

pub(super) fn topic_of(row: &Row<'_>, at: usize) -> SqlResult<TopicId> {
    row.get::<_, [u8; 16]>(at).map(TopicId)
}

/// The columns that [`unpack`] reads, first of a row.
pub(super) const FACT: &str =
    "f.part, f.offset, f.told, f.stamp, f.high, f.source, f.event, f.ids, f.drafts, f.brought";

/// Adds the tellings of a row of table `fact`.
pub(super) fn unpack(
    row: &Row<'_>,
    subject: &Subject,
    names: &Names,
    connection: &Connection,
    tellings: &mut Vec<Telling>,
) -> SqlResult<()> {
    let (topic, partition) = names.part(connection, row.get(0)?)?;
    let source = names.source(connection, row.get(5)?)?;
    let event = row.get_ref(6)?.as_str()?;
    let drafts: Vec<(u32, FactDraft)> = serde_json::from_slice(row.get_ref(8)?.as_blob()?)
        .map_err(|fault| unreadable(8, &fault.to_string()))?;
    let mut ids = row.get_ref(7)?.as_blob()?;
    for (index, draft) in drafts {
        let (id, rest) = ids.split_first_chunk::<32>().ok_or_else(|| unreadable(7, "too few ids"))?;
        ids = rest;
        tellings.push(Telling {
            fact: Fact {
                id: ContentId(*id),
                event: event.to_owned(),
                subject: subject.clone(),
                told: TimestampMs(row.get(2)?),
                source: source.clone(),
                draft,
            },
            evidence: Evidence {
                topic,
                partition,
                offset: Offset(row.get(1)?),
                index,
                timestamp: TimestampMs(row.get(3)?),
                high_before: row.get::<_, Option<i64>>(4)?.map(TimestampMs),
                brought: row.get(9)?,
            },
        });
    }
    Ok(())
}
