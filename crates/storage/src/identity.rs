//! Who a storage belongs to, whose log is to be recovered, and whether this process may do it.

use bytes::Bytes;
use waybill_meta::{
    Batch, ChainLife, ChainRecord, ClusterRecord, MetaStore, NodeRecord, ObjectId, ObjectIdsRecord, Record,
    WalKind, WalTrimRecord, keys,
};
use waybill_rt::entropy::fresh_cluster_id;
use waybill_types::{ClusterId, Incarnation, StoreId};
use waybill_wal::chain::ledger::Attempt;
use waybill_wal::chain::names::Slot;
use waybill_wal::{Sabotage, WalPosition};

use crate::chains::{ChainRules, Registration, register};
use crate::driver::{ChainRecovery, WalDriver, WalRegistration};
use crate::error::OpenError;
use crate::options::{EngineDeps, EngineOptions, Sabotage as EngineSabotage};

/// The level of the formats that this release writes.
pub(crate) const LEVEL: u32 = 1;

/// Who this store belongs to and which incarnation comes next.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) cluster: ClusterId,
    /// This process's node.
    pub(crate) node: NodeRecord,
    /// The chain that led last, where logs are chains: the one that is not closed.
    former: Option<Former>,
    pub(crate) trim: WalPosition,
    closed_at: Option<WalPosition>,
    pub(crate) next_object: ObjectId,
}

#[derive(Debug, Clone, Copy)]
struct Former {
    chain: ChainRecord,
    /// The recovery that this process has durably begun.
    recovery: Option<ChainRecovery>,
}

/// What the metadata says about nodes and chains.
struct Known {
    cluster: Option<(ClusterRecord, Bytes)>,
    nodes: Vec<NodeRecord>,
    /// Chains that are not closed.
    open: Vec<ChainRecord>,
}

/// Looks from outside whether a node with this WAL may run on a storage. Nothing is written, nobody is disturbed.
///
/// # Errors
/// An [`OpenError`] that says what to do.
pub async fn check_storage(meta: &dyn MetaStore, wal: &dyn WalDriver) -> Result<(), OpenError> {
    known(meta, wal.kind()).await?.check_store(wal).await.map(|_| ())
}

async fn known(meta: &dyn MetaStore, kind: WalKind) -> Result<Known, OpenError> {
    let cluster = meta.get(&keys::cluster()).await?;
    let cluster =
        cluster.map(|bytes| ClusterRecord::decode(&bytes).map(|record| (record, bytes))).transpose()?;
    if let Some((record, _)) = cluster.as_ref().filter(|(record, _)| record.level > LEVEL) {
        let text = format!("the storage is of format level {}, this release knows {LEVEL}", record.level);
        return Err(OpenError::Mismatch(text));
    }
    let mut known = Known { cluster, nodes: Vec::new(), open: Vec::new() };
    for (_, value) in meta.scan(keys::nodes()).await? {
        known.nodes.push(NodeRecord::decode(&value)?);
    }
    for (_, value) in meta.scan(keys::chains()).await? {
        let chain = ChainRecord::decode(&value)?;
        known.open.extend((!matches!(chain.life, ChainLife::Closed { .. })).then_some(chain));
    }
    if known.cluster.is_none() && !known.nodes.is_empty() {
        return Err(OpenError::Mismatch("the metadata names a node but no cluster".into()));
    }
    for node in &known.nodes {
        check_kind(node.wal_kind, kind)?;
    }
    let led = known.nodes.iter().any(|node| node.incarnation > Incarnation(0));
    match (kind, known.open.len()) {
        (WalKind::File, _) | (WalKind::Object, 1) => Ok(known),
        (WalKind::Object, 0) if !led => Ok(known),
        (WalKind::Object, chains) => Err(OpenError::Mismatch(format!(
            "the metadata names {chains} logs to go on from where there must be one: it is damaged, or of a version from before \
             the first release; restore meta/ from a copy"
        ))),
    }
}

fn check_kind(registered: WalKind, asked: WalKind) -> Result<(), OpenError> {
    let text = match (registered, asked) {
        (WalKind::File, WalKind::Object) => {
            "this storage's write-ahead log is a ring of local files, and moving it to an object store is not built yet: \
             start without --wal-storage, or with a new --storage"
        }
        (WalKind::Object, WalKind::File) => {
            "this storage's write-ahead log is on an object store: start with the --wal-storage that it was started with \
             before, or with a new --storage"
        }
        _ => return Ok(()),
    };
    Err(OpenError::Mismatch(text.into()))
}

impl Known {
    /// The WAL's store shows the id that every node is registered with. Gives the id, where one is registered and shown.
    async fn check_store(&self, wal: &dyn WalDriver) -> Result<Option<StoreId>, OpenError> {
        let Some(node) = self.nodes.first().filter(|_| wal.kind() == WalKind::Object) else {
            return Ok(None);
        };
        let shown = wal.shown_id().await?;
        let other = self.nodes.iter().find(|node| shown != Some(node.wal_store));
        let Some(other) = other else { return Ok(Some(node.wal_store)) };
        Err(OpenError::Mismatch(format!(
            "this is not the write-ahead log's store that node {} is registered with: it shows {}, not the id {}; give the \
             --wal-storage (or none) that the broker was started with before. Nothing was changed",
            other.node,
            shown.map_or_else(|| "no id".to_owned(), |id| format!("the id {id}")),
            other.wal_store
        )))
    }
}

/// Reads the identity, making it when the metadata store is new. A store that holds objects is never treated as new.
pub(crate) async fn identify(options: &EngineOptions, deps: &EngineDeps) -> Result<Identity, OpenError> {
    let known = known(&*deps.meta, deps.wal.kind()).await?;
    let next_object = deps.meta.get(&keys::object_ids()).await?;
    let next_object = next_object.map(|bytes| ObjectIdsRecord::decode(&bytes)).transpose()?;
    let shown = match known.check_store(&*deps.wal).await? {
        Some(registered) => Some(registered),
        None => deps.wal.store_id().await?,
    };
    let node = known.nodes.iter().find(|node| node.node == options.node).cloned();
    let (cluster, node) = match (&known.cluster, node) {
        (Some((cluster, _)), Some(node)) => (cluster.clone(), node),
        (cluster, _) => register_node(options, deps, cluster.as_ref(), shown).await?,
    };
    let former = known.open.first().map(|chain| Former { chain: *chain, recovery: None });
    let led = former.map_or(options.node, |former| former.chain.node);
    let trim = deps.meta.get(&keys::wal_trim(led)).await?;
    let trim = trim.map(|bytes| WalTrimRecord::decode(&bytes)).transpose()?;
    Ok(Identity {
        cluster: cluster.cluster_id,
        node,
        former,
        trim: WalPosition(trim.as_ref().map_or(0, |trim| trim.position)),
        closed_at: trim.and_then(|trim| trim.closed_at).map(WalPosition),
        next_object: next_object.map_or(ObjectId(1), |ids| ids.next),
    })
}

/// The first commit of a node: its WAL's store id is durable before the WAL is made.
async fn register_node(
    options: &EngineOptions,
    deps: &EngineDeps,
    cluster: Option<&(ClusterRecord, Bytes)>,
    shown: Option<StoreId>,
) -> Result<(ClusterRecord, NodeRecord), OpenError> {
    let now = deps.clock.now();
    let mut batch = Batch::default();
    let record = match cluster {
        Some((record, _)) => record.clone(),
        None => {
            if !deps.store.list("seg/").await?.is_empty() {
                let text = "the storage root holds segments but its metadata is missing; restore meta/ from a backup";
                return Err(OpenError::Mismatch(text.into()));
            }
            let id = fresh_cluster_id(&*deps.entropy);
            let record = ClusterRecord { cluster_id: id, level: LEVEL, created_at: now };
            batch.require(keys::cluster(), None);
            batch.put(keys::cluster(), record.encode());
            record
        }
    };
    let store = shown.unwrap_or_else(|| {
        let mut drawn = [0; 16];
        deps.entropy.fill(&mut drawn);
        StoreId(drawn)
    });
    let node = NodeRecord {
        node: options.node,
        incarnation: Incarnation(0),
        wal_kind: deps.wal.kind(),
        wal_store: store,
        registered_at: now,
    };
    batch.require(keys::node(options.node), None);
    batch.put(keys::node(options.node), node.encode());
    deps.meta.commit(batch).await?;
    Ok((record, node))
}

impl Identity {
    /// The log that is to be recovered.
    pub(crate) fn registration(&self) -> WalRegistration {
        let (node, incarnation, recovery) = match &self.former {
            Some(Former { chain, recovery }) => (chain.node, chain.incarnation, *recovery),
            None => (self.node.node, self.node.incarnation, None),
        };
        WalRegistration {
            store: self.node.wal_store,
            incarnation,
            trim: self.trim,
            closed_at: self.closed_at,
            node,
            recovery,
        }
    }

    /// The incarnation that begins: the claimed one, which must be above the registered one.
    pub(crate) fn next_incarnation(&self, claimed: Option<Incarnation>) -> Result<Incarnation, OpenError> {
        let registered = self.node.incarnation;
        match claimed {
            None => Ok(Incarnation(registered.get() + 1)),
            Some(claimed) if claimed > registered => Ok(claimed),
            Some(claimed) => Err(OpenError::Mismatch(format!(
                "incarnation {claimed} of node {} was claimed, but incarnation {registered} is registered: another process runs \
                 as this node (give one of the two another --storage, or stop it), or objects below control/broker/ were \
                 deleted, which must never be",
                self.node.node
            ))),
        }
    }

    /// The lead whose log is recovered, 0 if nobody ever led. See [`crate::services::Services::incarnation`].
    pub(crate) fn last_lead(&self, kind: WalKind) -> Incarnation {
        match (kind, &self.former) {
            (WalKind::File, _) => self.node.incarnation,
            (WalKind::Object, former) => Incarnation(former.map_or(0, |former| former.chain.lead)),
        }
    }

    /// The lead that begins with `incarnation` of this node.
    pub(crate) fn next_lead(
        &self,
        kind: WalKind,
        incarnation: Incarnation,
        rule: EngineSabotage,
    ) -> Incarnation {
        match kind {
            WalKind::File => incarnation,
            WalKind::Object if rule.breaks(EngineSabotage::LeadStays) => {
                self.last_lead(kind).max(Incarnation(1))
            }
            WalKind::Object => Incarnation(self.last_lead(kind).get() + 1),
        }
    }

    /// Begins the recovery of the chain that led last: durable before anything of it is sealed or read. From then on its
    /// writer's commits are refused, and the trim is the one that this commit found.
    ///
    /// # Errors
    /// When a later owner has begun one, or the commit fails.
    pub(crate) async fn begin(&mut self, term: u64, meta: &dyn MetaStore) -> Result<(), OpenError> {
        let Some(Former { chain, recovery }) = &mut self.former else { return Ok(()) };
        let rules = ChainRules { record: *chain, sabotage: Sabotage::None };
        let attempt = rules.next_attempt(term);
        let (batch, trim) = rules.begin(attempt).map_err(|refusal| not_ours(chain, &refusal))?;
        meta.commit(batch).await?;
        chain.life = ChainLife::Recovering { term, attempt: attempt.number };
        *recovery = Some(ChainRecovery { attempt, trim });
        Ok(())
    }

    /// What the last commit of a recovery says about nodes and chains: the chain that led last is closed, at the seal in slot
    /// `end`, and this process's is registered. Gives the record of its chain.
    ///
    /// # Errors
    /// When that can not be, which only a mistake in this process can bring about.
    pub(crate) fn succeed(
        &self,
        end: Option<Slot>,
        new: Registration,
        batch: &mut Batch,
    ) -> Result<ChainRecord, OpenError> {
        if let Some(Former { chain, recovery }) = &self.former {
            let rules = ChainRules { record: *chain, sabotage: Sabotage::None };
            let attempt = recovery.map_or(Attempt { term: 0, number: 0 }, |recovery| recovery.attempt);
            let end = end.ok_or_else(|| OpenError::Mismatch("the log's end is not known".into()))?;
            let closed = rules.close(attempt, end).map_err(|refusal| not_ours(chain, &refusal))?;
            batch.ops.extend(closed.ops);
        }
        let registered = register(new, Some(&self.node), None);
        let registered = registered.map_err(|refusal| OpenError::Mismatch(refusal.to_string()))?;
        batch.ops.extend(registered.ops);
        Ok(new.opened())
    }
}

fn not_ours(chain: &ChainRecord, why: &dyn std::fmt::Display) -> OpenError {
    OpenError::Mismatch(format!(
        "the log of node {}, incarnation {}, is not this process's to recover: {why}",
        chain.node, chain.incarnation
    ))
}
