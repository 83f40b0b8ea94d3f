//! What clients know.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use waybill_protocol::batch::{BatchBuilder, NewRecord, Policy, PreparedBatch, prepare, split_batches};
use waybill_protocol::compression::Compression;
use waybill_types::{ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicId, TopicPartition};

use crate::table::Tables;

/// A batch that a client has sent and not heard of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) first: i32,
    pub(crate) records: i32,
}

/// One partition and its only, idempotent producer, whose records are numbered from 0.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) producer: i64,
    /// The next record's number.
    pub(crate) next: i32,
    /// In order.
    pub(crate) outstanding: VecDeque<Sent>,
    /// Records below this number are acked.
    pub(crate) acked: i32,
    /// Which record stands at which offset, as acks and reads told.
    pub(crate) seen: BTreeMap<i64, i32>,
    /// The largest log start that was told.
    pub(crate) log_start: i64,
    /// The largest log start that was asked for.
    pub(crate) asked_start: i64,
    pub(crate) epoch: i32,
    /// A batch was refused: it and those after it are sent again before anything else.
    pub(crate) refused: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) logs: BTreeMap<TopicPartition, Log>,
    /// Topics whose deletion was durable.
    pub(crate) deleted: Vec<TopicId>,
    pub(crate) acked: u64,
    pub(crate) duplicates: u64,
    /// Partitions that are compacted.
    pub(crate) tables: Tables,
    producers: i64,
}

pub(crate) type Checked<T = ()> = Result<T, String>;

impl Model {
    pub(crate) fn add(&mut self, id: TopicPartition) {
        self.producers += 1;
        let log = Log {
            producer: self.producers,
            next: 0,
            outstanding: VecDeque::new(),
            acked: 0,
            seen: BTreeMap::new(),
            log_start: 0,
            asked_start: 0,
            epoch: -1,
            refused: false,
        };
        self.logs.insert(id, log);
    }
}

impl Log {
    /// The batch as the client sends it, the first time and again.
    pub(crate) fn batch(&self, sent: Sent) -> PreparedBatch {
        let mut builder = BatchBuilder::new(Compression::None).producer(
            ProducerId(self.producer),
            ProducerEpoch(0),
            Sequence(sent.first),
        );
        for number in sent.first..sent.first + sent.records {
            // Numbers, padded by their size so that batches differ in length.
            let mut value = number.to_be_bytes().to_vec();
            value.resize(4 + (number as usize * 37) % 300, 7);
            let record = NewRecord {
                timestamp: TimestampMs(i64::from(number)),
                value: Some(&value),
                ..NewRecord::default()
            };
            builder.push(record).unwrap();
        }
        let bytes = BytesMut::from(&builder.build_bytes().unwrap()[..]);
        prepare(bytes, &Policy { now: TimestampMs(1 << 40), ..Policy::default() }).unwrap()
    }

    /// A batch was acked at `base`.
    pub(crate) fn ack(&mut self, sent: Sent, base: i64) -> Checked {
        for at in 0..sent.records {
            self.see(base + i64::from(at), sent.first + at)?;
        }
        self.acked = self.acked.max(sent.first + sent.records);
        self.outstanding.retain(|other| other.first != sent.first);
        Ok(())
    }

    fn see(&mut self, offset: i64, number: i32) -> Checked {
        match self.seen.insert(offset, number) {
            Some(before) if before != number => {
                Err(format!("offset {offset} held record {before} and now holds {number}"))
            }
            _ => Ok(()),
        }
    }

    /// Takes what a read from `from` gave. Returns the offset behind it.
    pub(crate) fn read(&mut self, from: i64, batches: &[Bytes]) -> Checked<i64> {
        let mut next = from;
        let mut first = true;
        for piece in batches {
            for batch in split_batches(piece.clone()).strict() {
                let batch = batch.map_err(|error| error.to_string())?;
                batch.verify_crc().map_err(|error| error.to_string())?;
                let base = batch.header().base_offset.get();
                if base > next || !first && base != next {
                    return Err(format!("a read from {from} goes on at {base} instead of {next}"));
                }
                first = false;
                next = batch.header().next_offset().get();
                for record in batch.records(1 << 20) {
                    let record = record.map_err(|error| error.to_string())?;
                    let value = record.value.as_deref().unwrap_or_default();
                    let number = i32::from_be_bytes(value[..4].try_into().unwrap());
                    self.see(record.offset.get(), number)?;
                }
            }
        }
        Ok(next)
    }

    /// At the end, with everything acked and read: every number stands at its offset, once.
    pub(crate) fn check_whole(&self, end: i64) -> Checked {
        if end != i64::from(self.next) {
            return Err(format!("the log ends at {end}, but {} records were acked once each", self.next));
        }
        // One producer, so record n must stand at offset n: a loss or a double moves every later one.
        for offset in self.log_start..end {
            match self.seen.get(&offset) {
                Some(number) if i64::from(*number) == offset => {}
                other => return Err(format!("offset {offset} holds {other:?}")),
            }
        }
        Ok(())
    }
}
