//! `cargo xtask import-schema`: message definitions inside Kafka's jars become the committed schema facts.

mod definition;
mod zip;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::r#gen::{pin, schema, schema_dir};

/// The jars with definitions; each becomes one file of facts.
const JARS: [&str; 4] =
    ["kafka-clients", "kafka-group-coordinator", "kafka-transaction-coordinator", "kafka-share-coordinator"];

/// Flags of the verb. A jar that is not named is fetched through Maven at the pinned version.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The kafka-clients jar.
    #[arg(long)]
    clients_jar: Option<PathBuf>,
    /// The kafka-group-coordinator jar.
    #[arg(long)]
    group_jar: Option<PathBuf>,
    /// The kafka-transaction-coordinator jar.
    #[arg(long)]
    transaction_jar: Option<PathBuf>,
    /// The kafka-share-coordinator jar.
    #[arg(long)]
    share_jar: Option<PathBuf>,
}

/// Writes one file of facts per jar.
pub(crate) fn run(args: &Args) -> Result<()> {
    let version = pin::protocol_version()?;
    let scratch = tempfile::tempdir()?;
    let given = [&args.clients_jar, &args.group_jar, &args.transaction_jar, &args.share_jar];
    for (artifact, given) in JARS.into_iter().zip(given) {
        let jar = match given {
            Some(path) => path.clone(),
            None => fetch(artifact, &version, scratch.path())?,
        };
        let messages = read_jar(&jar)?;
        let name = artifact.strip_prefix("kafka-").unwrap_or(artifact);
        println!("{artifact} {version}: {} messages", messages.len());
        let target = schema_dir()?.join(format!("{name}.txt"));
        let text =
            format!("# Facts about the messages of {artifact} {version}.\n{}", schema::print(&messages));
        std::fs::write(&target, text).with_context(|| format!("writing {}", target.display()))?;
    }
    Ok(())
}

fn fetch(artifact: &str, version: &str, into: &Path) -> Result<PathBuf> {
    let status = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy"])
        .arg(format!("-Dartifact=org.apache.kafka:{artifact}:{version}"))
        .arg(format!("-DoutputDirectory={}", into.display()))
        .status()
        .context("starting mvn; name the jars with --clients-jar and its sisters instead")?;
    if !status.success() {
        bail!("mvn could not fetch {artifact} {version}");
    }
    Ok(into.join(format!("{artifact}-{version}.jar")))
}

fn read_jar(jar: &Path) -> Result<Vec<schema::Message>> {
    let bytes = std::fs::read(jar).with_context(|| format!("reading {}", jar.display()))?;
    let mut messages = Vec::new();
    for entry in zip::entries(&bytes).with_context(|| format!("listing {}", jar.display()))? {
        if !entry.name.starts_with("common/message/") || !entry.name.ends_with(".json") {
            continue;
        }
        let text = String::from_utf8(entry.contents()?)?;
        messages.push(definition::message(&text).with_context(|| entry.name.clone())?);
    }
    if messages.is_empty() {
        bail!("{} holds no message definitions", jar.display());
    }
    messages.sort_by(|a, b| (a.key, rank(&a.kind), &a.name).cmp(&(b.key, rank(&b.kind), &b.name)));
    Ok(messages)
}

fn rank(kind: &str) -> usize {
    ["header", "data", "request", "response", "coordinator-key", "coordinator-value"]
        .iter()
        .position(|known| *known == kind)
        .unwrap_or(usize::MAX)
}
