//! How far a view is behind its sources, and which of them stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use waybill_types::{Offset, TimestampMs, TopicId};

use super::{ENDS_INTERVAL, Part, TopicInfo};
use crate::mapping::Mapping;
use crate::model::Frontier;

/// A view is stale when it last held everything longer ago than this.
pub const STALE_AFTER: Duration = Duration::from_secs(60);

/// How old an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Milliseconds since all known end offsets were reached; 0 if they are now.
    pub lag_ms: u64,
    /// That is longer than [`STALE_AFTER`].
    pub stale: bool,
}

/// One source as ingest sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceHealth {
    /// The topic's name.
    pub name: String,
    /// Its id.
    pub topic: TopicId,
    /// What maps it; `None` when it was never read.
    pub mapping: Option<Mapping>,
    /// Highest record time that all its partitions that told something have reached.
    pub last_record_time: Option<TimestampMs>,
    /// Records not read yet.
    pub behind: u64,
    /// Why it is not read any more.
    pub stopped: Option<String>,
}

#[derive(Debug)]
struct Inner {
    confirmed: Option<Duration>,
    caught_up: bool,
    sources: BTreeMap<TopicId, SourceHealth>,
}

/// Shared between ingest and answers.
#[derive(Debug)]
pub struct Progress {
    started: Duration,
    inner: Mutex<Inner>,
}

impl Progress {
    /// Nothing was read yet; `now` is the monotonic clock's.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        let inner = Inner { confirmed: None, caught_up: false, sources: BTreeMap::new() };
        Self { started: now, inner: Mutex::new(inner) }
    }

    /// How old an answer given at `now` (monotonic) may be.
    #[must_use]
    pub fn freshness(&self, now: Duration) -> Freshness {
        let confirmed = self.inner.lock().confirmed;
        let age = now.saturating_sub(confirmed.unwrap_or(self.started));
        // End offsets are asked for once a second: in between, the last look counts as now.
        let is_now = confirmed.is_some() && age <= ENDS_INTERVAL * 3;
        let lag_ms = if is_now { 0 } else { u64::try_from(age.as_millis()).unwrap_or(u64::MAX) };
        Freshness { lag_ms, stale: !is_now && age > STALE_AFTER }
    }

    /// Whether all end offsets known were reached when they were last asked for.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.inner.lock().caught_up
    }

    /// Whether they ever were.
    #[must_use]
    pub fn was_caught_up(&self) -> bool {
        self.inner.lock().confirmed.is_some()
    }

    /// Every source, by name.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceHealth> {
        let mut sources: Vec<SourceHealth> = self.inner.lock().sources.values().cloned().collect();
        sources.sort_by(|a, b| (&a.name, a.topic).cmp(&(&b.name, b.topic)));
        sources
    }

    fn with(&self, topic: &TopicInfo, change: impl FnOnce(&mut SourceHealth)) {
        let mut inner = self.inner.lock();
        change(inner.sources.entry(topic.id).or_insert_with(|| SourceHealth {
            name: topic.name.clone(),
            topic: topic.id,
            mapping: None,
            last_record_time: None,
            behind: 0,
            stopped: None,
        }));
    }

    pub(super) fn reading(&self, topic: &TopicInfo, mapping: Mapping) {
        tracing::info!(topic = topic.name, mapping = mapping.name(), "reading a source");
        self.with(topic, |source| source.mapping = Some(mapping));
    }

    pub(super) fn stop(&self, topic: &TopicInfo, reason: &str) {
        self.with(topic, |source| {
            if source.stopped.as_deref() != Some(reason) {
                tracing::error!(topic = topic.name, reason, "a source stopped");
            }
            source.stopped = Some(reason.to_owned());
        });
    }

    /// End offsets were asked for at `now`; `missing` named topics are not there.
    pub(super) fn measured(
        &self,
        ends: &BTreeMap<Part, Offset>,
        next: &BTreeMap<Part, Offset>,
        frontier: &Frontier,
        missing: usize,
        now: Duration,
    ) {
        let mut inner = self.inner.lock();
        let mut all = 0_u64;
        for (topic, source) in &mut inner.sources {
            source.behind = ends
                .iter()
                .filter(|((of, _), _)| of == topic)
                .map(|(part, end)| {
                    let reached = next.get(part).map_or(0, |next| next.get());
                    u64::try_from(end.get().saturating_sub(reached)).unwrap_or(0)
                })
                .sum();
            source.last_record_time = frontier.watermark(*topic);
            all = all.saturating_add(source.behind);
        }
        inner.caught_up = all == 0 && missing == 0;
        if inner.caught_up {
            inner.confirmed = Some(now);
        }
    }
}
