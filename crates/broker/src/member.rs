//! A process among the brokers on one bucket: which incarnation of which node it is, and how others hear that it lives.
//!
//! It joins by looking, without disturbing anybody, whether it may run there at all; then it claims an incarnation, before it
//! writes anything else. Whoever lost its chain or its term goes on as its next incarnation, unless another process runs under
//! its node id by now.

use std::net::SocketAddr;
use std::sync::Arc;

use waybill_control::terms::claim::NodeChoice;
use waybill_control::terms::claiming::{self, Process, claim_again};
use waybill_control::terms::creating::ControlStore;
use waybill_control::terms::{ClaimError, Claimed, Heart};
use waybill_meta::MetaHome;
use waybill_rt::Supervisor;
use waybill_storage::check_storage;
use waybill_store::{Measured, Purpose};
use waybill_types::BrokerId;

use crate::ground::{ChainStorage, chain_driver};
use crate::local::{Machine, NodeError};

/// A bucket that brokers share.
#[derive(Clone)]
pub struct Bucket {
    /// Segments, and who is which incarnation.
    pub data: Measured,
    /// The metadata store. Its tasks must not run under the node's supervisor, which stops them too early.
    pub meta: Arc<dyn MetaHome>,
    /// The log.
    pub chain: ChainStorage,
}

/// As what a process joins.
#[derive(Debug, Clone)]
pub struct Joining {
    /// Its node id.
    pub node: NodeChoice,
    /// The machine's name, for humans.
    pub host: String,
    /// Where it answers other brokers.
    pub rpc: SocketAddr,
}

/// A process among the brokers on a bucket.
#[derive(Clone)]
pub struct Member {
    pub(crate) io: ControlStore,
    pub(crate) claimed: Claimed,
    pub(crate) heart: Heart,
    /// It led before, and lost that.
    pub(crate) deposed: bool,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Member({})", self.claimed.holder)
    }
}

impl Bucket {
    fn control(&self, machine: &Machine) -> ControlStore {
        let (clock, entropy) = (Arc::clone(&machine.clock), Arc::clone(&machine.entropy));
        ControlStore::new(self.data.for_purpose(Purpose::Control), clock, entropy)
    }
}

impl Member {
    /// Joins the brokers on a bucket. `tasks` live as long as the process: they say that it lives.
    ///
    /// # Errors
    /// When the storage is not one to run on, which is found out before anything is written; when the claim fails.
    pub async fn join(
        bucket: &Bucket,
        joining: Joining,
        machine: &Machine,
        tasks: &Supervisor,
    ) -> Result<Self, NodeError> {
        if let Some(meta) = bucket.meta.look().await? {
            // The node id is not known yet, and not needed for a look.
            let driver =
                chain_driver(&bucket.chain, BrokerId(0), Arc::clone(&meta), &Arc::default(), machine);
            check_storage(&*meta, &*driver).await?;
        }
        let rpc = joining.rpc;
        if rpc.ip().is_unspecified() {
            return Err(NodeError::RpcWildcard(rpc));
        }
        let fault = |error| NodeError::Rpc { addr: rpc, error };
        let listener = machine.net.listen(rpc).await.map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?.to_string();
        let process = Process { host: joining.host, pid: machine.pid, address };
        let io = bucket.control(machine);
        let claimed = claiming::claim(&io, joining.node, &process).await?;
        tracing::info!(claimed = %claimed.holder, address = claimed.holder.address, "joined the brokers on this storage");
        let heart = Heart::new(claimed.holder.incarnation);
        heart.start(listener, Arc::clone(&machine.clock), tasks);
        Ok(Self { io, claimed, heart, deposed: false })
    }

    /// The node id.
    #[must_use]
    pub fn node(&self) -> BrokerId {
        self.claimed.holder.node
    }

    /// The same process as its next incarnation.
    ///
    /// # Errors
    /// [`ClaimError::Superseded`] when another process runs under its node id: then this one must end.
    pub async fn again(&self, bucket: &Bucket, machine: &Machine) -> Result<Self, ClaimError> {
        let io = bucket.control(machine);
        let claimed = claim_again(&io, &self.claimed).await?;
        self.heart.go_on_as(claimed.holder.incarnation);
        tracing::info!(claimed = %claimed.holder, "going on as the next incarnation");
        Ok(Self { io, claimed, heart: self.heart.clone(), deposed: true })
    }
}
