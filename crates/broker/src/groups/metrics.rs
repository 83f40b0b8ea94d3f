//! How far groups are behind: lag and age of the last commit, per group and partition.
//!
//! Filled when metrics are asked for, from what the coordinators hold; names are a contract.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use waybill_coordinator::Step;
use waybill_rt::Metrics;
use waybill_types::{PartitionId, TopicPartition};

use crate::broker::Broker;

/// Group and partition pairs that are shown; beyond them `waybill_groups_left_out` counts.
pub const MAX_ROWS: usize = 10_000;

/// How long a scrape waits for the coordinators before it shows what it showed last.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Row {
    group: String,
    topic: String,
    partition: i32,
}

/// The gauges.
#[derive(Debug, Clone, Default)]
pub struct GroupMetrics {
    lag: Family<Row, Gauge>,
    age: Family<Row, Gauge>,
    groups: Gauge,
    left_out: Gauge,
}

impl GroupMetrics {
    /// Registers the gauges.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let new = Self::default();
        let lag = "Records between a group's committed offset and the end of the partition";
        metrics.register("group_lag", lag, new.lag.clone());
        let age = "Seconds since a group last committed an offset of the partition";
        metrics.register("group_last_commit_age_seconds", age, new.age.clone());
        metrics.register("groups", "Groups coordinated here", new.groups.clone());
        let left_out = "Committed offsets beyond those that group_lag shows";
        metrics.register("groups_left_out", left_out, new.left_out.clone());
        new
    }

    /// Takes stock, unless the coordinators are busier than a scrape may wait.
    pub async fn refresh(&self, broker: &Broker) {
        tokio::select! {
            () = self.take_stock(broker) => {}
            () = broker.clock.sleep(PATIENCE) => {}
        }
    }

    async fn take_stock(&self, broker: &Broker) {
        let mut groups = 0;
        let mut rows = Vec::new();
        let mut left_out = 0;
        for desk in broker.groups.desks() {
            let room = MAX_ROWS.saturating_sub(rows.len());
            let asked = desk.ask(move |coordinator, _| {
                let stock = (coordinator.group_count(), coordinator.offset_count(), coordinator.stock(room));
                (stock, Step::default())
            });
            let Ok((some_groups, some_offsets, some)) = asked.await else { continue };
            groups += some_groups;
            left_out += some_offsets.saturating_sub(some.len());
            rows.extend(some);
        }
        // From here on nothing waits, so that a scrape does not see half of it.
        self.lag.clear();
        self.age.clear();
        let now = broker.clock.now();
        let image = broker.controller.image();
        for row in rows {
            let end = image.topic(&row.topic).and_then(|topic| {
                let id = TopicPartition::new(topic.id, PartitionId(row.partition.get()));
                broker.engine.partition(&id).map(|log| log.high_watermark())
            });
            let label = Row { group: row.group, topic: row.topic, partition: row.partition.get() };
            self.age.get_or_create(&label).set(now.since_ms(row.committed).max(0) / 1000);
            if let Some(end) = end {
                self.lag.get_or_create(&label).set(end.get().saturating_sub(row.offset.get()).max(0));
            }
        }
        self.groups.set(i64::try_from(groups).unwrap_or(i64::MAX));
        self.left_out.set(i64::try_from(left_out).unwrap_or(i64::MAX));
    }
}
