//! What a node stands on: the lock, the metadata store, the data store and the write-ahead log.
//!
//! In a folder everything durable lies under the storage root: `meta/meta.redb`, `wal/`, `seg/`, `control/`, `lock`. The lock
//! fences other processes. In a bucket it is `meta/`, `wal/`, `seg/`, `control/` below a prefix, and nothing is kept on this
//! machine; an incarnation is claimed first, opening the metadata store fences an earlier owner, and sealing its
//! chain stops its writer.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;
use waybill_control::terms::claiming::Process;
use waybill_control::terms::creating::ControlStore;
use waybill_meta::{MetaHome, OwnedMeta, RedbMeta, SharedMeta};
use waybill_rt::Disk;
use waybill_storage::{ChainWalDriver, FileWalDriver, WalDriver};
use waybill_store::{DiskStore, Measured, Purpose, SharedStore};
use waybill_types::Incarnation;
use waybill_wal::DirLock;
use waybill_wal::chain::options::ChainOptions;

use crate::claim::{ClaimError, claim};
use crate::local::{LocalOptions, Machine, NodeError};

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
        /// Segments, and who is which incarnation.
        data: Measured,
        /// The metadata store. Its tasks must not run under the node's supervisor, which stops them too early.
        meta: Arc<dyn MetaHome>,
        /// The log.
        chain: ChainStorage,
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
    /// The metadata store again, where it must be closed.
    pub(crate) owned: Option<Arc<dyn OwnedMeta>>,
    pub(crate) store: SharedStore,
    pub(crate) wal: Arc<dyn WalDriver>,
    /// The claimed incarnation, where others could claim it too.
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) long: Arc<Notify>,
}

impl Ground {
    pub(crate) async fn open(options: &LocalOptions, machine: &Machine) -> Result<Self, NodeError> {
        match &options.storage {
            Storage::Folder { chain } => Self::of_folder(options, chain.as_ref(), machine).await,
            Storage::Bucket { data, meta, chain } => {
                let incarnation = claimed(data.for_purpose(Purpose::Control), options, machine).await?;
                let owned = meta.open().await?;
                let long = Arc::new(Notify::new());
                Ok(Self {
                    lock: None,
                    meta: Arc::clone(&owned) as SharedMeta,
                    owned: Some(owned),
                    store: data.for_purpose(Purpose::Segment),
                    wal: chain_driver(chain, &long, options, machine),
                    incarnation: Some(incarnation),
                    long,
                })
            }
        }
    }

    async fn of_folder(
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
        let store = DiskStore::open(Arc::clone(&machine.disk), root, machine.running);
        let store = store.map_err(|error| NodeError::Io { path: root.clone(), error })?;
        let store = if options.page_cache { store.through_page_cache() } else { store };
        let store: SharedStore = Arc::new(store);
        let long = Arc::new(Notify::new());
        let (wal, incarnation) = match chain {
            None => (file_driver(options, machine), None),
            Some(chain) => {
                let incarnation = claimed(Arc::clone(&store), options, machine).await?;
                (chain_driver(chain, &long, options, machine), Some(incarnation))
            }
        };
        let wal = options.other_wal.clone().unwrap_or(wal);
        Ok(Self { lock: Some(lock), meta: Arc::new(meta), owned: None, store, wal, incarnation, long })
    }
}

/// The incarnation that this process is from now on.
async fn claimed(
    store: SharedStore,
    options: &LocalOptions,
    machine: &Machine,
) -> Result<Incarnation, ClaimError> {
    let io = ControlStore::new(store, Arc::clone(&machine.clock), Arc::clone(&machine.entropy));
    let process = Process { host: options.host.clone(), pid: machine.pid, address: String::new() };
    claim(&io, options.broker.node, &process).await
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

fn chain_driver(
    chain: &ChainStorage,
    long: &Arc<Notify>,
    options: &LocalOptions,
    machine: &Machine,
) -> Arc<dyn WalDriver> {
    Arc::new(ChainWalDriver {
        node: options.broker.node,
        store: chain.store.clone(),
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
