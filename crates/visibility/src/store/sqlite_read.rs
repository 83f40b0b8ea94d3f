//! Reads of one snapshot of the file.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use super::sqlite::Snapshot;
use super::sqlite_write::to_i64;
use super::{
    Candidate, Counts, Derived, Listing, Match, QuarantineRow, Read, SourceRow, StateHashes, StoreError,
};
use crate::model::change::Change;
use crate::model::digest::{ContentHash, LogHash, Stored};
use crate::model::time::{Day, When};
use crate::model::{ContentId, Evidence, Fact, FactDraft, Frontier, Kind, Position, State, Subject, Telling};

type SqlResult<T> = Result<T, rusqlite::Error>;

/// The columns of a telling, for [`telling`].
const TELLING: &str =
    "t.id, f.partition, f.offset, f.idx, f.stamp, f.high, f.id, f.event, s.kind, s.id, f.told,
    f.source, f.draft FROM fact f JOIN topic t ON t.ref = f.topic JOIN subject s ON s.ref = f.subject";

fn unreadable(column: usize, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, what.to_owned().into())
}

pub(super) fn subject_of(row: &Row<'_>, at: usize) -> SqlResult<Subject> {
    let kind = Kind::from_code(row.get(at)?).ok_or_else(|| unreadable(at, "an unknown kind of subject"))?;
    Ok(Subject { kind, id: row.get(at + 1)? })
}

fn topic_of(row: &Row<'_>, at: usize) -> SqlResult<TopicId> {
    row.get::<_, [u8; 16]>(at).map(TopicId)
}

fn day_of(row: &Row<'_>, at: usize) -> SqlResult<Option<Day>> {
    Ok(row.get::<_, Option<i32>>(at)?.map(Day))
}

fn count(row: &Row<'_>, at: usize) -> SqlResult<u64> {
    u64::try_from(row.get::<_, i64>(at)?).map_err(|_| unreadable(at, "a negative count"))
}

fn telling(row: &Row<'_>) -> SqlResult<Telling> {
    let draft: String = row.get(12)?;
    let draft: FactDraft =
        serde_json::from_str(&draft).map_err(|fault| unreadable(12, &fault.to_string()))?;
    Ok(Telling {
        fact: Fact {
            id: ContentId(row.get(6)?),
            event: row.get(7)?,
            subject: subject_of(row, 8)?,
            told: TimestampMs(row.get(10)?),
            source: row.get(11)?,
            draft,
        },
        evidence: Evidence {
            topic: topic_of(row, 0)?,
            partition: PartitionId(row.get(1)?),
            offset: Offset(row.get(2)?),
            index: row.get(3)?,
            timestamp: TimestampMs(row.get(4)?),
            high_before: row.get::<_, Option<i64>>(5)?.map(TimestampMs),
        },
    })
}

pub(super) fn quarantine_row(row: &Row<'_>) -> SqlResult<QuarantineRow> {
    let headers: String = row.get(7)?;
    Ok(QuarantineRow {
        evidence: Evidence {
            topic: topic_of(row, 0)?,
            partition: PartitionId(row.get(2)?),
            offset: Offset(row.get(3)?),
            index: 0,
            timestamp: TimestampMs(row.get(4)?),
            high_before: None,
        },
        topic_name: row.get(1)?,
        key: row.get(5)?,
        value: row.get(6)?,
        headers: serde_json::from_str(&headers).map_err(|fault| unreadable(7, &fault.to_string()))?,
        reason: row.get(8)?,
        mapping: row.get(9)?,
    })
}

fn derived_row(row: &Row<'_>) -> SqlResult<Derived> {
    Ok(Derived {
        subject: subject_of(row, 0)?,
        state: State::from_name(&row.get::<_, String>(2)?),
        promised: day_of(row, 3)?,
        estimated: day_of(row, 4)?,
        delivered: day_of(row, 5)?,
        delivered_told: row.get::<_, Option<i64>>(6)?.map(TimestampMs),
        days_late: row.get(7)?,
        first_told: TimestampMs(row.get(8)?),
        flagged: row.get(9)?,
        text: row.get(10)?,
    })
}

const DERIVED: &str = "SELECT s.kind, s.id, d.state, d.promised, d.estimated, d.delivered, d.delivered_told,
    d.days_late, d.first_told, d.flagged, d.text FROM derived d JOIN subject s ON s.ref = d.subject";

fn change_row(row: &Row<'_>) -> SqlResult<Change> {
    let what: String = row.get(3)?;
    let what = ["promised", "estimated", "delivered", "state", "location"]
        .into_iter()
        .find(|known| *known == what)
        .ok_or_else(|| unreadable(3, "an unknown kind of change"))?;
    let happened: Option<String> = row.get(6)?;
    let evidence: Option<Vec<u8>> = row.get(7)?;
    Ok(Change {
        subject: subject_of(row, 0)?,
        told: TimestampMs(row.get(2)?),
        what,
        old: row.get(4)?,
        new: row.get(5)?,
        happened: happened.as_deref().and_then(When::parse),
        evidence: evidence.as_deref().and_then(unpack),
    })
}

/// The opposite of how the writer packs evidence.
fn unpack(bytes: &[u8]) -> Option<Evidence> {
    let (topic, rest) = bytes.split_first_chunk::<16>()?;
    let (partition, rest) = rest.split_first_chunk::<4>()?;
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    let (index, rest) = rest.split_first_chunk::<4>()?;
    let (timestamp, _) = rest.split_first_chunk::<8>()?;
    Some(Evidence {
        topic: TopicId(*topic),
        partition: PartitionId(i32::from_be_bytes(*partition)),
        offset: Offset(i64::from_be_bytes(*offset)),
        index: u32::from_be_bytes(*index),
        timestamp: TimestampMs(i64::from_be_bytes(*timestamp)),
        high_before: None,
    })
}

/// Words as an FTS5 query: each a quoted prefix, all wanted. `None` when there is no word.
fn fts_query(words: &str) -> Option<String> {
    let terms: Vec<String> = words
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| format!("\"{word}\"*"))
        .collect();
    (!terms.is_empty()).then(|| terms.join(" "))
}

impl Snapshot<'_> {
    fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> SqlResult<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut find = self.connection()?.prepare_cached(sql)?;
        let rows = find.query_map(params, read)?;
        Ok(rows.collect::<SqlResult<_>>()?)
    }

    fn number(&self, subject: &Subject) -> Result<Option<i64>, StoreError> {
        Ok(self
            .connection()?
            .prepare_cached("SELECT ref FROM subject WHERE id = ?1 AND kind = ?2")?
            .query_row(params![subject.id, subject.kind.code()], |row| row.get(0))
            .optional()?)
    }
}

impl Read for Snapshot<'_> {
    fn frontier(&self) -> Result<Frontier, StoreError> {
        let sql = "SELECT t.id, p.partition, p.next, p.high FROM part p JOIN topic t ON t.ref = p.topic";
        let positions = self.rows(sql, [], |row| {
            let position =
                Position { next: Offset(row.get(2)?), high: row.get::<_, Option<i64>>(3)?.map(TimestampMs) };
            Ok(((topic_of(row, 0)?, PartitionId(row.get(1)?)), position))
        })?;
        Ok(Frontier { positions: positions.into_iter().collect() })
    }

    fn sources(&self) -> Result<Vec<SourceRow>, StoreError> {
        self.rows("SELECT id, name, mapping FROM topic ORDER BY name, id", [], |row| {
            let mapping: String = row.get(2)?;
            let mapping = mapping.parse().map_err(|_| unreadable(2, "an unknown mapping"))?;
            Ok(SourceRow { topic: topic_of(row, 0)?, name: row.get(1)?, mapping })
        })
    }

    fn counts(&self) -> Result<Vec<Counts>, StoreError> {
        let sql = "SELECT t.id, t.name, p.partition, p.taken, p.projected, p.held, p.quarantined,
            (SELECT count(*) FROM quarantine q WHERE q.topic = p.topic AND q.partition = p.partition)
            FROM part p JOIN topic t ON t.ref = p.topic ORDER BY t.name, t.id, p.partition";
        self.rows(sql, [], |row| {
            Ok(Counts {
                topic: topic_of(row, 0)?,
                topic_name: row.get(1)?,
                partition: PartitionId(row.get(2)?),
                taken: count(row, 3)?,
                projected: count(row, 4)?,
                held: count(row, 5)?,
                quarantined: count(row, 6)?,
                quarantine_rows: count(row, 7)?,
            })
        })
    }

    fn resolve(&self, id: &str) -> Result<Vec<Subject>, StoreError> {
        let event = Kind::Event.code();
        let sql = "SELECT kind, id FROM subject WHERE id = ?1 AND kind <> ?2 ORDER BY kind";
        self.rows(sql, params![id, event], |row| subject_of(row, 0))
    }

    fn tellings(&self, subject: &Subject) -> Result<Vec<Telling>, StoreError> {
        let Some(number) = self.number(subject)? else { return Ok(Vec::new()) };
        self.rows(&format!("SELECT {TELLING} WHERE f.subject = ?1 AND f.class IN (0, 2)"), [number], telling)
    }

    fn readings(
        &self,
        subject: &Subject,
        as_of: TimestampMs,
        limit: usize,
    ) -> Result<Vec<Telling>, StoreError> {
        let Some(number) = self.number(subject)? else { return Ok(Vec::new()) };
        let sql = format!(
            "SELECT {TELLING} WHERE f.subject = ?1 AND f.class IN (1, 2) AND f.told <= ?2
             ORDER BY f.told DESC, f.id LIMIT ?3"
        );
        let mut found = self.rows(&sql, params![number, as_of.get(), to_i64(limit)], telling)?;
        found.reverse();
        Ok(found)
    }

    fn links_into(&self, holder: &Subject, limit: usize) -> Result<Vec<Telling>, StoreError> {
        let Some(number) = self.number(holder)? else { return Ok(Vec::new()) };
        let sql = format!("SELECT {TELLING} WHERE f.holder = ?1 LIMIT ?2");
        self.rows(&sql, params![number, to_i64(limit)], telling)
    }

    fn has_corrections(&self) -> Result<bool, StoreError> {
        // Kind::Event, spelled out so that the partial index serves: this is asked with every answer.
        let sql = "SELECT EXISTS (SELECT 1 FROM subject WHERE kind = 10)";
        let exists = self.connection()?.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(exists)
    }

    fn search(&self, words: &str, limit: usize) -> Result<Vec<Candidate>, StoreError> {
        let mut found: Vec<Candidate> = Vec::new();
        let mut add = |subjects: Vec<Subject>, by: Match| {
            for subject in subjects {
                if found.len() < limit && !found.iter().any(|known| known.subject == subject) {
                    found.push(Candidate { subject, by });
                }
            }
        };
        let words = words.trim();
        add(self.resolve(words)?, Match::Exact);
        // The end of the range is the first text that does not begin with the words.
        let end = format!("{words}\u{10ffff}");
        let sql = "SELECT s.kind, s.id FROM subject s JOIN derived d ON d.subject = s.ref
            WHERE s.id >= ?1 AND s.id < ?2 ORDER BY length(s.id), s.id LIMIT ?3";
        add(self.rows(sql, params![words, end, to_i64(limit)], |row| subject_of(row, 0))?, Match::Prefix);
        if let Some(query) = fts_query(words) {
            let sql = "SELECT s.kind, s.id FROM words w JOIN subject s ON s.ref = w.rowid
                WHERE words MATCH ?1 ORDER BY s.kind, bm25(words), s.id LIMIT ?2";
            add(self.rows(sql, params![query, to_i64(limit)], |row| subject_of(row, 0))?, Match::Text);
        }
        Ok(found)
    }

    fn list(&self, listing: Listing) -> Result<Vec<Derived>, StoreError> {
        let open = "d.first_told <= ?1 AND (d.delivered_told IS NULL OR d.delivered_told > ?1)";
        let order = "ORDER BY d.promised IS NULL, d.promised, s.id";
        let (condition, as_of) = match listing {
            Listing::Suspect { as_of } => {
                (format!("d.first_told <= ?1 AND (d.flagged OR d.kind IN (1, 3) AND {open})"), as_of)
            }
            Listing::OpenOrders { as_of } => (format!("d.kind = 1 AND {open}"), as_of),
        };
        self.rows(&format!("{DERIVED} WHERE {condition} {order}"), [as_of.get()], derived_row)
    }

    fn derived(&self, subject: &Subject) -> Result<Option<Derived>, StoreError> {
        let Some(number) = self.number(subject)? else { return Ok(None) };
        let mut rows = self.rows(&format!("{DERIVED} WHERE d.subject = ?1"), [number], derived_row)?;
        Ok(rows.pop())
    }

    fn changes(
        &self,
        since: TimestampMs,
        as_of: TimestampMs,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        let sql = "SELECT s.kind, s.id, c.told, c.what, c.old, c.new, c.happened, c.evidence
            FROM change c JOIN subject s ON s.ref = c.subject WHERE c.told > ?1 AND c.told <= ?2
            ORDER BY c.told DESC, s.kind, s.id, c.seq LIMIT ?3";
        self.rows(sql, params![since.get(), as_of.get(), to_i64(limit)], change_row)
    }

    fn census(&self, as_of: TimestampMs) -> Result<Vec<(String, u64)>, StoreError> {
        let sql = "SELECT kind, count(*) FROM derived WHERE first_told <= ?1 GROUP BY kind ORDER BY kind";
        self.rows(sql, [as_of.get()], |row| {
            let kind = Kind::from_code(row.get(0)?).map_or("other", Kind::name);
            Ok((format!("{kind}s"), count(row, 1)?))
        })
    }

    fn delivered_orders(&self, as_of: TimestampMs) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM derived WHERE kind = 1 AND delivered_told <= ?1";
        let mut find = self.connection()?.prepare_cached(sql)?;
        Ok(find.query_row([as_of.get()], |row| count(row, 0))?)
    }

    fn quarantine(&self, limit: usize) -> Result<Vec<QuarantineRow>, StoreError> {
        let sql = "SELECT t.id, t.name, q.partition, q.offset, q.stamp, q.key, q.value, q.headers, q.reason, q.mapping
             FROM quarantine q JOIN topic t ON t.ref = q.topic ORDER BY q.stamp DESC, q.offset DESC LIMIT ?1";
        self.rows(sql, [to_i64(limit)], quarantine_row)
    }

    fn hashes(&self) -> Result<StateHashes, StoreError> {
        let (content_hash, facts) = content_hash(self.connection()?)?;
        let (log_hash, tellings) = log_hash(self.connection()?)?;
        Ok(StateHashes { content_hash, log_hash, tellings, facts })
    }

    fn checkpoint(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self
            .connection()?
            .prepare_cached("SELECT token FROM checkpoint WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?)
    }
}

fn content_hash(connection: &Connection) -> Result<(String, u64), StoreError> {
    let mut find =
        connection.prepare("SELECT id, told, append, source, draft FROM fact ORDER BY id, told")?;
    let mut rows = find.query([])?;
    let mut hash = ContentHash::default();
    let mut facts = 0;
    // The telling that counts of the identity at hand: earliest told, then least digest.
    let mut kept: Option<(ContentId, i64, [u8; 32])> = None;
    while let Some(row) = rows.next()? {
        let (id, told) = (ContentId(row.get(0)?), row.get::<_, i64>(1)?);
        let source: String = row.get(3)?;
        let draft: String = row.get(4)?;
        let append: bool = row.get(2)?;
        let stored = Stored {
            id,
            source: &source,
            told: (!append).then_some(TimestampMs(told)),
            draft: draft.as_bytes(),
        };
        let digest = stored.digest();
        match &mut kept {
            Some((known, first, least)) if *known == id => {
                if told == *first && digest < *least {
                    *least = digest;
                }
            }
            _ => {
                if let Some((_, _, digest)) = kept.replace((id, told, digest)) {
                    hash.add(&digest);
                }
                facts += 1;
            }
        }
    }
    if let Some((_, _, digest)) = kept {
        hash.add(&digest);
    }
    Ok((hash.finish(), facts))
}

fn log_hash(connection: &Connection) -> Result<(String, u64), StoreError> {
    let sql = "SELECT t.id AS topic, f.partition, f.offset, f.idx, f.stamp, f.id, f.told, f.append, f.source, f.draft
          FROM fact f JOIN topic t ON t.ref = f.topic
        UNION ALL
        SELECT t.id, q.partition, q.offset, 0, q.stamp, NULL, 0, 0, q.reason, ''
          FROM quarantine q JOIN topic t ON t.ref = q.topic
        ORDER BY 1, 2, 3, 4";
    let mut find = connection.prepare(sql)?;
    let mut rows = find.query([])?;
    let mut hash = LogHash::default();
    let mut tellings = 0;
    while let Some(row) = rows.next()? {
        let at = Evidence {
            topic: topic_of(row, 0)?,
            partition: PartitionId(row.get(1)?),
            offset: Offset(row.get(2)?),
            index: row.get(3)?,
            timestamp: TimestampMs(row.get(4)?),
            high_before: None,
        };
        let source: String = row.get(8)?;
        let Some(id) = row.get::<_, Option<[u8; 32]>>(5)? else {
            hash.add_quarantined(&source, &at);
            continue;
        };
        let draft: String = row.get(9)?;
        let append: bool = row.get(7)?;
        let told = (!append).then_some(TimestampMs(row.get(6)?));
        let stored = Stored { id: ContentId(id), source: &source, told, draft: draft.as_bytes() };
        hash.add(&stored, &at);
        tellings += 1;
    }
    Ok((hash.finish(), tellings))
}
