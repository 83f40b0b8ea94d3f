//! From `--storage` and `--wal-storage` to what a node stands on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use waybill_broker::{Bucket, ChainStorage, Machine};
use waybill_meta::{SlateHome, SlateOptions};
use waybill_rt::Supervisor;
use waybill_store::{
    FolderSeams, Limits, Location, Measured, Purpose, SharedStore, Sharing, StoreMetrics, Variables, connect,
    connect_bucket, is_private, probe,
};
use waybill_wal::chain::options::ChainOptions;
use waybill_wal::chain::pace::PaceOptions;

/// Objects of a chain. Three quarters of it make the broker go on with another chain.
const CHAIN_SLOTS: u64 = 65_536;
/// Bytes of a chain, likewise.
const CHAIN_BYTES: u64 = 256 << 30;

/// How the objects of a chain are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WalWriting {
    /// How many are created a second while they are not full, if that is said.
    pub(crate) puts_per_second: Option<f64>,
    /// How long one is waited for.
    pub(crate) timeout: Duration,
}

impl Default for WalWriting {
    fn default() -> Self {
        Self { puts_per_second: None, timeout: Duration::from_secs(20) }
    }
}

/// What was opened.
pub(crate) enum Opened {
    /// A storage root, and where its log is, if elsewhere.
    Folder {
        root: PathBuf,
        chain: Option<Box<ChainStorage>>,
    },
    Bucket(Box<Bucket>),
}

/// Connects to stores and checks that they can be used.
///
/// # Errors
/// With the location and what to do.
pub(crate) async fn open(
    storage: &Location,
    wal_storage: Option<&Location>,
    writing: WalWriting,
    machine: &Machine,
) -> anyhow::Result<Opened> {
    let counted = StoreMetrics::default();
    let chain = match wal_storage {
        Some(location) => Some(chain(location, writing, machine, &counted).await?),
        None => None,
    };
    if let Location::Folder(root) = storage {
        if chain.is_some() {
            counted.register(&machine.metrics);
        }
        return Ok(Opened::Folder { root: root.clone(), chain: chain.map(Box::new) });
    }
    counted.register(&machine.metrics);
    let bucket = connect_bucket(storage, &variables())?;
    let (remote, prefix) = bucket.remote();
    let path = format!("{prefix}meta");
    let data = measured(Arc::new(bucket), machine, &counted);
    check(&data, storage, machine).await?;
    let chain = chain
        .unwrap_or_else(|| ChainStorage { store: data.clone(), options: chain_options(storage, writing) });
    let meta = SlateHome {
        store: remote,
        path,
        options: SlateOptions::default(),
        clock: Arc::clone(&machine.clock),
        // Not the node's: the log's last commits come after that one has stopped.
        tasks: Supervisor::default(),
    };
    Ok(Opened::Bucket(Box::new(Bucket { data, meta: Arc::new(meta), chain })))
}

/// What `--storage` says, or the folder of `--data-dir`.
///
/// # Errors
/// When it is not a place for storage.
pub(crate) fn storage(url: Option<&str>, data_dir: &Path) -> anyhow::Result<Location> {
    match url {
        None => Ok(Location::Folder(data_dir.join("storage"))),
        Some(url) => url.parse().with_context(|| format!("--storage {url}")),
    }
}

/// What `--wal-storage` says.
///
/// # Errors
/// When it is not a place for storage.
pub(crate) fn wal_storage(url: Option<&str>) -> anyhow::Result<Option<Location>> {
    url.map(|url| url.parse().with_context(|| format!("--wal-storage {url}"))).transpose()
}

/// A store to read from, which is not checked first.
///
/// # Errors
/// With the location and what to do.
pub(crate) fn plain(location: &Location, machine: &Machine) -> anyhow::Result<SharedStore> {
    let store = connect(location, &variables(), &seams(machine))?;
    Ok(Arc::new(measured(store, machine, &StoreMetrics::default())))
}

/// This machine's name, for humans.
pub(crate) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

async fn chain(
    location: &Location,
    writing: WalWriting,
    machine: &Machine,
    counted: &StoreMetrics,
) -> anyhow::Result<ChainStorage> {
    let store = measured(connect(location, &variables(), &seams(machine))?, machine, counted);
    check(&store, location, machine).await?;
    Ok(ChainStorage { store, options: chain_options(location, writing) })
}

fn seams(machine: &Machine) -> FolderSeams {
    FolderSeams {
        disk: Arc::clone(&machine.disk),
        entropy: Arc::clone(&machine.entropy),
        running: machine.running,
        sharing: Sharing::Shared,
    }
}

pub(crate) fn measured(store: SharedStore, machine: &Machine, counted: &StoreMetrics) -> Measured {
    let (clock, entropy) = (Arc::clone(&machine.clock), Arc::clone(&machine.entropy));
    Measured::new(store, clock, entropy, Limits::default(), counted.clone())
}

async fn check(store: &Measured, location: &Location, machine: &Machine) -> anyhow::Result<()> {
    let control = store.for_purpose(Purpose::Control);
    let checked = probe(&*control, &*machine.clock, &*machine.entropy).await;
    checked.with_context(|| format!("{location} can not be used"))
}

fn chain_options(location: &Location, writing: WalWriting) -> ChainOptions {
    // Requests to a bucket cost money, those to a file system only time.
    let pace = match (writing.puts_per_second, location) {
        (Some(puts_per_second), _) => PaceOptions { puts_per_second, ..PaceOptions::default() },
        (None, Location::Folder(_)) => PaceOptions::unpaid(),
        (None, bucket) if is_private(bucket, &variables()) => PaceOptions::own_server(),
        (None, Location::Bucket { .. }) => PaceOptions::default(),
    };
    ChainOptions {
        pace,
        slots: CHAIN_SLOTS,
        bytes: CHAIN_BYTES,
        budget: writing.timeout,
        ..ChainOptions::default()
    }
}

/// The environment, without what is no text.
pub(crate) fn variables() -> Variables {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
