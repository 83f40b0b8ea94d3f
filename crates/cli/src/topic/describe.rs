//! `waybill topic describe`.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use waybill_client::admin::{ConfigResource, ConfigSource, OffsetSpec, TopicPartition};
use waybill_client::{Client, ClientError, TopicInfo};

use crate::admin::{advise, count, list, or_dash, table, text};
use crate::output::{self, Format};

/// What `waybill topic describe` takes.
#[derive(Debug, Args)]
pub(super) struct DescribeArgs {
    /// The topics' names.
    #[arg(value_name = "TOPIC", required = true)]
    names: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Described {
    name: String,
    id: String,
    internal: bool,
    records: Option<i64>,
    configs: BTreeMap<String, Option<String>>,
    partitions: Vec<Partition>,
}

#[derive(Debug, Serialize)]
struct Partition {
    partition: i32,
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
    start: Option<i64>,
    end: Option<i64>,
}

pub(super) async fn run(client: &Client, args: &DescribeArgs, format: Format) -> anyhow::Result<()> {
    let mut described = Vec::new();
    for name in &args.names {
        described.push(describe(client, name).await.map_err(advise)?);
    }
    if format == Format::Json {
        return output::json(&described);
    }
    for (at, topic) in described.iter().enumerate() {
        if at > 0 {
            output::line("")?;
        }
        output::line(shown(topic))?;
    }
    Ok(())
}

async fn describe(client: &Client, name: &str) -> Result<Described, ClientError> {
    let topic = client.describe_topic(name).await?;
    let configs = client.describe_configs(&ConfigResource::Topic(name.to_owned()), false).await?;
    let configs = configs.into_iter().filter(|entry| entry.source == ConfigSource::Topic);
    // Partitions without a leader can not be asked; the rest is worth showing.
    let led = |(index, info): (&i32, &waybill_client::PartitionInfo)| {
        (info.leader >= 0).then(|| TopicPartition::new(name, *index))
    };
    let led: Vec<TopicPartition> = topic.partitions.iter().filter_map(led).collect();
    let starts = client.list_offsets(&led, OffsetSpec::Earliest).await?;
    let ends = client.list_offsets(&led, OffsetSpec::Latest).await?;
    let offset = |of: &BTreeMap<TopicPartition, waybill_client::admin::PartitionOffset>, index: i32| {
        of.get(&TopicPartition::new(name, index)).and_then(|found| found.offset)
    };
    let partitions = partitions(&topic, |index| (offset(&starts, index), offset(&ends, index)));
    let records = partitions.iter().map(|one| Some(one.end?.saturating_sub(one.start?))).sum();
    Ok(Described {
        id: topic.id.to_string(),
        internal: topic.internal,
        records,
        configs: configs.map(|entry| (entry.name, entry.value)).collect(),
        partitions,
        name: topic.name,
    })
}

fn partitions(topic: &TopicInfo, offsets: impl Fn(i32) -> (Option<i64>, Option<i64>)) -> Vec<Partition> {
    let partition = |(index, info): (&i32, &waybill_client::PartitionInfo)| {
        let (start, end) = offsets(*index);
        Partition {
            partition: *index,
            leader: Some(info.leader).filter(|leader| *leader >= 0),
            leader_epoch: info.leader_epoch,
            replicas: info.replicas.clone(),
            in_sync: info.in_sync.clone(),
            start,
            end,
        }
    };
    topic.partitions.iter().map(partition).collect()
}

fn shown(topic: &Described) -> String {
    let mut lines = vec![format!("topic {}  id {}", topic.name, topic.id)];
    let records = or_dash(topic.records);
    lines.push(format!("{}, {records} offsets in use", count(topic.partitions.len(), "partition")));
    for (name, value) in &topic.configs {
        lines.push(format!("  {name}={}", value.as_deref().unwrap_or("(hidden)")));
    }
    let mut rows = table(&["partition", "leader", "epoch", "replicas", "in sync", "start", "end"]);
    for one in &topic.partitions {
        rows.add_row([
            one.partition.to_string(),
            or_dash(one.leader),
            one.leader_epoch.to_string(),
            list(&one.replicas),
            list(&one.in_sync),
            or_dash(one.start),
            or_dash(one.end),
        ]);
    }
    lines.push(text(&rows));
    lines.join("\n")
}
