//! Reads source topics, maps their records and hands them to the store.
//!
//! One thread runs [`Ingest::step`] again and again: find sources, take a batch of records, collect it, derive what it
//! touched, feed quarantine topics. When it dies, nothing is lost: the offsets in the store decide where the next one
//! goes on.

pub mod kafka;
pub mod memory;
mod progress;
mod source;
mod topic_id;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use waybill_rt::SharedClock;
use waybill_types::{Offset, TopicId};

use crate::mapping::{MAPPING_HEADER, Mapping, Mappings, Record};
use crate::project;
use crate::store::{
    Collected, Kept, Outcome, PartitionBatch, QuarantineRow, RepairRow, Store, StoreError, Taken,
};
pub use progress::{Freshness, Progress, STALE_AFTER, SourceHealth};
pub use source::{LogRange, NamedSource, Opens, Part, RecordSource, SourceError, Sources, TopicInfo};

/// Records taken at once while nothing waits.
pub const BATCH: usize = 2_048;

/// Records taken at once, at most: batches grow while the source gives full ones.
pub const MAX_BATCH: usize = 32_768;

/// How often topics are looked for.
pub const DISCOVERY_INTERVAL: Duration = Duration::from_secs(10);

/// How often end offsets are asked for.
pub const ENDS_INTERVAL: Duration = Duration::from_secs(1);

/// Records collected without deriving what they touched, at most: then collect waits.
const MAX_UNDONE: usize = 200_000;

/// Quarantined records sent at once.
const OUTBOX_BATCH: usize = 256;

/// What names a quarantine topic: the source's name and this.
pub const QUARANTINE_SUFFIX: &str = ".quarantine";

/// Ingest failed.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The source of records.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A topic that is read.
#[derive(Debug, Clone)]
struct Source {
    topic: TopicInfo,
    mapping: Mapping,
    ordered: bool,
    kept: Kept,
}

/// The ingest of one view.
pub struct Ingest<S> {
    store: Arc<dyn Store>,
    source: S,
    sources: Sources,
    mappings: Mappings,
    overrides: Vec<(String, Mapping)>,
    clock: SharedClock,
    progress: Arc<Progress>,
    feeds_quarantine: bool,
    known: BTreeMap<TopicId, Source>,
    next: BTreeMap<Part, Offset>,
    looked: Option<Duration>,
    measured: Option<Duration>,
    batch: usize,
    pace: Pace,
    /// The source may stand behind records that were not collected: it must be told again where to read.
    misplaced: bool,
}

/// When rows are worked out: at once while the view keeps up, else no more time than collecting takes.
#[derive(Debug, Default)]
struct Pace {
    /// Records collected since.
    undone: usize,
    /// When the last derivation ended.
    ended: Duration,
    /// How long it took.
    took: Duration,
}

impl Pace {
    /// Whether it is time to derive, `count` records of at most `batch` having been taken.
    fn is_due(&self, count: usize, batch: usize, now: Duration) -> bool {
        if self.undone == 0 {
            return false;
        }
        // While records come in full batches the view is catching up: subjects would be worked out again and again.
        let keeps_up = count < batch / 2;
        count == 0 || self.undone > MAX_UNDONE || (keeps_up && now.saturating_sub(self.ended) >= self.took)
    }
}

impl<S: RecordSource> Ingest<S> {
    /// Prepares to read. `feeds_quarantine` is off in rebuilds: the topic has those records already.
    pub fn new(
        store: Arc<dyn Store>,
        source: S,
        sources: Sources,
        clock: SharedClock,
        progress: Arc<Progress>,
        feeds_quarantine: bool,
    ) -> Self {
        Self {
            store,
            source,
            sources,
            mappings: Mappings::default(),
            overrides: Vec::new(),
            clock,
            progress,
            feeds_quarantine,
            known: BTreeMap::new(),
            next: BTreeMap::new(),
            looked: None,
            measured: None,
            batch: BATCH,
            pace: Pace::default(),
            misplaced: false,
        }
    }

    /// Topics may also name these mappings in their records' header.
    #[must_use]
    pub fn with_mappings(mut self, mappings: Mappings) -> Self {
        self.mappings = mappings;
        self
    }

    /// These topics are read by these mappings, whatever their records or the configuration name.
    #[must_use]
    pub fn with_overrides(mut self, overrides: Vec<(String, Mapping)>) -> Self {
        self.overrides = overrides;
        self
    }

    /// One round. Returns how many records it took; waits up to `wait` for the first.
    ///
    /// # Errors
    /// The brokers or the store failed; the round can be tried again.
    pub fn step(&mut self, wait: Duration) -> Result<usize, IngestError> {
        self.look_for_sources()?;
        if self.misplaced {
            self.assign()?;
        }
        let records = match self.source.poll(self.batch, wait) {
            Ok(records) => records,
            Err(fault) => {
                self.misplaced = true;
                self.after_failure()?;
                return Err(fault.into());
            }
        };
        let count = records.len();
        if count > 0 {
            self.misplaced = true;
            self.collect(records)?;
            self.misplaced = false;
        }
        self.pace.undone = self.pace.undone.saturating_add(count);
        if self.pace.is_due(count, self.batch, self.clock.monotonic()) {
            self.derive()?;
        }
        self.batch =
            if count >= self.batch { (self.batch * 2).min(MAX_BATCH) } else { count.clamp(BATCH, MAX_BATCH) };
        self.feed_quarantine()?;
        self.feed_repairs()?;
        self.measure()?;
        Ok(count)
    }

    /// Runs rounds until every record that is there now is collected and derived. For tests and batch runs.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn drain(&mut self) -> Result<(), IngestError> {
        self.looked = None;
        loop {
            let taken = self.step(Duration::ZERO)?;
            self.measured = None;
            self.measure()?;
            if taken == 0 && self.progress.is_caught_up() {
                return self.derive();
            }
        }
    }

    fn derive(&mut self) -> Result<(), IngestError> {
        let began = self.clock.monotonic();
        project::derive_all(self.store.as_ref())?;
        let ended = self.clock.monotonic();
        self.pace = Pace { undone: 0, ended, took: ended.saturating_sub(began) };
        Ok(())
    }

    fn collect(&mut self, records: Vec<Record>) -> Result<(), IngestError> {
        let mut parts: BTreeMap<Part, Vec<Record>> = BTreeMap::new();
        for record in records {
            parts.entry((record.topic, record.partition)).or_default().push(record);
        }
        let mut batches = Vec::with_capacity(parts.len());
        for (part, records) in parts {
            let Some(source) = self.known.get(&part.0) else { continue };
            let mapping = source.mapping.clone();
            let expected = self.next.get(&part).copied().unwrap_or(Offset::ZERO);
            // A source that goes back (a retry after an error) brings records again: they are taken once.
            let fresh: Vec<Record> = records.into_iter().filter(|record| record.offset >= expected).collect();
            let Some(last) = fresh.last() else { continue };
            batches.push(PartitionBatch {
                topic: part.0,
                topic_name: source.topic.name.clone(),
                partition: part.1,
                expected,
                next: last.offset.next(),
                ordered: source.ordered,
                kept: source.kept,
                records: fresh.into_iter().map(|record| collected(record, &mapping)).collect(),
                mapping,
            });
        }
        let taken = self.store.collect(&batches)?;
        let mut fenced = false;
        for (batch, taken) in batches.iter().zip(taken) {
            let next = match taken {
                Taken::Yes => batch.next,
                Taken::Fenced { next } => {
                    fenced = true;
                    tracing::warn!(topic = batch.topic_name, partition = %batch.partition, next = %next, "another instance is ahead");
                    next
                }
            };
            self.next.insert((batch.topic, batch.partition), next);
        }
        let topics: Vec<TopicInfo> = self.known.values().map(|source| source.topic.clone()).collect();
        if fenced {
            self.assign()?;
        }
        self.source.show_progress(&topics, &self.next);
        Ok(())
    }

    fn feed_quarantine(&mut self) -> Result<(), IngestError> {
        if !self.feeds_quarantine {
            return Ok(());
        }
        loop {
            let rows = self.store.outbox(OUTBOX_BATCH)?;
            if rows.is_empty() {
                return Ok(());
            }
            self.source.send_quarantined(&rows)?;
            self.store.sent(&rows)?;
        }
    }

    /// Publishes repaired copies, each into the partition of the record that it stands for. A copy may be sent twice
    /// when the process dies in between; it counts once.
    fn feed_repairs(&mut self) -> Result<(), IngestError> {
        if !self.feeds_quarantine {
            return Ok(());
        }
        // A topic that is not read any more may be another one under the same name.
        let rows = self.store.repairs(OUTBOX_BATCH)?;
        let ours: Vec<RepairRow> =
            rows.into_iter().filter(|repair| self.known.contains_key(&repair.row.evidence.topic)).collect();
        if !ours.is_empty() {
            self.source.send_repaired(&ours)?;
            self.store.repairs_sent(&ours)?;
        }
        Ok(())
    }

    /// Asks for end offsets and notes whether all of them are reached.
    fn measure(&mut self) -> Result<(), IngestError> {
        let now = self.clock.monotonic();
        if self.measured.is_some_and(|measured| now.saturating_sub(measured) < ENDS_INTERVAL) {
            return Ok(());
        }
        let mut ends = BTreeMap::new();
        for source in self.known.values() {
            for (partition, range) in self.source.ranges(&source.topic)? {
                ends.insert((source.topic.id, partition), range.end);
            }
        }
        let read = self.store.read()?;
        let frontier = read.frontier()?;
        let named: BTreeSet<&str> = match &self.sources {
            Sources::Named(names) => names.iter().map(|named| named.topic.as_str()).collect(),
            Sources::Discovered => BTreeSet::new(),
        };
        let missing = named.len().saturating_sub(self.known.len());
        self.progress.measured(&ends, &self.next, &frontier, missing, now);
        self.measured = Some(now);
        Ok(())
    }

    /// Where this ingest stands.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
}

fn collected(record: Record, mapping: &Mapping) -> Collected {
    let outcome = match mapping.map(&record) {
        Ok(facts) => Outcome::Projected(facts),
        Err(refusal) => Outcome::Quarantined(refusal),
    };
    Collected { record, outcome }
}

/// The header that names the topic of the record that another stands for.
pub const ORIGIN_TOPIC: &str = "waybill-origin-topic";

/// Its partition.
pub const ORIGIN_PARTITION: &str = "waybill-origin-partition";

/// Its offset.
pub const ORIGIN_OFFSET: &str = "waybill-origin-offset";

/// Its timestamp.
pub const ORIGIN_TIMESTAMP: &str = "waybill-origin-timestamp";

/// Who repaired it.
pub const REPAIRED_BY: &str = "waybill-repaired-by";

fn origin_headers(row: &QuarantineRow) -> Vec<(String, Option<Vec<u8>>)> {
    let at = &row.evidence;
    let header = |name: &str, value: String| (name.to_owned(), Some(value.into_bytes()));
    vec![
        header(ORIGIN_TOPIC, row.topic_name.clone()),
        header(ORIGIN_PARTITION, at.partition.to_string()),
        header(ORIGIN_OFFSET, at.offset.to_string()),
        header(ORIGIN_TIMESTAMP, at.timestamp.to_string()),
    ]
}

/// The headers of a repaired copy: what it stands for, who repaired it, and the record's own.
#[must_use]
pub fn repair_headers(repair: &RepairRow) -> Vec<(String, Option<Vec<u8>>)> {
    let mut headers = origin_headers(&repair.row);
    headers.push((REPAIRED_BY.to_owned(), Some(repair.who.clone().into_bytes())));
    let own = repair.row.headers.iter().filter(|(name, _)| !headers.iter().any(|(known, _)| known == name));
    let own: Vec<_> = own.cloned().collect();
    headers.extend(own);
    headers
}

/// The headers of a record in quarantine: where it came from, why it was refused, and its own.
#[must_use]
pub fn quarantine_headers(row: &QuarantineRow) -> Vec<(String, Option<Vec<u8>>)> {
    let text = |value: String| Some(value.into_bytes());
    let mut headers = origin_headers(row);
    if let Some(key) = &row.key {
        headers.push(("waybill-origin-key".to_owned(), Some(key.clone())));
    }
    headers.push(("waybill-reason".to_owned(), text(row.reason.clone())));
    headers.push((MAPPING_HEADER.to_owned(), text(row.mapping.clone())));
    headers.extend(row.headers.iter().filter(|(name, _)| name != MAPPING_HEADER).cloned());
    headers
}

/// The key of a record in quarantine: topic, partition and offset.
#[must_use]
pub fn quarantine_key(row: &QuarantineRow) -> String {
    format!("{}/{}/{}", row.topic_name, row.evidence.partition, row.evidence.offset)
}
