//! Produce: authorise, validate, assign offsets, hand to the WAL, answer once durable.
//!
//! [`start`] runs in the connection's reader and returns once the batches hold their places in the WAL's queue, so
//! that appends of one connection keep their order; what it returns resolves when they are durable. acks=1 and
//! acks=all mean the same here; acks=0 is answered by nothing, and by a closed connection when something is wrong.
//!
//! - [`plan`]: the request taken apart without copying a record.
//! - [`check`]: who may, which topic, which rules.
//! - [`answer`]: the response, once each batch is durable, refused, or out of time.

mod answer;
mod check;
mod plan;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use waybill_protocol::wire::DecodeError;
use waybill_protocol_gen::ApiKey;
use waybill_security::{Direction, QuotaKind};
use waybill_storage::{Ack, AppendError, AppendItem, Appended};

use crate::broker::Broker;
use crate::handler::{Call, ready, respond, throttle_ms};
use crate::net::outbox::{Pending, Reply};
use answer::{Answer, Outcome, Refusal, TopicAnswer};
use plan::Plan;

/// Starts a request; `body` is where it begins in the frame.
///
/// # Errors
/// When the bytes are no Produce request.
pub async fn start(
    broker: &Arc<Broker>,
    call: Call,
    frame: Bytes,
    body: usize,
) -> Result<Pending, DecodeError> {
    let plan = Plan::decode(frame, body, call.version)?;
    let bytes = plan.record_bytes() as u64;
    broker
        .usage
        .meter(&call.context.principal.to_string(), &call.context.client_id, None)
        .count(Direction::In, bytes);
    let acks = plan.acks;
    let timeout = Duration::from_millis(u64::try_from(plan.timeout_ms).unwrap_or_default());
    let answer = append(broker, &call, plan).await;
    let throttle = broker.quotas.charge(&call.context, QuotaKind::Produce, bytes);
    if acks == 0 {
        return Ok(ready(match answer.first_refusal() {
            Some(refusal) => Reply::Close(format!("a produce request with acks=0 failed: {}", refusal.code)),
            None => Reply::Silent { throttle },
        }));
    }
    let broker = Arc::clone(broker);
    Ok(Box::pin(async move {
        let mut response = answer.settle(&broker, &call, timeout).await;
        response.throttle_time_ms = throttle_ms(throttle);
        respond(&call, ApiKey::Produce, &response, throttle)
    }))
}

/// Checks every batch, then appends all that passed, in the order of the request.
async fn append(broker: &Broker, call: &Call, plan: Plan) -> Answer {
    let problem = plan.problem();
    let frame_bytes = plan.frame_bytes;
    let mut topics = Vec::with_capacity(plan.topics.len());
    let mut items = Vec::new();
    for topic in plan.topics {
        let known = match &problem {
            Some(problem) => Err(problem.clone()),
            None => check::topic(broker, call, &topic),
        };
        let mut answer = TopicAnswer { name: topic.name, id: topic.id, partitions: Vec::new() };
        for partition in topic.partitions {
            let index = partition.index;
            let checked = match &known {
                Ok(known) => check::partition(broker, call, known, partition).await,
                Err(refusal) => Err(refusal.clone()),
            };
            answer.partitions.push((
                index,
                match checked {
                    Ok(item) => {
                        items.push(item);
                        Outcome::Queued(items.len() - 1)
                    }
                    Err(refusal) => Outcome::Refused(refusal),
                },
            ));
        }
        topics.push(answer);
    }
    let (results, ack) = assign(broker, items, frame_bytes).await;
    let mut results: Vec<_> = results.into_iter().map(Some).collect();
    for (_, outcome) in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if let Outcome::Queued(at) = outcome
            && let Some(result) = results.get_mut(*at).and_then(Option::take)
        {
            *outcome = match result {
                Ok(appended) => Outcome::Appended(appended),
                Err(refusal) => Outcome::Refused(refusal),
            };
        }
    }
    Answer { topics, ack }
}

/// Waits for room in the WAL's queue, then assigns offsets and queues, in one step.
async fn assign(
    broker: &Broker,
    items: Vec<AppendItem>,
    frame_bytes: usize,
) -> (Vec<Result<Appended, Refusal>>, Option<Ack>) {
    if items.is_empty() {
        return (Vec::new(), None);
    }
    let bytes = items.iter().map(|item| item.batch.size()).sum();
    match broker.engine.reserve(bytes).await {
        Ok(permit) => {
            let (results, ack) = broker.engine.append_many(items, frame_bytes, permit);
            let results = results.into_iter().map(|result| result.map_err(|error| Refusal::from(&error)));
            (results.collect(), Some(ack))
        }
        Err(error) => {
            let refusal = Refusal::from(&AppendError::from(error));
            (items.iter().map(|_| Err(refusal.clone())).collect(), None)
        }
    }
}
