//! Handing records to librdkafka, whose queue may be full.

use std::time::Duration;

use anyhow::bail;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use waybill_rt::Clock;

/// How long a full queue is left alone.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// A record to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a str,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: &'a [u8],
    /// Its timestamp, in ms since 1970.
    pub(crate) timestamp_ms: i64,
    pub(crate) headers: Vec<(&'a str, &'a [u8])>,
}

/// Queues a record, waiting while the queue is full.
///
/// # Errors
/// When librdkafka refuses the record for any other reason.
pub(crate) async fn send<C>(
    producer: &ThreadedProducer<C>,
    clock: &dyn Clock,
    record: Outgoing<'_>,
) -> anyhow::Result<()>
where
    C: ProducerContext<DeliveryOpaque = ()> + 'static,
{
    let headers = record
        .headers
        .into_iter()
        .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value) }));
    let mut message = BaseRecord::<[u8], [u8]>::to(record.topic)
        .payload(record.value)
        .timestamp(record.timestamp_ms)
        .headers(headers);
    if let Some(key) = record.key {
        message = message.key(key);
    }
    loop {
        match producer.send(message) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                message = back;
                clock.sleep(QUEUE_PAUSE).await;
            }
            Err((error, _)) => bail!("a record can not be sent: {error}"),
        }
    }
}
