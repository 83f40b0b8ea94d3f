//! The tables. A change here means a new [`FORMAT`]; stores of another format are rebuilt from the log, not migrated.

/// The format of the tables, kept in `user_version`.
pub const FORMAT: i64 = 1;

/// Classes of facts, so that readings can be left out of most queries.
pub(super) mod class {
    /// Anything but a reading.
    pub(crate) const PLAIN: i64 = 0;
    /// A reading within its limits.
    pub(crate) const READING: i64 = 1;
    /// A reading outside its limits.
    pub(crate) const EXCURSION: i64 = 2;
}

/// Makes all tables.
pub(super) const TABLES: &str = "
CREATE TABLE topic (
  ref INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  name TEXT NOT NULL,
  mapping TEXT NOT NULL
);
CREATE TABLE part (
  topic INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  next INTEGER NOT NULL,
  high INTEGER,
  taken INTEGER NOT NULL DEFAULT 0,
  projected INTEGER NOT NULL DEFAULT 0,
  held INTEGER NOT NULL DEFAULT 0,
  quarantined INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE subject (
  ref INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  id TEXT NOT NULL,
  UNIQUE (id, kind)
);
CREATE INDEX subject_event ON subject (ref) WHERE kind = 10;
CREATE TABLE fact (
  topic INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  stamp INTEGER NOT NULL,
  high INTEGER,
  id BLOB NOT NULL,
  event TEXT NOT NULL,
  subject INTEGER NOT NULL,
  holder INTEGER,
  class INTEGER NOT NULL,
  append INTEGER NOT NULL,
  told INTEGER NOT NULL,
  source TEXT NOT NULL,
  draft TEXT NOT NULL,
  PRIMARY KEY (topic, partition, offset, idx)
) WITHOUT ROWID;
CREATE INDEX fact_subject ON fact (subject, class, told);
CREATE INDEX fact_holder ON fact (holder) WHERE holder IS NOT NULL;
CREATE INDEX fact_event ON fact (event) WHERE class = 0;
CREATE TABLE dirty (subject INTEGER PRIMARY KEY);
CREATE TABLE derived (
  subject INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  state TEXT NOT NULL,
  promised INTEGER,
  estimated INTEGER,
  delivered INTEGER,
  delivered_told INTEGER,
  days_late INTEGER,
  first_told INTEGER NOT NULL,
  flagged INTEGER NOT NULL,
  text TEXT NOT NULL
);
CREATE INDEX derived_kind ON derived (kind, promised);
CREATE VIRTUAL TABLE words USING fts5(text, content='', contentless_delete=1, tokenize='unicode61');
CREATE TABLE change (
  subject INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  told INTEGER NOT NULL,
  what TEXT NOT NULL,
  old TEXT,
  new TEXT,
  happened TEXT,
  evidence BLOB,
  PRIMARY KEY (subject, seq)
) WITHOUT ROWID;
CREATE INDEX change_told ON change (told);
CREATE TABLE quarantine (
  topic INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  stamp INTEGER NOT NULL,
  key BLOB,
  value BLOB,
  headers TEXT NOT NULL,
  reason TEXT NOT NULL,
  mapping TEXT NOT NULL,
  sent INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (topic, partition, offset)
) WITHOUT ROWID;
CREATE INDEX quarantine_outbox ON quarantine (sent) WHERE sent = 0;
CREATE TABLE checkpoint (name TEXT PRIMARY KEY, token TEXT NOT NULL) WITHOUT ROWID;
";
