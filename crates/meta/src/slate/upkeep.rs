//! Compaction and collection of garbage, which opening does not wait for.

use std::sync::Arc;
use std::time::Duration;

use slatedb::config::{
    CompactionWorkerOptions, CompactorOptions, GarbageCollectorDirectoryOptions, GarbageCollectorOptions,
};
use slatedb::{CompactorBuilder, GarbageCollectorBuilder};

use super::{SlateMeta, SlateOptions};

/// How often garbage is looked for.
const COLLECTION_INTERVAL: Duration = Duration::from_secs(600);
/// Garbage is younger than this for as long as a reader or a slow owner may need it.
const GARBAGE_AGE: Duration = Duration::from_secs(900);

fn compaction(options: &SlateOptions) -> CompactorOptions {
    let worker = CompactionWorkerOptions {
        max_concurrent_compactions: 1,
        compactions_poll_interval: options.poll,
        max_sst_size: 32 << 20,
        max_subcompactions: 1,
        object_store_max_retries: Some(options.store_retries),
        ..CompactionWorkerOptions::default()
    };
    CompactorOptions {
        poll_interval: options.poll,
        manifest_update_timeout: options.open_budget,
        max_concurrent_compactions: 1,
        worker: Some(worker),
        worker_heartbeat_timeout: options.poll * 3,
        object_store_max_retries: Some(options.store_retries),
        ..CompactorOptions::default()
    }
}

/// Files that fence an owner are never collected: no grace period stops a write that lands late.
fn collection(options: &SlateOptions) -> GarbageCollectorOptions {
    let directory = GarbageCollectorDirectoryOptions {
        interval: Some(COLLECTION_INTERVAL),
        min_age: GARBAGE_AGE,
        dry_run: false,
    };
    let of_manifests = options.conditional_overwrites.then_some(directory);
    GarbageCollectorOptions {
        manifest_options: of_manifests,
        wal_options: Some(directory),
        wal_fence_options: None,
        compacted_options: Some(directory),
        compactions_options: of_manifests,
        detach_options: None,
        boundary_files_enabled: options.conditional_overwrites,
        object_store_max_retries: Some(options.store_retries),
        ..GarbageCollectorOptions::default()
    }
}

impl SlateMeta {
    /// Starts compaction and collection, until the store ends or everything stops. To be called once, when whoever
    /// waited for the store to open has been served. That one of them gives up is no failure: the store works without,
    /// and the next owner starts them again.
    pub fn start_upkeep(&self) {
        let shared = &self.shared;
        let (over, stopping) = (shared.over.clone(), shared.tasks.stopping());
        let compactor = CompactorBuilder::new(shared.path.clone(), Arc::clone(&shared.store))
            .with_options(compaction(&shared.options))
            .build();
        shared.tasks.spawn("metadata compaction", async move {
            let ended = tokio::select! {
                ended = compactor.run() => ended,
                () = over.cancelled() => compactor.stop().await,
                () = stopping.cancelled() => compactor.stop().await,
            };
            report("compaction", ended)
        });
        let (over, stopping) = (shared.over.clone(), shared.tasks.stopping());
        let collector = GarbageCollectorBuilder::new(shared.path.clone(), Arc::clone(&shared.store))
            .with_options(collection(&shared.options))
            .build();
        shared.tasks.spawn("metadata collection", async move {
            let ended = tokio::select! {
                ended = collector.run() => ended,
                () = over.cancelled() => collector.stop().await,
                () = stopping.cancelled() => collector.stop().await,
            };
            report("collection", ended)
        });
    }
}

fn report(task: &'static str, ended: Result<(), slatedb::Error>) -> Result<(), slatedb::Error> {
    if let Err(error) = ended {
        tracing::warn!(task, %error, "upkeep of the metadata store ended");
    }
    Ok(())
}
