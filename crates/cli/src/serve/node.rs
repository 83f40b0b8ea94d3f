//! A node of this machine: the broker on a folder or bucket, and its HTTP port.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use waybill_broker::{Broker, BrokerConfig, LocalNode, LocalOptions, Machine};
use waybill_store::Location;

use super::stores::{self, Opened};

/// What a node is started with.
#[derive(Clone)]
pub(crate) struct NodeOptions {
    /// Segments go through the page cache.
    pub(crate) page_cache: bool,
    /// The broker.
    pub(crate) broker: BrokerConfig,
    /// Where everything durable is.
    pub(crate) storage: Location,
    /// Where the write-ahead log is, if elsewhere.
    pub(crate) wal_storage: Option<Location>,
    /// Objects of it created a second while they are not full, if that is said.
    pub(crate) wal_puts_per_second: Option<f64>,
    /// Where health, readiness and metrics are served.
    pub(crate) http: SocketAddr,
}

/// A running node.
pub(crate) struct Node {
    /// The broker.
    pub(crate) broker: Arc<Broker>,
    /// Where HTTP is served.
    pub(crate) http: SocketAddr,
    inner: LocalNode,
}

impl Node {
    /// Starts a node: when this returns, it serves.
    ///
    /// # Errors
    /// When storage is in use or damaged, or a port is taken.
    pub(crate) async fn start(options: NodeOptions) -> anyhow::Result<Self> {
        // Before anything is opened, so that a taken port changes nothing on disk.
        let listener = TcpListener::bind(options.http)
            .await
            .with_context(|| format!("can not listen on {}; choose another with --http", options.http))?;
        let http = listener.local_addr()?;
        let machine = Machine::real();
        let tasks = machine.tasks.clone();
        let Opened { root, storage } = stores::open(
            &options.storage,
            options.wal_storage.as_ref(),
            options.wal_puts_per_second,
            &machine,
        )
        .await?;
        let local = LocalOptions {
            page_cache: options.page_cache,
            storage,
            host: stores::host(),
            ..LocalOptions::new(options.broker, root)
        };
        let inner = LocalNode::start(local, machine).await?;
        let broker = Arc::clone(&inner.broker);
        let stopping = tasks.stopping();
        let routes = waybill_broker::http::routes(Arc::clone(&broker));
        tasks.spawn("http", async move {
            axum::serve(listener, routes).with_graceful_shutdown(stopping.cancelled_owned()).await
        });
        Ok(Self { broker, http, inner })
    }

    /// Resolves when the node should be stopped and started again soon, because its chain of WAL objects is long.
    pub(crate) async fn long(&self) {
        self.inner.long.notified().await;
    }

    /// Stops the node: writes out what is queued, ends every task.
    ///
    /// # Errors
    /// The first failure of a part of it.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.inner.stop().await.map_err(|failure| anyhow!("{failure}"))
    }
}
