//! The tables. A change here means a new [`FORMAT`]; stores of another format are rebuilt from the log, not migrated.
//!
//! Facts lie clustered by subject, so that a question reads one range a subject and collect writes one tree. A row
//! holds what one event told of one subject, and of one class: fewer and larger rows than one a fact.
//!
//! `span` says which mapping read a partition from which offset on; `milestone` what a partition had told up to an
//! offset, so that a rebuild can keep what lies below; `brought` a digest of all facts that decisions had brought in up
//! to a transaction.

/// The format of the tables, kept in `user_version`.
pub const FORMAT: i64 = 4;

/// Classes of facts: what is told by sensors all the time is read by range of time only.
pub(super) mod class {
    /// Told of once: `at` is the record time.
    pub(crate) const PLAIN: i64 = 0;
    /// A reading within its limits: `at` is the event time, as for the others below.
    pub(crate) const READING: i64 = 1;
    /// A reading outside its limits.
    pub(crate) const EXCURSION: i64 = 2;
    /// A place told by a sensor.
    pub(crate) const POSITION: i64 = 3;
}

/// Makes all tables.
pub(super) const TABLES: &str = "
CREATE TABLE topic (
  ref INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  name TEXT NOT NULL,
  mapping TEXT NOT NULL,
  since INTEGER
);
CREATE TABLE part (
  ref INTEGER PRIMARY KEY,
  topic INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  first INTEGER NOT NULL,
  first_stamp INTEGER NOT NULL,
  next INTEGER NOT NULL,
  high INTEGER,
  taken INTEGER NOT NULL DEFAULT 0,
  projected INTEGER NOT NULL DEFAULT 0,
  held INTEGER NOT NULL DEFAULT 0,
  quarantined INTEGER NOT NULL DEFAULT 0,
  repaired INTEGER NOT NULL DEFAULT 0,
  discarded INTEGER NOT NULL DEFAULT 0,
  noted INTEGER NOT NULL DEFAULT 0,
  UNIQUE (topic, partition)
);
CREATE TABLE span (part INTEGER NOT NULL, since INTEGER NOT NULL, mapping TEXT NOT NULL, PRIMARY KEY (part, since)) WITHOUT ROWID;
CREATE TABLE milestone (
  part INTEGER NOT NULL,
  next INTEGER NOT NULL,
  high INTEGER,
  taken INTEGER NOT NULL,
  PRIMARY KEY (part, next)
) WITHOUT ROWID;
CREATE TABLE brought (mark INTEGER PRIMARY KEY, digest INTEGER NOT NULL);
CREATE TABLE source (ref INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE subject (
  ref INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  id TEXT NOT NULL,
  UNIQUE (id, kind)
);
CREATE INDEX subject_event ON subject (ref) WHERE kind = 10;
CREATE TABLE fact (
  subject INTEGER NOT NULL,
  class INTEGER NOT NULL,
  at INTEGER NOT NULL,
  part INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  told INTEGER NOT NULL,
  stamp INTEGER NOT NULL,
  high INTEGER,
  source INTEGER NOT NULL,
  links INTEGER NOT NULL,
  event TEXT NOT NULL,
  ids BLOB NOT NULL,
  drafts BLOB NOT NULL,
  brought INTEGER NOT NULL,
  PRIMARY KEY (subject, class, at, part, offset, idx)
) WITHOUT ROWID;
CREATE TABLE held_in (holder INTEGER NOT NULL, part INTEGER NOT NULL, PRIMARY KEY (holder, part)) WITHOUT ROWID;
CREATE TABLE told_of (event INTEGER NOT NULL, subject INTEGER NOT NULL, PRIMARY KEY (event, subject)) WITHOUT ROWID;
CREATE TABLE mark (number INTEGER NOT NULL);
INSERT INTO mark VALUES (0);
CREATE TABLE dirty (subject INTEGER PRIMARY KEY, mark INTEGER NOT NULL);
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
  earliest INTEGER,
  late INTEGER NOT NULL,
  words INTEGER NOT NULL,
  tellings INTEGER NOT NULL,
  latest INTEGER NOT NULL
);
CREATE INDEX derived_kind ON derived (kind, delivered_told, promised);
CREATE INDEX derived_flagged ON derived (kind) WHERE flagged;
CREATE INDEX derived_due ON derived (promised, kind) WHERE delivered_told IS NULL;
CREATE INDEX derived_earliest ON derived (earliest, kind) WHERE delivered_told IS NULL;
CREATE INDEX derived_late ON derived (promised, kind) WHERE late;
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
  append_time INTEGER NOT NULL,
  state INTEGER NOT NULL,
  sent INTEGER NOT NULL,
  copy_partition INTEGER,
  copy_offset INTEGER,
  PRIMARY KEY (topic, partition, offset)
) WITHOUT ROWID;
CREATE INDEX quarantine_outbox ON quarantine (sent) WHERE sent = 0;
CREATE TABLE repair (
  topic INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  at INTEGER NOT NULL,
  who TEXT NOT NULL,
  value BLOB NOT NULL,
  sent INTEGER NOT NULL,
  PRIMARY KEY (topic, partition, offset)
) WITHOUT ROWID;
CREATE INDEX repair_outbox ON repair (sent) WHERE sent = 0;
CREATE TABLE decision (
  number INTEGER PRIMARY KEY,
  topic INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  at INTEGER NOT NULL,
  who TEXT NOT NULL,
  what TEXT NOT NULL,
  note TEXT NOT NULL,
  outcome TEXT NOT NULL
);
CREATE INDEX decision_record ON decision (topic, partition, offset);
CREATE TABLE blocked (part INTEGER NOT NULL, key BLOB NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (part, key)) WITHOUT ROWID;
CREATE TABLE checkpoint (
  name TEXT PRIMARY KEY,
  token TEXT NOT NULL,
  at INTEGER NOT NULL,
  who TEXT NOT NULL,
  mappings TEXT NOT NULL,
  content_hash TEXT NOT NULL,
  log_hash TEXT NOT NULL
) WITHOUT ROWID;
";
