//! The broker and group configurations: facts of the pinned Kafka, and which of them Waybill honours.

use std::sync::LazyLock;

use super::topic::TOPIC_CONFIGS;
use super::{ConfigDef, ConfigKind, Rule, Treatment};

/// Broker keys whose value decides something here.
const HONOURED: &[&str] = &[
    "advertised.listeners",
    "auto.create.topics.enable",
    "broker.id",
    "broker.rack",
    "compression.gzip.level",
    "compression.type",
    "compression.zstd.level",
    "connections.max.idle.ms",
    "default.replication.factor",
    "delete.topic.enable",
    "fetch.max.bytes",
    "group.initial.rebalance.delay.ms",
    "group.max.session.timeout.ms",
    "group.max.size",
    "group.min.session.timeout.ms",
    "listeners",
    "log.cleaner.backoff.ms",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.enable",
    "log.cleaner.io.max.bytes.per.second",
    "log.cleaner.max.compaction.lag.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.cleaner.min.compaction.lag.ms",
    "log.cleanup.policy",
    "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.type",
    "log.retention.bytes",
    "log.retention.check.interval.ms",
    "log.retention.ms",
    "log.roll.ms",
    "log.segment.bytes",
    "max.connections",
    "max.connections.per.ip",
    "max.incremental.fetch.session.cache.slots",
    "message.max.bytes",
    "min.insync.replicas",
    "node.id",
    "num.partitions",
    "offset.metadata.max.bytes",
    "offsets.retention.check.interval.ms",
    "offsets.retention.minutes",
    "offsets.topic.num.partitions",
    "offsets.topic.replication.factor",
    "producer.id.expiration.ms",
    "socket.request.max.bytes",
];

/// Why the rest is inert, by what its name starts with; the first that fits counts.
const INERT: &[(&str, &str)] = &[
    ("controller.", "there is no KRaft quorum: the bucket is the cluster"),
    ("metadata.", "there is no KRaft quorum: the bucket is the cluster"),
    ("process.roles", "every broker can be the controller"),
    ("replica", "the store keeps the copies; brokers hold no replicas"),
    ("num.replica", "the store keeps the copies; brokers hold no replicas"),
    ("follower.", "the store keeps the copies; brokers hold no replicas"),
    ("leader.", "the store keeps the copies; brokers hold no replicas"),
    ("remote.", "every segment lies in the store already; there is no second tier"),
    ("log.local.", "every segment lies in the store already; there is no second tier"),
    ("log.cleaner.", "log compaction is one task with a memory budget of its own"),
    ("log.flush.", "every ack waits until its records are durable"),
    ("log.", "the log is not made of one directory a partition"),
    ("ssl.", "TLS is not built yet"),
    ("sasl.", "SASL is not built yet"),
    ("transaction", "transactions are not built yet"),
    ("group.share.", "share groups are not built yet"),
    ("share.", "share groups are not built yet"),
    ("errors.deadletterqueue.", "share groups are not built yet"),
    ("group.streams.", "streams groups are not built yet"),
    ("group.consumer.", "the consumer group protocol of KIP-848 is not built yet"),
    ("quota.", "quotas are not built yet"),
    ("delegation.", "delegation tokens are not built yet"),
    ("", "nothing in Waybill depends on it"),
];

fn facts(text: &'static str, honoured: &[&str]) -> Vec<ConfigDef> {
    let rows = text.lines().filter_map(|line| {
        let mut columns = line.split('\t');
        let name = columns.next().filter(|name| !name.is_empty())?;
        let kind = ConfigKind::from_fact(columns.next()?)?;
        let default = match columns.next()? {
            "null" | "required" => None,
            text => Some(text),
        };
        let inert = INERT.iter().find(|(start, _)| name.starts_with(start)).map_or("", |(_, why)| why);
        let treatment = if honoured.contains(&name) { Treatment::Honoured } else { Treatment::Inert(inert) };
        Some(ConfigDef { name, kind, default, rule: Rule::Any, treatment, synonym: None })
    });
    rows.collect()
}

static BROKER: LazyLock<Vec<ConfigDef>> = LazyLock::new(|| facts(include_str!("broker.tsv"), HONOURED));
static GROUP: LazyLock<Vec<ConfigDef>> = LazyLock::new(|| facts(include_str!("group.tsv"), &[]));

/// Every broker key, in byte order.
pub fn broker_configs() -> &'static [ConfigDef] {
    &BROKER
}

/// Every group key, in byte order.
pub fn group_configs() -> &'static [ConfigDef] {
    &GROUP
}

/// The broker key's definition, if Kafka knows it.
#[must_use]
pub fn broker_config(name: &str) -> Option<&'static ConfigDef> {
    BROKER.iter().find(|def| def.name == name)
}

/// The key's definition, if it can be altered while a broker runs: what is the default of a topic key, with that one's
/// rule. Kafka lets a few more be altered (thread counts, connection limits, listeners), which are fixed here.
#[must_use]
pub fn alterable(name: &str) -> Option<ConfigDef> {
    let of_topics = TOPIC_CONFIGS.iter().find(|def| def.synonym == Some(name))?;
    let def = broker_config(name)?;
    Some(ConfigDef { rule: of_topics.rule, treatment: of_topics.treatment, ..*def })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_are_read_whole() {
        assert_eq!(broker_configs().len(), include_str!("broker.tsv").lines().count());
        assert_eq!(group_configs().len(), include_str!("group.tsv").lines().count());
        for name in HONOURED {
            assert!(broker_config(name).is_some(), "{name} is not a broker key of the pinned Kafka");
        }
    }
}
