//! `waybill group list`.

use clap::Args;
use serde::Serialize;
use waybill_client::Client;

use crate::admin::{advise, table, text};
use crate::output::{self, Format};

/// What `waybill group list` takes.
#[derive(Debug, Args)]
pub(super) struct ListArgs {}

#[derive(Debug, Serialize)]
struct Listed {
    group: String,
    state: String,
    kind: String,
    protocol_type: String,
}

pub(super) async fn run(client: &Client, _args: &ListArgs, format: Format) -> anyhow::Result<()> {
    let groups = client.list_groups().await.map_err(advise)?;
    let groups: Vec<Listed> = groups
        .into_iter()
        .map(|group| Listed {
            group: group.id,
            state: group.state,
            kind: group.kind,
            protocol_type: group.protocol_type,
        })
        .collect();
    if format == Format::Json {
        return output::json(&groups);
    }
    if groups.is_empty() {
        return output::line("no groups");
    }
    let mut rows = table(&["group", "state", "kind", "protocol"]);
    for group in &groups {
        rows.add_row([&group.group, &group.state, &group.kind, &group.protocol_type]);
    }
    output::line(text(&rows))
}
