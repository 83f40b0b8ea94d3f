//! Starting a broker, and stopping it.
//!
//! Order of a start: locks and recovery (the log engine), topics (the controller), sockets. Order of a stop: sockets,
//! connections, the controller, then the log engine, which writes out what is queued.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use waybill_control::configs::BrokerConfigs;
use waybill_control::{Controller, ControllerDeps, Image};
use waybill_rt::{Budget, Metrics, Running, SharedClock, SharedEntropy, SharedNet, Stream, Supervisor};
use waybill_security::{ClientSoftware, Gate, Principal, RequestContext, SharedQuotas, Usage};
use waybill_storage::LogEngine;
use waybill_types::ClusterId;

use crate::broker::Broker;
use crate::config::{BrokerConfig, Endpoint, ListenerSpec};
use crate::connection::Connection;
use crate::fetch::Replays;
use crate::fetch::session::Sessions;
use crate::groups::metrics::GroupMetrics;
use crate::groups::service::Groups;
use crate::host::EngineHost;
use crate::metrics::{BudgetMetrics, NetMetrics};
use crate::net::connection::{FrameBudget, Limits, serve};
use crate::net::listener::{ConnectionLimits, Connections, Place, accept};
use crate::net::outbox::Ended;

/// What a broker is made of.
pub struct BrokerDeps {
    /// The log, already recovered.
    pub engine: Arc<LogEngine>,
    /// Where metadata is kept.
    pub meta: waybill_meta::SharedMeta,
    /// The cluster.
    pub cluster: ClusterId,
    /// The network.
    pub net: SharedNet,
    /// Time.
    pub clock: SharedClock,
    /// Chance.
    pub entropy: SharedEntropy,
    /// Where background tasks run.
    pub tasks: Supervisor,
    /// Every metric.
    pub metrics: Metrics,
    /// Who may do what.
    pub gate: Gate,
    /// Who must wait.
    pub quotas: SharedQuotas,
    /// Where what takes long is run.
    pub running: Running,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener can not listen.
    #[error("listener {name} can not listen on {addr}: {error}; choose another with --listen")]
    Listen {
        /// The listener.
        name: Arc<str>,
        /// Its address.
        addr: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The metadata can not be read.
    #[error(transparent)]
    Controller(#[from] waybill_control::ControllerError),
}

/// Starts a broker: when this returns, it serves.
///
/// # Errors
/// When a listener can not listen or the metadata can not be read.
pub async fn start(config: BrokerConfig, deps: BrokerDeps) -> Result<Arc<Broker>, StartError> {
    let mut listeners = Vec::new();
    let mut endpoints = Vec::new();
    for spec in &config.listeners {
        let listener = deps.net.listen(spec.addr).await;
        let fault = |error| StartError::Listen { name: Arc::clone(&spec.name), addr: spec.addr, error };
        let listener = listener.map_err(fault)?;
        let bound = listener.local_addr().map_err(fault)?;
        endpoints.push(endpoint(&config, spec, bound));
        listeners.push((Arc::clone(&spec.name), listener));
    }
    let mut image = Image::default();
    image.cluster = deps.cluster;
    image.node = config.node;
    image.broker_configs = BrokerConfigs::fixed(shown_configs(&config, &endpoints));
    let host = Arc::new(EngineHost::new(Arc::clone(&deps.engine)));
    let controller = Controller::open(
        ControllerDeps {
            meta: deps.meta,
            host,
            clock: Arc::clone(&deps.clock),
            entropy: Arc::clone(&deps.entropy),
            tasks: deps.tasks.clone(),
        },
        image,
    )
    .await?;
    let frames = FrameBudget::new(config.request_bytes);
    let responses = Budget::new("responses", config.response_bytes);
    let mut budgets = frames.parts().to_vec();
    budgets.extend([responses.clone(), deps.engine.segment_reads().clone()]);
    let slots = config.kafka_number("max.incremental.fetch.session.cache.slots");
    let broker = Arc::new(Broker {
        endpoints,
        controller,
        engine: deps.engine,
        gate: deps.gate,
        usage: Arc::new(Usage::new(Usage::DEFAULT_LIMIT)),
        quotas: deps.quotas,
        responses,
        fetch_sessions: Mutex::new(Sessions::new(usize::try_from(slots).unwrap_or_default())),
        groups: Groups::new(&config),
        group_metrics: GroupMetrics::register(&deps.metrics),
        replays: Replays::default(),
        features_epoch: 1,
        net_metrics: NetMetrics::register(&deps.metrics),
        budget_metrics: BudgetMetrics::register(&deps.metrics, budgets),
        metrics: deps.metrics,
        clock: deps.clock,
        entropy: deps.entropy,
        tasks: deps.tasks,
        running: deps.running,
        config,
    });
    broker.groups.start(&broker);
    let limits = Limits {
        max_frame: usize::try_from(broker.config.kafka_number("socket.request.max.bytes"))
            .unwrap_or_default(),
        frames,
        frame_timeout: broker.config.frame_timeout,
        idle: broker.config.kafka_ms("connections.max.idle.ms"),
        memory: [broker.responses.clone(), broker.engine.segment_reads().clone()],
    };
    let connections = Arc::new(Connections::default());
    for (name, listener) in listeners {
        spawn_listener(&broker, name, listener, Arc::clone(&connections), limits.clone());
    }
    Ok(broker)
}

fn endpoint(config: &BrokerConfig, spec: &ListenerSpec, bound: SocketAddr) -> Endpoint {
    let told = config.advertised.iter().find(|endpoint| endpoint.listener == spec.name);
    told.cloned().unwrap_or_else(|| Endpoint {
        listener: Arc::clone(&spec.name),
        host: bound.ip().to_string(),
        port: bound.port(),
    })
}

/// The broker's own values, as DescribeConfigs shows them.
fn shown_configs(config: &BrokerConfig, endpoints: &[Endpoint]) -> BTreeMap<String, String> {
    let mut shown = config.kafka.clone();
    let list =
        endpoints.iter().map(|e| format!("{}://{}:{}", e.listener, e.host, e.port)).collect::<Vec<_>>();
    shown.insert("advertised.listeners".to_owned(), list.join(","));
    shown.insert("node.id".to_owned(), config.node.to_string());
    shown.insert("broker.id".to_owned(), config.node.to_string());
    shown
}

fn spawn_listener(
    broker: &Arc<Broker>,
    name: Arc<str>,
    listener: Box<dyn waybill_rt::Listener>,
    connections: Arc<Connections>,
    limits: Limits,
) {
    let number = |key| usize::try_from(broker.config.kafka_number(key)).unwrap_or(usize::MAX);
    let allowed =
        ConnectionLimits { total: number("max.connections"), per_ip: number("max.connections.per.ip") };
    let clock = Arc::clone(&broker.clock);
    let stopping = broker.tasks.stopping();
    let accepting = {
        let broker = Arc::clone(broker);
        let next = AtomicU64::new(0);
        accept(listener, connections, allowed, clock, move |stream, place| {
            let id = next.fetch_add(1, Ordering::Relaxed);
            let context = context(&broker, &name, &stream, id);
            spawn_connection(&broker, context, stream, place, limits.clone());
        })
    };
    broker.tasks.spawn("listener", async move {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = accepting => {}
        }
        Ok::<(), String>(())
    });
}

fn context(broker: &Broker, listener: &Arc<str>, stream: &Stream, id: u64) -> RequestContext {
    let peer = match stream.peer.ip() {
        // A dual-stack socket shows IPv4 peers mapped; people and rules know them plain.
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
        plain => plain,
    };
    RequestContext {
        principal: Principal::anonymous(),
        listener: Arc::clone(listener),
        client_id: "".into(),
        software: ClientSoftware::unknown(),
        connection: format!("{}-{}-{id}", stream.local, stream.peer).into(),
        peer,
        rack: "".into(),
        received: broker.clock.now(),
    }
}

fn spawn_connection(
    broker: &Arc<Broker>,
    context: RequestContext,
    stream: Stream,
    place: Place,
    limits: Limits,
) {
    let stopping = broker.tasks.stopping();
    let clock = Arc::clone(&broker.clock);
    let metrics = broker.net_metrics.clone();
    let connection = Arc::clone(&context.connection);
    let service = Connection::new(Arc::clone(broker), context);
    // Not under the supervisor: a connection that ends badly is the client's matter, not the process's.
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = serve(stream, service, limits, clock) => ended,
            () = stopping.cancelled() => Ok(()),
        };
        match ended {
            Ok(()) => {}
            Err(Ended::Io(error)) => tracing::debug!(%connection, %error, "connection broke"),
            Err(Ended::Refused(why)) => {
                metrics.protocol_error();
                tracing::debug!(%connection, why, "connection closed");
            }
        }
        drop(place);
    });
}
