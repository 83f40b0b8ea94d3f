//! Objects in memory, for tests.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::api::{ObjectStore, StoreError};

/// A store in memory. Clones share their objects.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    objects: BTreeMap<String, Bytes>,
    failing_puts: u32,
    gets: u64,
}

impl MemoryStore {
    /// The next `count` puts fail with an I/O error, without a trace.
    pub fn fail_puts(&self, count: u32) {
        self.shared.lock().failing_puts = count;
    }

    /// How many ranges were read.
    #[must_use]
    pub fn gets(&self) -> u64 {
        self.shared.lock().gets
    }

    /// Changes an object behind everybody's back, as a failing disk would.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut shared = self.shared.lock();
        if let Some(object) = shared.objects.get_mut(name) {
            let mut bytes = object.to_vec();
            change(&mut bytes);
            *object = Bytes::from(bytes);
        }
    }
}

impl Shared {
    fn put(&mut self, name: &str, parts: &[Bytes]) -> Result<(), StoreError> {
        if self.objects.contains_key(name) {
            return Err(StoreError::Exists(name.into()));
        }
        if self.failing_puts > 0 {
            self.failing_puts -= 1;
            let error = Arc::new(io::Error::other("made to fail"));
            return Err(StoreError::Io { name: name.into(), error });
        }
        let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
        for part in parts {
            whole.extend_from_slice(part);
        }
        self.objects.insert(name.to_owned(), whole.freeze());
        Ok(())
    }

    fn object(&self, name: &str) -> Result<Bytes, StoreError> {
        self.objects.get(name).cloned().ok_or_else(|| StoreError::NotFound(name.into()))
    }
}

impl ObjectStore for MemoryStore {
    fn put(&self, name: &str, parts: Vec<Bytes>) -> BoxFuture<'_, Result<(), StoreError>> {
        let result = self.shared.lock().put(name, &parts);
        std::future::ready(result).boxed()
    }

    fn get(&self, name: &str, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, StoreError>> {
        let mut shared = self.shared.lock();
        shared.gets += 1;
        let result = shared.object(name).map(|object| {
            let end = range.end.min(object.len() as u64);
            let start = range.start.min(end);
            object.slice(start as usize..end as usize)
        });
        std::future::ready(result).boxed()
    }

    fn len(&self, name: &str) -> BoxFuture<'_, Result<u64, StoreError>> {
        let result = self.shared.lock().object(name).map(|object| object.len() as u64);
        std::future::ready(result).boxed()
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), StoreError>> {
        self.shared.lock().objects.remove(name);
        std::future::ready(Ok(())).boxed()
    }

    fn list(&self, prefix: &str) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        let shared = self.shared.lock();
        let names = shared.objects.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        std::future::ready(Ok(names)).boxed()
    }
}
