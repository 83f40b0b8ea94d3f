//! Two views held against each other at one frontier: what differs, and why.
//!
//! Both are gone through subject by subject; where what was told differs, each record that makes the difference is asked
//! for its reason, and the answers that rest on it are worked out on both sides. What has no reason is counted: a view
//! with such differences can not be promoted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use waybill_types::{Offset, TimestampMs};

use super::ViewError;
use super::reason::Reasons;
use crate::ingest::Part;
use crate::model::exception::Exception;
use crate::model::time::instant_text;
use crate::model::{Answer, Evidence, Frontier, Kind, Moment, Position, Scope, Subject};
use crate::project::spread;
use crate::query::closure::Loader;
use crate::query::history::place_words;
use crate::query::{Settled, Token, lists};
use crate::store::{Read, StateHashes, SubjectDigest};

/// Subjects read at once from each side.
const PAGE: usize = 1_024;

/// Answers kept in a report, at most. All are counted.
pub const MAX_ANSWERS: usize = 1_000;

/// Subjects whose answers are worked out, at most; more are said to be left.
const MAX_SUBJECTS: usize = 50_000;

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Side {
    /// The view's number.
    pub view: u32,
    /// Its content hash at the frontier.
    pub content_hash: String,
    /// Its log hash at the frontier.
    pub log_hash: String,
    /// What read which topic last: `TOPIC NAME@VERSION`.
    pub mappings: Vec<String>,
}

/// A count on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CountRow {
    /// Of what.
    pub what: String,
    /// In the view that serves.
    pub blue: u64,
    /// In the new one.
    pub green: u64,
    /// Why they differ.
    pub reasons: Vec<String>,
}

/// An answer that differs in one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AnswerDiff {
    /// The subject's kind.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The field: `known`, `state`, `location`, `promised`, `estimated`, `delivered`, `days_late`, `exceptions`.
    pub field: String,
    /// What the view that serves says.
    pub blue: Option<String>,
    /// What the new one says.
    pub green: Option<String>,
    /// Why; empty when nothing explains it.
    pub reasons: Vec<String>,
}

/// The first record, by record time, that makes a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FirstDiff {
    /// When it was told.
    pub record_time: String,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Whom it tells of.
    pub subject: String,
    /// Why it makes one.
    pub reason: Option<String>,
}

/// A number by a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tally {
    /// The word.
    pub name: String,
    /// How many.
    pub count: u64,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Report {
    /// When it was made.
    pub at: String,
    /// Where: a frontier token of the view that serves.
    pub frontier: String,
    /// Offsets below it, of all partitions.
    pub records: i64,
    /// The view that serves.
    pub blue: Side,
    /// The new one.
    pub green: Side,
    /// Counts on both sides.
    pub counts: Vec<CountRow>,
    /// Subjects of which different things were told.
    pub subjects: u64,
    /// Subjects whose answers differ.
    pub answers_differ: u64,
    /// Orders there are.
    pub orders: u64,
    /// Records that make a difference, by reason.
    pub by_reason: Vec<Tally>,
    /// Differing fields, by name.
    pub by_field: Vec<Tally>,
    /// The first record that makes a difference.
    pub first: Option<FirstDiff>,
    /// Records that make a difference and have no reason.
    pub unexplained: u64,
    /// Answers that differ, up to a bound, orders first.
    pub answers: Vec<AnswerDiff>,
    /// More subjects differ than answers were worked out for.
    pub is_bounded: bool,
}

impl Report {
    /// Nothing differs.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.blue.log_hash == self.green.log_hash
    }
}

/// What both have read.
#[must_use]
pub(super) fn meet(blue: &Frontier, green: &Frontier) -> Frontier {
    let positions = blue.positions.iter().filter_map(|(part, here)| {
        let there = green.positions.get(part)?;
        let least: &Position = if here.next <= there.next { here } else { there };
        Some((*part, *least))
    });
    Frontier { positions: positions.collect(), brought: i64::MAX }
}

struct Sides<'r> {
    blue: &'r dyn Read,
    green: &'r dyn Read,
    frontier: Frontier,
}

/// What is told apart, gathered.
#[derive(Default)]
struct Found {
    records: BTreeMap<(Part, Offset), Option<String>>,
    first: Option<(TimestampMs, Evidence, Subject, Option<String>)>,
    affected: BTreeMap<Subject, BTreeSet<String>>,
    subjects: u64,
    is_bounded: bool,
    kinds: BTreeMap<Kind, (u64, u64)>,
    facts: (u64, u64),
    tellings: (u64, u64),
}

/// Compares `green` with `blue`, of numbers `views`, as asked at `now`.
///
/// # Errors
/// A store failed.
pub(super) fn compare(
    blue: &dyn Read,
    green: &dyn Read,
    views: (u32, u32),
    now: TimestampMs,
) -> Result<Report, ViewError> {
    let frontier = meet(&blue.frontier()?, &green.frontier()?);
    let sides = Sides { blue, green, frontier };
    let reasons = Reasons::load(blue, green, &sides.frontier)?;
    let mut found = Found::default();
    walk(&sides, &reasons, &mut found)?;
    let (answers, differ, by_field) = answers(&sides, &found, now)?;
    let (here, there) = (blue.hashes_below(&sides.frontier)?, green.hashes_below(&sides.frontier)?);
    let mut by_reason: BTreeMap<String, u64> = BTreeMap::new();
    for reason in found.records.values() {
        *by_reason.entry(reason.clone().unwrap_or_else(|| "not explained".to_owned())).or_default() += 1;
    }
    let unexplained = found.records.values().filter(|reason| reason.is_none()).count();
    let token =
        Token { time: now, frontier: sides.frontier.clone(), reading: Some(blue.reading(&sides.frontier)?) };
    let side = |view, hashes: StateHashes, mappings| Side {
        view,
        content_hash: hashes.content_hash,
        log_hash: hashes.log_hash,
        mappings,
    };
    Ok(Report {
        at: instant_text(now),
        frontier: token.to_string(),
        records: sides.frontier.positions.values().map(|position| position.next.get()).sum(),
        blue: side(views.0, here, reasons.last_mappings(true)),
        green: side(views.1, there, reasons.last_mappings(false)),
        counts: counts(&found, &reasons),
        subjects: found.subjects,
        answers_differ: differ,
        orders: found.kinds.get(&Kind::Order).map_or(0, |(blue, green)| (*blue).max(*green)),
        by_reason: tallies(by_reason),
        by_field: tallies(by_field),
        first: found.first.map(|(told, at, subject, reason)| FirstDiff {
            record_time: instant_text(told),
            topic: reasons.topic(at.topic),
            partition: at.partition.get(),
            offset: at.offset.get(),
            subject: subject.to_string(),
            reason,
        }),
        unexplained: u64::try_from(unexplained).unwrap_or(u64::MAX),
        answers,
        is_bounded: found.is_bounded,
    })
}

fn tallies(counts: BTreeMap<String, u64>) -> Vec<Tally> {
    let mut all: Vec<Tally> = counts.into_iter().map(|(name, count)| Tally { name, count }).collect();
    all.sort_by(|a, b| (b.count, &a.name).cmp(&(a.count, &b.name)));
    all
}

fn counts(found: &Found, reasons: &Reasons) -> Vec<CountRow> {
    let mut why: Vec<String> =
        found.records.values().flatten().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    why.truncate(3);
    let row = |what: String, (blue, green): (u64, u64)| CountRow {
        what,
        blue,
        green,
        reasons: if blue == green { Vec::new() } else { why.clone() },
    };
    let mut rows: Vec<CountRow> =
        found.kinds.iter().map(|(kind, count)| row(format!("{}s", kind.name()), *count)).collect();
    rows.push(row("facts".to_owned(), found.facts));
    rows.push(row("tellings".to_owned(), found.tellings));
    rows.push(row("quarantined".to_owned(), reasons.refused()));
    rows
}

/// Goes through both sides' subjects in their common order.
fn walk(sides: &Sides<'_>, reasons: &Reasons, found: &mut Found) -> Result<(), ViewError> {
    let (mut left, mut right) = (Pages::new(sides.blue), Pages::new(sides.green));
    let frontier = &sides.frontier;
    loop {
        let (here, there) = (left.peek(frontier)?.cloned(), right.peek(frontier)?.cloned());
        let key = |digest: &SubjectDigest| (digest.subject.id.clone(), digest.subject.kind.code());
        let (blue, green) = match (here, there) {
            (None, None) => return Ok(()),
            (Some(blue), Some(green)) if key(&blue) == key(&green) => (Some(blue), Some(green)),
            (Some(blue), Some(green)) if key(&blue) < key(&green) => (Some(blue), None),
            (Some(_), Some(green)) => (None, Some(green)),
            (blue, green) => (blue, green),
        };
        if blue.is_some() {
            left.pass();
        }
        if green.is_some() {
            right.pass();
        }
        let Some(subject) = blue.as_ref().or(green.as_ref()).map(|digest| digest.subject.clone()) else {
            continue;
        };
        tally(&subject, blue.as_ref(), green.as_ref(), found);
        let hash = |digest: &Option<SubjectDigest>| {
            digest.as_ref().filter(|digest| digest.facts > 0).map(|digest| digest.log_hash.clone())
        };
        if hash(&blue) != hash(&green) {
            found.subjects += 1;
            told_apart(sides, reasons, &subject, found)?;
        }
    }
}

fn tally(subject: &Subject, blue: Option<&SubjectDigest>, green: Option<&SubjectDigest>, found: &mut Found) {
    let number = |digest: Option<&SubjectDigest>| digest.map_or((0, 0), |each| (each.facts, each.tellings));
    let ((blue_facts, blue_tellings), (green_facts, green_tellings)) = (number(blue), number(green));
    found.facts = (found.facts.0 + blue_facts, found.facts.1 + green_facts);
    found.tellings = (found.tellings.0 + blue_tellings, found.tellings.1 + green_tellings);
    if subject.kind != Kind::Event && blue_facts + green_facts > 0 {
        let count = found.kinds.entry(subject.kind).or_default();
        *count = (count.0 + u64::from(blue_facts > 0), count.1 + u64::from(green_facts > 0));
    }
}

/// Finds the records that make a subject's facts differ, and the subjects whose answers may.
fn told_apart(
    sides: &Sides<'_>,
    reasons: &Reasons,
    subject: &Subject,
    found: &mut Found,
) -> Result<(), ViewError> {
    type Place = (Part, Offset, u32, [u8; 32]);
    let told = |read: &dyn Read| -> Result<BTreeMap<Place, Evidence>, ViewError> {
        let mut tellings = read.tellings(subject)?;
        for what in [crate::store::Sampled::Readings, crate::store::Sampled::Positions] {
            let ever = TimestampMs(i64::MAX);
            tellings.extend(read.sampled(subject, what, ever, Some(&sides.frontier), 10_000)?);
        }
        let kept = tellings.iter().filter(|telling| sides.frontier.covers(&telling.evidence));
        Ok(kept
            .map(|telling| {
                let at = telling.evidence;
                let digest = telling.fact.digest();
                (((at.topic, at.partition), at.offset, at.index, digest), at)
            })
            .collect())
    };
    let (blue, green) = (told(sides.blue)?, told(sides.green)?);
    let mut why = BTreeSet::new();
    let only = |here: &BTreeMap<Place, Evidence>, there: &BTreeMap<Place, Evidence>| -> Vec<Evidence> {
        here.iter().filter(|(place, _)| !there.contains_key(*place)).map(|(_, at)| *at).collect()
    };
    for (differing, in_blue) in [(only(&blue, &green), true), (only(&green, &blue), false)] {
        for at in differing {
            let reason = reasons.of(&at, in_blue);
            why.extend(reason.clone());
            let place = ((at.topic, at.partition), at.offset);
            let known = found.records.entry(place).or_insert_with(|| reason.clone());
            *known = known.take().or_else(|| reason.clone());
            let order = |told: TimestampMs, at: &Evidence| (told, at.topic, at.partition, at.offset);
            let earlier = found
                .first
                .as_ref()
                .is_none_or(|(told, first, _, _)| order(at.timestamp, &at) < order(*told, first));
            if earlier {
                found.first = Some((at.timestamp, at, subject.clone(), reason));
            }
        }
    }
    let mut affected = BTreeSet::new();
    for read in [sides.blue, sides.green] {
        spread(&mut Loader::new(read, TimestampMs(i64::MAX)), subject, &mut affected)?;
    }
    for each in affected {
        if matches!(each.kind, Kind::Event | Kind::Place | Kind::Document) {
            continue;
        }
        if found.affected.len() >= MAX_SUBJECTS && !found.affected.contains_key(&each) {
            found.is_bounded = true;
            continue;
        }
        found.affected.entry(each).or_default().extend(why.iter().cloned());
    }
    Ok(())
}

type Answers = (Vec<AnswerDiff>, u64, BTreeMap<String, u64>);

/// The answers that differ, of all that may.
fn answers(sides: &Sides<'_>, found: &Found, now: TimestampMs) -> Result<Answers, ViewError> {
    let settled = Settled {
        scope: Scope::All,
        moment: Moment::as_of(now),
        frontier: sides.frontier.clone(),
        pinned: true,
        is_now: false,
        reading: Default::default(),
    };
    let (mut rows, mut differ, mut by_field) = (Vec::new(), 0, BTreeMap::new());
    // Orders are what people ask for: they come first.
    let mut affected: Vec<(&Subject, &BTreeSet<String>)> = found.affected.iter().collect();
    affected.sort_by_key(|(subject, _)| (subject.kind.code(), &subject.id));
    for (subject, why) in affected {
        let blue = fields(lists::answer_of(sides.blue, &settled, subject)?.as_ref());
        let green = fields(lists::answer_of(sides.green, &settled, subject)?.as_ref());
        let mut any = false;
        for ((field, blue), (_, green)) in blue.into_iter().zip(green) {
            if blue == green {
                continue;
            }
            any = true;
            *by_field.entry(field.to_owned()).or_default() += 1;
            if rows.len() < MAX_ANSWERS {
                rows.push(AnswerDiff {
                    kind: subject.kind.name().to_owned(),
                    id: subject.id.clone(),
                    field: field.to_owned(),
                    blue,
                    green,
                    reasons: why.iter().cloned().collect(),
                });
            }
        }
        differ += u64::from(any);
    }
    Ok((rows, differ, by_field))
}

fn fields(answer: Option<&(Answer, Vec<Exception>)>) -> [(&'static str, Option<String>); 8] {
    let Some((answer, exceptions)) = answer else {
        let names =
            ["known", "state", "location", "promised", "estimated", "delivered", "days_late", "exceptions"];
        return names.map(|name| (name, (name == "known").then(|| "no".to_owned())));
    };
    let rules: BTreeSet<&str> = exceptions.iter().map(|exception| exception.rule.name()).collect();
    let rules: Vec<&str> = rules.into_iter().collect();
    [
        ("known", Some("yes".to_owned())),
        ("state", Some(answer.state.name().to_owned())),
        ("location", answer.location.as_ref().map(|seen| place_words(&seen.located))),
        ("promised", answer.promised.map(|day| day.to_string())),
        ("estimated", answer.estimated.map(|day| day.to_string())),
        ("delivered", answer.delivered.map(|day| day.to_string())),
        ("days_late", answer.days_late.map(|days| days.to_string())),
        ("exceptions", (!rules.is_empty()).then(|| rules.join(", "))),
    ]
}

/// Subjects of one side, page by page.
struct Pages<'r> {
    read: &'r dyn Read,
    page: std::collections::VecDeque<SubjectDigest>,
    last: Option<Subject>,
    ended: bool,
}

impl<'r> Pages<'r> {
    fn new(read: &'r dyn Read) -> Self {
        Self { read, page: Default::default(), last: None, ended: false }
    }

    fn peek(&mut self, frontier: &Frontier) -> Result<Option<&SubjectDigest>, ViewError> {
        if self.page.is_empty() && !self.ended {
            self.page = self.read.digests(frontier, self.last.as_ref(), PAGE)?.into();
            self.ended = self.page.len() < PAGE;
            self.last = self.page.back().map(|digest| digest.subject.clone()).or(self.last.take());
        }
        Ok(self.page.front())
    }

    fn pass(&mut self) {
        self.page.pop_front();
    }
}
