//! From where a view is rebuilt, and what of another view it keeps below.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use waybill_types::{Offset, PartitionId, TimestampMs};

use super::ViewError;
use crate::ingest::{LogRange, Part};
use crate::model::time::{When, instant_text};
use crate::query::Token;
use crate::store::{Cut, Milestone, Read};

/// From where a view is rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// From the first record: nothing is kept.
    Start,
    /// From this offset of every partition.
    Offset(Offset),
    /// From these offsets of these partitions; others are kept whole.
    Offsets(BTreeMap<(String, PartitionId), Offset>),
    /// From the first record told then.
    Time(TimestampMs),
    /// From a checkpoint.
    Checkpoint(String),
    /// From where this mapping began to read; partitions that it never read are kept whole.
    Mapping(String),
}

/// A text says no place from which a view can be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no place to rebuild from")]
pub struct NotAPlace(pub String);

impl FromStr for From {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let wrong = || NotAPlace(text.to_owned());
        if text.is_empty() || text == "start" {
            return Ok(Self::Start);
        }
        if let Some(name) = text.strip_prefix("checkpoint:").filter(|name| !name.is_empty()) {
            return Ok(Self::Checkpoint(name.to_owned()));
        }
        if let Some(name) = text.strip_prefix("mapping:").filter(|name| !name.is_empty()) {
            return Ok(Self::Mapping(name.to_owned()));
        }
        if let Ok(offset) = text.parse::<i64>() {
            return if offset < 0 { Err(wrong()) } else { Ok(Self::Offset(Offset(offset))) };
        }
        if let Some(when) = When::parse(text) {
            return Ok(Self::Time(when.start()));
        }
        let mut offsets = BTreeMap::new();
        for part in text.split(',') {
            let (place, offset) = part.rsplit_once(':').ok_or_else(wrong)?;
            let (topic, partition) = place.rsplit_once('/').ok_or_else(wrong)?;
            let partition = PartitionId(partition.parse().map_err(|_| wrong())?);
            offsets.insert((topic.to_owned(), partition), Offset(offset.parse().map_err(|_| wrong())?));
        }
        Ok(Self::Offsets(offsets))
    }
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Offset(offset) => write!(f, "{offset}"),
            Self::Offsets(offsets) => {
                for (at, ((topic, partition), offset)) in offsets.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma}{topic}/{partition}:{offset}")?;
                }
                Ok(())
            }
            Self::Time(time) => f.write_str(&instant_text(*time)),
            Self::Checkpoint(name) => write!(f, "checkpoint:{name}"),
            Self::Mapping(name) => write!(f, "mapping:{name}"),
        }
    }
}

/// History that a rebuild would need and the log does not hold any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionId,
    /// The first record missing.
    pub from: Offset,
    /// The first one still there; `None` where the topic itself is gone.
    pub to: Option<Offset>,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, from, to } = self;
        match to {
            Some(to) => write!(f, "{topic}/{partition}: records {from} to {}", to.get() - 1),
            None => write!(f, "{topic}/{partition}: all records from {from} on, the topic is not there"),
        }
    }
}

/// What of the view behind `read` is kept when another is made from `from` on.
///
/// # Errors
/// The place is not known, or the view can not keep what lies below it.
pub(super) fn cut(read: &dyn Read, from: &From) -> Result<Cut, ViewError> {
    let names: BTreeMap<_, _> = read.sources()?.into_iter().map(|row| (row.topic, row.name)).collect();
    let mut by_part: BTreeMap<Part, Vec<Milestone>> = BTreeMap::new();
    for milestone in read.milestones()? {
        by_part.entry((milestone.topic, milestone.partition)).or_default().push(milestone);
    }
    let wanted = wanted(read, from, &names)?;
    let mut cut = Cut::new();
    for (part, milestones) in by_part {
        // Milestones come by offset: the last that lies below what is wanted.
        let last = milestones.into_iter().take_while(|each| wanted.keeps(part, each)).last();
        if let Some(last) = last.filter(|last| last.next > last.first) {
            cut.insert(part, last);
        }
    }
    Ok(cut)
}

/// Up to where partitions are kept.
enum Wanted {
    Below(BTreeMap<Part, Offset>, Rest),
    Until(TimestampMs),
}

/// What becomes of partitions that are not named.
#[derive(Clone, Copy)]
enum Rest {
    Kept,
    Anew,
    Below(Offset),
}

impl Wanted {
    fn keeps(&self, part: Part, milestone: &Milestone) -> bool {
        match self {
            Self::Below(offsets, rest) => match (offsets.get(&part), rest) {
                (Some(offset), _) | (None, Rest::Below(offset)) => milestone.next <= *offset,
                (None, Rest::Kept) => true,
                (None, Rest::Anew) => false,
            },
            Self::Until(time) => milestone.high.is_none_or(|high| high < *time),
        }
    }
}

fn wanted(
    read: &dyn Read,
    from: &From,
    names: &BTreeMap<waybill_types::TopicId, String>,
) -> Result<Wanted, ViewError> {
    let below = |offsets, rest| Ok(Wanted::Below(offsets, rest));
    match from {
        From::Start => below(BTreeMap::new(), Rest::Anew),
        From::Offset(offset) => below(BTreeMap::new(), Rest::Below(*offset)),
        From::Time(time) => Ok(Wanted::Until(*time)),
        From::Offsets(offsets) => {
            let mut wanted = BTreeMap::new();
            for ((topic, partition), offset) in offsets {
                let found = names.iter().filter(|(_, name)| *name == topic).map(|(id, _)| (*id, *partition));
                let positions = read.frontier()?.positions;
                let mut known = found.filter(|part| positions.contains_key(part)).peekable();
                if known.peek().is_none() {
                    return Err(ViewError::BadFrom(format!("the view never read {topic}/{partition}")));
                }
                wanted.extend(known.map(|part| (part, *offset)));
            }
            below(wanted, Rest::Kept)
        }
        From::Checkpoint(name) => {
            let token = read.checkpoint(name)?;
            let token =
                token.ok_or_else(|| ViewError::BadFrom(format!("there is no checkpoint '{name}'")))?;
            let token: Token = token
                .parse()
                .map_err(|_| ViewError::BadFrom(format!("checkpoint '{name}' holds no frontier")))?;
            if token.reading.is_some_and(|reading| {
                read.reading(&token.frontier).map_or(true, |here| here.spans != reading.spans)
            }) {
                return Err(ViewError::OtherReading(name.clone()));
            }
            let positions = token.frontier.positions.iter();
            below(positions.map(|(part, position)| (*part, position.next)).collect(), Rest::Anew)
        }
        From::Mapping(name) => {
            let spans = read.spans()?.into_iter().filter(|span| span.mapping == *name);
            let mut wanted: BTreeMap<Part, Offset> = BTreeMap::new();
            for span in spans {
                wanted.entry((span.topic, span.partition)).or_insert(span.since);
            }
            if wanted.is_empty() {
                return Err(ViewError::BadFrom(format!("no record was ever read by {name}")));
            }
            below(wanted, Rest::Kept)
        }
    }
}

/// What a view made so would lack: records that the one behind `read` had read, and that are neither kept nor in the
/// log. `ranges` says what the log holds.
///
/// # Errors
/// The store failed.
pub(super) fn gone(
    read: &dyn Read,
    cut: &Cut,
    ranges: &BTreeMap<Part, LogRange>,
) -> Result<Vec<Gone>, ViewError> {
    let names: BTreeMap<_, _> = read.sources()?.into_iter().map(|row| (row.topic, row.name)).collect();
    let positions = read.frontier()?.positions;
    let mut firsts: BTreeMap<Part, Offset> = BTreeMap::new();
    for milestone in read.milestones()? {
        firsts.insert((milestone.topic, milestone.partition), milestone.first);
    }
    let mut gone = Vec::new();
    for (part, position) in positions {
        let from = cut.get(&part).map_or_else(|| firsts.get(&part).copied(), |kept| Some(kept.next));
        let from = from.unwrap_or(Offset::ZERO);
        let to = ranges.get(&part).map(|range| range.start);
        let lacks = to.is_none_or(|to| from < to) && from < position.next;
        if lacks {
            let topic = names.get(&part.0).cloned().unwrap_or_else(|| part.0.to_string());
            gone.push(Gone { topic, partition: part.1, from, to });
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written() {
        for text in ["start", "17", "checkpoint:before-7", "mapping:orders@6", "a/0:5,b.c/1:7"] {
            assert_eq!(text.parse::<From>().unwrap().to_string(), text);
        }
        assert_eq!("".parse::<From>(), Ok(From::Start));
        assert!(matches!("2026-01-02T03:04:05Z".parse(), Ok(From::Time(_))));
        assert!(matches!("2026-01-02".parse(), Ok(From::Time(_))));
        for bad in ["-1", "yesterday", "a/x:1", "a:1", "checkpoint:", "a/0:1,b"] {
            assert_eq!(bad.parse::<From>(), Err(NotAPlace(bad.to_owned())));
        }
    }
}
