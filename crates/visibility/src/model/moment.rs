//! Which facts a question may rest on: told up to when, true when, and from which part of the log.

use std::collections::BTreeMap;

use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use super::fact::{Classifier, Evidence, Fact};

/// How far a view has read one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The next offset to read.
    pub next: Offset,
    /// Highest record time told so far; `None` while the partition has told nothing.
    pub high: Option<TimestampMs>,
}

/// How far a view has read each partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    /// By topic id and partition.
    pub positions: BTreeMap<(TopicId, PartitionId), Position>,
    /// Facts that decisions brought in below it count up to this one of the store's transactions.
    pub brought: i64,
}

impl Default for Frontier {
    fn default() -> Self {
        Self { positions: BTreeMap::new(), brought: i64::MAX }
    }
}

impl Frontier {
    /// Whether a record lies below it.
    #[must_use]
    pub fn covers(&self, evidence: &Evidence) -> bool {
        self.positions
            .get(&(evidence.topic, evidence.partition))
            .is_some_and(|position| evidence.offset < position.next && evidence.brought <= self.brought)
    }

    /// A topic's watermark: the lowest, over its partitions that told something, of the highest record time told.
    #[must_use]
    pub fn watermark(&self, topic: TopicId) -> Option<TimestampMs> {
        self.positions
            .iter()
            .filter(|((of, _), _)| *of == topic)
            .filter_map(|(_, position)| position.high)
            .min()
    }
}

/// The moment a question speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Only facts told up to this instant.
    pub as_of: TimestampMs,
    /// What was true at this instant; `None` means at `as_of`.
    pub at: Option<TimestampMs>,
    /// Sampled facts count from the end of their minute: only so does an answer as of a time within it repeat, whatever
    /// a store has left out. Not needed as of now, nor where offsets say what was known.
    pub by_minute: bool,
}

impl Moment {
    /// What is known at `as_of`, of that moment.
    #[must_use]
    pub const fn as_of(as_of: TimestampMs) -> Self {
        Self { as_of, at: None, by_minute: false }
    }

    /// Whether the fact had been told.
    #[must_use]
    pub fn knows(&self, fact: &Fact) -> bool {
        let known = if self.by_minute { fact.known_from() } else { fact.told };
        known <= self.as_of
    }

    /// Whether the fact was true then: what happened must have happened by `at`, and plans must have been told by it.
    #[must_use]
    pub fn holds(&self, fact: &Fact) -> bool {
        let Some(at) = self.at else { return true };
        match (fact.draft.classifier, fact.draft.happened) {
            (Classifier::Act, Some(happened)) => happened.start() <= at,
            _ => fact.told <= at,
        }
    }
}
