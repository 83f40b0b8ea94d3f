//! Offsets by time (ListOffsets): which slice, which block, which batch, which record.

use std::sync::Arc;

use bytes::Bytes;
use waybill_protocol::batch::{RecordBatch, split_batches};
use waybill_types::{LeaderEpoch, Offset, TimestampMs};

use crate::blocks::is_gone;
use crate::error::ReadError;
use crate::index::Slice;
use crate::partition::Partition;
use crate::read::{ReadBound, ReadRequest};
use crate::segment::{SegmentFault, object_name};

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The record's timestamp.
    pub timestamp: TimestampMs,
    /// Its offset.
    pub offset: Offset,
    /// The leader epoch in which it was appended.
    pub leader_epoch: LeaderEpoch,
}

/// How often a lookup starts again when objects go away underneath it.
const TRIES: usize = 4;

impl Partition {
    /// The first record at or after `timestamp`; `None` when there is none below the bound.
    ///
    /// # Errors
    /// A [`ReadError`].
    pub async fn offset_for_timestamp(
        &self,
        timestamp: TimestampMs,
        bound: ReadBound,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let found = self.search(Target::AtOrAfter(timestamp)).await?;
        let upper = match bound {
            ReadBound::HighWatermark => self.high_watermark(),
            ReadBound::LastStable => self.last_stable_offset(),
        };
        Ok(found.filter(|found| found.offset < upper))
    }

    /// The first record with the largest timestamp of the log (KIP-734); `None` when the log is empty.
    ///
    /// # Errors
    /// A [`ReadError`].
    pub async fn max_timestamp_offset(&self) -> Result<Option<TimestampOffset>, ReadError> {
        self.search(Target::Latest).await
    }

    async fn search(&self, target: Target) -> Result<Option<TimestampOffset>, ReadError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.search_once(target).await {
                Err(error) if tries < TRIES && is_gone(&error) => {}
                other => return other,
            }
        }
    }

    async fn search_once(&self, target: Target) -> Result<Option<TimestampOffset>, ReadError> {
        if self.is_removed() {
            return Err(ReadError::Removed);
        }
        self.load_index().await?;
        match target {
            Target::AtOrAfter(timestamp) => self.first_at(timestamp).await,
            Target::Latest => self.latest().await,
        }
    }

    async fn first_at(&self, timestamp: TimestampMs) -> Result<Option<TimestampOffset>, ReadError> {
        let mut from = self.log_start();
        loop {
            let slice =
                { self.index.lock().as_ref().and_then(|index| index.first_at(timestamp, from).cloned()) };
            let Some(slice) = slice else { break };
            if let Some(found) = self.first_in_slice(&slice, timestamp).await? {
                return Ok(Some(found));
            }
            from = slice.record.last_offset.next();
        }
        // The rest is in memory or only in the WAL.
        loop {
            let base =
                self.durable.lock().tail.first_at(timestamp, from).map(|entry| entry.header.base_offset);
            let Some(base) = base else { return Ok(None) };
            let batch = self.batch_at(base).await?;
            if let Some(found) = self.first_in_batch(&batch, timestamp)? {
                return Ok(Some(found));
            }
            from = batch.header().next_offset();
        }
    }

    async fn latest(&self) -> Result<Option<TimestampOffset>, ReadError> {
        let log_start = self.log_start();
        let slice = self.index.lock().as_ref().and_then(|index| index.latest(log_start).cloned());
        let tail = {
            let durable = self.durable.lock();
            durable.tail.latest(log_start).map(|entry| (entry.header.max_timestamp, entry.header.base_offset))
        };
        let in_slice = slice.as_ref().map(|slice| slice.record.max_timestamp);
        let latest = in_slice.into_iter().chain(tail.map(|(latest, _)| latest)).max();
        let found = match (slice, tail) {
            (Some(slice), tail) if tail.is_none_or(|(latest, _)| Some(latest) <= in_slice) => {
                self.first_in_slice(&slice, slice.record.max_timestamp).await
            }
            (_, Some((latest, base))) => {
                let batch = self.batch_at(base).await?;
                self.first_in_batch(&batch, latest)
            }
            _ => return Ok(None),
        }?;
        match (found, latest) {
            (None, Some(latest)) => self.latest_below(latest).await,
            (found, _) => Ok(found),
        }
    }

    /// The record with the largest timestamp when the one with `above`, the largest that the indexes know, is deleted:
    /// the log starts in the midst of its batch. Bisects, because every lookup by time is exact.
    async fn latest_below(&self, above: TimestampMs) -> Result<Option<TimestampOffset>, ReadError> {
        let Some(mut best) = self.first_at(TimestampMs(i64::MIN)).await? else { return Ok(None) };
        let mut high = above.get();
        while best.timestamp.get() < high {
            let middle = best.timestamp.get() + (high - best.timestamp.get()).div_euclid(2) + 1;
            match self.first_at(TimestampMs(middle)).await? {
                Some(found) => best = found,
                None => high = middle - 1,
            }
        }
        Ok(Some(best))
    }

    /// The first record of a slice at or after `timestamp` that is not deleted.
    async fn first_in_slice(
        &self,
        slice: &Arc<Slice>,
        timestamp: TimestampMs,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let services = &self.services;
        let index = services.blocks.index(&services.store, slice).await?;
        let first = index.block_from(timestamp).unwrap_or(index.blocks.len());
        for block in first..index.blocks.len() {
            if index.blocks.get(block).is_none_or(|entry| entry.max_timestamp < timestamp) {
                continue;
            }
            let chunk = services.blocks.chunk(&services.store, slice, &index, block).await?;
            let origin = index.start_of(chunk.first, slice.record.data_length);
            let part = |at: usize| {
                let position = index.start_of(at, slice.record.data_length).saturating_sub(origin);
                usize::try_from(position).unwrap_or(usize::MAX).min(chunk.bytes.len())
            };
            let bytes = chunk.bytes.slice(part(block)..part(block + 1).max(part(block)));
            if let Some(found) = self.first_in_bytes(bytes, timestamp, slice)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn first_in_bytes(
        &self,
        bytes: Bytes,
        timestamp: TimestampMs,
        slice: &Slice,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        for batch in split_batches(bytes).strict() {
            let batch = batch.map_err(|_| ReadError::Damaged {
                object: object_name(slice.record.object).into(),
                fault: SegmentFault::Batches,
            })?;
            if batch.header().max_timestamp >= timestamp
                && let Some(found) = self.first_in_batch(&batch, timestamp)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// A body that can not be read holds no record that could be told: the batch's first offset is the answer then.
    fn first_in_batch(
        &self,
        batch: &RecordBatch,
        timestamp: TimestampMs,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let header = batch.header();
        let log_start = self.log_start();
        let mut found = None;
        let scanned = batch.scan(self.services.options.max_decompressed_bytes, |record| {
            let offset = header.base_offset.plus(i64::from(record.offset_delta));
            if record.timestamp >= timestamp && offset >= log_start {
                found = Some((record.timestamp, offset));
            }
            found.is_none()
        });
        if scanned.is_err() && found.is_none() && header.last_offset() >= log_start {
            found = Some((header.max_timestamp, header.base_offset.max(log_start)));
        }
        let leader_epoch = header.leader_epoch;
        Ok(found.map(|(timestamp, offset)| TimestampOffset { timestamp, offset, leader_epoch }))
    }

    /// The batch that starts at `base`, from wherever it is.
    async fn batch_at(&self, base: Offset) -> Result<RecordBatch, ReadError> {
        // The log may start in the midst of it.
        let from = base.max(self.log_start());
        let request = ReadRequest { from, max_bytes: 1, at_least_one: true, bound: ReadBound::HighWatermark };
        let outcome = self.read(request).await?;
        let damaged = || ReadError::Damaged { object: "log".into(), fault: SegmentFault::Batches };
        let bytes = outcome.batches.into_iter().next().ok_or_else(damaged)?;
        split_batches(bytes).next().and_then(Result::ok).ok_or_else(damaged)
    }
}

#[derive(Debug, Clone, Copy)]
enum Target {
    AtOrAfter(TimestampMs),
    Latest,
}
