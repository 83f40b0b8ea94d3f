//! Commits: who may change the metadata of partitions, index and objects, and in what order.
//!
//! The ledger is held from reading the state that a commit rests on until the commit is durable and memory shows it.
//! A failed commit may or may not be durable, so it ends this incarnation: nothing more is committed or told.

use std::time::Duration;

use bytes::Bytes;
use waybill_meta::{
    Batch, MetaError, ObjectId, ObjectIdsRecord, ObjectLife, ObjectRecord, Record, WalTrimRecord, keys,
};
use waybill_wal::WalPosition;

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
        };
        let stored = record.encode();
        batch.require(keys::object(next), None);
        batch.put(keys::object(next), stored.clone());
        batch.put(keys::object_ids(), ObjectIdsRecord { next: next.next() }.encode());
        PreparedObject { id: next, stored }
    }

    /// An object to write, prepared in a commit of its own when none is at hand.
    pub(crate) async fn take_object(&self) -> Result<PreparedObject, MetaError> {
        let mut ledger = self.ledger.lock().await;
        if let Some(object) = ledger.prepared.pop() {
            return Ok(object);
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
                Err(error) => {
                    self.poison("metadata", &error.to_string());
                    return Err(error);
                }
            }
        }
    }

    /// The record of an object after `gone` of its slices have died.
    pub(crate) fn after_deaths(&self, record: &ObjectRecord, gone: u32) -> ObjectRecord {
        let slices = record.slices.saturating_sub(gone);
        let life = if slices == 0 { ObjectLife::Dead } else { record.life };
        ObjectRecord { life, slices, changed_at: self.clock.now(), ..record.clone() }
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
    }
}
