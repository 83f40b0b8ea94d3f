//! From a record's bytes to facts, or to a reason why not.
//!
//! - [`scms`]: rows of the SCMS delivery history, as `waybill load --format scms` frames them.
//! - [`epcis`]: EPCIS documents and events, JSON and XML.
//! - `dcsa`: container events of DCSA Track & Trace.
//! - `edi`: X12 and EDIFACT interchanges.
//! - `cloudevents`: business events in CloudEvents.
//! - `ais`: what ships tell by radio.
//! - [`events`]: business events in JSON; [`events_map`] turns them into facts.
//! - [`file`]: mappings that are files; [`catalogue`]: those that a service has.
//!
//! A mapping is a pure function of the record. A record that it can not take whole gives no fact at all.

mod ais;
mod catalogue;
mod cloudevents;
mod dcsa;
mod edi;
pub mod epcis;
pub mod events;
mod events_map;
pub mod file;
pub mod scms;
mod teller;
mod tried;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use crate::model::Fact;
pub use catalogue::{Mappings, NameTaken};
pub use file::{BadMapping, MappingFile};
pub use teller::Teller;
pub use tried::{Tried, framing, try_file};

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

/// What turns records into facts.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// `ais@1`.
    Ais,
    /// One that a file describes.
    File(Arc<MappingFile>),
}

impl Mapping {
    /// Every mapping that is built in.
    pub const ALL: [Self; 7] =
        [Self::Scms, Self::Epcis, Self::Events, Self::Dcsa, Self::Edi, Self::CloudEvents, Self::Ais];

    /// Its name and version.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Scms => "scms@1",
            Self::Epcis => "epcis@1",
            Self::Events => events::EVENTS,
            Self::Dcsa => "dcsa@1",
            Self::Edi => "edi@1",
            Self::CloudEvents => "cloudevents@1",
            Self::Ais => "ais@1",
            Self::File(file) => file.name(),
        }
    }

    /// Maps one record.
    ///
    /// # Errors
    /// Says why the record can not be taken whole.
    pub fn map(&self, record: &Record) -> Result<Vec<Fact>, Refusal> {
        let Some(value) = record.value.as_deref() else {
            return match self {
                Self::File(file) => file.map_tombstone(record),
                _ => Err(no_value()),
            };
        };
        match self {
            Self::Scms => scms::map(record, value),
            Self::Epcis => epcis::map(record, value),
            Self::Events => events_map::map(record, value),
            Self::Dcsa => dcsa::map(record, value),
            Self::Edi => edi::map(record, value),
            Self::CloudEvents => cloudevents::map(record, value),
            Self::Ais => ais::map(record, value),
            Self::File(file) => file.map(record, value),
        }
    }
}

fn no_value() -> Refusal {
    Refusal::new("no_value", "the record has no value")
}

/// A mapping's name is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no mapping is called '{name}'; there are {}", known.join(", "))]
pub struct UnknownMapping {
    /// What was asked for.
    pub name: String,
    /// What there is.
    pub known: Vec<String>,
}

impl FromStr for Mapping {
    type Err = UnknownMapping;

    /// Takes `NAME@VERSION` of what is built in, and `NAME` for its newest version.
    fn from_str(text: &str) -> Result<Self, UnknownMapping> {
        Mappings::default().find(text)
    }
}

/// Counts, per kind of fact and subject, how many an event told.
type Ordinals = BTreeMap<(&'static str, crate::model::Subject), u32>;
