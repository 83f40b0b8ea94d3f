//! The file WAL as the engine opens it.

use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use waybill_rt::{Metrics, Running, SharedClock, SharedDisk};
use waybill_types::Incarnation;
use waybill_wal::{
    DurableFrame, FileWal, FileWalOptions, Recovery, Registered, Ring, RingOptions, SharedWal, WalPosition,
    WalSink, WriterMode,
};

use crate::driver::{RecoveredWal, WalDriver, WalOpenError, WalRegistration};

/// Opens the file WAL in a folder.
#[derive(Clone)]
pub struct FileWalDriver {
    /// Where it lives.
    pub disk: SharedDisk,
    /// The folder.
    pub dir: PathBuf,
    /// The shape of a new ring.
    pub ring: RingOptions,
    /// How it is run.
    pub options: FileWalOptions,
    /// Time.
    pub clock: SharedClock,
    /// Where its counters are registered.
    pub metrics: Metrics,
    /// This process, for the lock file.
    pub pid: u32,
}

impl std::fmt::Debug for FileWalDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileWalDriver").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl FileWalDriver {
    fn running(&self) -> Running {
        match self.options.mode {
            WriterMode::Thread => Running::Blocking,
            WriterMode::Task { .. } => Running::Inline,
        }
    }

    fn open(&self, registration: WalRegistration) -> Result<(Arc<Ring>, Recovery), WalOpenError> {
        let disk = Arc::clone(&self.disk);
        let ring = Ring::open(disk, &self.dir, registration.store, self.ring, self.pid)
            .map_err(WalOpenError::new)?;
        let registered = Registered { incarnation: registration.incarnation, trim: registration.trim };
        if let Some(end) = registration.closed_at
            && let Some(recovery) = ring.recover_closed(registered, end).map_err(WalOpenError::new)?
        {
            return Ok((ring, recovery));
        }
        let recovery = ring.recover(registered).map_err(WalOpenError::new)?;
        Ok((ring, recovery))
    }
}

impl WalDriver for FileWalDriver {
    fn recover(
        &self,
        registration: WalRegistration,
    ) -> BoxFuture<'_, Result<Box<dyn RecoveredWal>, WalOpenError>> {
        let driver = self.clone();
        let opened = self.running().run(move || driver.open(registration));
        async move {
            let (ring, recovery) = opened.await.map_err(WalOpenError::new)??;
            let next_trim = recovery.next_trim;
            let recovery = Some(recovery);
            Ok(Box::new(RecoveredFileWal { driver: self.clone(), ring, recovery, next_trim })
                as Box<dyn RecoveredWal>)
        }
        .boxed()
    }
}

struct RecoveredFileWal {
    driver: FileWalDriver,
    ring: Arc<Ring>,
    /// `None` at the end.
    recovery: Option<Recovery>,
    next_trim: WalPosition,
}

impl RecoveredWal for RecoveredFileWal {
    fn next_frames(&mut self) -> BoxFuture<'_, Result<Option<Vec<DurableFrame>>, WalOpenError>> {
        let running = self.driver.running();
        async move {
            let Some(mut recovery) = self.recovery.take() else { return Ok(None) };
            let read = running.run(move || recovery.next_group().map(|frames| (recovery, frames)));
            let (recovery, frames) = read.await.map_err(WalOpenError::new)?.map_err(WalOpenError::new)?;
            if frames.is_some() {
                self.recovery = Some(recovery);
            }
            Ok(frames)
        }
        .boxed()
    }

    fn next_trim(&self) -> WalPosition {
        self.next_trim
    }

    fn capacity(&self) -> u64 {
        let geometry = self.ring.geometry();
        u64::from(geometry.files) * geometry.file_size
    }

    fn start(
        self: Box<Self>,
        incarnation: Incarnation,
        sink: Arc<dyn WalSink>,
    ) -> BoxFuture<'static, Result<SharedWal, WalOpenError>> {
        let Self { driver, ring, next_trim, .. } = *self;
        let FileWalDriver { options, clock, metrics, .. } = driver;
        let started = FileWal::start(ring, incarnation, next_trim, options, clock, sink);
        let started = started.map_err(WalOpenError::new).map(|wal| {
            wal.metrics().register(&metrics);
            wal as SharedWal
        });
        std::future::ready(started).boxed()
    }
}
