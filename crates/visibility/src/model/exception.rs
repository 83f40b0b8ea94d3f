//! What needs a decision at a moment, from the facts known at it. No timers: a passed due time is noticed by whoever asks.

use sha2::{Digest, Sha256};
use waybill_types::TimestampMs;

use super::answer::{Answer, State};
use super::conflict;
use super::fact::{Body, Classifier, Evidence, Milestone, Subject};
use super::known::{Known, KnownFact};
use super::moment::Moment;
use super::time::{Day, When};

/// Something that needs a decision: one line for a rule and a subject, however often it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Exception {
    /// The rule that found it.
    pub rule: Rule,
    /// Whom it is about.
    pub subject: Subject,
    /// Since when.
    pub since: Option<TimestampMs>,
    /// What was due, for rules about promises.
    pub due: Option<Day>,
    /// How often.
    pub count: u32,
    /// In words.
    pub what: String,
    /// The record it rests on.
    pub evidence: Option<Evidence>,
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The promised day has passed without delivery.
    Overdue,
    /// The estimate lies after the promise, which has not passed yet.
    ExpectedLate,
    /// A time before the business floor, more than ten years ahead, or told before it happened.
    ImpossibleTime,
    /// A reading outside the limits agreed.
    OutOfLimits,
    /// Sources name different days.
    Conflict,
    /// A source told different things under one event id.
    ContradictsItself,
}

impl Rule {
    /// Its name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::ExpectedLate => "expected_late",
            Self::ImpossibleTime => "impossible_time",
            Self::OutOfLimits => "out_of_limits",
            Self::Conflict => "conflict",
            Self::ContradictsItself => "contradicts_itself",
        }
    }
}

impl Exception {
    /// Stable from question to question: hash of rule, subject and due day.
    #[must_use]
    pub fn id(&self) -> String {
        let due = self.due.map(|due| due.to_string()).unwrap_or_default();
        let mut hash = Sha256::new();
        for part in [self.rule.name(), self.subject.kind.name(), self.subject.id.as_str(), due.as_str()] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Exceptions of the subject of `answer`, and of the facts about `of` (the subject, its lines, what holds them).
#[must_use]
pub fn find(known: &Known<'_>, answer: &Answer, moment: &Moment, of: &[Subject]) -> Vec<Exception> {
    let mut found: Vec<Exception> = promise(known, answer, moment, of).into_iter().collect();
    for subject in of {
        found.extend(impossible_times(known, subject));
        found.extend(excursions(known, subject));
        found.extend(contradictions(known, subject));
        for conflict in conflict::of(known, subject) {
            let days: Vec<String> =
                conflict.claims.iter().map(|claim| format!("{} says {}", claim.source, claim.day)).collect();
            found.push(Exception {
                rule: Rule::Conflict,
                subject: subject.clone(),
                since: conflict.claims.iter().map(|claim| claim.told).max(),
                due: None,
                count: 1,
                what: format!("{}: {}", conflict.about(), days.join(", ")),
                evidence: conflict.claims.first().and_then(|claim| claim.evidence),
            });
        }
    }
    found
}

fn promise(known: &Known<'_>, answer: &Answer, moment: &Moment, of: &[Subject]) -> Option<Exception> {
    let promised = answer.promised?;
    // What was promised for an order is listed with the order, not again with each shipment that carries some of it.
    if !answer.promise_is_own || matches!(answer.state, State::Delivered | State::Cancelled) {
        return None;
    }
    let today = Day::of(moment.at.unwrap_or(moment.as_of));
    let newest = |classifier: Classifier, day: Day| {
        of.iter()
            .flat_map(|subject| known.milestones(subject, Milestone::Deliver, classifier))
            .filter(|each| each.fact.draft.happened.map(When::day) == Some(day))
            .max_by(|a, b| a.fact.rank().cmp(&b.fact.rank()))
    };
    if today > promised {
        let told = newest(Classifier::Pln, promised);
        return Some(Exception {
            rule: Rule::Overdue,
            subject: answer.subject.clone(),
            since: Some(Day(promised.0.saturating_add(1)).start()),
            due: Some(promised),
            count: 1,
            what: format!("promised for {promised}, {} days ago, not delivered", today.since(promised)),
            evidence: told.and_then(first_evidence),
        });
    }
    let estimated = answer.estimated.filter(|estimated| *estimated > promised)?;
    let told = newest(Classifier::Est, estimated);
    Some(Exception {
        rule: Rule::ExpectedLate,
        subject: answer.subject.clone(),
        since: told.map(|each| each.fact.told),
        due: Some(promised),
        count: 1,
        what: format!("expected {estimated}, {} days after the promise", estimated.since(promised)),
        evidence: told.and_then(first_evidence),
    })
}

fn first_evidence(each: &KnownFact<'_>) -> Option<Evidence> {
    each.evidence.first().copied()
}

/// One line for all facts of a subject that a rule finds.
fn coalesce<'k, 'a: 'k>(
    rule: Rule,
    subject: &Subject,
    facts: impl Iterator<Item = &'k KnownFact<'a>>,
    what: impl Fn(&KnownFact<'a>) -> String,
) -> Option<Exception> {
    let mut facts: Vec<&KnownFact<'a>> = facts.collect();
    facts.sort_by_key(|each| (each.fact.told, each.fact.id));
    let first = facts.first()?;
    Some(Exception {
        rule,
        subject: subject.clone(),
        since: Some(first.fact.told),
        due: None,
        count: u32::try_from(facts.len()).unwrap_or(u32::MAX),
        what: what(first),
        evidence: first_evidence(first),
    })
}

fn impossible_times(known: &Known<'_>, subject: &Subject) -> Option<Exception> {
    let wrong = known
        .about(subject)
        .filter(|each| !each.withdrawn && (!each.fact.is_plausible() || each.fact.told_too_early()));
    coalesce(Rule::ImpossibleTime, subject, wrong, |each| {
        let when = each.fact.draft.happened.map(|when| when.to_string()).unwrap_or_default();
        let told = super::time::instant_text(each.fact.told);
        if each.fact.is_plausible() {
            format!("told on {told} as having happened on {when}, which was still to come")
        } else {
            format!("told of {when}, which can not be meant")
        }
    })
}

fn excursions(known: &Known<'_>, subject: &Subject) -> Option<Exception> {
    let outside = known
        .counting(subject)
        .filter(|each| matches!(&each.fact.draft.body, Body::Condition(reading) if reading.is_excursion()));
    coalesce(Rule::OutOfLimits, subject, outside, |each| match &each.fact.draft.body {
        Body::Condition(reading) => format!("{} {} {}", reading.measure, reading.value, reading.unit),
        _ => String::new(),
    })
}

fn contradictions(known: &Known<'_>, subject: &Subject) -> Option<Exception> {
    let both = known.about(subject).filter(|each| each.contradicted && !each.withdrawn);
    coalesce(Rule::ContradictsItself, subject, both, |each| {
        format!("{} told different things under event {}", each.fact.source, each.fact.event)
    })
}
