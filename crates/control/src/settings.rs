//! A topic's configuration, parsed once, so that the produce path reads fields.

use std::collections::BTreeMap;

use crate::configs::BrokerConfigs;
use crate::configs::topic::topic_config;

/// What `compression.type` asks of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetCompression {
    /// Keep what the producer chose.
    Producer,
    /// Store as this codec.
    None,
    /// gzip at a level, -1 for the default.
    Gzip(i32),
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard at a level.
    Zstd(i32),
}

/// Which clock retention by time goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionClock {
    /// Record timestamps, as Kafka.
    Record,
    /// When the broker appended.
    Append,
}

/// A topic's configuration with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// Whether `cleanup.policy` has `compact`: records then need keys.
    pub compact: bool,
    /// Whether `cleanup.policy` has `delete`: retention applies.
    pub delete: bool,
    /// `compression.type` with its level.
    pub compression: TargetCompression,
    /// The largest batch, in bytes.
    pub max_message_bytes: usize,
    /// The largest batch once decompressed, in bytes.
    pub max_decompressed_bytes: usize,
    /// How far before now a timestamp may lie, in ms.
    pub timestamp_before_max_ms: i64,
    /// How far after now a timestamp may lie, in ms.
    pub timestamp_after_max_ms: i64,
    /// Whether record timestamps are replaced by the broker's append time.
    pub log_append_time: bool,
    /// Retention by time in ms; `None` keeps for ever.
    pub retention_ms: Option<i64>,
    /// Retention by size in bytes per partition; `None` is without bound.
    pub retention_bytes: Option<u64>,
    /// Which clock retention by time goes by.
    pub retention_clock: RetentionClock,
    /// How long tombstones stay in the clean part of a compacted log, in ms.
    pub delete_retention_ms: i64,
    /// Which share of a log must be dirty before it is compacted, in millionths.
    pub min_dirty_millionths: u32,
    /// Records newer than this are not compacted, in ms.
    pub min_compaction_lag_ms: i64,
    /// Records older than this are compacted whatever is dirty, in ms.
    pub max_compaction_lag_ms: i64,
    /// The longest active end of a compacted log, in bytes.
    pub segment_bytes: u64,
    /// The oldest active end of a compacted log, in ms.
    pub segment_ms: i64,
    /// How far back a fetch is an ordinary read, in ms; `None` is without bound.
    pub live_window_ms: Option<i64>,
    /// Whether only batch headers are validated.
    pub validate_header_only: bool,
}

impl TopicSettings {
    /// Reads the settings from what was set on the topic, else the broker's, else the default.
    #[must_use]
    pub fn read(set: &BTreeMap<String, String>, broker: &BrokerConfigs) -> Self {
        let value = |name: &str| effective(name, set, broker).unwrap_or_default();
        let number = |name: &str| value(name).trim().parse::<i64>().unwrap_or_default();
        let bytes = |name: &str| usize::try_from(number(name)).unwrap_or_default();
        let policy = value("cleanup.policy");
        let has = |word: &str| policy.split(',').any(|part| part.trim() == word);
        let level = |name: &str| i32::try_from(number(name)).unwrap_or(-1);
        let compression = match value("compression.type").as_str() {
            "uncompressed" => TargetCompression::None,
            "gzip" => TargetCompression::Gzip(level("compression.gzip.level")),
            "snappy" => TargetCompression::Snappy,
            "lz4" => TargetCompression::Lz4,
            "zstd" => TargetCompression::Zstd(level("compression.zstd.level")),
            _ => TargetCompression::Producer,
        };
        let bounded = |number: i64| (number >= 0).then_some(number);
        Self {
            compact: has("compact"),
            delete: has("delete"),
            compression,
            max_message_bytes: bytes("max.message.bytes"),
            max_decompressed_bytes: bytes("max.decompressed.message.bytes"),
            timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
            log_append_time: value("message.timestamp.type") == "LogAppendTime",
            retention_ms: bounded(number("retention.ms")),
            retention_bytes: bounded(number("retention.bytes")).map(i64::unsigned_abs),
            retention_clock: if value("waybill.retention.clock") == "append" {
                RetentionClock::Append
            } else {
                RetentionClock::Record
            },
            delete_retention_ms: number("delete.retention.ms"),
            min_dirty_millionths: (value("min.cleanable.dirty.ratio").trim().parse().unwrap_or(0.5_f64)
                * 1_000_000.0) as u32,
            min_compaction_lag_ms: number("min.compaction.lag.ms"),
            max_compaction_lag_ms: number("max.compaction.lag.ms"),
            segment_bytes: number("segment.bytes").unsigned_abs(),
            segment_ms: number("segment.ms"),
            live_window_ms: bounded(number("waybill.live.window.ms")),
            validate_header_only: value("waybill.validate") == "header",
        }
    }
}

/// The value in force: set on the topic, else on the broker under the key's synonym, else the default.
#[must_use]
pub fn effective(name: &str, set: &BTreeMap<String, String>, broker: &BrokerConfigs) -> Option<String> {
    if let Some(value) = set.get(name) {
        return Some(value.clone());
    }
    let def = topic_config(name)?;
    let from_broker = def.synonym.and_then(|synonym| broker.get(synonym));
    from_broker.or(def.default).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_wins_over_broker_wins_over_default() {
        let broker = BrokerConfigs::default();
        let mut set = BTreeMap::new();
        let settings = TopicSettings::read(&set, &broker);
        assert_eq!(settings.retention_ms, Some(604_800_000));
        assert!(settings.delete && !settings.compact);
        assert_eq!((settings.min_dirty_millionths, settings.delete_retention_ms), (500_000, 86_400_000));
        assert_eq!((settings.segment_bytes, settings.segment_ms), (1 << 30, 604_800_000));
        let broker = BrokerConfigs::from([("log.retention.ms", "1000")]);
        assert_eq!(TopicSettings::read(&set, &broker).retention_ms, Some(1000));
        set.insert("retention.ms".to_owned(), "-1".to_owned());
        set.insert("cleanup.policy".to_owned(), "compact, delete".to_owned());
        let settings = TopicSettings::read(&set, &broker);
        assert_eq!(settings.retention_ms, None);
        assert!(settings.delete && settings.compact);
    }
}
