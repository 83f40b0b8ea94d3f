//! `GET /v1/track/{id}`, and the pieces that other answers share.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use waybill_types::TopicId;

use super::ask::{MomentParams, etag, respond, with_snapshot};
use super::{
    App, ClaimBody, ConflictBody, EvidenceBody, ExceptionBody, Frame, FrontierBody, HistoryBody, LineBody,
    LinkBody, LocationBody, OffsetBody, Problem, ReadingBody, SourceBody, SubjectBody, TrackBody,
};
use crate::ingest::{Freshness, SourceHealth};
use crate::model::answer::{Part, Seen};
use crate::model::conflict::Conflict;
use crate::model::exception::Exception;
use crate::model::links::Link;
use crate::model::time::{Day, When, instant_text};
use crate::model::{Body, Evidence, Kind, Relation, Subject, Telling};
use crate::query::history::{Line, place_words};
use crate::query::{Settled, track as ask};
use crate::store::{Read, SourceRow, StoreError};

/// What names topics and sources in one answer.
pub(crate) struct Names {
    topics: BTreeMap<TopicId, SourceRow>,
    health: Vec<SourceHealth>,
    freshness: Freshness,
}

impl Names {
    pub(crate) fn load(
        app_progress: &crate::ingest::Progress,
        now: std::time::Duration,
        read: &dyn Read,
    ) -> Result<Self, StoreError> {
        let topics = read.sources()?.into_iter().map(|source| (source.topic, source)).collect();
        Ok(Self { topics, health: app_progress.sources(), freshness: app_progress.freshness(now) })
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = &SourceRow> {
        self.topics.values()
    }

    pub(crate) fn topic(&self, id: TopicId) -> String {
        self.topics.get(&id).map_or_else(|| id.to_string(), |source| source.name.clone())
    }

    pub(crate) const fn freshness(&self) -> Freshness {
        self.freshness
    }

    pub(crate) fn health(&self) -> &[SourceHealth] {
        &self.health
    }

    pub(crate) fn evidence(&self, at: &Evidence) -> EvidenceBody {
        EvidenceBody { topic: self.topic(at.topic), partition: at.partition.get(), offset: at.offset.get() }
    }

    pub(crate) fn frontier(&self, settled: &Settled) -> FrontierBody {
        FrontierBody {
            token: settled.token().to_string(),
            offsets: settled
                .frontier
                .positions
                .iter()
                .map(|((topic, partition), position)| OffsetBody {
                    topic: self.topic(*topic),
                    topic_id: topic.to_string(),
                    partition: partition.get(),
                    next: position.next.get(),
                })
                .collect(),
        }
    }

    pub(crate) fn frame(&self, settled: &Settled) -> Frame {
        let mut topics: Vec<TopicId> = settled.frontier.positions.keys().map(|(topic, _)| *topic).collect();
        topics.dedup();
        let live = |topic: TopicId| {
            // What ingest knows of a source now has no place in an answer that must repeat.
            self.health.iter().find(|health| health.topic == topic && !settled.pinned)
        };
        Frame {
            as_of: instant_text(settled.moment.as_of),
            at: settled.moment.at.map(instant_text),
            frontier: self.frontier(settled),
            lag_ms: (!settled.pinned).then_some(self.freshness.lag_ms),
            stale: (!settled.pinned).then_some(self.freshness.stale),
            sources: topics
                .into_iter()
                .map(|topic| SourceBody {
                    topic: self.topic(topic),
                    last_record_time: settled.frontier.watermark(topic).map(instant_text),
                    provable_since: self
                        .topics
                        .get(&topic)
                        .and_then(|source| source.provable_since)
                        .map(instant_text),
                    stopped: live(topic).and_then(|health| health.stopped.clone()),
                })
                .collect(),
        }
    }

    pub(crate) fn exception(&self, exception: &Exception) -> ExceptionBody {
        ExceptionBody {
            id: exception.id(),
            rule: exception.rule.name().to_owned(),
            subject: subject(&exception.subject),
            since: exception.since.map(instant_text),
            due: day(exception.due),
            count: exception.count,
            what: exception.what.clone(),
            evidence: exception.evidence.as_ref().map(|at| self.evidence(at)),
        }
    }

    fn history(&self, line: &Line) -> HistoryBody {
        let first = line.evidence.first();
        HistoryBody {
            event_time: when(line.happened),
            record_time: instant_text(line.told),
            what: line.what.clone(),
            detail: line.detail.clone(),
            classifier: format!("{:?}", line.classifier).to_uppercase(),
            subject: subject(&line.subject),
            source: line.source.clone(),
            topic: first.map(|at| self.topic(at.topic)),
            partition: first.map(|at| at.partition.get()),
            offset: first.map(|at| at.offset.get()),
            repeats: line.evidence.len().saturating_sub(1),
            withdrawn: line.withdrawn,
        }
    }

    fn conflict(&self, conflict: &Conflict) -> ConflictBody {
        ConflictBody {
            subject: subject(&conflict.subject),
            about: conflict.about().to_owned(),
            claims: conflict
                .claims
                .iter()
                .map(|claim| ClaimBody {
                    says: claim.day.to_string(),
                    source: claim.source.clone(),
                    record_time: instant_text(claim.told),
                    used: claim.used,
                    evidence: claim.evidence.as_ref().map(|at| self.evidence(at)),
                })
                .collect(),
        }
    }
}

pub(crate) fn subject(subject: &Subject) -> SubjectBody {
    SubjectBody { kind: subject.kind.name().to_owned(), id: subject.id.clone() }
}

pub(crate) fn day(day: Option<Day>) -> Option<String> {
    day.map(|day| day.to_string())
}

pub(crate) fn when(when: Option<When>) -> Option<String> {
    when.map(|when| when.to_string())
}

fn attributes(values: &[(String, String)]) -> serde_json::Map<String, serde_json::Value> {
    values.iter().map(|(label, value)| (label.clone(), value.clone().into())).collect()
}

fn location(seen: &Seen) -> LocationBody {
    LocationBody {
        place: place_words(&seen.located),
        place_id: seen.located.place.clone(),
        country: seen.located.country.clone(),
        seen: when(seen.seen),
        source: seen.source.clone(),
        by: subject(&seen.by),
    }
}

fn line(part: &Part) -> LineBody {
    LineBody {
        id: part.id.clone(),
        state: part.state.name().to_owned(),
        promised: day(part.promised),
        estimated: day(part.estimated),
        delivered: day(part.delivered),
        days_late: part.days_late,
        shipments: part.shipments.clone(),
        attributes: attributes(&part.attributes),
    }
}

fn link(link: &Link) -> LinkBody {
    let relation = match link.relation {
        Relation::PartOf => "part_of",
        Relation::In => "in",
        Relation::Named => "named",
    };
    LinkBody {
        held: subject(&link.held),
        holder: subject(&link.holder),
        relation: relation.to_owned(),
        since: when(link.since),
        until: when(link.until),
    }
}

fn reading(telling: &Telling) -> Option<ReadingBody> {
    let Body::Condition(condition) = &telling.fact.draft.body else { return None };
    Some(ReadingBody {
        subject: subject(&telling.fact.subject),
        measure: condition.measure.clone(),
        value: condition.value,
        unit: condition.unit.clone(),
        event_time: when(telling.fact.draft.happened),
        outside: condition.is_excursion(),
    })
}

/// The JSON form of an answer.
pub(crate) fn body(track: &ask::Track, names: &Names) -> TrackBody {
    let answer = &track.answer;
    TrackBody {
        id: answer.subject.id.clone(),
        kind: answer.subject.kind.name().to_owned(),
        state: answer.state.name().to_owned(),
        location: answer.location.as_ref().map(location),
        promised: day(answer.promised),
        estimated: day(answer.estimated),
        delivered: day(answer.delivered),
        days_late: answer.days_late,
        frame: names.frame(&track.settled),
        is_final: track.is_final,
        attributes: attributes(&answer.attributes),
        lines: answer.lines.iter().map(line).collect(),
        links: track.links.iter().map(link).collect(),
        history: track.history.iter().map(|line| names.history(line)).collect(),
        conflicts: track.conflicts.iter().map(|conflict| names.conflict(conflict)).collect(),
        exceptions: track.exceptions.iter().map(|exception| names.exception(exception)).collect(),
        revised: track.revised.iter().map(|line| names.history(line)).collect(),
        readings: track.readings.iter().filter_map(reading).collect(),
        bounded: track.is_bounded,
    }
}

/// Parameters of `GET /v1/track/{id}`.
#[derive(Debug, Deserialize)]
pub(crate) struct TrackParams {
    #[serde(flatten)]
    moment: MomentParams,
    kind: Option<String>,
}

/// Where it is, what was promised, whether it is late, who said so.
#[utoipa::path(
    get,
    path = "/v1/track/{id}",
    params(
        ("id" = String, Path, description = "Order, line, shipment, container, pallet or item"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 instant, day, frontier:TOKEN or checkpoint:NAME"),
        ("at" = Option<String>, Query, description = "What was true then, as known at as_of"),
        ("kind" = Option<String>, Query, description = "Which kind, when several have this id"),
    ),
    responses(
        (status = 200, body = TrackBody),
        (status = 304, description = "The client has this answer"),
        (status = 400, body = super::ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = super::ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn track(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(params): Query<TrackParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let question = params.moment.question()?;
    let kind = match params.kind.as_deref() {
        None => None,
        Some(name) => Some(Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            Problem::new(400, format!("there is no kind '{name}'"))
                .hint("order, line, shipment, container, pallet, item")
        })?),
    };
    let (progress, monotonic) = (app.progress.clone(), app.clock.monotonic());
    let (body, tag) = with_snapshot(&app, move |read, now| {
        let track = ask::track(read, &question, &id, kind, now)?;
        let names = Names::load(&progress, monotonic, read).map_err(crate::query::QueryError::from)?;
        let tag = etag(&track.settled, names.freshness().stale);
        Ok((body(&track, &names), tag))
    })
    .await?;
    Ok(respond(&headers, &tag, &body))
}
