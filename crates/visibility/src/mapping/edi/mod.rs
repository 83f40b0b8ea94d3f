//! `edi@1`: interchanges of X12 (850, 855, 856, 214, 315) and EDIFACT (IFTSTA), one a record.
//!
//! A transaction set or message is an event, named after sender and control numbers. Others are refused as
//! `unsupported_type`: an interchange is taken whole or not at all. Counts and control numbers at the end of envelopes
//! are not held against anyone: many senders get them wrong, and nothing is read from them.

mod edifact;
mod iftsta;
mod order;
mod status;
mod x12;

use crate::mapping::{Record, Refusal, Teller};
use crate::model::time::{Day, When, parse_instant};
use crate::model::{Fact, Kind, Located, Subject};

pub(super) fn map(record: &Record, value: &[u8]) -> Result<Vec<Fact>, Refusal> {
    let text = std::str::from_utf8(value).map(str::to_owned).unwrap_or_else(|_| latin1(value));
    let text = text.trim_start_matches(['\u{feff}', ' ', '\r', '\n', '\t']);
    if text.starts_with("ISA") {
        return x12::map(record, text);
    }
    if ["UNA", "UNB", "UNH"].iter().any(|tag| text.starts_with(tag)) {
        return edifact::map(record, text);
    }
    Err(Refusal::new("not_edi", "begins with none of ISA, UNA, UNB, UNH"))
}

/// Interchanges are often written in ISO 8859-1.
fn latin1(value: &[u8]) -> String {
    value.iter().map(|byte| char::from(*byte)).collect()
}

/// A segment: its tag, then elements of components.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    tag: String,
    elements: Vec<Vec<String>>,
}

impl Segment {
    /// The first component of an element, counted from 1 as the standards do; empty when it is not there.
    fn get(&self, element: usize) -> &str {
        self.part(element, 1)
    }

    /// A component of an element, both counted from 1.
    fn part(&self, element: usize, component: usize) -> &str {
        let found = element.checked_sub(1).and_then(|at| self.elements.get(at));
        let found = found.and_then(|parts| component.checked_sub(1).and_then(|at| parts.get(at)));
        found.map_or("", |text| text.trim())
    }
}

/// The segments of one transaction set or message, and what names it.
struct Message<'s> {
    kind: String,
    event: String,
    source: String,
    segments: &'s [Segment],
}

impl Message<'_> {
    fn teller(&self, record: &Record) -> Teller {
        Teller::new(record, self.event.clone(), self.source.clone())
    }

    fn first(&self, tag: &str) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.tag == tag)
    }

    fn fault(&self, what: impl std::fmt::Display) -> Refusal {
        Refusal::new("invalid", format!("{}: {what}", self.kind))
    }

    fn need<'a>(&self, value: &'a str, what: &str) -> Result<&'a str, Refusal> {
        if value.is_empty() { Err(self.fault(format!("{what} is missing"))) } else { Ok(value) }
    }
}

fn subject(kind: Kind, id: &str) -> Option<Subject> {
    (!id.is_empty()).then(|| Subject::new(kind, id))
}

/// `CCYYMMDD` or `YYMMDD`, of this century.
fn day(text: &str) -> Option<Day> {
    let full = if text.len() == 6 { format!("20{text}") } else { text.to_owned() };
    if full.len() != 8 || !full.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| full.get(range).and_then(|text| text.parse::<u32>().ok());
    Day::from_ymd(i32::try_from(number(0..4)?).ok()?, number(4..6)?, number(6..8)?)
}

/// A day, with the time where one is told in UTC: a local time without its place would name another instant.
fn when(date: &str, time: &str, zone: &str) -> Option<When> {
    let on = day(date)?;
    if matches!(zone, "UT" | "GM" | "Z") && time.len() >= 4 {
        let (hour, minute) = (time.get(..2)?, time.get(2..4)?);
        if let Some(instant) = parse_instant(&format!("{on}T{hour}:{minute}:00Z")) {
            return Some(When::Instant(instant));
        }
    }
    Some(When::Day(on))
}

fn place(id: &str, name: &str, country: &str) -> Option<Located> {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Some(Located { place: some(id).or_else(|| some(name))?, name: some(name), country: some(country) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_read_as_far_as_they_are_told() {
        assert_eq!(day("20111217"), Day::from_ymd(2011, 12, 17));
        assert_eq!(day("220101"), Day::from_ymd(2022, 1, 1));
        for bad in ["", "2011", "20111317", "2011121x", "200"] {
            assert_eq!(day(bad), None, "{bad}");
        }
        assert_eq!(when("20111217", "0830", "PS").unwrap().to_string(), "2011-12-17");
        assert_eq!(when("20111217", "0830", "UT").unwrap().to_string(), "2011-12-17T08:30:00Z");
        assert_eq!(when("20111217", "99", "UT").unwrap().to_string(), "2011-12-17");
    }
}
