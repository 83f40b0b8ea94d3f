//! What else changes the file: derive, the quarantine's outbox, checkpoints.

use rusqlite::{CachedStatement, Transaction, params};
use waybill_types::TimestampMs;

use super::sqlite::{SqliteStore, Writer};
use super::sqlite_read::{QUARANTINE, quarantine_row};
use super::sqlite_rows::{Interner, Refs, SqlResult, subject_of};
use super::{Changes, Derivation, Derived, Dirty, QuarantineRow, StoreError};
use crate::model::Evidence;
use crate::model::change::Change;

impl SqliteStore {
    pub(super) fn dirty_subjects(&self, limit: usize) -> Result<Vec<Dirty>, StoreError> {
        let writer = self.writer.lock();
        let mut find = writer.connection.prepare_cached(
            "SELECT s.kind, s.id, d.mark FROM dirty d JOIN subject s ON s.ref = d.subject ORDER BY d.subject LIMIT ?1",
        )?;
        let rows = find.query_map([to_i64(limit)], |row| {
            Ok(Dirty { subject: subject_of(row, 0)?, mark: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn replace_derived(&self, rows: &[Derivation], clean: &[Dirty]) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let Writer { connection, refs } = &mut *writer;
        let replaced = (|| {
            let transaction = connection.transaction()?;
            {
                let mut replace = Replace::new(&transaction, refs)?;
                for row in rows {
                    replace.put(row)?;
                }
                // Words last: full text is written out whenever another table changes in between.
                for row in rows {
                    replace.put_words(row)?;
                }
                for dirty in clean {
                    replace.clean(dirty)?;
                }
            }
            Ok(transaction.commit()?)
        })();
        match &replaced {
            Ok(()) => refs.trim(),
            Err(_) => refs.clear(),
        }
        replaced
    }

    pub(super) fn unsent(&self, limit: usize) -> Result<Vec<QuarantineRow>, StoreError> {
        let writer = self.writer.lock();
        let mut find = writer.connection.prepare_cached(&format!(
            "SELECT {QUARANTINE} FROM quarantine q JOIN topic t ON t.ref = q.topic
             WHERE q.sent = 0 ORDER BY q.topic, q.partition, q.offset LIMIT ?1"
        ))?;
        let rows = find.query_map([to_i64(limit)], quarantine_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn mark_sent(&self, rows: &[QuarantineRow]) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let transaction = writer.connection.transaction()?;
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
}

pub(super) fn to_i64(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// One transaction of derive: its statements, prepared once.
struct Replace<'t> {
    numbers: Interner<'t>,
    put_row: CachedStatement<'t>,
    drop_words: CachedStatement<'t>,
    add_words: CachedStatement<'t>,
    drop_changes: CachedStatement<'t>,
    count_changes: CachedStatement<'t>,
    add_change: CachedStatement<'t>,
    clean: CachedStatement<'t>,
}

impl<'t> Replace<'t> {
    fn new(transaction: &'t Transaction<'t>, refs: &'t mut Refs) -> SqlResult<Self> {
        Ok(Self {
            numbers: Interner::new(transaction, refs)?,
            put_row: transaction.prepare_cached(
                "INSERT OR REPLACE INTO derived (subject, kind, state, promised, estimated, delivered, delivered_told,
                 days_late, first_told, flagged, words, tellings, latest, earliest, late)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            )?,
            drop_words: transaction.prepare_cached("DELETE FROM words WHERE rowid = ?1")?,
            add_words: transaction.prepare_cached("INSERT INTO words (rowid, text) VALUES (?1, ?2)")?,
            drop_changes: transaction.prepare_cached("DELETE FROM change WHERE subject = ?1")?,
            count_changes: transaction
                .prepare_cached("SELECT coalesce(max(seq) + 1, 0) FROM change WHERE subject = ?1")?,
            add_change: transaction.prepare_cached(
                "INSERT INTO change (subject, seq, told, what, old, new, happened, evidence)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?,
            clean: transaction.prepare_cached("DELETE FROM dirty WHERE subject = ?1 AND mark <= ?2")?,
        })
    }

    fn put(&mut self, derivation: &Derivation) -> SqlResult<()> {
        let subject = self.numbers.subject(&derivation.row.subject)?;
        self.put_row(subject, &derivation.row)?;
        let (first, changes) = match &derivation.changes {
            Changes::All(changes) => {
                self.drop_changes.execute([subject])?;
                (0, changes)
            }
            Changes::More(changes) if changes.is_empty() => return Ok(()),
            Changes::More(changes) => (self.count_changes.query_row([subject], |row| row.get(0))?, changes),
        };
        for (seq, change) in (first..).zip(changes) {
            self.add_change(subject, seq, change)?;
        }
        Ok(())
    }

    fn put_words(&mut self, derivation: &Derivation) -> SqlResult<()> {
        let Some(words) = &derivation.words else { return Ok(()) };
        let subject = self.numbers.subject(&derivation.row.subject)?;
        if words.replace {
            self.drop_words.execute([subject])?;
        }
        if !words.text.is_empty() {
            self.add_words.execute(params![subject, words.text])?;
        }
        Ok(())
    }

    fn put_row(&mut self, subject: i64, row: &Derived) -> SqlResult<()> {
        self.put_row.execute(params![
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
            row.words,
            i64::try_from(row.basis.tellings).unwrap_or(i64::MAX),
            row.basis.latest.get(),
            row.earliest.map(|day| day.0),
            row.late,
        ])?;
        Ok(())
    }

    fn add_change(&mut self, subject: i64, seq: i64, change: &Change) -> SqlResult<()> {
        self.add_change.execute(params![
            subject,
            seq,
            change.told.get(),
            change.what,
            change.old,
            change.new,
            change.happened.map(|when| when.to_string()),
            change.evidence.as_ref().map(pack),
        ])?;
        Ok(())
    }

    fn clean(&mut self, dirty: &Dirty) -> SqlResult<()> {
        let subject = self.numbers.subject(&dirty.subject)?;
        self.clean.execute([subject, dirty.mark])?;
        Ok(())
    }
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
