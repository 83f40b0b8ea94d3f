//! Commits: who may change the metadata of partitions, index and objects, and in what order.
//!
//! The ledger is held from reading the state that a commit rests on until the commit is durable and memory shows it.
//! A failed commit may or may not be durable, so it ends this incarnation: nothing more is committed or told.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use waybill_meta::{
    Batch, IndexRecord, MetaError, ObjectId, ObjectIdsRecord, ObjectLife, ObjectRecord, Record,
    WalTrimRecord, keys,
};
use waybill_types::TimestampMs;
use waybill_wal::WalPosition;

use crate::error::ReadError;
use crate::index::Slice;
use crate::options::Sabotage;
use crate::services::Services;

/// How long a full disk is left alone before a commit is tried again.
const FULL_DISK_PAUSE: Duration = Duration::from_millis(200);

/// What commits rest on.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The next object id.
    pub(crate) next_object: ObjectId,
    /// Objects prepared by this incarnation and not written yet, with their records.
    pub(crate) prepared: Vec<PreparedObject>,
    /// The committed trim.
    pub(crate) trim: WalPosition,
}

/// An object that may be written.
#[derive(Debug, Clone)]
pub(crate) struct PreparedObject {
    pub(crate) id: ObjectId,
    pub(crate) stored: Bytes,
    prepared_at: TimestampMs,
}

/// How many slices of an object die, and how many bytes they have.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Death {
    slices: u32,
    bytes: u64,
}

/// Slices that die together, by object.
#[derive(Debug, Default)]
pub(crate) struct Deaths(BTreeMap<ObjectId, Death>);

impl Deaths {
    pub(crate) fn add(&mut self, record: &IndexRecord) {
        let death = self.0.entry(record.object).or_default();
        death.slices += 1;
        death.bytes += Slice::bytes_of(record);
    }
}

impl Ledger {
    pub(crate) fn new(next_object: ObjectId, trim: WalPosition) -> Self {
        Self { next_object, prepared: Vec::new(), trim }
    }
}

impl Services {
    /// Adds the preparation of the next object to a batch. To be noted with [`Ledger::note_prepared`] when the batch
    /// is durable.
    pub(crate) fn prepare_object(&self, next: ObjectId, batch: &mut Batch) -> PreparedObject {
        let record = ObjectRecord {
            life: ObjectLife::Prepared,
            incarnation: self.incarnation,
            size: 0,
            slices: 0,
            placement: self.options.placement.clone(),
            changed_at: self.clock.now(),
            dead: 0,
            since: TimestampMs::NONE,
        };
        let stored = record.encode();
        batch.require(keys::object(next), None);
        batch.put(keys::object(next), stored.clone());
        batch.put(keys::object_ids(), ObjectIdsRecord { next: next.next() }.encode());
        PreparedObject { id: next, stored, prepared_at: record.changed_at }
    }

    /// An object to write, prepared in a commit of its own when none is at hand.
    pub(crate) async fn take_object(&self) -> Result<PreparedObject, MetaError> {
        let mut ledger = self.ledger.lock().await;
        // One that was prepared long ago may be given up before it is written: the sweep takes it.
        let half = i64::try_from(self.options.compaction.prepared_for.as_millis() / 2).unwrap_or(i64::MAX);
        while let Some(object) = ledger.prepared.pop() {
            if self.clock.now().since_ms(object.prepared_at) < half {
                return Ok(object);
            }
        }
        let mut batch = Batch::default();
        let object = self.prepare_object(ledger.next_object, &mut batch);
        self.commit(batch).await?;
        ledger.next_object = object.id.next();
        Ok(object)
    }

    /// Makes a batch durable. Called with the ledger held. A full disk is waited for: nothing was changed, and the
    /// write-ahead log keeps the data.
    ///
    /// # Errors
    /// When the commit fails in any other way, or the process stops meanwhile.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<(), MetaError> {
        match self.try_commit(batch).await {
            Err(error @ MetaError::Conflict(_)) => {
                self.poison("metadata", &error.to_string());
                Err(error)
            }
            other => other,
        }
    }

    /// The same for those who may do without: that what the batch requires does not hold ends nothing.
    ///
    /// # Errors
    /// [`MetaError::Conflict`] when nothing was changed; otherwise as [`Self::commit`].
    pub(crate) async fn try_commit(&self, batch: Batch) -> Result<(), MetaError> {
        let stopping = self.supervisor.stopping();
        loop {
            if let Some(why) = self.poisoned() {
                return Err(MetaError::Failed(why));
            }
            match self.meta.commit(batch.clone()).await {
                Ok(_) => return Ok(()),
                Err(error @ MetaError::NoSpace(_)) => {
                    self.metrics.meta_no_space.inc();
                    tokio::select! {
                        () = self.clock.sleep(FULL_DISK_PAUSE) => {}
                        () = stopping.cancelled() => return Err(error),
                    }
                }
                Err(error @ MetaError::Conflict(_)) => return Err(error),
                Err(error) => {
                    self.poison("metadata", &error.to_string());
                    return Err(error);
                }
            }
        }
    }

    /// Whether an object may still become live: its preparation was not given up meanwhile. The ledger is held.
    pub(crate) async fn still_prepared(&self, object: &PreparedObject) -> Result<bool, MetaError> {
        let rule_left_out = self.options.sabotage.breaks(Sabotage::CommitWithoutPrepare);
        Ok(rule_left_out || self.meta.get(&keys::object(object.id)).await? == Some(object.stored.clone()))
    }

    /// Adds to a batch what the death of slices means for their objects. Returns those that are dead then. The ledger
    /// is held.
    pub(crate) async fn bury(&self, deaths: &Deaths, batch: &mut Batch) -> Result<Vec<ObjectId>, ReadError> {
        let mut dead = Vec::new();
        for (id, death) in &deaths.0 {
            let Some(stored) = self.meta.get(&keys::object(*id)).await? else { continue };
            let record = self.after_deaths(&ObjectRecord::decode(&stored)?, *death);
            if record.life == ObjectLife::Dead {
                dead.push(*id);
            }
            batch.require(keys::object(*id), Some(stored));
            batch.put(keys::object(*id), record.encode());
        }
        Ok(dead)
    }

    /// The record of an object after some of its slices have died.
    fn after_deaths(&self, record: &ObjectRecord, death: Death) -> ObjectRecord {
        let slices = record.slices.saturating_sub(death.slices);
        let dead = record.dead.saturating_add(death.bytes).min(record.size);
        let life = if slices == 0 { ObjectLife::Dead } else { record.life };
        ObjectRecord { life, slices, dead, changed_at: self.clock.now(), ..record.clone() }
    }

    /// A commit that let objects die is durable: they are deleted once readers that still want them had their time.
    pub(crate) fn note_dead(&self, dead: impl IntoIterator<Item = ObjectId>) {
        let now = self.clock.now();
        let mut dying = self.dying.lock();
        let before = dying.len();
        dying.extend(dead.into_iter().map(|id| (id, now)));
        if dying.len() > before {
            self.sweep_wake.notify_one();
        }
    }

    /// Notes that the WAL's writer has ended, with everything up to `end` in segments: the next start needs not look
    /// through the WAL. The trim lies behind `end` where the rest of the last file was left unused.
    pub(crate) async fn commit_closed(&self, end: WalPosition) -> Result<(), MetaError> {
        let ledger = self.ledger.lock().await;
        let record = WalTrimRecord { position: ledger.trim.0, closed_at: Some(end.max(ledger.trim).0) };
        let mut batch = Batch::default();
        batch.put(keys::wal_trim(self.options.node), record.encode());
        self.commit(batch).await
    }

    pub(crate) fn put_trim(&self, trim: WalPosition, batch: &mut Batch) {
        let key = keys::wal_trim(self.options.node);
        batch.put(key, WalTrimRecord { position: trim.0, closed_at: None }.encode());
        self.trim_chain(trim, batch);
    }
}
