//! The running service: ingest on a thread of its own, the HTTP server beside it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use waybill_rt::{Metrics, SharedClock, Supervisor};
use waybill_security::{AllowAll, Gate, TracingAudit};

use crate::alerts::{self, Outbox, Webhook};
use crate::api::{App, router};
use crate::ingest::kafka::KafkaConfig;
use crate::ingest::{NamedSource, Opens, Progress, SourceError, Sources};
use crate::mapping::Mappings;
use crate::store::{StateHashes, StoreError};
use crate::views::{ViewError, Views, ViewsConfig, beside};

/// How often it is looked whether something has become due with views.
const TEND_EVERY: Duration = Duration::from_millis(250);

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
    /// Where alerts are posted.
    pub webhooks: Vec<Webhook>,
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
            webhooks: Vec::new(),
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
        error: ViewError,
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
    /// How far the view is that served at the start.
    pub progress: Arc<Progress>,
    /// All views.
    pub views: Arc<Views>,
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
        let serving = self.views.serving();
        let serving = serving.ok_or_else(|| StoreError::Corrupt("no view serves".to_owned()))?;
        serving.store.read()?.hashes()
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
    let opens = KafkaConfig {
        bootstrap: config.bootstrap.clone(),
        group: format!("waybill-visibility-{}", config.view),
        properties: config.kafka.clone(),
    };
    // A wrong property is told now, not by a thread later.
    opens.open(&opens.group)?;
    serve_from(config, Arc::new(opens), clock, metrics, shutdown).await
}

/// Starts the service on any source of records.
///
/// # Errors
/// As [`serve`].
pub async fn serve_from(
    config: VisibilityConfig,
    opens: Arc<dyn Opens>,
    clock: SharedClock,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<Running, ServeError> {
    let tasks = Supervisor::default();
    let sources =
        if config.topics.is_empty() { Sources::Discovered } else { Sources::Named(config.topics.clone()) };
    let views = Views::open(ViewsConfig {
        store: config.store.clone(),
        opens,
        sources,
        mappings: config.mappings.clone(),
        group: format!("waybill-visibility-{}", config.view),
        feeds: config.feeds_quarantine,
        clock: Arc::clone(&clock),
        shutdown: shutdown.clone(),
        tasks: tasks.clone(),
    });
    let views = views.map_err(|error| ServeError::Store { path: config.store.clone(), error })?;
    let outbox = Outbox::open(&beside(&config.store, "-alerts"))
        .map_err(|error| ServeError::Store { path: config.store.clone(), error: error.into() })?;
    let outbox = Arc::new(outbox);
    let listener = TcpListener::bind(config.http)
        .await
        .map_err(|error| ServeError::Listen { addr: config.http, error })?;
    let addr = listener.local_addr().map_err(|error| ServeError::Listen { addr: config.http, error })?;
    let gate = Gate::new(Arc::new(AllowAll), Arc::new(TracingAudit));
    let stopping = tasks.stopping();
    let app = App::new(
        Arc::clone(&views),
        Arc::clone(&outbox),
        stopping.clone(),
        Arc::clone(&clock),
        metrics,
        gate,
        config.mappings.clone(),
        &config.view,
        addr.ip().is_loopback(),
    );
    let no_view = || StoreError::Corrupt("no view serves".to_owned());
    let app = app.ok_or_else(|| ServeError::Store { path: config.store.clone(), error: no_view().into() })?;
    let progress = Arc::clone(&app.progress);
    let (outer, inner) = (shutdown, stopping.clone());
    tasks.spawn("visibility shutdown", async move {
        tokio::select! {
            () = outer.cancelled() => inner.cancel(),
            () = inner.cancelled() => {}
        }
        Ok::<(), String>(())
    });
    views.start();
    let alerter = alerts::run(Arc::clone(&views), Arc::clone(&outbox), Arc::clone(&clock), stopping.clone());
    tasks.spawn("visibility alerts", alerter);
    for webhook in config.webhooks {
        let told = alerts::hook::run(webhook, Arc::clone(&outbox), Arc::clone(&clock), stopping.clone());
        tasks.spawn("visibility webhook", told);
    }
    tasks.spawn("visibility views", tend(Arc::clone(&views), stopping.clone()));
    tasks.spawn("visibility http", async move {
        let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).with_graceful_shutdown(stopping.cancelled_owned()).await
    });
    Ok(Running { addr, progress, views, tasks })
}

/// Does what has become due with views. A failure is told once and tried again.
async fn tend(views: Arc<Views>, stopping: CancellationToken) -> Result<(), String> {
    let mut told: Option<String> = None;
    while !stopping.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(TEND_EVERY) => {}
            () = stopping.cancelled() => break,
        }
        let views = Arc::clone(&views);
        let done =
            tokio::task::spawn_blocking(move || views.tend()).await.map_err(|join| join.to_string())?;
        match done {
            Ok(()) => told = None,
            Err(error) => {
                let text = error.to_string();
                if told.as_deref() != Some(text.as_str()) {
                    tracing::error!(error = text, "views are not tended");
                    told = Some(text);
                }
            }
        }
    }
    Ok(())
}
