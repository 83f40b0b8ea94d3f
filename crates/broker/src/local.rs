//! A whole node: what is durable ([`crate::ground`]), the log engine, the broker.
//!
//! The same assembly runs in production and under simulation; only the disk, clock, network and chance differ, and
//! whether everything durable lies in a folder or in a bucket.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;
use waybill_control::terms::ClaimError;
use waybill_meta::MetaError;
use waybill_rt::{
    Metrics, RealClock, RealDisk, RealEntropy, RealNet, Running, SharedClock, SharedDisk, SharedEntropy,
    SharedNet, Supervisor,
};
use waybill_security::{
    AllowAll, Gate, SharedAudit, SharedAuthorizer, SharedQuotas, TracingAudit, Unlimited,
};
use waybill_storage::{CompactionOptions, EngineDeps, EngineOptions, LogEngine, WalDriver};
use waybill_wal::{DirLock, FileWalOptions, LockError, RingOptions, WriterMode};

use crate::broker::Broker;
use crate::config::BrokerConfig;
use crate::ground::{Ground, Storage};
use crate::http::Front;
use crate::seat::Seat;
use crate::serve::{BrokerDeps, StartError, start};

/// What a node runs on.
#[derive(Clone)]
pub struct Machine {
    /// Files.
    pub disk: SharedDisk,
    /// Sockets.
    pub net: SharedNet,
    /// Time.
    pub clock: SharedClock,
    /// Chance.
    pub entropy: SharedEntropy,
    /// Background tasks.
    pub tasks: Supervisor,
    /// Every metric.
    pub metrics: Metrics,
    /// How calls that block are run.
    pub running: Running,
    /// This process, named in lock files and claims.
    pub pid: u32,
}

impl Machine {
    /// The operating system's, for a process that runs one node.
    #[must_use]
    pub fn real() -> Self {
        Self {
            disk: RealDisk::shared(),
            net: RealNet::shared(),
            clock: RealClock::shared(),
            entropy: RealEntropy::shared(),
            tasks: Supervisor::default(),
            metrics: Metrics::default(),
            running: Running::Blocking,
            pid: std::process::id(),
        }
    }
}

/// How a node is set up.
#[derive(Clone)]
pub struct LocalOptions {
    /// The broker.
    pub broker: BrokerConfig,
    /// Where everything durable lies.
    pub storage: Storage,
    /// The machine's name, for claims.
    pub host: String,
    /// The storage root, where it is a folder.
    pub root: PathBuf,
    /// Segments go through the page cache; else around it, where the file system can do so.
    pub page_cache: bool,
    /// The shape of a new ring.
    pub ring: RingOptions,
    /// How the WAL is run.
    pub wal: FileWalOptions,
    /// How the log engine is run; node and Kafka's settings are filled in from the broker's configuration.
    pub engine: EngineOptions,
    /// Where it shows how far it is.
    pub front: Front,
    /// Another WAL than the ring of files, for tests.
    pub other_wal: Option<Arc<dyn WalDriver>>,
    /// Who may do what.
    pub authorizer: SharedAuthorizer,
    /// Where changes and denials are recorded.
    pub audit: SharedAudit,
    /// Who must wait.
    pub quotas: SharedQuotas,
}

impl LocalOptions {
    /// The defaults for a broker with its storage in `root`.
    #[must_use]
    pub fn new(broker: BrokerConfig, root: PathBuf) -> Self {
        Self {
            broker,
            storage: Storage::Folder { chain: None },
            host: String::new(),
            root,
            page_cache: false,
            ring: RingOptions::default(),
            wal: FileWalOptions::default(),
            engine: EngineOptions::default(),
            front: Front::default(),
            other_wal: None,
            authorizer: Arc::new(AllowAll),
            audit: Arc::new(TracingAudit),
            quotas: Arc::new(Unlimited),
        }
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The storage root is another process's, or can not be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The storage root holds a log but no metadata.
    #[error(
        "{} holds a log but no metadata (meta/meta.redb is missing): starting would treat it as new and lose what is \
         there; restore the file, or name an empty folder with --data-dir",
        .0.display()
    )]
    NoMetadata(PathBuf),
    /// The disk failed.
    #[error("{}: {error}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// No incarnation was claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Other brokers would be told an address that is none.
    #[error(
        "--rpc {0}: other brokers are told this address, and a wildcard is none; name one that they reach"
    )]
    RpcWildcard(SocketAddr),
    /// The port for other brokers is taken.
    #[error("can not listen on {addr} for other brokers: {error}; choose another with --rpc")]
    Rpc {
        /// The address.
        addr: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// Another broker has taken over while this one started.
    #[error("{0}")]
    Deposed(String),
    /// The metadata can not be read.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The log can not be opened.
    #[error(transparent)]
    Engine(#[from] waybill_storage::OpenError),
    /// The broker can not serve.
    #[error(transparent)]
    Broker(#[from] StartError),
}

/// A running node. Holds the lock on a storage root for life, or a term on a bucket.
pub struct LocalNode {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Told when the node should be stopped and started again soon, because its chain of WAL objects is long.
    pub long: Arc<Notify>,
    seat: Option<Seat>,
    _lock: Option<DirLock>,
}

impl LocalNode {
    /// Starts a node: when this returns, it serves. On a bucket it first waits, for as long as another broker leads there.
    ///
    /// # Errors
    /// A [`NodeError`] whose text says what to do.
    pub async fn start(mut options: LocalOptions, machine: Machine) -> Result<Self, NodeError> {
        let front = options.front.clone();
        front.begin(machine.metrics.clone());
        let node = match options.storage.clone() {
            Storage::Folder { chain } => {
                let ground = Ground::of_folder(&options, chain.as_ref(), &machine).await?;
                Box::pin(Self::start_on(ground, options, machine)).await?
            }
            Storage::Bucket { bucket, member } => {
                options.broker.node = member.node();
                let seat = Seat::take(&bucket, &member, &machine, &front).await;
                let ground = Ground::of_bucket(&bucket, &member, &seat, &machine);
                let tasks = machine.tasks.clone();
                let started = tokio::select! {
                    started = Box::pin(Self::start_on(ground, options, machine)) => started,
                    why = seat.lost() => Err(NodeError::Deposed(why)),
                };
                match started {
                    Ok(node) => {
                        seat.watch(&tasks);
                        Self { seat: Some(seat), ..node }
                    }
                    Err(error) => {
                        // Why it did not start is known.
                        let _ = tasks.shutdown().await;
                        seat.leave().await;
                        return Err(error);
                    }
                }
            }
        };
        front.serving(Arc::clone(&node.broker));
        Ok(node)
    }

    /// Whether a node that has failed did so because its log or its term has ended: another broker has taken over, or the store
    /// was away for too long. Then this process may go on as its next incarnation.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.seat.as_ref().is_some_and(|seat| seat.is_lost() || self.broker.engine.has_ended())
    }

    async fn start_on(ground: Ground, options: LocalOptions, machine: Machine) -> Result<Self, NodeError> {
        let kafka = &options.broker;
        let engine = EngineOptions {
            node: kafka.node,
            incarnation: ground.incarnation,
            term: ground.term,
            retention_check: kafka.kafka_ms("log.retention.check.interval.ms"),
            producer_expiration_ms: kafka.kafka_number("producer.id.expiration.ms"),
            compaction: compaction(kafka, options.engine.compaction.clone()),
            ..options.engine
        };
        let engine = if options.storage.is_far_away() { engine.far_away() } else { engine };
        let deps = EngineDeps {
            clock: Arc::clone(&machine.clock),
            entropy: Arc::clone(&machine.entropy),
            meta: Arc::clone(&ground.meta),
            store: ground.store,
            wal: ground.wal,
            metrics: machine.metrics.clone(),
            supervisor: machine.tasks.clone(),
        };
        let engine = LogEngine::open(engine, deps).await?;
        let deps = BrokerDeps {
            cluster: engine.cluster_id(),
            engine,
            meta: ground.meta,
            net: machine.net,
            clock: machine.clock,
            entropy: machine.entropy,
            tasks: machine.tasks,
            metrics: machine.metrics,
            gate: Gate::new(options.authorizer, options.audit),
            quotas: options.quotas,
            running: machine.running,
        };
        let broker = start(options.broker, deps).await?;
        Ok(Self { broker, long: ground.long, seat: None, _lock: ground.lock })
    }

    /// Stops: sockets close, what is queued is written out, and all background tasks end.
    ///
    /// # Errors
    /// The first failure of a background task, or why the log could not be written out.
    pub async fn stop(self) -> Result<(), String> {
        self.broker.tasks.stopping().cancel();
        // Who was deposed has nothing to write out: clients send again what was not acked.
        let closed = match self.has_ended() {
            true => Ok(()),
            false => self.broker.engine.close().await.map_err(|error| error.to_string()),
        };
        let ended = self.broker.tasks.shutdown().await;
        if let Some(seat) = self.seat {
            seat.leave().await;
        }
        ended.and(closed)
    }
}

/// What Kafka's keys say about compaction.
fn compaction(kafka: &BrokerConfig, engine: CompactionOptions) -> CompactionOptions {
    let rate = kafka.kafka_text("log.cleaner.io.max.bytes.per.second");
    let rate = rate.and_then(|text| text.trim().parse::<f64>().ok()).filter(|rate| *rate > 0.0);
    CompactionOptions {
        clean: kafka.kafka_bool("log.cleaner.enable"),
        check: kafka.kafka_ms("log.cleaner.backoff.ms"),
        // Kafka's default is without bound; here it is one that nobody else notices.
        bytes_per_second: rate
            .filter(|rate| *rate < 1e18)
            .map_or(engine.bytes_per_second, |rate| rate.max(1.0) as u64),
        ..engine
    }
}

/// The WAL's writer as fits how blocking calls are run.
#[must_use]
pub fn writer_mode(running: Running) -> WriterMode {
    match running {
        Running::Blocking => WriterMode::Thread,
        Running::Inline => WriterMode::Task { pace: None },
    }
}
