//! One idempotent producer a partition, whose record number n must stand at offset n: a loss or a double moves every later one.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use futures::FutureExt;
use waybill_protocol::batch::{BatchBuilder, NewRecord, Policy, PreparedBatch, prepare, split_batches};
use waybill_protocol::compression::Compression;
use waybill_rt::{Entropy, SeededEntropy};
use waybill_storage::{Ack, AppendInfo, ReadBound, ReadRequest};
use waybill_types::{Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicPartition};

use crate::world::{PARTITIONS, Process, TOPIC, World};

#[derive(Default)]
struct Producer {
    /// The first record that nobody has acked.
    next: i32,
    /// What was sent to anybody and not answered yet: record, offset, answer.
    waiting: Vec<(i32, i64, Ack)>,
}

#[derive(Default)]
pub(crate) struct Clients {
    producers: BTreeMap<i32, Producer>,
    pub(crate) acked: u64,
    pub(crate) duplicates: u64,
}

fn batch(partition: i32, number: i32) -> PreparedBatch {
    let mut builder = BatchBuilder::new(Compression::None).producer(
        ProducerId(100 + i64::from(partition)),
        ProducerEpoch(0),
        Sequence(number),
    );
    let mut value = number.to_be_bytes().to_vec();
    value.resize(4 + (number as usize * 37) % 200, 7);
    let record =
        NewRecord { timestamp: TimestampMs(i64::from(number)), value: Some(&value), ..NewRecord::default() };
    builder.push(record).unwrap();
    let bytes = BytesMut::from(&builder.build_bytes().unwrap()[..]);
    prepare(bytes, &Policy { now: TimestampMs(1 << 40), ..Policy::default() }).unwrap()
}

fn id(partition: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, PartitionId(partition))
}

impl Clients {
    pub(crate) fn begin(&mut self) {
        self.producers = (0..PARTITIONS).map(|partition| (partition, Producer::default())).collect();
    }

    /// One producer sends its next record, or some, or again, to whom it takes for the leader; and takes the answers that came.
    pub(crate) async fn act(&mut self, world: &World, entropy: &SeededEntropy) -> Result<(), String> {
        self.settle()?;
        let partition = entropy.below(PARTITIONS as u64) as i32;
        let Some(process) = world.believed(entropy) else { return Ok(()) };
        let producer = self.producers.get_mut(&partition).unwrap();
        // Several in flight, in order, from the first that was not acked: to that process, for all it knows.
        for number in producer.next..producer.next + 1 + entropy.below(3) as i32 {
            let Some(log) = process.engine.partition(&id(partition)) else { return Ok(()) };
            let batch = batch(partition, number);
            let permit = tokio::select! {
                permit = process.engine.reserve(batch.size()) => permit,
                () = world.clock.sleep(Duration::from_millis(50)) => return Ok(()),
            };
            let Ok(permit) = permit else { return Ok(()) };
            match log.append(batch, AppendInfo::default(), permit) {
                Ok((appended, ack)) => {
                    self.duplicates += u64::from(appended.duplicate);
                    producer.waiting.push((number, appended.base_offset.get(), ack));
                }
                // A process that was left behind knows the producer as it was: others take the record.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), String> {
        for (partition, producer) in &mut self.producers {
            let mut still = Vec::new();
            for (number, base, mut ack) in producer.waiting.drain(..) {
                match (&mut ack).now_or_never() {
                    None => still.push((number, base, ack)),
                    Some(Err(_)) => {}
                    Some(Ok(())) if base == i64::from(number) => {
                        self.acked += 1;
                        producer.next = producer.next.max(number + 1);
                    }
                    Some(Ok(())) => {
                        return Err(format!("record {number} of partition {partition} was acked at {base}"));
                    }
                }
            }
            producer.waiting = still;
        }
        Ok(())
    }

    /// With everything calm: what was acked is there. Then one more record each, and the log is read whole.
    pub(crate) async fn check(&mut self, last: &Process, world: &World) -> Result<(), String> {
        self.settle()?;
        for (partition, producer) in &self.producers {
            let log = last.engine.partition(&id(*partition)).ok_or("a partition is gone")?;
            let end = log.high_watermark().get();
            if end < i64::from(producer.next) {
                return Err(format!(
                    "partition {partition} ends at {end}, but {} records were acked",
                    producer.next
                ));
            }
            let number = i32::try_from(end).unwrap();
            for number in [number - 1, number].into_iter().filter(|number| *number >= 0) {
                let batch = batch(*partition, number);
                let permit = last.engine.reserve(batch.size()).await.map_err(|error| error.to_string())?;
                let sent = log.append(batch, AppendInfo::default(), permit);
                let (appended, ack) = sent.map_err(|error| format!("record {number} is refused: {error}"))?;
                if appended.base_offset.get() != i64::from(number) {
                    return Err(format!(
                        "record {number} of partition {partition} stands at {}",
                        appended.base_offset
                    ));
                }
                tokio::select! {
                    acked = ack => acked.map_err(|error| error.to_string())?,
                    () = world.clock.sleep(Duration::from_secs(60)) => return Err("no ack".to_owned()),
                }
            }
            read_whole(&log, i64::from(number) + 1)
                .await
                .map_err(|what| format!("partition {partition}: {what}"))?;
        }
        Ok(())
    }
}

async fn read_whole(log: &waybill_storage::Partition, end: i64) -> Result<(), String> {
    let mut next = 0;
    while next < end {
        let request = ReadRequest {
            from: Offset(next),
            max_bytes: 2_000,
            at_least_one: true,
            bound: ReadBound::HighWatermark,
        };
        let outcome = log.read(request).await.map_err(|error| format!("at {next}: {error}"))?;
        let before = next;
        for piece in &outcome.batches {
            for batch in split_batches(piece.clone()).strict() {
                let batch = batch.map_err(|error| error.to_string())?;
                batch.verify_crc().map_err(|error| error.to_string())?;
                for record in batch.records(1 << 20) {
                    let record = record.map_err(|error| error.to_string())?;
                    let value = record.value.as_deref().unwrap_or_default();
                    let number = i32::from_be_bytes(value[..4].try_into().unwrap());
                    if record.offset.get() != next || i64::from(number) != next {
                        return Err(format!(
                            "at {next} stands record {number} with offset {}",
                            record.offset
                        ));
                    }
                    next += 1;
                }
            }
        }
        if next == before {
            return Err(format!("nothing at {next}"));
        }
    }
    Ok(())
}
