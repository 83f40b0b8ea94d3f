//! What a view's facts rest on beside offsets: which mapping read which offsets, and what decisions brought in later.
//!
//! With both, two views can tell whether an answer of one can be repeated by the other; with milestones a rebuild knows
//! what it may keep.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use waybill_types::{Offset, PartitionId, TimestampMs};

use super::sqlite::Snapshot;
use super::sqlite_rows::{SqlResult, topic_of};
use super::{CheckpointRow, Milestone, Reading, Span, StoreError};
use crate::model::{Evidence, Fact, Frontier};

/// Records of a partition between two milestones, at least.
pub(super) const MILESTONE_EVERY: i64 = 4_096;

/// Keeps what a partition has told up to where it stands.
pub(super) fn note_milestone(connection: &Connection, part: i64) -> SqlResult<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO milestone (part, next, high, taken)
             SELECT ref, next, high, taken FROM part WHERE ref = ?1",
        )?
        .execute([part])?;
    connection.prepare_cached("UPDATE part SET noted = taken WHERE ref = ?1")?.execute([part])?;
    Ok(())
}

/// The digest of all that decisions brought in: a sum, so that their order does not matter.
pub(super) struct Brought {
    sum: u64,
    pub(super) changed: bool,
}

impl Brought {
    pub(super) fn load(connection: &Connection) -> SqlResult<Self> {
        let sum: Option<i64> = connection
            .prepare_cached("SELECT digest FROM brought ORDER BY mark DESC LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        Ok(Self { sum: sum.unwrap_or(0).cast_unsigned(), changed: false })
    }

    /// The facts of a record came in that had been read before.
    pub(super) fn add(&mut self, at: &Evidence, facts: &[Fact]) {
        let mut hash = Sha256::new();
        hash.update(at.topic.as_bytes());
        hash.update(at.partition.get().to_be_bytes());
        hash.update(at.offset.get().to_be_bytes());
        for fact in facts {
            hash.update(fact.digest());
        }
        self.sum = self.sum.wrapping_add(first_word(hash));
        self.changed = true;
    }

    pub(super) fn keep(&self, connection: &Connection, mark: i64) -> SqlResult<()> {
        if self.changed {
            connection
                .prepare_cached("INSERT OR REPLACE INTO brought (mark, digest) VALUES (?1, ?2)")?
                .execute([mark, self.sum.cast_signed()])?;
        }
        Ok(())
    }
}

fn first_word(hash: Sha256) -> u64 {
    let digest = hash.finalize();
    digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

impl Snapshot<'_> {
    /// Which mapping read which offsets, by topic, partition and offset.
    pub(super) fn all_spans(&self) -> Result<Vec<Span>, StoreError> {
        let sql = "SELECT t.id, p.partition, s.since, s.mapping FROM span s JOIN part p ON p.ref = s.part
            JOIN topic t ON t.ref = p.topic ORDER BY t.id, p.partition, s.since";
        self.rows(sql, [], |row| {
            let (partition, since) = (PartitionId(row.get(1)?), Offset(row.get(2)?));
            Ok(Span { topic: topic_of(row, 0)?, partition, since, mapping: row.get(3)? })
        })
    }

    pub(super) fn reading_below(&self, frontier: &Frontier) -> Result<Reading, StoreError> {
        let mut hash = Sha256::new();
        for span in self.all_spans()? {
            let position = frontier.positions.get(&(span.topic, span.partition));
            if position.is_some_and(|position| span.since < position.next) {
                hash.update(span.topic.as_bytes());
                hash.update(span.partition.get().to_be_bytes());
                hash.update(span.since.get().to_be_bytes());
                hash.update(u64::try_from(span.mapping.len()).unwrap_or(u64::MAX).to_be_bytes());
                hash.update(span.mapping.as_bytes());
            }
        }
        let brought: Option<i64> = self
            .connection()?
            .prepare_cached("SELECT digest FROM brought WHERE mark <= ?1 ORDER BY mark DESC LIMIT 1")?
            .query_row([frontier.brought], |row| row.get(0))
            .optional()?;
        Ok(Reading { spans: first_word(hash), brought: brought.unwrap_or(0).cast_unsigned() })
    }

    /// Up to which transaction decisions had brought in what a digest says; `None` where they never had.
    pub(super) fn find_brought(&self, digest: u64) -> Result<Option<i64>, StoreError> {
        if digest == 0 {
            return Ok(Some(0));
        }
        let sql = "SELECT max(mark) FROM brought WHERE digest = ?1";
        let found =
            self.connection()?.prepare_cached(sql)?.query_row([digest.cast_signed()], |row| row.get(0));
        Ok(found?)
    }

    pub(super) fn all_milestones(&self) -> Result<Vec<Milestone>, StoreError> {
        // Where a partition stands is as good as a milestone.
        let sql = "SELECT t.id, p.partition, m.next, m.high, m.taken, p.first FROM
             (SELECT part, next, high, taken FROM milestone UNION SELECT ref, next, high, taken FROM part) m
             JOIN part p ON p.ref = m.part JOIN topic t ON t.ref = p.topic
             WHERE m.next <= p.next ORDER BY t.id, p.partition, m.next";
        self.rows(sql, [], |row| {
            Ok(Milestone {
                topic: topic_of(row, 0)?,
                partition: PartitionId(row.get(1)?),
                next: Offset(row.get(2)?),
                high: row.get::<_, Option<i64>>(3)?.map(TimestampMs),
                taken: row.get(4)?,
                first: Offset(row.get(5)?),
            })
        })
    }

    pub(super) fn all_checkpoints(&self) -> Result<Vec<CheckpointRow>, StoreError> {
        let sql = "SELECT name, token, at, who, mappings, content_hash, log_hash FROM checkpoint
            ORDER BY at DESC, name";
        self.rows(sql, [], |row| {
            let mappings: String = row.get(4)?;
            Ok(CheckpointRow {
                name: row.get(0)?,
                token: row.get(1)?,
                at: TimestampMs(row.get(2)?),
                who: row.get(3)?,
                mappings: mappings.split('\n').filter(|line| !line.is_empty()).map(str::to_owned).collect(),
                content_hash: row.get(5)?,
                log_hash: row.get(6)?,
            })
        })
    }
}

/// Keeps a checkpoint and what its partitions had told; `false` when the name holds another.
pub(super) fn keep_checkpoint(
    connection: &mut Connection,
    row: &CheckpointRow,
    told: &[Milestone],
) -> Result<bool, StoreError> {
    let transaction = connection.transaction()?;
    transaction.execute(
        "INSERT OR IGNORE INTO checkpoint (name, token, at, who, mappings, content_hash, log_hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            row.name,
            row.token,
            row.at.get(),
            row.who,
            row.mappings.join("\n"),
            row.content_hash,
            row.log_hash
        ],
    )?;
    let kept: String =
        transaction
            .query_row("SELECT token FROM checkpoint WHERE name = ?1", [&row.name], |row| row.get(0))?;
    for milestone in told {
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO milestone (part, next, high, taken)
                 SELECT p.ref, ?3, ?4, ?5 FROM part p JOIN topic t ON t.ref = p.topic
                 WHERE t.id = ?1 AND p.partition = ?2",
            )?
            .execute(params![
                milestone.topic.as_bytes().as_slice(),
                milestone.partition.get(),
                milestone.next.get(),
                milestone.high.map(TimestampMs::get),
                milestone.taken,
            ])?;
    }
    transaction.commit()?;
    Ok(kept == row.token)
}
