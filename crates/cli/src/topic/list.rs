//! `waybill topic list`.

use clap::Args;
use serde::Serialize;
use waybill_client::{Client, TopicInfo};

use crate::admin::{advise, table, text};
use crate::output::{self, Format};

/// What `waybill topic list` takes.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Shows the broker's own topics too.
    #[arg(long)]
    internal: bool,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    id: String,
    partitions: usize,
    replication_factor: usize,
    internal: bool,
}

fn listed(topic: TopicInfo) -> Listed {
    Listed {
        id: topic.id.to_string(),
        partitions: topic.partitions.len(),
        replication_factor: topic.partitions.values().map(|one| one.replicas.len()).max().unwrap_or(0),
        internal: topic.internal,
        name: topic.name,
    }
}

pub(super) async fn run(client: &Client, args: &ListArgs, format: Format) -> anyhow::Result<()> {
    let topics = client.list_topics().await.map_err(advise)?;
    let topics: Vec<Listed> =
        topics.into_iter().filter(|topic| args.internal || !topic.internal).map(listed).collect();
    if format == Format::Json {
        return output::json(&topics);
    }
    if topics.is_empty() {
        return output::line("no topics");
    }
    let mut shown = table(&["topic", "partitions", "replicas", "id"]);
    for topic in &topics {
        shown.add_row([
            topic.name.clone(),
            topic.partitions.to_string(),
            topic.replication_factor.to_string(),
            topic.id.clone(),
        ]);
    }
    output::line(text(&shown))
}
