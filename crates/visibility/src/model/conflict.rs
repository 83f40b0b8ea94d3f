//! Sources that say different things of one subject: both claims are shown, the one that prevails is marked.

use std::collections::BTreeMap;

use super::fact::{Classifier, Evidence, Fact, Milestone, Subject};
use super::known::{Known, KnownFact};
use super::time::{Day, When};
use waybill_types::TimestampMs;

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The day it names.
    pub day: Day,
    /// Who says so.
    pub source: String,
    /// When we were told.
    pub told: TimestampMs,
    /// The answer uses this claim.
    pub used: bool,
    /// The record.
    pub evidence: Option<Evidence>,
}

/// Sources that name different days for the same thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// Whose.
    pub subject: Subject,
    /// How sure they claim to be.
    pub classifier: Classifier,
    /// What each says now, the one that prevails first.
    pub claims: Vec<Claim>,
}

impl Conflict {
    /// What they differ on.
    #[must_use]
    pub const fn about(&self) -> &'static str {
        match self.classifier {
            Classifier::Pln => "day promised",
            Classifier::Est => "day of delivery expected",
            Classifier::Act => "day of delivery",
        }
    }
}

/// Conflicts over the delivery of `subject`.
#[must_use]
pub fn of(known: &Known<'_>, subject: &Subject) -> Vec<Conflict> {
    [Classifier::Pln, Classifier::Est, Classifier::Act]
        .into_iter()
        .filter_map(|classifier| of_classifier(known, subject, classifier))
        .collect()
}

fn of_classifier(known: &Known<'_>, subject: &Subject, classifier: Classifier) -> Option<Conflict> {
    let mut newest: BTreeMap<&str, &KnownFact<'_>> = BTreeMap::new();
    for each in known.milestones(subject, Milestone::Deliver, classifier) {
        let kept = newest.entry(each.fact.source.as_str()).or_insert(each);
        if kept.fact.rank() < each.fact.rank() {
            *kept = each;
        }
    }
    let day = |fact: &Fact| fact.draft.happened.map(When::day);
    let mut days = newest.values().filter_map(|each| day(each.fact));
    let first = days.next()?;
    if days.all(|other| other == first) {
        return None;
    }
    let mut newest: Vec<&KnownFact<'_>> = newest.into_values().collect();
    newest.sort_by(|a, b| b.fact.rank().cmp(&a.fact.rank()));
    let claims = newest.iter().enumerate().filter_map(|(at, each)| {
        Some(Claim {
            day: day(each.fact)?,
            source: each.fact.source.clone(),
            told: each.fact.told,
            used: at == 0,
            evidence: each.evidence.first().copied(),
        })
    });
    Some(Conflict { subject: subject.clone(), classifier, claims: claims.collect() })
}
