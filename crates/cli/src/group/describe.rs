//! `waybill group describe`.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use waybill_client::Client;
use waybill_client::admin::{Committed, GroupDescription, OffsetSpec, PartitionOffset, TopicPartition};
use waybill_protocol::error_code::ErrorCode;

use crate::admin::{advise, count, list, or_dash, table, text};
use crate::output::{self, Format};

/// What `waybill group describe` takes.
#[derive(Debug, Args)]
pub(super) struct DescribeArgs {
    /// The groups' ids.
    #[arg(value_name = "GROUP", required = true)]
    groups: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Described {
    group: String,
    state: String,
    protocol_type: String,
    assignor: String,
    lag: Option<i64>,
    offsets: Vec<Progress>,
    members: Vec<Member>,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
struct Progress {
    topic: String,
    partition: i32,
    committed: Option<i64>,
    end: Option<i64>,
    lag: Option<i64>,
    member: Option<String>,
}

#[derive(Debug, Serialize)]
struct Member {
    id: String,
    instance_id: Option<String>,
    client_id: String,
    host: String,
    assignment: BTreeMap<String, Vec<i32>>,
}

pub(super) async fn run(client: &Client, args: &DescribeArgs, format: Format) -> anyhow::Result<()> {
    let mut described = Vec::new();
    for group in &args.groups {
        described.push(describe(client, group).await?);
    }
    if format == Format::Json {
        return output::json(&described);
    }
    for (at, group) in described.iter().enumerate() {
        if at > 0 {
            output::line("")?;
        }
        output::line(shown(group))?;
    }
    Ok(())
}

async fn describe(client: &Client, id: &str) -> anyhow::Result<Described> {
    let group = client.describe_group(id).await.map_err(advise)?;
    let committed = client.committed_offsets(id).await.map_err(advise)?;
    if group.state == "Dead" && committed.is_empty() {
        anyhow::bail!("group '{id}' does not exist\n  `waybill group list` shows which groups there are");
    }
    let mut ends = BTreeMap::new();
    for at in partitions(&group, &committed) {
        match client.list_offset(&at, OffsetSpec::Latest).await {
            Ok(end) => drop(ends.insert(at, end)),
            // Offsets outlive their topic: they are shown without an end.
            Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {}
            Err(error) => return Err(advise(error)),
        }
    }
    let offsets = progress(&group, &committed, &ends);
    Ok(Described {
        lag: offsets.iter().filter_map(|one| one.lag).reduce(i64::saturating_add),
        offsets,
        members: group
            .members
            .into_iter()
            .map(|member| Member {
                id: member.member_id,
                instance_id: member.instance_id,
                client_id: member.client_id,
                host: member.host,
                assignment: member.assignment,
            })
            .collect(),
        group: group.id,
        state: group.state,
        protocol_type: group.protocol_type,
        assignor: group.assignor,
    })
}

/// Who reads what.
fn readers(group: &GroupDescription) -> BTreeMap<TopicPartition, String> {
    let mut readers = BTreeMap::new();
    for member in &group.members {
        for (topic, partitions) in &member.assignment {
            for partition in partitions {
                readers.insert(TopicPartition::new(topic.as_str(), *partition), member.member_id.clone());
            }
        }
    }
    readers
}

/// What was committed or is read.
fn partitions(
    group: &GroupDescription,
    committed: &BTreeMap<TopicPartition, Committed>,
) -> Vec<TopicPartition> {
    let mut all: Vec<TopicPartition> = committed.keys().cloned().chain(readers(group).into_keys()).collect();
    all.sort();
    all.dedup();
    all
}

fn progress(
    group: &GroupDescription,
    committed: &BTreeMap<TopicPartition, Committed>,
    ends: &BTreeMap<TopicPartition, PartitionOffset>,
) -> Vec<Progress> {
    let mut readers = readers(group);
    let one = |at: TopicPartition| {
        let offset = committed.get(&at).map(|committed| committed.offset);
        let end = ends.get(&at).and_then(|end| end.offset);
        Progress {
            committed: offset,
            end,
            lag: end.zip(offset).map(|(end, offset)| end.saturating_sub(offset).max(0)),
            member: readers.remove(&at),
            topic: at.topic,
            partition: at.partition,
        }
    };
    partitions(group, committed).into_iter().map(one).collect()
}

fn shown(group: &Described) -> String {
    let assignor = if group.assignor.is_empty() { String::new() } else { format!(", {}", group.assignor) };
    let mut lines = vec![format!(
        "group {}  {}, {}{assignor}, lag {}",
        group.group,
        group.state,
        count(group.members.len(), "member"),
        or_dash(group.lag)
    )];
    if !group.offsets.is_empty() {
        let mut rows = table(&["topic", "partition", "committed", "end", "lag", "member"]);
        for one in &group.offsets {
            rows.add_row([
                one.topic.clone(),
                one.partition.to_string(),
                or_dash(one.committed),
                or_dash(one.end),
                or_dash(one.lag),
                or_dash(one.member.as_deref()),
            ]);
        }
        lines.push(text(&rows));
    }
    if !group.members.is_empty() {
        let mut rows = table(&["member", "client", "host", "partitions"]);
        for member in &group.members {
            let assigned: Vec<String> = member
                .assignment
                .iter()
                .map(|(topic, partitions)| format!("{topic}:{}", list(partitions)))
                .collect();
            rows.add_row([
                member.id.clone(),
                member.client_id.clone(),
                member.host.clone(),
                assigned.join(" "),
            ]);
        }
        lines.push(text(&rows));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_client::admin::GroupMember;

    #[test]
    fn progress_covers_what_is_committed_and_what_is_read() {
        let member = GroupMember {
            member_id: "m".to_owned(),
            instance_id: None,
            client_id: "c".to_owned(),
            host: "/127.0.0.1".to_owned(),
            assignment: BTreeMap::from([("t".to_owned(), vec![1, 2])]),
        };
        let group = GroupDescription {
            id: "g".to_owned(),
            state: "Stable".to_owned(),
            protocol_type: "consumer".to_owned(),
            assignor: "range".to_owned(),
            members: vec![member],
        };
        let committed = |offset| Committed { offset, ..Committed::default() };
        let end = |offset| PartitionOffset { offset: Some(offset), timestamp: None, leader_epoch: None };
        let at = |partition| TopicPartition::new("t", partition);
        let committed = BTreeMap::from([(at(0), committed(3)), (at(1), committed(9))]);
        let ends = BTreeMap::from([(at(1), end(10)), (at(2), end(5))]);
        let line = |partition, committed, end, lag, member: Option<&str>| Progress {
            topic: "t".to_owned(),
            partition,
            committed,
            end,
            lag,
            member: member.map(str::to_owned),
        };
        let expected = [
            line(0, Some(3), None, None, None),
            line(1, Some(9), Some(10), Some(1), Some("m")),
            line(2, None, Some(5), None, Some("m")),
        ];
        assert_eq!(progress(&group, &committed, &ends), expected);
    }
}
