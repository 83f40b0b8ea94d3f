//! A mapping tried on files, before anything is deployed: the same framing and the same mapping as in service.

use std::sync::Arc;

use bytes::Bytes;
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use super::{Mapping, Record, Refusal};
use crate::load::{self, Format};
use crate::model::{Body, Fact, LinkAction, RowBound};

/// What became of one record of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// Its number within the sample, from 1.
    pub number: usize,
    /// Its facts, or why it is refused.
    pub outcome: Result<Vec<Fact>, Refusal>,
}

/// How a sample is cut into records when nobody says: as the mapping wants it, else by the file's name.
#[must_use]
pub fn framing(mapping: &Mapping, name: &str) -> Format {
    let by_mapping = match mapping {
        Mapping::File(file) => file.framing(),
        Mapping::Scms => Some(Format::Scms),
        _ => None,
    };
    by_mapping.unwrap_or_else(|| match name.rsplit('.').next() {
        Some("csv") => Format::Csv,
        Some("jsonl" | "ndjson") => Format::JsonLines,
        _ => Format::Raw,
    })
}

/// Maps every record of a file, told at `now`. `name` stands for the topic.
#[must_use]
pub fn try_file(
    mapping: &Mapping,
    framing: Format,
    name: &str,
    bytes: &[u8],
    now: TimestampMs,
) -> Vec<Tried> {
    let records = load::frame(framing, name, bytes, now, Some(mapping.clone()));
    let topic_name: Arc<str> = Arc::from(name);
    let tried = records.into_iter().enumerate().map(|(at, record)| {
        let record = Record {
            topic: TopicId([0; 16]),
            topic_name: Arc::clone(&topic_name),
            partition: PartitionId(0),
            offset: Offset(i64::try_from(at).unwrap_or(i64::MAX)),
            timestamp: record.timestamp,
            append_time: false,
            key: record.key.map(Bytes::from),
            value: Some(Bytes::from(record.value)),
            headers: record
                .headers
                .into_iter()
                .map(|(name, value)| (name, Some(Bytes::from(value))))
                .collect(),
        };
        Tried { number: at + 1, outcome: mapping.map(&record) }
    });
    tried.collect()
}

impl Fact {
    /// The fact in a line: whom it is about, what it says, when it happened.
    #[must_use]
    pub fn words(&self) -> String {
        let says = match &self.draft.body {
            Body::Milestone { milestone } => format!("milestone {}", format!("{milestone:?}").to_lowercase()),
            Body::Location(located) => format!("place {}", located.place),
            Body::Link { holder, relation, action } => {
                let action = match action {
                    LinkAction::Add => "ADD",
                    LinkAction::Seen => "OBSERVE",
                    LinkAction::Remove => "DELETE",
                };
                format!("parent {holder} ({relation:?}, {action})")
            }
            Body::Condition(reading) => {
                format!("sensor {} {} {}", reading.measure, reading.value, reading.unit)
            }
            Body::Step { step, disposition } => match disposition {
                Some(disposition) => format!("biz_step {step}, {disposition}"),
                None => format!("biz_step {step}"),
            },
            Body::Attributes { values } => {
                let values: Vec<String> =
                    values.iter().map(|(label, value)| format!("{label} = {value}")).collect();
                format!("attributes {}", values.join(", "))
            }
            Body::Correction { withdraws, bound } => match bound {
                None => format!("withdraws {withdraws}"),
                Some(RowBound::Below(version)) => format!("withdraws versions of its row below {version}"),
                Some(RowBound::Before) => "withdraws what was told of its row before".to_owned(),
            },
        };
        let classifier = format!("{:?}", self.draft.classifier).to_uppercase();
        match self.draft.happened {
            Some(when) => format!("{}: {says}, {classifier} {when}", self.subject),
            None => format!("{}: {says}", self.subject),
        }
    }
}
