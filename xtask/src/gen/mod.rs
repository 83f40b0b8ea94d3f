//! `cargo xtask gen`: the schema facts become Rust in `crates/protocol-gen/src/generated`.

mod apis;
mod code;
mod defaults;
mod layout;
mod message;
mod names;
pub(crate) mod pin;
mod read;
pub(crate) mod schema;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};

use crate::paths;
use schema::Message;

/// Flags of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail when the committed code is not what the facts give.
    #[arg(long)]
    check: bool,
}

/// Where the facts stand.
pub(crate) fn schema_dir() -> Result<PathBuf> {
    Ok(paths::workspace()?.join("crates/protocol-gen/schema"))
}

/// Generates, or checks what was generated; false when that is stale.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let messages = load()?;
    let scratch = tempfile::tempdir()?;
    let files = generate(&messages)?;
    for (path, text) in &files {
        let target = scratch.path().join(path);
        std::fs::create_dir_all(target.parent().context("a file stands in a folder")?)?;
        std::fs::write(&target, text).with_context(|| format!("writing {}", target.display()))?;
    }
    format(scratch.path(), files.keys())?;
    let target = paths::workspace()?.join("crates/protocol-gen/src/generated");
    if args.check {
        return compare(scratch.path(), &target, &files);
    }
    install(scratch.path(), &target, &files)?;
    println!("{} messages in {} files", messages.len(), files.len());
    Ok(true)
}

/// Whether the committed code is what the facts give.
pub(crate) fn is_fresh() -> Result<bool> {
    run(&Args { check: true })
}

/// All messages that still have a version, by file of facts.
fn load() -> Result<Vec<Message>> {
    let folder = schema_dir()?;
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("listing {}", folder.display()))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    paths.sort();
    let mut messages = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        let parsed = schema::parse(&text).map_err(|e| anyhow!("{}: {e}", path.display()))?;
        messages.extend(parsed.into_iter().filter(|m| !m.versions.is_empty()));
    }
    ensure!(!messages.is_empty(), "no facts in {}", folder.display());
    Ok(messages)
}

fn generate(messages: &[Message]) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for message in messages {
        let text = message::module(message).with_context(|| message.name.clone())?;
        let name = format!("messages/{}.rs", names::snake(&message.name));
        ensure!(files.insert(name, text).is_none(), "two messages are called {}", message.name);
    }
    files.insert("messages/mod.rs".to_owned(), apis::message_list(messages));
    files.insert("api_key.rs".to_owned(), apis::api_keys(messages, &pin::protocol_version()?)?);
    files.insert("requests.rs".to_owned(), apis::requests(messages)?);
    files.insert("coordinator.rs".to_owned(), apis::coordinator(messages)?);
    files.insert("registry.rs".to_owned(), apis::registry(messages));
    files.insert("mod.rs".to_owned(), apis::root());
    Ok(files)
}

fn format<'a>(folder: &Path, files: impl Iterator<Item = &'a String>) -> Result<()> {
    let status = Command::new("rustfmt")
        .args(["--edition", "2024", "--config", "skip_children=true", "--config-path"])
        .arg(paths::workspace()?.join("rustfmt.toml"))
        .args(files.filter(|name| !name.ends_with("mod.rs")).map(|name| folder.join(name)))
        .status()
        .context("starting rustfmt")?;
    ensure!(status.success(), "rustfmt refused the generated code");
    Ok(())
}

fn compare(fresh: &Path, committed: &Path, files: &BTreeMap<String, String>) -> Result<bool> {
    let mut stale: Vec<String> = listing(committed)?.into_iter().filter(|f| !files.contains_key(f)).collect();
    for name in files.keys() {
        let same =
            std::fs::read(fresh.join(name))? == std::fs::read(committed.join(name)).unwrap_or_default();
        if !same {
            stale.push(name.clone());
        }
    }
    if !stale.is_empty() {
        println!("generated code is stale, run `cargo xtask gen`: {}", stale.join(", "));
        return Ok(false);
    }
    println!("{} files are what the facts give", files.len());
    Ok(true)
}

fn install(fresh: &Path, target: &Path, files: &BTreeMap<String, String>) -> Result<()> {
    std::fs::create_dir_all(target.join("messages"))?;
    for name in listing(target)?.into_iter().filter(|name| !files.contains_key(name)) {
        std::fs::remove_file(target.join(name))?;
    }
    for name in files.keys() {
        let text = std::fs::read(fresh.join(name))?;
        // An untouched file keeps its time, so that cargo does not build again.
        if std::fs::read(target.join(name)).ok().as_ref() != Some(&text) {
            std::fs::write(target.join(name), text)?;
        }
    }
    Ok(())
}

/// Files below `folder`, one level of folders deep, as relative names.
fn listing(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for prefix in ["", "messages/"] {
        let Ok(entries) = std::fs::read_dir(folder.join(prefix)) else { continue };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(format!("{prefix}{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    Ok(names)
}
