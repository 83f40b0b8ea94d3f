//! `waybill fsck`: checks storage while no broker runs on it. Changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};
use waybill_broker::Machine;
use waybill_meta::slate::SlateReader;
use waybill_meta::{RedbMeta, SharedMeta, SlateOptions};
use waybill_storage::{Checked, FsckReport, Severity, fsck};
use waybill_store::{Location, SharedStore, StoreMetrics, connect_bucket};
use waybill_wal::DirLock;

use crate::output::{self, Format, line};
use crate::serve::stores;

/// What `waybill fsck` takes.
#[derive(Debug, Args)]
pub(crate) struct FsckArgs {
    /// Where a broker keeps everything, as in serve.
    #[arg(long, env = "WAYBILL_DATA_DIR", value_name = "DIR", default_value = "./waybill-data")]
    data_dir: PathBuf,

    /// What the broker's --storage is, as in serve.
    #[arg(long, env = "WAYBILL_STORAGE", value_name = "URL")]
    storage: Option<String>,

    /// What the broker's --wal-storage is, if it has one.
    #[arg(long, env = "WAYBILL_WAL_STORAGE", value_name = "URL")]
    wal_storage: Option<String>,

    /// Read every byte of every segment, not only what segments say about themselves.
    #[arg(long)]
    deep: bool,
}

/// Checks and prints.
///
/// # Errors
/// When it can not be looked at, or something is wrong with it.
pub(crate) async fn run(args: FsckArgs, format: Format) -> anyhow::Result<()> {
    let storage = stores::storage(args.storage.as_deref(), &args.data_dir)?;
    let wal = stores::wal_storage(args.wal_storage.as_deref())?;
    let machine = Machine::real();
    let report = match &storage {
        Location::Folder(root) => of_folder(root, wal.as_ref(), args.deep, &machine).await,
        Location::Bucket { .. } => of_bucket(&storage, wal.as_ref(), args.deep, &machine).await,
    };
    let (report, moved) = report.with_context(|| format!("{storage} can not be checked"))?;
    match format {
        Format::Json => output::json(&as_json(&report, moved))?,
        Format::Text => print(&report, moved)?,
    }
    if report.errors > 0 {
        let advice = if moved { "; a broker runs on it, so run this again to be sure" } else { "" };
        bail!("{} errors in {storage}{advice}", report.errors);
    }
    Ok(())
}

/// A folder's lock is taken, so that no broker runs meanwhile.
async fn of_folder(
    root: &Path,
    wal: Option<&Location>,
    deep: bool,
    machine: &Machine,
) -> anyhow::Result<(FsckReport, bool)> {
    let file = root.join("meta").join("meta.redb");
    if !machine.disk.exists(&file)? {
        bail!("{} does not exist: there is no storage of waybill, or its metadata is lost", file.display());
    }
    let _lock = DirLock::take(&*machine.disk, root, machine.pid)?;
    let meta: SharedMeta = Arc::new(RedbMeta::open(&machine.disk, &file, machine.running)?);
    let data = stores::plain(&Location::Folder(root.to_owned()), machine)?;
    let wal = wal.map(|location| stores::plain(location, machine)).transpose()?;
    Ok((fsck(&Checked { meta, data, wal, deep }).await?, false))
}

/// Tells also whether a broker has changed the metadata meanwhile.
async fn of_bucket(
    location: &Location,
    wal: Option<&Location>,
    deep: bool,
    machine: &Machine,
) -> anyhow::Result<(FsckReport, bool)> {
    let bucket = connect_bucket(location, &stores::variables())?;
    let (remote, prefix) = bucket.remote();
    let (path, retries) = (format!("{prefix}meta"), SlateOptions::default().store_retries);
    let data = stores::measured(Arc::new(bucket), machine, &StoreMetrics::default());
    let data: SharedStore = Arc::new(data);
    // Asked first, because the metadata store's own words about a bucket that is missing help nobody.
    let manifests = data.list("meta/manifest/").await?;
    if manifests.is_empty() {
        bail!("there is no meta/manifest/ in it: there is no storage of waybill, or its metadata is lost");
    }
    let reader = Arc::new(SlateReader::open(Arc::clone(&remote), &path, retries).await?);
    let wal = match wal {
        Some(location) => stores::plain(location, machine)?,
        None => Arc::clone(&data),
    };
    let before = reader.sequence().await?;
    let report = fsck(&Checked { meta: reader, data, wal: Some(wal), deep }).await?;
    let after = SlateReader::open(remote, &path, retries).await?.sequence().await?;
    Ok((report, before != after))
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Error => "error",
    }
}

fn as_json(report: &FsckReport, moved: bool) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| json!({"severity": word(finding.severity), "at": finding.at, "what": finding.what}))
        .collect();
    json!({
        "cluster": report.cluster.map(|id| id.to_string()),
        "topics": report.topics,
        "partitions": report.partitions,
        "segments": report.segments,
        "partition_segments": report.partition_segments,
        "segment_bytes": report.segment_bytes,
        "wal_objects": report.wal_objects,
        "wal_records": report.wal_records,
        "changed_meanwhile": moved,
        "errors": report.errors,
        "notes": report.notes,
        "findings": findings,
    })
}

fn print(report: &FsckReport, moved: bool) -> anyhow::Result<()> {
    for finding in &report.findings {
        line(format_args!("{}: {}: {}", word(finding.severity), finding.at, finding.what))?;
    }
    let listed = report.findings.len() as u64;
    if report.errors + report.notes > listed {
        line(format_args!("and {} more", report.errors + report.notes - listed))?;
    }
    if let Some(cluster) = report.cluster {
        line(format_args!("cluster {cluster}"))?;
    }
    line(format_args!(
        "{} topics, {} partitions; {} segments of {} bytes; {} records in {} objects of the log only",
        report.topics,
        report.partitions,
        report.segments,
        report.segment_bytes,
        report.wal_records,
        report.wal_objects
    ))?;
    if moved {
        line("the metadata was changed meanwhile: a broker runs on it")?;
    }
    line(format_args!("{} errors, {} notes", report.errors, report.notes))
}
