//! Where is it, what was promised, is it late, who said so, and what was known when.

use std::collections::BTreeSet;

use waybill_types::{TimestampMs, TopicId};

use super::closure::{self, Closure, Loader};
use super::history::{self, Line};
use super::{QueryError, Question, Settled, settle};
use crate::mapping::epcis::gs1::canonical;
use crate::model::answer::Fold;
use crate::model::change::{self, Change};
use crate::model::conflict::{self, Conflict};
use crate::model::exception::{self, Exception};
use crate::model::known::KnownFact;
use crate::model::links::Link;
use crate::model::sample::Latest;
use crate::model::time::instant_text;
use crate::model::{Answer, Body, Kind, Known, Moment, Subject, Telling};
use crate::store::{Read, Sampled};

/// Readings given with an answer, at most.
pub const MAX_READINGS: usize = 240;

/// The whole answer about one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// The question, settled.
    pub settled: Settled,
    /// What follows for it.
    pub answer: Answer,
    /// Every contributing source has told of later than the moment.
    pub is_final: bool,
    /// Links of it, of its lines, and of what holds them.
    pub links: Vec<Link>,
    /// What was told, by record time.
    pub history: Vec<Line>,
    /// Sources that differ.
    pub conflicts: Vec<Conflict>,
    /// What needs a decision.
    pub exceptions: Vec<Exception>,
    /// Told after the answer had become final, though of before.
    pub revised: Vec<Line>,
    /// Newest readings of it and what holds it, oldest first.
    pub readings: Vec<Telling>,
    /// Links were followed up to the bound only.
    pub is_bounded: bool,
    /// Subjects looked at.
    pub looked_at: usize,
    /// Facts that the answer rests on.
    pub facts: usize,
    /// Who told them.
    pub sources: BTreeSet<String>,
    /// Topics that told of it, ever.
    pub topics: BTreeSet<TopicId>,
}

/// All of time of one subject, for pictures.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Story {
    /// What is said of it now.
    pub answer_now: Option<Answer>,
    /// When something was told, and whether it had happened.
    pub ticks: Vec<(TimestampMs, bool)>,
    /// Changes of promise, estimate and delivery of the whole.
    pub changes: Vec<Change>,
    /// Deliveries of lines: told, day, line.
    pub deliveries: Vec<(TimestampMs, crate::model::time::Day, String)>,
    /// Facts known now.
    pub facts: usize,
}

struct Found {
    settled: Settled,
    subject: Subject,
    closure: Closure,
}

/// Finds the subject and its facts; of several kinds with one id the first in the order of [`Kind`].
fn find(
    read: &dyn Read,
    question: &Question,
    id: &str,
    kind: Option<Kind>,
    now: TimestampMs,
) -> Result<Found, QueryError> {
    let settled = settle(read, question, now)?;
    let mut subjects = read.resolve(id)?;
    if subjects.is_empty() {
        // The same GS1 key in another form.
        subjects = read.resolve(&canonical(id))?;
    }
    for subject in subjects {
        if kind.is_some_and(|kind| kind != subject.kind) {
            continue;
        }
        let closure = closure::load(&mut Loader::of(read, &settled), &subject)?;
        let visible = told(&closure, &settled).map(|telling| &telling.fact);
        let known = visible.clone().any(|fact| {
            closure::tells_of(fact, &subject) && settled.moment.knows(fact) && settled.scope.allows(fact)
        });
        let seen = settled.scope.sees(visible);
        if known && seen {
            return Ok(Found { settled, subject, closure });
        }
    }
    Err(QueryError::Unknown { id: id.to_owned(), as_of: instant_text(settled.moment.as_of) })
}

/// What was told below the frontier.
fn told<'c>(closure: &'c Closure, settled: &'c Settled) -> impl Iterator<Item = &'c Telling> + Clone {
    closure.tellings().filter(|telling| settled.covers(&telling.evidence))
}

/// Answers for the subject called `id`.
///
/// # Errors
/// It is unknown as of then or out of scope; the moment can not be asked for; the store failed.
pub fn track(
    read: &dyn Read,
    question: &Question,
    id: &str,
    kind: Option<Kind>,
    now: TimestampMs,
) -> Result<Track, QueryError> {
    let Found { settled, subject, closure } = find(read, question, id, kind, now)?;
    let readings = readings(read, &settled, &closure.subjects)?;
    Ok(answer(settled, &subject, &closure, readings))
}

/// Answers, and tells the subject's whole story beside it.
///
/// # Errors
/// As [`track`].
pub fn track_with_story(
    read: &dyn Read,
    question: &Question,
    id: &str,
    kind: Option<Kind>,
    now: TimestampMs,
) -> Result<(Track, Story), QueryError> {
    let Found { settled, subject, closure } = find(read, question, id, kind, now)?;
    let readings = readings(read, &settled, &closure.subjects)?;
    let story = story(&settled, &subject, &closure, now);
    Ok((answer(settled, &subject, &closure, readings), story))
}

fn readings(read: &dyn Read, settled: &Settled, subjects: &[Subject]) -> Result<Vec<Telling>, QueryError> {
    let mut found = Vec::new();
    for subject in
        subjects.iter().filter(|subject| matches!(subject.kind, Kind::Container | Kind::Pallet | Kind::Item))
    {
        let (as_of, below) = (settled.moment.as_of, settled.below());
        let newest = read.sampled(subject, Sampled::Readings, as_of, below, MAX_READINGS)?;
        let allowed: Vec<Telling> = newest
            .into_iter()
            .filter(|telling| {
                settled.covers(&telling.evidence)
                    && settled.scope.allows(&telling.fact)
                    && settled.moment.knows(&telling.fact)
                    && settled.moment.holds(&telling.fact)
            })
            .collect();
        let latest = Latest::of(allowed.iter().map(|telling| &telling.fact));
        found.extend(allowed.iter().filter(|telling| latest.keeps(&telling.fact)).cloned());
    }
    Ok(found)
}

fn answer(settled: Settled, subject: &Subject, closure: &Closure, readings: Vec<Telling>) -> Track {
    let known = Known::new(told(closure, &settled), &settled.moment, &settled.scope);
    let fold = Fold::new(&known);
    let answer = fold.answer(subject);
    let topics: BTreeSet<TopicId> = told(closure, &settled).map(|telling| telling.evidence.topic).collect();
    let is_final = settled.is_final(topics.iter().copied());
    let counting = || closure.subjects.iter().flat_map(|subject| known.counting(subject));
    let revised = if is_final { revised(&known, &settled.moment, &closure.subjects) } else { Vec::new() };
    Track {
        is_final,
        links: fold.links().all().cloned().collect(),
        history: history::lines(&known, &closure.subjects),
        conflicts: closure.subjects.iter().flat_map(|subject| conflict::of(&known, subject)).collect(),
        exceptions: exception::find(&known, &answer, &settled.moment, &closure.subjects),
        revised,
        readings,
        is_bounded: closure.is_bounded,
        looked_at: closure.subjects.len(),
        facts: counting().count(),
        sources: counting().map(|each| each.fact.source.clone()).collect(),
        topics,
        answer,
        settled,
    }
}

/// Facts that were told, by their record time, before the moment, but reached the log after their partition had gone past it.
fn revised(known: &Known<'_>, moment: &Moment, subjects: &[Subject]) -> Vec<Line> {
    let came_late = |each: &KnownFact<'_>| {
        each.evidence.iter().all(|at| at.high_before.is_some_and(|high| high > moment.as_of))
    };
    let late: BTreeSet<&str> = known
        .all()
        .filter(|each| came_late(each) && !matches!(each.fact.draft.body, Body::Condition(_)))
        .map(|each| each.fact.event.as_str())
        .collect();
    if late.is_empty() {
        return Vec::new();
    }
    let first = |line: &Line| line.evidence.first().and_then(|at| at.high_before);
    let lines = history::lines(known, subjects);
    lines.into_iter().filter(|line| first(line).is_some_and(|high| high > moment.as_of)).collect()
}

fn story(settled: &Settled, subject: &Subject, closure: &Closure, now: TimestampMs) -> Story {
    let moment = Moment::as_of(if settled.pinned { settled.moment.as_of } else { now });
    let known = Known::new(told(closure, settled), &moment, &settled.scope);
    let answer_now = Fold::new(&known).answer(subject);
    let mut ticks = BTreeSet::new();
    for each in closure.subjects.iter().flat_map(|subject| known.about(subject)) {
        let is_actual =
            each.fact.milestone().is_some() && each.fact.draft.classifier == crate::model::Classifier::Act;
        if !matches!(each.fact.draft.body, Body::Attributes { .. } | Body::Condition(_)) {
            ticks.insert((each.fact.told, is_actual));
        }
    }
    let mut deliveries: Vec<_> = closure
        .subjects
        .iter()
        .flat_map(|part| {
            known.milestones(part, crate::model::Milestone::Deliver, crate::model::Classifier::Act)
        })
        .filter_map(|each| {
            Some((each.fact.told, each.fact.draft.happened?.day(), each.fact.subject.id.clone()))
        })
        .collect();
    deliveries.sort();
    Story {
        answer_now: Some(answer_now),
        ticks: ticks.into_iter().collect(),
        changes: change::of(told(closure, settled), subject, &settled.scope, None),
        deliveries,
        facts: closure.subjects.iter().flat_map(|subject| known.counting(subject)).count(),
    }
}
