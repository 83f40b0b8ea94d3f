//! Deleting what is durably dead, and what nothing names.
//!
//! The orphan sweep, at each start and now and then: LIST first, then an awaited durable commit, then decide from the
//! state after it. What ended incarnations had prepared is dead, and what was prepared so long ago that nobody may still
//! be writing it: a commit that would make it live is refused from then on. A write that lands later leaves an orphan for the next
//! sweep. Deleting what is durably dead needs no fence; grace spares readers a retry, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use waybill_meta::{Batch, MetaError, ObjectId, ObjectLife, ObjectRecord, Record, keys};
use waybill_types::TopicId;

use crate::segment::{object_name, parse_object_name};
use crate::services::Services;
use crate::shared::Shared;

/// Objects deleted between two commits that say so.
const OBJECTS_A_COMMIT: usize = 256;
/// How long a delete that failed is left alone.
const AGAIN: Duration = Duration::from_secs(30);

impl Shared {
    /// Finishes what the last incarnation began, sweeps orphans, then deletes objects as they die.
    pub(crate) async fn run_sweeper(self: Arc<Self>, deleted: Vec<TopicId>) -> Result<(), MetaError> {
        let services = &self.services;
        let stopping = services.supervisor.stopping();
        for topic in deleted {
            self.forget_topic(topic).await?;
        }
        let dead = services.objects().await?;
        let dead = dead.into_iter().filter(|(_, record)| record.life == ObjectLife::Dead);
        // A restart lets readers go: nobody is spared anything by waiting again.
        services.dying.lock().extend(dead.map(|(id, _)| (id, waybill_types::TimestampMs(0))));
        services.sweep_orphans().await?;
        let mut swept = services.clock.monotonic();
        loop {
            let pause = services.delete_dead().await?;
            let now = services.clock.monotonic();
            let until_sweep =
                services.options.compaction.orphan_sweep.saturating_sub(now.saturating_sub(swept));
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = services.sweep_wake.notified() => {}
                () = services.clock.sleep(pause.unwrap_or(until_sweep).min(until_sweep)) => {}
            }
            if services.clock.monotonic().saturating_sub(swept) >= services.options.compaction.orphan_sweep {
                services.sweep_orphans().await?;
                swept = services.clock.monotonic();
            }
        }
    }
}

impl Services {
    /// Deletes what nothing names, and lets die what was prepared and never used.
    async fn sweep_orphans(&self) -> Result<(), MetaError> {
        let listed = match self.store.list("seg/").await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(%error, "objects can not be listed: orphans are swept at the next try");
                return Ok(());
            }
        };
        let (named, dead, next) = {
            let ledger = self.ledger.lock().await;
            let (mut batch, mut named, mut dead) = (Batch::default(), BTreeSet::new(), Vec::new());
            let now = self.clock.now();
            for (key, record) in self.objects().await? {
                named.insert(key);
                if self.is_given_up(&record) {
                    dead.push(key);
                    let record = ObjectRecord { life: ObjectLife::Dead, changed_at: now, ..record };
                    batch.put(keys::object(key), record.encode());
                }
            }
            // Awaited even when it is empty: what was listed is judged by a state that is durable after the list.
            self.commit(batch).await?;
            (named, dead, ledger.next_object)
        };
        self.note_dead(dead);
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

    /// Whether nobody may use what was prepared any more.
    fn is_given_up(&self, record: &ObjectRecord) -> bool {
        let patience = i64::try_from(self.options.compaction.prepared_for.as_millis()).unwrap_or(i64::MAX);
        record.life == ObjectLife::Prepared
            && (record.incarnation < self.incarnation
                || self.clock.now().since_ms(record.changed_at) > patience)
    }

    /// Every object.
    pub(crate) async fn objects(&self) -> Result<Vec<(ObjectId, ObjectRecord)>, MetaError> {
        let mut objects = Vec::new();
        for (key, value) in self.meta.scan(keys::objects()).await? {
            let record = ObjectRecord::decode(&value)
                .map_err(|error| MetaError::Unreadable(error.to_string().into()))?;
            objects.extend(keys::parse_object(&key).map(|id| (id, record)));
        }
        Ok(objects)
    }

    async fn delete_object(&self, id: ObjectId) -> bool {
        match self.store.delete(&object_name(id)).await {
            Ok(()) => {
                self.metrics.objects_deleted.inc();
                true
            }
            Err(error) => {
                tracing::warn!(%error, "a dead object could not be deleted; trying again later");
                false
            }
        }
    }

    /// Deletes dead objects whose grace is over, then their records. Returns how long nothing more is due.
    async fn delete_dead(&self) -> Result<Option<Duration>, MetaError> {
        let grace = i64::try_from(self.options.compaction.grace.as_millis()).unwrap_or(i64::MAX);
        let now = self.clock.now();
        let due: Vec<ObjectId> = {
            let dying = self.dying.lock();
            dying.iter().filter(|(_, since)| now.since_ms(**since) >= grace).map(|(id, _)| *id).collect()
        };
        let mut failed = false;
        for some in due.chunks(OBJECTS_A_COMMIT) {
            let mut batch = Batch::default();
            let mut gone = BTreeSet::new();
            for id in some {
                if self.delete_object(*id).await {
                    batch.delete(keys::object(*id));
                    gone.insert(*id);
                } else {
                    failed = true;
                }
            }
            if !batch.is_empty() {
                let _ledger = self.ledger.lock().await;
                self.commit(batch).await?;
            }
            let mut dying = self.dying.lock();
            dying.retain(|id, _| !gone.contains(id));
        }
        if failed {
            return Ok(Some(AGAIN));
        }
        let first = self.dying.lock().values().min().copied();
        let wait = |since| grace.saturating_sub(now.since_ms(since)).max(1).unsigned_abs();
        Ok(first.map(|since| Duration::from_millis(wait(since))))
    }
}
