//! What becomes of refused records: decisions carried out, repaired copies recognised, records released that waited.
//!
//! A decision moves a record from one count of its partition to another, in the transaction that changes its row: taken
//! stays the sum of all.

use rusqlite::{Connection, OptionalExtension, params};
use waybill_types::{Offset, PartitionId, TimestampMs};

use super::sqlite::{SqliteStore, Writer};
use super::sqlite_collect::{Collect, Place};
use super::sqlite_read::{QUARANTINE, quarantine_row};
use super::sqlite_rows::{SqlResult, groups};
use super::sqlite_write::to_i64;
use super::{Decision, Outcome, QuarantineRow, RecordId, RepairRow, RowState, Ruled, Ruling, StoreError};
use crate::ingest::{ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TOPIC};
use crate::mapping::{Mapping, Record};

/// The partition and offset that a copy names as its origin, in its own topic.
pub(super) fn origin(record: &Record) -> Option<(i32, i64)> {
    let text = |name: &str| record.header(name).and_then(|value| std::str::from_utf8(value).ok());
    if text(ORIGIN_TOPIC)? != &*record.topic_name {
        return None;
    }
    Some((text(ORIGIN_PARTITION)?.parse().ok()?, text(ORIGIN_OFFSET)?.parse().ok()?))
}

pub(super) fn map(mapping: &Mapping, record: &Record) -> Outcome {
    match mapping.map(record) {
        Ok(facts) => Outcome::Projected(facts),
        Err(refusal) => Outcome::Quarantined(refusal),
    }
}

/// The count of a partition in which a record of a state stands.
const fn counter(state: RowState) -> &'static str {
    match state {
        RowState::Refused | RowState::Repairing => "quarantined",
        RowState::Held => "held",
        RowState::Repaired => "repaired",
        RowState::Discarded => "discarded",
    }
}

/// A refused record in the file: its row, and the numbers of its topic and partition.
pub(super) struct Kept {
    topic: i64,
    place: Place,
    row: QuarantineRow,
}

impl Collect<'_> {
    fn kept(&self, topic: i64, partition: i32, offset: i64) -> Result<Option<Kept>, StoreError> {
        let sql = format!(
            "SELECT {QUARANTINE}, p.ref, p.high FROM quarantine q JOIN topic t ON t.ref = q.topic
             JOIN part p ON p.topic = q.topic AND p.partition = q.partition
             WHERE q.topic = ?1 AND q.partition = ?2 AND q.offset = ?3"
        );
        let mut find = self.transaction.prepare_cached(&sql)?;
        let found = find.query_row(params![topic, partition, offset], |row| {
            let high = row.get::<_, Option<i64>>(13)?.map(TimestampMs);
            Ok(Kept { topic, place: Place { topic, part: row.get(12)?, high }, row: quarantine_row(row)? })
        });
        Ok(found.optional()?)
    }

    /// Moves a record from one count to another and gives its row the new state.
    fn move_to(&self, kept: &Kept, state: RowState) -> SqlResult<()> {
        let at = &kept.row.evidence;
        self.transaction
            .prepare_cached(
                "UPDATE quarantine SET state = ?4 WHERE topic = ?1 AND partition = ?2 AND offset = ?3",
            )?
            .execute(params![kept.topic, at.partition.get(), at.offset.get(), state.code()])?;
        self.count(kept, counter(state))
    }

    fn count(&self, kept: &Kept, to: &str) -> SqlResult<()> {
        let from = counter(kept.row.state);
        if from == to {
            return Ok(());
        }
        let sql = format!("UPDATE part SET {from} = {from} - 1, {to} = {to} + 1 WHERE ref = ?1");
        self.transaction.prepare_cached(&sql)?.execute([kept.place.part])?;
        Ok(())
    }

    /// A copy of this record was read and told its facts. Returns what was freed, if it had waited for that.
    pub(super) fn repaired(
        &self,
        topic: i64,
        partition: i32,
        offset: i64,
        copy: &Record,
    ) -> Result<Option<Kept>, StoreError> {
        let Some(kept) = self.kept(topic, partition, offset)? else { return Ok(None) };
        if !matches!(kept.row.state, RowState::Refused | RowState::Repairing) {
            // Another copy was read before, or it was discarded meanwhile: facts are told once, whatever tells them.
            return Ok(None);
        }
        self.move_to(&kept, RowState::Repaired)?;
        self.transaction
            .prepare_cached(
                "UPDATE quarantine SET copy_partition = ?4, copy_offset = ?5
                 WHERE topic = ?1 AND partition = ?2 AND offset = ?3",
            )?
            .execute(params![topic, partition, offset, copy.partition.get(), copy.offset.get()])?;
        Ok(Some(kept))
    }

    /// A copy of this record was refused too: it waits for a decision again.
    pub(super) fn not_repaired(&self, topic: i64, partition: i32, offset: i64) -> Result<(), StoreError> {
        match self.kept(topic, partition, offset)? {
            Some(kept) if kept.row.state == RowState::Repairing => {
                Ok(self.move_to(&kept, RowState::Refused)?)
            }
            _ => Ok(()),
        }
    }

    /// Stores the facts of a record that was refused or held, in its own place in the log, and drops its row.
    fn project(&mut self, kept: &Kept, facts: &[crate::model::Fact]) -> Result<(), StoreError> {
        let record = kept.row.record();
        for group in groups(facts, |_| true)? {
            self.add(&kept.place, &record, &group, self.mark())?;
        }
        let at = &kept.row.evidence;
        self.brought.add(at, facts);
        self.transaction
            .prepare_cached("DELETE FROM quarantine WHERE topic = ?1 AND partition = ?2 AND offset = ?3")?
            .execute(params![kept.topic, at.partition.get(), at.offset.get()])?;
        Ok(self.count(kept, "projected")?)
    }

    /// Something became of `freed`: records that waited behind it are mapped, up to the next that is refused.
    pub(super) fn release(
        &mut self,
        freed: &Kept,
        mapping: &str,
        remap: &dyn Fn(&Record) -> Outcome,
    ) -> Result<(), StoreError> {
        let Some(key) = freed.row.key.as_deref() else { return Ok(()) };
        let at = &freed.row.evidence;
        let was_blocking = self
            .transaction
            .prepare_cached("DELETE FROM blocked WHERE part = ?1 AND key = ?2 AND offset = ?3")?
            .execute(params![freed.place.part, key, at.offset.get()])?;
        if was_blocking == 0 {
            return Ok(());
        }
        let waiting: Vec<i64> = {
            let mut find = self.transaction.prepare_cached(
                "SELECT offset FROM quarantine WHERE topic = ?1 AND partition = ?2 AND key = ?3 AND state = 2
                 ORDER BY offset",
            )?;
            let rows = find.query_map(params![freed.topic, at.partition.get(), key], |row| row.get(0))?;
            rows.collect::<SqlResult<_>>()?
        };
        for offset in waiting {
            let Some(kept) = self.kept(freed.topic, at.partition.get(), offset)? else { continue };
            let record = kept.row.record();
            // A repaired copy of yet another record may have waited too. That one blocked nothing.
            let origin = origin(&record);
            match remap(&record) {
                Outcome::Projected(facts) => {
                    self.project(&kept, &facts)?;
                    if let Some((partition, offset)) = origin {
                        self.repaired(freed.topic, partition, offset, &record)?;
                    }
                }
                Outcome::Quarantined(refusal) => {
                    self.refuse(&kept, &refusal.to_string(), mapping, true)?;
                    if let Some((partition, offset)) = origin {
                        self.not_repaired(freed.topic, partition, offset)?;
                    }
                    self.transaction
                        .prepare_cached(
                            "INSERT OR REPLACE INTO blocked (part, key, offset) VALUES (?1, ?2, ?3)",
                        )?
                        .execute(params![kept.place.part, key, offset])?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A record is refused after all, or for another reason. Its topic receives it if it had not.
    fn refuse(&self, kept: &Kept, reason: &str, mapping: &str, send: bool) -> Result<(), StoreError> {
        let at = &kept.row.evidence;
        self.transaction
            .prepare_cached(
                "UPDATE quarantine SET reason = ?4, mapping = ?5, sent = sent AND NOT ?6
                 WHERE topic = ?1 AND partition = ?2 AND offset = ?3",
            )?
            .execute(params![kept.topic, at.partition.get(), at.offset.get(), reason, mapping, send])?;
        Ok(self.move_to(kept, RowState::Refused)?)
    }

    fn decide(
        &mut self,
        ruling: &Ruling,
        remap: &dyn Fn(&Record) -> Outcome,
    ) -> Result<(Ruled, Option<i64>), StoreError> {
        let RecordId { topic, partition, offset } = &ruling.record;
        let number = self
            .transaction
            .prepare_cached("SELECT ref FROM topic WHERE id = ?1")?
            .query_row([topic.as_bytes().as_slice()], |row| row.get::<_, i64>(0))
            .optional()?;
        let Some(number) = number else { return Ok((Ruled::Unknown, None)) };
        let Some(kept) = self.kept(number, partition.get(), offset.get())? else {
            return Ok((Ruled::Unknown, Some(number)));
        };
        let state = kept.row.state;
        let may = matches!(state, RowState::Refused)
            || state == RowState::Discarded && !matches!(ruling.decision, Decision::Discard);
        if !may {
            return Ok((Ruled::Unchanged(state), Some(number)));
        }
        let ruled = match &ruling.decision {
            Decision::Discard => {
                self.move_to(&kept, RowState::Discarded)?;
                self.release(&kept, &kept.row.mapping, remap)?;
                Ruled::Discarded
            }
            Decision::Redrive(Outcome::Projected(facts)) => {
                self.project(&kept, facts)?;
                self.release(&kept, &kept.row.mapping, remap)?;
                Ruled::Projected(facts.len())
            }
            Decision::Redrive(Outcome::Quarantined(refusal)) => {
                let reason = refusal.to_string();
                if state == RowState::Refused {
                    self.refuse(&kept, &reason, &kept.row.mapping, false)?;
                }
                Ruled::StillRefused(reason)
            }
            Decision::Repair(value) => {
                self.move_to(&kept, RowState::Repairing)?;
                self.transaction
                    .prepare_cached(
                        "INSERT OR REPLACE INTO repair (topic, partition, offset, at, who, value, sent)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
                    )?
                    .execute(params![
                        number,
                        partition.get(),
                        offset.get(),
                        ruling.at.get(),
                        ruling.who,
                        value
                    ])?;
                Ruled::Repairing
            }
        };
        Ok((ruled, Some(number)))
    }

    fn keep_decision(&self, topic: i64, ruling: &Ruling, ruled: &Ruled) -> SqlResult<()> {
        let what = match ruling.decision {
            Decision::Discard => "discard",
            Decision::Redrive(_) => "redrive",
            Decision::Repair(_) => "repair",
        };
        self.transaction
            .prepare_cached(
                "INSERT INTO decision (topic, partition, offset, at, who, what, note, outcome)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                topic,
                ruling.record.partition.get(),
                ruling.record.offset.get(),
                ruling.at.get(),
                ruling.who,
                what,
                ruling.note,
                ruled.words()
            ])?;
        Ok(())
    }
}

impl SqliteStore {
    pub(super) fn carry_out(
        &self,
        rulings: &[Ruling],
        remap: &dyn Fn(&Record) -> Outcome,
    ) -> Result<Vec<Ruled>, StoreError> {
        let mut writer = self.writer.lock();
        let Writer { connection, refs } = &mut *writer;
        let ruled = (|| {
            let transaction = connection.transaction()?;
            let mut all = Vec::with_capacity(rulings.len());
            {
                let mut collect = Collect::new(&transaction, refs)?;
                for ruling in rulings {
                    let (ruled, topic) = collect.decide(ruling, remap)?;
                    if let Some(topic) = topic {
                        collect.keep_decision(topic, ruling, &ruled)?;
                    }
                    all.push(ruled);
                }
                collect.mark_dirty()?;
            }
            transaction.commit()?;
            Ok(all)
        })();
        if ruled.is_err() {
            refs.clear();
        }
        ruled
    }

    pub(super) fn unsent_repairs(&self, limit: usize) -> Result<Vec<RepairRow>, StoreError> {
        let writer = self.writer.lock();
        unsent(&writer.connection, limit)
    }

    pub(super) fn mark_repairs_sent(&self, rows: &[RepairRow]) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let transaction = writer.connection.transaction()?;
        for repair in rows {
            let at = &repair.row.evidence;
            transaction
                .prepare_cached(
                    "UPDATE repair SET sent = 1 WHERE partition = ?2 AND offset = ?3
                     AND topic = (SELECT ref FROM topic WHERE id = ?1)",
                )?
                .execute(params![at.topic.as_bytes().as_slice(), at.partition.get(), at.offset.get()])?;
        }
        transaction.commit()?;
        Ok(())
    }
}

fn unsent(connection: &Connection, limit: usize) -> Result<Vec<RepairRow>, StoreError> {
    let mut find = connection.prepare_cached(&format!(
        "SELECT {QUARANTINE}, r.at, r.who, r.value FROM repair r JOIN topic t ON t.ref = r.topic
         JOIN quarantine q ON q.topic = r.topic AND q.partition = r.partition AND q.offset = r.offset
         WHERE r.sent = 0 ORDER BY r.at, r.topic, r.partition, r.offset LIMIT ?1"
    ))?;
    let rows = find.query_map([to_i64(limit)], |row| {
        Ok(RepairRow {
            row: quarantine_row(row)?,
            at: TimestampMs(row.get(12)?),
            who: row.get(13)?,
            value: row.get(14)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl QuarantineRow {
    /// Its place in the log.
    #[must_use]
    pub const fn id(&self) -> RecordId {
        let (partition, offset): (PartitionId, Offset) = (self.evidence.partition, self.evidence.offset);
        RecordId { topic: self.evidence.topic, partition, offset }
    }
}
