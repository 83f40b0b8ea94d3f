//! `cargo xtask bench kafka`: Apache Kafka and Waybill, side by side on one machine in one run.
//!
//! Rounds alternate between the brokers, so that what else the machine does falls on all of them. Figures are the
//! brokers' and clients' own: the operating system's account of CPU time and memory, the client's clock for rates.

mod driver;
mod measure;
mod report;
mod round;
mod storage;
mod visibility;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::clients::{self, Broker, Spec, Target};
use crate::paths;
use crate::test::cargo;

/// What the release build and the installations may take.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);

/// Options of `cargo xtask bench`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// What is measured: the broker against Apache Kafka, the broker on object stores, or the visibility service by itself
    #[arg(value_parser = ["kafka", "storage", "visibility"])]
    against: String,
    /// Visibility: orders of the big store that is asked
    #[arg(long, default_value_t = 1_000_000)]
    orders: u32,
    /// Visibility: records of each kind that are taken in
    #[arg(long, default_value_t = 500_000)]
    records: u32,
    /// MiB of 1 KiB records that one round produces and consumes
    #[arg(long, default_value_t = 1024)]
    mib: u64,
    /// MiB produced and consumed on 10 partitions before anything is measured, so that just-in-time compilers are done
    #[arg(long, default_value_t = 2048)]
    warmup_mib: u64,
    /// Rounds per broker; figures are their medians
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Partitions of the topics
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 1000])]
    partitions: Vec<u32>,
    /// Seconds of the latency probe at 5,000 records a second
    #[arg(long, default_value_t = 30)]
    latency_seconds: u64,
    /// Seconds after start at which idle memory is read
    #[arg(long, default_value_t = 30)]
    idle_seconds: u64,
    /// Leave out Kafka's own performance tools
    #[arg(long)]
    no_tools: bool,
    /// Build profile of the programs; figures of any but dist are for trying the command, and are not written down
    #[arg(long, default_value = "dist")]
    profile: String,
}

/// A broker as it takes part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contestant {
    /// Its name in the tables.
    pub(crate) name: &'static str,
    target: Target,
    settings: &'static [&'static str],
}

/// Kafka by its defaults, Kafka that syncs each write as Waybill does, and Waybill.
pub(crate) const CONTESTANTS: [Contestant; 3] = [
    Contestant { name: "Kafka", target: Target::Kafka, settings: &[] },
    Contestant {
        name: "Kafka, flush.messages=1",
        target: Target::Kafka,
        settings: &["log.flush.interval.messages=1"],
    },
    Contestant { name: "Waybill", target: Target::Waybill, settings: &[] },
];

/// Runs all rounds, writes the raw lines, and writes `docs/benchmarks.md` when the build is the one that ships.
///
/// # Errors
/// When something can not be built, installed, started or measured.
pub(crate) fn run(options: &Options) -> Result<bool> {
    match options.against.as_str() {
        "storage" => return storage::run(options),
        "visibility" => return visibility::run(options),
        _ => {}
    }
    let dir = paths::target()?.join("xtask").join("bench");
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let log = dir.join("bench.log");
    println!("building with profile {}; comparing with Apache {}", options.profile, options.against);
    let built = cargo::build_programs(&options.profile, &log, BUILD_LIMIT)?;
    let installed = clients::install(true, &log, BUILD_LIMIT)?;
    let before = measure::machine()?;
    let mut results = Vec::new();
    for number in 0..options.runs {
        for contestant in CONTESTANTS {
            println!("round {} of {}: {}", number + 1, options.runs, contestant.name);
            let spec = Spec { target: contestant.target, settings: contestant.settings, stock: true };
            let mut broker = Broker::start(spec, &built, &installed, &log)?;
            let mut round =
                round::Round { options, contestant, built: &built, installed: &installed, log: &log };
            results.extend(round.run(&mut broker)?);
        }
    }
    let raw = dir.join("raw.jsonl");
    let mut text = String::new();
    for result in &results {
        text.push_str(&serde_json::to_string(result).context("a result")?);
        text.push('\n');
    }
    fs::write(&raw, text).with_context(|| raw.display().to_string())?;
    let mut page = report::render(options, &before, &results);
    // What was concluded from an earlier run stands in a file of its own, so that a new run does not lose it.
    let notes = paths::workspace()?.join("docs").join("benchmarks").join("notes.md");
    if notes.exists() {
        page.push('\n');
        page.push_str(&fs::read_to_string(&notes).with_context(|| notes.display().to_string())?);
    }
    println!("{page}\nraw lines: {}", raw.display());
    if options.profile == "dist" {
        let docs = paths::workspace()?.join("docs");
        fs::create_dir_all(docs.join("benchmarks")).context("docs/benchmarks")?;
        fs::copy(&raw, docs.join("benchmarks").join("kafka.jsonl")).context("the raw lines")?;
        fs::write(docs.join("benchmarks.md"), page).context("docs/benchmarks.md")?;
    }
    Ok(true)
}
