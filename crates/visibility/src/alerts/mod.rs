//! Alerts: what needs a decision is told outside, once, with a stable id, however often anything dies in between.
//!
//! - [`outbox`]: what began and ended, numbered and kept.
//! - [`hook`]: telling it to webhooks, signed, again and again until they take it.
//!
//! The alerter evaluates the view that serves against the clock, and only while that view holds all there is: a view
//! that is being built, or that is catching up, tells nothing.

pub mod hook;
pub mod outbox;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use waybill_rt::SharedClock;

use crate::model::Frontier;
use crate::model::time::{Day, instant_text};
use crate::query::{QueryError, Question, lists};
use crate::views::Views;
pub use hook::Webhook;
pub use outbox::{AlertBody, AlertEvent, Outbox};

/// How often it is looked whether anything has changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Of the time, evaluating takes at most this part.
const SHARE: u32 = 10;

/// Evaluates until asked to stop. A failure is told once and tried again.
pub(crate) async fn run(
    views: Arc<Views>,
    outbox: Arc<Outbox>,
    clock: SharedClock,
    stopping: CancellationToken,
) -> Result<(), String> {
    let mut last: Option<(Frontier, Day)> = None;
    let mut rest = LOOK_EVERY;
    let mut told: Option<String> = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = stopping.cancelled() => return Ok(()),
        }
        let began = clock.monotonic();
        let (views, outbox, clock_too) = (Arc::clone(&views), Arc::clone(&outbox), Arc::clone(&clock));
        let before = last.clone();
        let round =
            tokio::task::spawn_blocking(move || evaluate(&views, &outbox, &clock_too, before.as_ref()));
        match round.await.map_err(|join| join.to_string())? {
            Ok(Some(now)) => {
                last = Some(now);
                told = None;
            }
            Ok(None) => {}
            Err(error) => {
                let text = error.to_string();
                if told.as_deref() != Some(text.as_str()) {
                    tracing::error!(error = text, "alerts are not evaluated");
                    told = Some(text);
                }
            }
        }
        rest = LOOK_EVERY.max(clock.monotonic().saturating_sub(began) * SHARE);
    }
}

/// Puts what needs a decision now into the outbox, unless nothing has changed since `last`.
fn evaluate(
    views: &Views,
    outbox: &Outbox,
    clock: &SharedClock,
    last: Option<&(Frontier, Day)>,
) -> Result<Option<(Frontier, Day)>, QueryError> {
    let Some(serving) = views.serving() else { return Ok(None) };
    if !serving.progress.is_caught_up() {
        return Ok(None);
    }
    let now = clock.now();
    let read = serving.store.read()?;
    let state = (read.frontier()?, Day::of(now));
    if last == Some(&state) || !serving.store.dirty(1)?.is_empty() {
        return Ok(None);
    }
    let (_, exceptions) = lists::exceptions(read.as_ref(), &Question::now(), now)?;
    let found: BTreeMap<String, AlertBody> = exceptions
        .into_iter()
        .map(|exception| {
            let id = exception.id();
            let body = AlertBody {
                rule: exception.rule.name().to_owned(),
                kind: exception.subject.kind.name().to_owned(),
                subject: exception.subject.id.clone(),
                since: exception.since.map(instant_text),
                due: exception.due.map(|due| due.to_string()),
                count: exception.count,
                what: exception.what,
                exception: id.clone(),
            };
            (id, body)
        })
        .collect();
    // A view that was switched meanwhile is evaluated in the next round.
    if views.serving().is_none_or(|other| other.number != serving.number) {
        return Ok(None);
    }
    outbox.take(&found, now)?;
    Ok(Some(state))
}
