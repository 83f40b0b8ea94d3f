//! `waybill quarantine`: refused records, and what becomes of them. Speaks to the visibility service.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::output::{Format, json, line};
use crate::service::{Service, ServiceUrl, text};
use crate::track::escape;

/// What `waybill quarantine` takes.
#[derive(Debug, Args)]
pub(crate) struct QuarantineArgs {
    #[command(flatten)]
    service: ServiceUrl,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists refused records, newest first.
    List(ListArgs),
    /// Shows a refused record whole, and what was decided about it.
    Show {
        /// TOPIC/PARTITION/OFFSET, as the list gives it.
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Publishes another value in a record's place, if its mapping takes it.
    Repair(RepairArgs),
    /// Maps refused records again: after a mapping was mended.
    Redrive(RedriveArgs),
    /// Decides that nothing is to come of refused records.
    Discard(DiscardArgs),
}

/// What `waybill quarantine list` takes.
#[derive(Debug, Args)]
struct ListArgs {
    /// Of this topic.
    #[arg(long, value_name = "T")]
    topic: Option<String>,

    /// Whose reason begins so, as in unsupported_type.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// refused, held, repairing, repaired, discarded or all. Those that wait when left out.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,

    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
}

/// What `waybill quarantine repair` takes.
#[derive(Debug, Args)]
struct RepairArgs {
    /// TOPIC/PARTITION/OFFSET, as the list gives it.
    #[arg(value_name = "ID")]
    id: String,

    /// A file with the value as it should have been; - is standard input.
    #[arg(value_name = "FILE")]
    value: PathBuf,

    /// Why, for whoever reads the record's history.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

/// What `waybill quarantine redrive` takes.
#[derive(Debug, Args)]
struct RedriveArgs {
    /// Records, as TOPIC/PARTITION/OFFSET.
    #[arg(value_name = "ID", required_unless_present = "topic", conflicts_with = "topic")]
    ids: Vec<String>,

    /// All refused records of this topic, oldest first.
    #[arg(long, value_name = "T")]
    topic: Option<String>,

    /// Of the topic's, those whose reason begins so.
    #[arg(long, value_name = "TEXT", requires = "topic")]
    reason: Option<String>,

    /// Of the topic's, at most this many.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    limit: usize,

    /// Why, for whoever reads the record's history.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

/// What `waybill quarantine discard` takes.
#[derive(Debug, Args)]
struct DiscardArgs {
    /// Records, as TOPIC/PARTITION/OFFSET.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,

    /// Why, for whoever reads the record's history.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

/// Runs a command about refused records.
///
/// # Errors
/// When the service does not answer, a record is not in quarantine, or something is left as it was.
pub(crate) fn run(args: &QuarantineArgs, format: Format) -> anyhow::Result<()> {
    let service = Service::at(&args.service.url);
    match &args.command {
        Command::List(args) => list(&service, args, format),
        Command::Show { id } => show(&service, id, format),
        Command::Repair(args) => {
            let value = read(&args.value)?;
            let done =
                service.post(&format!("{}/repair", path(&args.id)?), &[("note", &args.note)], &value)?;
            told(&[done], format)
        }
        Command::Redrive(args) => redrive(&service, args, format),
        Command::Discard(args) => each(&service, &args.ids, "discard", &args.note, format),
    }
}

fn read(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        let mut value = Vec::new();
        std::io::stdin().read_to_end(&mut value).context("reading standard input")?;
        return Ok(value);
    }
    std::fs::read(path).with_context(|| format!("reading {}", path.display()))
}

/// The path of a record; topics may hold no slash.
fn path(id: &str) -> anyhow::Result<String> {
    let parts: Vec<&str> = id.split('/').collect();
    let [topic, partition, offset] = parts.as_slice() else {
        bail!("{id} is not TOPIC/PARTITION/OFFSET, as in orders/0/17");
    };
    if partition.parse::<i32>().is_err() || offset.parse::<i64>().is_err() || topic.is_empty() {
        bail!("{id} is not TOPIC/PARTITION/OFFSET, as in orders/0/17");
    }
    Ok(format!("/v1/quarantine/{}/{partition}/{offset}", escape(topic)))
}

fn list(service: &Service<'_>, args: &ListArgs, format: Format) -> anyhow::Result<()> {
    let limit = args.limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    let wanted = [("topic", &args.topic), ("reason", &args.reason), ("state", &args.state)];
    query.extend(wanted.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
    let rows = service.get("/v1/quarantine", &query)?;
    if matches!(format, Format::Json) {
        return json(&rows);
    }
    let rows = rows.as_array().cloned().unwrap_or_default();
    for row in &rows {
        line(format_args!(
            "{}  {}  told {}  {}  {}",
            text(row, "id"),
            text(row, "state"),
            text(row, "record_time"),
            text(row, "mapping"),
            text(row, "reason")
        ))?;
    }
    line(format_args!("{} records", rows.len()))
}

fn show(service: &Service<'_>, id: &str, format: Format) -> anyhow::Result<()> {
    let row = service.get(&path(id)?, &[])?;
    if matches!(format, Format::Json) {
        return json(&row);
    }
    for name in ["id", "state", "record_time", "mapping", "reason", "key"] {
        line(format_args!("{:<12} {}", name.replace('_', " "), text(&row, name)))?;
    }
    for header in row.get("headers").and_then(Value::as_array).into_iter().flatten() {
        line(format_args!("header       {}: {}", text(header, "name"), text(header, "value")))?;
    }
    for each in row.get("decisions").and_then(Value::as_array).into_iter().flatten() {
        let (at, who, what) = (text(each, "at"), text(each, "who"), text(each, "what"));
        line(format_args!("{at} {who}: {what}, {}; {}", text(each, "outcome"), text(each, "note")))?;
    }
    line(text(&row, "value"))
}

fn redrive(service: &Service<'_>, args: &RedriveArgs, format: Format) -> anyhow::Result<()> {
    let Some(topic) = &args.topic else { return each(service, &args.ids, "redrive", &args.note, format) };
    let limit = args.limit.to_string();
    let mut query = vec![("topic", topic.as_str()), ("limit", &limit), ("note", &args.note)];
    query.extend(args.reason.as_deref().map(|reason| ("reason", reason)));
    let done = service.post("/v1/quarantine/redrive", &query, b"")?;
    told(done.as_array().map_or(&[], Vec::as_slice), format)
}

fn each(service: &Service<'_>, ids: &[String], what: &str, note: &str, format: Format) -> anyhow::Result<()> {
    let mut done = Vec::with_capacity(ids.len());
    for id in ids {
        done.push(service.post(&format!("{}/{what}", path(id)?), &[("note", note)], b"")?);
    }
    told(&done, format)
}

/// Prints what decisions did; fails when one did nothing.
fn told(done: &[Value], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => json(&done)?,
        Format::Text => {
            for each in done {
                line(format_args!("{}: {}", text(each, "id"), text(each, "outcome")))?;
            }
        }
    }
    let left = done.iter().filter(|each| each.get("done") != Some(&Value::Bool(true))).count();
    if left > 0 {
        bail!("{left} of {} records are as they were", done.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn records_are_named_by_topic_partition_and_offset() {
        assert_eq!(path("orders.eu/3/17").unwrap(), "/v1/quarantine/orders.eu/3/17");
        for bad in ["orders", "orders/0", "orders/x/1", "/0/1", "orders/0/1/2"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
