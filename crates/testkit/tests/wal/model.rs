//! What must be in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use waybill_types::{Incarnation, LeaderEpoch, Offset, PartitionId, StoreId, TopicId, TopicPartition};
use waybill_wal::{DurableFrame, Frame, FrameHeader, Registered, WalError, WalPosition, WalSink};

pub(crate) const STORE: StoreId = StoreId([0x5a; 16]);

/// A record batch: the `n`th of the log, as it was appended in life `life`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) life: i32,
    pub(crate) length: usize,
}

impl Record {
    pub(crate) fn frame(self, n: u64) -> Frame {
        let mut header = FrameHeader::plain(TopicPartition::new(TopicId([1; 16]), PartitionId(0)));
        header.base_offset = Offset(n as i64);
        header.last_offset = Offset(n as i64);
        header.leader_epoch = LeaderEpoch(self.life);
        Frame { header, records: self.bytes(n) }
    }

    fn bytes(self, n: u64) -> Bytes {
        let mut state = n ^ (self.life as u64) << 40;
        let bytes = (0..self.length).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        bytes.collect()
    }
}

/// What is durable outside the WAL: one atomic commit at a time.
#[derive(Debug, Clone)]
pub(crate) struct Committed {
    pub(crate) registered: Registered,
    /// How many records are in segments.
    pub(crate) records: u64,
}

/// The truth that all lives are held against.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) committed: Committed,
    /// All records as they were appended last. Those from `acked` on may or may not survive.
    pub(crate) appended: BTreeMap<u64, Record>,
    /// Records below this were acked to a client.
    pub(crate) acked: u64,
    /// The current life.
    pub(crate) life: i32,
    /// What was reported durable in this life, group by group.
    pub(crate) groups: Vec<Vec<(u64, WalPosition, usize)>>,
    pub(crate) violations: Vec<String>,
    pub(crate) poisoned: bool,
}

pub(crate) type SharedModel = Arc<Mutex<Model>>;

impl Model {
    pub(crate) fn shared() -> SharedModel {
        Arc::new(Mutex::new(Self {
            committed: Committed {
                registered: Registered { incarnation: Incarnation(0), trim: WalPosition(0) },
                records: 0,
            },
            appended: BTreeMap::new(),
            acked: 0,
            life: 0,
            groups: Vec::new(),
            violations: Vec::new(),
            poisoned: false,
        }))
    }

    /// A new process starts.
    pub(crate) fn begin_life(&mut self) {
        self.life += 1;
        self.groups.clear();
        self.poisoned = false;
    }

    /// Checks a frame that the WAL gives back as the `n`th record.
    pub(crate) fn check(&mut self, n: u64, frame: &Frame) -> bool {
        let expected = self.appended.get(&n).map(|record| record.frame(n));
        let right = expected
            .is_some_and(|expected| expected.header == frame.header && expected.records == frame.records);
        if !right {
            self.violate(format!("record {n} is not what was appended: {:?}", frame.header));
        }
        right
    }

    /// How many appended records were not acked yet.
    pub(crate) fn unacked(&self) -> u64 {
        self.appended.range(self.acked..).count() as u64
    }

    /// How many were acked, and whether the WAL is poisoned.
    pub(crate) fn state(&self) -> (u64, bool) {
        (self.acked, self.poisoned)
    }

    pub(crate) fn violate(&mut self, what: String) {
        self.violations.push(format!("life {}: {what}", self.life));
    }

    /// The log after recovery has `end` records.
    pub(crate) fn recovered(&mut self, end: u64) {
        if end < self.acked {
            let acked = self.acked;
            self.violate(format!("the log ends at record {end}, but {acked} were acked"));
        }
    }

    /// The start-up commit: what was recovered is in segments, what was not is gone for ever.
    pub(crate) fn start_commit(&mut self, end: u64, incarnation: Incarnation, trim: WalPosition) {
        self.committed = Committed { registered: Registered { incarnation, trim }, records: end };
        self.acked = self.acked.max(end);
        drop(self.appended.split_off(&end));
    }

    /// A commit while running: the records below `end` are in segments.
    pub(crate) fn flush_commit(&mut self, end: u64, trim: WalPosition) {
        self.committed.records = end;
        self.committed.registered.trim = trim;
    }
}

/// Hears what became durable, and takes the WAL at its word: from then on it is acked.
pub(crate) struct Sink(pub(crate) SharedModel);

impl WalSink for Sink {
    fn durable(&self, frames: Vec<DurableFrame>) {
        let mut model = self.0.lock();
        let mut group = Vec::new();
        for frame in frames {
            let n = model.acked;
            if model.check(n, &frame.frame) {
                model.acked += 1;
            }
            let last = group.last().or_else(|| model.groups.last().and_then(|group| group.last()));
            if last.is_some_and(|(_, position, _): &(u64, WalPosition, usize)| *position >= frame.position) {
                model.violate(format!("position {} was used twice", frame.position));
            }
            group.push((n, frame.position, frame.frame.records.len()));
        }
        model.groups.push(group);
    }

    fn poisoned(&self, _: &WalError) {
        self.0.lock().poisoned = true;
    }
}
