//! Links and how long they hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use waybill_types::TimestampMs;

use super::fact::{Body, Fact, LinkAction, Relation, Subject};
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
    /// Whether it holds at an instant. A link whose beginning was not told holds from ever.
    #[must_use]
    pub fn holds_at(&self, at: TimestampMs) -> bool {
        self.since.is_none_or(|since| since.start() <= at)
            && self.until.is_none_or(|until| at < until.start())
    }
}

/// The links that held, or hold, with `subject` as the part.
#[must_use]
pub fn holders(known: &Known<'_>, subject: &Subject) -> Vec<Link> {
    let mut steps: Vec<(&Fact, &Subject, Relation, LinkAction)> = known
        .counting(subject)
        .filter_map(|each| match &each.fact.draft.body {
            Body::Link { holder, relation, action } => Some((each.fact, holder, *relation, *action)),
            _ => None,
        })
        .collect();
    // What empties a holder is told of the holder: a link to itself that ends.
    let holders: BTreeSet<&Subject> = steps.iter().map(|(_, holder, ..)| *holder).collect();
    for holder in holders.into_iter().filter(|holder| *holder != subject) {
        steps.extend(known.counting(holder).filter_map(|each| match &each.fact.draft.body {
            Body::Link { holder: own, relation, action: LinkAction::Remove } if own == holder => {
                Some((each.fact, holder, *relation, LinkAction::Remove))
            }
            _ => None,
        }));
    }
    steps.sort_by_key(|(fact, ..)| (fact.draft.happened.map(When::start), fact.told, fact.id));
    let mut links: Vec<Link> = Vec::new();
    for (fact, holder, relation, action) in steps {
        let open = |link: &&mut Link| {
            link.until.is_none()
                && (link.holder == *holder || holder.id.is_empty())
                && link.relation == relation
        };
        match action {
            LinkAction::Remove => {
                for link in links.iter_mut().filter(|link| open(link)) {
                    link.until = fact.draft.happened;
                }
            }
            LinkAction::Add | LinkAction::Seen => {
                if links.iter_mut().any(|link| open(&&mut *link)) {
                    continue;
                }
                links.push(Link {
                    held: subject.clone(),
                    holder: holder.clone(),
                    relation,
                    since: fact.draft.happened,
                    until: None,
                });
            }
        }
    }
    links
}

/// Every link among the known facts, by part.
#[derive(Debug, Default)]
pub struct LinkMap {
    by_part: BTreeMap<Subject, Vec<Link>>,
    by_holder: BTreeMap<Subject, BTreeSet<Subject>>,
}

impl LinkMap {
    /// Works out the links of all subjects in `known`.
    #[must_use]
    pub fn new(known: &Known<'_>) -> Self {
        let mut map = Self::default();
        for subject in known.subjects() {
            let links = holders(known, subject);
            for link in &links {
                map.by_holder.entry(link.holder.clone()).or_default().insert(subject.clone());
            }
            if !links.is_empty() {
                map.by_part.insert(subject.clone(), links);
            }
        }
        map
    }

    /// What holds, or held, a subject.
    pub fn holders_of(&self, part: &Subject) -> &[Link] {
        self.by_part.get(part).map_or(&[], Vec::as_slice)
    }

    /// What a subject holds, or held.
    pub fn parts_of<'a>(&'a self, holder: &Subject) -> impl Iterator<Item = &'a Subject> {
        self.by_holder.get(holder).into_iter().flatten()
    }

    /// Every link.
    pub fn all(&self) -> impl Iterator<Item = &Link> {
        self.by_part.values().flatten()
    }
}
