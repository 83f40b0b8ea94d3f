//! `waybill topic alter`.

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use waybill_client::Client;
use waybill_client::admin::{ConfigChange, ConfigOp, ConfigResource};

use crate::admin::advise;
use crate::output::{self, Format};

/// What `waybill topic alter` takes.
#[derive(Debug, Args)]
pub(super) struct AlterArgs {
    /// The topic's name.
    #[arg(value_name = "TOPIC")]
    name: String,

    /// How many partitions it shall have: more than now.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,

    /// A setting, as in --set retention.ms=86400000. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = super::key_value)]
    configs: Vec<(String, String)>,

    /// A setting to go back to its default. Repeatable.
    #[arg(long = "unset", value_name = "KEY")]
    deleted_configs: Vec<String>,

    /// Only says whether it could be done.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Altered<'a> {
    name: &'a str,
    partitions: Option<i32>,
    set: Vec<&'a str>,
    deleted: Vec<&'a str>,
    dry_run: bool,
}

impl AlterArgs {
    fn changes(&self) -> Vec<ConfigChange> {
        let set = self.configs.iter().map(|(name, value)| ConfigChange {
            name: name.clone(),
            op: ConfigOp::Set,
            value: Some(value.clone()),
        });
        let deleted = self.deleted_configs.iter().map(|name| ConfigChange {
            name: name.clone(),
            op: ConfigOp::Delete,
            value: None,
        });
        set.chain(deleted).collect()
    }
}

pub(super) async fn run(client: &Client, args: &AlterArgs, format: Format) -> anyhow::Result<()> {
    let changes = args.changes();
    if args.partitions.is_none() && changes.is_empty() {
        bail!("nothing to alter: give --partitions, --set or --unset");
    }
    // Settings first: they are all or nothing and can be undone, partitions can not.
    if !changes.is_empty() {
        let resource = ConfigResource::Topic(args.name.clone());
        client.alter_configs(&resource, &changes, args.dry_run).await.map_err(advise)?;
    }
    if let Some(count) = args.partitions {
        client.create_partitions(&args.name, count, args.dry_run).await.map_err(advise)?;
    }
    if format == Format::Json {
        return output::json(&Altered {
            name: &args.name,
            partitions: args.partitions,
            set: args.configs.iter().map(|(name, _)| name.as_str()).collect(),
            deleted: args.deleted_configs.iter().map(String::as_str).collect(),
            dry_run: args.dry_run,
        });
    }
    output::line(format!(
        "topic '{}' {}",
        args.name,
        if args.dry_run { "could be altered" } else { "altered" }
    ))
}
