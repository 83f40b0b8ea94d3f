//! `waybill group delete` and `waybill group delete-offsets`.

use clap::Args;
use serde::Serialize;
use waybill_client::Client;

use super::{TopicChoice, chosen, topic_choice};
use crate::admin::{advise, count};
use crate::output::{self, Format};

/// What `waybill group delete` takes.
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// The groups' ids.
    #[arg(value_name = "GROUP", required = true)]
    groups: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Deleted<'a> {
    group: &'a str,
    deleted: bool,
}

pub(super) async fn run(client: &Client, args: &DeleteArgs, format: Format) -> anyhow::Result<()> {
    let mut deleted = Vec::new();
    for group in &args.groups {
        client.delete_group(group).await.map_err(advise)?;
        if format == Format::Text {
            output::line(format!("group '{group}' deleted"))?;
        }
        deleted.push(Deleted { group, deleted: true });
    }
    if format == Format::Json { output::json(&deleted) } else { Ok(()) }
}

/// What `waybill group delete-offsets` takes.
#[derive(Debug, Args)]
pub(super) struct DeleteOffsetsArgs {
    /// The group's id.
    #[arg(value_name = "GROUP")]
    group: String,

    /// A topic, or some of its partitions. Repeatable.
    #[arg(long = "topic", value_name = "TOPIC[:N,N]", required = true, value_parser = topic_choice)]
    topics: Vec<TopicChoice>,
}

#[derive(Debug, Serialize)]
struct Forgotten {
    topic: String,
    partition: i32,
}

pub(super) async fn run_offsets(
    client: &Client,
    args: &DeleteOffsetsArgs,
    format: Format,
) -> anyhow::Result<()> {
    let partitions = chosen(client, &args.topics).await?;
    client.delete_offsets(&args.group, &partitions).await.map_err(advise)?;
    if format == Format::Json {
        let forgotten = partitions.into_iter();
        let forgotten: Vec<_> =
            forgotten.map(|at| Forgotten { topic: at.topic, partition: at.partition }).collect();
        return output::json(&forgotten);
    }
    output::line(format!(
        "group '{}' forgot its offsets of {}",
        args.group,
        count(partitions.len(), "partition")
    ))
}
