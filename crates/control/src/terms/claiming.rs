//! Claiming an incarnation on a store.

use waybill_meta::{Record, RecordError};
use waybill_store::StoreError;
use waybill_types::{BrokerId, Incarnation};

use crate::terms::claim::{Claim, ClaimAction, NodeChoice, Superseded, may_claim_again};
use crate::terms::creating::ControlStore;
use crate::terms::holder::{CLAIMS, Holder, claim_name, claims_of, parse_claim};

/// Where a process runs and answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The machine, to be shown to a human.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Where it answers other brokers, `host:port`.
    pub address: String,
}

/// An incarnation that is this process's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// What the claim's object says.
    pub holder: Holder,
}

/// Why no incarnation was claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The store does not answer.
    #[error("no incarnation can be claimed: {0}")]
    Store(#[from] StoreError),
    /// A claim can not be read.
    #[error("{name} can not be read: {error}; it is needed to tell whether this node runs elsewhere")]
    Damaged {
        /// The object.
        name: String,
        /// What is wrong with it.
        error: RecordError,
    },
    /// The claim that a LIST showed is gone; claims are never deleted.
    #[error("{0} is gone; objects below control/broker/ must never be deleted")]
    Gone(String),
    /// Another process runs under this node id.
    #[error(transparent)]
    Superseded(#[from] Superseded),
}

/// Claims an incarnation for this process, before it writes anything else.
///
/// # Errors
/// A [`ClaimError`].
pub async fn claim(io: &ControlStore, choice: NodeChoice, process: &Process) -> Result<Claimed, ClaimError> {
    let mut claim = Claim::new(choice);
    let (nonce, mut ours) = (io.entropy.next_u64(), None);
    loop {
        match claim.action() {
            ClaimAction::List(node) => claim.listed(&claims(io, node).await?),
            ClaimAction::Create(node, incarnation) => {
                let holder = holder(io, node, incarnation, nonce, process);
                claim.settled(io.create(&claim_name(node, incarnation), &holder.encode()).await?);
                ours = Some(holder);
            }
            ClaimAction::Done(..) => {
                if let Some(holder) = ours {
                    return Ok(Claimed { holder });
                }
            }
        }
    }
}

/// Claims the next incarnation of a process whose chain has ended.
///
/// # Errors
/// [`ClaimError::Superseded`] when another process runs under its node id: then this one must end.
pub async fn claim_again(io: &ControlStore, mine: &Claimed) -> Result<Claimed, ClaimError> {
    let Holder { node, host, pid, address, nonce, .. } = &mine.holder;
    let process = Process { host: host.clone(), pid: *pid, address: address.clone() };
    loop {
        let newest = claims(io, Some(*node)).await?.into_iter().map(|(_, incarnation)| incarnation).max();
        let newest = newest.unwrap_or(mine.holder.incarnation);
        let name = claim_name(*node, newest);
        let bytes = io.read(&name).await?.ok_or_else(|| ClaimError::Gone(name.clone()))?;
        let found = Holder::decode(&bytes).map_err(|error| ClaimError::Damaged { name, error })?;
        may_claim_again(&mine.holder, &found, io.sabotage)?;
        let next = Incarnation(newest.get() + 1);
        let holder = holder(io, *node, next, *nonce, &process);
        if io.create(&claim_name(*node, next), &holder.encode()).await? {
            return Ok(Claimed { holder });
        }
        // Somebody was faster: that is seen above.
    }
}

fn holder(
    io: &ControlStore,
    node: BrokerId,
    incarnation: Incarnation,
    nonce: u64,
    process: &Process,
) -> Holder {
    Holder {
        node,
        incarnation,
        host: process.host.clone(),
        pid: process.pid,
        address: process.address.clone(),
        nonce,
        written: io.clock.now(),
    }
}

async fn claims(
    io: &ControlStore,
    node: Option<BrokerId>,
) -> Result<Vec<(BrokerId, Incarnation)>, StoreError> {
    let prefix = node.map_or_else(|| CLAIMS.to_owned(), claims_of);
    let names = io.list(&prefix).await?;
    Ok(names.iter().filter_map(|name| parse_claim(name)).collect())
}
