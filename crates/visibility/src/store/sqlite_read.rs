//! Reads of one snapshot of the file.

use rusqlite::{OptionalExtension, Row, params, params_from_iter};
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use super::schema::class;
use super::sqlite::Snapshot;
use super::sqlite_rows::{FACT, SqlResult, subject_of, topic_of, unpack, unreadable};
use super::sqlite_write::to_i64;
use super::{
    Basis, Candidate, Counts, DecisionRow, Derived, Listing, Match, QuarantineFilter, QuarantineRow, Read,
    RecordId, RowState, Sampled, SourceRow, StateHashes, StoreError, SuspectKey, Suspects,
};
use crate::model::change::Change;
use crate::model::time::{DAY_MS, Day, When};
use crate::model::{Evidence, Frontier, Kind, Position, State, Subject, Telling};

/// Columns before those of the subject in a row of facts.
pub(super) const FACT_COLUMNS: usize = 10;

/// Text matches that are ranked, at most.
const MAX_RANKED: usize = 2_000;

fn day_of(row: &Row<'_>, at: usize) -> SqlResult<Option<Day>> {
    Ok(row.get::<_, Option<i32>>(at)?.map(Day))
}

fn count(row: &Row<'_>, at: usize) -> SqlResult<u64> {
    u64::try_from(row.get::<_, i64>(at)?).map_err(|_| unreadable(at, "a negative count"))
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
            brought: 0,
        },
        topic_name: row.get(1)?,
        key: row.get(5)?,
        value: row.get(6)?,
        headers: serde_json::from_str(&headers).map_err(|fault| unreadable(7, &fault.to_string()))?,
        reason: row.get(8)?,
        mapping: row.get(9)?,
        append_time: row.get(10)?,
        state: RowState::from_code(row.get(11)?).ok_or_else(|| unreadable(11, "an unknown state"))?,
    })
}

/// The columns that [`quarantine_row`] reads, of `quarantine q JOIN topic t`.
pub(super) const QUARANTINE: &str =
    "t.id, t.name, q.partition, q.offset, q.stamp, q.key, q.value, q.headers, q.reason,
    q.mapping, q.append_time, q.state";

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
        words: row.get(10)?,
        basis: Basis { tellings: count(row, 11)?, latest: TimestampMs(row.get(12)?) },
        earliest: day_of(row, 13)?,
        late: row.get(14)?,
    })
}

const DERIVED: &str = "SELECT s.kind, s.id, d.state, d.promised, d.estimated, d.delivered, d.delivered_told,
    d.days_late, d.first_told, d.flagged, d.words, d.tellings, d.latest, d.earliest, d.late FROM derived d JOIN subject s ON s.ref = d.subject";

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
        evidence: evidence.as_deref().and_then(unpack_evidence),
    })
}

/// The opposite of how the writer packs evidence.
fn unpack_evidence(bytes: &[u8]) -> Option<Evidence> {
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
        brought: 0,
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
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> SqlResult<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut find = self.connection()?.prepare_cached(sql)?;
        let rows = find.query_map(params, read)?;
        Ok(rows.collect::<SqlResult<_>>()?)
    }

    /// What the rows of `sql` tell of a subject, whose number is its first parameter.
    fn facts(&self, subject: &Subject, sql: &str, more: &[i64]) -> Result<Vec<Telling>, StoreError> {
        let Some(number) = self.number(subject)? else { return Ok(Vec::new()) };
        let connection = self.connection()?;
        let mut find = connection.prepare_cached(sql)?;
        let mut rows = find.query(params_from_iter(std::iter::once(&number).chain(more)))?;
        let mut tellings = Vec::new();
        while let Some(row) = rows.next()? {
            unpack(row, subject, &self.names, connection, &mut tellings)?;
        }
        Ok(tellings)
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
        let brought =
            self.connection()?.prepare_cached("SELECT number FROM mark")?.query_row([], |row| row.get(0))?;
        Ok(Frontier { positions: positions.into_iter().collect(), brought })
    }

    fn sources(&self) -> Result<Vec<SourceRow>, StoreError> {
        // Of partitions that had lost their beginning, the one whose first record was told last.
        let sql =
            "SELECT t.id, t.name, t.mapping, max(coalesce(t.since, lost), coalesce(lost, t.since)), held FROM
            (SELECT t.*, (SELECT max(first_stamp) FROM part p WHERE p.topic = t.ref AND p.first > 0) AS lost,
             (SELECT coalesce(sum(held), 0) FROM part p WHERE p.topic = t.ref) AS held
             FROM topic t) t ORDER BY t.name, t.id";
        self.rows(sql, [], |row| {
            let provable_since = row.get::<_, Option<i64>>(3)?.map(TimestampMs);
            let held = count(row, 4)?;
            let (name, mapping) = (row.get(1)?, row.get(2)?);
            Ok(SourceRow { topic: topic_of(row, 0)?, name, mapping, provable_since, held })
        })
    }

    fn counts(&self) -> Result<Vec<Counts>, StoreError> {
        // States: held; refused and repairing; repaired; discarded.
        let sql = "WITH kept AS (SELECT topic, partition, sum(state = 2) AS h, sum(state IN (1, 3)) AS q,
              sum(state = 4) AS r, sum(state = 5) AS d FROM quarantine GROUP BY topic, partition)
            SELECT t.id, t.name, p.partition, p.taken, p.projected, p.held, p.quarantined, p.repaired, p.discarded,
              coalesce(k.h, 0), coalesce(k.q, 0), coalesce(k.r, 0), coalesce(k.d, 0)
            FROM part p JOIN topic t ON t.ref = p.topic
            LEFT JOIN kept k ON k.topic = p.topic AND k.partition = p.partition
            ORDER BY t.name, t.id, p.partition";
        self.rows(sql, [], |row| {
            Ok(Counts {
                topic: topic_of(row, 0)?,
                topic_name: row.get(1)?,
                partition: PartitionId(row.get(2)?),
                taken: count(row, 3)?,
                projected: count(row, 4)?,
                held: count(row, 5)?,
                quarantined: count(row, 6)?,
                repaired: count(row, 7)?,
                discarded: count(row, 8)?,
                rows: [count(row, 9)?, count(row, 10)?, count(row, 11)?, count(row, 12)?],
            })
        })
    }

    fn resolve(&self, id: &str) -> Result<Vec<Subject>, StoreError> {
        let event = Kind::Event.code();
        let sql = "SELECT kind, id FROM subject WHERE id = ?1 AND kind <> ?2 ORDER BY kind";
        self.rows(sql, params![id, event], |row| subject_of(row, 0))
    }

    fn tellings(&self, subject: &Subject) -> Result<Vec<Telling>, StoreError> {
        let sql = format!("SELECT {FACT} FROM fact f WHERE f.subject = ?1 AND f.class = 0");
        self.facts(subject, &sql, &[])
    }

    fn sampled(
        &self,
        subject: &Subject,
        what: Sampled,
        as_of: TimestampMs,
        below: Option<&Frontier>,
        limit: usize,
    ) -> Result<Vec<Telling>, StoreError> {
        let classes: &[i64] = match what {
            Sampled::Readings => &[class::READING, class::EXCURSION],
            Sampled::Excursions => &[class::EXCURSION],
            Sampled::Positions => &[class::POSITION],
        };
        let sql = format!(
            "SELECT {FACT} FROM fact f WHERE f.subject = ?1 AND f.class = ?2 AND f.at <= ?3 AND f.told <= ?4
             ORDER BY f.at DESC, f.part DESC, f.offset DESC, f.idx DESC LIMIT ?5"
        );
        // What is told as happening much later than it is told is not meant.
        let latest = as_of.get().saturating_add(DAY_MS);
        let mut found = Vec::new();
        for class in classes {
            // Below a frontier others may lie between: all are looked at.
            let at_most = if below.is_some() { -1 } else { to_i64(limit) };
            let told = self.facts(subject, &sql, &[*class, latest, as_of.get(), at_most])?.into_iter();
            found.extend(
                told.filter(|each| below.is_none_or(|below| below.covers(&each.evidence))).take(limit),
            );
        }
        found.sort_by_key(|telling| (telling.fact.draft.happened.map(When::start), telling.evidence));
        found.drain(..found.len().saturating_sub(limit));
        Ok(found)
    }

    fn links(&self, part: &Subject) -> Result<Vec<Telling>, StoreError> {
        let sql = format!("SELECT {FACT} FROM fact f WHERE f.subject = ?1 AND f.class = 0 AND f.links");
        self.facts(part, &sql, &[])
    }

    fn parts(&self, holder: &Subject, limit: usize) -> Result<Vec<Subject>, StoreError> {
        let Some(number) = self.number(holder)? else { return Ok(Vec::new()) };
        let sql = "SELECT s.kind, s.id FROM held_in h JOIN subject s ON s.ref = h.part WHERE h.holder = ?1 LIMIT ?2";
        self.rows(sql, params![number, to_i64(limit)], |row| subject_of(row, 0))
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
        let sql = "SELECT s.kind, s.id FROM subject s CROSS JOIN derived d ON d.subject = s.ref
            WHERE s.id >= ?1 AND s.id < ?2 ORDER BY s.id LIMIT ?3";
        let mut longer = self.rows(sql, params![words, end, to_i64(limit)], |row| subject_of(row, 0))?;
        longer.sort_by(|a, b| (a.id.len(), &a.id).cmp(&(b.id.len(), &b.id)));
        add(longer, Match::Prefix);
        if let Some(query) = fts_query(words) {
            // Of very many the newest are ranked.
            let sql = "SELECT s.kind, s.id FROM
                (SELECT rowid, bm25(words) AS score FROM words WHERE words MATCH ?1 ORDER BY rowid DESC LIMIT ?3) w
                JOIN subject s ON s.ref = w.rowid ORDER BY s.kind, w.score, s.id LIMIT ?2";
            let looked_at = to_i64(limit.max(MAX_RANKED));
            add(
                self.rows(sql, params![query, to_i64(limit), looked_at], |row| subject_of(row, 0))?,
                Match::Text,
            );
        }
        Ok(found)
    }

    fn list(&self, listing: Listing) -> Result<Vec<Derived>, StoreError> {
        let open = "d.first_told <= ?1 AND (d.delivered_told IS NULL OR d.delivered_told > ?1)";
        let order = "ORDER BY d.promised IS NULL, d.promised, s.id";
        let (condition, as_of) = match listing {
            Listing::OpenOrders { as_of } => (format!("d.kind = 1 AND {open}"), as_of),
        };
        self.rows(&format!("{DERIVED} WHERE {condition} {order}"), [as_of.get()], derived_row)
    }

    fn suspects(
        &self,
        of: Suspects,
        after: Option<&SuspectKey>,
        limit: usize,
    ) -> Result<Vec<(SuspectKey, Subject)>, StoreError> {
        let after = after.cloned().unwrap_or(SuspectKey { day: i64::MIN, kind: 0, id: String::new() });
        let key_of = |row: &Row<'_>| {
            let (day, kind, id) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let subject = subject_of(row, 1)?;
            Ok((SuspectKey { day, kind, id }, subject))
        };
        match of {
            Suspects::Flagged { as_of } => {
                let sql = "SELECT 0, d.kind, s.id FROM derived d JOIN subject s ON s.ref = d.subject
                    WHERE d.flagged AND d.first_told <= ?1 AND (d.kind, s.id) > (?2, ?3)
                    ORDER BY d.kind, s.id LIMIT ?4";
                self.rows(sql, params![as_of.get(), after.kind, after.id, to_i64(limit)], key_of)
            }
            Suspects::Promised { as_of, today, is_now } => {
                let key = if is_now { "d.promised" } else { "d.earliest" };
                let part = |condition: &str| {
                    format!(
                        "SELECT * FROM (SELECT {key} AS day, d.kind AS kind, s.id AS id FROM derived d
                         JOIN subject s ON s.ref = d.subject
                         WHERE {condition} AND d.kind IN (1, 3) AND d.first_told <= ?1 AND {key} >= ?3
                         AND ({key}, d.kind, s.id) > (?3, ?4, ?5) ORDER BY day, kind, id LIMIT ?6)"
                    )
                };
                // Open ones whose day has passed, those expected late, and those whose delivery was told afterwards.
                let sql = format!(
                    "SELECT DISTINCT day, kind, id FROM ({} UNION ALL {} UNION ALL {}) ORDER BY day, kind, id LIMIT ?6",
                    part(&format!("d.delivered_told IS NULL AND {key} < ?2")),
                    part(&format!("d.late AND d.delivered_told IS NULL AND {key} >= ?2")),
                    part(&format!("d.delivered_told > ?1 AND (d.late OR {key} < ?2)")),
                );
                let params = params![as_of.get(), today.0, after.day, after.kind, after.id, to_i64(limit)];
                self.rows(&sql, params, key_of)
            }
        }
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

    fn quarantined(&self, filter: &QuarantineFilter, limit: usize) -> Result<Vec<QuarantineRow>, StoreError> {
        // Codes are numbers, so they may stand in the text.
        let states: Vec<String> = filter.states.iter().map(|state| state.code().to_string()).collect();
        let in_states =
            if states.is_empty() { "1".to_owned() } else { format!("q.state IN ({})", states.join(", ")) };
        let sql = format!(
            "SELECT {QUARANTINE} FROM quarantine q JOIN topic t ON t.ref = q.topic
             WHERE (?1 IS NULL OR t.name = ?1) AND (?2 IS NULL OR q.partition = ?2 AND q.offset = ?3)
             AND (?4 IS NULL OR substr(q.reason, 1, length(?4)) = ?4) AND {in_states}
             ORDER BY q.stamp DESC, q.offset DESC LIMIT ?5"
        );
        let (partition, offset) = filter.at.map_or((None, None), |(p, o)| (Some(p.get()), Some(o.get())));
        let params = params![filter.topic, partition, offset, filter.reason, to_i64(limit)];
        self.rows(&sql, params, quarantine_row)
    }

    fn decisions(&self, record: &RecordId) -> Result<Vec<DecisionRow>, StoreError> {
        let sql =
            "SELECT d.at, d.who, d.what, d.note, d.outcome FROM decision d JOIN topic t ON t.ref = d.topic
            WHERE t.id = ?1 AND d.partition = ?2 AND d.offset = ?3 ORDER BY d.number";
        let key = params![record.topic.as_bytes().as_slice(), record.partition.get(), record.offset.get()];
        self.rows(sql, key, |row| {
            Ok(DecisionRow {
                at: TimestampMs(row.get(0)?),
                who: row.get(1)?,
                what: row.get(2)?,
                note: row.get(3)?,
                outcome: row.get(4)?,
            })
        })
    }

    fn hashes(&self) -> Result<StateHashes, StoreError> {
        self.hash_all(None)
    }

    fn checkpoint(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self
            .connection()?
            .prepare_cached("SELECT token FROM checkpoint WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?)
    }
}
