//! Metadata stores that have one owner at a time, and where they are opened.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Either, select};
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use waybill_rt::{SharedClock, Supervisor};

use crate::api::{MetaError, MetaStore, SharedMeta};
use crate::slate::{SlateMeta, SlateOptions, SlateReader};

/// The first pause before a request is tried again; doubled up to 32 times as much.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

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

    /// A look at what is durable in it now, which writes nothing and does not disturb its owner. `None`: nobody has made it.
    fn look(&self) -> BoxFuture<'_, Result<Option<SharedMeta>, MetaError>>;
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

    fn look(&self) -> BoxFuture<'_, Result<Option<SharedMeta>, MetaError>> {
        async move {
            let looking = self.read().boxed();
            match select(looking, self.clock.sleep(self.options.open_budget)).await {
                Either::Left((found, _)) => found,
                Either::Right(_) => {
                    let why =
                        format!("the metadata store could not be read within {:?}", self.options.open_budget);
                    Err(MetaError::Unreadable(why.into()))
                }
            }
        }
        .boxed()
    }
}

impl SlateHome {
    async fn read(&self) -> Result<Option<SharedMeta>, MetaError> {
        let manifests = Path::from(format!("{}/manifest", self.path));
        let mut tries = 0;
        loop {
            match self.store.list(Some(&manifests)).next().await {
                None => return Ok(None),
                Some(Ok(_)) => break,
                Some(Err(error)) if tries >= self.options.store_retries => {
                    return Err(MetaError::Unreadable(error.to_string().into()));
                }
                // What else is asked of the store is tried again by SlateDB.
                Some(Err(_)) => self.clock.sleep(FIRST_PAUSE * (1 << tries.min(5))).await,
            }
            tries += 1;
        }
        let reader =
            SlateReader::open(Arc::clone(&self.store), &self.path, self.options.store_retries).await?;
        Ok(Some(Arc::new(reader)))
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
