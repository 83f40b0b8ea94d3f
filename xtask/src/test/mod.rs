//! `cargo xtask test`: everything that must hold, from a clean clone, inside forty minutes on two cores.
//!
//! Each stage writes a log below `target/xtask/`; a failure shows the log's tail. A stage that finds nothing to run
//! is left out of the ledger.

pub(crate) mod cargo;
pub(crate) mod ledger;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::cargo::{Built, TestProgram};
use self::ledger::{Counts, Ledger, Row};
use crate::run::{self, Ended};
use crate::{clients, r#gen, pages, paths, tidy};

/// Lines of a failed stage's log that are shown.
const TAIL_LINES: usize = 80;

/// Options of `cargo xtask test`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Run these stages alone (the build is always made): format, tidy, generated, lint, unit, sim, e2e, crash,
    /// visibility, clients, pages
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// A stage's name and its budget in seconds (design: build 13 min, lint 3, installs 3, unit 2, sim 3, clients 5,
/// crash 2, pages 4).
struct Stage {
    name: &'static str,
    budget: u64,
}

const FORMAT: Stage = Stage { name: "format", budget: 10 };
const TIDY: Stage = Stage { name: "tidy", budget: 10 };
const GENERATED: Stage = Stage { name: "generated", budget: 10 };
const BUILD: Stage = Stage { name: "build", budget: 13 * 60 };
const LINT: Stage = Stage { name: "lint", budget: 3 * 60 };
const INSTALLS: Stage = Stage { name: "installs", budget: 3 * 60 };
const CLIENTS: Stage = Stage { name: "clients", budget: 5 * 60 };
const PAGES: Stage = Stage { name: "pages", budget: 2 * 60 };
/// Stages that run Rust test programs, in order.
const RUST: [Stage; 5] = [
    Stage { name: "unit", budget: 2 * 60 },
    Stage { name: "sim", budget: 3 * 60 },
    Stage { name: "e2e", budget: 60 },
    Stage { name: "crash", budget: 2 * 60 },
    Stage { name: "visibility", budget: 2 * 60 },
];

impl Stage {
    fn budget(&self) -> Duration {
        Duration::from_secs(self.budget)
    }

    /// What a program of this stage may take before it is killed.
    fn limit(&self) -> Duration {
        self.budget() * 2
    }
}

/// Which stage a test program belongs to, by the names of its package and target.
fn stage_of(test: &TestProgram) -> &'static str {
    let starts = |prefix: &str| test.target.starts_with(prefix);
    match test.package.as_str() {
        "tests" if starts("crash") => "crash",
        "tests" if starts("visibility") || starts("browser") => "visibility",
        "tests" => "e2e",
        "crates/testkit" => "sim",
        _ if starts("sim") => "sim",
        _ => "unit",
    }
}

/// Runs the stages; `true` when all is well.
///
/// # Errors
/// When the suite itself can not go on, such as an unwritable target folder.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut suite = Suite::new(options)?;
    suite.check(&FORMAT, format)?;
    suite.check(&TIDY, |_| tidy::run())?;
    suite.check(&GENERATED, |_| r#gen::is_fresh())?;
    if let Some(built) = suite.build()? {
        suite.check(&LINT, lint)?;
        for stage in &RUST {
            suite.rust(stage, &built)?;
        }
        suite.clients(&built)?;
        suite.pages(&built)?;
    }
    println!("\n{}", suite.ledger.render());
    Ok(suite.ledger.counts().failed == 0)
}

struct Suite {
    only: Vec<String>,
    logs: PathBuf,
    ledger: Ledger,
}

impl Suite {
    fn new(options: &Options) -> Result<Self> {
        let known: Vec<&str> = [&FORMAT, &TIDY, &GENERATED, &LINT, &CLIENTS, &PAGES]
            .into_iter()
            .chain(&RUST)
            .map(|stage| stage.name)
            .collect();
        if let Some(unknown) = options.only.iter().find(|name| !known.contains(&name.as_str())) {
            bail!("no stage {unknown}; there are {}", known.join(", "));
        }
        let logs = paths::target()?.join("xtask");
        fs::create_dir_all(&logs).with_context(|| logs.display().to_string())?;
        Ok(Self { only: options.only.clone(), logs, ledger: Ledger::default() })
    }

    fn wanted(&self, stage: &Stage) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == stage.name)
    }

    fn log(&self, stage: &Stage) -> Result<PathBuf> {
        let log = self.logs.join(format!("{}.log", stage.name));
        match fs::remove_file(&log) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| log.display().to_string())
            }
            _ => Ok(log),
        }
    }

    /// A stage that holds or does not hold, and counts no tests.
    fn check(&mut self, stage: &Stage, check: impl FnOnce(&Path) -> Result<bool>) -> Result<()> {
        if !self.wanted(stage) {
            return Ok(());
        }
        let log = self.log(stage)?;
        let began = begin(stage);
        let well = check(&log)?;
        let counts = if well { Counts::default() } else { Counts::one_failed() };
        self.finish(stage, began, counts, &log);
        Ok(())
    }

    fn build(&mut self) -> Result<Option<Built>> {
        let log = self.log(&BUILD)?;
        let began = begin(&BUILD);
        let built = cargo::build(&log, BUILD.limit());
        if let Err(error) = &built {
            println!("  {error:#}");
        }
        let counts = if built.is_ok() { Counts::default() } else { Counts::one_failed() };
        self.finish(&BUILD, began, counts, &log);
        Ok(built.ok())
    }

    fn rust(&mut self, stage: &Stage, built: &Built) -> Result<()> {
        let tests: Vec<&TestProgram> =
            built.tests.iter().filter(|test| stage_of(test) == stage.name).collect();
        if !self.wanted(stage) || tests.is_empty() {
            return Ok(());
        }
        let log = self.log(stage)?;
        let began = begin(stage);
        let counts = cargo::run_tests(&tests, built, &log, stage.limit())?;
        self.finish(stage, began, counts, &log);
        Ok(())
    }

    /// Installs what the clients need and runs them all.
    fn clients(&mut self, built: &Built) -> Result<()> {
        if !self.wanted(&CLIENTS) {
            return Ok(());
        }
        let log = self.log(&INSTALLS)?;
        let began = begin(&INSTALLS);
        let installed = clients::install(false, &log, INSTALLS.limit());
        let counts = if installed.is_ok() { Counts::default() } else { Counts::one_failed() };
        self.finish(&INSTALLS, began, counts, &log);
        let Ok(installed) = installed else { return Ok(()) };
        let log = self.log(&CLIENTS)?;
        let began = begin(&CLIENTS);
        let counts = clients::stage(built, &installed, &log, CLIENTS.limit()).unwrap_or_else(|error| {
            println!("  {error:#}");
            Counts::one_failed()
        });
        self.finish(&CLIENTS, began, counts, &log);
        Ok(())
    }

    /// Drives the pages of a running demo in a browser.
    fn pages(&mut self, built: &Built) -> Result<()> {
        if !self.wanted(&PAGES) {
            return Ok(());
        }
        let log = self.log(&PAGES)?;
        let began = begin(&PAGES);
        let counts = pages::stage(built, &log, PAGES.limit()).unwrap_or_else(|error| {
            println!("  {error:#}");
            Counts::one_failed()
        });
        self.finish(&PAGES, began, counts, &log);
        Ok(())
    }

    fn finish(&mut self, stage: &Stage, began: Instant, counts: Counts, log: &Path) {
        if counts.failed > 0 {
            println!(
                "{}\n-- {} failed, whole log: {}",
                run::tail(log, TAIL_LINES),
                stage.name,
                log.display()
            );
        }
        let (took, budget) = (began.elapsed(), stage.budget());
        self.ledger.enter(Row { stage: stage.name, took, budget, counts, note: String::new() });
    }
}

fn begin(stage: &Stage) -> Instant {
    println!("-- {}", stage.name);
    Instant::now()
}

fn format(log: &Path) -> Result<bool> {
    let mut command = cargo::cargo()?;
    command.args(["fmt", "--all", "--check"]);
    Ok(run::logged(&mut command, log, FORMAT.limit())? == Ended::Well)
}

fn lint(log: &Path) -> Result<bool> {
    let mut command = cargo::cargo()?;
    command.args(["clippy", "--profile", "ci", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    Ok(run::logged(&mut command, log, LINT.limit())? == Ended::Well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_find_their_stage() {
        let stage = |package: &str, target: &str| {
            stage_of(&TestProgram { package: package.into(), target: target.into(), path: PathBuf::new() })
        };
        assert_eq!(stage("crates/wal", "waybill_wal"), "unit");
        assert_eq!(stage("crates/wal", "sim_power_loss"), "sim");
        assert_eq!(stage("crates/testkit", "waybill_testkit"), "sim");
        assert_eq!(stage("tests", "crash_kill"), "crash");
        assert_eq!(stage("tests", "browser_page"), "visibility");
        assert_eq!(stage("tests", "produce"), "e2e");
    }

    #[test]
    fn an_unknown_stage_is_refused() {
        let options = Options { only: vec!["nonsense".into()] };
        assert!(Suite::new(&options).is_err());
    }
}
