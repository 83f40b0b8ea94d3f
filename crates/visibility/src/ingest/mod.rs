//! Reads source topics, maps their records and hands them to the store.
//!
//! One thread runs [`Ingest::step`] again and again: find sources, take a batch of records, collect it, derive what it
//! touched, feed quarantine topics. When it dies, nothing is lost: the offsets in the store decide where the next one
//! goes on.

pub mod kafka;
pub mod memory;
mod progress;
mod topic_id;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use waybill_rt::SharedClock;
use waybill_types::{Offset, PartitionId, TopicId};

use crate::mapping::{MAPPING_HEADER, Mapping, Record};
use crate::project;
use crate::store::{Collected, Outcome, PartitionBatch, QuarantineRow, Store, StoreError, Taken};
pub use progress::{Freshness, Progress, STALE_AFTER, SourceHealth};

/// Records taken at once.
pub const BATCH: usize = 4_096;

/// How often topics are looked for.
pub const DISCOVERY_INTERVAL: Duration = Duration::from_secs(10);

/// How often end offsets are asked for.
pub const ENDS_INTERVAL: Duration = Duration::from_secs(1);

/// Records collected without deriving what they touched, at most: then collect waits.
const MAX_UNDONE: usize = 100_000;

/// Quarantined records sent at once.
const OUTBOX_BATCH: usize = 256;

/// What names a quarantine topic: the source's name and this.
pub const QUARANTINE_SUFFIX: &str = ".quarantine";

/// The source of records failed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The brokers did not answer, or refused.
    #[error("the brokers: {0}")]
    Broker(String),
    /// Records between the view's offset and the log start are gone.
    #[error(
        "{topic}/{partition}: records {from} to {to} are gone; rebuild from what is kept, or restore them"
    )]
    HistoryGone {
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// The first one missing.
        from: Offset,
        /// The first one still there.
        to: Offset,
    },
}

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

/// A topic as the brokers describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
}

/// The offsets that a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRange {
    /// The first one kept.
    pub start: Offset,
    /// The one after the last that may be read.
    pub end: Offset,
}

/// One partition of one topic by id.
pub type Part = (TopicId, PartitionId);

/// Where records come from. Methods block.
pub trait RecordSource: Send {
    /// The topics that are there, but for internal ones.
    ///
    /// # Errors
    /// The brokers did not answer.
    fn topics(&mut self) -> Result<Vec<TopicInfo>, SourceError>;

    /// The first record that a topic still holds.
    ///
    /// # Errors
    /// The brokers did not answer.
    fn first_record(&mut self, topic: &TopicInfo) -> Result<Option<Record>, SourceError>;

    /// What each partition of a topic holds.
    ///
    /// # Errors
    /// The brokers did not answer.
    fn ranges(&mut self, topic: &TopicInfo) -> Result<BTreeMap<PartitionId, LogRange>, SourceError>;

    /// Reads these partitions from these offsets on, and no others.
    ///
    /// # Errors
    /// The brokers did not answer.
    fn assign(&mut self, topics: &[TopicInfo], from: &BTreeMap<Part, Offset>) -> Result<(), SourceError>;

    /// Up to `max` records; waits up to `wait` for the first.
    ///
    /// # Errors
    /// A partition can not be read on.
    fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Record>, SourceError>;

    /// Tells the group how far the view is, so that its lag is seen. The store's offsets decide, not these.
    fn show_progress(&mut self, topics: &[TopicInfo], next: &BTreeMap<Part, Offset>);

    /// Puts refused records into their topics' quarantine topics.
    ///
    /// # Errors
    /// Not all were acked; all will be sent again.
    fn send_quarantined(&mut self, rows: &[QuarantineRow]) -> Result<(), SourceError>;
}

/// Which topics are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sources {
    /// These.
    Named(Vec<(String, Mapping)>),
    /// Each whose first retained record names its mapping in header `waybill-mapping`.
    Discovered,
}

/// The ingest of one view.
pub struct Ingest<S> {
    store: Arc<dyn Store>,
    source: S,
    sources: Sources,
    clock: SharedClock,
    progress: Arc<Progress>,
    feeds_quarantine: bool,
    known: BTreeMap<TopicId, (TopicInfo, Mapping)>,
    next: BTreeMap<Part, Offset>,
    looked: Option<Duration>,
    measured: Option<Duration>,
    undone: usize,
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
            clock,
            progress,
            feeds_quarantine,
            known: BTreeMap::new(),
            next: BTreeMap::new(),
            looked: None,
            measured: None,
            undone: 0,
        }
    }

    /// One round. Returns how many records it took; waits up to `wait` for the first.
    ///
    /// # Errors
    /// The brokers or the store failed; the round can be tried again.
    pub fn step(&mut self, wait: Duration) -> Result<usize, IngestError> {
        self.look_for_sources()?;
        let records = self.source.poll(BATCH, wait)?;
        let count = records.len();
        if count > 0 {
            self.collect(records)?;
        }
        self.undone = self.undone.saturating_add(count);
        // While records come in full batches the view is catching up: subjects would be worked out again and again.
        if count < BATCH / 2 || self.undone > MAX_UNDONE {
            project::derive_all(self.store.as_ref())?;
            self.undone = 0;
        }
        self.feed_quarantine()?;
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
                return Ok(project::derive_all(self.store.as_ref())?);
            }
        }
    }

    fn look_for_sources(&mut self) -> Result<(), IngestError> {
        let now = self.clock.monotonic();
        if self.looked.is_some_and(|looked| now.saturating_sub(looked) < self.look_interval()) {
            return Ok(());
        }
        let topics = self.source.topics()?;
        let mut fresh = false;
        for topic in topics {
            let grew =
                self.known.get(&topic.id).is_some_and(|(known, _)| known.partitions < topic.partitions);
            if self.known.contains_key(&topic.id) && !grew {
                continue;
            }
            let Some(mapping) = self.mapping_of(&topic)? else { continue };
            if self.is_another(&topic)? {
                continue;
            }
            fresh |= self.start(topic, mapping)?;
        }
        if fresh {
            let topics: Vec<TopicInfo> = self.known.values().map(|(topic, _)| topic.clone()).collect();
            self.source.assign(&topics, &self.next)?;
        }
        self.looked = Some(now);
        Ok(())
    }

    /// Named topics that are not there yet are looked for more often.
    fn look_interval(&self) -> Duration {
        match &self.sources {
            Sources::Named(names) if names.len() > self.known.len() => ENDS_INTERVAL,
            _ => DISCOVERY_INTERVAL,
        }
    }

    fn mapping_of(&mut self, topic: &TopicInfo) -> Result<Option<Mapping>, IngestError> {
        match &self.sources {
            Sources::Named(names) => {
                Ok(names.iter().find(|(name, _)| *name == topic.name).map(|(_, mapping)| *mapping))
            }
            Sources::Discovered => {
                if topic.name.starts_with("__") || topic.name.ends_with(QUARANTINE_SUFFIX) {
                    return Ok(None);
                }
                let first = self.source.first_record(topic)?;
                let named = first.as_ref().and_then(|record| record.header(MAPPING_HEADER));
                Ok(named.and_then(|name| std::str::from_utf8(name).ok()).and_then(|name| name.parse().ok()))
            }
        }
    }

    /// A topic of this name, but another id, was read before: its offsets mean other records, so the source stops.
    fn is_another(&self, topic: &TopicInfo) -> Result<bool, IngestError> {
        let read = self.store.read()?;
        let other = read.sources()?.into_iter().any(|row| row.name == topic.name && row.topic != topic.id);
        if other {
            self.progress.stop(
                topic,
                "the topic was deleted and made again since it was last read; rebuild the view to read the new one",
            );
        }
        Ok(other)
    }

    fn start(&mut self, topic: TopicInfo, mapping: Mapping) -> Result<bool, IngestError> {
        let ranges = self.source.ranges(&topic)?;
        let frontier = self.store.read()?.frontier()?;
        let mut next = BTreeMap::new();
        for (partition, range) in &ranges {
            let part = (topic.id, *partition);
            let from = match (self.next.get(&part), frontier.positions.get(&part)) {
                (Some(next), _) => *next,
                (None, Some(position)) => position.next,
                (None, None) => range.start,
            };
            if from < range.start {
                let (name, to) = (topic.name.clone(), range.start);
                let gone = SourceError::HistoryGone { topic: name, partition: *partition, from, to };
                self.progress.stop(&topic, &gone.to_string());
                return Ok(false);
            }
            next.insert(part, from);
        }
        if ranges.values().any(|range| range.start > Offset::ZERO) {
            self.progress.has_no_beginning(&topic);
        }
        self.next.extend(next);
        self.progress.reading(&topic, mapping);
        self.known.insert(topic.id, (topic, mapping));
        Ok(true)
    }

    fn collect(&mut self, records: Vec<Record>) -> Result<(), IngestError> {
        let mut parts: BTreeMap<Part, Vec<Record>> = BTreeMap::new();
        for record in records {
            parts.entry((record.topic, record.partition)).or_default().push(record);
        }
        let mut batches = Vec::with_capacity(parts.len());
        for (part, records) in parts {
            let Some((topic, mapping)) = self.known.get(&part.0) else { continue };
            let expected = self.next.get(&part).copied().unwrap_or(Offset::ZERO);
            // A source that goes back (a retry after an error) brings records again: they are taken once.
            let fresh: Vec<Record> = records.into_iter().filter(|record| record.offset >= expected).collect();
            let Some(last) = fresh.last() else { continue };
            batches.push(PartitionBatch {
                topic: part.0,
                topic_name: topic.name.clone(),
                mapping: *mapping,
                partition: part.1,
                expected,
                next: last.offset.next(),
                records: fresh.into_iter().map(|record| collected(record, *mapping)).collect(),
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
        let topics: Vec<TopicInfo> = self.known.values().map(|(topic, _)| topic.clone()).collect();
        if fenced {
            self.source.assign(&topics, &self.next)?;
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

    /// Asks for end offsets and notes whether all of them are reached.
    fn measure(&mut self) -> Result<(), IngestError> {
        let now = self.clock.monotonic();
        if self.measured.is_some_and(|measured| now.saturating_sub(measured) < ENDS_INTERVAL) {
            return Ok(());
        }
        let mut ends = BTreeMap::new();
        for (topic, _) in self.known.values() {
            for (partition, range) in self.source.ranges(topic)? {
                ends.insert((topic.id, partition), range.end);
            }
        }
        let read = self.store.read()?;
        let frontier = read.frontier()?;
        let named: BTreeSet<&str> = match &self.sources {
            Sources::Named(names) => names.iter().map(|(name, _)| name.as_str()).collect(),
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

fn collected(record: Record, mapping: Mapping) -> Collected {
    let outcome = match mapping.map(&record) {
        Ok(facts) => Outcome::Projected(facts),
        Err(refusal) => Outcome::Quarantined(refusal),
    };
    Collected { record, outcome }
}

/// The headers of a record in quarantine: where it came from, why it was refused, and its own.
#[must_use]
pub fn quarantine_headers(row: &QuarantineRow) -> Vec<(String, Option<Vec<u8>>)> {
    let at = &row.evidence;
    let text = |value: String| Some(value.into_bytes());
    let mut headers = vec![
        ("waybill-origin-topic".to_owned(), text(row.topic_name.clone())),
        ("waybill-origin-partition".to_owned(), text(at.partition.to_string())),
        ("waybill-origin-offset".to_owned(), text(at.offset.to_string())),
        ("waybill-origin-timestamp".to_owned(), text(at.timestamp.to_string())),
    ];
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
