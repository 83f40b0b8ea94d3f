//! Facts as lines of a history: what was said, by whom, when it happened, when it was told, and where it stands.

use std::collections::BTreeMap;

use waybill_types::TimestampMs;

use crate::model::fact::row_of;
use crate::model::known::KnownFact;
use crate::model::time::When;
use crate::model::{Body, Classifier, Evidence, Known, LinkAction, Located, Milestone, Relation, Subject};

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Whom it is about.
    pub subject: Subject,
    /// How sure the source was.
    pub classifier: Classifier,
    /// Takes an event back.
    pub is_correction: bool,
    /// When it happened, or for when it is planned or expected.
    pub happened: Option<When>,
    /// When we were told.
    pub told: TimestampMs,
    /// In words.
    pub what: String,
    /// A few more: place, reason.
    pub detail: Option<String>,
    /// Who told it.
    pub source: String,
    /// The records that told it, the one that counts first.
    pub evidence: Vec<Evidence>,
    /// A correction known at this moment took it back.
    pub withdrawn: bool,
}

/// The history of `subjects`, by record time, then event time.
#[must_use]
pub fn lines(known: &Known<'_>, subjects: &[Subject]) -> Vec<Line> {
    let mut events: BTreeMap<(&str, &Subject), Vec<&KnownFact<'_>>> = BTreeMap::new();
    for each in subjects.iter().flat_map(|subject| known.about(subject)) {
        events.entry((each.fact.event.as_str(), &each.fact.subject)).or_default().push(each);
    }
    let corrections = known.all().filter(|each| match &each.fact.draft.body {
        Body::Correction { withdraws, bound } => {
            // A row's new version tells itself; only that it was deleted is worth a line.
            (bound.is_none() || each.fact.draft.note.is_some())
                && subjects.iter().flat_map(|subject| known.about(subject)).any(|other| {
                    let event = other.fact.event.as_str();
                    event == withdraws
                        || bound.is_some() && row_of(event).is_some_and(|(row, _)| row == withdraws)
                })
        }
        _ => false,
    });
    let mut lines: Vec<Line> = corrections.map(|each| line(each, correction_words(each), None)).collect();
    for facts in events.values() {
        lines.extend(of_event(facts));
    }
    lines.sort_by(|a, b| {
        let key = |line: &Line| (line.told, line.happened.map(When::start));
        key(a).cmp(&key(b)).then_with(|| (&a.subject, &a.what).cmp(&(&b.subject, &b.what)))
    });
    lines
}

/// The lines of what one event told of one subject: a line a milestone, the rest as their detail or as one line.
fn of_event(facts: &[&KnownFact<'_>]) -> Vec<Line> {
    let mut milestones: Vec<&KnownFact<'_>> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut other: Option<&KnownFact<'_>> = None;
    let mut lines: Vec<Line> = Vec::new();
    for each in facts {
        let said = match &each.fact.draft.body {
            Body::Milestone { .. } => {
                milestones.push(each);
                continue;
            }
            Body::Condition(reading) => {
                let what = format!("{} {} {}", reading.measure, reading.value, reading.unit);
                lines.push(line(each, what, limits(reading.low, reading.high, &reading.unit)));
                continue;
            }
            Body::Location(located) => format!("at {}", place_words(located)),
            Body::Step { step, disposition } => match disposition {
                Some(disposition) => format!("{}, {}", readable(step), readable(disposition)),
                None => readable(step),
            },
            Body::Link { holder, relation, action } => match link_words(holder, *relation, *action) {
                Some(words) => words,
                None => continue,
            },
            Body::Attributes { .. } | Body::Correction { .. } => continue,
        };
        other = other.or(Some(each));
        words.push(said);
    }
    let rest = (!words.is_empty()).then(|| words.join(", "));
    match (milestones.iter().any(|each| each.fact.draft.classifier == Classifier::Act), other) {
        (false, Some(first)) => {
            lines.push(line(first, rest.clone().unwrap_or_default(), first.fact.draft.note.clone()));
            lines.extend(milestones.iter().map(|each| milestone_line(each, None)));
        }
        _ => lines.extend(milestones.iter().map(|each| {
            let is_actual = each.fact.draft.classifier == Classifier::Act;
            milestone_line(each, rest.clone().filter(|_| is_actual))
        })),
    }
    lines
}

fn milestone_line(each: &KnownFact<'_>, detail: Option<String>) -> Line {
    let what = each.fact.milestone().map(|milestone| milestone_words(milestone, each.fact.draft.classifier));
    let detail = match (detail, each.fact.draft.note.clone()) {
        (Some(detail), Some(note)) => Some(format!("{detail}, {note}")),
        (detail, note) => detail.or(note),
    };
    line(each, what.unwrap_or_default().to_owned(), detail)
}

fn line(each: &KnownFact<'_>, what: String, detail: Option<String>) -> Line {
    Line {
        subject: each.fact.subject.clone(),
        classifier: each.fact.draft.classifier,
        is_correction: matches!(each.fact.draft.body, Body::Correction { .. }),
        happened: each.fact.draft.happened,
        told: each.fact.told,
        what,
        detail,
        source: each.fact.source.clone(),
        evidence: each.evidence.clone(),
        withdrawn: each.withdrawn,
    }
}

const fn milestone_words(milestone: Milestone, classifier: Classifier) -> &'static str {
    match (milestone, classifier) {
        (Milestone::Order, _) => "ordered",
        (Milestone::Depart, Classifier::Pln) => "departure planned",
        (Milestone::Depart, Classifier::Est) => "departure expected",
        (Milestone::Depart, Classifier::Act) => "departed",
        (Milestone::Arrive, Classifier::Pln) => "arrival planned",
        (Milestone::Arrive, Classifier::Est) => "arrival expected",
        (Milestone::Arrive, Classifier::Act) => "arrived",
        (Milestone::Deliver, Classifier::Pln) => "promised",
        (Milestone::Deliver, Classifier::Est) => "delivery expected",
        (Milestone::Deliver, Classifier::Act) => "delivered",
        (Milestone::Cancel, _) => "cancelled",
    }
}

fn correction_words(each: &KnownFact<'_>) -> String {
    let reason = each.fact.draft.note.as_deref().unwrap_or("told in error");
    format!("an earlier statement was taken back: {}", readable(reason))
}

/// The place in words.
#[must_use]
pub fn place_words(located: &Located) -> String {
    let name = located.name.as_deref().unwrap_or(&located.place);
    match &located.country {
        Some(country) => format!("{name}, {country}"),
        None => name.to_owned(),
    }
}

fn limits(low: Option<f64>, high: Option<f64>, unit: &str) -> Option<String> {
    match (low, high) {
        (Some(low), Some(high)) => Some(format!("agreed {low} to {high} {unit}")),
        (Some(low), None) => Some(format!("agreed at least {low} {unit}")),
        (None, Some(high)) => Some(format!("agreed at most {high} {unit}")),
        (None, None) => None,
    }
}

/// `None` for what every line says of its order.
fn link_words(holder: &Subject, relation: Relation, action: LinkAction) -> Option<String> {
    let verb = match (relation, action) {
        (Relation::PartOf, _) => return None,
        (Relation::Named, _) => "named in",
        (Relation::In, LinkAction::Add) => "put in",
        (Relation::In, LinkAction::Seen) => "in",
        (Relation::In, LinkAction::Remove) if holder.id.is_empty() => return Some("taken out".to_owned()),
        (Relation::In, LinkAction::Remove) => "taken out of",
    };
    Some(format!("{verb} {holder}"))
}

/// The last word of a URI, with spaces for underscores.
fn readable(term: &str) -> String {
    let last = if term.contains("://") || term.starts_with("urn:") {
        term.rsplit(['/', ':', '#']).next().unwrap_or(term)
    } else {
        term
    };
    let last = last.strip_prefix("BizStep-").or_else(|| last.strip_prefix("Disp-")).unwrap_or(last);
    last.replace('_', " ")
}
