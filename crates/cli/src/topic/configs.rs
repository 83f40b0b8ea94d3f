//! `waybill topic configs`.

use clap::Args;
use serde::Serialize;
use waybill_client::Client;
use waybill_client::admin::{ConfigEntry, ConfigResource, ConfigSource};

use crate::admin::{advise, or_dash, table, text};
use crate::output::{self, Format};

/// What `waybill topic configs` takes.
#[derive(Debug, Args)]
pub(super) struct ConfigsArgs {
    /// The topic's name.
    #[arg(value_name = "TOPIC")]
    name: String,

    /// Shows defaults too.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    value: Option<String>,
    source: &'static str,
    read_only: bool,
    sensitive: bool,
}

fn shown(entry: ConfigEntry) -> Shown {
    Shown {
        name: entry.name,
        value: entry.value,
        source: entry.source.name(),
        read_only: entry.read_only,
        sensitive: entry.sensitive,
    }
}

pub(super) async fn run(client: &Client, args: &ConfigsArgs, format: Format) -> anyhow::Result<()> {
    let resource = ConfigResource::Topic(args.name.clone());
    let entries = client.describe_configs(&resource, false).await.map_err(advise)?;
    let entries = entries.into_iter().filter(|entry| args.all || entry.source == ConfigSource::Topic);
    let entries: Vec<Shown> = entries.map(shown).collect();
    if format == Format::Json {
        return output::json(&entries);
    }
    if entries.is_empty() {
        return output::line(format!(
            "topic '{}' has no settings of its own; --all shows defaults",
            args.name
        ));
    }
    let mut rows = table(&["setting", "value", "source"]);
    for entry in &entries {
        rows.add_row([entry.name.clone(), or_dash(entry.value.as_deref()), entry.source.to_owned()]);
    }
    output::line(text(&rows))
}
