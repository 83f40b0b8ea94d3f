//! Reading ahead: what a reader in order will want next, while it is being sent what it has; and the neighbours that one
//! fetch over many partitions wants, in one request.
//!
//! A store far away answers after 50 ms or more, so a reader that is to get 200 MiB/s needs 10 MiB on their way. How much that is
//! grows while the reader goes on in order; readers share half of the block cache for it.

use std::convert::Infallible;
use std::sync::Arc;

use futures::StreamExt;
use waybill_meta::ObjectId;
use waybill_types::Offset;

use crate::engine::LogEngine;
use crate::index::Slice;
use crate::partition::Partition;
use crate::runs::runs;
use crate::segment::SliceIndex;
use crate::tail::TailRead;

/// Requests for neighbours under way at once, for one fetch.
const RUNS: usize = 16;

/// What lies between two slices that are read in one request: reading it is cheaper than another request.
const GAP: u64 = 64 << 10;

/// Where a chunk begins: object, slice in it, block in that.
pub(crate) type Place = (ObjectId, u64, usize);

/// How far the readers of a partition are read ahead of.
#[derive(Debug, Default)]
pub(crate) struct Stride {
    here: Option<Place>,
    next: Option<Place>,
    depth: usize,
}

impl Stride {
    /// A reader enters the chunk at `here`, behind which lies `next`. Gives how many chunks behind it should be on their way: twice
    /// as many as before for who comes from the chunk before it.
    pub(crate) fn enter(&mut self, here: Place, next: Option<Place>, most: usize) -> usize {
        if self.here != Some(here) {
            let in_order = self.next == Some(here);
            self.depth = if in_order { self.depth.saturating_mul(2).min(most) } else { 1 };
        }
        (self.here, self.next) = (Some(here), next);
        self.depth.max(1)
    }
}

/// A chunk that may be read ahead. The index of its slice may not be loaded yet; then it is the slice's first chunk.
struct Following {
    slice: Arc<Slice>,
    index: Option<Arc<SliceIndex>>,
    block: usize,
}

impl Following {
    fn place(&self) -> Place {
        (self.slice.record.object, self.slice.record.data_position, self.block)
    }
}

impl Partition {
    /// Starts to read what follows the chunk that starts at `block` and ends at `end`.
    pub(crate) fn read_ahead(&self, slice: &Arc<Slice>, index: &Arc<SliceIndex>, block: usize, end: usize) {
        let most = self.services.options.read_ahead_depth;
        let here = Following { slice: Arc::clone(slice), index: Some(Arc::clone(index)), block };
        let mut next = self.following(&here, end);
        let place = next.as_ref().map(Following::place);
        let depth = self.stride.lock().enter(here.place(), place, most);
        for _ in 0..depth {
            let Some(chunk) = next else { return };
            let end = match &chunk.index {
                Some(index) => self.services.blocks.end_of_chunk(&chunk.slice, index, chunk.block),
                // All of a small slice; of a large one nobody knows where its second chunk begins.
                None if chunk.slice.record.data_length <= self.services.options.read_ahead_bytes => {
                    usize::MAX
                }
                None => {
                    self.start(chunk);
                    return;
                }
            };
            next = self.following(&chunk, end);
            self.start(chunk);
        }
    }

    /// The chunk that begins at block `end` of a slice, or the first one of the next slice.
    fn following(&self, chunk: &Following, end: usize) -> Option<Following> {
        if let Some(index) = chunk.index.as_ref().filter(|index| end < index.blocks.len()) {
            let (slice, index) = (Arc::clone(&chunk.slice), Some(Arc::clone(index)));
            return Some(Following { slice, index, block: end });
        }
        let next = {
            let index = self.index.lock();
            Arc::clone(index.as_ref()?.find(chunk.slice.record.last_offset.next())?)
        };
        let options = &self.services.options;
        // A folder's small slices are read with their neighbours anyway.
        if options.read_ahead_depth <= 1 && next.record.data_length <= options.read_ahead_bytes {
            return None;
        }
        let index = self.services.blocks.index_now(&next);
        Some(Following { slice: next, index, block: 0 })
    }

    fn start(&self, chunk: Following) {
        let services = Arc::clone(&self.services);
        let Following { slice, index, block } = chunk;
        let Some(claim) = services.blocks.claim_ahead(&slice, index.as_deref(), block, self.serial) else {
            return;
        };
        self.services.supervisor.spawn("read-ahead", async move {
            services.blocks.read_ahead(&services.store, &slice, index, block, claim).await;
            Ok::<(), Infallible>(())
        });
    }

    /// The small slice in which a read from `from` would begin, if it is not in memory.
    async fn small_slice(&self, from: Offset) -> Option<Arc<Slice>> {
        let end = self.high_watermark();
        if from >= end {
            return None;
        }
        // A read of no bytes tells only whether the offset is there.
        let read = self.durable.lock().tail.read(from, end, 0, false);
        if !matches!(read, TailRead::Below | TailRead::End) {
            return None;
        }
        self.load_index().await.ok()?;
        let slice = Arc::clone(self.index.lock().as_ref()?.find(from)?);
        (Slice::bytes_of(&slice.record) <= self.services.options.read_ahead_bytes).then_some(slice)
    }
}

impl LogEngine {
    /// Reads small slices in which reads of several partitions begin into memory, neighbours in one request: a fetch over
    /// many partitions would else wait for the store once for each. It is only an attempt: what is not there afterwards is
    /// loaded by who reads it.
    pub async fn gather(&self, wanted: impl Iterator<Item = (Arc<Partition>, Offset)> + Send) {
        let services = &self.shared.services;
        if services.options.read_ahead_depth <= 1 {
            return;
        }
        let mut slices = Vec::new();
        for (partition, from) in wanted {
            if let Some(slice) = partition.small_slice(from).await
                && let Some(claim) = services.blocks.claim_ahead(&slice, None, 0, partition.serial)
            {
                slices.push((slice, claim));
            }
        }
        let runs = runs(slices, GAP, services.options.read_ahead_bytes);
        let loads = runs.into_iter().map(|run| services.blocks.load_run(&services.store, run));
        futures::stream::iter(loads).buffer_unordered(RUNS).collect::<Vec<()>>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_in_order_is_read_further_ahead_of() {
        let mut stride = Stride::default();
        let place = |number: usize| (ObjectId(7), 0, number);
        let mut enter = |here: usize| stride.enter(place(here), Some(place(here + 1)), 8);
        assert_eq!([0, 1, 2, 2, 3, 4].map(&mut enter), [1, 2, 4, 4, 8, 8]);
        assert_eq!([9, 10, 3].map(&mut enter), [1, 2, 1]);
    }
}
