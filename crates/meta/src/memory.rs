//! The in-memory twin: the same answers as a durable store, for tests and simulations that do not lose power.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::api::{Batch, CommitSeq, MetaError, MetaStore, Op};

/// A metadata store in memory. Clones share their contents, as if reopened after a clean stop.
#[derive(Debug, Clone, Default)]
pub struct MemoryMeta {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    map: BTreeMap<Bytes, Bytes>,
    sequence: CommitSeq,
    fail_after: Option<u64>,
    full: bool,
}

impl MemoryMeta {
    /// Lets `commits` more commits succeed; every later one fails without a change, as after a lost store.
    pub fn fail_after(&self, commits: u64) {
        self.state.lock().fail_after = Some(commits);
    }

    /// Every further commit finds the disk full, until [`MemoryMeta::heal`].
    pub fn fill(&self) {
        self.state.lock().full = true;
    }

    /// Commits succeed again, as after a new start.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        (state.fail_after, state.full) = (None, false);
    }
}

impl State {
    fn commit(&mut self, batch: Batch) -> Result<CommitSeq, MetaError> {
        if self.full {
            return Err(MetaError::NoSpace("memory".into()));
        }
        if let Some(left) = &mut self.fail_after {
            *left = left.checked_sub(1).ok_or_else(|| MetaError::Failed("made to fail".into()))?;
        }
        for op in &batch.ops {
            if let Op::Require(key, value) = op
                && self.map.get(key) != value.as_ref()
            {
                return Err(MetaError::Conflict(key.clone()));
            }
        }
        for op in batch.ops {
            match op {
                Op::Put(key, value) => {
                    self.map.insert(key, value);
                }
                Op::Delete(key) => {
                    self.map.remove(&key);
                }
                Op::Require(..) => {}
            }
        }
        self.sequence = CommitSeq(self.sequence.0 + 1);
        Ok(self.sequence)
    }
}

impl MetaStore for MemoryMeta {
    fn get(&self, key: &[u8]) -> BoxFuture<'_, Result<Option<Bytes>, MetaError>> {
        let value = self.state.lock().map.get(key).cloned();
        std::future::ready(Ok(value)).boxed()
    }

    fn scan(&self, range: Range<Bytes>) -> BoxFuture<'_, Result<Vec<(Bytes, Bytes)>, MetaError>> {
        let state = self.state.lock();
        let found = if range.start < range.end {
            state.map.range(range).map(|(key, value)| (key.clone(), value.clone())).collect()
        } else {
            Vec::new()
        };
        std::future::ready(Ok(found)).boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<CommitSeq, MetaError>> {
        let result = self.state.lock().commit(batch);
        std::future::ready(result).boxed()
    }
}
