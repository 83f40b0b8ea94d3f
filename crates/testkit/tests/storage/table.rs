//! Compacted topics: clients that write keys, delete them, and use transactions, some of which are aborted.
//!
//! Held against a model of its own: of each key the newest committed record is there, at its offset, unless it is a tombstone whose
//! time is over; then nothing older of that key is there either. What a producer is known by stays in the log.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use waybill_protocol::batch::{
    BatchBuilder, EndTxnMarker, NewRecord, Origin, Policy, PreparedBatch, RecordBatch, prepare, split_batches,
};
use waybill_protocol::compression::Compression;
use waybill_rt::{Entropy, SeededEntropy, SharedClock};
use waybill_storage::{
    AppendError, AppendInfo, AppendOrigin, Appended, CompactionOptions, Marker, Prices, ReadBound,
    ReadRequest,
};
use waybill_types::{
    CoordinatorEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicId, TopicPartition,
};

use crate::life::Life;
use crate::model::Checked;

/// A key, and a value unless it is a tombstone.
type Said = (u8, Option<u32>);

/// Keys of a table.
const KEYS: u64 = 12;
/// How long a client waits for an ack before it does something else.
const PATIENCE: Duration = Duration::from_millis(300);

/// Compaction that is busy all the time, with so little memory that nothing fits at once, and hasty about what is dead.
pub(crate) fn busy_compaction(entropy: &SeededEntropy) -> CompactionOptions {
    let ms = |from: u64, spread: u64| Duration::from_millis(from + entropy.below(spread));
    CompactionOptions {
        budget_bytes: 2_000 << entropy.below(4),
        bytes_per_second: entropy.below(2) * 200_000,
        check: ms(10, 120),
        partition_bytes: 500 << entropy.below(5),
        fan_in: 2 + entropy.below(8) as usize,
        // Whatever saves a request pays.
        prices: Prices { put: 0.01, get: 0.001, gib_month: 1e9, gib_moved: 0.0, ..Prices::default() },
        grace: ms(0, 1 + 40 * entropy.below(2)),
        orphan_sweep: ms(20, 300),
        prepared_for: ms(30, 300),
        ..CompactionOptions::default()
    }
}

#[derive(Debug, Clone)]
struct Transaction {
    producer: i64,
    said: Vec<Said>,
    /// Where it stands, once that was acked, and when it was appended.
    at: Option<(i64, i64)>,
    commit: bool,
}

/// One partition of a compacted topic.
#[derive(Debug, Default)]
pub(crate) struct Table {
    producer: i64,
    sequence: i32,
    /// Sent and not heard of: sent again before anything else.
    waiting: Option<Vec<Said>>,
    /// By offset: key, value, and when it was appended.
    acked: BTreeMap<i64, (u8, Option<u32>, i64)>,
    /// The last offset of the producer's last batch, and its first sequence.
    last: Option<(i64, i32)>,
    /// Not ended yet.
    open: Vec<Transaction>,
    /// Offsets of aborted records.
    aborted: Vec<i64>,
    value: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Tables {
    all: BTreeMap<TopicPartition, Table>,
    producers: i64,
    /// Records that were acked, and that were there at the end.
    pub(crate) acked: u64,
    pub(crate) left: u64,
}

impl Table {
    fn say(&mut self, entropy: &SeededEntropy) -> Vec<Said> {
        let mut one = || {
            self.value += 1;
            let value = (entropy.below(4) > 0).then_some(self.value);
            (entropy.below(KEYS) as u8, value)
        };
        (0..1 + entropy.below(4)).map(|_| one()).collect()
    }

    fn note(&mut self, said: &[Said], base: i64, appended: i64) {
        for (offset, (key, value)) in (base..).zip(said) {
            self.acked.insert(offset, (*key, *value, appended));
        }
    }
}

fn batch(producer: i64, sequence: i32, transactional: bool, said: &[Said]) -> PreparedBatch {
    let codec = Compression::ALL[said.len() % 5];
    let builder = BatchBuilder::new(codec).transactional(transactional);
    let of = (ProducerId(producer), ProducerEpoch(0), Sequence(sequence));
    fill(builder.producer(of.0, of.1, of.2), sequence, said)
}

fn fill(mut builder: BatchBuilder, sequence: i32, said: &[Said]) -> PreparedBatch {
    for (key, value) in said {
        let value = value.map(|value| [value.to_be_bytes(); 20].concat());
        let (key, timestamp) = ([*key], TimestampMs(i64::from(sequence)));
        let record = NewRecord { timestamp, key: Some(&key), value: value.as_deref(), headers: &[] };
        builder.push(record).unwrap();
    }
    let bytes = BytesMut::from(&builder.build_bytes().unwrap()[..]);
    prepare(bytes, &Policy { now: TimestampMs(1 << 40), ..Policy::default() }).unwrap()
}

fn marker(producer: i64, commit: bool) -> (PreparedBatch, AppendInfo) {
    let coordinator_epoch = CoordinatorEpoch(1);
    let made = EndTxnMarker { commit, coordinator_epoch };
    let made = made.to_batch(ProducerId(producer), ProducerEpoch(0), TimestampMs(1)).unwrap();
    let policy = Policy { now: TimestampMs(1 << 40), origin: Origin::Broker, ..Policy::default() };
    let batch = prepare(BytesMut::from(&made.into_bytes()[..]), &policy).unwrap();
    let marker = Marker { commit, coordinator_epoch, strict_epoch: false };
    (batch, AppendInfo { origin: AppendOrigin::Coordinator, leader_epoch: None, marker: Some(marker) })
}

impl Life {
    pub(crate) fn open_tables(&self, tables: &Tables) {
        for id in tables.all.keys() {
            self.engine.set_cleaning(id.topic, Some(self.rules.clone()));
        }
    }

    /// Appends and waits a while for the ack.
    async fn put(
        &self,
        id: TopicPartition,
        batch: PreparedBatch,
        info: AppendInfo,
        clock: &SharedClock,
    ) -> Checked<Option<Appended>> {
        let partition = self.log(id)?;
        let acked = async {
            let Ok(permit) = self.engine.reserve(batch.size()).await else { return Ok(None) };
            match partition.append(batch, info, permit) {
                Ok((appended, ack)) => Ok(ack.await.is_ok().then_some(appended)),
                Err(AppendError::Wal(_)) => Ok(None),
                Err(error) => Err(format!("a batch of table {id} is refused: {error}")),
            }
        };
        tokio::select! {
            biased;
            acked = acked => acked,
            () = clock.sleep(PATIENCE) => Ok(None),
        }
    }

    /// A client of some table does something.
    pub(crate) async fn work_on_table(
        &self,
        tables: &mut Tables,
        clock: &SharedClock,
        entropy: &SeededEntropy,
    ) -> Checked {
        if tables.all.is_empty() || entropy.below(30) == 0 && tables.all.len() < 3 {
            let mut topic = [0; 16];
            entropy.fill(&mut topic);
            let (all, producers) = (&mut tables.all, &mut tables.producers);
            self.create_topic(TopicId(topic), 1, |id| {
                *producers += 1;
                all.insert(id, Table { producer: 1_000_000 + *producers, ..Table::default() });
            })
            .await;
            self.open_tables(tables);
            return Ok(());
        }
        let ids: Vec<_> = tables.all.keys().copied().collect();
        let id = ids[entropy.below(ids.len() as u64) as usize];
        match entropy.below(10) {
            0..=5 => self.write(tables, id, clock, entropy).await,
            6 => self.begin(tables, id, clock, entropy).await,
            7 => self.end_one(tables, id, clock).await,
            _ => self.read_table(tables, id, entropy).await,
        }
    }

    async fn write(
        &self,
        tables: &mut Tables,
        id: TopicPartition,
        clock: &SharedClock,
        entropy: &SeededEntropy,
    ) -> Checked {
        let table = tables.all.get_mut(&id).ok_or("no such table")?;
        let said = match table.waiting.clone() {
            Some(said) => said,
            None => table.say(entropy),
        };
        table.waiting = Some(said.clone());
        let batch = batch(table.producer, table.sequence, false, &said);
        if let Some(appended) = self.put(id, batch, AppendInfo::default(), clock).await? {
            table.note(&said, appended.base_offset.get(), appended.append_time.get());
            table.last = Some((appended.last_offset.get(), table.sequence));
            table.sequence += said.len() as i32;
            table.waiting = None;
            tables.acked += said.len() as u64;
        }
        Ok(())
    }

    /// Somebody else says something of every key.
    async fn overwrite(
        &self,
        tables: &mut Tables,
        id: TopicPartition,
        clock: &SharedClock,
        round: u32,
    ) -> Checked {
        let table = tables.all.get_mut(&id).ok_or("no such table")?;
        let said: Vec<Said> = (0..KEYS as u8).map(|key| (key, (key % 3 > 0).then_some(round))).collect();
        let batch = fill(BatchBuilder::new(Compression::None), 0, &said);
        let appended = self.put(id, batch, AppendInfo::default(), clock).await?;
        let appended = appended.ok_or_else(|| format!("table {id} does not ack"))?;
        table.note(&said, appended.base_offset.get(), appended.append_time.get());
        Ok(())
    }

    async fn begin(
        &self,
        tables: &mut Tables,
        id: TopicPartition,
        clock: &SharedClock,
        entropy: &SeededEntropy,
    ) -> Checked {
        tables.producers += 1;
        let producer = 2_000_000 + tables.producers;
        let table = tables.all.get_mut(&id).ok_or("no such table")?;
        let said = table.say(entropy);
        let batch = batch(producer, 0, true, &said);
        table.open.push(Transaction { producer, said, at: None, commit: false });
        if let Some(appended) = self.put(id, batch, AppendInfo::default(), clock).await?
            && let Some(transaction) = table.open.last_mut()
        {
            transaction.at = Some((appended.base_offset.get(), appended.append_time.get()));
            transaction.commit = entropy.below(2) == 0;
        }
        Ok(())
    }

    /// Ends the oldest open transaction, as its coordinator does: until it hears that the marker is durable.
    async fn end_one(&self, tables: &mut Tables, id: TopicPartition, clock: &SharedClock) -> Checked {
        let table = tables.all.get_mut(&id).ok_or("no such table")?;
        let Some(transaction) = table.open.first().cloned() else { return Ok(()) };
        let (batch, info) = marker(transaction.producer, transaction.commit);
        if self.put(id, batch, info, clock).await?.is_none() {
            return Ok(());
        }
        table.open.remove(0);
        let Some((base, appended)) = transaction.at else { return Ok(()) };
        if transaction.commit {
            table.note(&transaction.said, base, appended);
        } else {
            table.aborted.extend((base..).zip(&transaction.said).map(|(offset, _)| offset));
        }
        Ok(())
    }

    /// Reads from somewhere: what is there is what was written.
    async fn read_table(&self, tables: &mut Tables, id: TopicPartition, entropy: &SeededEntropy) -> Checked {
        let partition = self.log(id)?;
        let end = partition.high_watermark().get();
        let from = entropy.below(end as u64 + 1) as i64;
        let bound = if entropy.below(2) == 0 { ReadBound::LastStable } else { ReadBound::HighWatermark };
        let request = ReadRequest { from: Offset(from), max_bytes: 2_000, at_least_one: true, bound };
        match partition.read(request).await {
            Ok(outcome) => {
                let table = tables.all.get(&id).ok_or("no such table")?;
                let mut next = from;
                for piece in outcome.batches {
                    for batch in split_batches(piece).strict() {
                        let batch = batch.map_err(|error| error.to_string())?;
                        next = next.max(batch.header().next_offset().get());
                        compare(table, &batch)?;
                    }
                }
                if next == from && from < end && bound == ReadBound::HighWatermark {
                    return Err(format!("nothing at {from} of table {id}"));
                }
                Ok(())
            }
            Err(error) => self.excuse(id, &error),
        }
    }

    /// With everything healthy: all is said and ended, then each log is read whole.
    pub(crate) async fn check_tables(&self, tables: &mut Tables, clock: &SharedClock) -> Checked {
        let entropy = SeededEntropy::new(1);
        for id in tables.all.keys().copied().collect::<Vec<_>>() {
            for _ in 0..40 {
                self.end_one(tables, id, clock).await?;
            }
            for _ in 0..12 {
                self.write(tables, id, clock, &entropy).await?;
            }
        }
        // Time to compact, but not for what was deleted just now to be forgotten.
        let while_kept = Duration::from_millis(self.rules.delete_retention_ms.unsigned_abs() * 2 / 3);
        clock.sleep(while_kept).await;
        self.verify_tables(tables, clock).await?;
        for id in tables.all.keys().copied().collect::<Vec<_>>() {
            for round in 0..2 {
                self.overwrite(tables, id, clock, round).await?;
            }
        }
        clock.sleep(while_kept).await;
        self.verify_tables(tables, clock).await
    }

    async fn verify_tables(&self, tables: &mut Tables, clock: &SharedClock) -> Checked {
        tables.left = 0;
        for (id, table) in &tables.all {
            if table.waiting.is_some() || !table.open.is_empty() {
                return Err(format!("table {id} does not ack"));
            }
            let batches = self.whole(*id).await?;
            tables.left += verify(table, &batches, clock.now().get() - self.rules.delete_retention_ms)
                .map_err(|what| format!("table {id}: {what}"))?;
        }
        Ok(())
    }

    async fn whole(&self, id: TopicPartition) -> Checked<Vec<RecordBatch>> {
        let partition = self.log(id)?;
        let (mut batches, mut from) = (Vec::new(), partition.log_start());
        while from < partition.high_watermark() {
            let bound = ReadBound::HighWatermark;
            let request = ReadRequest { from, max_bytes: 3_000, at_least_one: true, bound };
            let outcome =
                partition.read(request).await.map_err(|error| format!("{id} at {from}: {error}"))?;
            for piece in outcome.batches {
                for batch in split_batches(piece).strict() {
                    let batch = batch.map_err(|error| error.to_string())?;
                    batch.verify_crc().map_err(|error| error.to_string())?;
                    batches.push(batch);
                }
            }
            let next = batches.last().map_or(from, |batch: &RecordBatch| batch.header().next_offset());
            if next <= from {
                return Err(format!("nothing at {from} of table {id}"));
            }
            from = next;
        }
        Ok(batches)
    }
}

/// What a batch says, by offset.
fn said(batch: &RecordBatch) -> Checked<Vec<(i64, Said)>> {
    if batch.header().attributes.is_control() {
        return Ok(Vec::new());
    }
    let records = batch.records(1 << 20).map(|record| {
        let record = record.map_err(|error| error.to_string())?;
        let key = record.key.as_deref().and_then(|key| key.first()).copied().ok_or("no key")?;
        let value = record.value.as_deref().map(|value| u32::from_be_bytes(value[..4].try_into().unwrap()));
        Ok((record.offset.get(), (key, value)))
    });
    records.collect()
}

fn compare(table: &Table, batch: &RecordBatch) -> Checked {
    for (offset, (key, value)) in said(batch)? {
        if let Some((acked, written, _)) = table.acked.get(&offset)
            && (*acked, *written) != (key, value)
        {
            return Err(format!("offset {offset} holds {key}={value:?}, not {acked}={written:?}"));
        }
    }
    Ok(())
}

/// Holds a whole log against what was written. `forgotten`: tombstones appended after it must be there. Returns how many
/// records are there.
fn verify(table: &Table, batches: &[RecordBatch], forgotten: i64) -> Checked<u64> {
    let mut there = BTreeMap::new();
    for batch in batches {
        compare(table, batch)?;
        there.extend(said(batch)?);
    }
    let mut newest = BTreeMap::new();
    for (offset, (key, value, appended)) in &table.acked {
        newest.insert(*key, (*offset, *value, *appended));
    }
    for (key, (offset, value, appended)) in newest {
        let is_there = there.get(&offset) == Some(&(key, value));
        let may_be_gone = value.is_none() && appended <= forgotten;
        if !is_there && !may_be_gone {
            return Err(format!("the newest record of key {key}, {value:?} at {offset}, is gone"));
        }
        let older =
            there.iter().find(|(at, (of, _))| *of == key && **at < offset && !table.aborted.contains(at));
        if let (false, Some((at, _))) = (is_there, older) {
            return Err(format!("key {key} was deleted at {offset}, and is back from {at}"));
        }
    }
    if let Some((last, sequence)) = table.last {
        let of_producer = |batch: &&RecordBatch| {
            let header = batch.header();
            header.producer_id.get() == table.producer && header.last_offset().get() == last
        };
        match batches.iter().find(of_producer) {
            Some(batch) if batch.header().base_sequence.get() == sequence => {}
            other => return Err(format!("the producer's last batch, at {last}, is {other:?}")),
        }
    }
    Ok(there.len() as u64)
}
