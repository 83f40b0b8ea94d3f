//! Which views there are, which one serves, and what was decided about them: a small file beside the views' own, whose
//! every commit is on the disk before anyone hears of it.
//!
//! Format 1, SQLite, kept in `user_version`.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};
use waybill_types::TimestampMs;

use crate::store::StoreError;
use crate::store::format::check_or_make;

/// The format of the tables.
const FORMAT: i64 = 1;

const TABLES: &str = "
CREATE TABLE view (
  number INTEGER PRIMARY KEY,
  state INTEGER NOT NULL,
  shadow INTEGER NOT NULL,
  start TEXT NOT NULL,
  base INTEGER,
  made INTEGER NOT NULL,
  cut TEXT,
  mappings TEXT NOT NULL,
  files TEXT NOT NULL,
  rate INTEGER,
  at INTEGER NOT NULL,
  who TEXT NOT NULL,
  note TEXT NOT NULL,
  changed INTEGER NOT NULL,
  changed_by TEXT NOT NULL,
  changed_note TEXT NOT NULL
);
CREATE UNIQUE INDEX view_serving ON view (state) WHERE state = 2;
CREATE TABLE report (view INTEGER PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE event (number INTEGER PRIMARY KEY, view INTEGER NOT NULL, at INTEGER NOT NULL, who TEXT NOT NULL,
  what TEXT NOT NULL, note TEXT NOT NULL);
";

/// What a view is. The codes are persisted and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViewState {
    /// It is built beside the one that serves, or keeps up with the log and waits for a decision.
    Building = 1,
    /// It answers.
    Serving = 2,
    /// It answered before, and keeps up with the log so that it can again.
    Kept = 3,
    /// It was decided that it will not serve; its file is gone.
    Rejected = 4,
    /// It served and was taken back; its file is gone.
    RolledBack = 5,
    /// It was kept for its time; its file is gone.
    Retired = 6,
    /// It could not be built; its file is gone.
    Failed = 7,
}

impl ViewState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Building,
        Self::Serving,
        Self::Kept,
        Self::Rejected,
        Self::RolledBack,
        Self::Retired,
        Self::Failed,
    ];

    /// Its name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Serving => "serving",
            Self::Kept => "kept",
            Self::Rejected => "rejected",
            Self::RolledBack => "rolled_back",
            Self::Retired => "retired",
            Self::Failed => "failed",
        }
    }

    /// Whether it has a file and reads the log.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Building | Self::Serving | Self::Kept)
    }
}

/// A view as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewRow {
    /// Its number; the first is 1.
    pub number: u32,
    /// What it is.
    pub state: ViewState,
    /// It runs beside the one that serves without an end.
    pub is_shadow: bool,
    /// From where it was built.
    pub from: String,
    /// The view of which it keeps what lies below.
    pub base: Option<u32>,
    /// Its file holds what is kept: reading may go on from there.
    pub is_made: bool,
    /// Up to where it was kept: a token, once that is done.
    pub cut: Option<String>,
    /// Mappings that read topics in this view, whatever the service was told.
    pub mappings: BTreeMap<String, String>,
    /// Texts of mapping files that came with it.
    pub files: Vec<String>,
    /// Records a second at most while it is built; `None`: half of the time.
    pub rate: Option<u32>,
    /// When it was asked for.
    pub at: TimestampMs,
    /// By whom.
    pub who: String,
    /// Why.
    pub note: String,
    /// When its state last changed.
    pub changed: TimestampMs,
    /// By whom.
    pub changed_by: String,
    /// Why.
    pub changed_note: String,
}

/// Someone's decision about views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: TimestampMs,
    /// Who.
    pub who: String,
    /// Why, in words.
    pub note: String,
}

/// A decision as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// About which view.
    pub view: u32,
    /// What: `rebuild`, `shadow`, `promote`, `reject`, `rollback`, `throttle`, `retire`, `fail`.
    pub what: String,
    /// Who, when and why.
    pub step: Step,
}

/// The file.
#[derive(Debug)]
pub struct Registry {
    connection: Connection,
}

fn wrong(column: usize, what: &str) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Text;
    rusqlite::Error::FromSqlConversionFailure(column, kind, what.to_owned().into())
}

fn view_row(row: &Row<'_>) -> Result<ViewRow, rusqlite::Error> {
    let code: i64 = row.get(1)?;
    let state = ViewState::ALL.into_iter().find(|state| *state as i64 == code);
    let (mappings, files): (String, String) = (row.get(7)?, row.get(8)?);
    Ok(ViewRow {
        number: row.get(0)?,
        state: state.ok_or_else(|| wrong(1, "an unknown state"))?,
        is_shadow: row.get(2)?,
        from: row.get(3)?,
        base: row.get(4)?,
        is_made: row.get(5)?,
        cut: row.get(6)?,
        mappings: serde_json::from_str(&mappings).map_err(|fault| wrong(7, &fault.to_string()))?,
        files: serde_json::from_str(&files).map_err(|fault| wrong(8, &fault.to_string()))?,
        rate: row.get(9)?,
        at: TimestampMs(row.get(10)?),
        who: row.get(11)?,
        note: row.get(12)?,
        changed: TimestampMs(row.get(13)?),
        changed_by: row.get(14)?,
        changed_note: row.get(15)?,
    })
}

const VIEW: &str =
    "SELECT number, state, shadow, start, base, made, cut, mappings, files, rate, at, who, note,
    changed, changed_by, changed_note FROM view";

impl Registry {
    /// Opens or makes the file. A file that is made says that view 1 serves.
    ///
    /// # Errors
    /// It can not be opened, or has another format.
    pub fn open(path: &Path, now: TimestampMs) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        check_or_make(&mut connection, FORMAT, |transaction| {
            transaction.execute_batch(TABLES)?;
            transaction.execute(
                    "INSERT INTO view VALUES (1, 2, 0, 'start', NULL, 1, NULL, '{}', '[]', NULL, ?1, '', '', ?1, '', '')",
                    [now.get()],
                ).map(drop)
        })?;
        Ok(Self { connection })
    }

    /// Every view, newest first.
    ///
    /// # Errors
    /// The file failed.
    pub fn views(&self) -> Result<Vec<ViewRow>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{VIEW} ORDER BY number DESC"))?;
        let rows = find.query_map([], view_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One view.
    ///
    /// # Errors
    /// The file failed.
    pub fn view(&self, number: u32) -> Result<Option<ViewRow>, StoreError> {
        let mut find = self.connection.prepare_cached(&format!("{VIEW} WHERE number = ?1"))?;
        Ok(find.query_row([number], view_row).optional()?)
    }

    /// Adds a view under the next number, which it returns.
    ///
    /// # Errors
    /// The file failed.
    pub fn add(&mut self, row: &ViewRow) -> Result<u32, StoreError> {
        let json = |fault: serde_json::Error| StoreError::Corrupt(fault.to_string());
        let mappings = serde_json::to_string(&row.mappings).map_err(json)?;
        let files = serde_json::to_string(&row.files).map_err(json)?;
        let transaction = self.connection.transaction()?;
        let number: u32 = transaction.query_row("SELECT max(number) + 1 FROM view", [], |row| row.get(0))?;
        transaction.execute(
            "INSERT INTO view VALUES (?1, 1, ?2, ?3, ?4, 0, NULL, ?5, ?6, ?7, ?8, ?9, ?10, ?8, ?9, ?10)",
            params![
                number,
                row.is_shadow,
                row.from,
                row.base,
                mappings,
                files,
                row.rate,
                row.at.get(),
                row.who,
                row.note
            ],
        )?;
        let step = Step { at: row.at, who: row.who.clone(), note: row.note.clone() };
        note(&transaction, number, if row.is_shadow { "shadow" } else { "rebuild" }, &step)?;
        transaction.commit()?;
        Ok(number)
    }

    /// The view's file holds what is kept.
    ///
    /// # Errors
    /// The file failed.
    pub fn made(&self, number: u32, cut: &str) -> Result<(), StoreError> {
        self.connection
            .execute("UPDATE view SET made = 1, cut = ?2 WHERE number = ?1", params![number, cut])?;
        Ok(())
    }

    /// `to` serves in place of `from`, which becomes `then`: in one step.
    ///
    /// # Errors
    /// The file failed; nothing changed.
    pub fn switch(
        &mut self,
        from: u32,
        then: ViewState,
        to: u32,
        what: &str,
        step: &Step,
    ) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        set(&transaction, from, then, step)?;
        set(&transaction, to, ViewState::Serving, step)?;
        note(&transaction, if then == ViewState::RolledBack { from } else { to }, what, step)?;
        transaction.commit()?;
        Ok(())
    }

    /// A view that does not serve becomes `state`.
    ///
    /// # Errors
    /// The file failed; nothing changed.
    pub fn end(&mut self, number: u32, state: ViewState, what: &str, step: &Step) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        set(&transaction, number, state, step)?;
        note(&transaction, number, what, step)?;
        transaction.commit()?;
        Ok(())
    }

    /// Sets how fast a view is built.
    ///
    /// # Errors
    /// The file failed; nothing changed.
    pub fn throttle(&mut self, number: u32, rate: Option<u32>, step: &Step) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        transaction.execute("UPDATE view SET rate = ?2 WHERE number = ?1", params![number, rate])?;
        note(&transaction, number, "throttle", step)?;
        transaction.commit()?;
        Ok(())
    }

    /// Keeps a comparison's report.
    ///
    /// # Errors
    /// The file failed.
    pub fn save_report(&self, number: u32, at: TimestampMs, body: &str) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT OR REPLACE INTO report (view, at, body) VALUES (?1, ?2, ?3)",
            params![number, at.get(), body],
        )?;
        Ok(())
    }

    /// The last report about a view.
    ///
    /// # Errors
    /// The file failed.
    pub fn report(&self, number: u32) -> Result<Option<String>, StoreError> {
        let mut find = self.connection.prepare_cached("SELECT body FROM report WHERE view = ?1")?;
        Ok(find.query_row([number], |row| row.get(0)).optional()?)
    }

    /// What was decided, newest first.
    ///
    /// # Errors
    /// The file failed.
    pub fn events(&self, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        let mut find = self
            .connection
            .prepare_cached("SELECT view, what, at, who, note FROM event ORDER BY number DESC LIMIT ?1")?;
        let rows = find.query_map([limit], |row| {
            let step = Step { at: TimestampMs(row.get(2)?), who: row.get(3)?, note: row.get(4)? };
            Ok(EventRow { view: row.get(0)?, what: row.get(1)?, step })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn set(connection: &Connection, number: u32, state: ViewState, step: &Step) -> Result<(), rusqlite::Error> {
    connection.execute(
        "UPDATE view SET state = ?2, changed = ?3, changed_by = ?4, changed_note = ?5 WHERE number = ?1",
        params![number, state as i64, step.at.get(), step.who, step.note],
    )?;
    Ok(())
}

fn note(connection: &Connection, view: u32, what: &str, step: &Step) -> Result<(), rusqlite::Error> {
    connection.execute(
        "INSERT INTO event (view, at, who, what, note) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![view, step.at.get(), step.who, what, step.note],
    )?;
    Ok(())
}
