//! `waybill group`: administration of consumer groups over the Kafka protocol.

mod delete;
mod describe;
mod list;
mod reset;
mod when;

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use waybill_client::Client;
use waybill_client::admin::TopicPartition;

use crate::admin::{ConnectArgs, advise};
use crate::output::Format;

/// What `waybill group` takes.
#[derive(Debug, Args)]
pub(crate) struct GroupArgs {
    #[command(flatten)]
    connect: ConnectArgs,

    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Debug, Subcommand)]
enum GroupCommand {
    /// Lists groups.
    List(list::ListArgs),
    /// Shows groups: offsets, lag, members.
    Describe(describe::DescribeArgs),
    /// Deletes groups that have no members, with their offsets.
    Delete(delete::DeleteArgs),
    /// Sets a group's offsets; only shows what it would do unless --execute is given.
    ResetOffsets(reset::ResetArgs),
    /// Forgets a group's offsets of a topic.
    DeleteOffsets(delete::DeleteOffsetsArgs),
}

/// Runs a command on groups.
///
/// # Errors
/// Says what the cluster refused and what to do about it.
pub(crate) async fn run(args: GroupArgs, format: Format) -> anyhow::Result<()> {
    let client = args.connect.client()?;
    match args.command {
        GroupCommand::List(args) => list::run(&client, &args, format).await,
        GroupCommand::Describe(args) => describe::run(&client, &args, format).await,
        GroupCommand::Delete(args) => delete::run(&client, &args, format).await,
        GroupCommand::ResetOffsets(args) => reset::run(&client, &args, format).await,
        GroupCommand::DeleteOffsets(args) => delete::run_offsets(&client, &args, format).await,
    }
}

/// `TOPIC` or `TOPIC:0,1,2` on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TopicChoice {
    name: String,
    /// Empty for all.
    partitions: Vec<i32>,
}

fn topic_choice(text: &str) -> Result<TopicChoice, String> {
    // Topic names hold no colon.
    let (name, numbers) = match text.split_once(':') {
        Some((name, numbers)) => (name, Some(numbers)),
        None => (text, None),
    };
    let number = |text: &str| text.trim().parse::<i32>().ok().filter(|index| *index >= 0);
    let partitions: Option<Vec<i32>> =
        numbers.map_or(Some(Vec::new()), |numbers| numbers.split(',').map(number).collect());
    match partitions {
        Some(partitions) if !name.is_empty() => Ok(TopicChoice { name: name.to_owned(), partitions }),
        _ => Err("expected TOPIC or TOPIC:0,1,2".to_owned()),
    }
}

/// The partitions that are meant, each once, in order.
async fn chosen(client: &Client, choices: &[TopicChoice]) -> anyhow::Result<Vec<TopicPartition>> {
    let mut partitions = BTreeSet::new();
    for choice in choices {
        let topic = client.describe_topic(&choice.name).await.map_err(advise)?;
        for index in &choice.partitions {
            if !topic.partitions.contains_key(index) {
                let last = topic.partitions.len().saturating_sub(1);
                anyhow::bail!("topic '{}' has no partition {index}; its last is {last}", choice.name);
            }
        }
        let wanted = |index: &&i32| choice.partitions.is_empty() || choice.partitions.contains(index);
        partitions.extend(
            topic.partitions.keys().filter(wanted).map(|index| TopicPartition::new(&*choice.name, *index)),
        );
    }
    Ok(partitions.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_with_and_without_partitions() {
        let choice = |name: &str, partitions: &[i32]| {
            Ok(TopicChoice { name: name.to_owned(), partitions: partitions.to_vec() })
        };
        assert_eq!(topic_choice("orders"), choice("orders", &[]));
        assert_eq!(topic_choice("orders:0,2"), choice("orders", &[0, 2]));
        for bad in ["", ":1", "a:", "a:x", "a:-1", "a:1,"] {
            assert!(topic_choice(bad).is_err(), "{bad}");
        }
    }
}
