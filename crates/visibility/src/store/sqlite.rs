//! The store of one process: an SQLite file, one writer and a pool of readers.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::format::check_or_make;
use super::schema::{FORMAT, TABLES};
use super::sqlite_rows::{Names, Refs};
use super::sqlite_spans::keep_checkpoint;
use super::{
    CheckpointRow, Cut, Derivation, Dirty, Milestone, Outcome, PartitionBatch, QuarantineRow, Read,
    RepairRow, Ruled, Ruling, Store, StoreError, Taken, ViewStore,
};
use crate::mapping::Record;

/// Readers kept open at most; more are opened when needed and closed after use.
const POOLED_READERS: usize = 8;

/// Pages kept in memory by the writer, in KiB (negative is SQLite's way of saying so).
const WRITER_CACHE: i64 = -65_536;

/// Pages of the write-ahead file after which it is carried over: seldom, since a batch touches the same pages again.
const CHECKPOINT_PAGES: i64 = 16_384;

/// An SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    pub(super) writer: Mutex<Writer>,
    readers: Mutex<Vec<Connection>>,
}

/// The one connection that writes, and the numbers it knows.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) refs: Refs,
}

impl SqliteStore {
    /// Opens or makes the file.
    ///
    /// The store can always be rebuilt from the log, so commits are not fsynced one by one: after a power loss it is
    /// consistent and a little behind, and collect goes on from its own offsets.
    ///
    /// # Errors
    /// The file can not be opened, or holds another format.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut writer = Connection::open(path)?;
        writer.pragma_update(None, "journal_mode", "wal")?;
        writer.pragma_update(None, "synchronous", "normal")?;
        writer.pragma_update(None, "cache_size", WRITER_CACHE)?;
        writer.pragma_update(None, "temp_store", "memory")?;
        writer.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        prepare_once(&writer)?;
        check_or_make(&mut writer, FORMAT, |transaction| transaction.execute_batch(TABLES))?;
        let writer = Mutex::new(Writer { connection: writer, refs: Refs::default() });
        Ok(Self { path: path.to_owned(), writer, readers: Mutex::new(Vec::new()) })
    }

    fn reader(&self) -> Result<Connection, StoreError> {
        if let Some(reader) = self.readers.lock().pop() {
            return Ok(reader);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&self.path, flags)?;
        reader.busy_timeout(std::time::Duration::from_secs(5))?;
        prepare_once(&reader)?;
        Ok(reader)
    }
}

/// Statements are prepared once: plans do not depend on the values bound, else SQLite prepares again for each.
fn prepare_once(connection: &Connection) -> Result<(), StoreError> {
    connection.set_prepared_statement_cache_capacity(128);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

impl Store for SqliteStore {
    fn read(&self) -> Result<Box<dyn Read + '_>, StoreError> {
        let connection = self.reader()?;
        // A deferred transaction sees one snapshot from its first read on.
        connection.execute_batch("BEGIN")?;
        Ok(Box::new(Snapshot { store: self, connection: Some(connection), names: Names::default() }))
    }

    fn collect(&self, batches: &[PartitionBatch]) -> Result<Vec<Taken>, StoreError> {
        self.collect_batches(batches)
    }

    fn dirty(&self, limit: usize) -> Result<Vec<Dirty>, StoreError> {
        self.dirty_subjects(limit)
    }

    fn derive(&self, rows: &[Derivation], clean: &[Dirty]) -> Result<(), StoreError> {
        self.replace_derived(rows, clean)
    }

    fn outbox(&self, limit: usize) -> Result<Vec<QuarantineRow>, StoreError> {
        self.unsent(limit)
    }

    fn sent(&self, rows: &[QuarantineRow]) -> Result<(), StoreError> {
        self.mark_sent(rows)
    }

    fn rule(&self, rulings: &[Ruling], remap: &dyn Fn(&Record) -> Outcome) -> Result<Vec<Ruled>, StoreError> {
        self.carry_out(rulings, remap)
    }

    fn repairs(&self, limit: usize) -> Result<Vec<RepairRow>, StoreError> {
        self.unsent_repairs(limit)
    }

    fn repairs_sent(&self, rows: &[RepairRow]) -> Result<(), StoreError> {
        self.mark_repairs_sent(rows)
    }

    fn save_checkpoint(&self, row: &CheckpointRow, told: &[Milestone]) -> Result<bool, StoreError> {
        keep_checkpoint(&mut self.writer.lock().connection, row, told)
    }
}

impl ViewStore for SqliteStore {
    fn keep_below(&self, from: &Path, cut: &Cut) -> Result<(), StoreError> {
        self.copy_below(from, cut)
    }

    fn take_over(&self, other: &Path) -> Result<(), StoreError> {
        self.copy_marks(other)
    }
}

/// One consistent view of the file.
pub(super) struct Snapshot<'s> {
    store: &'s SqliteStore,
    connection: Option<Connection>,
    pub(super) names: Names,
}

impl Snapshot<'_> {
    pub(super) fn connection(&self) -> Result<&Connection, StoreError> {
        self.connection.as_ref().ok_or_else(|| StoreError::Corrupt("the snapshot is closed".to_owned()))
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // A reader whose transaction does not end is not given to anyone else.
        if connection.execute_batch("COMMIT").is_ok() {
            let mut readers = self.store.readers.lock();
            if readers.len() < POOLED_READERS {
                readers.push(connection);
            }
        }
    }
}
