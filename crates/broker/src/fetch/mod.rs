//! Fetch: read what is there, wait for more within the client's patience, answer.
//!
//! - [`session`]: which partitions, from where (KIP-227).
//! - [`read`]: one pass over them.
//! - [`replay`]: reads of history beyond a topic's live window.
//!
//! A waiting fetch holds no bytes: each pass reads anew.

mod read;
mod replay;
pub mod session;

use std::sync::Arc;
use std::time::Duration;

use waybill_protocol::wire::{DecodeError, Message, Reader};
use waybill_protocol_gen::ApiKey;
use waybill_protocol_gen::messages::fetch_response::FetchableTopicResponse;
use waybill_protocol_gen::messages::{FetchRequest, FetchResponse};
use waybill_rt::BudgetPermit;
use waybill_security::{Direction, QuotaKind};
use waybill_storage::Waiter;

use crate::broker::Broker;
use crate::handler::{Call, respond, throttle_ms};
use crate::net::outbox::{Pending, Reply};
pub use read::check_epoch;
use read::{Bounds, PartitionAnswer, Reading};
pub use replay::Replays;
use session::{Context, Mode, Told};

/// The most record bytes of one response, except that one batch is given whatever its size. Clients ask for 50 MiB and
/// more at a time, of which each byte is in memory until it is sent; they come again at once for the rest.
const RESPONSE_BYTES: usize = 8 << 20;

/// Starts a request.
///
/// # Errors
/// When the bytes are no Fetch request.
pub fn start(broker: &Arc<Broker>, call: Call, mut reader: Reader) -> Result<Pending, DecodeError> {
    let request = FetchRequest::decode(&mut reader, call.version)?;
    let fresh_id = (broker.entropy.next_u64() & 0x7fff_ffff) as i32;
    let now = broker.clock.monotonic();
    let opened = broker.fetch_sessions.lock().open(&request, call.version, fresh_id, now);
    let broker = Arc::clone(broker);
    Ok(Box::pin(async move {
        match opened {
            Ok(context) => fetch(broker, call, request, context).await,
            Err(code) => {
                let response = FetchResponse { error_code: code.code(), ..FetchResponse::default() };
                respond(&call, ApiKey::Fetch, &response, Duration::ZERO)
            }
        }
    }))
}

async fn fetch(broker: Arc<Broker>, call: Call, request: FetchRequest, context: Context) -> Reply {
    let patience = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or_default());
    let deadline = broker.clock.monotonic() + patience;
    let limit = usize::try_from(request.max_bytes).unwrap_or_default();
    let limit = limit.min(broker.config.fetch_max_bytes).min(RESPONSE_BYTES);
    let bounds = Bounds {
        max_bytes: limit,
        min_bytes: usize::try_from(request.min_bytes).unwrap_or_default(),
        committed_only: request.isolation_level == 1,
    };
    let reading = Reading::resolve(&broker, &call, &context.wanted);
    let waiter = Waiter::new();
    let mut unarmed = reading.tokens();
    let answers = loop {
        let answers = reading.pass(&broker, &call, bounds).await;
        let left = deadline.saturating_sub(broker.clock.monotonic());
        let bytes: usize = answers.iter().map(|answer| answer.bytes).sum();
        let failed = answers.iter().any(|answer| answer.failed);
        // What had no room is left for the next time: waiting would not make this response larger.
        let full = bytes > 0 && answers.iter().any(|answer| answer.left_out(bounds));
        if bytes >= bounds.min_bytes || full || failed || left.is_zero() || answers.is_empty() {
            break answers;
        }
        // What has had news since this pass is read again at once; the rest tells us.
        unarmed = reading.arm(&waiter, &unarmed, &answers);
        drop(answers);
        if unarmed.is_empty() {
            tokio::select! {
                biased;
                fired = waiter.fired() => unarmed = fired,
                () = broker.clock.sleep(left) => {}
            }
        }
    };
    let (answers, room) = within_memory(&broker, &call, &reading, bounds, answers).await;
    let mut reply = answer(&broker, &call, context.mode, answers);
    if let Reply::Send { hold, .. } = &mut reply {
        hold.room = room;
    }
    reply
}

/// Takes memory for what is about to be sent. Where there is none, what was read is let go of before memory is waited
/// for, and as much is read again as the first partition had.
async fn within_memory(
    broker: &Broker,
    call: &Call,
    reading: &Reading<'_>,
    bounds: Bounds,
    answers: Vec<PartitionAnswer>,
) -> (Vec<PartitionAnswer>, Option<BudgetPermit>) {
    let bytes: usize = answers.iter().map(|answer| answer.bytes).sum();
    if bytes == 0 {
        return (answers, None);
    }
    if let Some(room) = broker.responses.try_take(bytes) {
        return (answers, Some(room));
    }
    // Of the first partition that has records at least its first batch is given, so its share must hold that.
    let share = answers.iter().map(|answer| answer.bytes).find(|bytes| *bytes > 0).unwrap_or_default();
    drop(answers);
    let room = broker.responses.take(share).await;
    let bounds = Bounds { max_bytes: bounds.max_bytes.min(share), ..bounds };
    (reading.pass(broker, call, bounds).await, Some(room))
}

fn answer(broker: &Broker, call: &Call, mode: Mode, answers: Vec<PartitionAnswer>) -> Reply {
    let principal = call.context.principal.to_string();
    let mut response = FetchResponse::default();
    let mut bytes = 0u64;
    let mut moved = false;
    let session = match mode {
        Mode::Full(session) | Mode::Incremental(session) => session,
    };
    response.session_id = session;
    let mut sessions = broker.fetch_sessions.lock();
    for answer in answers {
        let data = answer.data;
        let told = Told { high_watermark: data.high_watermark, log_start: data.log_start_offset };
        let worth =
            session == 0 || sessions.tell(session, &answer.key, told, answer.bytes > 0, answer.failed);
        if matches!(mode, Mode::Incremental(_)) && !worth {
            continue;
        }
        bytes += answer.bytes as u64;
        if answer.bytes > 0
            && let Some(topic) = &answer.topic
        {
            let meter = broker.usage.meter(&principal, &call.context.client_id, Some(&topic.name));
            meter.count(Direction::Out, answer.bytes as u64);
        }
        moved |= data.current_leader.leader_id >= 0;
        match response.responses.last_mut() {
            Some(last) if last.topic == answer.key.name && last.topic_id == answer.key.id => {
                last.partitions.push(data);
            }
            _ => response.responses.push(FetchableTopicResponse {
                topic: answer.key.name,
                topic_id: answer.key.id,
                partitions: vec![data],
                ..FetchableTopicResponse::default()
            }),
        }
    }
    drop(sessions);
    if moved {
        response.node_endpoints.push(broker.leader_address(call).into());
    }
    let throttle = broker.quotas.charge(&call.context, QuotaKind::Fetch, bytes);
    response.throttle_time_ms = throttle_ms(throttle);
    respond(call, ApiKey::Fetch, &response, throttle)
}
