//! Whether a log is to be compacted now, and how far: pure.
//!
//! Rules: Kafka's `LogCleanerManager.cleanableOffsets` and `LogToClean`, KIP-58 (min.compaction.lag.ms), KIP-354
//! (max.compaction.lag.ms). What Kafka calls the active segment is here the end of the log that is in segments, cut where Kafka would
//! have rolled: by `segment.bytes` and `segment.ms`, and no longer than an option says, because nobody's
//! files bound it. The log that is not in segments yet is active too.

use std::sync::Arc;

use waybill_types::{Offset, TimestampMs};

use super::CleanRules;
use crate::index::Slice;

/// A log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogFacts<'a> {
    pub(crate) slices: &'a [Arc<Slice>],
    pub(crate) log_start: Offset,
    /// What was gone over before.
    pub(crate) cleaned_end: Offset,
    /// Nothing at or behind it is decided.
    pub(crate) stable: Offset,
    pub(crate) now: TimestampMs,
    /// The longest active end, in bytes.
    pub(crate) active_bytes: u64,
}

/// What can be compacted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cleanable {
    /// Keys from here on are looked at.
    pub(crate) first_dirty: Offset,
    /// Up to here, where a slice ends.
    pub(crate) upper: Offset,
    /// Which share of the bytes up to there is dirty.
    pub(crate) ratio: f64,
}

/// What of a log is to be compacted now; `None`: nothing, or too little.
pub(crate) fn cleanable(facts: &LogFacts<'_>, rules: &CleanRules) -> Option<Cleanable> {
    let first_dirty = facts.cleaned_end.max(facts.log_start);
    let from = facts.slices.partition_point(|slice| slice.record.last_offset < first_dirty);
    let (clean, dirty) = facts.slices.split_at_checked(from)?;
    let active = active_base(facts, rules, dirty);
    let recent = dirty.iter().find(|slice| {
        rules.min_lag_ms > 0 && newest(slice).get() > facts.now.get().saturating_sub(rules.min_lag_ms)
    });
    let bound = recent.map_or(active, |slice| slice.base_offset.min(active)).min(facts.stable);
    let cleanable = dirty.partition_point(|slice| slice.record.last_offset < bound);
    let cleanable = dirty.get(..cleanable)?;
    let last = cleanable.last()?;
    let bytes = |slices: &[Arc<Slice>]| slices.iter().map(|slice| slice.record.data_length).sum::<u64>();
    let (clean_bytes, dirty_bytes) = (bytes(clean), bytes(cleanable));
    let ratio = dirty_bytes as f64 / (clean_bytes + dirty_bytes).max(1) as f64;
    let oldest = cleanable.first()?.record.first_append;
    let overdue = facts.now.since_ms(oldest) > rules.max_lag_ms;
    let due = ratio > rules.min_dirty_ratio || overdue;
    (dirty_bytes > 0 && due).then_some(Cleanable {
        first_dirty,
        upper: last.record.last_offset.next(),
        ratio,
    })
}

/// Records without timestamps go by when they came.
fn newest(slice: &Slice) -> TimestampMs {
    if slice.record.max_timestamp.get() >= 0 { slice.record.max_timestamp } else { slice.record.last_append }
}

/// Where the active end of the log begins.
fn active_base(facts: &LogFacts<'_>, rules: &CleanRules, dirty: &[Arc<Slice>]) -> Offset {
    let roll_bytes = rules.segment_bytes.min(facts.active_bytes);
    let roll_ms = rules.roll_ms();
    let end = dirty.last().map_or(facts.log_start, |slice| slice.record.last_offset.next());
    let (mut base, mut bytes, mut since) = (end, 0u64, None);
    for slice in dirty {
        let began = *since.get_or_insert(slice.record.first_append);
        let rolled = bytes > 0
            && (bytes + slice.record.data_length > roll_bytes
                || slice.record.first_append.since_ms(began) > roll_ms);
        if bytes == 0 || rolled {
            (base, bytes, since) = (slice.base_offset, 0, Some(slice.record.first_append));
        }
        bytes += slice.record.data_length;
    }
    let old = since.is_some_and(|since| facts.now.since_ms(since) > roll_ms);
    if bytes >= roll_bytes || old { end } else { base }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_meta::{IndexRecord, ObjectId};

    /// Slices of ten offsets and 100 bytes each, appended at these times with these timestamps.
    fn slices(times: &[(i64, i64)]) -> Vec<Arc<Slice>> {
        let slice = |(at, (append, record)): (usize, &(i64, i64))| {
            Arc::new(Slice {
                base_offset: Offset(at as i64 * 10),
                record: IndexRecord {
                    object: ObjectId(at as u64),
                    placement: String::new(),
                    data_position: 0,
                    data_length: 100,
                    index_position: 100,
                    index_length: 10,
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

    fn rules() -> CleanRules {
        CleanRules { segment_bytes: 250, segment_ms: 1_000_000, ..CleanRules::default() }
    }

    fn upper(slices: &[Arc<Slice>], cleaned: i64, stable: i64, rules: &CleanRules) -> Option<i64> {
        let facts = LogFacts {
            slices,
            log_start: Offset(3),
            cleaned_end: Offset(cleaned),
            stable: Offset(stable),
            now: TimestampMs(10_000),
            active_bytes: 1 << 20,
        };
        cleanable(&facts, rules).map(|cleanable| cleanable.upper.get())
    }

    #[test]
    fn the_active_end_is_left() {
        let all = slices(&[(0, 0); 7]);
        // Segments of two slices each: the last one is not full.
        assert_eq!(upper(&all, 0, 100, &rules()), Some(60));
        assert_eq!(upper(&all[..6], 0, 100, &rules()), Some(40));
        assert_eq!(upper(&all[..2], 0, 100, &rules()), None);
        // By time it is rolled also when nothing more comes.
        assert_eq!(upper(&all[..2], 0, 100, &CleanRules { segment_ms: 9_999, ..rules() }), Some(20));
        assert_eq!(upper(&all[..2], 0, 100, &CleanRules { max_lag_ms: 9_999, ..rules() }), Some(20));
        // A bound of ours, smaller than segment.bytes.
        assert_eq!(upper(&all, 0, 100, &CleanRules { segment_bytes: 1 << 30, ..rules() }), None);
    }

    #[test]
    fn nothing_undecided_and_nothing_recent() {
        let all = slices(&[(0, 0), (0, 1), (0, 9_500), (0, 2), (0, 3), (0, 4)]);
        let rules = CleanRules { segment_bytes: 50, ..rules() };
        assert_eq!(upper(&all, 0, 100, &rules), Some(60));
        assert_eq!(upper(&all, 0, 45, &rules), Some(40), "a slice that is not stable to its end");
        assert_eq!(upper(&all, 0, 100, &CleanRules { min_lag_ms: 1_000, ..rules.clone() }), Some(20));
        assert_eq!(upper(&all, 0, 100, &CleanRules { min_lag_ms: 20_000, ..rules }), None);
    }

    #[test]
    fn a_share_of_the_log_must_be_dirty_or_its_time_over() {
        let all = slices(&[(0, 0), (0, 0), (0, 0), (9_000, 0)]);
        let rules = CleanRules { segment_bytes: 50, ..rules() };
        assert_eq!(upper(&all, 10, 100, &rules), Some(40), "three quarters");
        assert_eq!(upper(&all, 20, 100, &rules), None, "half is not more than half");
        assert_eq!(upper(&all, 20, 100, &CleanRules { min_dirty_ratio: 0.4, ..rules.clone() }), Some(40));
        assert_eq!(upper(&all, 20, 100, &CleanRules { max_lag_ms: 9_999, ..rules.clone() }), Some(40));
        assert_eq!(upper(&all, 30, 100, &CleanRules { max_lag_ms: 9_999, ..rules.clone() }), None);
        assert_eq!(upper(&all, 40, 100, &CleanRules { min_dirty_ratio: 0.0, ..rules }), None);
    }
}
