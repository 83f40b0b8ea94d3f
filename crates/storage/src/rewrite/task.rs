//! The one task that writes segments anew.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use waybill_meta::{MetaError, ObjectId, ObjectLife, ObjectRecord};
use waybill_types::TopicPartition;

use super::RewriteError;
use super::merge::Merged;
use super::plan::{ObjectFacts, Terms, plan};
use crate::shared::Shared;

/// How long it stands back after a failure.
const BACK_OFF: Duration = Duration::from_secs(5);
/// Objects are looked at again after this long though nothing has changed: what is old is read less.
const LOOK_AGAIN: Duration = Duration::from_secs(600);
/// Plans remembered that do not pay.
const REFUSED: usize = 1_024;

/// What the task remembers.
#[derive(Default)]
struct Memory {
    /// What does not pay when it is looked at closely.
    refused: BTreeSet<BTreeSet<ObjectId>>,
    /// Objects that can not be read whole: left as they are until the next start.
    damaged: BTreeSet<ObjectId>,
    /// Logs that can not be compacted, likewise.
    unreadable: BTreeSet<TopicPartition>,
    /// The change that was looked at last, and when.
    looked: Option<(u64, Duration)>,
}

impl Shared {
    /// Compacts logs and segments, one thing after the other, until the process stops.
    pub(crate) async fn run_compactor(self: Arc<Self>) -> Result<(), MetaError> {
        let services = &self.services;
        let stopping = services.supervisor.stopping();
        let mut memory = Memory::default();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = services.clock.sleep(services.options.compaction.check) => {}
            }
            let failed = match self.compact_all(&mut memory).await {
                Ok(()) => continue,
                Err(RewriteError::Stopping) => return Ok(()),
                Err(RewriteError::Meta(error)) if services.poisoned().is_some() => return Err(error),
                Err(error) => error,
            };
            services.metrics.compaction_failures.inc();
            match &failed {
                RewriteError::Damaged(id, _) => {
                    tracing::error!(error = %failed, "an object is left as it is: see waybill fsck --deep");
                    memory.damaged.insert(*id);
                }
                _ => tracing::warn!(error = %failed, "segments could not be written anew; trying again"),
            }
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = services.clock.sleep(BACK_OFF) => {}
            }
        }
    }

    /// Does what there is to do.
    async fn compact_all(&self, memory: &mut Memory) -> Result<(), RewriteError> {
        if self.services.options.compaction.clean {
            self.clean_all(&mut memory.unreadable).await?;
        }
        if self.services.options.compaction.merge {
            while self.merge_once(memory).await? {}
        }
        self.note_compaction_memory();
        Ok(())
    }

    /// Does what pays best. Returns whether there was anything.
    async fn merge_once(&self, memory: &mut Memory) -> Result<bool, RewriteError> {
        let services = &self.services;
        let change = services.objects_changed.load(Ordering::Relaxed);
        let now = services.clock.monotonic();
        if memory.looked.is_some_and(|(seen, at)| seen == change && now.saturating_sub(at) < LOOK_AGAIN) {
            return Ok(false);
        }
        let objects = services.objects().await?;
        let usable = |(id, record): &&(ObjectId, ObjectRecord)| {
            record.life == ObjectLife::Live && !memory.damaged.contains(id)
        };
        let facts: Vec<ObjectFacts> =
            objects.iter().filter(usable).map(|(id, record)| facts(*id, record)).collect();
        let terms = Terms {
            options: &services.options.compaction,
            read_bytes: services.options.read_ahead_bytes,
            now: services.clock.now(),
            refused: &memory.refused,
        };
        let Some(plan) = plan(&facts, &terms) else {
            memory.looked = Some((change, now));
            return Ok(false);
        };
        let chosen: Vec<_> = objects.into_iter().filter(|(id, _)| plan.objects.contains(id)).collect();
        if self.merge(&chosen, &terms).await? == Merged::NotWorth {
            if memory.refused.len() >= REFUSED {
                memory.refused.clear();
            }
            memory.refused.insert(plan.objects);
        } else {
            services.metrics.compactions.inc();
        }
        Ok(true)
    }
}

fn facts(id: ObjectId, record: &ObjectRecord) -> ObjectFacts {
    let since = if record.since.get() < 0 { record.changed_at } else { record.since };
    ObjectFacts { id, size: record.size, dead: record.dead, slices: record.slices, since }
}
