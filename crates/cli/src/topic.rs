//! `waybill topic`: administration of topics over the Kafka protocol.

mod alter;
mod configs;
mod create;
mod delete;
mod describe;
mod list;

use clap::{Args, Subcommand};

use crate::admin::ConnectArgs;
use crate::output::Format;

/// What `waybill topic` takes.
#[derive(Debug, Args)]
pub(crate) struct TopicArgs {
    #[command(flatten)]
    connect: ConnectArgs,

    #[command(subcommand)]
    command: TopicCommand,
}

#[derive(Debug, Subcommand)]
enum TopicCommand {
    /// Lists topics.
    List(list::ListArgs),
    /// Makes a topic.
    Create(create::CreateArgs),
    /// Shows topics with their partitions, offsets and settings.
    Describe(describe::DescribeArgs),
    /// Deletes topics and all their records.
    Delete(delete::DeleteArgs),
    /// Adds partitions, or changes settings.
    Alter(alter::AlterArgs),
    /// Shows a topic's settings and where each comes from.
    Configs(configs::ConfigsArgs),
    /// Deletes a partition's oldest records.
    DeleteRecords(delete::DeleteRecordsArgs),
}

/// Runs a command on topics.
///
/// # Errors
/// Says what the cluster refused and what to do about it.
pub(crate) async fn run(args: TopicArgs, format: Format) -> anyhow::Result<()> {
    let client = args.connect.client()?;
    match args.command {
        TopicCommand::List(args) => list::run(&client, &args, format).await,
        TopicCommand::Create(args) => create::run(&client, &args, format).await,
        TopicCommand::Describe(args) => describe::run(&client, &args, format).await,
        TopicCommand::Delete(args) => delete::run(&client, &args, format).await,
        TopicCommand::Alter(args) => alter::run(&client, &args, format).await,
        TopicCommand::Configs(args) => configs::run(&client, &args, format).await,
        TopicCommand::DeleteRecords(args) => delete::run_records(&client, &args, format).await,
    }
}

/// A `KEY=VALUE` on the command line.
fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, as retention.ms=86400000".to_owned()),
    }
}
