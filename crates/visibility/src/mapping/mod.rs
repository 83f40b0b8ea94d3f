//! From a record's bytes to facts, or to a reason why not.
//!
//! - [`scms`]: rows of the SCMS delivery history, as `waybill load --format scms` frames them.
//! - [`epcis`]: EPCIS documents and events, JSON and XML.
//! - `dcsa`: container events of DCSA Track & Trace.
//! - `edi`: X12 and EDIFACT interchanges.
//! - `cloudevents`: business events in CloudEvents.
//! - [`events`]: business events in JSON; [`events_map`] turns them into facts.
//!
//! A mapping is a pure function of the record. A record that it can not take whole gives no fact at all.

mod cloudevents;
mod dcsa;
mod edi;
pub mod epcis;
pub mod events;
mod events_map;
pub mod scms;
mod teller;

use std::collections::BTreeMap;
use std::str::FromStr;

use bytes::Bytes;
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use crate::model::Fact;
pub use teller::Teller;

/// The header by which a record names the mapping that reads it.
pub const MAPPING_HEADER: &str = "waybill-mapping";

/// A record as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The topic's id.
    pub topic: TopicId,
    /// The topic's name.
    pub topic_name: std::sync::Arc<str>,
    /// The partition.
    pub partition: PartitionId,
    /// The offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: TimestampMs,
    /// The timestamp is the log's append time (`message.timestamp.type=LogAppendTime`), not the producer's.
    pub append_time: bool,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl Record {
    /// The value of the first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.as_deref())
    }
}

/// Why a record was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// A stable word: `not_json`, `invalid`, `unsupported_type`, …
    pub code: &'static str,
    /// What is wrong and where, in words.
    pub detail: String,
}

impl Refusal {
    /// A refusal with its stable word and its detail.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// The mappings that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mapping {
    /// `scms@1`.
    Scms,
    /// `epcis@1`.
    Epcis,
    /// `events@1`.
    Events,
    /// `dcsa@1`.
    Dcsa,
    /// `edi@1`.
    Edi,
    /// `cloudevents@1`.
    CloudEvents,
}

impl Mapping {
    /// Every mapping.
    pub const ALL: [Self; 6] =
        [Self::Scms, Self::Epcis, Self::Events, Self::Dcsa, Self::Edi, Self::CloudEvents];

    /// Its name and version.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scms => "scms@1",
            Self::Epcis => "epcis@1",
            Self::Events => events::EVENTS,
            Self::Dcsa => "dcsa@1",
            Self::Edi => "edi@1",
            Self::CloudEvents => "cloudevents@1",
        }
    }

    /// Maps one record.
    ///
    /// # Errors
    /// Says why the record can not be taken whole.
    pub fn map(self, record: &Record) -> Result<Vec<Fact>, Refusal> {
        let value =
            record.value.as_deref().ok_or_else(|| Refusal::new("no_value", "the record has no value"))?;
        match self {
            Self::Scms => scms::map(record, value),
            Self::Epcis => epcis::map(record, value),
            Self::Events => events_map::map(record, value),
            Self::Dcsa => dcsa::map(record, value),
            Self::Edi => edi::map(record, value),
            Self::CloudEvents => cloudevents::map(record, value),
        }
    }
}

/// A mapping's name is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no mapping is called '{0}'; there are scms@1, epcis@1, events@1, dcsa@1, edi@1 and cloudevents@1")]
pub struct UnknownMapping(pub String);

impl FromStr for Mapping {
    type Err = UnknownMapping;

    /// Takes `NAME@VERSION`, and `NAME` for its newest version.
    fn from_str(text: &str) -> Result<Self, UnknownMapping> {
        let is = |mapping: &Self| mapping.name() == text || mapping.name().split('@').next() == Some(text);
        Self::ALL.into_iter().find(is).ok_or_else(|| UnknownMapping(text.to_owned()))
    }
}

/// Counts, per kind of fact and subject, how many an event told.
type Ordinals = BTreeMap<(&'static str, crate::model::Subject), u32>;
