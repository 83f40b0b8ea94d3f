//! The running service: ingest on a thread of its own, the HTTP server beside it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use waybill_rt::{Metrics, SharedClock, Supervisor};
use waybill_security::{AllowAll, Gate, TracingAudit};

use crate::api::{App, router};
use crate::ingest::kafka::{KafkaConfig, KafkaSource};
use crate::ingest::{Ingest, IngestError, NamedSource, Progress, RecordSource, SourceError, Sources};
use crate::mapping::Mappings;
use crate::store::sqlite::SqliteStore;
use crate::store::{StateHashes, Store, StoreError};

/// How long one round waits for the first record.
const POLL_WAIT: Duration = Duration::from_millis(50);

/// How long ingest rests after a failure before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the service needs to be told.
#[derive(Debug, Clone)]
pub struct VisibilityConfig {
    /// Brokers to start from: `HOST:PORT`, comma-separated.
    pub bootstrap: String,
    /// Topics to read and what maps each; empty means: find them by the header of their first record.
    pub topics: Vec<NamedSource>,
    /// The mappings that are files, beside those built in.
    pub mappings: Mappings,
    /// The SQLite file.
    pub store: PathBuf,
    /// Where to serve HTTP; port 0 takes a free one.
    pub http: SocketAddr,
    /// The view's name, part of its consumer group's.
    pub view: String,
    /// More properties of librdkafka (`security.protocol`, …), to reach a secured Kafka.
    pub kafka: Vec<(String, String)>,
    /// Feed `<topic>.quarantine`; off in rebuilds.
    pub feeds_quarantine: bool,
}

impl VisibilityConfig {
    /// The defaults, with the brokers at `bootstrap` and the view in `store`.
    pub fn new(bootstrap: impl Into<String>, store: impl Into<PathBuf>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            topics: Vec::new(),
            mappings: Mappings::default(),
            store: store.into(),
            http: SocketAddr::from(([127, 0, 0, 1], 8090)),
            view: "main".to_owned(),
            kafka: Vec::new(),
            feeds_quarantine: true,
        }
    }
}

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store can not be opened.
    #[error("the store {}: {error}", path.display())]
    Store {
        /// Which.
        path: PathBuf,
        /// Why.
        error: StoreError,
    },
    /// The address can not be listened on.
    #[error("{addr} can not be listened on: {error}; choose another with --http")]
    Listen {
        /// Which.
        addr: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The Kafka client can not be made.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// The service while it runs. Dropping it does not stop it: cancel the token it was given.
#[derive(Clone)]
pub struct Running {
    /// Where HTTP is served.
    pub addr: SocketAddr,
    /// How far the view is.
    pub progress: Arc<Progress>,
    store: Arc<dyn Store>,
    tasks: Supervisor,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Running {
    /// The state's hashes. Reads everything and blocks: call it from a blocking task.
    ///
    /// # Errors
    /// The store failed.
    pub fn hashes(&self) -> Result<StateHashes, StoreError> {
        self.store.read()?.hashes()
    }

    /// Resolves once the service has ended: after its token was cancelled, or with the first failure.
    ///
    /// # Errors
    /// The failure that ended it.
    pub async fn ended(&self) -> Result<(), String> {
        self.tasks.stopping().cancelled().await;
        self.tasks.shutdown().await
    }
}

/// Starts the service on `config`'s brokers. It stops when `shutdown` is cancelled.
///
/// # Errors
/// The store, the address or the Kafka client can not be had. Brokers that do not answer are no error: the service
/// waits for them and says how old its answers are.
pub async fn serve(
    config: VisibilityConfig,
    clock: SharedClock,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<Running, ServeError> {
    let source = KafkaSource::new(&KafkaConfig {
        bootstrap: config.bootstrap.clone(),
        group: format!("waybill-visibility-{}", config.view),
        properties: config.kafka.clone(),
    })?;
    serve_from(config, source, clock, metrics, shutdown).await
}

/// Starts the service on any source of records.
///
/// # Errors
/// As [`serve`].
pub async fn serve_from<S: RecordSource + 'static>(
    config: VisibilityConfig,
    source: S,
    clock: SharedClock,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<Running, ServeError> {
    let store = SqliteStore::open(&config.store)
        .map_err(|error| ServeError::Store { path: config.store.clone(), error })?;
    let store: Arc<dyn Store> = Arc::new(store);
    let listener = TcpListener::bind(config.http)
        .await
        .map_err(|error| ServeError::Listen { addr: config.http, error })?;
    let addr = listener.local_addr().map_err(|error| ServeError::Listen { addr: config.http, error })?;
    let progress = Arc::new(Progress::new(clock.monotonic()));
    let sources =
        if config.topics.is_empty() { Sources::Discovered } else { Sources::Named(config.topics.clone()) };
    let ingest = Ingest::new(
        Arc::clone(&store),
        source,
        sources,
        Arc::clone(&clock),
        Arc::clone(&progress),
        config.feeds_quarantine,
    )
    .with_mappings(config.mappings.clone());
    let gate = Gate::new(Arc::new(AllowAll), Arc::new(TracingAudit));
    let app = App::new(
        Arc::clone(&store),
        Arc::clone(&progress),
        Arc::clone(&clock),
        metrics,
        gate,
        config.mappings.clone(),
        &config.view,
        addr.ip().is_loopback(),
    );
    let tasks = Supervisor::default();
    let stopping = tasks.stopping();
    let asked_for = shutdown.clone();
    let (outer, inner) = (shutdown, stopping.clone());
    tasks.spawn("visibility shutdown", async move {
        tokio::select! {
            () = outer.cancelled() => inner.cancel(),
            () = inner.cancelled() => {}
        }
        Ok::<(), String>(())
    });
    let stop = Stop { asked: asked_for, failing: stopping.clone() };
    tasks.spawn("visibility ingest", async move {
        tokio::task::spawn_blocking(move || run(ingest, &clock, &stop)).await.map_err(|join| join.to_string())
    });
    tasks.spawn("visibility http", async move {
        let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).with_graceful_shutdown(stopping.cancelled_owned()).await
    });
    Ok(Running { addr, progress, store, tasks })
}

/// The ingest thread watches both tokens itself: it must end even when no async task runs any more.
struct Stop {
    asked: CancellationToken,
    failing: CancellationToken,
}

impl Stop {
    fn is_asked(&self) -> bool {
        self.asked.is_cancelled() || self.failing.is_cancelled()
    }
}

/// Rounds until asked to stop. A failure is told once and tried again: brokers come back, disks are emptied.
fn run<S: RecordSource>(mut ingest: Ingest<S>, clock: &SharedClock, stop: &Stop) {
    let mut told: Option<String> = None;
    while !stop.is_asked() {
        match ingest.step(POLL_WAIT) {
            Ok(_) => {
                if told.take().is_some() {
                    tracing::info!("ingest goes on");
                }
            }
            Err(error) => {
                let text = error.to_string();
                if told.as_deref() != Some(text.as_str()) {
                    match &error {
                        IngestError::Source(_) => tracing::warn!(error = text, "ingest waits"),
                        IngestError::Store(_) => tracing::error!(error = text, "ingest waits"),
                    }
                    told = Some(text);
                }
                rest(clock, stop);
            }
        }
    }
}

fn rest(clock: &SharedClock, stop: &Stop) {
    let until = clock.monotonic() + RETRY_AFTER;
    while clock.monotonic() < until && !stop.is_asked() {
        std::thread::sleep(Duration::from_millis(20));
    }
}
