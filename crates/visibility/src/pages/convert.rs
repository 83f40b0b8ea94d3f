//! From the model's values to the plain ones that pages take.

use waybill_types::TimestampMs;
use waybill_ui::model as ui;
use waybill_ui::time as at;

use crate::api::Names;
use crate::model::answer::{Answer, Seen};
use crate::model::time::{Day, When};
use crate::model::{Evidence, State, Subject};
use crate::query::history::place_words;
use crate::query::track::Track;

pub(super) const fn stamp(instant: TimestampMs) -> at::Stamp {
    at::Stamp(instant.get())
}

pub(super) const fn day(day: Day) -> at::Day {
    at::Day(day.0 as i64)
}

pub(super) const fn when(when: When) -> at::When {
    match when {
        When::Day(on) => at::When::On(day(on)),
        When::Instant(instant) => at::When::At(stamp(instant)),
    }
}

pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(super) fn subject(subject: &Subject) -> ui::Subject {
    ui::Subject { id: subject.id.clone(), kind: subject.kind.name().to_owned() }
}

pub(super) const fn state(state: State) -> ui::State {
    match state {
        State::Ordered => ui::State::Ordered,
        State::InTransit => ui::State::InTransit,
        State::PartiallyDelivered => ui::State::PartiallyDelivered,
        State::Delivered => ui::State::Delivered,
        State::Cancelled => ui::State::Cancelled,
        State::Unknown => ui::State::Unknown,
    }
}

pub(super) fn evidence(names: &Names, evidence: &Evidence) -> ui::Evidence {
    ui::Evidence {
        topic: names.topic(evidence.topic),
        partition: evidence.partition.get(),
        offset: evidence.offset.get(),
        href: None,
    }
}

fn location(seen: &Seen) -> ui::Location {
    ui::Location {
        place: place_words(&seen.located),
        seen: seen.seen.map(when),
        source: Some(seen.source.clone()),
    }
}

/// The fields of `GET /v1/track/{id}` as a page shows them.
pub(super) fn answer(answer: &Answer, track: &Track, first_promised: Option<Day>) -> ui::Answer {
    let done = answer.lines.iter().filter(|line| line.state == State::Delivered).count();
    let progress = (!answer.lines.is_empty()).then(|| ui::Progress {
        done: count(done),
        total: count(answer.lines.len()),
        noun: "line".to_owned(),
    });
    ui::Answer {
        state: state(answer.state),
        location: answer.location.as_ref().map(location),
        promised: answer.promised.map(day),
        first_promised: first_promised.map(day),
        estimated: answer.estimated.map(day),
        delivered: answer.delivered.map(day),
        delivered_told: answer.delivered_told.map(stamp),
        days_late: answer.days_late,
        progress,
        facts: count(track.facts),
        sources: count(track.sources.len()),
        conflicts: count(track.conflicts.len()),
    }
}

/// What every page carries around its content.
pub(super) fn frame(names: &Names, now: TimestampMs, pinned: bool) -> ui::Frame {
    let freshness = names.freshness();
    ui::Frame {
        now: stamp(now),
        freshness: ui::Freshness {
            lag_ms: (!pinned).then_some(freshness.lag_ms),
            stale: !pinned && freshness.stale,
            sources: names
                .health()
                .iter()
                .map(|source| ui::SourceRow {
                    topic: source.name.clone(),
                    last_record_time: source.last_record_time.map(stamp),
                    behind: Some(source.behind),
                    silent: source.stopped.is_some(),
                })
                .collect(),
        },
        viewer: None,
    }
}
