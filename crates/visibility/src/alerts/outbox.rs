//! The outbox of alerts: what began and ended to need a decision, numbered, kept until everyone was told.
//!
//! Format 1, SQLite, beside the views' files: alerts outlive the view that found them. Evaluating again after a crash
//! writes nothing twice, as ids follow from what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use waybill_types::TimestampMs;

use crate::model::digest::hex;
use crate::store::StoreError;
use crate::store::format::check_or_make;

/// The format of the tables.
const FORMAT: i64 = 1;

const TABLES: &str = "
CREATE TABLE open (exception TEXT PRIMARY KEY, revision INTEGER NOT NULL, is_open INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, what TEXT NOT NULL, at INTEGER NOT NULL,
  body TEXT NOT NULL, UNIQUE (id, what));
CREATE TABLE hook (url TEXT PRIMARY KEY, told INTEGER NOT NULL) WITHOUT ROWID;
";

/// Something that needs a decision, as it is told outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AlertBody {
    /// The rule that found it.
    pub rule: String,
    /// Kind of whom it is about.
    pub kind: String,
    /// Whom it is about.
    pub subject: String,
    /// Since when.
    pub since: Option<String>,
    /// What was due.
    pub due: Option<String>,
    /// How often it happened: one line however often.
    pub count: u32,
    /// In words.
    pub what: String,
    /// The exception's id: `/v1/exceptions` has it while it lasts.
    pub exception: String,
}

/// A beginning or an end, as it is told outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AlertEvent {
    /// Its number: later events have higher ones.
    pub seq: i64,
    /// The alert's id, stable however often it is told: hash of rule, subject, due and how often that began.
    pub id: String,
    /// `opened` or `closed`.
    pub what: String,
    /// When that was noticed, RFC 3339.
    pub at: String,
    /// The alert.
    #[serde(flatten)]
    pub alert: AlertBody,
}

/// The outbox.
#[derive(Debug)]
pub struct Outbox {
    connection: Mutex<Connection>,
}

/// The id of the `revision`th time that an exception began.
#[must_use]
pub fn alert_id(exception: &str, revision: i64) -> String {
    let mut hash = Sha256::new();
    hash.update(exception.as_bytes());
    hash.update(revision.to_be_bytes());
    hex(hash.finalize().get(..12).unwrap_or_default())
}

impl Outbox {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// It can not be opened, or has another format.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        check_or_make(&mut connection, FORMAT, |transaction| transaction.execute_batch(TABLES))?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Takes what needs a decision now: what is new among it begins, what is no longer among it ends. One transaction;
    /// returns how many events it wrote.
    ///
    /// # Errors
    /// The file failed; nothing was taken.
    pub fn take(&self, found: &BTreeMap<String, AlertBody>, now: TimestampMs) -> Result<usize, StoreError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        let known: BTreeSet<String> = {
            let mut find = transaction.prepare_cached("SELECT exception FROM open WHERE is_open")?;
            let rows = find.query_map([], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        let mut written = 0;
        for (exception, body) in found.iter().filter(|(exception, _)| !known.contains(*exception)) {
            let revision: i64 = transaction
                .prepare_cached(
                    "INSERT INTO open VALUES (?1, 1, 1)
                     ON CONFLICT (exception) DO UPDATE SET revision = revision + 1, is_open = 1 RETURNING revision",
                )?
                .query_row([exception], |row| row.get(0))?;
            let body = serde_json::to_string(body).map_err(|fault| StoreError::Corrupt(fault.to_string()))?;
            written += transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO event (id, what, at, body) VALUES (?1, 'opened', ?2, ?3)",
                )?
                .execute(params![alert_id(exception, revision), now.get(), body])?;
        }
        for exception in known.iter().filter(|exception| !found.contains_key(*exception)) {
            let revision: i64 = transaction
                .prepare_cached("UPDATE open SET is_open = 0 WHERE exception = ?1 RETURNING revision")?
                .query_row([exception], |row| row.get(0))?;
            written += transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO event (id, what, at, body)
                     SELECT id, 'closed', ?2, body FROM event WHERE id = ?1 AND what = 'opened'",
                )?
                .execute(params![alert_id(exception, revision), now.get()])?;
        }
        transaction.commit()?;
        Ok(written)
    }

    /// Up to `limit` events behind `after`, in order.
    ///
    /// # Errors
    /// The file failed.
    pub fn events(&self, after: i64, limit: usize) -> Result<Vec<AlertEvent>, StoreError> {
        let connection = self.connection.lock();
        let mut find = connection.prepare_cached(
            "SELECT seq, id, what, at, body FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?;
        let rows = find.query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            let body: String = row.get(4)?;
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, TimestampMs(row.get(3)?), body))
        })?;
        rows.map(|row| {
            let (seq, id, what, at, body): (i64, String, String, TimestampMs, String) = row?;
            let alert =
                serde_json::from_str(&body).map_err(|fault| StoreError::Corrupt(fault.to_string()))?;
            Ok(AlertEvent { seq, id, what, at: crate::model::time::instant_text(at), alert })
        })
        .collect()
    }

    /// The last event that a webhook has taken; one that is new begins with the first.
    ///
    /// # Errors
    /// The file failed.
    pub fn told(&self, url: &str) -> Result<i64, StoreError> {
        let connection = self.connection.lock();
        let told = connection
            .prepare_cached("SELECT told FROM hook WHERE url = ?1")?
            .query_row([url], |row| row.get(0))
            .optional()?;
        Ok(told.unwrap_or(0))
    }

    /// A webhook has taken all events up to this one.
    ///
    /// # Errors
    /// The file failed.
    pub fn tell(&self, url: &str, upto: i64) -> Result<(), StoreError> {
        self.connection
            .lock()
            .prepare_cached("INSERT OR REPLACE INTO hook (url, told) VALUES (?1, ?2)")?
            .execute(params![url, upto])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(name: &str) -> AlertBody {
        AlertBody {
            rule: "overdue".into(),
            kind: "order".into(),
            subject: name.into(),
            since: None,
            due: None,
            count: 1,
            what: String::new(),
            exception: name.into(),
        }
    }

    #[test]
    fn what_begins_and_ends_is_told_once_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(&folder.path().join("alerts")).unwrap();
        let now = TimestampMs(0);
        let found = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), body(name))).collect();
        let told = || -> Vec<(String, String)> {
            outbox.events(0, 100).unwrap().into_iter().map(|each| (each.alert.subject, each.what)).collect()
        };
        let pair = |name: &str, what: &str| (name.to_owned(), what.to_owned());
        assert_eq!(outbox.take(&found(&["a", "b"]), now).unwrap(), 2);
        assert_eq!(outbox.take(&found(&["a", "b"]), now).unwrap(), 0, "again changes nothing");
        assert_eq!(outbox.take(&found(&["b"]), now).unwrap(), 1);
        assert_eq!(outbox.take(&found(&["a", "b"]), now).unwrap(), 1, "what comes back is another alert");
        let expected = [pair("a", "opened"), pair("b", "opened"), pair("a", "closed"), pair("a", "opened")];
        assert_eq!(told(), expected);
        let events = outbox.events(0, 100).unwrap();
        assert_eq!(events[0].id, events[2].id);
        assert_ne!(events[0].id, events[3].id);
        assert_eq!(outbox.told("http://x").unwrap(), 0);
        outbox.tell("http://x", 3).unwrap();
        assert_eq!(outbox.told("http://x").unwrap(), 3);
        assert_eq!(outbox.events(3, 100).unwrap().len(), 1);
    }
}
