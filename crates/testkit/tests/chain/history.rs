//! What clients were told and shown, held against the log at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use crc32c::crc32c;
use parking_lot::Mutex;
use waybill_testkit::store::FaultyStore;
use waybill_types::{Offset, TopicPartition};

use crate::meta::{Meta, Place};

/// Bytes of a record: its number, which never comes again, and padding.
pub(crate) fn record(number: u64, length: usize) -> Bytes {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(length.max(8), number as u8);
    bytes.into()
}

/// The number of a record.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes.get(..8).map_or(0, |first| u64::from_le_bytes(first.try_into().unwrap()))
}

/// What clients know.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) next_record: u64,
    pub(crate) acked: BTreeMap<(TopicPartition, Offset), u64>,
    pub(crate) seen: BTreeMap<(TopicPartition, Offset), u64>,
    pub(crate) violations: Vec<String>,
}

pub(crate) type SharedHistory = Arc<Mutex<History>>;

impl History {
    pub(crate) fn violate(&mut self, what: String) {
        if self.violations.len() < 5 {
            self.violations.push(what);
        }
    }

    pub(crate) fn ack(&mut self, partition: TopicPartition, offset: Offset, record: u64) {
        if let Some(other) = self.acked.insert((partition, offset), record) {
            self.violate(format!("I2 offset {offset} of {partition} was acked for {other} and {record}"));
        }
    }

    pub(crate) fn see(&mut self, partition: TopicPartition, offset: Offset, record: u64) {
        let before = self.seen.insert((partition, offset), record);
        if before.is_some_and(|before| before != record) {
            self.violate(format!("I4 offset {offset} of {partition} was shown as {before:?} and {record}"));
        }
    }

    /// Holds everything against the log, which is the index once every chain is closed.
    pub(crate) fn judge(&mut self, meta: &Meta, store: &FaultyStore) {
        let mut everywhere = BTreeSet::new();
        for (partition, state) in &meta.partitions {
            let mut log = BTreeMap::new();
            let mut next = Offset::ZERO;
            for entry in &state.index {
                if entry.base != next {
                    self.violate(format!("I2 {partition}: {:?} where offset {next} is due", entry));
                }
                next = Offset(entry.last.get() + 1);
                let Some(record) = self.read(&entry.place, store) else { continue };
                if !everywhere.insert(record) {
                    self.violate(format!("I5 record {record} is in the log twice"));
                }
                log.insert(entry.base, record);
            }
            self.compare(*partition, &log);
        }
    }

    fn compare(&mut self, partition: TopicPartition, log: &BTreeMap<Offset, u64>) {
        let mut lost = Vec::new();
        for (what, told) in [("I1 acked", &self.acked), ("I4 shown", &self.seen)] {
            for ((_, offset), record) in told.iter().filter(|((of, _), _)| *of == partition) {
                let found = log.get(offset);
                if found != Some(record) {
                    lost.push(format!(
                        "{what} record {record} at offset {offset} of {partition}, log has {found:?}"
                    ));
                }
            }
        }
        lost.into_iter().for_each(|what| self.violate(what));
    }

    /// The record that the index names here, if its object is there and whole.
    fn read(&mut self, place: &Place, store: &FaultyStore) -> Option<u64> {
        let (chain, slot, at, length, crc) = match place {
            Place::Segment(record) => return Some(*record),
            Place::Slot { chain, slot, at, length, crc } => (chain, *slot, *at as usize, *length, *crc),
        };
        let name = chain.slot(slot);
        let Some(object) = store.peek(&name) else {
            self.violate(format!("I6 the index names {name}, which does not exist"));
            return None;
        };
        match object.get(at..at + length) {
            Some(bytes) if crc32c(bytes) == crc => Some(number(bytes)),
            _ => {
                self.violate(format!("I6 the index names {name}, which holds other bytes"));
                None
            }
        }
    }
}
