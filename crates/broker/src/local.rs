//! A whole node on one directory: locks, metadata, write-ahead log, segments, broker.
//!
//! The same assembly runs in production and under simulation; only the disk, clock, network and chance differ.
//! Everything durable lies under the storage root: `meta/meta.redb`, `wal/`, `seg/`, `control/`, `lock`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use waybill_meta::{MetaError, RedbMeta, SharedMeta};
use waybill_rt::{
    Disk, Metrics, RealClock, RealDisk, RealEntropy, RealNet, Running, SharedClock, SharedDisk,
    SharedEntropy, SharedNet, Supervisor,
};
use waybill_security::{
    AllowAll, Gate, SharedAudit, SharedAuthorizer, SharedQuotas, TracingAudit, Unlimited,
};
use waybill_storage::{EngineDeps, EngineOptions, FileWalDriver, LogEngine, WalDriver};
use waybill_store::DiskStore;
use waybill_wal::{DirLock, FileWalOptions, LockError, RingOptions, WriterMode};

use crate::broker::Broker;
use crate::config::BrokerConfig;
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
    /// This process, named in lock files.
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
    /// The storage root.
    pub root: PathBuf,
    /// Segments go through the page cache; else around it, where the file system can do so.
    pub page_cache: bool,
    /// The shape of a new ring.
    pub ring: RingOptions,
    /// How the WAL is run.
    pub wal: FileWalOptions,
    /// How the log engine is run; node and Kafka's settings are filled in from the broker's configuration.
    pub engine: EngineOptions,
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
            root,
            page_cache: false,
            ring: RingOptions::default(),
            wal: FileWalOptions::default(),
            engine: EngineOptions::default(),
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

/// A running node. Holds the lock on the storage root for life.
pub struct LocalNode {
    /// The broker.
    pub broker: Arc<Broker>,
    _lock: DirLock,
}

impl LocalNode {
    /// Starts a node: when this returns, it serves.
    ///
    /// # Errors
    /// A [`NodeError`] whose text says what to do.
    pub async fn start(options: LocalOptions, machine: Machine) -> Result<Self, NodeError> {
        let lock = DirLock::take(&*machine.disk, &options.root, machine.pid)?;
        refuse_without_metadata(&*machine.disk, &options.root)?;
        let folder = options.root.join("meta");
        let make = |path: &Path| {
            machine.disk.create_dir_all(path)?;
            machine.disk.sync_dir(&options.root)
        };
        make(&folder).map_err(|error| NodeError::Io { path: folder.clone(), error })?;
        let meta = RedbMeta::open(&machine.disk, &folder.join("meta.redb"), machine.running)?;
        let meta: SharedMeta = Arc::new(meta);
        let store = DiskStore::open(Arc::clone(&machine.disk), &options.root, machine.running);
        let store = store.map_err(|error| NodeError::Io { path: options.root.clone(), error })?;
        let store = if options.page_cache { store.through_page_cache() } else { store };
        let kafka = &options.broker;
        let engine = EngineOptions {
            node: kafka.node,
            retention_check: kafka.kafka_ms("log.retention.check.interval.ms"),
            producer_expiration_ms: kafka.kafka_number("producer.id.expiration.ms"),
            ..options.engine
        };
        let deps = EngineDeps {
            clock: Arc::clone(&machine.clock),
            entropy: Arc::clone(&machine.entropy),
            meta: Arc::clone(&meta),
            store: Arc::new(store),
            wal: options.other_wal.unwrap_or_else(|| {
                Arc::new(FileWalDriver {
                    disk: Arc::clone(&machine.disk),
                    dir: options.root.join("wal"),
                    ring: options.ring,
                    options: options.wal,
                    clock: Arc::clone(&machine.clock),
                    metrics: machine.metrics.clone(),
                    pid: machine.pid,
                })
            }),
            metrics: machine.metrics.clone(),
            supervisor: machine.tasks.clone(),
        };
        let engine = LogEngine::open(engine, deps).await?;
        let deps = BrokerDeps {
            cluster: engine.cluster_id(),
            engine,
            meta,
            net: machine.net,
            clock: machine.clock,
            entropy: machine.entropy,
            tasks: machine.tasks,
            metrics: machine.metrics,
            gate: Gate::new(options.authorizer, options.audit),
            quotas: options.quotas,
            running: machine.running,
        };
        Ok(Self { broker: start(options.broker, deps).await?, _lock: lock })
    }

    /// Stops: sockets close, what is queued is written out, and all background tasks end.
    ///
    /// # Errors
    /// The first failure of a background task, or why the log could not be written out.
    pub async fn stop(self) -> Result<(), String> {
        self.broker.tasks.stopping().cancel();
        let closed = self.broker.engine.close().await.map_err(|error| error.to_string());
        let ended = self.broker.tasks.shutdown().await;
        ended.and(closed)
    }
}

/// A root that holds a log but no metadata is never treated as new.
fn refuse_without_metadata(disk: &dyn Disk, root: &Path) -> Result<(), NodeError> {
    let look = || -> io::Result<bool> {
        if disk.exists(&root.join("meta/meta.redb"))? {
            return Ok(false);
        }
        for folder in ["seg", "wal"] {
            let path = root.join(folder);
            if disk.exists(&path)? && disk.list(&path)?.iter().any(|name| !name.ends_with("lock")) {
                return Ok(true);
            }
        }
        Ok(false)
    };
    match look() {
        Ok(true) => Err(NodeError::NoMetadata(root.to_owned())),
        Ok(false) => Ok(()),
        Err(error) => Err(NodeError::Io { path: root.to_owned(), error }),
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
