//! `waybill group reset-offsets`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use waybill_client::Client;
use waybill_client::admin::{Committed, PlannedReset, ResetTarget, TopicPartition};
use waybill_types::TimestampMs;

use super::when::{instant, span_ms};
use super::{TopicChoice, chosen, topic_choice};
use crate::admin::{advise, or_dash, table, text};
use crate::output::{self, Format};

/// What `waybill group reset-offsets` takes.
#[derive(Debug, Args)]
pub(super) struct ResetArgs {
    /// The group's id.
    #[arg(value_name = "GROUP")]
    group: String,

    /// A topic, or some of its partitions. Repeatable.
    #[arg(long = "topic", value_name = "TOPIC[:N,N]", required_unless_present = "all_topics", value_parser = topic_choice)]
    topics: Vec<TopicChoice>,

    /// Every partition that the group has committed.
    #[arg(long, conflicts_with = "topics")]
    all_topics: bool,

    #[command(flatten)]
    target: TargetArgs,

    /// Does it; without this it is only shown.
    #[arg(long)]
    execute: bool,
}

/// Where to: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// To the first record kept.
    #[arg(long)]
    to_earliest: bool,

    /// Behind the last record.
    #[arg(long)]
    to_latest: bool,

    /// Where it is; the end, where it is nowhere.
    #[arg(long)]
    to_current: bool,

    /// To this offset.
    #[arg(long, value_name = "OFFSET")]
    to_offset: Option<i64>,

    /// So many records on, or back when negative.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    shift_by: Option<i64>,

    /// To the first record of this time or later.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to_datetime: Option<TimestampMs>,

    /// To the first record of the last so long, as in 90m or P2D.
    #[arg(long, value_name = "SPAN", value_parser = span_ms)]
    by_duration: Option<i64>,
}

impl TargetArgs {
    fn target(&self, now: TimestampMs) -> anyhow::Result<ResetTarget> {
        let flags = [
            (self.to_earliest, ResetTarget::Earliest),
            (self.to_latest, ResetTarget::Latest),
            (self.to_current, ResetTarget::Current),
        ];
        let flag = flags.into_iter().find_map(|(given, target)| given.then_some(target));
        let back = |ms: i64| TimestampMs(now.get().saturating_sub(ms).max(0));
        let target = flag
            .or(self.to_offset.map(ResetTarget::Offset))
            .or(self.shift_by.map(ResetTarget::Shift))
            .or(self.to_datetime.map(ResetTarget::Time))
            .or(self.by_duration.map(|ms| ResetTarget::Time(back(ms))));
        match target {
            Some(target) => Ok(target),
            None => bail!("where to: give --to-earliest, --to-latest, --to-datetime TIME or another of them"),
        }
    }
}

#[derive(Debug, Serialize)]
struct Outcome<'a> {
    group: &'a str,
    executed: bool,
    offsets: Vec<Row<'a>>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    topic: &'a str,
    partition: i32,
    current: Option<i64>,
    new: i64,
    clamped: bool,
}

impl<'a> Row<'a> {
    fn of(one: &'a PlannedReset) -> Self {
        let PlannedReset { at, current, new, clamped } = one;
        Self { topic: &at.topic, partition: at.partition, current: *current, new: *new, clamped: *clamped }
    }
}

pub(super) async fn run(client: &Client, args: &ResetArgs, format: Format) -> anyhow::Result<()> {
    let target = args.target.target(client.env().clock.now())?;
    let group = client.describe_group(&args.group).await;
    // A group that does not exist may be given offsets before its first consumer starts.
    let state = match group {
        Ok(group) => group.state,
        Err(error) if error.code() == Some(waybill_protocol::error_code::ErrorCode::GroupIdNotFound) => {
            "Dead".to_owned()
        }
        Err(error) => return Err(advise(error)),
    };
    if args.execute && !matches!(state.as_str(), "Empty" | "Dead") {
        bail!(
            "group '{}' is {state}: its offsets can be set only while it has no members\n  stop its consumers first",
            args.group
        );
    }
    let partitions = partitions(client, args).await?;
    let plan = client.plan_reset(&args.group, &partitions, target).await.map_err(advise)?;
    if args.execute {
        let offset = |one: &PlannedReset| {
            (one.at.clone(), Committed { offset: one.new, leader_epoch: None, metadata: String::new() })
        };
        let offsets: BTreeMap<TopicPartition, Committed> = plan.iter().map(offset).collect();
        client.commit_offsets(&args.group, &offsets).await.map_err(advise)?;
    }
    show(args, &plan, format)
}

async fn partitions(client: &Client, args: &ResetArgs) -> anyhow::Result<Vec<TopicPartition>> {
    if !args.all_topics {
        return chosen(client, &args.topics).await;
    }
    let committed = client.committed_offsets(&args.group).await.map_err(advise)?;
    let topics: BTreeSet<String> = committed.into_keys().map(|at| at.topic).collect();
    if topics.is_empty() {
        bail!("group '{}' has committed nothing\n  name topics with --topic", args.group);
    }
    let choices: Vec<TopicChoice> =
        topics.into_iter().map(|name| TopicChoice { name, partitions: Vec::new() }).collect();
    chosen(client, &choices).await
}

fn show(args: &ResetArgs, plan: &[PlannedReset], format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        let offsets = plan.iter().map(Row::of).collect();
        return output::json(&Outcome { group: &args.group, executed: args.execute, offsets });
    }
    let mut rows = table(&["topic", "partition", "current", "new", ""]);
    for one in plan {
        rows.add_row([
            one.at.topic.clone(),
            one.at.partition.to_string(),
            or_dash(one.current),
            one.new.to_string(),
            if one.clamped { "the end of the log nearest to what was asked for" } else { "" }.to_owned(),
        ]);
    }
    output::line(text(&rows))?;
    if args.execute { Ok(()) } else { output::line("nothing was changed: --execute does it") }
}
