//! A node of this machine: the broker on a directory, and its HTTP port.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use waybill_broker::{Broker, BrokerConfig, LocalNode, LocalOptions, Machine};

/// What a node is started with.
pub(crate) struct NodeOptions {
    /// Segments go through the page cache.
    pub(crate) page_cache: bool,
    /// The broker.
    pub(crate) broker: BrokerConfig,
    /// The storage root.
    pub(crate) root: PathBuf,
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
        let local = LocalOptions {
            page_cache: options.page_cache,
            ..LocalOptions::new(options.broker, options.root)
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

    /// Stops the node: writes out what is queued, ends every task.
    ///
    /// # Errors
    /// The first failure of a part of it.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.inner.stop().await.map_err(|failure| anyhow!("{failure}"))
    }
}
