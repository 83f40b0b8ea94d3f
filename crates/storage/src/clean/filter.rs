//! Which records and batches log compaction keeps: pure.
//!
//! Rules: Kafka's `Cleaner.cleanInto`, `Cleaner.shouldRetainRecord` and `CleanedTransactionMetadata`; KIP-98 (the last
//! batch of each producer stays, emptied), KIP-534 (tombstones and markers stay until the delete horizon, which the first
//! compaction that meets them sets). Batches come in the order of the log, from its start.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use waybill_meta::ProducerSnapshot;
use waybill_protocol::batch::{
    BatchError, BatchHeader, ControlKind, RawRecord, RawRecords, RecordBatch, ThinBatch,
};
use waybill_types::{Offset, ProducerEpoch, ProducerId, TimestampMs};

use super::keys::{Full, KeyMap};
use crate::transactions::AbortedTransaction;

/// What is left of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// All of it, as it is.
    Same,
    /// Less, or the same with a delete horizon.
    Thinner(RecordBatch),
    /// Nothing.
    Nothing,
}

/// Transactions on the way through the log.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    /// By first offset; not met yet.
    aborted: VecDeque<AbortedTransaction>,
    /// Aborted ones that were met, and whether anything of them was.
    open_aborted: BTreeMap<ProducerId, (AbortedTransaction, bool)>,
    /// Producers of which a committed batch was met since their last marker.
    open_committed: BTreeSet<ProducerId>,
    /// Aborted ones whose marker stays although it has been met: readers must still be told.
    told: Vec<AbortedTransaction>,
}

impl Decided {
    /// `aborted`: all that touch what will be read.
    pub(crate) fn new(mut aborted: Vec<AbortedTransaction>) -> Self {
        aborted.sort_by_key(|txn| txn.first_offset);
        Self { aborted: aborted.into(), ..Self::default() }
    }

    fn meet(&mut self, upto: Offset) {
        while let Some(txn) = self.aborted.pop_front_if(|txn| txn.first_offset <= upto) {
            self.open_aborted.entry(txn.producer_id).or_insert((txn, false));
        }
    }

    /// Takes a batch with data; whether it was aborted.
    pub(crate) fn data(&mut self, header: &BatchHeader) -> bool {
        self.meet(header.last_offset());
        if !header.attributes.is_transactional() {
            return false;
        }
        match self.open_aborted.get_mut(&header.producer_id) {
            Some((_, met)) => {
                *met = true;
                true
            }
            None => {
                self.open_committed.insert(header.producer_id);
                false
            }
        }
    }

    /// Takes a control batch; whether nothing of its transaction is left, so that it may go.
    pub(crate) fn marker(&mut self, batch: &RecordBatch, limit: usize) -> bool {
        let header = batch.header();
        self.meet(header.last_offset());
        let first = batch.records(limit).next();
        let kind = match &first {
            // It was emptied before.
            None => return true,
            Some(Ok(record)) => record.key.as_deref().and_then(ControlKind::parse),
            Some(Err(_)) => None,
        };
        match kind {
            Some(ControlKind::Abort) => match self.open_aborted.remove(&header.producer_id) {
                Some((txn, true)) => {
                    self.told.push(txn);
                    false
                }
                _ => true,
            },
            Some(ControlKind::Commit) => !self.open_committed.remove(&header.producer_id),
            Some(ControlKind::Other(_)) | None => false,
        }
    }

    /// The aborted transactions that readers of what was kept since the last call must be told.
    pub(crate) fn take_told(&mut self) -> Vec<AbortedTransaction> {
        std::mem::take(&mut self.told)
    }
}

/// Notes the keys of a batch at or behind `from`. A batch that can not be read is passed over: it will be kept, and older
/// records of its keys with it.
pub(crate) fn note_keys(
    map: &mut KeyMap,
    decided: &mut Decided,
    batch: &RecordBatch,
    from: Offset,
    limit: usize,
) -> Result<(), Full> {
    let header = batch.header();
    if header.attributes.is_control() {
        decided.marker(batch, limit);
    } else if !decided.data(header)
        && let Ok(body) = batch.plain_body(limit)
    {
        for record in RawRecords::new(header, &body).map_while(Result::ok) {
            if let Some(key) = record.key.filter(|_| record.offset >= from) {
                map.put(key, record.offset)?;
            }
        }
    }
    if header.last_offset() >= from {
        map.reached(header.last_offset());
    }
    Ok(())
}

/// What of each producer is last in the log.
#[derive(Debug, Default)]
pub(crate) struct LastOfProducers(BTreeMap<ProducerId, (Option<Offset>, ProducerEpoch)>);

impl LastOfProducers {
    pub(crate) fn new(producers: &[ProducerSnapshot]) -> Self {
        let last = |producer: &ProducerSnapshot| {
            let batch = producer.batches.last();
            let offset = batch.map(|batch| batch.base_offset.plus(i64::from(batch.last_delta)));
            (producer.producer_id, (offset, producer.epoch))
        };
        Self(producers.iter().map(last).collect())
    }

    /// Whether the state of an active producer rests on this batch: the one with its last sequence, or, when it has
    /// none, a marker with its epoch.
    fn is(&self, header: &BatchHeader) -> bool {
        match self.0.get(&header.producer_id) {
            Some((Some(last), _)) => header.last_offset() == *last,
            Some((None, epoch)) => header.attributes.is_control() && header.producer_epoch == *epoch,
            None => false,
        }
    }
}

/// Decides, batch by batch.
pub(crate) struct Filter<'a> {
    pub(crate) map: &'a KeyMap,
    pub(crate) decided: Decided,
    pub(crate) last: LastOfProducers,
    pub(crate) now: TimestampMs,
    /// `delete.retention.ms`.
    pub(crate) delete_retention_ms: i64,
    /// The offset behind the last batch, which stays, emptied if need be, so that the log's offsets are not lost.
    pub(crate) end: Offset,
    /// The largest body that is decompressed.
    pub(crate) limit: usize,
    /// Records that were dropped.
    pub(crate) dropped: u64,
    /// Rules left out, for tests.
    pub(crate) tombstones_at_once: bool,
    pub(crate) forget_producers: bool,
}

impl Filter<'_> {
    /// What to keep of a batch. One whose body can not be read stays as it is.
    pub(crate) fn take(&mut self, batch: &RecordBatch) -> Left {
        let header = batch.header();
        let control = header.attributes.is_control();
        let horizon = header.attributes.has_delete_horizon().then_some(header.base_timestamp);
        let due = horizon.is_some_and(|horizon| horizon <= self.now);
        let undone = if control { self.decided.marker(batch, self.limit) } else { self.decided.data(header) };
        let discard = undone && (!control || due);
        let keep_empty = self.last.is(header) && !self.forget_producers || header.next_offset() == self.end;
        if discard || header.record_count == 0 {
            self.dropped += u64::try_from(header.record_count).unwrap_or_default();
            return match (keep_empty, header.record_count) {
                (true, 0) => Left::Same,
                (true, _) => emptied(header),
                (false, _) => Left::Nothing,
            };
        }
        match self.thin(batch, horizon, undone && control) {
            Ok(Some(left)) => left,
            Ok(None) if keep_empty => emptied(header),
            Ok(None) => Left::Nothing,
            Err(_) => Left::Same,
        }
    }

    /// Keeps some records; `None` when none are left.
    fn thin(
        &mut self,
        batch: &RecordBatch,
        horizon: Option<TimestampMs>,
        marker: bool,
    ) -> Result<Option<Left>, BatchError> {
        let header = batch.header();
        let body = batch.plain_body(self.limit)?;
        let control = header.attributes.is_control();
        let (mut kept, mut dropped, mut tombstones) = (Vec::new(), 0, false);
        for record in RawRecords::new(header, &body) {
            let record = record?;
            if control || self.keeps(&record, horizon) {
                tombstones |= !record.has_value;
                kept.push(record);
            } else {
                dropped += 1;
            }
        }
        self.dropped += dropped;
        if kept.is_empty() {
            return Ok(None);
        }
        let set = horizon.is_none() && (tombstones || marker);
        if dropped == 0 && !set {
            return Ok(Some(Left::Same));
        }
        let new = set.then(|| TimestampMs(self.now.get().saturating_add(self.delete_retention_ms)));
        let mut thin = ThinBatch::new(header, new);
        kept.iter().for_each(|record| thin.keep(record));
        Ok(Some(thin.build().map_or(Left::Same, Left::Thinner)))
    }

    /// Whether a record is the newest of its key, and not a tombstone whose time is over.
    fn keeps(&self, record: &RawRecord<'_>, horizon: Option<TimestampMs>) -> bool {
        if record.offset > self.map.latest() {
            return true;
        }
        // Produce refuses records without keys; one from before the topic was compacted is nobody's newest.
        let Some(key) = record.key else { return false };
        let newest = self.map.get(key).is_none_or(|newest| record.offset >= newest);
        let tombstone_stays = horizon.is_none_or(|horizon| self.now < horizon) && !self.tombstones_at_once;
        newest && (record.has_value || tombstone_stays)
    }
}

fn emptied(header: &BatchHeader) -> Left {
    ThinBatch::empty(header).map_or(Left::Same, Left::Thinner)
}

#[cfg(test)]
mod tests;
