//! Refused records, and what is decided about them.

use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use super::Outcome;
use crate::mapping::Record;
use crate::model::Evidence;

/// A refused record, kept whole.
#[derive(Debug, Clone, PartialEq)]
pub struct QuarantineRow {
    /// Where it stood.
    pub evidence: Evidence,
    /// The topic's name.
    pub topic_name: String,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Why it was refused, word and detail.
    pub reason: String,
    /// What refused it.
    pub mapping: String,
    /// Its timestamp is the log's append time.
    pub append_time: bool,
    /// What became of it since.
    pub state: RowState,
}

impl QuarantineRow {
    /// The record as it was fetched.
    #[must_use]
    pub fn record(&self) -> Record {
        Record {
            topic: self.evidence.topic,
            topic_name: self.topic_name.as_str().into(),
            partition: self.evidence.partition,
            offset: self.evidence.offset,
            timestamp: self.evidence.timestamp,
            append_time: self.append_time,
            key: self.key.clone().map(Into::into),
            value: self.value.clone().map(Into::into),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().map(Into::into)))
                .collect(),
        }
    }
}

/// What became of a refused record. The codes are persisted and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowState {
    /// It waits for a decision.
    Refused = 1,
    /// It is not refused itself: it waits behind a refused record of the same key.
    Held = 2,
    /// A repaired copy is on its way; the record counts as refused until that is read.
    Repairing = 3,
    /// A repaired copy was read in its place.
    Repaired = 4,
    /// It was decided that nothing is to come of it.
    Discarded = 5,
}

impl RowState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Refused, Self::Held, Self::Repairing, Self::Repaired, Self::Discarded];

    /// Its name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Repairing => "repairing",
            Self::Repaired => "repaired",
            Self::Discarded => "discarded",
        }
    }

    /// Its code in stores.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The state of a code.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

/// A record's place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The topic's id.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionId,
    /// The offset.
    pub offset: Offset,
}

/// Which refused records are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuarantineFilter {
    /// Of topics of this name.
    pub topic: Option<String>,
    /// Of this partition and offset.
    pub at: Option<(PartitionId, Offset)>,
    /// Whose reason begins so.
    pub reason: Option<String>,
    /// In one of these states; empty means any.
    pub states: Vec<RowState>,
}

/// What is to become of a refused record.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing.
    Discard,
    /// What the present mapping makes of it.
    Redrive(Outcome),
    /// This value is published in its place, with headers that name it.
    Repair(Vec<u8>),
}

/// Someone's decision about one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// Which.
    pub record: RecordId,
    /// What.
    pub decision: Decision,
    /// Who decided.
    pub who: String,
    /// When.
    pub at: TimestampMs,
    /// Why, in words.
    pub note: String,
}

/// What a decision did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruled {
    /// The record is discarded.
    Discarded,
    /// The record's facts were stored: how many.
    Projected(usize),
    /// The mapping still refuses it, for this reason.
    StillRefused(String),
    /// The repaired copy will be published.
    Repairing,
    /// Nothing: it was decided before, or waits behind another record.
    Unchanged(RowState),
    /// Nothing: there is no such record in quarantine.
    Unknown,
}

impl Ruled {
    /// A stable word for answers and the record of decisions.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Discarded => "discarded".to_owned(),
            Self::Projected(facts) => format!("projected: {facts} facts"),
            Self::StillRefused(reason) => format!("still refused: {reason}"),
            Self::Repairing => "repairing".to_owned(),
            Self::Unchanged(state) => format!("unchanged: {}", state.name()),
            Self::Unknown => "unknown".to_owned(),
        }
    }
}

/// A decision as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRow {
    /// When.
    pub at: TimestampMs,
    /// Who.
    pub who: String,
    /// What: `discard`, `redrive`, `repair`.
    pub what: String,
    /// Why.
    pub note: String,
    /// What it did.
    pub outcome: String,
}

/// A repaired copy that its topic has not received.
#[derive(Debug, Clone, PartialEq)]
pub struct RepairRow {
    /// The refused record.
    pub row: QuarantineRow,
    /// What is published in its place.
    pub value: Vec<u8>,
    /// When that was decided: the copy's timestamp.
    pub at: TimestampMs,
    /// Who decided.
    pub who: String,
}
