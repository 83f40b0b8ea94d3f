//! The view of `/orders/{id}`.

use std::collections::BTreeMap;

use waybill_types::TimestampMs;
use waybill_ui::model::FactKind;
use waybill_ui::pages::order as ui;

use super::convert::{answer, count, day, evidence, frame, stamp, subject, when};
use crate::api::Names;
use crate::model::change::Change;
use crate::model::conflict::Conflict;
use crate::model::time::Day;
use crate::model::{Answer, Body, Classifier, Kind, Subject, Telling};
use crate::query::history::Line;
use crate::query::track::{Story, Track};

pub(super) fn view(
    track: &Track,
    story: &Story,
    names: &Names,
    all_rows: bool,
    now: TimestampMs,
) -> ui::OrderView {
    let own = &track.answer.subject;
    let first_promised = story
        .changes
        .iter()
        .filter(|change| change.told <= track.settled.moment.as_of)
        .find(|change| change.what == "promised")
        .and_then(new_day);
    let mut timeline: Vec<ui::TimelineRow> =
        track.history.iter().filter_map(|line| row(line, own, names)).collect();
    timeline.reverse();
    ui::OrderView {
        frame: frame(names, now, track.settled.pinned),
        subject: subject(own),
        title: title(&track.answer),
        moment: ui::Moment {
            as_of: (!track.settled.is_now).then(|| stamp(track.settled.moment.as_of)),
            is_final: track.is_final,
            facts_total: count(story.facts),
            revised: count(track.revised.len()),
        },
        answer: answer(&track.answer, track, first_promised),
        answer_now: match &story.answer_now {
            Some(now) if !track.settled.is_now => Some(answer(now, track, first_promised)),
            _ => None,
        },
        ticks: story
            .ticks
            .iter()
            .map(|(told, actual)| ui::Tick { told: stamp(*told), actual: *actual })
            .collect(),
        slip: slip(story, own),
        timeline,
        all_rows,
        links: track
            .links
            .iter()
            .map(|link| ui::LinkRow {
                held: subject(&link.held),
                holder: subject(&link.holder),
                from: link.since.map(when),
                to: link.until.map(when),
            })
            .collect(),
        conflicts: track.conflicts.iter().map(|each| conflict(each, names)).collect(),
        incomplete: incomplete(track, names),
        condition: conditions(&track.readings, names),
        exceptions: track
            .exceptions
            .iter()
            .map(|exception| ui::ExceptionRow {
                rule: exception.rule.name().to_owned(),
                what: exception.what.clone(),
                since: exception.since.map(stamp),
                evidence: exception.evidence.as_ref().map(|at| evidence(names, at)),
            })
            .collect(),
        references: track.answer.attributes.clone(),
    }
}

/// Product and destination, as far as told.
pub(super) fn title(answer: &Answer) -> Option<String> {
    let get = |label: &str| {
        answer.attributes.iter().find(|(known, _)| known == label).map(|(_, value)| value.clone())
    };
    match (get("product"), get("destination")) {
        (Some(product), Some(destination)) => Some(format!("{product}, to {destination}")),
        (product, destination) => product.or(destination),
    }
}

fn new_day(change: &Change) -> Option<Day> {
    change.new.as_deref().and_then(Day::parse)
}

fn slip(story: &Story, own: &Subject) -> ui::Slip {
    let points = |what: &str| {
        let changes = story.changes.iter().filter(|change| change.what == what);
        changes
            .filter_map(|change| {
                Some(ui::SlipPoint { told: stamp(change.told), day: day(new_day(change)?), part: None })
            })
            .collect()
    };
    ui::Slip {
        promises: points("promised"),
        estimates: points("estimated"),
        deliveries: story
            .deliveries
            .iter()
            .map(|(told, on, part)| ui::SlipPoint {
                told: stamp(*told),
                day: day(*on),
                part: (*part != own.id).then(|| part.clone()),
            })
            .collect(),
    }
}

fn row(line: &Line, own: &Subject, names: &Names) -> Option<ui::TimelineRow> {
    let first = line.evidence.first()?;
    let kind = match (line.is_correction, line.classifier) {
        (true, _) => FactKind::Correction,
        (false, Classifier::Pln) => FactKind::Planned,
        (false, Classifier::Est) => FactKind::Estimated,
        (false, Classifier::Act) => FactKind::Actual,
    };
    let detail = match &line.detail {
        Some(detail) => format!("{detail}, {}", line.source),
        None => line.source.clone(),
    };
    Some(ui::TimelineRow {
        told: stamp(line.told),
        happened: line.happened.map(when),
        kind,
        what: capitalised(&line.what),
        detail: Some(detail),
        // A correction speaks of an event, which has no page of its own.
        subject: (line.subject != *own && line.subject.kind != Kind::Event).then(|| subject(&line.subject)),
        evidence: evidence(names, first),
        repeats: count(line.evidence.len().saturating_sub(1)),
        withdrawn: line.withdrawn,
    })
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn conflict(conflict: &Conflict, names: &Names) -> ui::Conflict {
    let claims = conflict.claims.iter().filter_map(|claim| {
        Some(ui::Claim {
            says: claim.day.to_string(),
            source: claim.source.clone(),
            told: stamp(claim.told),
            used: claim.used,
            evidence: evidence(names, claim.evidence.as_ref()?),
        })
    });
    ui::Conflict { about: conflict.about().to_owned(), claims: claims.collect() }
}

fn incomplete(track: &Track, names: &Names) -> Vec<ui::Incomplete> {
    let mut reasons = Vec::new();
    for source in names.health() {
        if source.stopped.is_some() && track.topics.contains(&source.topic) {
            reasons.push(ui::Incomplete::Silent {
                topic: source.name.clone(),
                since: source.last_record_time.map(stamp),
            });
        }
    }
    for source in names.sources().filter(|source| track.topics.contains(&source.topic)) {
        if let Some(since) = source.provable_since {
            reasons.push(ui::Incomplete::ProvableSince { topic: source.name.clone(), since: stamp(since) });
        }
        // What is held now has no place in an answer that must repeat.
        if source.held > 0 && !track.settled.pinned {
            reasons.push(ui::Incomplete::Held { count: source.held, topic: source.name.clone() });
        }
    }
    if track.is_bounded {
        let subjects = u64::try_from(track.looked_at).unwrap_or(u64::MAX);
        reasons.push(ui::Incomplete::Bounded { subjects });
    }
    reasons
}

fn conditions(readings: &[Telling], names: &Names) -> Vec<ui::Condition> {
    let mut series: BTreeMap<(&Subject, &str), ui::Condition> = BTreeMap::new();
    for telling in readings {
        let Body::Condition(reading) = &telling.fact.draft.body else { continue };
        let Some(happened) = telling.fact.draft.happened else { continue };
        let entry = series.entry((&telling.fact.subject, reading.measure.as_str())).or_insert_with(|| {
            ui::Condition {
                name: capitalised(&reading.measure),
                subject: subject(&telling.fact.subject),
                unit: reading.unit.clone(),
                low: None,
                high: None,
                readings: Vec::new(),
                evidence: None,
            }
        });
        entry.low = reading.low.or(entry.low);
        entry.high = reading.high.or(entry.high);
        entry.readings.push((stamp(happened.start()), reading.value));
        entry.evidence = Some(evidence(names, &telling.evidence));
    }
    let mut all: Vec<ui::Condition> = series.into_values().collect();
    for condition in &mut all {
        condition.readings.sort_by_key(|(told, _)| told.0);
        condition.readings.dedup();
    }
    all
}
