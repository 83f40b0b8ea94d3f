//! One file made from another: what lies below a cut is copied, what rests on it is worked out again.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, Transaction, params};

use super::schema::class;
use super::sqlite::{SqliteStore, Writer};
use super::sqlite_rows::{SqlResult, event_key};
use super::{Cut, Milestone, StoreError};
use crate::model::fact::row_of;
use crate::model::{Body, FactDraft, Subject};

/// Calls `work` while `path` is there as database `old`.
fn beside<T>(
    connection: &mut Connection,
    path: &Path,
    work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let name = path.to_str().ok_or_else(|| StoreError::Corrupt("the file's name is not text".to_owned()))?;
    connection.execute("ATTACH DATABASE ?1 AS old", [name])?;
    let done = work(connection);
    connection.execute_batch("DETACH DATABASE old")?;
    done
}

impl SqliteStore {
    pub(super) fn copy_below(&self, from: &Path, cut: &Cut) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        let Writer { connection, refs } = &mut *writer;
        refs.clear();
        beside(connection, from, |connection| {
            let transaction = connection.transaction()?;
            copy_places(&transaction, cut.values())?;
            transaction.execute_batch(COPY)?;
            copy_links(&transaction)?;
            transaction.execute_batch(FINISH)?;
            Ok(transaction.commit()?)
        })
    }

    pub(super) fn copy_marks(&self, other: &Path) -> Result<(), StoreError> {
        let mut writer = self.writer.lock();
        beside(&mut writer.connection, other, |connection| {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TAKE_OVER)?;
            Ok(transaction.commit()?)
        })
    }
}

/// Topics and partitions keep their numbers.
fn copy_places<'m>(transaction: &Transaction<'_>, cut: impl Iterator<Item = &'m Milestone>) -> SqlResult<()> {
    transaction.execute_batch(
        "CREATE TEMP TABLE cut (part INTEGER PRIMARY KEY, topic INTEGER, partition INTEGER, next INTEGER);
         DELETE FROM temp.cut",
    )?;
    for milestone in cut {
        let key = params![milestone.topic.as_bytes().as_slice(), milestone.partition.get()];
        transaction.execute(
            "INSERT OR IGNORE INTO topic SELECT * FROM old.topic WHERE id = ?1",
            [milestone.topic.as_bytes().as_slice()],
        )?;
        let part: i64 = transaction.query_row(
            "SELECT p.ref FROM old.part p JOIN old.topic t ON t.ref = p.topic WHERE t.id = ?1 AND p.partition = ?2",
            key,
            |row| row.get(0),
        )?;
        transaction.execute(
            "INSERT INTO part (ref, topic, partition, first, first_stamp, next, high, taken, noted)
             SELECT ref, topic, partition, first, first_stamp, ?2, ?3, ?4, ?4 FROM old.part WHERE ref = ?1",
            params![
                part,
                milestone.next.get(),
                milestone.high.map(waybill_types::TimestampMs::get),
                milestone.taken
            ],
        )?;
        transaction.execute(
            "INSERT INTO temp.cut SELECT ref, topic, partition, next FROM part WHERE ref = ?1",
            [part],
        )?;
    }
    Ok(())
}

/// What was decided about records that are kept stays decided. A record whose repaired copy lies above the cut waits for
/// it again.
const COPY: &str = "
INSERT INTO source SELECT * FROM old.source;
INSERT INTO fact SELECT f.* FROM old.fact f JOIN temp.cut c ON c.part = f.part WHERE f.offset < c.next;
INSERT INTO quarantine SELECT q.* FROM old.quarantine q JOIN temp.cut c
  ON c.topic = q.topic AND c.partition = q.partition WHERE q.offset < c.next;
UPDATE quarantine SET state = 1, copy_partition = NULL, copy_offset = NULL WHERE state = 4 AND NOT EXISTS
  (SELECT 1 FROM temp.cut c WHERE c.topic = quarantine.topic AND c.partition = quarantine.copy_partition
   AND quarantine.copy_offset < c.next);
INSERT INTO repair SELECT r.* FROM old.repair r JOIN quarantine q
  ON q.topic = r.topic AND q.partition = r.partition AND q.offset = r.offset;
INSERT INTO decision SELECT d.* FROM old.decision d JOIN temp.cut c
  ON c.topic = d.topic AND c.partition = d.partition WHERE d.offset < c.next;
INSERT INTO blocked SELECT b.* FROM old.blocked b JOIN temp.cut c ON c.part = b.part WHERE b.offset < c.next;
INSERT INTO span SELECT s.* FROM old.span s JOIN temp.cut c ON c.part = s.part WHERE s.since < c.next;
INSERT INTO milestone SELECT m.* FROM old.milestone m JOIN temp.cut c ON c.part = m.part WHERE m.next <= c.next;
INSERT INTO brought SELECT * FROM old.brought WHERE EXISTS (SELECT 1 FROM temp.cut);
INSERT OR IGNORE INTO checkpoint SELECT * FROM old.checkpoint;
UPDATE mark SET number = (SELECT number + 1 FROM old.mark);
WITH kept AS (SELECT topic, partition, sum(state = 2) AS h, sum(state IN (1, 3)) AS q, sum(state = 4) AS r,
  sum(state = 5) AS d FROM quarantine GROUP BY topic, partition)
UPDATE part SET held = k.h, quarantined = k.q, repaired = k.r, discarded = k.d FROM kept k
  WHERE k.topic = part.topic AND k.partition = part.partition;
UPDATE part SET projected = taken - held - quarantined - repaired - discarded;
";

const FINISH: &str = "
INSERT INTO subject SELECT * FROM old.subject WHERE ref IN
  (SELECT subject FROM fact UNION SELECT holder FROM held_in);
INSERT INTO dirty SELECT s.ref, (SELECT number FROM mark) FROM subject s WHERE s.kind <> 10;
DROP TABLE temp.cut;
";

const TAKE_OVER: &str = "
UPDATE quarantine SET sent = 1 WHERE sent = 0 AND EXISTS
  (SELECT 1 FROM old.quarantine q JOIN old.topic o ON o.ref = q.topic JOIN topic t ON t.id = o.id
   WHERE t.ref = quarantine.topic AND q.partition = quarantine.partition AND q.offset = quarantine.offset AND q.sent = 1);
INSERT OR IGNORE INTO checkpoint SELECT * FROM old.checkpoint;
";

/// What holds what, and which subjects an event told of: from the facts that were kept.
fn copy_links(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let mut find = transaction.prepare("SELECT subject, class, links, event, drafts FROM fact")?;
    let mut number = transaction.prepare("SELECT ref FROM old.subject WHERE id = ?1 AND kind = ?2")?;
    let mut add_event =
        transaction.prepare_cached("INSERT OR IGNORE INTO told_of (event, subject) VALUES (?1, ?2)")?;
    let mut add_part =
        transaction.prepare_cached("INSERT OR IGNORE INTO held_in (holder, part) VALUES (?1, ?2)")?;
    let mut rows = find.query([])?;
    while let Some(row) = rows.next()? {
        let subject: i64 = row.get(0)?;
        if matches!(row.get(1)?, class::PLAIN | class::POSITION) {
            let event = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
            add_event.execute([event_key(row_of(event).map_or(event, |(row, _)| row)), subject])?;
        }
        if !row.get::<_, bool>(2)? {
            continue;
        }
        for holder in holders(row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?)? {
            let holder: i64 = number.query_row(params![holder.id, holder.kind.code()], |row| row.get(0))?;
            add_part.execute([holder, subject])?;
        }
    }
    Ok(())
}

fn holders(drafts: &[u8]) -> Result<BTreeSet<Subject>, StoreError> {
    let drafts: Vec<(u32, FactDraft)> =
        serde_json::from_slice(drafts).map_err(|fault| StoreError::Corrupt(fault.to_string()))?;
    let holders = drafts.into_iter().filter_map(|(_, draft)| match draft.body {
        Body::Link { holder, .. } if !holder.id.is_empty() => Some(holder),
        _ => None,
    });
    Ok(holders.collect())
}
