//! What every handler works with.

use std::sync::Arc;

use parking_lot::Mutex;
use waybill_control::Controller;
use waybill_rt::{Budget, Metrics, Running, SharedClock, SharedEntropy, Supervisor};
use waybill_security::{Gate, SharedQuotas, Usage};
use waybill_storage::LogEngine;
use waybill_types::{TopicId, TopicPartition};

use crate::config::{BrokerConfig, Endpoint};
use crate::fetch::Replays;
use crate::fetch::session::Sessions;
use crate::groups::metrics::GroupMetrics;
use crate::groups::service::Groups;
use crate::metrics::{BudgetMetrics, NetMetrics};

/// A running broker's parts.
pub struct Broker {
    /// Its configuration.
    pub config: BrokerConfig,
    /// What clients are told to connect to, one a listener.
    pub endpoints: Vec<Endpoint>,
    /// Topics and configuration.
    pub controller: Controller,
    /// The log.
    pub engine: Arc<LogEngine>,
    /// Who may do what.
    pub gate: Gate,
    /// Who used what.
    pub usage: Arc<Usage>,
    /// Who must wait.
    pub quotas: SharedQuotas,
    /// Bytes of records in responses that are not sent yet.
    pub responses: Budget,
    /// Fetch sessions.
    pub fetch_sessions: Mutex<Sessions>,
    /// Consumer groups.
    pub groups: Groups,
    /// How far groups are behind.
    pub group_metrics: GroupMetrics,
    /// Reads beyond live windows.
    pub replays: Replays,
    /// The epoch of the finalized features: the commit that last changed them.
    pub features_epoch: i64,
    /// Requests, bytes, errors.
    pub net_metrics: NetMetrics,
    /// What the byte budgets hold.
    pub budget_metrics: BudgetMetrics,
    /// Every metric.
    pub metrics: Metrics,
    /// Time.
    pub clock: SharedClock,
    /// Chance.
    pub entropy: SharedEntropy,
    /// Background tasks.
    pub tasks: Supervisor,
    /// Where what takes long is run.
    pub running: Running,
}

impl Broker {
    /// What a client of `listener` is told to connect to.
    pub fn endpoint(&self, listener: &str) -> &Endpoint {
        let own = self.endpoints.iter().find(|endpoint| &*endpoint.listener == listener);
        own.or_else(|| self.endpoints.first()).unwrap_or(&self.config.fallback_endpoint)
    }

    /// Whether a topic, by name or id, replaces record timestamps by the append time.
    pub fn stamps_append_time(&self, name: &str, id: TopicId) -> bool {
        let image = self.controller.image();
        let topic = image.topic(name).or_else(|| image.topic_by_id(id));
        topic.is_some_and(|topic| topic.settings.log_append_time)
    }

    /// A partition's leader epoch, -1 when it is not here.
    pub fn leader_epoch(&self, id: &TopicPartition) -> i32 {
        self.engine.partition(id).map_or(-1, |log| log.leader_epoch().get())
    }
}
