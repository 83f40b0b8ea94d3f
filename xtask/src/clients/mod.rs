//! Real clients and tools against a real broker: what is installed, what is run, what is told about it.

mod broker;
mod installs;
mod matrix;
mod programs;
mod report;
mod restarts;
mod retention;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

pub(crate) use self::broker::{Broker, Spec, Target};
pub(crate) use self::installs::{Installed, install};
pub(crate) use self::matrix::Line;
pub(crate) use self::programs::stock_java as stock_java_program;

use crate::paths;
use crate::test::cargo::{self, Built};
use crate::test::ledger::Counts;

/// What installing may take when it is asked for by hand.
const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// What a run of all clients may take when it is asked for by hand.
const RUN_LIMIT: Duration = Duration::from_secs(900);

/// Options of `cargo xtask conformance`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// What the clients talk to
    #[arg(long, value_enum, default_value_t = Target::Waybill)]
    target: Target,
    /// These clients alone, by the names of their programs
    #[arg(long, value_delimiter = ',')]
    client: Vec<String>,
    /// These scenarios alone
    #[arg(long)]
    scenario: Option<String>,
    /// Leave out the ten restarts under a Java consumer
    #[arg(long)]
    no_restarts: bool,
}

/// Which clients and scenarios a run is about; everything when both are empty.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    clients: Vec<String>,
    scenario: Option<String>,
    no_restarts: bool,
}

impl Choice {
    fn whole(&self) -> bool {
        self.clients.is_empty() && self.scenario.is_none() && !self.no_restarts
    }

    fn retention(&self) -> bool {
        self.whole() || self.scenario.as_deref() == Some(retention::SCENARIO)
    }

    fn restarts(&self) -> bool {
        self.whole() || self.clients.iter().any(|name| name == "java-restarts")
    }
}

/// Runs the matrix by hand; a whole run against Waybill rewrites `docs/compatibility.md`.
///
/// # Errors
/// When something can not be built, installed or started.
pub(crate) fn conformance(options: &Options) -> Result<bool> {
    let log = paths::target()?.join("xtask").join("conformance.log");
    if log.exists() {
        std::fs::remove_file(&log).context("the old log")?;
    }
    let built = cargo::build_programs("ci", &log, RUN_LIMIT)?;
    let installed = install(options.target == Target::Kafka, &log, INSTALL_LIMIT)?;
    let choice = Choice {
        clients: options.client.clone(),
        scenario: options.scenario.clone(),
        no_restarts: options.no_restarts,
    };
    let lines = run(options.target, &choice, &built, &installed, &log, RUN_LIMIT)?;
    for line in &lines {
        println!("{}", line.told());
    }
    let counts = matrix::counts(&lines);
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
    if options.target == Target::Waybill && choice.whole() && installed.missing.is_empty() {
        let page = paths::workspace()?.join(report::PAGE);
        std::fs::write(&page, report::render(&lines)).with_context(|| page.display().to_string())?;
        println!("wrote {}", report::PAGE);
    }
    Ok(counts.failed == 0)
}

/// The clients stage of the suite: the whole matrix, which must give what `docs/compatibility.md` says.
///
/// # Errors
/// When the broker or a program can not be started.
pub(crate) fn stage(built: &Built, installed: &Installed, log: &Path, limit: Duration) -> Result<Counts> {
    let lines = run(Target::Waybill, &Choice::default(), built, installed, log, limit)?;
    for line in lines.iter().filter(|line| line.ok == Some(false)) {
        println!("  {}", line.told());
    }
    let mut counts = matrix::counts(&lines);
    counts.add(installed.counts());
    if installed.missing.is_empty() && counts.failed == 0 && !report::holds(&lines)? {
        println!("  {} is not what this run gave; `cargo xtask conformance` writes it", report::PAGE);
        counts.failed += 1;
    }
    Ok(counts)
}

fn run(
    target: Target,
    choice: &Choice,
    built: &Built,
    installed: &Installed,
    log: &Path,
    limit: Duration,
) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    if choice.retention() {
        lines.extend(retention::run(target, built, installed, log, limit)?);
    }
    if choice.scenario.as_deref() == Some(retention::SCENARIO) {
        return Ok(lines);
    }
    let mut broker = Broker::start(Spec::quick(target), built, installed, log)?;
    lines.extend(matrix::run(&mut broker, choice, built, installed, log, limit)?);
    drop(broker);
    if let (Some(java), true) = (&installed.java, choice.restarts()) {
        let mut broker = Broker::start(Spec::quick(target), built, installed, log)?;
        lines.push(restarts::run(&mut broker, java, log, limit)?);
    }
    Ok(lines)
}
