//! What goes wrong between a source and the log: told twice, told out of turn, and not readable at all.

use super::prng::Prng;
use super::{DISORDER, DUPLICATES, MALFORMED, Record};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Sends records on, some twice, some behind others, some with a damaged twin.
pub(super) struct Faults {
    rng: Prng,
    /// Records that wait for their moment: due, number, record.
    held: BinaryHeap<Reverse<Held>>,
    number: u64,
    /// Longest time that a record stays behind, in milliseconds.
    behind: i64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    due: i64,
    number: u64,
    record: Record,
}

impl Faults {
    pub(super) fn new(rng: Prng, behind: i64) -> Self {
        Self { rng, held: BinaryHeap::new(), number: 0, behind }
    }

    /// Passes `record` on to `out`, after what was due before it.
    pub(super) fn feed(&mut self, record: Record, out: &mut VecDeque<Record>) {
        self.release(record.timestamp_ms, out);
        if self.rng.chance(DUPLICATES) {
            let mut again = record.clone();
            again.timestamp_ms += self.rng.range(1000, 90_000.min(self.behind));
            let due = again.timestamp_ms;
            self.hold(due, again);
        }
        if self.rng.chance(MALFORMED) {
            out.push_back(self.damaged(&record));
        }
        if self.rng.chance(DISORDER) {
            let due = record.timestamp_ms + self.rng.range(self.behind / 10, self.behind);
            self.hold(due, record);
        } else {
            out.push_back(record);
        }
    }

    /// Passes on what is due at `now`.
    pub(super) fn release(&mut self, now: i64, out: &mut VecDeque<Record>) {
        while self.held.peek().is_some_and(|h| h.0.due <= now) {
            out.extend(self.held.pop().map(|h| h.0.record));
        }
    }

    fn hold(&mut self, due: i64, record: Record) {
        self.number += 1;
        self.held.push(Reverse(Held { due, number: self.number, record }));
    }

    /// A copy that no reader can take, as broken connectors make them.
    fn damaged(&mut self, record: &Record) -> Record {
        let text = String::from_utf8_lossy(&record.value).into_owned();
        let value = match self.rng.range(0, 5) {
            // cut off: a strict prefix of an object is never JSON
            0 | 1 => {
                let cut = usize::try_from(self.rng.range(1, record.value.len() as i64 - 1)).unwrap_or(1);
                record.value.iter().copied().take(cut).collect()
            }
            2 => text.replacen("\"event_time\":\"", "\"event_time\":17,\"was\":\"", 1).into_bytes(),
            3 => text.replacen("\"event\":\"", "\"event\":\"x_", 1).into_bytes(),
            4 => Vec::new(),
            _ => [&[0xff, 0xfe, 0x00], text.as_bytes()].concat(),
        };
        Record { value, ..record.clone() }
    }
}
