//! How the controller's commits reach the log engine.

use std::ops::Range;
use std::sync::Arc;

use futures::future::BoxFuture;
use waybill_control::settings::{RetentionClock as Clock, TopicSettings};
use waybill_control::{PartitionHost, Topic};
use waybill_meta::{Batch, MetaError};
use waybill_storage::{CleanRules, LogEngine, Retention, RetentionClock};
use waybill_types::{PartitionId, TopicId, TopicPartition};

/// The log engine as the controller sees it.
#[derive(Debug)]
pub struct EngineHost {
    engine: Arc<LogEngine>,
}

impl EngineHost {
    /// Hosts partitions in `engine`.
    pub fn new(engine: Arc<LogEngine>) -> Self {
        Self { engine }
    }
}

fn ids(topic: TopicId, partitions: Range<i32>) -> Vec<TopicPartition> {
    partitions.map(|partition| TopicPartition::new(topic, PartitionId(partition))).collect()
}

fn clean_rules(settings: &TopicSettings) -> CleanRules {
    CleanRules {
        delete_retention_ms: settings.delete_retention_ms,
        min_dirty_ratio: f64::from(settings.min_dirty_millionths) / 1_000_000.0,
        min_lag_ms: settings.min_compaction_lag_ms,
        max_lag_ms: settings.max_compaction_lag_ms,
        segment_bytes: settings.segment_bytes,
        segment_ms: settings.segment_ms,
        max_decompressed_bytes: settings.max_decompressed_bytes,
    }
}

impl PartitionHost for EngineHost {
    fn contribute_new(&self, batch: &mut Batch, topic: TopicId, partitions: Range<i32>) {
        self.engine.contribute_partitions(&ids(topic, partitions), batch);
    }

    fn applied(&self, topic: &Topic, new_partitions: Range<i32>) {
        let settings = &topic.settings;
        let kept = settings.delete;
        self.engine.set_retention(
            topic.id,
            Retention {
                ms: settings.retention_ms.filter(|_| kept),
                bytes: settings.retention_bytes.filter(|_| kept),
                clock: match settings.retention_clock {
                    Clock::Record => RetentionClock::Record,
                    Clock::Append => RetentionClock::Append,
                },
            },
        );
        self.engine.set_cleaning(topic.id, settings.compact.then(|| clean_rules(settings)));
        if let Err(error) = self.engine.add_partitions(ids(topic.id, new_partitions)) {
            // The records are the ones contributed a moment ago.
            tracing::error!(topic = &*topic.name, %error, "new partitions can not be opened");
        }
    }

    fn removed<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, Result<(), MetaError>> {
        Box::pin(self.engine.remove_topic(topic.id))
    }
}
