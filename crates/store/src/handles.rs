//! Open files of objects, the least recently used closed first.

use std::collections::HashMap;
use std::sync::Arc;

use waybill_rt::DiskFile;

/// A bounded cache of open files.
pub(crate) struct Handles {
    limit: usize,
    clock: u64,
    open: HashMap<String, (u64, Arc<dyn DiskFile>)>,
}

impl Handles {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), clock: 0, open: HashMap::new() }
    }

    pub(crate) fn get(&mut self, name: &str) -> Option<Arc<dyn DiskFile>> {
        self.clock += 1;
        let (used, file) = self.open.get_mut(name)?;
        *used = self.clock;
        Some(Arc::clone(file))
    }

    pub(crate) fn insert(&mut self, name: &str, file: Arc<dyn DiskFile>) {
        self.clock += 1;
        if self.open.len() >= self.limit && !self.open.contains_key(name) {
            // Ages are unique, so the choice does not depend on the map's order.
            let oldest = self.open.iter().min_by_key(|(_, (used, _))| *used).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                self.open.remove(&oldest);
            }
        }
        self.open.insert(name.to_owned(), (self.clock, file));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.open.remove(name);
    }
}
