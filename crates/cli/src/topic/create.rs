//! `waybill topic create`.

use clap::Args;
use serde::Serialize;
use waybill_client::Client;
use waybill_client::admin::NewTopic;
use waybill_protocol::error_code::ErrorCode;

use crate::admin::{advise, count};
use crate::output::{self, Format};

/// What `waybill topic create` takes.
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The topic's name.
    #[arg(value_name = "TOPIC")]
    name: String,

    /// How many partitions; without it the cluster's default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,

    /// How many replicas; without it the cluster's default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,

    /// A setting, as in --set retention.ms=86400000. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = super::key_value)]
    configs: Vec<(String, String)>,

    /// A topic of that name is no error.
    #[arg(long)]
    if_not_exists: bool,

    /// Only says whether it could be made.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Outcome<'a> {
    name: &'a str,
    /// `created`, `exists`, or `would be created`.
    result: &'static str,
    id: Option<String>,
    partitions: Option<i32>,
    replication_factor: Option<i16>,
}

pub(super) async fn run(client: &Client, args: &CreateArgs, format: Format) -> anyhow::Result<()> {
    let topic = NewTopic {
        name: args.name.clone(),
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        assignment: Vec::new(),
        configs: args.configs.clone(),
    };
    let outcome = match client.create_topic(&topic, args.dry_run).await {
        Ok(created) => Outcome {
            name: &args.name,
            result: if args.dry_run { "would be created" } else { "created" },
            id: Some(created.id).filter(|id| !id.is_zero()).map(|id| id.to_string()),
            partitions: created.partitions,
            replication_factor: created.replication_factor,
        },
        Err(error) if args.if_not_exists && error.code() == Some(ErrorCode::TopicAlreadyExists) => Outcome {
            name: &args.name,
            result: "exists",
            id: None,
            partitions: None,
            replication_factor: None,
        },
        Err(error) => return Err(advise(error)),
    };
    if format == Format::Json {
        return output::json(&outcome);
    }
    let partitions = outcome
        .partitions
        .map(|number| format!(" with {}", count(usize::try_from(number).unwrap_or(0), "partition")))
        .unwrap_or_default();
    output::line(format!("topic '{}' {}{partitions}", outcome.name, outcome.result))
}
