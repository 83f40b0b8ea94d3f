//! Why two views differ about a record.

use std::collections::BTreeMap;

use waybill_types::{Offset, TopicId};

use super::ViewError;
use crate::ingest::Part;
use crate::model::{Evidence, Frontier};
use crate::store::{QuarantineFilter, Read, Span};

/// Refused records that are looked at for reasons, at most, on each side.
const MAX_REFUSED: usize = 200_000;

/// What one side knows of records.
struct Side {
    spans: BTreeMap<Part, Vec<Span>>,
    refused: BTreeMap<(Part, Offset), String>,
    first: BTreeMap<Part, Offset>,
    compacted: Vec<TopicId>,
}

/// What both sides know of records.
pub(super) struct Reasons {
    blue: Side,
    green: Side,
    names: BTreeMap<TopicId, String>,
}

impl Side {
    fn load(read: &dyn Read, frontier: &Frontier) -> Result<Self, ViewError> {
        let mut spans: BTreeMap<Part, Vec<Span>> = BTreeMap::new();
        for span in read.spans()? {
            spans.entry((span.topic, span.partition)).or_default().push(span);
        }
        let rows = read.quarantined(&QuarantineFilter::default(), MAX_REFUSED)?;
        let refused = rows.into_iter().filter(|row| frontier.covers(&row.evidence)).map(|row| {
            let code = row.reason.split(':').next().unwrap_or_default().to_owned();
            (((row.evidence.topic, row.evidence.partition), row.evidence.offset), code)
        });
        let refused = refused.collect();
        let mut first = BTreeMap::new();
        for milestone in read.milestones()? {
            first.insert((milestone.topic, milestone.partition), milestone.first);
        }
        let compacted = read.sources()?.into_iter().filter(|row| row.provable_since.is_some());
        let compacted = compacted.map(|row| row.topic).collect();
        Ok(Self { spans, refused, first, compacted })
    }

    /// What read a record.
    fn mapping(&self, part: Part, offset: Offset) -> Option<&str> {
        let spans = self.spans.get(&part)?;
        spans.iter().take_while(|span| span.since <= offset).last().map(|span| span.mapping.as_str())
    }
}

impl Reasons {
    pub(super) fn load(blue: &dyn Read, green: &dyn Read, frontier: &Frontier) -> Result<Self, ViewError> {
        let mut names = BTreeMap::new();
        for read in [blue, green] {
            names.extend(read.sources()?.into_iter().map(|row| (row.topic, row.name)));
        }
        Ok(Self { blue: Side::load(blue, frontier)?, green: Side::load(green, frontier)?, names })
    }

    pub(super) fn topic(&self, topic: TopicId) -> String {
        self.names.get(&topic).cloned().unwrap_or_else(|| topic.to_string())
    }

    /// Records refused on both sides.
    pub(super) fn refused(&self) -> (u64, u64) {
        let count = |side: &Side| u64::try_from(side.refused.len()).unwrap_or(u64::MAX);
        (count(&self.blue), count(&self.green))
    }

    /// What reads each topic last.
    pub(super) fn last_mappings(&self, blue: bool) -> Vec<String> {
        let side = if blue { &self.blue } else { &self.green };
        let mut all: Vec<String> = side
            .spans
            .iter()
            .filter_map(|((topic, _), spans)| {
                Some(format!("{} {}", self.topic(*topic), spans.last()?.mapping))
            })
            .collect();
        all.sort();
        all.dedup();
        all
    }

    /// Why a fact at that place stands on one side only.
    pub(super) fn of(&self, at: &Evidence, in_blue: bool) -> Option<String> {
        let part = (at.topic, at.partition);
        let (has, lacks) = if in_blue { (&self.blue, &self.green) } else { (&self.green, &self.blue) };
        let lacking = if in_blue { "the new view" } else { "the serving view" };
        let (here, there) = (has.mapping(part, at.offset), lacks.mapping(part, at.offset));
        let (old, new) = if in_blue { (here, there) } else { (there, here) };
        let change = match (old, new) {
            (Some(old), Some(new)) if old != new => Some(format!("mapping {old} to {new}")),
            _ => None,
        };
        if let Some(code) = lacks.refused.get(&(part, at.offset)) {
            let by = there.unwrap_or("its mapping");
            return Some(match change {
                Some(change) => format!("{change}: {by} refuses it, {code}"),
                None if at.brought > 0 => {
                    format!("a decision brought it in, {lacking} waits for one: {code}")
                }
                None => format!("refused in {lacking}: {code}"),
            });
        }
        if change.is_some() {
            return change;
        }
        if lacks.first.get(&part).is_none_or(|first| at.offset < *first) {
            return Some(format!("gone from the log before {lacking} was built"));
        }
        if has.compacted.contains(&at.topic) || lacks.compacted.contains(&at.topic) {
            return Some("the topic keeps only the last record of a key".to_owned());
        }
        None
    }
}
