//! What follows, for one subject, from the facts known: state, promise, estimate, delivery, lateness, place.
//!
//! An order is as its lines are; a line is as told of it, else as its shipments are; a shipment is as told of it, else
//! as its lines are. Places come from whatever held the subject when it was seen.

use std::collections::BTreeSet;

use serde::Serialize;
use waybill_types::TimestampMs;

use super::fact::{Body, Classifier, Fact, Kind, Located, Milestone, Relation, Subject};
use super::known::{Known, KnownFact};
use super::links::{Link, LinkMap, Span};
use super::time::{Day, When};

/// The state of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Known, nothing moved.
    Ordered,
    /// On its way.
    InTransit,
    /// Some lines delivered.
    PartiallyDelivered,
    /// All delivered.
    Delivered,
    /// Called off.
    Cancelled,
    /// No fact says.
    Unknown,
}

impl State {
    /// Its name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::InTransit => "in_transit",
            Self::PartiallyDelivered => "partially_delivered",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// The state of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        [Self::Ordered, Self::InTransit, Self::PartiallyDelivered, Self::Delivered, Self::Cancelled]
            .into_iter()
            .find(|state| state.name() == name)
            .unwrap_or(Self::Unknown)
    }
}

/// Where a subject was last seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// The place.
    #[serde(flatten)]
    pub located: Located,
    /// When it was there.
    pub seen: Option<When>,
    /// Who said so.
    pub source: String,
    /// What was seen there: the subject itself, or what held it.
    pub by: Subject,
}

/// A line of an order, or a line in a shipment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: State,
    /// The day promised.
    pub promised: Option<Day>,
    /// The day expected.
    pub estimated: Option<Day>,
    /// The day of delivery.
    pub delivered: Option<Day>,
    /// Delivered minus promised.
    pub days_late: Option<i64>,
    /// Shipments it travels in.
    pub shipments: Vec<String>,
    /// Names, references and quantities.
    pub attributes: Vec<(String, String)>,
}

/// What follows for one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Whom it is about.
    pub subject: Subject,
    /// Its state.
    pub state: State,
    /// Where it was last seen.
    pub location: Option<Seen>,
    /// The promise that counts: the latest of the lines'.
    pub promised: Option<Day>,
    /// It was promised for the subject itself: a shipment's is else that of the orders it carries.
    pub promise_is_own: bool,
    /// The newest estimate: the latest of the shipments'.
    pub estimated: Option<Day>,
    /// The day of the last delivery, once every part is delivered.
    pub delivered: Option<Day>,
    /// When that was told.
    pub delivered_told: Option<TimestampMs>,
    /// The most that a delivered line was late; negative when all were early; `None` until one is delivered.
    pub days_late: Option<i64>,
    /// Its lines.
    pub lines: Vec<Part>,
    /// Names and references.
    pub attributes: Vec<(String, String)>,
}

/// A delivery: the day, and when it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Delivery {
    when: When,
    day: Day,
    told: TimestampMs,
}

/// How deep things are looked for in one another.
const MAX_DEPTH: usize = 7;

/// Stays of one subject looked at.
const MAX_STAYS: usize = 4_096;

/// Works out answers over one set of facts.
#[derive(Debug)]
pub struct Fold<'k, 'a> {
    known: &'k Known<'a>,
    links: LinkMap,
}

impl<'k, 'a> Fold<'k, 'a> {
    /// Prepares to answer from `known`.
    #[must_use]
    pub fn new(known: &'k Known<'a>) -> Self {
        Self { known, links: LinkMap::new(known) }
    }

    /// The links among the facts known.
    #[must_use]
    pub const fn links(&self) -> &LinkMap {
        &self.links
    }

    /// What follows for `subject`.
    #[must_use]
    pub fn answer(&self, subject: &Subject) -> Answer {
        let lines = self.lines_of(subject);
        let parts: Vec<Part> = lines.iter().map(|line| self.part(line)).collect();
        let delivery = self.delivered(subject, &lines);
        let promised = match subject.kind {
            Kind::Line => self.line_promise(subject),
            _ => parts.iter().filter_map(|part| part.promised).max().or_else(|| self.own_promise(subject)),
        };
        let days_late = match (subject.kind, parts.is_empty()) {
            (Kind::Order | Kind::Shipment, false) => parts.iter().filter_map(|part| part.days_late).max(),
            _ => delivery.zip(promised).map(|(delivery, promised)| delivery.day.since(promised)),
        };
        Answer {
            subject: subject.clone(),
            state: self.state(subject, &parts, delivery),
            location: self.location(subject, &lines),
            promised,
            promise_is_own: subject.kind != Kind::Shipment || self.own_promise(subject).is_some(),
            estimated: self.estimated(subject, &lines),
            delivered: delivery.map(|delivery| delivery.day),
            delivered_told: delivery.map(|delivery| delivery.told),
            days_late,
            lines: parts,
            attributes: self.attributes(subject),
        }
    }

    /// The lines of an order or in a shipment, by id.
    fn lines_of(&self, subject: &Subject) -> Vec<Subject> {
        if !matches!(subject.kind, Kind::Order | Kind::Shipment) {
            return Vec::new();
        }
        let handed_over = self.own_delivery(subject);
        let carried = |link: &Link| {
            link.holder == *subject
                && (link.is_open() || handed_over.is_some_and(|delivery| link.held_on(delivery.when)))
        };
        let mut lines: Vec<Subject> = self
            .links
            .parts_of(subject)
            .filter(|part| part.kind == Kind::Line && self.links.holders_of(part).iter().any(carried))
            .cloned()
            .collect();
        lines.sort_by(|a, b| natural(&a.id).cmp(&natural(&b.id)));
        lines
    }

    /// What holds it now.
    fn holders_of_kind(&self, subject: &Subject, kind: Kind) -> Vec<Subject> {
        let links = self.links.holders_of(subject).iter();
        links
            .filter(|link| link.holder.kind == kind && link.is_open())
            .map(|link| link.holder.clone())
            .collect()
    }

    /// The times that it lay, or lies, in shipments.
    fn in_shipments(&self, subject: &Subject) -> impl Iterator<Item = &Link> {
        let links = self.links.holders_of(subject).iter();
        links.filter(|link| link.holder.kind == Kind::Shipment && link.relation == Relation::In)
    }

    fn part(&self, line: &Subject) -> Part {
        let promised = self.line_promise(line);
        let delivery = self.delivered(line, &[]);
        Part {
            id: line.id.clone(),
            state: self.state(line, &[], delivery),
            promised,
            estimated: self.estimated(line, &[]),
            delivered: delivery.map(|delivery| delivery.day),
            days_late: delivery.zip(promised).map(|(delivery, promised)| delivery.day.since(promised)),
            shipments: self
                .holders_of_kind(line, Kind::Shipment)
                .into_iter()
                .map(|shipment| shipment.id)
                .collect(),
            attributes: self.attributes(line),
        }
    }

    fn own_promise(&self, subject: &Subject) -> Option<Day> {
        self.current_day(subject, Milestone::Deliver, Classifier::Pln)
    }

    /// A line's promise: the last told of those for the line and for its whole order; at once, the line's own.
    fn line_promise(&self, line: &Subject) -> Option<Day> {
        let own = self.known.current(line, Milestone::Deliver, Classifier::Pln).map(|each| (each.fact, true));
        let orders = self.holders_of_kind(line, Kind::Order);
        let shared = orders
            .iter()
            .filter_map(|order| self.known.current(order, Milestone::Deliver, Classifier::Pln))
            .map(|each| (each.fact, false));
        own.into_iter()
            .chain(shared)
            .max_by(|(a, a_own), (b, b_own)| {
                (a.rank().1, a_own, a.rank()).cmp(&(b.rank().1, b_own, b.rank()))
            })
            .and_then(|(fact, _)| fact.draft.happened)
            .map(When::day)
    }

    fn current_day(&self, subject: &Subject, milestone: Milestone, classifier: Classifier) -> Option<Day> {
        self.known.current(subject, milestone, classifier)?.fact.draft.happened.map(When::day)
    }

    /// The delivery that was told of exactly this subject.
    fn own_delivery(&self, subject: &Subject) -> Option<Delivery> {
        let fact = self.known.current(subject, Milestone::Deliver, Classifier::Act)?.fact;
        let when = fact.draft.happened?;
        Some(Delivery { when, day: when.day(), told: fact.told })
    }

    /// When all of it was delivered, if it was.
    fn delivered(&self, subject: &Subject, lines: &[Subject]) -> Option<Delivery> {
        if let Some(own) = self.own_delivery(subject) {
            return Some(own);
        }
        if !lines.is_empty() {
            let of_line = |line: &Subject| match subject.kind {
                // In a shipment only what was told of the line itself counts: the rest is the shipment's own state.
                Kind::Shipment => self.own_delivery(line),
                _ => self.delivered(line, &[]),
            };
            return all_delivered(lines.iter().map(of_line));
        }
        match subject.kind {
            Kind::Order | Kind::Line | Kind::Pallet | Kind::Item => self.delivered_with_shipments(subject),
            _ => None,
        }
    }

    /// Delivered with every shipment that it lies in; one that it was taken out of before delivery does not matter.
    fn delivered_with_shipments(&self, subject: &Subject) -> Option<Delivery> {
        let relevant = self.in_shipments(subject).filter_map(|link| {
            let delivery = self.own_delivery(&link.holder).filter(|delivery| link.held_on(delivery.when));
            (delivery.is_some() || link.is_open()).then_some(delivery)
        });
        all_delivered(relevant)
    }

    fn estimated(&self, subject: &Subject, lines: &[Subject]) -> Option<Day> {
        let mut shipments: BTreeSet<Subject> =
            self.holders_of_kind(subject, Kind::Shipment).into_iter().collect();
        for line in lines {
            shipments.extend(self.holders_of_kind(line, Kind::Shipment));
        }
        let estimate = |of: &Subject| self.current_day(of, Milestone::Deliver, Classifier::Est);
        let below = shipments.iter().chain(lines).filter_map(estimate).max();
        estimate(subject).max(below)
    }

    fn has(&self, subject: &Subject, milestone: Milestone) -> bool {
        self.known.milestones(subject, milestone, Classifier::Act).next().is_some()
    }

    fn state(&self, subject: &Subject, parts: &[Part], delivery: Option<Delivery>) -> State {
        if delivery.is_some() {
            return State::Delivered;
        }
        if self.has(subject, Milestone::Cancel) {
            return State::Cancelled;
        }
        if parts.iter().any(|part| part.state == State::Delivered) {
            return State::PartiallyDelivered;
        }
        if self.is_moving(subject) || parts.iter().any(|part| part.state == State::InTransit) {
            return State::InTransit;
        }
        let is_business = matches!(subject.kind, Kind::Order | Kind::Line | Kind::Shipment);
        if is_business && self.known.counting(subject).next().is_some() {
            return State::Ordered;
        }
        State::Unknown
    }

    /// It, or what holds it, left a place or came to one.
    fn is_moving(&self, subject: &Subject) -> bool {
        let own = self.has(subject, Milestone::Depart) || self.has(subject, Milestone::Arrive);
        let last_step = self
            .known
            .counting(subject)
            .filter_map(|each| match &each.fact.draft.body {
                Body::Step { disposition: Some(disposition), .. } => Some((each.fact, disposition.as_str())),
                _ => None,
            })
            .max_by(|a, b| place_rank(a.0).cmp(&place_rank(b.0)));
        let in_transit = last_step.is_some_and(|(_, disposition)| disposition == "in_transit");
        let moved_while_in = |link: &Link| {
            let milestones = [Milestone::Depart, Milestone::Arrive].into_iter();
            milestones
                .flat_map(|milestone| self.known.milestones(&link.holder, milestone, Classifier::Act))
                .any(|each| each.fact.draft.happened.is_some_and(|when| link.held_on(when)))
        };
        own || in_transit || self.in_shipments(subject).any(moved_while_in)
    }

    /// The last place at which the subject, one of its lines, or what held them at that time was seen.
    fn location(&self, subject: &Subject, lines: &[Subject]) -> Option<Seen> {
        let stays = std::iter::once(subject).chain(lines).flat_map(|start| self.stays(start));
        let best: &KnownFact<'a> = stays
            .flat_map(|(held_in, span)| {
                self.known
                    .counting(held_in)
                    .filter(|each| matches!(each.fact.draft.body, Body::Location(_)))
                    .filter(move |each| each.fact.draft.happened.is_none_or(|when| span.contains(when)))
            })
            .max_by(|a, b| place_rank(a.fact).cmp(&place_rank(b.fact)))?;
        let fact = best.fact;
        let Body::Location(located) = &fact.draft.body else { return None };
        Some(Seen {
            located: located.clone(),
            seen: fact.draft.happened,
            source: fact.source.clone(),
            by: fact.subject.clone(),
        })
    }

    /// The subject and all that it lay in, directly or in something else, each with the time that it did.
    fn stays<'s>(&'s self, subject: &'s Subject) -> Vec<(&'s Subject, Span)> {
        let mut stays = vec![(subject, Span::default())];
        let mut known: BTreeSet<(&Subject, Span)> = stays.iter().copied().collect();
        // Goods lie in a pallet in a container in a shipment on a vehicle: deeper nesting is a cycle.
        let mut from = 0;
        for _ in 0..MAX_DEPTH {
            let here: Vec<(&Subject, Span)> = stays.iter().skip(from).copied().collect();
            from = stays.len();
            for (part, span) in here {
                let links = self.links.holders_of(part).iter();
                for link in links.filter(|link| link.relation == Relation::In) {
                    let Some(span) = span.within(link) else { continue };
                    if stays.len() < MAX_STAYS && known.insert((&link.holder, span)) {
                        stays.push((&link.holder, span));
                    }
                }
            }
        }
        stays
    }

    /// Names and references told of a subject; a later telling of the same label replaces the earlier.
    fn attributes(&self, subject: &Subject) -> Vec<(String, String)> {
        let mut told: Vec<(&Fact, &Vec<(String, String)>)> = self
            .known
            .counting(subject)
            .filter_map(|each| match &each.fact.draft.body {
                Body::Attributes { values } => Some((each.fact, values)),
                _ => None,
            })
            .collect();
        told.sort_by(|a, b| a.0.rank().cmp(&b.0.rank()));
        let mut merged: Vec<(String, String)> = Vec::new();
        for (label, value) in told.into_iter().flat_map(|(_, values)| values) {
            match merged.iter_mut().find(|(known, _)| known == label) {
                Some((_, old)) => old.clone_from(value),
                None => merged.push((label.clone(), value.clone())),
            }
        }
        merged
    }
}

fn place_rank(fact: &Fact) -> (Option<TimestampMs>, (Classifier, TimestampMs, &str, super::ContentId)) {
    (fact.draft.happened.map(When::start), fact.rank())
}

fn all_delivered(parts: impl Iterator<Item = Option<Delivery>>) -> Option<Delivery> {
    let mut last: Option<Delivery> = None;
    for part in parts {
        let part = part?;
        last = Some(last.map_or(part, |last| Delivery {
            when: if last.day < part.day { part.when } else { last.when },
            day: last.day.max(part.day),
            told: last.told.max(part.told),
        }));
    }
    last
}

/// Sorts `SCMS-4/10` after `SCMS-4/9`: digits at the end count as a number.
fn natural(id: &str) -> (&str, u64, &str) {
    let stem = id.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = id.get(stem.len()..).unwrap_or_default();
    (stem, digits.parse().unwrap_or(u64::MAX), digits)
}
