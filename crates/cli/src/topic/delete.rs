//! `waybill topic delete` and `waybill topic delete-records`.

use clap::Args;
use serde::Serialize;
use waybill_client::Client;
use waybill_client::admin::TopicPartition;
use waybill_protocol::error_code::ErrorCode;

use crate::admin::advise;
use crate::output::{self, Format};

/// What `waybill topic delete` takes.
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// The topics' names.
    #[arg(value_name = "TOPIC", required = true)]
    names: Vec<String>,

    /// A topic that does not exist is no error.
    #[arg(long)]
    if_exists: bool,
}

#[derive(Debug, Serialize)]
struct Deleted<'a> {
    name: &'a str,
    deleted: bool,
}

pub(super) async fn run(client: &Client, args: &DeleteArgs, format: Format) -> anyhow::Result<()> {
    let mut outcomes = Vec::new();
    for name in &args.names {
        let deleted = match client.delete_topic(name).await {
            Ok(()) => true,
            Err(error) if args.if_exists && error.code() == Some(ErrorCode::UnknownTopicOrPartition) => false,
            Err(error) => return Err(advise(error)),
        };
        if format == Format::Text {
            output::line(format!("topic '{name}' {}", if deleted { "deleted" } else { "does not exist" }))?;
        }
        outcomes.push(Deleted { name, deleted });
    }
    if format == Format::Json { output::json(&outcomes) } else { Ok(()) }
}

/// What `waybill topic delete-records` takes.
#[derive(Debug, Args)]
pub(super) struct DeleteRecordsArgs {
    /// The topic's name.
    #[arg(value_name = "TOPIC")]
    name: String,

    /// The partition's index.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,

    /// The first offset that stays.
    #[arg(long, value_name = "OFFSET", required_unless_present = "all", value_parser = clap::value_parser!(i64).range(0..))]
    before: Option<i64>,

    /// Every record goes.
    #[arg(long, conflicts_with = "before")]
    all: bool,
}

#[derive(Debug, Serialize)]
struct NewStart<'a> {
    name: &'a str,
    partition: i32,
    start: i64,
}

pub(super) async fn run_records(
    client: &Client,
    args: &DeleteRecordsArgs,
    format: Format,
) -> anyhow::Result<()> {
    let at = TopicPartition::new(args.name.as_str(), args.partition);
    let start = client.delete_records(&at, args.before).await.map_err(advise)?;
    if format == Format::Json {
        return output::json(&NewStart { name: &args.name, partition: args.partition, start });
    }
    output::line(format!("{at} starts at offset {start}"))
}
