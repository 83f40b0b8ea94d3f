//! Facts: what one record told of one subject.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use super::digest::of_fact;
use super::time::When;

/// What kind of thing a subject is. The codes are persisted and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What a customer ordered.
    Order = 1,
    /// One line of an order.
    Line = 2,
    /// Goods that travel together.
    Shipment = 3,
    /// A freight container.
    Container = 4,
    /// A pallet, case or other logistic unit.
    Pallet = 5,
    /// A trade item, or a class of them.
    Item = 6,
    /// A ship, truck, aircraft.
    Vehicle = 7,
    /// A place.
    Place = 8,
    /// A business document.
    Document = 9,
    /// An event: what corrections speak of.
    Event = 10,
}

impl Kind {
    /// Every kind, most asked for first.
    pub const ALL: [Self; 10] = [
        Self::Order,
        Self::Line,
        Self::Shipment,
        Self::Container,
        Self::Pallet,
        Self::Item,
        Self::Vehicle,
        Self::Place,
        Self::Document,
        Self::Event,
    ];

    /// Its code in stores.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The kind of a code.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Its name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Line => "line",
            Self::Shipment => "shipment",
            Self::Container => "container",
            Self::Pallet => "pallet",
            Self::Item => "item",
            Self::Vehicle => "vehicle",
            Self::Place => "place",
            Self::Document => "document",
            Self::Event => "event",
        }
    }
}

/// Something with an identity of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// What it is.
    pub kind: Kind,
    /// Its id, as sources write it.
    pub id: String,
}

impl Subject {
    /// Names a subject.
    pub fn new(kind: Kind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into() }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.id)
    }
}

/// DCSA's classifier: how sure the source is. Ordered by what it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Classifier {
    /// Planned or promised.
    Pln,
    /// Estimated.
    Est,
    /// It happened.
    Act,
}

/// A step in the life of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// It was ordered.
    Order,
    /// It left a place.
    Depart,
    /// It came to a place.
    Arrive,
    /// It was handed over: what a promise is about.
    Deliver,
    /// It was called off.
    Cancel,
}

/// Where a subject was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Located {
    /// The place's id.
    pub place: String,
    /// Its name, when told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its country, when told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// What a link says of a part and what holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// A line is part of an order.
    PartOf,
    /// Goods travel or lie in something.
    In,
    /// It is mentioned in a document.
    Named,
}

/// What happened to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkAction {
    /// It holds from now on.
    Add,
    /// It was seen to hold.
    Seen,
    /// It holds no longer. With an empty holder id: none holds any longer.
    Remove,
}

/// A sensor's reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// What was measured: `temperature`.
    pub measure: String,
    /// The value.
    pub value: f64,
    /// Its unit: `°C`.
    pub unit: String,
    /// Lowest value agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Highest value agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

impl Condition {
    /// Whether the value lies outside what was agreed.
    #[must_use]
    pub fn is_excursion(&self) -> bool {
        self.low.is_some_and(|low| self.value < low) || self.high.is_some_and(|high| self.value > high)
    }
}

/// What a fact says. The names are persisted and part of content ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// A step, planned, estimated or actual.
    Milestone {
        /// Which.
        milestone: Milestone,
    },
    /// It was at a place.
    Location(Located),
    /// It is part of something, or lies in it.
    Link {
        /// What holds it.
        holder: Subject,
        /// How.
        relation: Relation,
        /// Whether it begins, goes on or ends.
        action: LinkAction,
    },
    /// A sensor's reading.
    Condition(Condition),
    /// Something else that happened to it, in words (an EPCIS business step and disposition, say).
    Step {
        /// What.
        step: String,
        /// In what state it left the subject.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disposition: Option<String>,
    },
    /// Names, references and quantities, in the order in which they are to be shown.
    Attributes {
        /// Label and value.
        values: Vec<(String, String)>,
    },
    /// An event told before (or still to come) does not count.
    Correction {
        /// Its event id; with a bound, the id of a row (see [`row_of`]).
        withdraws: String,
        /// Not one event is taken back, but those of a row's versions up to here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bound: Option<RowBound>,
    },
}

/// What ids of events that tell of a row of a database begin with.
pub const ROW_EVENTS: &str = "cdc:";

/// The row, and the version of it, that an event tells of; `None` for events of other kinds.
///
/// Such an event is called `cdc:ROW@VERSION`; versions of one row sort as they followed each other.
#[must_use]
pub fn row_of(event: &str) -> Option<(&str, &str)> {
    event.starts_with(ROW_EVENTS).then(|| event.rsplit_once('@')).flatten()
}

/// Which versions of a row a correction takes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowBound {
    /// Those below this one.
    Below(String),
    /// Those that were last told before the correction was.
    Before,
}

impl Body {
    /// The name that goes into content ids.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Milestone { .. } => "milestone",
            Self::Location(_) => "location",
            Self::Link { .. } => "link",
            Self::Condition(_) => "condition",
            Self::Step { .. } => "step",
            Self::Attributes { .. } => "attributes",
            Self::Correction { .. } => "correction",
        }
    }
}

/// A fact's identity: SHA-256 over event id, kind, subject and ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub [u8; 32]);

impl ContentId {
    /// The id of the `ordinal`-th fact of its kind that event `event` tells of `subject`.
    #[must_use]
    pub fn of(event: &str, kind: &str, subject: &Subject, ordinal: u32) -> Self {
        let mut hash = Sha256::new();
        // Lengths first, so that no two lists of fields give the same bytes.
        for part in [event, kind, subject.kind.name(), subject.id.as_str()] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(ordinal.to_be_bytes());
        Self(hash.finalize().into())
    }

    /// The id of stored bytes; `None` unless there are 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// What one record told of one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// Its identity.
    pub id: ContentId,
    /// The event that told it, unique over all sources.
    pub event: String,
    /// Whom it is about.
    pub subject: Subject,
    /// When we were told (record time).
    pub told: TimestampMs,
    /// Who told it.
    pub source: String,
    /// What was told.
    pub draft: FactDraft,
}

/// What a mapping says of a fact: all but identity, source and record time. Its JSON form is persisted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactDraft {
    /// How sure the source is.
    pub classifier: Classifier,
    /// When it happened, or for when it is planned or expected (event time).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened: Option<When>,
    /// What it says.
    pub body: Body,
    /// A few words of the source: a reason, a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Parties that may see it; empty means all who may see its subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parties: Vec<String>,
    /// The record time is the log's append time: it neither breaks ties nor enters content hashes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub append_time: bool,
    /// A sensor tells this all the time: of each minute only the last counts (see [`super::sample`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sampled: bool,
    /// It was so before anyone listened: state rests on it, but nothing has changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seeds: bool,
}

impl Fact {
    /// Its milestone, if it is one.
    #[must_use]
    pub const fn milestone(&self) -> Option<Milestone> {
        match self.draft.body {
            Body::Milestone { milestone } => Some(milestone),
            _ => None,
        }
    }

    /// Whether its times may count (see [`When::is_plausible`]); facts without a time may.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        self.draft.happened.is_none_or(|when| when.is_plausible(self.told))
    }

    /// Told as having happened before it did: kept in state, but an exception.
    #[must_use]
    pub fn told_too_early(&self) -> bool {
        self.draft.classifier == Classifier::Act
            && self.draft.happened.is_some_and(|when| when.start() > self.told)
    }

    /// From when on answers as of a time may know it: sampled facts from the end of the minute in which they were told.
    #[must_use]
    pub const fn known_from(&self) -> TimestampMs {
        if self.draft.sampled { super::time::end_of_minute(self.told) } else { self.told }
    }

    /// What decides between facts of one kind: the greater counts. Never a position in a log.
    #[must_use]
    pub fn rank(&self) -> (Classifier, TimestampMs, &str, ContentId) {
        let told = if self.draft.append_time { TimestampMs(i64::MIN) } else { self.told };
        (self.draft.classifier, told, self.source.as_str(), self.id)
    }

    /// What of it enters hashes, and what decides between contents told under one identity.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let draft = self.draft.to_json();
        let told = (!self.draft.append_time).then_some(self.told);
        of_fact(self.id, &self.source, told, draft.as_bytes())
    }
}

impl FactDraft {
    /// Its persisted form.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Serialising plain data into memory does not fail; were it to, the empty form would still be stable.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Where a fact was told: a record, and the fact's place among those it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Evidence {
    /// The topic's id.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionId,
    /// The record's offset.
    pub offset: Offset,
    /// The fact's place within the record.
    pub index: u32,
    /// The record's timestamp as it was fetched.
    pub timestamp: TimestampMs,
    /// Highest record time told in that partition before this record: with it, whether a fact came late is known.
    pub high_before: Option<TimestampMs>,
    /// 0 where the fact was stored when its record was read; else the number of the store's transaction in which a
    /// decision about the record brought it in afterwards.
    pub brought: i64,
}

/// A fact as it stands in one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Telling {
    /// What was told.
    pub fact: Fact,
    /// Where.
    pub evidence: Evidence,
}
