//! An object store that a test steers: it counts, holds writes back, fails, and goes silent as for a dead process.

use std::fmt;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use tokio::sync::watch;

/// What becomes of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    /// They are carried out.
    Work,
    /// They wait, and so does the answer.
    Wait,
    /// They are answered with an error.
    Fail,
    /// Nothing is answered any more, reads neither.
    Dead,
}

/// Requests so far: creates and overwrites, reads, LISTs, deletes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) puts: u64,
    pub(crate) gets: u64,
    pub(crate) lists: u64,
}

/// One process's way to a store in memory.
#[derive(Debug, Clone)]
pub(crate) struct Steered {
    inner: Arc<InMemory>,
    writes: Arc<watch::Sender<Writes>>,
    counts: Arc<Mutex<Counts>>,
}

impl fmt::Display for Steered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Steered")
    }
}

impl Steered {
    pub(crate) fn new(inner: &Arc<InMemory>) -> Self {
        let writes = Arc::new(watch::channel(Writes::Work).0);
        Self { inner: Arc::clone(inner), writes, counts: Arc::default() }
    }

    pub(crate) fn shared(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.clone())
    }

    pub(crate) fn let_writes(&self, do_this: Writes) {
        self.writes.send_replace(do_this);
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock()
    }

    async fn may_write(&self) -> Result<()> {
        let mut writes = self.writes.subscribe();
        let now = writes.wait_for(|now| matches!(now, Writes::Work | Writes::Fail)).await;
        match now.map(|now| *now) {
            Ok(Writes::Fail) => Err(object_store::Error::Generic { store: "steered", source: "503".into() }),
            _ => Ok(()),
        }
    }

    async fn may_read(&self) {
        let mut writes = self.writes.subscribe();
        let _ = writes.wait_for(|now| *now != Writes::Dead).await;
    }
}

#[async_trait::async_trait]
impl ObjectStore for Steered {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.counts.lock().puts += 1;
        self.may_write().await?;
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.may_write().await?;
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.counts.lock().gets += 1;
        self.may_read().await;
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(&self, names: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(names)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.counts.lock().lists += 1;
        let (this, prefix) = (self.clone(), prefix.cloned());
        let listing = async move {
            this.may_read().await;
            this.inner.list(prefix.as_ref())
        };
        futures::stream::once(listing).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.counts.lock().lists += 1;
        self.may_read().await;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.may_write().await?;
        self.inner.copy_opts(from, to, options).await
    }
}
