//! Where records come from: what ingest asks of it, and how it fails.

use std::collections::BTreeMap;
use std::time::Duration;

use waybill_types::{Offset, PartitionId, TopicId};

use crate::mapping::{Mapping, Record};
use crate::store::{QuarantineRow, RepairRow};

/// The source of records failed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The brokers did not answer, or refused.
    #[error("the brokers: {0}")]
    Broker(String),
    /// A topic's name means another topic than the one that is read.
    #[error("topic {topic} is not the one that was read: it was deleted, or deleted and made again")]
    NotTheSame {
        /// Its name.
        topic: String,
    },
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

    /// Whether a topic keeps only the last record of each key, so that earlier ones may be gone without a trace.
    ///
    /// # Errors
    /// The brokers did not answer.
    fn is_compacted(&mut self, topic: &TopicInfo) -> Result<bool, SourceError>;

    /// Reads these partitions from these offsets on, and no others.
    ///
    /// # Errors
    /// The brokers did not answer.
    fn assign(&mut self, topics: &[TopicInfo], from: &BTreeMap<Part, Offset>) -> Result<(), SourceError>;

    /// Up to `max` records, each of the topic with the id it bears; waits up to `wait` for the first.
    ///
    /// # Errors
    /// A partition can not be read on. What was taken before the error may be lost to later calls until partitions are
    /// assigned again.
    fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Record>, SourceError>;

    /// Tells the group how far the view is, so that its lag is seen. The store's offsets decide, not these.
    fn show_progress(&mut self, topics: &[TopicInfo], next: &BTreeMap<Part, Offset>);

    /// Puts refused records into their topics' quarantine topics.
    ///
    /// # Errors
    /// Not all were acked; all will be sent again.
    fn send_quarantined(&mut self, rows: &[QuarantineRow]) -> Result<(), SourceError>;

    /// Publishes repaired copies into the topics and partitions of the records that they stand for.
    ///
    /// # Errors
    /// Not all were acked; all will be sent again.
    fn send_repaired(&mut self, rows: &[RepairRow]) -> Result<(), SourceError>;
}

/// Which topics are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sources {
    /// These.
    Named(Vec<NamedSource>),
    /// Each whose first retained record names its mapping in header `waybill-mapping`.
    Discovered,
}

/// A topic that is read because it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSource {
    /// The topic's name.
    pub topic: String,
    /// What maps its records.
    pub mapping: Mapping,
    /// Records behind a quarantined one of the same key are held: the order of a key's records matters to their reader.
    pub ordered: bool,
}

/// Opens sources of records, one for each view.
pub trait Opens: Send + Sync + 'static {
    /// A source that shows its progress as consumer group `group`.
    ///
    /// # Errors
    /// It can not be made.
    fn open(&self, group: &str) -> Result<Box<dyn RecordSource>, SourceError>;
}

impl<S: RecordSource + ?Sized> RecordSource for Box<S> {
    fn topics(&mut self) -> Result<Vec<TopicInfo>, SourceError> {
        (**self).topics()
    }

    fn first_record(&mut self, topic: &TopicInfo) -> Result<Option<Record>, SourceError> {
        (**self).first_record(topic)
    }

    fn ranges(&mut self, topic: &TopicInfo) -> Result<BTreeMap<PartitionId, LogRange>, SourceError> {
        (**self).ranges(topic)
    }

    fn is_compacted(&mut self, topic: &TopicInfo) -> Result<bool, SourceError> {
        (**self).is_compacted(topic)
    }

    fn assign(&mut self, topics: &[TopicInfo], from: &BTreeMap<Part, Offset>) -> Result<(), SourceError> {
        (**self).assign(topics, from)
    }

    fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Record>, SourceError> {
        (**self).poll(max, wait)
    }

    fn show_progress(&mut self, topics: &[TopicInfo], next: &BTreeMap<Part, Offset>) {
        (**self).show_progress(topics, next);
    }

    fn send_quarantined(&mut self, rows: &[QuarantineRow]) -> Result<(), SourceError> {
        (**self).send_quarantined(rows)
    }

    fn send_repaired(&mut self, rows: &[RepairRow]) -> Result<(), SourceError> {
        (**self).send_repaired(rows)
    }
}
