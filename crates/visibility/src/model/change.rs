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

/// The changes of `subject` told after `after`, by record time, from everything told of it and what it is linked with.
/// Of what was told more than [`MAX_TELLINGS`] tellings ago nothing is said.
#[must_use]
pub fn of<'a>(
    tellings: impl Iterator<Item = &'a Telling> + Clone,
    subject: &Subject,
    scope: &Scope,
    after: Option<TimestampMs>,
) -> Vec<Change> {
    let at = |as_of| Moment { by_minute: true, ..Moment::as_of(as_of) };
    let all = Known::new(tellings.clone(), &at(TimestampMs(i64::MAX)), scope);
    let known_at = |told| all.until(told).unwrap_or_else(|| Known::new(tellings.clone(), &at(told), scope));
    let times = all.told_times();
    let known = times.partition_point(|told| after.is_some_and(|after| *told <= after));
    let skip = known.max(times.len().saturating_sub(MAX_TELLINGS));
    let before = skip.checked_sub(1).and_then(|last| times.get(last)).map(|told| {
        let known = known_at(*told);
        Fold::new(&known).answer(subject)
    });
    let mut changes = Vec::new();
    let mut before: Option<Answer> = before;
    for told in times.into_iter().skip(skip) {
        let known = known_at(told);
        let answer = Fold::new(&known).answer(subject);
        let latest = Latest { known: &known, told };
        if !latest.only_seeds() {
            compare(before.as_ref(), &answer, &latest, &mut changes);
        }
        before = Some(answer);
    }
    changes
}

struct Latest<'k, 'a> {
    known: &'k Known<'a>,
    told: TimestampMs,
}

impl Latest<'_, '_> {
    /// All that was told at this moment had been so before anyone listened.
    fn only_seeds(&self) -> bool {
        let mut told_now = self.known.all().filter(|each| each.fact.known_from() == self.told).peekable();
        told_now.peek().is_some() && told_now.all(|each| each.fact.draft.seeds)
    }

    /// The fact told at this moment that best explains a change.
    fn because(&self, fits: impl Fn(&Fact) -> bool) -> (Option<When>, Option<Evidence>) {
        let told_now = || self.known.all().filter(|each| each.fact.known_from() == self.told);
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
