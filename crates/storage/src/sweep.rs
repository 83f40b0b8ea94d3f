//! Deleting what is durably dead, and what nothing names.
//!
//! The orphan sweep, once at each start: LIST first, then an awaited durable commit, then decide from the state after
//! it. What earlier incarnations had prepared is dead: they have ended, and the lock says so. Deleting what is durably
//! dead needs no fence.

use std::collections::BTreeSet;
use std::sync::Arc;

use waybill_meta::{Batch, MetaError, ObjectId, ObjectLife, ObjectRecord, Record, keys};
use waybill_types::TopicId;

use crate::segment::{object_name, parse_object_name};
use crate::shared::Shared;

/// Objects deleted between two commits that say so.
const OBJECTS_A_COMMIT: usize = 256;

impl Shared {
    /// Finishes what the last incarnation began, sweeps orphans, then deletes objects as they die.
    pub(crate) async fn run_sweeper(self: Arc<Self>, deleted: Vec<TopicId>) -> Result<(), MetaError> {
        let stopping = self.services.supervisor.stopping();
        for topic in deleted {
            self.forget_topic(topic).await?;
        }
        self.sweep_orphans().await?;
        loop {
            self.delete_dead().await?;
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = self.sweep_wake.notified() => {}
            }
        }
    }

    /// Deletes what nothing names and what ended incarnations had prepared.
    async fn sweep_orphans(&self) -> Result<(), MetaError> {
        let listed = match self.services.store.list("seg/").await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(%error, "objects can not be listed: orphans are swept at the next start");
                return Ok(());
            }
        };
        let (named, next) = {
            let ledger = self.services.ledger.lock().await;
            let mut batch = Batch::default();
            let mut named = BTreeSet::new();
            for (key, record) in self.objects().await? {
                named.insert(key);
                if record.life == ObjectLife::Prepared && record.incarnation < self.services.incarnation {
                    let dead = ObjectRecord {
                        life: ObjectLife::Dead,
                        changed_at: self.services.clock.now(),
                        ..record
                    };
                    batch.put(keys::object(key), dead.encode());
                }
            }
            // Awaited even when it is empty: what was listed is judged by a state that is durable after the list.
            self.services.commit(batch).await?;
            (named, ledger.next_object)
        };
        for name in listed {
            let Some(id) = parse_object_name(&name) else {
                tracing::warn!(name, "this is not a segment of ours: left alone");
                continue;
            };
            if id >= next {
                tracing::error!(
                    name,
                    "an object has an id that was never given out: is this another cluster's store?"
                );
            } else if !named.contains(&id) {
                self.delete_object(id).await;
            }
        }
        Ok(())
    }

    async fn objects(&self) -> Result<Vec<(ObjectId, ObjectRecord)>, MetaError> {
        let mut objects = Vec::new();
        for (key, value) in self.services.meta.scan(keys::objects()).await? {
            let record = ObjectRecord::decode(&value)
                .map_err(|error| MetaError::Unreadable(error.to_string().into()))?;
            objects.extend(keys::parse_object(&key).map(|id| (id, record)));
        }
        Ok(objects)
    }

    async fn delete_object(&self, id: ObjectId) -> bool {
        match self.services.store.delete(&object_name(id)).await {
            Ok(()) => {
                self.services.metrics.objects_deleted.inc();
                true
            }
            Err(error) => {
                tracing::warn!(%error, "a dead object could not be deleted; trying again at the next sweep");
                false
            }
        }
    }

    /// Deletes dead objects, then their records.
    async fn delete_dead(&self) -> Result<(), MetaError> {
        let dead: Vec<ObjectId> = {
            let objects = self.objects().await?;
            objects
                .into_iter()
                .filter(|(_, record)| record.life == ObjectLife::Dead)
                .map(|(id, _)| id)
                .collect()
        };
        for some in dead.chunks(OBJECTS_A_COMMIT) {
            let mut batch = Batch::default();
            for id in some {
                if self.delete_object(*id).await {
                    batch.delete(keys::object(*id));
                }
            }
            if !batch.is_empty() {
                let _ledger = self.services.ledger.lock().await;
                self.services.commit(batch).await?;
            }
        }
        Ok(())
    }
}
