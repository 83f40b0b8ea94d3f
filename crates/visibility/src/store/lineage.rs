//! What a view rests on, so that two views can be compared and one can be made from another.

use std::collections::BTreeMap;

use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use super::{StateHashes, Store, StoreError};
use crate::ingest::Part;
use crate::model::{Frontier, Subject};

/// Which mapping read a partition from an offset on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The topic's id.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionId,
    /// The first offset.
    pub since: Offset,
    /// Name and version.
    pub mapping: String,
}

/// Digests of how what lies below a frontier was read. Views that agree on frontier and reading give equal answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Of the mappings and from where on each read.
    pub spans: u64,
    /// Of what decisions brought in afterwards.
    pub brought: u64,
}

/// What a partition had told up to an offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// The topic's id.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionId,
    /// The offset.
    pub next: Offset,
    /// The highest record time told below it.
    pub high: Option<TimestampMs>,
    /// Records read below it.
    pub taken: i64,
    /// The first offset that the view read of it.
    pub first: Offset,
}

/// A frontier kept under a name, and what the view was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    /// The name.
    pub name: String,
    /// The frontier's token.
    pub token: String,
    /// When it was made.
    pub at: TimestampMs,
    /// By whom.
    pub who: String,
    /// `TOPIC NAME@VERSION` of what read each topic then.
    pub mappings: Vec<String>,
    /// The content hash then.
    pub content_hash: String,
    /// The log hash then.
    pub log_hash: String,
}

/// What was told of one subject below a frontier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectDigest {
    /// Whose.
    pub subject: Subject,
    /// Log hash of its facts.
    pub log_hash: String,
    /// Facts.
    pub facts: u64,
    /// Tellings.
    pub tellings: u64,
}

/// Up to where each partition is kept when a view is made from another; partitions that are not named are read anew.
pub type Cut = BTreeMap<Part, Milestone>;

/// Reads of what a view rests on, of one snapshot.
pub trait Lineage {
    /// Which mapping read which offsets, by topic, partition and offset.
    ///
    /// # Errors
    /// The store failed.
    fn spans(&self) -> Result<Vec<Span>, StoreError>;

    /// How what lies below a frontier was read.
    ///
    /// # Errors
    /// The store failed.
    fn reading(&self, frontier: &Frontier) -> Result<Reading, StoreError>;

    /// Up to which transaction decisions had brought in what [`Reading::brought`] says; `None` where they never had.
    ///
    /// # Errors
    /// The store failed.
    fn brought_at(&self, digest: u64) -> Result<Option<i64>, StoreError>;

    /// What partitions had told at the offsets from which a rebuild can go on, by partition and offset; where they stand
    /// is one.
    ///
    /// # Errors
    /// The store failed.
    fn milestones(&self) -> Result<Vec<Milestone>, StoreError>;

    /// The checkpoints, newest first.
    ///
    /// # Errors
    /// The store failed.
    fn checkpoints(&self) -> Result<Vec<CheckpointRow>, StoreError>;

    /// The state hashes of what lies below a frontier.
    ///
    /// # Errors
    /// The store failed.
    fn hashes_below(&self, frontier: &Frontier) -> Result<StateHashes, StoreError>;

    /// Up to `limit` subjects of which something was told after `since`, last told first, `skip` of them left out.
    ///
    /// # Errors
    /// The store failed.
    fn last_told(
        &self,
        since: TimestampMs,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<(TimestampMs, Subject)>, StoreError>;

    /// Up to `limit` subjects behind `after`, by id and kind, with what was told of each below a frontier. Those of
    /// which nothing was told there are among them: their facts are 0.
    ///
    /// # Errors
    /// The store failed.
    fn digests(
        &self,
        frontier: &Frontier,
        after: Option<&Subject>,
        limit: usize,
    ) -> Result<Vec<SubjectDigest>, StoreError>;
}

/// A store that can be made from another.
pub trait ViewStore: Store {
    /// Fills this empty store with what `from` holds below `cut`, and with its checkpoints, in one transaction.
    ///
    /// # Errors
    /// The store failed; nothing was kept.
    fn keep_below(&self, from: &std::path::Path, cut: &Cut) -> Result<(), StoreError>;

    /// Marks quarantined records as received by their topic where `other` says so, and takes over its checkpoints.
    ///
    /// # Errors
    /// The store failed; nothing was marked.
    fn take_over(&self, other: &std::path::Path) -> Result<(), StoreError>;
}
