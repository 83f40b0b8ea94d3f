//! Time from sending a record to its ack, at a fixed rate, in an open loop: a late ack delays no later record.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::client::ClientContext;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use serde_json::{Value, json};
use waybill_rt::{RealClock, SharedClock};

use crate::Settings;

const PATIENCE: Duration = Duration::from_secs(60);

struct Timer {
    clock: SharedClock,
    warm: Duration,
    nanos: Arc<Mutex<Vec<u64>>>,
}

impl ClientContext for Timer {}

impl ProducerContext for Timer {
    type DeliveryOpaque = Box<Duration>;

    fn delivery(&self, result: &DeliveryResult<'_>, due: Box<Duration>) {
        if *due < self.warm {
            return;
        }
        let took = self.clock.monotonic().saturating_sub(*due);
        let nanos =
            if result.is_ok() { u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) } else { u64::MAX };
        self.nanos.lock().unwrap_or_else(PoisonError::into_inner).push(nanos);
    }
}

/// Sends `rate` records of `size` bytes a second for `seconds` after `warmup` seconds that are not counted. A record's
/// time starts when it is due, so that a sender that falls behind shows.
pub(crate) fn run(settings: &Settings) -> Result<Value> {
    let (topic, size): (String, usize) = (settings.need("topic")?, settings.need("size")?);
    let (rate, seconds, warmup): (u64, u64, u64) =
        (settings.need("rate")?, settings.need("seconds")?, settings.need("warmup")?);
    let clock = RealClock::shared();
    let nanos = Arc::new(Mutex::new(Vec::new()));
    let began = clock.monotonic() + Duration::from_millis(500);
    let timer = Timer {
        clock: Arc::clone(&clock),
        warm: began + Duration::from_secs(warmup),
        nanos: Arc::clone(&nanos),
    };
    let defaults = [("acks", "all"), ("linger.ms", "0"), ("queue.buffering.max.messages", "1000000")];
    let config = settings.client(&defaults)?;
    let producer: ThreadedProducer<Timer> = config.create_with_context(timer)?;
    producer.client().fetch_metadata(Some(&topic), PATIENCE)?;
    let payload = vec![b'x'; size];
    for index in 0..rate * (seconds + warmup) {
        let due = began + Duration::from_nanos(1_000_000_000 / rate * index);
        while let Some(left) = due.checked_sub(clock.monotonic()).filter(|left| !left.is_zero()) {
            std::thread::sleep(left);
        }
        let record =
            BaseRecord::<(), [u8], Box<Duration>>::with_opaque_to(&topic, Box::new(due)).payload(&payload);
        producer.send(record).map_err(|(error, _)| error).context("produce")?;
    }
    producer.flush(PATIENCE).context("flush")?;
    let mut all = std::mem::take(&mut *nanos.lock().unwrap_or_else(PoisonError::into_inner));
    all.sort_unstable();
    ensure!(all.last().is_some_and(|last| *last < u64::MAX), "a record was refused");
    let at = |share: f64| {
        let index = ((all.len() as f64 * share) as usize).min(all.len().saturating_sub(1));
        all.get(index).copied().unwrap_or_default() as f64 / 1e6
    };
    Ok(json!({
        "records": all.len(), "p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99), "p999_ms": at(0.999),
        "max_ms": at(1.0),
    }))
}
