//! `waybill mapping`: mappings tried on samples, before anything is deployed.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use waybill_rt::RealClock;
use waybill_types::TimestampMs;
use waybill_visibility::load::{Format as Framing, files};
use waybill_visibility::mapping::{Mapping, MappingFile, Mappings, Tried, framing, try_file};
use waybill_visibility::model::Fact;
use waybill_visibility::model::time::{When, instant_text};

use crate::output::{self, Format};

/// What `waybill mapping` takes.
#[derive(Debug, Args)]
pub(crate) struct MappingArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what a mapping makes of samples: facts, or why a record is refused. Fails when the mapping is faulty or
    /// a record is refused.
    Test(TestArgs),
}

/// What `waybill mapping test` takes.
#[derive(Debug, Args)]
struct TestArgs {
    /// A mapping file, or a built-in mapping such as epcis@1.
    #[arg(value_name = "FILE")]
    mapping: String,

    /// Files and folders of records; without any, only the mapping itself is checked.
    #[arg(value_name = "SAMPLE")]
    samples: Vec<PathBuf>,

    /// How samples are cut into records: scms, epcis, jsonl, csv or raw. By the mapping and the file's name when left out.
    #[arg(long, value_name = "F")]
    framing: Option<Framing>,

    /// When the samples are told: a day or an instant. Now when left out.
    #[arg(long, value_name = "TIME")]
    told: Option<String>,

    /// Records whose facts are shown, of each sample; refusals are always shown.
    #[arg(long, value_name = "N", default_value_t = 10)]
    show: usize,
}

/// Runs a command about mappings.
///
/// # Errors
/// When the mapping is faulty, a sample can not be read, or a record is refused.
pub(crate) fn run(args: &MappingArgs, format: Format) -> anyhow::Result<()> {
    match &args.command {
        Command::Test(args) => test(args, format),
    }
}

/// The mapping of that name, or the one that a file of that name describes.
///
/// # Errors
/// When there is neither, or the file is faulty.
pub(crate) fn named(text: &str) -> anyhow::Result<Mapping> {
    let mut mappings = Mappings::default();
    let unknown = match mappings.find(text) {
        Ok(mapping) => return Ok(mapping),
        Err(unknown) => unknown,
    };
    let path = Path::new(text);
    if !path.exists() {
        bail!("{unknown}; nor is there such a file");
    }
    let file = MappingFile::read(path)?;
    let name = file.name().to_owned();
    mappings.add(file)?;
    Ok(mappings.find(&name)?)
}

/// Counts over all samples.
#[derive(Debug, Default)]
struct Counts {
    taken: usize,
    refused: usize,
    facts: usize,
}

fn test(args: &TestArgs, format: Format) -> anyhow::Result<()> {
    let mapping = named(&args.mapping)?;
    let told = match &args.told {
        None => RealClock::shared().now(),
        Some(text) => When::parse(text)
            .ok_or_else(|| {
                anyhow!("--told {text} is not a moment; write 2026-03-02 or 2026-03-02T08:14:00Z")
            })?
            .start(),
    };
    let mut counts = Counts::default();
    let mut told_json = Vec::new();
    for path in files(&args.samples).context("reading the samples")? {
        let tried = try_sample(args, &mapping, &path, told)?;
        for each in &tried {
            match &each.outcome {
                Ok(facts) => {
                    counts.taken += 1;
                    counts.facts += facts.len();
                }
                Err(_) => counts.refused += 1,
            }
        }
        match format {
            Format::Json => told_json.extend(tried.iter().map(|each| as_json(&path, each))),
            Format::Text => print(&path, &tried, args.show)?,
        }
    }
    let Counts { taken, refused, facts } = counts;
    match format {
        Format::Json => output::json(&json!({"mapping": mapping.name(), "records": told_json,
            "taken": taken, "refused": refused, "facts": facts}))?,
        Format::Text if args.samples.is_empty() => {
            output::line(format_args!("{} is sound; name samples to try it on", mapping.name()))?;
        }
        Format::Text => output::line(format_args!(
            "{}: {} records, {taken} taken with {facts} facts, {refused} refused",
            mapping.name(),
            taken + refused
        ))?,
    }
    if refused > 0 {
        bail!("{refused} of {} records are refused", taken + refused);
    }
    Ok(())
}

fn try_sample(
    args: &TestArgs,
    mapping: &Mapping,
    path: &Path,
    told: TimestampMs,
) -> anyhow::Result<Vec<Tried>> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let framing = args.framing.unwrap_or_else(|| framing(mapping, &name));
    Ok(try_file(mapping, framing, &name, &bytes, told))
}

fn print(path: &Path, tried: &[Tried], show: usize) -> anyhow::Result<()> {
    let path = path.display();
    let mut shown = 0;
    for Tried { number, outcome } in tried {
        match outcome {
            Err(refusal) => output::line(format_args!("{path}, record {number}: refused, {refusal}"))?,
            Ok(facts) if shown < show => {
                shown += 1;
                output::line(format_args!("{path}, record {number}: {} facts", facts.len()))?;
                for fact in facts {
                    output::line(format_args!("  {}", fact.words()))?;
                }
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

fn as_json(path: &Path, tried: &Tried) -> Value {
    let mut record = json!({"sample": path.display().to_string(), "record": tried.number});
    let outcome = match &tried.outcome {
        Ok(facts) => ("facts", facts.iter().map(fact_json).collect()),
        Err(refusal) => ("refused", json!({"reason": refusal.code, "detail": refusal.detail})),
    };
    if let Some(object) = record.as_object_mut() {
        object.insert(outcome.0.to_owned(), outcome.1);
    }
    record
}

fn fact_json(fact: &Fact) -> Value {
    json!({
        "what": {"kind": fact.subject.kind.name(), "id": fact.subject.id},
        "event_id": fact.event,
        "source": fact.source,
        "record_time": instant_text(fact.told),
        "event_time": fact.draft.happened.map(|when| when.to_string()),
        "classifier": fact.draft.classifier,
        "says": fact.draft.body,
        "note": fact.draft.note,
        "sampled": fact.draft.sampled,
        "parties": fact.draft.parties,
    })
}
