//! The topic configurations.

use super::{ConfigDef, ConfigKind, Rule, Treatment};
use ConfigKind::{Boolean, Double, Int, List, Long, String as Text};
use Treatment::{Honoured, Inert, Refused};

const NO_REPLICAS: &str = "the store keeps the copies; brokers hold no replicas";
const NO_LOCAL_SEGMENTS: &str = "segments are cut by the write-ahead log, for all partitions together";
const NO_TIERS: &str = "every segment lies in the store already; there is no second tier to copy to";
const ALWAYS_SYNCED: &str = "every ack waits until its records are durable";
const NO_SHARE_GROUPS: &str = "share groups are not built yet";

const fn def(
    name: &'static str,
    kind: ConfigKind,
    default: &'static str,
    rule: Rule,
    treatment: Treatment,
    synonym: &'static str,
) -> ConfigDef {
    let synonym = if synonym.is_empty() { None } else { Some(synonym) };
    ConfigDef { name, kind, default: Some(default), rule, treatment, synonym }
}

/// Every topic key, in byte order of the name.
pub static TOPIC_CONFIGS: &[ConfigDef] = &[
    def(
        "cleanup.policy",
        List,
        "delete",
        Rule::ListOf(&["compact", "delete"]),
        Honoured,
        "log.cleanup.policy",
    ),
    def("compression.gzip.level", Int, "-1", Rule::OrBetween(-1, 1, 9), Honoured, "compression.gzip.level"),
    def(
        "compression.lz4.level",
        Int,
        "9",
        Rule::Between(1, 17),
        Inert("the encoder has one level"),
        "compression.lz4.level",
    ),
    def(
        "compression.type",
        Text,
        "producer",
        Rule::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        Honoured,
        "compression.type",
    ),
    def("compression.zstd.level", Int, "3", Rule::Between(-131_072, 22), Honoured, "compression.zstd.level"),
    def(
        "delete.retention.ms",
        Long,
        "86400000",
        Rule::AtLeast(0),
        Honoured,
        "log.cleaner.delete.retention.ms",
    ),
    def("errors.deadletterqueue.group.enable", Boolean, "false", Rule::Any, Inert(NO_SHARE_GROUPS), ""),
    def(
        "file.delete.delay.ms",
        Long,
        "60000",
        Rule::AtLeast(0),
        Inert("objects are deleted once nothing names them"),
        "log.segment.delete.delay.ms",
    ),
    def(
        "flush.messages",
        Long,
        "9223372036854775807",
        Rule::AtLeast(1),
        Inert(ALWAYS_SYNCED),
        "log.flush.interval.messages",
    ),
    def(
        "flush.ms",
        Long,
        "9223372036854775807",
        Rule::AtLeast(0),
        Inert(ALWAYS_SYNCED),
        "log.flush.interval.ms",
    ),
    def("follower.replication.throttled.replicas", List, "", Rule::Any, Inert(NO_REPLICAS), ""),
    def(
        "index.interval.bytes",
        Int,
        "4096",
        Rule::AtLeast(0),
        Inert("the index has its own spacing"),
        "log.index.interval.bytes",
    ),
    def("leader.replication.throttled.replicas", List, "", Rule::Any, Inert(NO_REPLICAS), ""),
    def("local.retention.bytes", Long, "-2", Rule::AtLeast(-2), Inert(NO_TIERS), "log.local.retention.bytes"),
    def("local.retention.ms", Long, "-2", Rule::AtLeast(-2), Inert(NO_TIERS), "log.local.retention.ms"),
    def(
        "max.compaction.lag.ms",
        Long,
        "9223372036854775807",
        Rule::AtLeast(1),
        Honoured,
        "log.cleaner.max.compaction.lag.ms",
    ),
    def(
        "max.decompressed.message.bytes",
        Int,
        "16777216",
        Rule::Between(1, i32::MAX as i64 - 8),
        Honoured,
        "",
    ),
    def("max.message.bytes", Int, "1048588", Rule::Between(0, 31 << 20), Honoured, "message.max.bytes"),
    def(
        "message.timestamp.after.max.ms",
        Long,
        "3600000",
        Rule::AtLeast(0),
        Honoured,
        "log.message.timestamp.after.max.ms",
    ),
    def(
        "message.timestamp.before.max.ms",
        Long,
        "9223372036854775807",
        Rule::AtLeast(0),
        Honoured,
        "log.message.timestamp.before.max.ms",
    ),
    def(
        "message.timestamp.type",
        Text,
        "CreateTime",
        Rule::OneOf(&["CreateTime", "LogAppendTime"]),
        Honoured,
        "log.message.timestamp.type",
    ),
    def("min.cleanable.dirty.ratio", Double, "0.5", Rule::Share, Honoured, "log.cleaner.min.cleanable.ratio"),
    def("min.compaction.lag.ms", Long, "0", Rule::AtLeast(0), Honoured, "log.cleaner.min.compaction.lag.ms"),
    def(
        "min.insync.replicas",
        Int,
        "1",
        Rule::AtLeast(1),
        Inert("met by the store, never blocks"),
        "min.insync.replicas",
    ),
    def("preallocate", Boolean, "false", Rule::Any, Inert(NO_LOCAL_SEGMENTS), "log.preallocate"),
    def("remote.copy.lag.bytes", Long, "-1", Rule::AtLeast(-1), Inert(NO_TIERS), ""),
    def("remote.copy.lag.ms", Long, "0", Rule::AtLeast(-1), Inert(NO_TIERS), ""),
    def("remote.log.copy.disable", Boolean, "false", Rule::Any, Inert(NO_TIERS), ""),
    def("remote.log.delete.on.disable", Boolean, "false", Rule::Any, Inert(NO_TIERS), ""),
    def("remote.storage.enable", Boolean, "false", Rule::Any, Refused(NO_TIERS), ""),
    def("retention.bytes", Long, "-1", Rule::AtLeast(-1), Honoured, "log.retention.bytes"),
    def("retention.ms", Long, "604800000", Rule::AtLeast(-1), Honoured, "log.retention.ms"),
    def("segment.bytes", Int, "1073741824", Rule::AtLeast(1 << 20), Honoured, "log.segment.bytes"),
    def(
        "segment.index.bytes",
        Int,
        "10485760",
        Rule::AtLeast(4),
        Inert(NO_LOCAL_SEGMENTS),
        "log.index.size.max.bytes",
    ),
    def("segment.jitter.ms", Long, "0", Rule::AtLeast(0), Inert(NO_LOCAL_SEGMENTS), "log.roll.jitter.ms"),
    def("segment.ms", Long, "604800000", Rule::AtLeast(1), Honoured, "log.roll.ms"),
    def(
        "unclean.leader.election.enable",
        Boolean,
        "false",
        Rule::Any,
        Inert(NO_REPLICAS),
        "unclean.leader.election.enable",
    ),
    def("waybill.classification", Text, "", Rule::Any, Honoured, ""),
    def("waybill.live.window.ms", Long, "-1", Rule::AtLeast(-1), Honoured, ""),
    def("waybill.owner", Text, "", Rule::Any, Honoured, ""),
    def("waybill.retention.clock", Text, "record", Rule::OneOf(&["record", "append"]), Honoured, ""),
    def("waybill.retention.reason", Text, "", Rule::Any, Honoured, ""),
    def("waybill.storage", Text, "default", Rule::OneOf(&["default"]), Honoured, ""),
    def("waybill.validate", Text, "full", Rule::OneOf(&["full", "header"]), Honoured, ""),
];

/// The key's definition, if Kafka or Waybill knows it.
#[must_use]
pub fn topic_config(name: &str) -> Option<&'static ConfigDef> {
    TOPIC_CONFIGS.iter().find(|def| def.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_legal_and_names_are_in_order() {
        for def in TOPIC_CONFIGS {
            assert_eq!(def.check(def.default.unwrap()), Ok(()), "{}", def.name);
        }
        assert!(TOPIC_CONFIGS.is_sorted_by(|left, right| left.name < right.name));
    }

    #[test]
    fn what_would_promise_too_much_is_refused() {
        let fault = topic_config("remote.storage.enable").unwrap().check("true").unwrap_err();
        assert!(fault.to_string().contains("no second tier"), "{fault}");
        assert!(topic_config("segment.bytes").unwrap().check("2000000").is_ok());
    }

    #[test]
    fn every_synonym_is_a_broker_key() {
        for def in TOPIC_CONFIGS {
            if let Some(synonym) = def.synonym {
                assert!(super::super::broker::broker_config(synonym).is_some(), "{synonym}");
            }
        }
    }
}
