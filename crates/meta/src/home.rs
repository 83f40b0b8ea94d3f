//! Metadata stores that have one owner at a time, and where they are opened.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use waybill_rt::{SharedClock, Supervisor};

use crate::api::{MetaError, MetaStore};
use crate::slate::{SlateMeta, SlateOptions};

/// A metadata store that this process owns until it ends: by its first failed commit, a newer owner, or a close.
pub trait OwnedMeta: MetaStore {
    /// Resolves when it has ended.
    fn over(&self) -> BoxFuture<'_, ()>;

    /// Ends it; later calls are refused.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Starts what opening does not wait for. To be called once.
    fn start_upkeep(&self) {}
}

/// Where a metadata store lives. Opening fences whoever had it open: win the election first.
pub trait MetaHome: Send + Sync + 'static {
    /// Opens it, as its newest owner.
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn OwnedMeta>, MetaError>>;
}

/// A SlateDB below a path of an object store.
#[derive(Clone)]
pub struct SlateHome {
    /// The store.
    pub store: Arc<dyn object_store::ObjectStore>,
    /// What its objects' names begin with, without a slash at the end.
    pub path: String,
    /// How it behaves.
    pub options: SlateOptions,
    /// Time, for budgets.
    pub clock: SharedClock,
    /// What its tasks run under.
    pub tasks: Supervisor,
}

impl std::fmt::Debug for SlateHome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SlateHome({})", self.path)
    }
}

impl MetaHome for SlateHome {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn OwnedMeta>, MetaError>> {
        async move {
            let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
            let opened = SlateMeta::open(store, &self.path, self.options, clock, &self.tasks).await?;
            Ok(Arc::new(opened) as Arc<dyn OwnedMeta>)
        }
        .boxed()
    }
}

impl OwnedMeta for SlateMeta {
    fn over(&self) -> BoxFuture<'_, ()> {
        Self::over(self).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Self::close(self).boxed()
    }

    fn start_upkeep(&self) {
        Self::start_upkeep(self);
    }
}
