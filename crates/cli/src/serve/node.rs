//! A node of this machine: the broker on a folder or bucket, and its HTTP port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use waybill_broker::{
    Broker, BrokerConfig, Front, Joining, LocalNode, LocalOptions, Machine, Member, NodeError, Storage,
};
use waybill_control::terms::ClaimError;
use waybill_rt::Supervisor;
use waybill_store::Location;

use super::stores::{self, Opened, WalWriting};

/// The pause before another try to lead, or to claim an incarnation.
const PAUSE: Duration = Duration::from_secs(2);

/// What a node is started with.
#[derive(Clone)]
pub(crate) struct NodeOptions {
    /// Segments go through the page cache.
    pub(crate) page_cache: bool,
    /// The broker.
    pub(crate) broker: BrokerConfig,
    /// As what it joins others, on a bucket.
    pub(crate) joining: Joining,
    /// Where everything durable is.
    pub(crate) storage: Location,
    /// Where the write-ahead log is, if elsewhere.
    pub(crate) wal_storage: Option<Location>,
    /// How its objects are written, where it is a chain.
    pub(crate) wal_writing: WalWriting,
    /// Where health, readiness and metrics are served.
    pub(crate) http: SocketAddr,
}

/// What outlives the incarnations of a process: its HTTP port, and its place among the brokers on a bucket.
pub(crate) struct House {
    options: NodeOptions,
    front: Front,
    /// Where HTTP is served.
    pub(crate) http: SocketAddr,
    tasks: Supervisor,
    member: Option<Member>,
    /// It has led before: it does not end because it can not lead at once. Nor does one that has stood by.
    led: bool,
}

/// A running node.
pub(crate) struct Node {
    /// The broker.
    pub(crate) broker: Arc<Broker>,
    inner: LocalNode,
}

impl House {
    /// Opens the HTTP port, before anything else, so that a taken one changes nothing.
    ///
    /// # Errors
    /// When it is taken.
    pub(crate) async fn open(options: NodeOptions) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(options.http)
            .await
            .with_context(|| format!("can not listen on {}; choose another with --http", options.http))?;
        let http = listener.local_addr()?;
        let (front, tasks) = (Front::default(), Supervisor::default());
        let (routes, stopping) = (front.clone().routes(), tasks.stopping());
        tasks.spawn("http", async move {
            axum::serve(listener, routes).with_graceful_shutdown(stopping.cancelled_owned()).await
        });
        Ok(Self { options, front, http, tasks, member: None, led: false })
    }

    /// Starts a node: when this returns, it serves. On a bucket it first waits, for as long as another broker leads there.
    ///
    /// # Errors
    /// When storage is in use or damaged, or a port is taken.
    pub(crate) async fn start(&mut self) -> anyhow::Result<Node> {
        loop {
            match self.try_start().await {
                Ok(node) => {
                    self.led = true;
                    return Ok(node);
                }
                Err(error) if (self.led || self.front.has_stood_by()) && may_pass(&error) => {
                    tracing::error!("can not lead, trying again: {error:#}");
                    self.front.down(format!("{error:#}"));
                    Machine::real().clock.sleep(PAUSE).await;
                    self.again().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_start(&mut self) -> anyhow::Result<Node> {
        let machine = Machine::real();
        let NodeOptions { broker, page_cache, .. } = self.options.clone();
        let (root, storage) = match self.stores(&machine).await? {
            Opened::Folder { root, chain } => (root, Storage::Folder { chain: chain.map(|chain| *chain) }),
            Opened::Bucket(bucket) => {
                let member = match self.member.take() {
                    Some(member) => member,
                    None => {
                        Member::join(&bucket, self.options.joining.clone(), &machine, &self.tasks).await?
                    }
                };
                self.member = Some(member.clone());
                (Default::default(), Storage::Bucket { bucket, member: Box::new(member) })
            }
        };
        let local = LocalOptions {
            page_cache,
            storage,
            host: self.options.joining.host.clone(),
            front: self.front.clone(),
            ..LocalOptions::new(broker, root)
        };
        let inner = LocalNode::start(local, machine).await?;
        Ok(Node { broker: Arc::clone(&inner.broker), inner })
    }

    /// A node does not lead any more, and is about to stop.
    pub(crate) fn show_deposed(&self, node: &Node) {
        let why = node.broker.tasks.failure().unwrap_or_default();
        self.front.down(format!("it does not lead any more ({why}), and goes on as its next incarnation"));
    }

    async fn stores(&self, machine: &Machine) -> anyhow::Result<Opened> {
        let NodeOptions { storage, wal_storage, wal_writing, .. } = &self.options;
        stores::open(storage, wal_storage.as_ref(), *wal_writing, machine).await
    }

    /// Goes on as the next incarnation, which [`Self::start`] then starts. A store that does not answer is waited for.
    ///
    /// # Errors
    /// When another process runs under this node id.
    pub(crate) async fn again(&mut self) -> anyhow::Result<()> {
        while let Some(member) = &self.member {
            let error = match self.claim_again(member).await {
                Ok(member) => {
                    self.member = Some(member);
                    return Ok(());
                }
                Err(error) => error,
            };
            if !may_pass(&error) {
                return Err(error);
            }
            tracing::error!("can not go on, trying again: {error:#}");
            self.front.down(format!("{error:#}"));
            Machine::real().clock.sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn claim_again(&self, member: &Member) -> anyhow::Result<Member> {
        let machine = Machine::real();
        match self.stores(&machine).await? {
            Opened::Bucket(bucket) => Ok(member.again(&bucket, &machine).await.map_err(NodeError::from)?),
            Opened::Folder { .. } => Ok(member.clone()),
        }
    }

    /// Ends what is left: the HTTP port, the beats.
    ///
    /// # Errors
    /// The first failure of a part of it.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.tasks.shutdown().await.map_err(|failure| anyhow!("{failure}"))
    }
}

/// Whether waiting may help a process that has led before: not against another process under its node id, nor for a port.
fn may_pass(error: &anyhow::Error) -> bool {
    !matches!(
        error.downcast_ref::<NodeError>(),
        Some(
            NodeError::Claim(ClaimError::Superseded(_))
                | NodeError::Broker(_)
                | NodeError::Lock(_)
                | NodeError::NoMetadata(_)
                | NodeError::Io { .. }
        )
    )
}

impl Node {
    /// Resolves when the node should be stopped and started again soon, because its chain of WAL objects is long.
    pub(crate) async fn long(&self) {
        self.inner.long.notified().await;
    }

    /// Whether a node that has failed may go on as its next incarnation. See [`LocalNode::has_ended`].
    pub(crate) fn has_ended(&self) -> bool {
        self.inner.has_ended()
    }

    /// Stops the node: writes out what is queued, ends every task.
    ///
    /// # Errors
    /// The first failure of a part of it.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.inner.stop().await.map_err(|failure| anyhow!("{failure}"))
    }
}
