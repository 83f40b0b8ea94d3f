//! As fast as it goes: records in, records out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use waybill_rt::{RealClock, SharedClock};

use crate::Settings;

const PATIENCE: Duration = Duration::from_secs(120);

/// Counts acks and notes when the first and the last one came.
struct Acks {
    clock: SharedClock,
    acked: AtomicU64,
    failed: AtomicU64,
    first_nanos: AtomicU64,
    last_nanos: AtomicU64,
}

#[derive(Clone)]
struct Counting(Arc<Acks>);

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let now = u64::try_from(self.0.clock.monotonic().as_nanos()).unwrap_or(u64::MAX);
        let counter = if result.is_ok() { &self.0.acked } else { &self.0.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.0.first_nanos.fetch_min(now, Ordering::Relaxed);
        self.0.last_nanos.fetch_max(now, Ordering::Relaxed);
    }
}

/// Sends `count` records of `size` bytes with acks=all and waits for all acks.
pub(crate) fn produce(settings: &Settings) -> Result<Value> {
    let (topic, count, size): (String, u64, usize) =
        (settings.need("topic")?, settings.need("count")?, settings.need("size")?);
    let acks = Arc::new(Acks {
        clock: RealClock::shared(),
        acked: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        first_nanos: AtomicU64::new(u64::MAX),
        last_nanos: AtomicU64::new(0),
    });
    let defaults = [("acks", "all"), ("linger.ms", "5"), ("queue.buffering.max.messages", "500000")];
    let config = settings.client(&defaults)?;
    let producer: ThreadedProducer<Counting> = config.create_with_context(Counting(Arc::clone(&acks)))?;
    let payload = vec![b'x'; size];
    let began = u64::try_from(acks.clock.monotonic().as_nanos())?;
    for _ in 0..count {
        let mut record = BaseRecord::<(), [u8]>::to(&topic).payload(&payload);
        while let Err((error, back)) = producer.send(record) {
            ensure!(error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), "produce: {error}");
            producer.poll(Duration::from_millis(1));
            record = back;
        }
    }
    producer.flush(PATIENCE).context("flush")?;
    let (acked, failed) = (acks.acked.load(Ordering::SeqCst), acks.failed.load(Ordering::SeqCst));
    ensure!(acked == count && failed == 0, "{acked} of {count} acked, {failed} failed");
    // One batch at least lies before the first ack, so the time starts with the first send.
    let seconds = Duration::from_nanos(acks.last_nanos.load(Ordering::SeqCst) - began).as_secs_f64();
    Ok(rate(count, size, seconds))
}

/// Reads `count` records of `size` bytes from the start of all partitions, without a group.
pub(crate) fn consume(settings: &Settings) -> Result<Value> {
    let (topic, count, size): (String, u64, usize) =
        (settings.need("topic")?, settings.need("count")?, settings.need("size")?);
    let partitions: i32 = settings.need("partitions")?;
    let clock = RealClock::shared();
    let config = settings.client(&[
        ("group.id", "bench"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
    ])?;
    let consumer: BaseConsumer = config.create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(&topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut seen, mut began, mut last) = (0, None, Duration::ZERO);
    while seen < count {
        let message = consumer.poll(PATIENCE).context("no record came")??;
        let _ = message;
        seen += 1;
        if began.is_none() {
            began = Some(clock.monotonic());
        }
        if seen == count {
            last = clock.monotonic();
        }
    }
    let seconds = (last - began.unwrap_or_default()).as_secs_f64();
    Ok(rate(count, size, seconds))
}

fn rate(count: u64, size: usize, seconds: f64) -> Value {
    let mib = count as f64 * size as f64 / f64::from(1 << 20);
    json!({ "records": count, "mib": mib, "seconds": seconds, "mib_per_second": mib / seconds })
}
