//! Checking storage from outside: what the metadata says, held against the objects that are there. Nothing is changed.
//!
//! - [`index`]: topics, partitions and their index agree with each other.
//! - [`objects`]: every segment that the index names is there, and says the same about itself.
//! - [`chain`]: what recovery would read of a log that is a chain of objects.
//!
//! Not checked: a ring of files (each start looks at all of it), the checksums inside of the metadata store.

mod chain;
mod index;
mod objects;

use std::collections::BTreeMap;

use bytes::Bytes;
use waybill_meta::{
    ChainLife, ChainRecord, ClusterRecord, IndexRecord, MetaError, NodeRecord, ObjectId, ObjectIdsRecord,
    ObjectRecord, PartitionRecord, Record, SharedMeta, TopicNameRecord, TopicRecord, WalKind, WalTrimRecord,
    keys,
};
use waybill_store::{SharedStore, StoreError};
use waybill_types::{BrokerId, ClusterId, Offset, TopicId, TopicPartition};

/// The newest format level this release knows.
const LEVEL: u32 = crate::identity::LEVEL;
/// Findings kept; behind them only their number.
const FINDINGS: usize = 1_000;

/// What is checked.
pub struct Checked {
    /// The metadata, which must not change meanwhile.
    pub meta: SharedMeta,
    /// Where segments are.
    pub data: SharedStore,
    /// Where chains of the log are, if any.
    pub wal: Option<SharedStore>,
    /// Every byte of every segment is read, else only what it says about itself.
    pub deep: bool,
}

impl std::fmt::Debug for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checked").field("deep", &self.deep).finish_non_exhaustive()
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is wrong: left over from a crash, or written after the metadata was read.
    Note,
    /// Something that was acked can not be read, or a start will be refused.
    Error,
}

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: the name of an object, of a topic and partition, or of a record.
    pub at: String,
    /// What was found, and what to do about it.
    pub what: String,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// The cluster.
    pub cluster: Option<ClusterId>,
    /// Topics, without deleted ones.
    pub topics: u64,
    /// Partitions of these.
    pub partitions: u64,
    /// Segments that the index names.
    pub segments: u64,
    /// Those of them that hold one partition only.
    pub partition_segments: u64,
    /// Their bytes, as the metadata has them.
    pub segment_bytes: u64,
    /// Objects of the log above its trim that hold batches.
    pub wal_objects: u64,
    /// Records that stand in the log only.
    pub wal_records: u64,
    /// What was found, at most 1,000.
    pub findings: Vec<Finding>,
    /// Errors, those beyond the listed ones too.
    pub errors: u64,
    /// Notes, likewise.
    pub notes: u64,
}

impl FsckReport {
    fn error(&mut self, at: impl Into<String>, what: impl Into<String>) {
        self.errors += 1;
        self.keep(Severity::Error, at.into(), what.into());
    }

    fn note(&mut self, at: impl Into<String>, what: impl Into<String>) {
        self.notes += 1;
        self.keep(Severity::Note, at.into(), what.into());
    }

    fn keep(&mut self, severity: Severity, at: String, what: String) {
        if self.findings.len() < FINDINGS {
            self.findings.push(Finding { severity, at, what });
        }
    }

    /// Decodes a record, or says that it can not be.
    fn decode<R: Record>(&mut self, at: impl Into<String>, value: &[u8]) -> Option<R> {
        match R::decode(value) {
            Ok(record) => Some(record),
            Err(error) => {
                self.error(at, format!("its record in the metadata can not be read: {error}"));
                None
            }
        }
    }
}

/// Why nothing could be said.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// There is no cluster.
    #[error("there is no cluster: the metadata is empty")]
    Empty,
    /// The metadata store does not answer.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The store does not answer, or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A partition as the metadata has it.
struct PartitionFacts {
    record: PartitionRecord,
    index: Vec<(Offset, IndexRecord)>,
}

/// Everything that the metadata says, as of one commit.
struct Facts {
    cluster: Option<ClusterId>,
    nodes: Vec<(NodeRecord, Option<WalTrimRecord>)>,
    /// Chains that are not closed.
    chains: Vec<ChainRecord>,
    topics: BTreeMap<TopicId, TopicRecord>,
    names: BTreeMap<String, TopicId>,
    partitions: BTreeMap<TopicPartition, PartitionFacts>,
    objects: BTreeMap<ObjectId, ObjectRecord>,
    next_object: ObjectId,
}

impl Facts {
    /// `topic-3`, as people know it.
    fn name(&self, id: TopicPartition) -> String {
        match self.topics.get(&id.topic) {
            Some(topic) => format!("{}-{}", topic.name, id.partition),
            None => format!("{}-{}", id.topic, id.partition),
        }
    }
}

/// Checks everything.
///
/// # Errors
/// An [`FsckError`] when it could not be looked at; what is wrong stands in the report.
pub async fn fsck(checked: &Checked) -> Result<FsckReport, FsckError> {
    let mut report = FsckReport::default();
    let all = checked.meta.scan(Bytes::new()..Bytes::from_static(&[u8::MAX])).await?;
    if all.is_empty() {
        return Err(FsckError::Empty);
    }
    let facts = facts(all, &mut report);
    report.cluster = facts.cluster;
    index::check(&facts, &mut report);
    objects::check(checked, &facts, &mut report).await?;
    if facts.chains.len() > 1 {
        report.error("the log", "the metadata names more than one chain to go on from; a start is refused");
    }
    for (node, trim) in &facts.nodes {
        match (node.wal_kind, &checked.wal) {
            (WalKind::File, _) => report.note(
                format!("node {}", node.node),
                "its log is a ring of files, which is not looked at here: each start checks it",
            ),
            (WalKind::Object, Some(store)) => {
                let position = trim.as_ref().map_or(0, |trim| trim.position);
                chain::check(store, node, position, &facts, &mut report).await?;
            }
            (WalKind::Object, None) => report.error(
                format!("node {}", node.node),
                "its log is on an object store that was not given: add --wal-storage",
            ),
        }
    }
    Ok(report)
}

/// Sorts the records by kind.
fn facts(all: Vec<(Bytes, Bytes)>, report: &mut FsckReport) -> Facts {
    let mut facts = Facts {
        cluster: None,
        nodes: Vec::new(),
        chains: Vec::new(),
        topics: BTreeMap::new(),
        names: BTreeMap::new(),
        partitions: BTreeMap::new(),
        objects: BTreeMap::new(),
        next_object: ObjectId(0),
    };
    let mut trims = BTreeMap::new();
    let mut entries = Vec::new();
    for (key, value) in all {
        if key == keys::cluster() {
            if let Some(record) = report.decode::<ClusterRecord>("cluster", &value) {
                if record.level > LEVEL {
                    let what = format!("it is of format level {}, this release knows {LEVEL}", record.level);
                    report.error("cluster", what);
                }
                facts.cluster = Some(record.cluster_id);
            }
        } else if keys::nodes().contains(&key) {
            facts.nodes.extend(report.decode("a node", &value).map(|node| (node, None)));
        } else if keys::chains().contains(&key) {
            let record: Option<ChainRecord> = report.decode("a chain", &value);
            facts.chains.extend(record.filter(|record| !matches!(record.life, ChainLife::Closed { .. })));
        } else if let Some(node) = trim_of(&key) {
            trims.extend(report.decode(format!("the trim of node {node}"), &value).map(|trim| (node, trim)));
        } else if keys::topics().contains(&key) {
            let record: Option<TopicRecord> = report.decode("a topic", &value);
            facts.topics.extend(record.map(|record| (record.id, record)));
        } else if keys::topic_names().contains(&key) {
            let name = String::from_utf8_lossy(key.get(1..).unwrap_or_default()).into_owned();
            let record: Option<TopicNameRecord> = report.decode(format!("the name {name}"), &value);
            facts.names.extend(record.map(|record| (name, record.id)));
        } else if let Some(id) = keys::parse_partition(&key) {
            let record = report.decode(format!("{}-{}", id.topic, id.partition), &value);
            let record = record.map(|record| (id, PartitionFacts { record, index: Vec::new() }));
            facts.partitions.extend(record);
        } else if let Some(id) = keys::parse_object(&key) {
            let record = report.decode(crate::segment::object_name(id), &value);
            facts.objects.extend(record.map(|record| (id, record)));
        } else if let Some((id, base)) = keys::parse_index(&key) {
            let at = format!("{}-{}, offset {base}", id.topic, id.partition);
            entries.extend(report.decode(at, &value).map(|record| (id, base, record)));
        } else if key == keys::object_ids() {
            let record: Option<ObjectIdsRecord> = report.decode("object ids", &value);
            facts.next_object = record.map_or(ObjectId(0), |record| record.next);
        }
    }
    for (node, trim) in &mut facts.nodes {
        *trim = trims.remove(&node.node);
    }
    for (id, base, record) in entries {
        match facts.partitions.get_mut(&id) {
            Some(partition) => partition.index.push((base, record)),
            // What a deleted topic leaves is taken away by its owner.
            None if !facts.topics.contains_key(&id.topic) => {}
            None => report.error(facts.name(id), "it has an index but no record of its own"),
        }
    }
    facts
}

/// The node of a trim's key.
fn trim_of(key: &[u8]) -> Option<BrokerId> {
    let node = BrokerId(i32::from_be_bytes(key.get(1..)?.try_into().ok()?));
    (keys::wal_trim(node) == key).then_some(node)
}
