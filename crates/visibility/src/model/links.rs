//! Links and how long they hold, told and inherited.
//!
//! A line lies in what its order lies in, until it is told to lie in a shipment of its own or is taken out: an order
//! booked whole carries its lines with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use waybill_types::TimestampMs;

use super::fact::{Body, Fact, Kind, LinkAction, Relation, Subject};
use super::known::Known;
use super::time::When;

/// One subject in another, for an interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Link {
    /// The part.
    pub held: Subject,
    /// What holds it.
    pub holder: Subject,
    /// How.
    pub relation: Relation,
    /// From when, if told.
    pub since: Option<When>,
    /// Until when; `None` means that it still holds.
    pub until: Option<When>,
}

impl Link {
    /// Whether it still holds.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.until.is_none()
    }

    /// Whether it held when something happened, its last moment included: what is unpacked on delivery was delivered.
    /// A link whose beginning was not told holds from ever; a day means any time within it.
    #[must_use]
    pub fn held_on(&self, when: When) -> bool {
        self.since.is_none_or(|since| since.start() <= when.end())
            && self.until.is_none_or(|until| when.start() <= until.end())
    }
}

/// An interval of time, open where nothing is told; its end is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span {
    since: Option<TimestampMs>,
    until: Option<TimestampMs>,
}

impl Span {
    /// What of it lies within a link's interval; `None` when nothing does.
    #[must_use]
    pub fn within(self, link: &Link) -> Option<Self> {
        let until = link.until.map(When::start);
        let both = Self {
            since: self.since.max(link.since.map(When::start)),
            until: match (self.until, until) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
        };
        both.until.is_none_or(|until| both.since.is_none_or(|since| since < until)).then_some(both)
    }

    /// Whether something happened in it; a day means any time within it.
    #[must_use]
    pub fn contains(self, when: When) -> bool {
        self.since.is_none_or(|since| since <= when.end())
            && self.until.is_none_or(|until| when.start() < until)
    }
}

/// One step in the life of links from one part.
struct Step<'k> {
    fact: &'k Fact,
    holder: &'k Subject,
    relation: Relation,
    action: LinkAction,
}

impl Step<'_> {
    fn ends(&self, holder: &Subject, relation: Relation) -> bool {
        self.action == LinkAction::Remove
            && self.relation == relation
            && (self.holder == holder || self.holder.id.is_empty())
    }
}

/// The steps of links with `subject` as the part, in the order in which they happened.
fn steps<'k>(known: &'k Known<'_>, subject: &Subject) -> Vec<Step<'k>> {
    let mut steps: Vec<Step<'k>> = known
        .counting(subject)
        .filter_map(|each| match &each.fact.draft.body {
            Body::Link { holder, relation, action } => {
                Some(Step { fact: each.fact, holder, relation: *relation, action: *action })
            }
            _ => None,
        })
        .collect();
    // What empties a holder is told of the holder: a link to itself that ends.
    let holders: BTreeSet<&Subject> = steps.iter().map(|step| step.holder).collect();
    for holder in holders.into_iter().filter(|holder| *holder != subject) {
        steps.extend(known.counting(holder).filter_map(|each| match &each.fact.draft.body {
            Body::Link { holder: own, relation, action: LinkAction::Remove } if own == holder => {
                Some(Step { fact: each.fact, holder, relation: *relation, action: LinkAction::Remove })
            }
            _ => None,
        }));
    }
    steps.sort_by_key(|step| (step.fact.draft.happened.map(When::start), step.fact.told, step.fact.id));
    steps
}

/// The links that held, or hold, with `subject` as the part.
fn told(subject: &Subject, steps: &[Step<'_>]) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for step in steps {
        if step.action == LinkAction::Remove {
            let ended = |link: &&mut Link| link.is_open() && step.ends(&link.holder, link.relation);
            for link in links.iter_mut().filter(ended) {
                link.until = step.fact.draft.happened;
            }
            continue;
        }
        let same =
            |link: &Link| link.is_open() && link.holder == *step.holder && link.relation == step.relation;
        if !links.iter().any(same) {
            links.push(Link {
                held: subject.clone(),
                holder: step.holder.clone(),
                relation: step.relation,
                since: step.fact.draft.happened,
                until: None,
            });
        }
    }
    links
}

/// Every link among the known facts, by part.
#[derive(Debug, Default)]
pub struct LinkMap {
    by_part: BTreeMap<Subject, Vec<Link>>,
    /// Told and inherited, of the parts that inherit.
    with_inherited: BTreeMap<Subject, Vec<Link>>,
    by_holder: BTreeMap<Subject, BTreeSet<Subject>>,
}

impl LinkMap {
    /// Works out the links of all subjects in `known`.
    #[must_use]
    pub fn new(known: &Known<'_>) -> Self {
        let mut map = Self::default();
        let mut lines: Vec<(&Subject, Vec<Step<'_>>)> = Vec::new();
        for subject in known.subjects() {
            let steps = steps(known, subject);
            let links = told(subject, &steps);
            map.list(&links);
            if !links.is_empty() {
                map.by_part.insert(subject.clone(), links);
            }
            if subject.kind == Kind::Line {
                lines.push((subject, steps));
            }
        }
        for (line, steps) in lines {
            let inherited = map.inherited(line, &steps);
            if !inherited.is_empty() {
                map.list(&inherited);
                let mut links = map.told_of(line).to_vec();
                links.extend(inherited);
                map.with_inherited.insert(line.clone(), links);
            }
        }
        map
    }

    fn list(&mut self, links: &[Link]) {
        for link in links {
            self.by_holder.entry(link.holder.clone()).or_default().insert(link.held.clone());
        }
    }

    /// What a line lies in because its order does.
    fn inherited(&self, line: &Subject, steps: &[Step<'_>]) -> Vec<Link> {
        let own = self.told_of(line);
        let is_own = |link: &&Link| link.relation == Relation::In && link.holder.kind == Kind::Shipment;
        // Of a shipment of its own: from then on, that says where it is.
        if own.iter().filter(is_own).any(|link| link.since.is_none()) {
            return Vec::new();
        }
        let moved_out =
            own.iter().filter(is_own).filter_map(|link| link.since).min_by_key(|when| when.start());
        let orders =
            own.iter().filter(|link| link.relation == Relation::PartOf && link.holder.kind == Kind::Order);
        let mut inherited = Vec::new();
        for of_order in orders {
            for link in self.told_of(&of_order.holder).iter().filter(|link| link.relation == Relation::In) {
                let after = |when: &When| link.since.is_none_or(|since| since.start() <= when.start());
                let taken_out = steps
                    .iter()
                    .filter(|step| step.ends(&link.holder, Relation::In))
                    .filter_map(|step| step.fact.draft.happened)
                    .find(after);
                let ends = [link.until, of_order.until, moved_out, taken_out];
                let until = ends.into_iter().flatten().min_by_key(|when| when.start());
                if until.as_ref().is_none_or(after) {
                    inherited.push(Link { held: line.clone(), until, ..link.clone() });
                }
            }
        }
        inherited
    }

    fn told_of(&self, part: &Subject) -> &[Link] {
        self.by_part.get(part).map_or(&[], Vec::as_slice)
    }

    /// What holds, or held, a subject, told of it or of its order.
    pub fn holders_of(&self, part: &Subject) -> &[Link] {
        self.with_inherited.get(part).map_or_else(|| self.told_of(part), Vec::as_slice)
    }

    /// What a subject holds, or held.
    pub fn parts_of<'a>(&'a self, holder: &Subject) -> impl Iterator<Item = &'a Subject> {
        self.by_holder.get(holder).into_iter().flatten()
    }

    /// Every link that was told.
    pub fn all(&self) -> impl Iterator<Item = &Link> {
        self.by_part.values().flatten()
    }
}
