//! The records of a batch against a topic's rules.

use waybill_types::TimestampMs;

use super::super::error::{BatchError, RejectedRecord, RejectedRecords};
use super::super::header::{BatchHeader, TimestampType};
use super::super::scan::{RecordFacts, scan_body};
use super::{MAX_RECORD_ERRORS, Origin, Policy};

/// Walks the body once and gives the largest timestamp of its records, -1 when none has one.
pub(super) fn check(header: &BatchHeader, body: &[u8], policy: &Policy) -> Result<TimestampMs, BatchError> {
    let mut refused = Refused::default();
    let mut max = TimestampMs::NONE;
    // Records that a broker made keep the offsets that it gave them.
    let dense = policy.origin == Origin::Client;
    let rules = Rules::new(header, policy);
    scan_body(header, body, policy.max_decompressed_bytes, |record| {
        max = max.max(record.timestamp);
        let out_of_order = dense && usize::try_from(record.offset_delta) != Ok(record.index);
        if out_of_order || rules.refuses(&record) {
            refused.push(&record, &rules);
        }
        true
    })?;
    refused.into_result().map(|()| max)
}

/// The one check on times that the header allows: its max timestamp, when it has one.
pub(super) fn check_header_times(header: &BatchHeader, policy: &Policy) -> Result<TimestampMs, BatchError> {
    let rules = Rules::new(header, policy);
    let max = header.max_timestamp;
    if max == TimestampMs::NONE || !rules.out_of_range(max) {
        return Ok(max);
    }
    let message = rules.range_message(max);
    let records = vec![RejectedRecord { index: header.last_offset_delta, message }];
    Err(BatchError::Rejected(RejectedRecords { timestamp: true, total: 1, records }))
}

/// The rules that hold for every record of a batch, worked out once.
struct Rules {
    keys_required: bool,
    /// Whether clients' timestamps are kept, hence checked.
    create_time: bool,
    /// Whether the client set the broker's timestamp type.
    claims_append_time: bool,
    /// Oldest and newest timestamp that is taken.
    oldest: i64,
    newest: i64,
}

impl Rules {
    fn new(header: &BatchHeader, policy: &Policy) -> Self {
        let now = policy.now.get();
        Self {
            keys_required: policy.keys_required && !header.attributes.is_control(),
            create_time: policy.timestamp_type == TimestampType::CreateTime,
            claims_append_time: policy.origin == Origin::Client
                && header.attributes.timestamp_type() == TimestampType::LogAppendTime,
            oldest: now.saturating_sub(policy.before_max_ms),
            newest: now.saturating_add(policy.after_max_ms),
        }
    }

    #[inline]
    fn refuses(&self, record: &RecordFacts) -> bool {
        (self.keys_required && !record.has_key) || self.refuses_time(record.timestamp)
    }

    /// `LogValidator.validateTimestamp`: a timestamp that is kept must be in range; else the client must not have
    /// claimed the broker's timestamp type.
    #[inline]
    fn refuses_time(&self, timestamp: TimestampMs) -> bool {
        if self.create_time && timestamp != TimestampMs::NONE {
            self.out_of_range(timestamp)
        } else {
            self.claims_append_time
        }
    }

    #[inline]
    fn out_of_range(&self, timestamp: TimestampMs) -> bool {
        self.create_time && (timestamp.get() < self.oldest || timestamp.get() > self.newest)
    }

    fn range_message(&self, timestamp: TimestampMs) -> String {
        format!(
            "Timestamp {timestamp} is out of range. The timestamp should be within [{}, {}]",
            self.oldest, self.newest
        )
    }

    /// Why a record is refused, and whether for its timestamp.
    fn reason(&self, record: &RecordFacts) -> (bool, String) {
        if self.keys_required && !record.has_key {
            return (false, "Compacted topic cannot accept message without key".to_owned());
        }
        if !self.refuses_time(record.timestamp) {
            let (delta, index) = (record.offset_delta, record.index);
            return (false, format!("Offset delta {delta} of record {index} is not its place in the batch"));
        }
        if self.create_time && record.timestamp != TimestampMs::NONE {
            return (true, self.range_message(record.timestamp));
        }
        (true, "Producer should not set timestamp type to LogAppendTime".to_owned())
    }
}

#[derive(Default)]
struct Refused {
    timestamp: bool,
    total: usize,
    records: Vec<RejectedRecord>,
}

impl Refused {
    #[cold]
    fn push(&mut self, record: &RecordFacts, rules: &Rules) {
        self.total += 1;
        let (timestamp, message) = rules.reason(record);
        self.timestamp |= timestamp;
        if self.records.len() < MAX_RECORD_ERRORS {
            self.records
                .push(RejectedRecord { index: i32::try_from(record.index).unwrap_or(i32::MAX), message });
        }
    }

    fn into_result(self) -> Result<(), BatchError> {
        if self.total == 0 {
            return Ok(());
        }
        let Self { timestamp, total, records } = self;
        Err(BatchError::Rejected(RejectedRecords { timestamp, total, records }))
    }
}
