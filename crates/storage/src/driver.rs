//! How the engine opens a WAL, whichever kind it is.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use waybill_meta::WalKind;
use waybill_types::{BrokerId, Incarnation, StoreId};
use waybill_wal::chain::ledger::Attempt;
use waybill_wal::chain::names::Slot;
use waybill_wal::{DurableFrame, SharedWal, WalPosition, WalSink};

/// What the metadata knows about a WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalRegistration {
    /// The id that the WAL's store must show.
    pub store: StoreId,
    /// The incarnation that wrote it last; 0 when none ever did.
    pub incarnation: Incarnation,
    /// Everything below is in segments.
    pub trim: WalPosition,
    /// The end of what was written, when the last incarnation ended in order and all of it is in segments.
    pub closed_at: Option<WalPosition>,
    /// The node that wrote it last: of a chain it may be another one than reads it.
    pub node: BrokerId,
    /// Of a chain: its recovery, which is durably begun.
    pub recovery: Option<ChainRecovery>,
}

/// The recovery of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainRecovery {
    /// Which one it is.
    pub attempt: Attempt,
    /// Every slot below is in segments, as the commit that began it found.
    pub trim: Slot,
}

/// Why a WAL can not be opened, as a text that says what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct WalOpenError(pub Arc<str>);

impl WalOpenError {
    /// Wraps an error of a kind of WAL.
    pub fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string().into())
    }
}

/// Opens a WAL.
pub trait WalDriver: Send + Sync {
    /// The kind of WAL that it opens.
    fn kind(&self) -> WalKind {
        WalKind::File
    }

    /// The id that the WAL's store shows, where it has one of its own. `None`: it takes the one that is registered.
    fn store_id(&self) -> BoxFuture<'_, Result<Option<StoreId>, WalOpenError>> {
        std::future::ready(Ok(None)).boxed()
    }

    /// As [`Self::store_id`], but a store that shows none is not given one: nothing is written.
    fn shown_id(&self) -> BoxFuture<'_, Result<Option<StoreId>, WalOpenError>> {
        std::future::ready(Ok(None)).boxed()
    }

    /// Locks the WAL, ends what the last incarnation wrote where others can write too, and decides what it left. A crash
    /// afterwards repeats it.
    fn recover(
        &self,
        registration: WalRegistration,
    ) -> BoxFuture<'_, Result<Box<dyn RecoveredWal>, WalOpenError>>;
}

/// A WAL between recovery and start.
pub trait RecoveredWal: Send {
    /// The next frames of [trim, end), in order; `None` at the end.
    fn next_frames(&mut self) -> BoxFuture<'_, Result<Option<Vec<DurableFrame>>, WalOpenError>>;

    /// Makes what must exist before `incarnation` is registered. Called once, at the end of the frames.
    fn prepare(&mut self, incarnation: Incarnation) -> BoxFuture<'_, Result<(), WalOpenError>> {
        let _ = incarnation;
        std::future::ready(Ok(())).boxed()
    }

    /// The trim that must be committed before the next incarnation writes. Final once [`Self::prepare`] has succeeded.
    fn next_trim(&self) -> WalPosition;

    /// Of a chain that was recovered: the slot of the seal at its end.
    fn end(&self) -> Option<Slot> {
        None
    }

    /// How many bytes the WAL holds at most before it must be trimmed.
    fn capacity(&self) -> u64;

    /// Starts writing at [`Self::next_trim`], as `incarnation`. Both are in a durable commit.
    fn start(
        self: Box<Self>,
        incarnation: Incarnation,
        sink: Arc<dyn WalSink>,
    ) -> BoxFuture<'static, Result<SharedWal, WalOpenError>>;
}
