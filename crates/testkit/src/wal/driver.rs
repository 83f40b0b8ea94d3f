//! The [`PipelinedWal`] as the log engine opens it.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use waybill_rt::SharedClock;
use waybill_storage::{RecoveredWal, WalDriver, WalOpenError, WalRegistration};
use waybill_types::Incarnation;
use waybill_wal::{DurableFrame, SharedWal, WalPosition, WalSink};

use super::{PipelinedWal, PipelinedWalOptions};

/// Opens a [`PipelinedWal`], which holds nothing from before, and hands it out for stalling.
pub struct PipelinedDriver {
    options: PipelinedWalOptions,
    clock: SharedClock,
    wal: Arc<Mutex<Option<Arc<PipelinedWal>>>>,
}

impl PipelinedDriver {
    /// A driver for a WAL of these options.
    #[must_use]
    pub fn new(options: PipelinedWalOptions, clock: SharedClock) -> Self {
        Self { options, clock, wal: Arc::default() }
    }

    /// The WAL, once the engine has started it.
    #[must_use]
    pub fn wal(&self) -> Option<Arc<PipelinedWal>> {
        self.wal.lock().clone()
    }
}

impl WalDriver for PipelinedDriver {
    fn recover(&self, _: WalRegistration) -> BoxFuture<'_, Result<Box<dyn RecoveredWal>, WalOpenError>> {
        let fresh =
            Fresh { options: self.options, clock: Arc::clone(&self.clock), wal: Arc::clone(&self.wal) };
        std::future::ready(Ok(Box::new(fresh) as Box<dyn RecoveredWal>)).boxed()
    }
}

struct Fresh {
    options: PipelinedWalOptions,
    clock: SharedClock,
    wal: Arc<Mutex<Option<Arc<PipelinedWal>>>>,
}

impl RecoveredWal for Fresh {
    fn next_frames(&mut self) -> BoxFuture<'_, Result<Option<Vec<DurableFrame>>, WalOpenError>> {
        std::future::ready(Ok(None)).boxed()
    }

    fn next_trim(&self) -> WalPosition {
        WalPosition(0)
    }

    fn capacity(&self) -> u64 {
        16 * self.options.stretch
    }

    fn start(
        self: Box<Self>,
        _: Incarnation,
        sink: Arc<dyn WalSink>,
    ) -> BoxFuture<'static, Result<SharedWal, WalOpenError>> {
        let wal = PipelinedWal::start(self.options, self.clock, sink);
        *self.wal.lock() = Some(Arc::clone(&wal));
        std::future::ready(Ok(wal as SharedWal)).boxed()
    }
}
