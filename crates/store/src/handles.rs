//! Open files of objects, the least recently used closed first.

use std::collections::HashMap;
use std::sync::Arc;

use waybill_rt::DiskFile;

/// An open file of an object, whose length never changes.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) length: u64,
    /// It was opened for reading around the page cache.
    pub(crate) direct: bool,
}

/// A bounded cache of open files.
pub(crate) struct Handles {
    limit: usize,
    clock: u64,
    open: HashMap<String, (u64, Handle)>,
}

impl Handles {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), clock: 0, open: HashMap::new() }
    }

    pub(crate) fn get(&mut self, name: &str) -> Option<Handle> {
        self.clock += 1;
        let (used, handle) = self.open.get_mut(name)?;
        *used = self.clock;
        Some(handle.clone())
    }

    pub(crate) fn insert(&mut self, name: &str, handle: Handle) {
        self.clock += 1;
        if self.open.len() >= self.limit && !self.open.contains_key(name) {
            // Ages are unique, so the choice does not depend on the map's order.
            let oldest = self.open.iter().min_by_key(|(_, (used, _))| *used).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                self.open.remove(&oldest);
            }
        }
        self.open.insert(name.to_owned(), (self.clock, handle));
    }

    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.open.remove(name);
    }
}
