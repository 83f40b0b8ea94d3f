//! Objects in a bucket: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.
//!
//! One call is one request (LIST: one a page). Nothing is tried again here: a create that was tried twice would find its
//! own first try in the way, and whoever asks must know that. Time-outs are the caller's ([`crate::Measured`]); the ones here are a
//! backstop.

use std::error::Error;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectStore as Remote, ObjectStoreExt, PutMode,
    PutOptions, PutPayload, RetryConfig,
};

use crate::api::{ObjectStore, StoreError};
use crate::names::is_name;

/// Connecting takes at most so long.
const CONNECT: Duration = Duration::from_secs(3);
/// No request takes longer, whoever waits for it.
const BACKSTOP: Duration = Duration::from_secs(60);
/// An idle connection is given up before the other side forgets it.
const IDLE: Duration = Duration::from_secs(15);

/// How requests are made: each once.
pub(crate) fn once() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: BACKSTOP }
}

/// Time-outs of connections. `allow_http`: without TLS, where the endpoint says so.
pub(crate) fn client(allow_http: bool) -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_timeout(BACKSTOP)
        .with_pool_idle_timeout(IDLE)
        .with_allow_http(allow_http)
}

/// Objects in a bucket, below a prefix.
pub struct CloudStore {
    remote: Arc<dyn Remote>,
    prefix: String,
}

impl std::fmt::Debug for CloudStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CloudStore({} {})", self.remote, self.prefix)
    }
}

impl CloudStore {
    /// Objects of `remote` whose names start with `prefix`: empty, or with a `/` at its end.
    pub(crate) fn new(remote: Arc<dyn Remote>, prefix: String) -> Self {
        Self { remote, prefix }
    }

    /// The plain client, which tries nothing again and counts nothing, and the prefix of all names: empty, or with a `/` at
    /// its end.
    #[must_use]
    pub fn remote(&self) -> (Arc<dyn Remote>, &str) {
        (Arc::clone(&self.remote), &self.prefix)
    }

    fn path(&self, name: &str) -> Result<Path, StoreError> {
        if !is_name(name) {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not an object name");
            return Err(StoreError::Io { name: name.into(), error: Arc::new(error) });
        }
        let whole = format!("{}{name}", self.prefix);
        Path::parse(whole).map_err(|error| StoreError::Io {
            name: name.into(),
            error: Arc::new(io::Error::new(io::ErrorKind::InvalidInput, error)),
        })
    }

    async fn create(&self, name: &str, parts: Vec<Bytes>) -> Result<(), StoreError> {
        let path = self.path(name)?;
        let payload: PutPayload = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        self.remote.put_opts(&path, payload, options).await.map_err(|error| map(name, error))?;
        Ok(())
    }

    async fn read(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = self.path(name)?;
        if range.is_empty() {
            self.remote.head(&path).await.map_err(|error| map(name, error))?;
            return Ok(Bytes::new());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let read = async { self.remote.get_opts(&path, options).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(bytes),
            // A range that starts behind the object (416): nothing is there, which is no error to us.
            Err(error) if status(&error) == Some(416) => self.beyond(name, &path, range).await,
            Err(error) => Err(map(name, error)),
        }
    }

    async fn beyond(&self, name: &str, path: &Path, range: Range<u64>) -> Result<Bytes, StoreError> {
        let size = self.remote.head(path).await.map_err(|error| map(name, error))?.size;
        if range.start >= size {
            return Ok(Bytes::new());
        }
        let why = format!("range {range:?} of {size} bytes was refused");
        Err(StoreError::Io { name: name.into(), error: Arc::new(io::Error::other(why)) })
    }

    async fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name)?;
        match self.remote.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(map(name, error)),
        }
    }

    async fn names(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        // A remote LIST takes whole folders; the rest of the prefix is compared here.
        let whole = format!("{}{prefix}", self.prefix);
        let folder = whole.rsplit_once('/').map(|(folder, _)| folder).filter(|folder| !folder.is_empty());
        let folder = folder.map(Path::parse).transpose().map_err(|error| StoreError::Io {
            name: prefix.into(),
            error: Arc::new(io::Error::new(io::ErrorKind::InvalidInput, error)),
        })?;
        let mut names = Vec::new();
        let mut pages = self.remote.list(folder.as_ref());
        while let Some(object) = pages.try_next().await.map_err(|error| map(prefix, error))? {
            let name = object.location.as_ref().strip_prefix(&self.prefix);
            names.extend(name.filter(|name| name.starts_with(prefix)).map(str::to_owned));
        }
        Ok(names)
    }
}

/// The HTTP status inside an error: the crate keeps it in its texts only.
fn status(error: &object_store::Error) -> Option<u16> {
    let text = format!("{error}");
    let (_, after) = text.split_once("status code: ")?;
    after.get(..3)?.parse().ok()
}

fn http_kind(error: &object_store::Error) -> Option<HttpErrorKind> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http.kind());
        }
        source = error.source();
    }
    None
}

/// What an error of the remote store means here.
pub(crate) fn map(name: &str, error: object_store::Error) -> StoreError {
    use object_store::Error as Remote;
    let why = |error: &Remote| Arc::from(brief(&error.to_string()));
    match &error {
        Remote::AlreadyExists { .. } | Remote::Precondition { .. } | Remote::NotModified { .. } => {
            StoreError::Exists(name.into())
        }
        Remote::NotFound { source, .. } if names_bucket(&source.to_string()) => no_bucket(name),
        Remote::NotFound { .. } => StoreError::NotFound(name.into()),
        Remote::PermissionDenied { .. } | Remote::Unauthenticated { .. } => {
            StoreError::Denied { name: name.into(), why: why(&error) }
        }
        _ => match (status(&error), http_kind(&error)) {
            (Some(401 | 403), _) => StoreError::Denied { name: name.into(), why: why(&error) },
            (Some(404), _) if names_bucket(&error.to_string()) => no_bucket(name),
            (Some(507), _) => StoreError::NoSpace(name.into()),
            (Some(429 | 500..=599), _) => StoreError::Busy { name: name.into(), why: why(&error) },
            (Some(408), _) | (_, Some(HttpErrorKind::Timeout)) => StoreError::TimedOut(name.into()),
            _ => StoreError::Io { name: name.into(), error: Arc::new(io::Error::other(error)) },
        },
    }
}

/// Whether a 404 is about the bucket or container, in the words of S3, Azure and Google.
fn names_bucket(text: &str) -> bool {
    ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"].iter().any(|words| text.contains(words))
}

fn no_bucket(name: &str) -> StoreError {
    StoreError::Denied { name: name.into(), why: "the bucket or container does not exist".into() }
}

/// The first part of a long text: stores answer errors with whole documents.
fn brief(text: &str) -> String {
    text.chars().take(400).collect()
}

impl ObjectStore for CloudStore {
    fn put(&self, name: &str, parts: Vec<Bytes>) -> BoxFuture<'_, Result<(), StoreError>> {
        let name = name.to_owned();
        async move { self.create(&name, parts).await }.boxed()
    }

    fn get(&self, name: &str, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, StoreError>> {
        let name = name.to_owned();
        async move { self.read(&name, range).await }.boxed()
    }

    fn len(&self, name: &str) -> BoxFuture<'_, Result<u64, StoreError>> {
        let name = name.to_owned();
        async move {
            let path = self.path(&name)?;
            Ok(self.remote.head(&path).await.map_err(|error| map(&name, error))?.size)
        }
        .boxed()
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), StoreError>> {
        let name = name.to_owned();
        async move { self.remove(&name).await }.boxed()
    }

    fn list(&self, prefix: &str) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        let prefix = prefix.to_owned();
        async move { self.names(&prefix).await }.boxed()
    }
}

#[cfg(test)]
mod tests;
