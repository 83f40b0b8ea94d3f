//! Which slices a topic's retention lets go: pure.
//!
//! As Kafka's `UnifiedLog.deleteOldSegments`: from the front, first by time, then by size, whole slices only; a slice
//! that is kept keeps all behind it.

use std::sync::Arc;

use waybill_types::{Offset, TimestampMs};

use crate::index::Slice;

/// Which clock retention by time goes by (`waybill.retention.clock`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetentionClock {
    /// Record timestamps, as Kafka.
    #[default]
    Record,
    /// When the broker appended.
    Append,
}

/// How long a topic's records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// By time, in ms; `None` keeps for ever.
    pub ms: Option<i64>,
    /// By size of a partition, in bytes; `None` is without bound.
    pub bytes: Option<u64>,
    /// Which clock `ms` goes by.
    pub clock: RetentionClock,
}

impl Retention {
    /// Whether nothing is ever let go.
    #[must_use]
    pub fn keeps_all(&self) -> bool {
        self.ms.is_none() && self.bytes.is_none()
    }

    /// Whether something whose newest record has these times is past its time at `now`.
    #[must_use]
    pub fn expired(&self, max_timestamp: TimestampMs, last_append: TimestampMs, now: TimestampMs) -> bool {
        let newest = match self.clock {
            // Records without timestamps go by when they came (Kafka takes the file's modification time).
            RetentionClock::Record if max_timestamp.get() >= 0 => max_timestamp,
            RetentionClock::Record | RetentionClock::Append => last_append,
        };
        self.ms.is_some_and(|ms| now.since_ms(newest) > ms)
    }
}

/// The log start that retention asks for: at least `log_start`. `bytes` is the partition's whole size.
pub(crate) fn new_log_start(
    retention: &Retention,
    slices: &[Arc<Slice>],
    bytes: u64,
    log_start: Offset,
    now: TimestampMs,
) -> Offset {
    let mut start = log_start;
    let mut excess = retention.bytes.map_or(0, |limit| bytes.saturating_sub(limit));
    for slice in slices {
        let record = &slice.record;
        let old = retention.expired(record.max_timestamp, record.last_append, now);
        let beyond = excess >= record.data_length && excess > 0;
        if !old && !beyond {
            break;
        }
        excess = excess.saturating_sub(record.data_length);
        start = start.max(record.last_offset.next());
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_meta::{IndexRecord, ObjectId};

    fn slices(times: &[(i64, i64)]) -> Vec<Arc<Slice>> {
        let slice = |(at, (record, append)): (usize, &(i64, i64))| {
            Arc::new(Slice {
                base_offset: Offset(at as i64 * 10),
                record: IndexRecord {
                    object: ObjectId(0),
                    placement: String::new(),
                    data_position: 0,
                    data_length: 100,
                    index_position: 0,
                    index_length: 0,
                    last_offset: Offset(at as i64 * 10 + 9),
                    max_timestamp: TimestampMs(*record),
                    first_append: TimestampMs(*append),
                    last_append: TimestampMs(*append),
                    aborted: 0,
                },
            })
        };
        times.iter().enumerate().map(slice).collect()
    }

    fn start(retention: Retention, times: &[(i64, i64)]) -> i64 {
        let slices = slices(times);
        let bytes = slices.len() as u64 * 100;
        new_log_start(&retention, &slices, bytes, Offset(3), TimestampMs(1_000)).get()
    }

    #[test]
    fn by_time_from_the_front() {
        let ms = |ms, clock| Retention { ms: Some(ms), bytes: None, clock };
        let times = [(100, 990), (850, 991), (200, 992), (-1, 993)];
        assert_eq!(start(ms(500, RetentionClock::Record), &times), 10);
        assert_eq!(start(ms(100, RetentionClock::Record), &times), 30);
        assert_eq!(start(ms(5, RetentionClock::Record), &times), 40);
        assert_eq!(start(ms(8, RetentionClock::Append), &times), 20);
        assert_eq!(start(ms(900, RetentionClock::Record), &times), 3);
        assert_eq!(start(Retention::default(), &times), 3);
    }

    #[test]
    fn by_size_no_more_than_the_excess() {
        let bytes = |bytes| Retention { bytes: Some(bytes), ..Retention::default() };
        let times = [(0, 0); 4];
        assert_eq!(start(bytes(400), &times), 3);
        assert_eq!(start(bytes(301), &times), 3);
        assert_eq!(start(bytes(300), &times), 10);
        assert_eq!(start(bytes(0), &times), 40);
    }
}
