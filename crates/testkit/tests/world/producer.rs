//! Idempotent producers that outlive the node: what they do not know to be acked they send again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{join, try_join_all};
use waybill_client::Client;
use waybill_client::admin::TopicPartition;
use waybill_client::data::{Acks, FetchOptions};
use waybill_protocol::batch::{BatchBuilder, NewRecord, split_batches};
use waybill_protocol::compression::Compression;
use waybill_rt::{Entropy, SeededEntropy};
use waybill_types::{Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

pub(crate) const TOPIC: &str = "world";
pub(crate) const PARTITIONS: i32 = 3;

/// A batch that may or may not be in the log.
#[derive(Clone)]
struct Pending {
    bytes: Bytes,
    values: Vec<String>,
}

/// One producer, writing one partition.
pub(crate) struct Producer {
    partition: i32,
    id: Option<(ProducerId, ProducerEpoch)>,
    sequence: Sequence,
    pending: Option<Pending>,
    /// What was acked and not yet told.
    acked: Vec<((i32, i64), String)>,
}

impl Producer {
    pub(crate) fn new(partition: i32) -> Self {
        Self { partition, id: None, sequence: Sequence(0), pending: None, acked: Vec::new() }
    }

    pub(crate) async fn ensure_id(&mut self, client: &Client) -> Result<(), String> {
        if self.id.is_none() {
            self.id = Some(client.init_producer_id().await.map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    fn at(&self) -> TopicPartition {
        TopicPartition::new(TOPIC, self.partition)
    }

    /// The next batch; its size and content are by the seed.
    fn next(&mut self, entropy: &SeededEntropy) -> Result<Pending, String> {
        let (id, epoch) = self.id.ok_or("no producer id")?;
        let count = 1 + entropy.below(5) as i32;
        let mut builder = BatchBuilder::new(Compression::None).producer(id, epoch, self.sequence);
        let mut values = Vec::new();
        for number in 0..count {
            let first = self.sequence.plus(number);
            let value = format!("{}-{first}-{}", self.partition, "x".repeat(entropy.below(3000) as usize));
            let record = NewRecord {
                timestamp: TimestampMs(1_700_000_000_000),
                value: Some(value.as_bytes()),
                ..NewRecord::default()
            };
            builder.push(record).map_err(|error| error.to_string())?;
            values.push(value);
        }
        self.sequence = self.sequence.plus(count);
        let bytes = builder.build_bytes().map_err(|error| error.to_string())?;
        Ok(Pending { bytes, values })
    }

    /// Sends what is pending once, or twice at the same time, as a client does that has lost patience.
    async fn send(&mut self, client: &Client, twice: bool) -> Result<(), String> {
        let Some(pending) = self.pending.clone() else { return Ok(()) };
        let at = self.at();
        let one = client.produce(&at, pending.bytes.clone(), Acks::All);
        let answer = if twice {
            let (one, two) = join(one, client.produce(&at, pending.bytes.clone(), Acks::All)).await;
            if let (Ok(one), Ok(two)) = (&one, &two)
                && one != two
            {
                return Err(format!("one batch was acked at {one} and at {two}"));
            }
            one.or(two)
        } else {
            one.await
        };
        match answer {
            Ok(base) => {
                self.pending = None;
                let offsets = base.get()..;
                let places = offsets.map(|offset| (self.partition, offset));
                self.acked.extend(places.zip(pending.values));
                Ok(())
            }
            Err(error) if error.code().is_none() || error.is_retriable() => Ok(()),
            Err(error) => Err(format!("partition {}: {error}", self.partition)),
        }
    }

    async fn run(&mut self, client: &Client, entropy: &SeededEntropy) -> Result<(), String> {
        loop {
            if self.pending.is_none() {
                self.pending = Some(self.next(entropy)?);
            }
            self.send(client, entropy.below(4) == 0).await?;
            if entropy.below(3) == 0 {
                client.env().clock.sleep(Duration::from_millis(entropy.below(20))).await;
            }
        }
    }
}

/// Lets all producers write until the world ends.
pub(crate) async fn run_all(
    producers: &mut [Producer],
    client: &Client,
    entropy: &SeededEntropy,
) -> Result<(), String> {
    try_join_all(producers.iter_mut().map(|producer| producer.run(client, entropy))).await?;
    Ok(())
}

/// What was acked since the last call.
pub(crate) fn take_acked(producers: &mut [Producer]) -> Vec<((i32, i64), String)> {
    producers.iter_mut().flat_map(|producer| std::mem::take(&mut producer.acked)).collect()
}

/// Sends what is still pending until it is acked.
pub(crate) async fn settle(producers: &mut [Producer], client: &Client) -> Result<(), String> {
    for producer in producers {
        for _ in 0..100 {
            if producer.pending.is_none() {
                break;
            }
            producer.send(client, false).await?;
        }
        if producer.pending.is_some() {
            return Err(format!("partition {} takes nothing any more", producer.partition));
        }
    }
    Ok(())
}

/// Reads everything and holds it against what was acked: the same, each once, without gaps.
pub(crate) async fn check(client: &Client, acked: &BTreeMap<(i32, i64), String>) -> Result<(), String> {
    let mut read = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let at = TopicPartition::new(TOPIC, partition);
        let mut next = Offset(0);
        loop {
            let options = FetchOptions { max_wait_ms: 0, max_bytes: 20_000, ..FetchOptions::default() };
            let fetched = client.fetch(&at, next, options).await.map_err(|error| error.to_string())?;
            if next >= fetched.high_watermark {
                break;
            }
            for batch in split_batches(fetched.records) {
                let batch = batch.map_err(|error| error.to_string())?;
                batch.verify_crc().map_err(|error| error.to_string())?;
                for record in batch.records(1 << 20) {
                    let record = record.map_err(|error| error.to_string())?;
                    if record.offset < next {
                        continue;
                    }
                    if record.offset != next {
                        return Err(format!("{at}: {} follows {next}", record.offset));
                    }
                    let value = record.value.map(|value| String::from_utf8_lossy(&value).into_owned());
                    read.insert((partition, record.offset.get()), value.unwrap_or_default());
                    next = record.offset.next();
                }
            }
        }
    }
    let distinct: BTreeSet<&String> = read.values().collect();
    if distinct.len() != read.len() {
        return Err(format!("{} records stand twice", read.len() - distinct.len()));
    }
    for (place, value) in acked {
        if read.get(place) != Some(value) {
            return Err(format!("acked at {place:?}: {value:.20}, read: {:.20?}", read.get(place)));
        }
    }
    if read.len() != acked.len() {
        return Err(format!("{} records were acked, {} are there", acked.len(), read.len()));
    }
    Ok(())
}
