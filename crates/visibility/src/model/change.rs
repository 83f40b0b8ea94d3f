//! What changed, and when we were told: the answer as of each telling, compared with the one before.

use waybill_types::TimestampMs;

use super::answer::{Answer, Fold, State};
use super::fact::{Body, Classifier, Evidence, Fact, Milestone, Subject, Telling};
use super::known::Known;
use super::moment::Moment;
use super::scope::Scope;
use super::time::{Day, When};

/// Tellings looked at for one subject, newest first kept: a pallet scanned for years is not gone through each time.
pub const MAX_TELLINGS: usize = 256;

/// One property of one subject that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Whose.
    pub subject: Subject,
    /// Which property: `promised`, `estimated`, `delivered`, `state`, `location`.
    pub what: &'static str,
    /// What was said before.
    pub old: Option<String>,
    /// What is said since.
    pub new: Option<String>,
    /// When it happened, or for when it is planned.
    pub happened: Option<When>,
    /// When we were told.
    pub told: TimestampMs,
    /// The record that told it.
    pub evidence: Option<Evidence>,
}

/// The changes of `subject`, by record time, from everything told of it and what it is linked with.
#[must_use]
pub fn of(tellings: &[Telling], subject: &Subject, scope: &Scope) -> Vec<Change> {
    let times = Known::new(tellings, &Moment::as_of(TimestampMs(i64::MAX)), scope).told_times();
    let skip = times.len().saturating_sub(MAX_TELLINGS);
    let mut changes = Vec::new();
    let mut before: Option<Answer> = None;
    for told in times.into_iter().skip(skip) {
        let known = Known::new(tellings, &Moment::as_of(told), scope);
        let answer = Fold::new(&known).answer(subject);
        let latest = Latest { known: &known, told };
        compare(before.as_ref(), &answer, &latest, &mut changes);
        before = Some(answer);
    }
    changes
}

struct Latest<'k, 'a> {
    known: &'k Known<'a>,
    told: TimestampMs,
}

impl Latest<'_, '_> {
    /// The fact told at this moment that best explains a change.
    fn because(&self, fits: impl Fn(&Fact) -> bool) -> (Option<When>, Option<Evidence>) {
        let told_now = || self.known.all().filter(|each| each.fact.told == self.told);
        let fact = told_now().find(|each| fits(each.fact)).or_else(|| told_now().next());
        fact.map_or((None, None), |each| (each.fact.draft.happened, each.evidence.first().copied()))
    }
}

fn compare(before: Option<&Answer>, now: &Answer, latest: &Latest<'_, '_>, changes: &mut Vec<Change>) {
    let day = |day: Option<Day>| day.map(|day| day.to_string());
    let place = |answer: &Answer| {
        answer
            .location
            .as_ref()
            .map(|seen| seen.located.name.clone().unwrap_or_else(|| seen.located.place.clone()))
    };
    let deliver = |classifier: Classifier| {
        move |fact: &Fact| fact.milestone() == Some(Milestone::Deliver) && fact.draft.classifier == classifier
    };
    let is_actual = |fact: &Fact| fact.milestone().is_some() && fact.draft.classifier == Classifier::Act;
    let mut push =
        |what, old: Option<String>, new: Option<String>, because: (Option<When>, Option<Evidence>)| {
            if old != new {
                let (happened, evidence) = because;
                let subject = now.subject.clone();
                changes.push(Change { subject, what, old, new, happened, told: latest.told, evidence });
            }
        };
    let old = |of: fn(&Answer) -> Option<Day>| day(before.and_then(of));
    // An order's promise changes once, with the order, not again with each shipment that carries some of it.
    let own_promise = |answer: &Answer| answer.promised.filter(|_| answer.promise_is_own);
    let promised = (day(before.and_then(own_promise)), day(own_promise(now)));
    push("promised", promised.0, promised.1, latest.because(deliver(Classifier::Pln)));
    push("estimated", old(|a| a.estimated), day(now.estimated), latest.because(deliver(Classifier::Est)));
    push("delivered", old(|a| a.delivered), day(now.delivered), latest.because(deliver(Classifier::Act)));
    let state = |answer: &Answer| (answer.state != State::Unknown).then(|| answer.state.name().to_owned());
    push("state", before.and_then(state), state(now), latest.because(is_actual));
    push(
        "location",
        before.and_then(place),
        place(now),
        latest.because(|fact| matches!(fact.draft.body, Body::Location(_))),
    );
}
