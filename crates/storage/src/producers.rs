//! What a partition knows about its idempotent producers: a pure state machine over batches' facts.
//!
//! Rules: KIP-98, KIP-360 and Kafka's `ProducerAppendInfo` and `ProducerStateEntry`, with one difference: expiry goes
//! by the broker's append time, not by the batch's timestamps, so that a load of old events keeps its deduplication.
//!
//! The same code runs over batches that are being appended ([`ProducerStates::check`], then
//! [`ProducerStates::apply`]) and over the frames of a WAL ([`ProducerStates::apply`] alone), so a snapshot at an
//! offset plus the frames after it gives the state after them.

use std::collections::{BTreeMap, VecDeque};

use waybill_meta::{ProducerBatchSnapshot, ProducerSnapshot};
use waybill_types::{CoordinatorEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};
use waybill_wal::{FrameFlags, FrameHeader};

/// Batches remembered for each producer (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub const BATCHES_KEPT: usize = 5;

/// Who appends, which decides what is checked (`AppendOrigin`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AppendOrigin {
    /// A client: epoch and sequence are checked.
    #[default]
    Client,
    /// A coordinator: its records have no sequences, only the epoch is checked.
    Coordinator,
}

/// What a control batch says about a producer's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Whether it commits, else it aborts.
    pub commit: bool,
    /// The coordinator's epoch.
    pub coordinator_epoch: CoordinatorEpoch,
    /// Whether the epoch must lie strictly above the current one (transaction version 2, KIP-1228).
    pub strict_epoch: bool,
}

/// What is known about a batch before it has an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchFacts {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// The sequence of the first record.
    pub base_sequence: Sequence,
    /// The number of records, less one.
    pub last_delta: i32,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
    /// Who appends it.
    pub origin: AppendOrigin,
    /// For control batches, what they say.
    pub marker: Option<Marker>,
}

/// What the state says about a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next: append it.
    Append,
    /// It is in the log already, at these offsets, appended then.
    Duplicate {
        /// Where it starts.
        base_offset: Offset,
        /// Where it ends.
        last_offset: Offset,
        /// When it was appended.
        append_time: TimestampMs,
    },
}

/// Why a batch of an idempotent producer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProducerFault {
    /// OUT_OF_ORDER_SEQUENCE_NUMBER.
    #[error("sequence {got} of producer {producer_id} is out of order: the last one was {last}")]
    OutOfOrder {
        /// The producer.
        producer_id: ProducerId,
        /// What came.
        got: Sequence,
        /// The last sequence in the log, or -1.
        last: Sequence,
    },
    /// INVALID_PRODUCER_EPOCH.
    #[error("epoch {got} of producer {producer_id} is below the current one, {current}")]
    InvalidEpoch {
        /// The producer.
        producer_id: ProducerId,
        /// What came.
        got: ProducerEpoch,
        /// The epoch in the log.
        current: ProducerEpoch,
    },
    /// INVALID_TXN_STATE.
    #[error("producer {0} wrote outside its open transaction")]
    OutsideTransaction(ProducerId),
    /// TRANSACTION_COORDINATOR_FENCED.
    #[error("coordinator epoch {got} is below the current one, {current}")]
    CoordinatorFenced {
        /// What came.
        got: CoordinatorEpoch,
        /// The epoch in the log.
        current: CoordinatorEpoch,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: ProducerEpoch,
    coordinator_epoch: CoordinatorEpoch,
    last_update: TimestampMs,
    transaction_start: Option<Offset>,
    batches: VecDeque<ProducerBatchSnapshot>,
}

impl Producer {
    fn new() -> Self {
        Self {
            epoch: ProducerEpoch::NONE,
            coordinator_epoch: CoordinatorEpoch(-1),
            last_update: TimestampMs::NONE,
            transaction_start: None,
            batches: VecDeque::new(),
        }
    }

    fn last_sequence(&self) -> Sequence {
        self.batches.back().map_or(Sequence::NONE, |batch| batch.base_sequence.plus(batch.last_delta))
    }

    fn set_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.batches.clear();
            self.epoch = epoch;
        }
    }

    fn expired(&self, now: TimestampMs, expiration_ms: i64) -> bool {
        self.transaction_start.is_none() && now.since_ms(self.last_update) >= expiration_ms
    }

    fn duplicate(&self, facts: &BatchFacts) -> Option<Verdict> {
        if self.epoch != facts.epoch {
            return None;
        }
        let same = |batch: &&ProducerBatchSnapshot| {
            batch.base_sequence == facts.base_sequence && batch.last_delta == facts.last_delta
        };
        let batch = self.batches.iter().find(same)?;
        Some(Verdict::Duplicate {
            base_offset: batch.base_offset,
            last_offset: batch.base_offset.plus(i64::from(batch.last_delta)),
            append_time: batch.append_time,
        })
    }

    fn check_data(&self, facts: &BatchFacts) -> Result<Verdict, ProducerFault> {
        if facts.epoch < self.epoch {
            return Err(self.invalid_epoch(facts));
        }
        if facts.origin == AppendOrigin::Client {
            if let Some(duplicate) = self.duplicate(facts) {
                return Ok(duplicate);
            }
            self.check_sequence(facts)?;
        }
        if self.transaction_start.is_some() && !facts.transactional {
            return Err(ProducerFault::OutsideTransaction(facts.producer_id));
        }
        Ok(Verdict::Append)
    }

    /// A new epoch starts at 0; within an epoch the next sequence follows the last one, from 2^31-1 to 0.
    fn check_sequence(&self, facts: &BatchFacts) -> Result<(), ProducerFault> {
        let last = self.last_sequence();
        let expected =
            if facts.epoch == self.epoch && last != Sequence::NONE { last.plus(1) } else { Sequence(0) };
        if facts.base_sequence == expected {
            return Ok(());
        }
        Err(ProducerFault::OutOfOrder { producer_id: facts.producer_id, got: facts.base_sequence, last })
    }

    fn check_marker(&self, facts: &BatchFacts, marker: Marker) -> Result<Verdict, ProducerFault> {
        let retried = facts.epoch == self.epoch && self.transaction_start.is_none();
        let too_low = if marker.strict_epoch {
            facts.epoch <= self.epoch && !retried
        } else {
            facts.epoch < self.epoch
        };
        if too_low {
            return Err(self.invalid_epoch(facts));
        }
        if marker.coordinator_epoch < self.coordinator_epoch {
            let current = self.coordinator_epoch;
            return Err(ProducerFault::CoordinatorFenced { got: marker.coordinator_epoch, current });
        }
        Ok(Verdict::Append)
    }

    fn invalid_epoch(&self, facts: &BatchFacts) -> ProducerFault {
        ProducerFault::InvalidEpoch { producer_id: facts.producer_id, got: facts.epoch, current: self.epoch }
    }
}

/// The producers of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerStates {
    producers: BTreeMap<ProducerId, Producer>,
    expiration_ms: i64,
}

impl ProducerStates {
    /// No producers; those idle for `expiration_ms` (`producer.id.expiration.ms`) are forgotten.
    #[must_use]
    pub fn new(expiration_ms: i64) -> Self {
        Self { producers: BTreeMap::new(), expiration_ms }
    }

    /// The state that a snapshot describes.
    #[must_use]
    pub fn from_snapshots(snapshots: &[ProducerSnapshot], expiration_ms: i64) -> Self {
        let mut states = Self::new(expiration_ms);
        for snapshot in snapshots {
            let producer = Producer {
                epoch: snapshot.epoch,
                coordinator_epoch: snapshot.coordinator_epoch,
                last_update: snapshot.last_update,
                transaction_start: snapshot.transaction_start,
                batches: snapshot.batches.iter().copied().collect(),
            };
            states.producers.insert(snapshot.producer_id, producer);
        }
        states
    }

    /// The snapshot of this state, by producer id.
    #[must_use]
    pub fn snapshots(&self) -> Vec<ProducerSnapshot> {
        let snapshot = |(id, producer): (&ProducerId, &Producer)| ProducerSnapshot {
            producer_id: *id,
            epoch: producer.epoch,
            coordinator_epoch: producer.coordinator_epoch,
            last_update: producer.last_update,
            transaction_start: producer.transaction_start,
            batches: producer.batches.iter().copied().collect(),
        };
        self.producers.iter().map(snapshot).collect()
    }

    /// How many producers are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// What to do with a batch that arrives at `now`. Nothing is changed.
    ///
    /// # Errors
    /// Why it must be refused.
    pub fn check(&self, facts: &BatchFacts, now: TimestampMs) -> Result<Verdict, ProducerFault> {
        if facts.producer_id == ProducerId::NONE {
            return Ok(Verdict::Append);
        }
        let known = self.producers.get(&facts.producer_id);
        let Some(producer) = known.filter(|producer| !producer.expired(now, self.expiration_ms)) else {
            // Without state any sequence is taken (KIP-360).
            return Ok(Verdict::Append);
        };
        match facts.marker {
            Some(marker) => producer.check_marker(facts, marker),
            None => producer.check_data(facts),
        }
    }

    /// Takes a batch that is in the log now. Returns what a marker ended: the first offset of the transaction.
    pub fn apply(&mut self, header: &FrameHeader) -> Option<Offset> {
        if header.producer_id == ProducerId::NONE {
            return None;
        }
        let producer = self.producers.entry(header.producer_id).or_insert_with(Producer::new);
        if producer.expired(header.append_time, self.expiration_ms) {
            *producer = Producer::new();
        }
        producer.set_epoch(header.producer_epoch);
        producer.last_update = header.append_time;
        if header.flags.contains(FrameFlags::CONTROL) {
            producer.coordinator_epoch = header.coordinator_epoch;
            return producer.transaction_start.take();
        }
        if header.base_sequence != Sequence::NONE {
            if producer.batches.len() == BATCHES_KEPT {
                producer.batches.pop_front();
            }
            let delta = header.last_offset.get() - header.base_offset.get();
            producer.batches.push_back(ProducerBatchSnapshot {
                base_sequence: header.base_sequence,
                last_delta: i32::try_from(delta).unwrap_or(i32::MAX),
                base_offset: header.base_offset,
                append_time: header.append_time,
            });
        }
        if header.flags.contains(FrameFlags::TRANSACTIONAL) && producer.transaction_start.is_none() {
            producer.transaction_start = Some(header.base_offset);
        }
        None
    }

    /// Forgets the producers that were idle for too long at `now`, but none with an open transaction.
    pub fn expire(&mut self, now: TimestampMs) {
        let expiration = self.expiration_ms;
        self.producers.retain(|_, producer| !producer.expired(now, expiration));
    }

    /// The first offset of a producer's open transaction.
    #[must_use]
    pub fn transaction_start(&self, producer: ProducerId) -> Option<Offset> {
        self.producers.get(&producer)?.transaction_start
    }

    /// The open transactions: first offset and producer.
    pub fn open_transactions(&self) -> impl Iterator<Item = (Offset, ProducerId)> + '_ {
        self.producers.iter().filter_map(|(id, producer)| Some((producer.transaction_start?, *id)))
    }
}

#[cfg(test)]
mod tests;
