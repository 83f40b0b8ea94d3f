//! What log compaction keeps, gathered into slices. Batches are copied, so that nothing keeps alive what was read.

use bytes::{BufMut, BytesMut};
use waybill_protocol::batch::RecordBatch;
use waybill_types::{LeaderEpoch, Offset, TimestampMs};

use crate::segment::{BLOCK_BYTES, Piece};

/// Batches that will be a slice.
#[derive(Debug)]
pub(crate) struct Output {
    pieces: Vec<Piece>,
    open: BytesMut,
    open_base: Offset,
    open_latest: TimestampMs,
    state: State,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    bytes: u64,
    leaders: Option<(LeaderEpoch, LeaderEpoch)>,
    last: Option<Offset>,
}

/// Where an output can be taken back to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pieces: usize,
    state: State,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self {
            pieces: Vec::new(),
            open: BytesMut::new(),
            open_base: Offset::ZERO,
            open_latest: TimestampMs::NONE,
            state: State::default(),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.state.bytes
    }

    /// The last offset of the last batch.
    pub(crate) fn last(&self) -> Option<Offset> {
        self.state.last
    }

    /// The leader epochs of the first and of the last batch.
    pub(crate) fn leaders(&self) -> Option<(LeaderEpoch, LeaderEpoch)> {
        self.state.leaders
    }

    pub(crate) fn push(&mut self, batch: &RecordBatch) {
        let header = batch.header();
        if !self.open.is_empty() && self.open.len() + header.size > BLOCK_BYTES {
            self.cut();
        }
        if self.open.is_empty() {
            (self.open_base, self.open_latest) = (header.base_offset, TimestampMs::NONE);
        }
        self.open.put_slice(batch.bytes());
        if header.record_count > 0 {
            self.open_latest = self.open_latest.max(header.max_timestamp);
        }
        let (first, _) = self.state.leaders.unwrap_or((header.leader_epoch, header.leader_epoch));
        self.state = State {
            bytes: self.state.bytes + header.size as u64,
            leaders: Some((first, header.leader_epoch)),
            last: Some(header.last_offset()),
        };
    }

    fn cut(&mut self) {
        if !self.open.is_empty() {
            self.pieces.push(Piece {
                base_offset: self.open_base,
                max_timestamp: self.open_latest,
                bytes: self.open.split().freeze(),
            });
        }
    }

    pub(crate) fn mark(&mut self) -> Mark {
        self.cut();
        Mark { pieces: self.pieces.len(), state: self.state }
    }

    /// Forgets what came after the mark, which was made since the last [`Self::take`].
    pub(crate) fn back_to(&mut self, mark: Mark) {
        self.open.clear();
        self.pieces.truncate(mark.pieces);
        self.state = mark.state;
    }

    /// Takes what there is.
    pub(crate) fn take(&mut self) -> Vec<Piece> {
        self.cut();
        self.state = State::default();
        std::mem::take(&mut self.pieces)
    }
}
