//! Where facts, offsets and derived rows live. [`sqlite`] is the store of one process; one for many machines implements
//! the same traits and passes the same tests.
//!
//! Two stages write: *collect* inserts the facts of records and moves their partition's offset in one transaction, by
//! compare-and-set, so that a second instance changes nothing; *derive* replaces the derived rows of dirty subjects.
//! Answers read facts; derived rows serve search, lists and changes only.

pub(crate) mod format;
mod lineage;
mod listing;
mod quarantine;
pub mod schema;
pub mod sqlite;
mod sqlite_collect;
mod sqlite_decide;
mod sqlite_digest;
mod sqlite_keep;
mod sqlite_read;
mod sqlite_rows;
mod sqlite_spans;
mod sqlite_write;

use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use crate::mapping::{Mapping, Record, Refusal};
use crate::model::change::Change;
use crate::model::time::Day;
use crate::model::{Fact, Frontier, State, Subject, Telling};
pub use lineage::{CheckpointRow, Cut, Lineage, Milestone, Reading, Span, SubjectDigest, ViewStore};
pub use listing::{Listing, SuspectKey, Suspects};
pub use quarantine::{
    Decision, DecisionRow, QuarantineFilter, QuarantineRow, RecordId, RepairRow, RowState, Ruled, Ruling,
};

/// A store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said so.
    #[error("the store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// What it holds can not be read.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
    /// It was made by another version.
    #[error("the store has format {found}, this program reads {expected}; rebuild it into a new file")]
    Format {
        /// What it has.
        found: i64,
        /// What this program reads.
        expected: i64,
    },
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its facts.
    Projected(Vec<Fact>),
    /// Why it was refused.
    Quarantined(Refusal),
}

/// A record and what became of it.
#[derive(Debug, Clone)]
pub struct Collected {
    /// The record.
    pub record: Record,
    /// What became of it.
    pub outcome: Outcome,
}

/// Records of one partition, in the order of their offsets.
#[derive(Debug, Clone)]
pub struct PartitionBatch {
    /// The topic's id.
    pub topic: TopicId,
    /// Its name.
    pub topic_name: String,
    /// What mapped it.
    pub mapping: Mapping,
    /// The partition.
    pub partition: PartitionId,
    /// The next offset that the store must have; else the batch is not taken.
    pub expected: Offset,
    /// The next offset once it is taken.
    pub next: Offset,
    /// Records behind a quarantined one of the same key are held.
    pub ordered: bool,
    /// What was known of the topic's history when it was first read.
    pub kept: Kept,
    /// The records.
    pub records: Vec<Collected>,
}

/// What was known of a topic's history when it was first read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Since when all that comes is seen, where what came before may be gone: the topic is compacted.
    pub since: Option<TimestampMs>,
}

/// Whether a batch was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was.
    Yes,
    /// The store had another next offset: another instance is ahead.
    Fenced {
        /// What it had.
        next: Offset,
    },
}

/// Counts of one partition. Always `taken = projected + held + quarantined + repaired + discarded`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// The topic.
    pub topic: TopicId,
    /// Its name.
    pub topic_name: String,
    /// The partition.
    pub partition: PartitionId,
    /// Records read.
    pub taken: u64,
    /// Records whose facts were stored.
    pub projected: u64,
    /// Records held behind a quarantined one.
    pub held: u64,
    /// Records refused, of which nothing has become yet.
    pub quarantined: u64,
    /// Records in whose place a repaired copy was read: that one is counted where it stands.
    pub repaired: u64,
    /// Records of which nothing is to come.
    pub discarded: u64,
    /// Rows kept, in the order held, quarantined, repaired, discarded; must equal those counts.
    pub rows: [u64; 4],
}

impl Counts {
    /// Whether nothing was lost or counted twice.
    #[must_use]
    pub const fn is_conserved(&self) -> bool {
        let [held, quarantined, repaired, discarded] = self.rows;
        self.taken == self.projected + self.held + self.quarantined + self.repaired + self.discarded
            && self.held == held
            && self.quarantined == quarantined
            && self.repaired == repaired
            && self.discarded == discarded
    }
}

/// A source topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// Its id.
    pub topic: TopicId,
    /// Its name.
    pub name: String,
    /// What maps it: name and version.
    pub mapping: String,
    /// The record time from which its history can be proven, where something before may be gone.
    pub provable_since: Option<TimestampMs>,
    /// Records held behind quarantined ones.
    pub held: u64,
}

/// The derived row of a subject: what lists and search need, as of everything known.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    /// Whose.
    pub subject: Subject,
    /// Its state.
    pub state: State,
    /// The promise that counts.
    pub promised: Option<Day>,
    /// The newest estimate.
    pub estimated: Option<Day>,
    /// The day of delivery.
    pub delivered: Option<Day>,
    /// When that was told.
    pub delivered_told: Option<TimestampMs>,
    /// Days late.
    pub days_late: Option<i64>,
    /// When it was first told of.
    pub first_told: TimestampMs,
    /// Something is wrong with one of its facts: a rule other than those about promises finds it.
    pub flagged: bool,
    /// The earliest day that was ever promised for it or for a part: no promise of it was due before.
    pub earliest: Option<Day>,
    /// An estimate later than that was ever told.
    pub late: bool,
    /// A digest of what full-text search looks in; 0 when it does not look at this subject.
    pub words: i64,
    /// What the row rests on.
    pub basis: Basis,
}

/// How much a derived row rests on: with it, deriving goes on where it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Basis {
    /// Tellings looked at.
    pub tellings: u64,
    /// The latest of their record times.
    pub latest: TimestampMs,
}

/// What deriving gives for one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Derivation {
    /// Its row.
    pub row: Derived,
    /// What full-text search looks in; `None` leaves it as it is.
    pub words: Option<Words>,
    /// Its changes.
    pub changes: Changes,
}

/// What full-text search looks in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// One `label value` a line.
    pub text: String,
    /// Others were there before.
    pub replace: bool,
}

/// The changes of a subject, by record time.
#[derive(Debug, Clone, PartialEq)]
pub enum Changes {
    /// All there are.
    All(Vec<Change>),
    /// Those that came to be since it was last derived.
    More(Vec<Change>),
}

/// A subject whose rows must be worked out again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirty {
    /// Which.
    pub subject: Subject,
    /// What made it so; a later mark keeps it dirty.
    pub mark: i64,
}

/// What sensors tell of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampled {
    /// Readings, within limits and outside.
    Readings,
    /// Readings outside their limits.
    Excursions,
    /// Places.
    Positions,
}

/// The two state hashes and what they cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateHashes {
    /// Of the set of facts.
    pub content_hash: String,
    /// Of facts and positions.
    pub log_hash: String,
    /// Tellings covered.
    pub tellings: u64,
    /// Facts covered.
    pub facts: u64,
}

/// A hit of search.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Whose.
    pub subject: Subject,
    /// How it matched.
    pub by: Match,
}

/// How a search matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// The whole id.
    Exact,
    /// The beginning of the id.
    Prefix,
    /// Words in names, references or places.
    Text,
}

/// Reads of one consistent snapshot.
pub trait Read: Lineage {
    /// How far each partition was collected.
    ///
    /// # Errors
    /// The store failed.
    fn frontier(&self) -> Result<Frontier, StoreError>;

    /// The sources.
    ///
    /// # Errors
    /// The store failed.
    fn sources(&self) -> Result<Vec<SourceRow>, StoreError>;

    /// Counts by partition.
    ///
    /// # Errors
    /// The store failed.
    fn counts(&self) -> Result<Vec<Counts>, StoreError>;

    /// The subjects with this id, by kind.
    ///
    /// # Errors
    /// The store failed.
    fn resolve(&self, id: &str) -> Result<Vec<Subject>, StoreError>;

    /// All that was told of a subject, but for what sensors tell.
    ///
    /// # Errors
    /// The store failed.
    fn tellings(&self, subject: &Subject) -> Result<Vec<Telling>, StoreError>;

    /// Of what sensors told of a subject up to `as_of`, and below a frontier where one is given, the `limit` that happened
    /// last, in the order of happening.
    ///
    /// # Errors
    /// The store failed.
    fn sampled(
        &self,
        subject: &Subject,
        what: Sampled,
        as_of: TimestampMs,
        below: Option<&Frontier>,
        limit: usize,
    ) -> Result<Vec<Telling>, StoreError>;

    /// Those of a subject's tellings that came with a link of it.
    ///
    /// # Errors
    /// The store failed.
    fn links(&self, part: &Subject) -> Result<Vec<Telling>, StoreError>;

    /// Up to `limit` subjects that were ever told to be part of `holder`.
    ///
    /// # Errors
    /// The store failed.
    fn parts(&self, holder: &Subject, limit: usize) -> Result<Vec<Subject>, StoreError>;

    /// Whether any correction was ever told.
    ///
    /// # Errors
    /// The store failed.
    fn has_corrections(&self) -> Result<bool, StoreError>;

    /// Subjects that match a query, best first.
    ///
    /// # Errors
    /// The store failed.
    fn search(&self, words: &str, limit: usize) -> Result<Vec<Candidate>, StoreError>;

    /// Derived rows of a list, by promised day, those without a promise last.
    ///
    /// # Errors
    /// The store failed.
    fn list(&self, listing: Listing) -> Result<Vec<Derived>, StoreError>;

    /// Up to `limit` suspects behind `after`, in order.
    ///
    /// # Errors
    /// The store failed.
    fn suspects(
        &self,
        of: Suspects,
        after: Option<&SuspectKey>,
        limit: usize,
    ) -> Result<Vec<(SuspectKey, Subject)>, StoreError>;

    /// The derived row of a subject.
    ///
    /// # Errors
    /// The store failed.
    fn derived(&self, subject: &Subject) -> Result<Option<Derived>, StoreError>;

    /// Changes told after `since` and up to `as_of`, newest first.
    ///
    /// # Errors
    /// The store failed.
    fn changes(
        &self,
        since: TimestampMs,
        as_of: TimestampMs,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError>;

    /// Subjects told of up to `as_of`, by kind.
    ///
    /// # Errors
    /// The store failed.
    fn census(&self, as_of: TimestampMs) -> Result<Vec<(String, u64)>, StoreError>;

    /// Orders whose delivery had been told by `as_of`.
    ///
    /// # Errors
    /// The store failed.
    fn delivered_orders(&self, as_of: TimestampMs) -> Result<u64, StoreError>;

    /// Quarantined records, newest first.
    ///
    /// # Errors
    /// The store failed.
    fn quarantine(&self, limit: usize) -> Result<Vec<QuarantineRow>, StoreError> {
        self.quarantined(&QuarantineFilter::default(), limit)
    }

    /// Quarantined records that fit, newest first.
    ///
    /// # Errors
    /// The store failed.
    fn quarantined(&self, filter: &QuarantineFilter, limit: usize) -> Result<Vec<QuarantineRow>, StoreError>;

    /// What was decided about a record, in order.
    ///
    /// # Errors
    /// The store failed.
    fn decisions(&self, record: &RecordId) -> Result<Vec<DecisionRow>, StoreError>;

    /// The state hashes.
    ///
    /// # Errors
    /// The store failed.
    fn hashes(&self) -> Result<StateHashes, StoreError>;

    /// The token of a named checkpoint.
    ///
    /// # Errors
    /// The store failed.
    fn checkpoint(&self, name: &str) -> Result<Option<String>, StoreError>;
}

/// A store. Its methods block; callers in async code use blocking tasks.
pub trait Store: Send + Sync + 'static {
    /// A consistent snapshot for reading.
    ///
    /// # Errors
    /// The store failed.
    fn read(&self) -> Result<Box<dyn Read + '_>, StoreError>;

    /// Takes batches, each whole or not at all, in one transaction.
    ///
    /// # Errors
    /// The store failed; nothing was taken.
    fn collect(&self, batches: &[PartitionBatch]) -> Result<Vec<Taken>, StoreError>;

    /// Up to `limit` dirty subjects; they stay dirty until [`Store::derive`] replaces their rows.
    ///
    /// # Errors
    /// The store failed.
    fn dirty(&self, limit: usize) -> Result<Vec<Dirty>, StoreError>;

    /// Replaces derived rows and makes `clean` clean unless something new touched them, in one transaction.
    ///
    /// # Errors
    /// The store failed; nothing was replaced.
    fn derive(&self, rows: &[Derivation], clean: &[Dirty]) -> Result<(), StoreError>;

    /// Up to `limit` quarantined records that their topic has not received.
    ///
    /// # Errors
    /// The store failed.
    fn outbox(&self, limit: usize) -> Result<Vec<QuarantineRow>, StoreError>;

    /// Marks quarantined records as received by their topic.
    ///
    /// # Errors
    /// The store failed.
    fn sent(&self, rows: &[QuarantineRow]) -> Result<(), StoreError>;

    /// Carries out decisions about refused records and keeps them, in one transaction. `remap` maps records that waited
    /// behind a decided one.
    ///
    /// # Errors
    /// The store failed; nothing was decided.
    fn rule(&self, rulings: &[Ruling], remap: &dyn Fn(&Record) -> Outcome) -> Result<Vec<Ruled>, StoreError>;

    /// Up to `limit` repaired copies that their topic has not received.
    ///
    /// # Errors
    /// The store failed.
    fn repairs(&self, limit: usize) -> Result<Vec<RepairRow>, StoreError>;

    /// Marks repaired copies as received by their topic.
    ///
    /// # Errors
    /// The store failed.
    fn repairs_sent(&self, rows: &[RepairRow]) -> Result<(), StoreError>;

    /// Keeps a checkpoint for ever, with what its partitions had told; `false` when the name holds another.
    ///
    /// # Errors
    /// The store failed.
    fn save_checkpoint(&self, row: &CheckpointRow, told: &[Milestone]) -> Result<bool, StoreError>;
}
