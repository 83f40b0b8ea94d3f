//! What a node stands on: the lock, the metadata store, the data store and the write-ahead log.
//!
//! In a folder everything durable lies under the storage root: `meta/meta.redb`, `wal/`, `seg/`, `control/`, `lock`. The lock
//! fences other processes. In a bucket it is `meta/`, `wal/`, `seg/`, `control/` below a prefix, and nothing is kept on this
//! machine: a process joins the brokers there ([`crate::member`]), and stands on it once it holds a term ([`crate::seat`]).

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;
use waybill_control::terms::claim::NodeChoice;
use waybill_control::terms::claiming::{Process, claim};
use waybill_control::terms::creating::ControlStore;
use waybill_meta::{RedbMeta, SharedMeta};
use waybill_rt::Disk;
use waybill_storage::{ChainWalDriver, FileWalDriver, WalDriver, check_storage};
use waybill_store::{DiskStore, Measured, Purpose, SharedStore};
use waybill_types::{BrokerId, Incarnation};
use waybill_wal::DirLock;
use waybill_wal::chain::options::ChainOptions;

use crate::local::{LocalOptions, Machine, NodeError};
use crate::member::{Bucket, Member};
use crate::seat::Seat;

/// Where a node keeps what is durable.
#[derive(Clone)]
pub enum Storage {
    /// Below the storage root; the log in a ring of files there, or in chains of objects elsewhere.
    Folder {
        /// Where chains live, instead of a ring.
        chain: Option<ChainStorage>,
    },
    /// In a bucket.
    Bucket {
        /// The bucket.
        bucket: Box<Bucket>,
        /// This process among the brokers there.
        member: Box<Member>,
    },
}

impl Storage {
    /// Whether reading a segment takes long and costs money.
    pub(crate) fn is_far_away(&self) -> bool {
        matches!(self, Self::Bucket { .. })
    }
}

/// Where chains of WAL objects live, and how they are written.
#[derive(Debug, Clone)]
pub struct ChainStorage {
    /// The store.
    pub store: Measured,
    /// How they are written.
    pub options: ChainOptions,
}

/// What was opened.
pub(crate) struct Ground {
    pub(crate) lock: Option<DirLock>,
    pub(crate) meta: SharedMeta,
    pub(crate) store: SharedStore,
    pub(crate) wal: Arc<dyn WalDriver>,
    /// The claimed incarnation, where others could claim it too.
    pub(crate) incarnation: Option<Incarnation>,
    /// The term that this process holds, 0 where a lock stands in for it.
    pub(crate) term: u64,
    pub(crate) long: Arc<Notify>,
}

impl Ground {
    /// The ground of a process that holds a term.
    pub(crate) fn of_bucket(bucket: &Bucket, member: &Member, seat: &Seat, machine: &Machine) -> Self {
        let long = Arc::new(Notify::new());
        let meta: SharedMeta = Arc::new(seat.meta.clone());
        Self {
            lock: None,
            store: bucket.data.for_purpose(Purpose::Segment),
            wal: chain_driver(&bucket.chain, member.node(), Arc::clone(&meta), &long, machine),
            meta,
            incarnation: Some(member.claimed.holder.incarnation),
            term: seat.term(),
            long,
        }
    }

    pub(crate) async fn of_folder(
        options: &LocalOptions,
        chain: Option<&ChainStorage>,
        machine: &Machine,
    ) -> Result<Self, NodeError> {
        let root = &options.root;
        let lock = DirLock::take(&*machine.disk, root, machine.pid)?;
        refuse_without_metadata(&*machine.disk, root)?;
        let folder = root.join("meta");
        let make = |path: &Path| {
            machine.disk.create_dir_all(path)?;
            machine.disk.sync_dir(root)
        };
        make(&folder).map_err(|error| NodeError::Io { path: folder.clone(), error })?;
        let meta = RedbMeta::open(&machine.disk, &folder.join("meta.redb"), machine.running)?;
        let meta: SharedMeta = Arc::new(meta);
        let store = DiskStore::open(Arc::clone(&machine.disk), root, machine.running);
        let store = store.map_err(|error| NodeError::Io { path: root.clone(), error })?;
        let store = if options.page_cache { store.through_page_cache() } else { store };
        let store: SharedStore = Arc::new(store);
        let long = Arc::new(Notify::new());
        let (wal, incarnation) = match chain {
            None => (file_driver(options, machine), None),
            Some(chain) => {
                let node = options.broker.node;
                let driver = chain_driver(chain, node, Arc::clone(&meta), &long, machine);
                check_storage(&*meta, &*driver).await?;
                (driver, Some(claimed(Arc::clone(&store), options, machine).await?))
            }
        };
        let wal = options.other_wal.clone().unwrap_or(wal);
        Ok(Self { lock: Some(lock), meta, store, wal, incarnation, term: 0, long })
    }
}

/// The incarnation that a process with a lock is from now on.
async fn claimed(
    store: SharedStore,
    options: &LocalOptions,
    machine: &Machine,
) -> Result<Incarnation, NodeError> {
    let io = ControlStore::new(store, Arc::clone(&machine.clock), Arc::clone(&machine.entropy));
    let process = Process { host: options.host.clone(), pid: machine.pid, address: String::new() };
    Ok(claim(&io, NodeChoice::Fixed(options.broker.node), &process).await?.holder.incarnation)
}

fn file_driver(options: &LocalOptions, machine: &Machine) -> Arc<dyn WalDriver> {
    Arc::new(FileWalDriver {
        disk: Arc::clone(&machine.disk),
        dir: options.root.join("wal"),
        ring: options.ring,
        options: options.wal.clone(),
        clock: Arc::clone(&machine.clock),
        metrics: machine.metrics.clone(),
        pid: machine.pid,
    })
}

pub(crate) fn chain_driver(
    chain: &ChainStorage,
    node: BrokerId,
    meta: SharedMeta,
    long: &Arc<Notify>,
    machine: &Machine,
) -> Arc<dyn WalDriver> {
    Arc::new(ChainWalDriver {
        node,
        store: chain.store.clone(),
        meta,
        options: chain.options,
        long: Arc::clone(long),
        clock: Arc::clone(&machine.clock),
        entropy: Arc::clone(&machine.entropy),
        metrics: machine.metrics.clone(),
        tasks: machine.tasks.clone(),
    })
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
