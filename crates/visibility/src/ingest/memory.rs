//! A log in memory, for tests and for trying mappings: the same records, without brokers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use super::{
    LogRange, Opens, Part, RecordSource, SourceError, TopicInfo, quarantine_headers, quarantine_key,
    repair_headers,
};
use crate::load::LoadRecord;
use crate::mapping::Record;
use crate::store::{QuarantineRow, RepairRow};

#[derive(Debug)]
struct MemoryTopic {
    info: TopicInfo,
    compacted: bool,
    partitions: BTreeMap<PartitionId, Vec<Record>>,
}

/// Topics with records, shared by all its sources.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    topics: Arc<Mutex<Vec<MemoryTopic>>>,
}

impl MemoryLog {
    /// A log without topics.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a topic.
    pub fn create(&self, id: TopicId, name: &str, partitions: i32) {
        let info = TopicInfo { id, name: name.to_owned(), partitions };
        let partitions = (0..partitions).map(|partition| (PartitionId(partition), Vec::new())).collect();
        self.topics.lock().push(MemoryTopic { info, compacted: false, partitions });
    }

    /// Deletes the topics of a name.
    pub fn delete(&self, name: &str) {
        self.topics.lock().retain(|topic| topic.info.name != name);
    }

    /// Says of a topic that it keeps only the last record of each key.
    pub fn compact(&self, name: &str) {
        for topic in self.topics.lock().iter_mut().filter(|topic| topic.info.name == name) {
            topic.compacted = true;
        }
    }

    /// Moves a partition's log start up to an offset, as retention does.
    pub fn forget(&self, name: &str, partition: PartitionId, before: Offset) {
        for topic in self.topics.lock().iter_mut().filter(|topic| topic.info.name == name) {
            if let Some(log) = topic.partitions.get_mut(&partition) {
                log.retain(|record| record.offset >= before);
            }
        }
    }

    /// Appends a record. Its partition follows from its key, by FNV-1a; without one it is 0.
    ///
    /// Returns where it stands; `None` when there is no such topic.
    pub fn append(&self, topic: &str, record: &LoadRecord) -> Option<(PartitionId, Offset)> {
        let hash = record.key.iter().flatten().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.append_to(topic, None, hash, record)
    }

    /// Appends a record to a partition.
    pub fn append_at(&self, topic: &str, partition: PartitionId, record: &LoadRecord) -> Option<Offset> {
        self.append_to(topic, Some(partition), 0, record).map(|(_, offset)| offset)
    }

    fn append_to(
        &self,
        topic: &str,
        partition: Option<PartitionId>,
        hash: u64,
        record: &LoadRecord,
    ) -> Option<(PartitionId, Offset)> {
        let mut topics = self.topics.lock();
        let topic = topics.iter_mut().find(|known| known.info.name == topic)?;
        let count = u64::try_from(topic.info.partitions).ok()?.max(1);
        let partition = match partition {
            Some(partition) => partition,
            None if record.key.is_none() => PartitionId(0),
            None => PartitionId(i32::try_from(hash % count).ok()?),
        };
        let log = topic.partitions.get_mut(&partition)?;
        let offset = log.last().map_or(Offset::ZERO, |last| last.offset.next());
        log.push(Record {
            topic: topic.info.id,
            topic_name: Arc::from(topic.info.name.as_str()),
            partition,
            offset,
            timestamp: record.timestamp,
            append_time: false,
            key: record.key.clone().map(Bytes::from),
            value: Some(Bytes::from(record.value.clone())),
            headers: record
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), Some(Bytes::from(value.clone()))))
                .collect(),
        });
        Some((partition, offset))
    }

    /// Appends a record without a value to the partition of its key, told at `told`.
    pub fn tombstone(&self, topic: &str, key: &[u8], told: TimestampMs) -> Option<(PartitionId, Offset)> {
        let record =
            LoadRecord { key: Some(key.to_vec()), value: Vec::new(), headers: Vec::new(), timestamp: told };
        let at = self.append(topic, &record)?;
        let mut topics = self.topics.lock();
        let log = topics.iter_mut().find(|known| known.info.name == topic)?.partitions.get_mut(&at.0)?;
        log.last_mut()?.value = None;
        Some(at)
    }

    /// The records of a topic, by partition and offset.
    #[must_use]
    pub fn records(&self, topic: &str) -> Vec<Record> {
        let topics = self.topics.lock();
        topics
            .iter()
            .filter(|known| known.info.name == topic)
            .flat_map(|topic| topic.partitions.values().flatten().cloned())
            .collect()
    }

    /// A source that reads this log.
    #[must_use]
    pub fn source(&self) -> MemorySource {
        MemorySource { log: self.clone(), next: BTreeMap::new() }
    }
}

impl Opens for MemoryLog {
    fn open(&self, _group: &str) -> Result<Box<dyn RecordSource>, SourceError> {
        Ok(Box::new(self.source()))
    }
}

/// Reads a [`MemoryLog`].
#[derive(Debug)]
pub struct MemorySource {
    log: MemoryLog,
    next: BTreeMap<Part, Offset>,
}

impl RecordSource for MemorySource {
    fn topics(&mut self) -> Result<Vec<TopicInfo>, SourceError> {
        Ok(self.log.topics.lock().iter().map(|topic| topic.info.clone()).collect())
    }

    fn first_record(&mut self, topic: &TopicInfo) -> Result<Option<Record>, SourceError> {
        let topics = self.log.topics.lock();
        let topic = topics.iter().find(|known| known.info.id == topic.id);
        Ok(topic.and_then(|topic| topic.partitions.values().find_map(|log| log.first().cloned())))
    }

    fn ranges(&mut self, topic: &TopicInfo) -> Result<BTreeMap<PartitionId, LogRange>, SourceError> {
        let topics = self.log.topics.lock();
        let Some(topic) = topics.iter().find(|known| known.info.id == topic.id) else {
            return Err(SourceError::Broker(format!("topic {} is not there", topic.name)));
        };
        let range = |log: &Vec<Record>| {
            let end = log.last().map_or(Offset::ZERO, |last| last.offset.next());
            LogRange { start: log.first().map_or(end, |first| first.offset), end }
        };
        Ok(topic.partitions.iter().map(|(partition, log)| (*partition, range(log))).collect())
    }

    fn is_compacted(&mut self, topic: &TopicInfo) -> Result<bool, SourceError> {
        Ok(self.log.topics.lock().iter().any(|known| known.info.id == topic.id && known.compacted))
    }

    fn assign(&mut self, _topics: &[TopicInfo], from: &BTreeMap<Part, Offset>) -> Result<(), SourceError> {
        self.next = from.clone();
        Ok(())
    }

    fn poll(&mut self, max: usize, _wait: Duration) -> Result<Vec<Record>, SourceError> {
        let topics = self.log.topics.lock();
        let mut found = Vec::new();
        // Partitions take turns, as a fetch from several does.
        let share = (max / self.next.len().max(1)).max(1);
        for ((topic, partition), next) in &mut self.next {
            let log = topics.iter().find(|known| known.info.id == *topic);
            let log = log.and_then(|topic| topic.partitions.get(partition)).map_or(&[][..], Vec::as_slice);
            let from = *next;
            let read = log.partition_point(|record| record.offset < from);
            let fresh = log.iter().skip(read).take(share.min(max - found.len()));
            for record in fresh {
                *next = record.offset.next();
                found.push(record.clone());
            }
        }
        Ok(found)
    }

    fn show_progress(&mut self, _topics: &[TopicInfo], _next: &BTreeMap<Part, Offset>) {}

    fn send_quarantined(&mut self, rows: &[QuarantineRow]) -> Result<(), SourceError> {
        for row in rows {
            let name = format!("{}{}", row.topic_name, super::QUARANTINE_SUFFIX);
            if !self.log.topics.lock().iter().any(|known| known.info.name == name) {
                let mut id = *row.evidence.topic.as_bytes();
                id.reverse();
                self.log.create(TopicId(id), &name, 1);
            }
            let record = LoadRecord {
                key: Some(quarantine_key(row).into_bytes()),
                value: row.value.clone().unwrap_or_default(),
                headers: quarantine_headers(row)
                    .into_iter()
                    .map(|(name, value)| (name, value.unwrap_or_default()))
                    .collect(),
                timestamp: TimestampMs(0),
            };
            self.log.append_at(&name, PartitionId(0), &record);
        }
        Ok(())
    }
    fn send_repaired(&mut self, rows: &[RepairRow]) -> Result<(), SourceError> {
        for repair in rows {
            let headers = repair_headers(repair).into_iter();
            let record = LoadRecord {
                key: repair.row.key.clone(),
                value: repair.value.clone(),
                headers: headers.map(|(name, value)| (name, value.unwrap_or_default())).collect(),
                timestamp: repair.at,
            };
            self.log.append_at(&repair.row.topic_name, repair.row.evidence.partition, &record);
        }
        Ok(())
    }
}
