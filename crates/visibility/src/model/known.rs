//! The set of facts known at a moment: duplicates reduced to one, withdrawn ones marked.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use waybill_types::TimestampMs;

use super::fact::{Body, Classifier, ContentId, Evidence, Fact, Milestone, Subject, Telling};
use super::moment::Moment;
use super::scope::Scope;

/// One fact with everything that told it.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownFact<'a> {
    /// The fact, as first told.
    pub fact: &'a Fact,
    /// Each position that told it: the one that counts first, the others ascending.
    pub evidence: Vec<Evidence>,
    /// More than one content was told under this identity: its source contradicts itself.
    pub contradicted: bool,
    /// A correction known at this moment took its event back.
    pub withdrawn: bool,
    /// It may be used for state: not withdrawn, of plausible time, and true at the moment asked for.
    pub counts: bool,
}

/// All facts of some subjects that a moment and a scope allow.
#[derive(Debug, Clone, Default)]
pub struct Known<'a> {
    facts: BTreeMap<ContentId, KnownFact<'a>>,
    by_subject: BTreeMap<&'a Subject, Vec<ContentId>>,
}

impl<'a> Known<'a> {
    /// Reduces tellings, in any order and number, to the facts known.
    #[must_use]
    pub fn new(tellings: &'a [Telling], moment: &Moment, scope: &Scope) -> Self {
        let mut known = Self::default();
        for telling in tellings {
            if moment.knows(&telling.fact) && scope.allows(&telling.fact) {
                known.add(telling);
            }
        }
        let withdrawn = known.withdrawn_events();
        for (id, each) in &mut known.facts {
            if let Some((_, rest)) = each.evidence.split_first_mut() {
                rest.sort_unstable();
            }
            each.withdrawn = withdrawn.contains(each.fact.event.as_str());
            each.counts = !each.withdrawn && each.fact.is_plausible() && moment.holds(each.fact);
            known.by_subject.entry(&each.fact.subject).or_default().push(*id);
        }
        known
    }

    fn add(&mut self, telling: &'a Telling) {
        let fact = &telling.fact;
        let Some(old) = self.facts.get_mut(&fact.id) else {
            let evidence = vec![telling.evidence];
            let fresh = KnownFact { fact, evidence, contradicted: false, withdrawn: false, counts: true };
            self.facts.insert(fact.id, fresh);
            return;
        };
        old.contradicted |= old.fact.draft != fact.draft || old.fact.source != fact.source;
        if old.evidence.contains(&telling.evidence) {
            return;
        }
        // The earliest record time counts; among equal ones the content, then the position, decides.
        let replaces = match fact.told.cmp(&old.fact.told) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => match fact.digest().cmp(&old.fact.digest()) {
                Ordering::Equal => old.evidence.first().is_some_and(|first| telling.evidence < *first),
                other => other == Ordering::Less,
            },
        };
        if replaces {
            old.fact = fact;
            old.evidence.insert(0, telling.evidence);
        } else {
            old.evidence.push(telling.evidence);
        }
    }

    /// Events that a correction known now takes back. A correction that a later one takes back has no effect.
    fn withdrawn_events(&self) -> BTreeSet<&'a str> {
        let mut corrections: Vec<(&'a Fact, &'a str)> = self
            .facts
            .values()
            .filter_map(|known| match &known.fact.draft.body {
                Body::Correction { withdraws } => Some((known.fact, withdraws.as_str())),
                _ => None,
            })
            .collect();
        corrections.sort_by(|a, b| b.0.rank().cmp(&a.0.rank()));
        let mut withdrawn = BTreeSet::new();
        for (correction, withdraws) in corrections {
            if !withdrawn.contains(correction.event.as_str()) {
                withdrawn.insert(withdraws);
            }
        }
        withdrawn
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Every fact, in the order of content ids.
    pub fn all(&self) -> impl Iterator<Item = &KnownFact<'a>> {
        self.facts.values()
    }

    /// Every subject that a fact is about.
    pub fn subjects(&self) -> impl Iterator<Item = &'a Subject> {
        self.by_subject.keys().copied()
    }

    /// Every fact about a subject, withdrawn ones included.
    pub fn about(&self, subject: &Subject) -> impl Iterator<Item = &KnownFact<'a>> {
        self.by_subject.get(subject).into_iter().flatten().filter_map(|id| self.facts.get(id))
    }

    /// The facts about a subject that count.
    pub fn counting(&self, subject: &Subject) -> impl Iterator<Item = &KnownFact<'a>> {
        self.about(subject).filter(|known| known.counts)
    }

    /// The facts about a subject's milestone, of one classifier, that count.
    pub fn milestones(
        &self,
        subject: &Subject,
        milestone: Milestone,
        classifier: Classifier,
    ) -> impl Iterator<Item = &KnownFact<'a>> {
        self.counting(subject).filter(move |known| {
            known.fact.milestone() == Some(milestone) && known.fact.draft.classifier == classifier
        })
    }

    /// The fact about a subject's milestone, of one classifier, that prevails.
    #[must_use]
    pub fn current(
        &self,
        subject: &Subject,
        milestone: Milestone,
        classifier: Classifier,
    ) -> Option<&KnownFact<'a>> {
        self.milestones(subject, milestone, classifier).max_by(|a, b| a.fact.rank().cmp(&b.fact.rank()))
    }

    /// Record times at which anything but a reading was told, ascending.
    #[must_use]
    pub fn told_times(&self) -> Vec<TimestampMs> {
        let times: BTreeSet<TimestampMs> = self
            .facts
            .values()
            .filter(|known| !matches!(known.fact.draft.body, Body::Condition(_)))
            .map(|known| known.fact.told)
            .collect();
        times.into_iter().collect()
    }
}
