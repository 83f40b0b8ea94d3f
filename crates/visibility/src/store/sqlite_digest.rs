//! The state's hashes, whole, below a frontier, and subject by subject; and what else a view rests on.

use rusqlite::params;
use waybill_types::TimestampMs;

use super::sqlite::Snapshot;
use super::sqlite_read::{FACT_COLUMNS, QUARANTINE, quarantine_row};
use super::sqlite_rows::{FACT, subject_of, unpack};
use super::sqlite_write::to_i64;
use super::{CheckpointRow, Lineage, Milestone, Reading, Span, StateHashes, StoreError, SubjectDigest};
use crate::model::digest::StateHash;
use crate::model::{Frontier, Subject, Telling};

impl Snapshot<'_> {
    pub(super) fn hash_all(&self, below: Option<&Frontier>) -> Result<StateHashes, StoreError> {
        let connection = self.connection()?;
        let mut hash = StateHash::default();
        // Subjects in the order of their ids, which every store has; their facts lie together.
        let sql = format!(
            "SELECT {FACT}, s.kind, s.id FROM subject s CROSS JOIN fact f ON f.subject = s.ref ORDER BY s.id, s.kind"
        );
        let mut find = connection.prepare(&sql)?;
        let mut rows = find.query([])?;
        let mut of: Option<Subject> = None;
        let mut tellings = Vec::new();
        while let Some(row) = rows.next()? {
            let subject = subject_of(row, FACT_COLUMNS)?;
            if of.as_ref() != Some(&subject) {
                hash.add_subject(&cut(&mut tellings, below));
            }
            unpack(row, &subject, &self.names, connection, &mut tellings)?;
            of = Some(subject);
        }
        hash.add_subject(&cut(&mut tellings, below));
        // Whatever was decided since: a rebuild, which knows of no decision, gives the same hash.
        let sql = format!(
            "SELECT {QUARANTINE} FROM quarantine q JOIN topic t ON t.ref = q.topic
             ORDER BY t.id, q.partition, q.offset"
        );
        for row in connection.prepare(&sql)?.query_map([], quarantine_row)? {
            let row = row?;
            if below.is_none_or(|below| below.covers(&row.evidence)) {
                hash.add_quarantined(&row.reason, &row.evidence);
            }
        }
        let (content_hash, log_hash, facts, tellings) = hash.finish();
        Ok(StateHashes { content_hash, log_hash, tellings, facts })
    }
}

/// What was gathered, as far as it lies below a frontier.
fn cut(tellings: &mut Vec<Telling>, below: Option<&Frontier>) -> Vec<Telling> {
    let mut told = std::mem::take(tellings);
    if let Some(below) = below {
        told.retain(|telling| below.covers(&telling.evidence));
    }
    told
}

impl Lineage for Snapshot<'_> {
    fn spans(&self) -> Result<Vec<Span>, StoreError> {
        self.all_spans()
    }

    fn reading(&self, frontier: &Frontier) -> Result<Reading, StoreError> {
        self.reading_below(frontier)
    }

    fn brought_at(&self, digest: u64) -> Result<Option<i64>, StoreError> {
        self.find_brought(digest)
    }

    fn milestones(&self) -> Result<Vec<Milestone>, StoreError> {
        self.all_milestones()
    }

    fn checkpoints(&self) -> Result<Vec<CheckpointRow>, StoreError> {
        self.all_checkpoints()
    }

    fn hashes_below(&self, frontier: &Frontier) -> Result<StateHashes, StoreError> {
        self.hash_all(Some(frontier))
    }

    fn last_told(
        &self,
        since: TimestampMs,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<(TimestampMs, Subject)>, StoreError> {
        let sql = "SELECT s.kind, s.id, d.latest FROM derived d JOIN subject s ON s.ref = d.subject
            WHERE d.latest > ?1 ORDER BY d.latest DESC, s.ref LIMIT ?3 OFFSET ?2";
        self.rows(sql, params![since.get(), to_i64(skip), to_i64(limit)], |row| {
            Ok((TimestampMs(row.get(2)?), subject_of(row, 0)?))
        })
    }

    fn digests(
        &self,
        frontier: &Frontier,
        after: Option<&Subject>,
        limit: usize,
    ) -> Result<Vec<SubjectDigest>, StoreError> {
        let connection = self.connection()?;
        let (id, kind) = after.map_or(("", -1), |after| (after.id.as_str(), after.kind.code()));
        let sql = "SELECT kind, id, ref FROM subject WHERE (id, kind) > (?1, ?2) ORDER BY id, kind LIMIT ?3";
        let page = self.rows(sql, params![id, kind, to_i64(limit)], |row| {
            Ok((subject_of(row, 0)?, row.get::<_, i64>(2)?))
        })?;
        let mut find =
            connection.prepare_cached(&format!("SELECT {FACT} FROM fact f WHERE f.subject = ?1"))?;
        let mut digests = Vec::with_capacity(page.len());
        for (subject, number) in page {
            let mut tellings = Vec::new();
            let mut rows = find.query([number])?;
            while let Some(row) = rows.next()? {
                unpack(row, &subject, &self.names, connection, &mut tellings)?;
            }
            let mut hash = StateHash::default();
            hash.add_subject(&cut(&mut tellings, Some(frontier)));
            let (_, log_hash, facts, tellings) = hash.finish();
            digests.push(SubjectDigest { subject, log_hash, facts, tellings });
        }
        Ok(digests)
    }
}
