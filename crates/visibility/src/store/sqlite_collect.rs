//! Collect: the facts of records go in with the move of their partition's offset, in one transaction. Rows are only
//! added; what they touch is marked, to be worked out later.

use std::collections::BTreeSet;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, params};
use waybill_types::{Offset, TimestampMs};

use super::schema::class;
use super::sqlite::{SqliteStore, Writer};
use super::sqlite_decide::{map, origin};
use super::sqlite_rows::{Group, Interner, Refs, SqlResult, event_key, groups};
use super::sqlite_spans::{Brought, MILESTONE_EVERY, note_milestone};
use super::sqlite_write::to_i64;
use super::{Collected, Outcome, PartitionBatch, RowState, StoreError, Taken};
use crate::mapping::Record;
use crate::model::fact::row_of;
use crate::model::sample::Latest;
use crate::model::{Body, Fact, Kind};

impl SqliteStore {
    pub(super) fn collect_batches(&self, batches: &[PartitionBatch]) -> Result<Vec<Taken>, StoreError> {
        let mut writer = self.writer.lock();
        let Writer { connection, refs } = &mut *writer;
        let taken = collect(connection, refs, batches);
        match &taken {
            Ok(_) => refs.trim(),
            Err(_) => refs.clear(),
        }
        taken
    }
}

fn collect(
    connection: &mut Connection,
    refs: &mut Refs,
    batches: &[PartitionBatch],
) -> Result<Vec<Taken>, StoreError> {
    let transaction = connection.transaction()?;
    let mut taken = Vec::with_capacity(batches.len());
    {
        let mut collect = Collect::new(&transaction, refs)?;
        for batch in batches {
            taken.push(collect.take(batch)?);
        }
        collect.mark_dirty()?;
    }
    transaction.commit()?;
    Ok(taken)
}

/// One transaction of collect: its statements, prepared once, and what it touched.
pub(super) struct Collect<'t> {
    pub(super) transaction: &'t Transaction<'t>,
    numbers: Interner<'t>,
    add_fact: CachedStatement<'t>,
    add_part: CachedStatement<'t>,
    add_event: CachedStatement<'t>,
    touched: BTreeSet<i64>,
    /// The number of this transaction.
    mark: i64,
    /// A digest of the facts that decisions bring in, and whether this transaction changed it.
    pub(super) brought: Brought,
}

/// Where a batch stands in the file.
pub(super) struct Place {
    pub(super) topic: i64,
    pub(super) part: i64,
    pub(super) high: Option<TimestampMs>,
}

impl<'t> Collect<'t> {
    pub(super) fn new(transaction: &'t Transaction<'t>, refs: &'t mut Refs) -> SqlResult<Self> {
        let mark: i64 =
            transaction.prepare_cached("SELECT number + 1 FROM mark")?.query_row([], |row| row.get(0))?;
        let brought = Brought::load(transaction)?;
        Ok(Self {
            transaction,
            mark,
            brought,
            numbers: Interner::new(transaction, refs)?,
            add_fact: transaction.prepare_cached(
                "INSERT OR IGNORE INTO fact (subject, class, at, part, offset, idx, told, stamp, high, source, links,
                 event, ids, drafts, brought)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            )?,
            add_part: transaction.prepare_cached("INSERT OR IGNORE INTO held_in (holder, part) VALUES (?1, ?2)")?,
            add_event: transaction
                .prepare_cached("INSERT OR IGNORE INTO told_of (event, subject) VALUES (?1, ?2)")?,
            touched: BTreeSet::new(),
        })
    }

    fn take(&mut self, batch: &PartitionBatch) -> Result<Taken, StoreError> {
        let (mut place, next) = self.place(batch)?;
        if next != batch.expected {
            return Ok(Taken::Fenced { next });
        }
        let facts = batch.records.iter().flat_map(|collected| match &collected.outcome {
            Outcome::Projected(facts) => facts.as_slice(),
            Outcome::Quarantined(_) => &[],
        });
        let latest = Latest::of(facts);
        self.note_mapping(&place, batch)?;
        let (mut projected, mut held, mut quarantined) = (0_i64, 0_i64, 0_i64);
        for Collected { record, outcome } in &batch.records {
            let origin = origin(record);
            let behind = if batch.ordered { self.blocking(&place, record)? } else { None };
            // A copy of the very record that blocks is what the others wait for.
            let behind = behind.filter(|first| origin != Some((record.partition.get(), *first)));
            if let Some(first) = behind {
                let reason = format!("held: behind the refused record at offset {first}");
                self.quarantine(place.topic, record, &reason, batch.mapping.name(), RowState::Held)?;
                held += 1;
                place.high = place.high.max(Some(record.timestamp));
                continue;
            }
            match outcome {
                Outcome::Projected(facts) => {
                    for group in groups(facts, |fact| latest.keeps(fact))? {
                        self.add(&place, record, &group, 0)?;
                    }
                    projected += 1;
                    // Where records say themselves when they were told, that is how far the source has told.
                    let told = facts.iter().map(|fact| fact.told).max();
                    place.high = place.high.max(Some(told.unwrap_or(record.timestamp)));
                    if let Some((partition, offset)) = origin {
                        let repaired = self.repaired(place.topic, partition, offset, record)?;
                        if let Some(freed) = repaired {
                            self.release(&freed, batch.mapping.name(), &|waiting| {
                                map(&batch.mapping, waiting)
                            })?;
                        }
                    }
                }
                Outcome::Quarantined(refusal) => {
                    let reason = refusal.to_string();
                    self.quarantine(place.topic, record, &reason, batch.mapping.name(), RowState::Refused)?;
                    match origin {
                        Some((partition, offset)) => self.not_repaired(place.topic, partition, offset)?,
                        None if batch.ordered => self.block(&place, record)?,
                        None => {}
                    }
                    quarantined += 1;
                    place.high = place.high.max(Some(record.timestamp));
                }
            }
        }
        let moved = self
            .transaction
            .prepare_cached(
                "UPDATE part SET next = ?2, high = ?3, taken = taken + ?4, projected = projected + ?5,
                 quarantined = quarantined + ?6, held = held + ?7 WHERE ref = ?1 AND next = ?8
                 RETURNING taken - noted",
            )?
            .query_row(
                params![
                    place.part,
                    batch.next.get(),
                    place.high.map(TimestampMs::get),
                    projected + held + quarantined,
                    projected,
                    quarantined,
                    held,
                    batch.expected.get(),
                ],
                |row| row.get::<_, i64>(0),
            )?;
        if moved >= MILESTONE_EVERY {
            note_milestone(self.transaction, place.part)?;
        }
        Ok(Taken::Yes)
    }

    /// The batch's partition, made when it is new, and its next offset.
    fn place(&self, batch: &PartitionBatch) -> SqlResult<(Place, Offset)> {
        let id = batch.topic.as_bytes().as_slice();
        self.transaction
            .prepare_cached(
                "INSERT INTO topic (id, name, mapping, since) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO UPDATE SET name = ?2, mapping = ?3",
            )?
            .execute(params![
                id,
                batch.topic_name,
                batch.mapping.name(),
                batch.kept.since.map(TimestampMs::get)
            ])?;
        let topic: i64 = self
            .transaction
            .prepare_cached("SELECT ref FROM topic WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        self.transaction
            .prepare_cached("INSERT OR IGNORE INTO part (topic, partition, first, first_stamp, next) VALUES (?1, ?2, ?3, ?4, ?3)")?
            .execute(params![
                topic,
                batch.partition.get(),
                batch.expected.get(),
                batch.records.first().map_or(0, |first| first.record.timestamp.get()),
            ])?;
        self.transaction
            .prepare_cached("SELECT ref, next, high FROM part WHERE topic = ?1 AND partition = ?2")?
            .query_row(params![topic, batch.partition.get()], |row| {
                let high = row.get::<_, Option<i64>>(2)?.map(TimestampMs);
                Ok((Place { topic, part: row.get(0)?, high }, Offset(row.get(1)?)))
            })
    }

    pub(super) fn add(
        &mut self,
        place: &Place,
        record: &Record,
        group: &Group<'_>,
        brought: i64,
    ) -> Result<(), StoreError> {
        let fact: &Fact = group.first;
        let subject = self.numbers.subject(&fact.subject)?;
        let source = self.numbers.source(&fact.source)?;
        self.add_fact.execute(params![
            subject,
            group.class,
            group.at,
            place.part,
            record.offset.get(),
            to_i64(group.index),
            fact.told.get(),
            record.timestamp.get(),
            place.high.map(TimestampMs::get),
            source,
            !group.holders.is_empty(),
            fact.event,
            group.ids,
            group.drafts,
            brought,
        ])?;
        if matches!(group.class, class::PLAIN | class::POSITION) {
            // A row's corrections speak of all its versions.
            let event = row_of(&fact.event).map_or(fact.event.as_str(), |(row, _)| row);
            self.add_event.execute(params![event_key(event), subject])?;
        }
        if group.class != class::READING && fact.subject.kind != Kind::Event {
            self.touched.insert(subject);
        }
        for holder in &group.holders {
            let holder = self.numbers.subject(holder)?;
            self.add_part.execute([holder, subject])?;
            self.touched.insert(holder);
        }
        if let Body::Correction { withdraws, .. } = &fact.draft.body {
            self.touch_event(withdraws)?;
        }
        Ok(())
    }

    /// The subjects of an event that is taken back must be worked out again; where that is itself a correction, those
    /// of the event that it took back.
    fn touch_event(&mut self, event: &str) -> SqlResult<()> {
        let mut find = self.transaction.prepare_cached(
            "SELECT t.subject, s.kind, s.id FROM told_of t JOIN subject s ON s.ref = t.subject WHERE t.event = ?1",
        )?;
        let mut events = vec![event.to_owned()];
        let mut looked: BTreeSet<String> = BTreeSet::new();
        while let Some(event) = events.pop() {
            if !looked.insert(event.clone()) {
                continue;
            }
            let mut rows = find.query([event_key(&event)])?;
            while let Some(row) = rows.next()? {
                if row.get::<_, i64>(1)? == Kind::Event.code() {
                    events.push(row.get(2)?);
                } else {
                    self.touched.insert(row.get(0)?);
                }
            }
        }
        Ok(())
    }

    /// The refused record behind which a record of an ordered source must wait.
    fn blocking(&self, place: &Place, record: &Record) -> SqlResult<Option<i64>> {
        let Some(key) = record.key.as_deref() else { return Ok(None) };
        self.transaction
            .prepare_cached("SELECT offset FROM blocked WHERE part = ?1 AND key = ?2")?
            .query_row(params![place.part, key], |row| row.get(0))
            .optional()
    }

    /// The number under which this transaction brings in facts of records that were read before.
    pub(super) const fn mark(&self) -> i64 {
        self.mark
    }

    /// Keeps from where on this mapping reads the partition, and what had been told up to there.
    fn note_mapping(&self, place: &Place, batch: &PartitionBatch) -> SqlResult<()> {
        let last: Option<String> = self
            .transaction
            .prepare_cached("SELECT mapping FROM span WHERE part = ?1 ORDER BY since DESC LIMIT 1")?
            .query_row([place.part], |row| row.get(0))
            .optional()?;
        if last.as_deref() == Some(batch.mapping.name()) {
            return Ok(());
        }
        if last.is_some() {
            note_milestone(self.transaction, place.part)?;
        }
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO span (part, since, mapping) VALUES (?1, ?2, ?3)")?
            .execute(params![place.part, batch.expected.get(), batch.mapping.name()])?;
        Ok(())
    }

    fn block(&self, place: &Place, record: &Record) -> SqlResult<()> {
        let Some(key) = record.key.as_deref() else { return Ok(()) };
        self.transaction
            .prepare_cached("INSERT OR IGNORE INTO blocked (part, key, offset) VALUES (?1, ?2, ?3)")?
            .execute(params![place.part, key, record.offset.get()])?;
        Ok(())
    }

    pub(super) fn mark_dirty(&self) -> SqlResult<()> {
        self.brought.keep(self.transaction, self.mark)?;
        if self.touched.is_empty() && !self.brought.changed {
            return Ok(());
        }
        let mark: i64 = self
            .transaction
            .prepare_cached("UPDATE mark SET number = number + 1 RETURNING number")?
            .query_row([], |row| row.get(0))?;
        let mut add = self
            .transaction
            .prepare_cached("INSERT OR REPLACE INTO dirty (subject, mark) VALUES (?1, ?2)")?;
        for subject in &self.touched {
            add.execute([*subject, mark])?;
        }
        Ok(())
    }

    fn quarantine(
        &self,
        topic: i64,
        record: &Record,
        reason: &str,
        mapping: &str,
        state: RowState,
    ) -> Result<(), StoreError> {
        let headers: Vec<(&str, Option<&[u8]>)> =
            record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let headers =
            serde_json::to_string(&headers).map_err(|fault| StoreError::Corrupt(fault.to_string()))?;
        self.transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO quarantine
                 (topic, partition, offset, stamp, key, value, headers, reason, mapping, append_time, state, sent)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                topic,
                record.partition.get(),
                record.offset.get(),
                record.timestamp.get(),
                record.key.as_deref(),
                record.value.as_deref(),
                headers,
                reason,
                mapping,
                record.append_time,
                state.code(),
                state == RowState::Held,
            ])?;
        Ok(())
    }
}
