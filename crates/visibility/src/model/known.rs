//! The set of facts known at a moment: duplicates reduced to one, withdrawn ones marked.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use waybill_types::TimestampMs;

use super::fact::{
    Body, Classifier, ContentId, Evidence, Fact, Milestone, RowBound, Subject, Telling, row_of,
};
use super::moment::Moment;
use super::sample::Latest;
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
    facts: Arc<BTreeMap<ContentId, KnownFact<'a>>>,
    by_subject: Arc<BTreeMap<&'a Subject, Vec<ContentId>>>,
    /// Only what could be known by then.
    until: Option<TimestampMs>,
    has_corrections: bool,
}

impl<'a> Known<'a> {
    /// Reduces tellings, in any order and number, to the facts known.
    #[must_use]
    pub fn new(tellings: impl Iterator<Item = &'a Telling> + Clone, moment: &Moment, scope: &Scope) -> Self {
        let mut facts: BTreeMap<ContentId, KnownFact<'a>> = BTreeMap::new();
        let allowed = tellings.filter(|telling| moment.knows(&telling.fact) && scope.allows(&telling.fact));
        let latest = Latest::of(allowed.clone().map(|telling| &telling.fact));
        for telling in allowed.filter(|telling| latest.keeps(&telling.fact)) {
            add(&mut facts, telling);
        }
        let (withdrawn, has_corrections) = withdrawn_events(&facts);
        let rows = Rows::of(&facts);
        let mut by_subject: BTreeMap<&Subject, Vec<ContentId>> = BTreeMap::new();
        for (id, each) in &mut facts {
            if let Some((_, rest)) = each.evidence.split_first_mut() {
                rest.sort_unstable();
            }
            each.withdrawn = withdrawn.contains(each.fact.event.as_str()) || rows.withdraw(each);
            each.counts = !each.withdrawn && each.fact.is_plausible() && moment.holds(each.fact);
            by_subject.entry(&each.fact.subject).or_default().push(*id);
        }
        Self { facts: Arc::new(facts), by_subject: Arc::new(by_subject), until: None, has_corrections }
    }

    /// Of these facts, what was known at an earlier time; `None` where corrections make that more than leaving out.
    #[must_use]
    pub fn until(&self, told: TimestampMs) -> Option<Self> {
        (!self.has_corrections).then(|| Self { until: Some(told), ..self.clone() })
    }

    fn is_in(&self, each: &KnownFact<'a>) -> bool {
        self.until.is_none_or(|until| each.fact.known_from() <= until)
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// Every fact, in the order of content ids.
    pub fn all(&self) -> impl Iterator<Item = &KnownFact<'a>> {
        self.facts.values().filter(|each| self.is_in(each))
    }

    /// Every subject that a fact is about.
    pub fn subjects(&self) -> impl Iterator<Item = &'a Subject> {
        self.by_subject.keys().copied()
    }

    /// Every fact about a subject, withdrawn ones included.
    pub fn about(&self, subject: &Subject) -> impl Iterator<Item = &KnownFact<'a>> {
        let ids = self.by_subject.get(subject).into_iter().flatten();
        ids.filter_map(|id| self.facts.get(id)).filter(|each| self.is_in(each))
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
            .all()
            .filter(|known| !matches!(known.fact.draft.body, Body::Condition(_)))
            .map(|known| known.fact.known_from())
            .collect();
        times.into_iter().collect()
    }
}

fn add<'a>(facts: &mut BTreeMap<ContentId, KnownFact<'a>>, telling: &'a Telling) {
    let fact = &telling.fact;
    let Some(old) = facts.get_mut(&fact.id) else {
        let evidence = vec![telling.evidence];
        let fresh = KnownFact { fact, evidence, contradicted: false, withdrawn: false, counts: true };
        facts.insert(fact.id, fresh);
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

/// Events that a correction known takes back, and whether there is any correction. A correction that a later one takes back has no effect.
fn withdrawn_events<'a>(facts: &BTreeMap<ContentId, KnownFact<'a>>) -> (BTreeSet<&'a str>, bool) {
    let mut corrections: Vec<(&'a Fact, &'a str)> = facts
        .values()
        .filter_map(|known| match &known.fact.draft.body {
            Body::Correction { withdraws, .. } => Some((known.fact, withdraws.as_str())),
            _ => None,
        })
        .collect();
    corrections.sort_by(|a, b| b.0.rank().cmp(&a.0.rank()));
    let has_corrections = !corrections.is_empty();
    let mut withdrawn = BTreeSet::new();
    for (correction, withdraws) in corrections {
        if !withdrawn.contains(correction.event.as_str()) {
            withdrawn.insert(withdraws);
        }
    }
    (withdrawn, has_corrections)
}

/// Up to where the versions of each row are taken back.
#[derive(Debug, Default)]
struct Rows<'a> {
    below: BTreeMap<&'a str, &'a str>,
    before: BTreeMap<&'a str, TimestampMs>,
}

impl<'a> Rows<'a> {
    fn of(facts: &BTreeMap<ContentId, KnownFact<'a>>) -> Self {
        let mut rows = Self::default();
        for known in facts.values() {
            match &known.fact.draft.body {
                Body::Correction { withdraws, bound: Some(RowBound::Below(version)) } => {
                    let below = rows.below.entry(withdraws).or_insert(version);
                    *below = (*below).max(version);
                }
                Body::Correction { withdraws, bound: Some(RowBound::Before) } => {
                    let before = rows.before.entry(withdraws).or_insert(known.fact.told);
                    *before = known.fact.told.max(*before);
                }
                _ => {}
            }
        }
        rows
    }

    /// A change that was sent again after its row's tombstone is not taken back by it: the sender repeats both.
    fn withdraw(&self, known: &KnownFact<'_>) -> bool {
        let Some((row, version)) = row_of(&known.fact.event) else { return false };
        let last = || known.evidence.iter().map(|at| at.timestamp).max().unwrap_or(known.fact.told);
        self.below.get(row).is_some_and(|below| version < *below)
            || self.before.get(row).is_some_and(|before| last() < *before)
    }
}
