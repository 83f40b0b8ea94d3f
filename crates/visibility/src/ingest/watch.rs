//! Which topics are read: finding them, starting, and stopping those whose records can not be trusted any more.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    DISCOVERY_INTERVAL, ENDS_INTERVAL, Ingest, IngestError, QUARANTINE_SUFFIX, RecordSource, Source,
    SourceError, Sources, TopicInfo,
};
use crate::mapping::{MAPPING_HEADER, Mapping};
use crate::store::Kept;

/// Why a topic with another id under a known name is not read: its offsets mean other records.
const MADE_AGAIN: &str =
    "the topic was deleted and made again since it was last read; rebuild the view to read the new one";

impl<S: RecordSource> Ingest<S> {
    pub(super) fn look_for_sources(&mut self) -> Result<(), IngestError> {
        let now = self.clock.monotonic();
        if self.looked.is_some_and(|looked| now.saturating_sub(looked) < self.look_interval()) {
            return Ok(());
        }
        let topics = self.source.topics()?;
        let mut fresh = false;
        let known: Vec<TopicInfo> = self.known.values().map(|source| source.topic.clone()).collect();
        for topic in &known {
            self.stop_if_unreadable(topic, &topics)?;
            fresh |= !self.known.contains_key(&topic.id);
        }
        for topic in topics {
            let grew =
                self.known.get(&topic.id).is_some_and(|known| known.topic.partitions < topic.partitions);
            if self.known.contains_key(&topic.id) && !grew {
                continue;
            }
            let Some((mapping, ordered)) = self.mapping_of(&topic)? else { continue };
            if self.is_another(&topic)? {
                continue;
            }
            fresh |= self.start(topic, mapping, ordered)?;
        }
        if fresh {
            self.assign()?;
        }
        self.looked = Some(now);
        Ok(())
    }

    /// Stops sources that can not be read on, and reads the others from where the store has them.
    pub(super) fn after_failure(&mut self) -> Result<(), IngestError> {
        let topics = self.source.topics()?;
        let known: Vec<TopicInfo> = self.known.values().map(|source| source.topic.clone()).collect();
        for topic in known {
            self.stop_if_unreadable(&topic, &topics)?;
        }
        self.assign()
    }

    /// A known topic whose name means another one, or whose next records are gone, is read no more.
    fn stop_if_unreadable(&mut self, topic: &TopicInfo, now: &[TopicInfo]) -> Result<(), IngestError> {
        let named = now.iter().find(|other| other.name == topic.name);
        if named.is_some_and(|named| named.id != topic.id) {
            self.progress.stop(topic, MADE_AGAIN);
            self.forget(topic);
            return Ok(());
        }
        if named.is_none() {
            return Ok(());
        }
        for (partition, range) in self.source.ranges(topic)? {
            let next = self.next.get(&(topic.id, partition)).copied().unwrap_or(range.start);
            if next < range.start {
                let (name, from, to) = (topic.name.clone(), next, range.start);
                let gone = SourceError::HistoryGone { topic: name, partition, from, to };
                self.progress.stop(topic, &gone.to_string());
                self.forget(topic);
                return Ok(());
            }
        }
        Ok(())
    }

    fn forget(&mut self, topic: &TopicInfo) {
        self.known.remove(&topic.id);
        self.next.retain(|(id, _), _| *id != topic.id);
    }

    pub(super) fn assign(&mut self) -> Result<(), IngestError> {
        let topics: Vec<TopicInfo> = self.known.values().map(|source| source.topic.clone()).collect();
        self.source.assign(&topics, &self.next)?;
        self.misplaced = false;
        Ok(())
    }

    /// Named topics that are not there yet are looked for more often.
    fn look_interval(&self) -> Duration {
        match &self.sources {
            Sources::Named(names) if names.len() > self.known.len() => ENDS_INTERVAL,
            _ => DISCOVERY_INTERVAL,
        }
    }

    /// What maps a topic, and whether it is ordered; `None` when it is no source.
    fn mapping_of(&mut self, topic: &TopicInfo) -> Result<Option<(Mapping, bool)>, IngestError> {
        let found = self.told_mapping(topic)?;
        let other = self.overrides.iter().find(|(name, _)| *name == topic.name);
        Ok(found.map(|(mapping, ordered)| (other.map_or(mapping, |(_, other)| other.clone()), ordered)))
    }

    /// What maps a topic as its records or the configuration say.
    fn told_mapping(&mut self, topic: &TopicInfo) -> Result<Option<(Mapping, bool)>, IngestError> {
        match &self.sources {
            Sources::Named(names) => {
                let named = names.iter().find(|named| named.topic == topic.name);
                Ok(named.map(|named| (named.mapping.clone(), named.ordered)))
            }
            Sources::Discovered => {
                if topic.name.starts_with("__") || topic.name.ends_with(QUARANTINE_SUFFIX) {
                    return Ok(None);
                }
                let first = self.source.first_record(topic)?;
                let named = first.as_ref().and_then(|record| record.header(MAPPING_HEADER));
                let named = named.and_then(|name| std::str::from_utf8(name).ok());
                let mapping = named.and_then(|name| self.mappings.find(name).ok());
                Ok(mapping.map(|mapping| (mapping, false)))
            }
        }
    }

    /// A topic of this name, but another id, was read before: its offsets mean other records, so the source stops.
    fn is_another(&self, topic: &TopicInfo) -> Result<bool, IngestError> {
        let read = self.store.read()?;
        let other = read.sources()?.into_iter().any(|row| row.name == topic.name && row.topic != topic.id);
        if other {
            self.progress.stop(topic, MADE_AGAIN);
        }
        Ok(other)
    }

    fn start(&mut self, topic: TopicInfo, mapping: Mapping, ordered: bool) -> Result<bool, IngestError> {
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
        self.next.extend(next);
        self.progress.reading(&topic, mapping.clone());
        let since = self.source.is_compacted(&topic)?.then(|| self.clock.now());
        self.known.insert(topic.id, Source { topic, mapping, ordered, kept: Kept { since } });
        Ok(true)
    }
}
