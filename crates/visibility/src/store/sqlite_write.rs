//! What changes the file: collect, derive, the quarantine's outbox, checkpoints.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use waybill_types::{Offset, TimestampMs};

use super::schema::class;
use super::sqlite::SqliteStore;
use super::sqlite_read::{quarantine_row, subject_of};
use super::{Collected, Derivation, Outcome, PartitionBatch, QuarantineRow, StoreError, Taken};
use crate::mapping::{Record, Refusal};
use crate::model::{Body, Evidence, Fact, Kind, Subject};

impl SqliteStore {
    pub(super) fn collect_batches(&self, batches: &[PartitionBatch]) -> Result<Vec<Taken>, StoreError> {
        let mut writer = self.writer.lock();
        let transaction = writer.transaction()?;
        let mut taken = Vec::with_capacity(batches.len());
        for batch in batches {
            taken.push(Collect::new(&transaction, batch)?.run()?);
        }
        transaction.commit()?;
        Ok(taken)
    }

    pub(super) fn dirty_subjects(&self, limit: usize) -> Result<Vec<Subject>, StoreError> {
        let writer = self.writer.lock();
        let mut find = writer.prepare_cached(
            "SELECT s.kind, s.id FROM dirty d JOIN subject s ON s.ref = d.subject ORDER BY d.subject LIMIT ?1",
        )?;
        let rows = find.query_map([to_i64(limit)], |row| subject_of(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn replace_derived(&self, rows: &[Derivation], clean: &[Subject]) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let transaction = writer.transaction()?;
        for row in rows {
            put_derivation(&transaction, row)?;
        }
        for subject in clean {
            let subject = intern(&transaction, subject)?;
            transaction.prepare_cached("DELETE FROM dirty WHERE subject = ?1")?.execute([subject])?;
        }
        transaction.commit()?;
        Ok(())
    }

    pub(super) fn unsent(&self, limit: usize) -> Result<Vec<QuarantineRow>, StoreError> {
        let writer = self.writer.lock();
        let mut find = writer.prepare_cached(
            "SELECT t.id, t.name, q.partition, q.offset, q.stamp, q.key, q.value, q.headers, q.reason, q.mapping
             FROM quarantine q JOIN topic t ON t.ref = q.topic
             WHERE q.sent = 0 ORDER BY q.topic, q.partition, q.offset LIMIT ?1",
        )?;
        let rows = find.query_map([to_i64(limit)], quarantine_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn mark_sent(&self, rows: &[QuarantineRow]) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let transaction = writer.transaction()?;
        for row in rows {
            let at = &row.evidence;
            transaction
                .prepare_cached(
                    "UPDATE quarantine SET sent = 1 WHERE partition = ?2 AND offset = ?3
                     AND topic = (SELECT ref FROM topic WHERE id = ?1)",
                )?
                .execute(params![at.topic.as_bytes().as_slice(), at.partition.get(), at.offset.get()])?;
        }
        transaction.commit()?;
        Ok(())
    }

    pub(super) fn keep_checkpoint(&self, name: &str, token: &str) -> Result<bool, StoreError> {
        let writer = self.writer.lock();
        writer.execute("INSERT OR IGNORE INTO checkpoint (name, token) VALUES (?1, ?2)", [name, token])?;
        let kept: String =
            writer.query_row("SELECT token FROM checkpoint WHERE name = ?1", [name], |row| row.get(0))?;
        Ok(kept == token)
    }
}

pub(super) fn to_i64(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number of a subject, made when it is new.
fn intern(connection: &Connection, subject: &Subject) -> Result<i64, StoreError> {
    let key = params![subject.id, subject.kind.code()];
    let found = connection
        .prepare_cached("SELECT ref FROM subject WHERE id = ?1 AND kind = ?2")?
        .query_row(key, |row| row.get(0))
        .optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    connection.prepare_cached("INSERT INTO subject (id, kind) VALUES (?1, ?2)")?.execute(key)?;
    Ok(connection.last_insert_rowid())
}

/// One partition's batch on its way in.
struct Collect<'t, 'b> {
    transaction: &'t Transaction<'t>,
    batch: &'b PartitionBatch,
    topic: i64,
    touched: BTreeSet<i64>,
}

impl<'t, 'b> Collect<'t, 'b> {
    fn new(transaction: &'t Transaction<'t>, batch: &'b PartitionBatch) -> Result<Self, StoreError> {
        let id = batch.topic.as_bytes().as_slice();
        transaction
            .prepare_cached(
                "INSERT INTO topic (id, name, mapping) VALUES (?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET name = ?2, mapping = ?3",
            )?
            .execute(params![id, batch.topic_name, batch.mapping.name()])?;
        let topic = transaction
            .prepare_cached("SELECT ref FROM topic WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        transaction
            .prepare_cached("INSERT OR IGNORE INTO part (topic, partition, next) VALUES (?1, ?2, ?3)")?
            .execute(params![topic, batch.partition.get(), batch.expected.get()])?;
        Ok(Self { transaction, batch, topic, touched: BTreeSet::new() })
    }

    fn run(mut self) -> Result<Taken, StoreError> {
        let (next, high): (i64, Option<i64>) = self
            .transaction
            .prepare_cached("SELECT next, high FROM part WHERE topic = ?1 AND partition = ?2")?
            .query_row(params![self.topic, self.batch.partition.get()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if next != self.batch.expected.get() {
            return Ok(Taken::Fenced { next: Offset(next) });
        }
        let mut high = high.map(TimestampMs);
        let (mut projected, mut quarantined) = (0_i64, 0_i64);
        for Collected { record, outcome } in &self.batch.records {
            match outcome {
                Outcome::Projected(facts) => {
                    for (index, fact) in facts.iter().enumerate() {
                        self.insert(record, index, fact, high)?;
                    }
                    projected += 1;
                }
                Outcome::Quarantined(refusal) => {
                    self.quarantine(record, refusal)?;
                    quarantined += 1;
                }
            }
            high = high.max(Some(record.timestamp));
        }
        self.transaction
            .prepare_cached(
                "UPDATE part SET next = ?3, high = ?4, taken = taken + ?5, projected = projected + ?6,
                 quarantined = quarantined + ?7 WHERE topic = ?1 AND partition = ?2 AND next = ?8",
            )?
            .execute(params![
                self.topic,
                self.batch.partition.get(),
                self.batch.next.get(),
                high.map(TimestampMs::get),
                projected + quarantined,
                projected,
                quarantined,
                self.batch.expected.get(),
            ])?;
        for subject in &self.touched {
            self.transaction
                .prepare_cached("INSERT OR IGNORE INTO dirty (subject) VALUES (?1)")?
                .execute([subject])?;
        }
        Ok(Taken::Yes)
    }

    fn insert(
        &mut self,
        record: &Record,
        index: usize,
        fact: &Fact,
        high: Option<TimestampMs>,
    ) -> Result<(), StoreError> {
        let subject = intern(self.transaction, &fact.subject)?;
        let holder = match &fact.draft.body {
            Body::Link { holder, .. } if !holder.id.is_empty() => Some(intern(self.transaction, holder)?),
            _ => None,
        };
        let class = match &fact.draft.body {
            Body::Condition(reading) if reading.is_excursion() => class::EXCURSION,
            Body::Condition(_) => class::READING,
            _ => class::PLAIN,
        };
        self.transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO fact (topic, partition, offset, idx, stamp, high, id, event, subject, holder,
                 class, append, told, source, draft)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            )?
            .execute(params![
                self.topic,
                record.partition.get(),
                record.offset.get(),
                to_i64(index),
                record.timestamp.get(),
                high.map(TimestampMs::get),
                fact.id.0.as_slice(),
                fact.event,
                subject,
                holder,
                class,
                fact.draft.append_time,
                fact.told.get(),
                fact.source,
                fact.draft.to_json(),
            ])?;
        if class != class::READING && fact.subject.kind != Kind::Event {
            self.touched.insert(subject);
        }
        self.touched.extend(holder);
        if let Body::Correction { withdraws } = &fact.draft.body {
            self.touch_event(withdraws)?;
        }
        Ok(())
    }

    /// The subjects of an event that is taken back must be worked out again.
    fn touch_event(&mut self, event: &str) -> Result<(), StoreError> {
        let mut find = self
            .transaction
            .prepare_cached("SELECT DISTINCT subject FROM fact WHERE event = ?1 AND class = 0")?;
        for subject in find.query_map([event], |row| row.get::<_, i64>(0))? {
            self.touched.insert(subject?);
        }
        Ok(())
    }

    fn quarantine(&self, record: &Record, refusal: &Refusal) -> Result<(), StoreError> {
        let headers: Vec<(&str, Option<&[u8]>)> =
            record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let headers =
            serde_json::to_string(&headers).map_err(|fault| StoreError::Corrupt(fault.to_string()))?;
        self.transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO quarantine
                 (topic, partition, offset, stamp, key, value, headers, reason, mapping)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                self.topic,
                record.partition.get(),
                record.offset.get(),
                record.timestamp.get(),
                record.key.as_deref(),
                record.value.as_deref(),
                headers,
                refusal.to_string(),
                self.batch.mapping.name(),
            ])?;
        Ok(())
    }
}

fn put_derivation(transaction: &Transaction<'_>, derivation: &Derivation) -> Result<(), StoreError> {
    let row = &derivation.row;
    let subject = intern(transaction, &row.subject)?;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO derived (subject, kind, state, promised, estimated, delivered, delivered_told,
             days_late, first_told, flagged, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            subject,
            row.subject.kind.code(),
            row.state.name(),
            row.promised.map(|day| day.0),
            row.estimated.map(|day| day.0),
            row.delivered.map(|day| day.0),
            row.delivered_told.map(TimestampMs::get),
            row.days_late,
            row.first_told.get(),
            row.flagged,
            row.text,
        ])?;
    transaction.prepare_cached("DELETE FROM words WHERE rowid = ?1")?.execute([subject])?;
    transaction
        .prepare_cached("INSERT INTO words (rowid, text) VALUES (?1, ?2)")?
        .execute(params![subject, row.text])?;
    transaction.prepare_cached("DELETE FROM change WHERE subject = ?1")?.execute([subject])?;
    for (seq, change) in derivation.changes.iter().enumerate() {
        transaction
            .prepare_cached(
                "INSERT INTO change (subject, seq, told, what, old, new, happened, evidence)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                subject,
                to_i64(seq),
                change.told.get(),
                change.what,
                change.old,
                change.new,
                change.happened.map(|when| when.to_string()),
                change.evidence.as_ref().map(pack),
            ])?;
    }
    Ok(())
}

/// Evidence as bytes, for rows that only show it.
fn pack(at: &Evidence) -> Vec<u8> {
    let mut bytes = at.topic.as_bytes().to_vec();
    bytes.extend(at.partition.get().to_be_bytes());
    bytes.extend(at.offset.get().to_be_bytes());
    bytes.extend(at.index.to_be_bytes());
    bytes.extend(at.timestamp.get().to_be_bytes());
    bytes
}
