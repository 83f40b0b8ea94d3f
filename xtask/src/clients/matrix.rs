//! Running the programs, a few at a time, and reading what they print.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::programs::{self, Program};
use super::{Broker, Choice, Installed, retention};
use crate::paths;
use crate::run;
use crate::test::cargo::Built;
use crate::test::ledger::Counts;

/// Programs at once: most of their time they wait for the broker or for each other's rebalances.
const AT_ONCE: usize = 4;

/// What a program printed about one scenario.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Line {
    /// The library.
    pub(crate) client: String,
    /// Its version.
    pub(crate) version: String,
    /// The scenario.
    pub(crate) scenario: String,
    /// Whether it went well; `None` where the library does not offer the thing.
    pub(crate) ok: Option<bool>,
    /// Why not.
    pub(crate) detail: String,
    /// What it took.
    #[serde(default)]
    pub(crate) seconds: f64,
}

impl Line {
    /// The line for a person.
    pub(crate) fn told(&self) -> String {
        let verdict = match self.ok {
            Some(true) => "ok  ",
            Some(false) => "FAIL",
            None => "-   ",
        };
        format!(
            "{verdict} {:<26} {:<28} {:>6.2} s  {}",
            self.client, self.scenario, self.seconds, self.detail
        )
    }
}

/// Scenarios as tests; what a library does not offer is none.
pub(crate) fn counts(lines: &[Line]) -> Counts {
    let passed = lines.iter().filter(|line| line.ok == Some(true)).count() as u64;
    let failed = lines.iter().filter(|line| line.ok == Some(false)).count() as u64;
    Counts { passed, failed, skipped: 0 }
}

struct Running {
    program: Program,
    child: Child,
    output: PathBuf,
}

/// Runs the chosen programs against `broker` and gives a line for each scenario of each.
///
/// # Errors
/// When a program can not be started or prints something that is not a line.
pub(crate) fn run(
    broker: &mut Broker,
    choice: &Choice,
    built: &Built,
    installed: &Installed,
    log: &Path,
    limit: Duration,
) -> Result<Vec<Line>> {
    let deadline = Instant::now() + limit;
    let mut waiting: Vec<Program> = chosen(choice)?;
    waiting.reverse();
    let mut running: Vec<Running> = Vec::new();
    let mut lines = Vec::new();
    while !(waiting.is_empty() && running.is_empty()) {
        while let Some(program) = (running.len() < AT_ONCE).then(|| waiting.pop()).flatten() {
            running.extend(start(program, broker, choice, built, installed, log)?);
        }
        let late = Instant::now() > deadline;
        let mut going = Vec::new();
        for mut one in running {
            if late {
                one.child.kill().context("kill a client whose time was up")?;
            }
            match one.child.try_wait().context("a client")? {
                Some(_) => lines.extend(told(&one, choice)?),
                None => going.push(one),
            }
        }
        running = going;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(lines)
}

fn chosen(choice: &Choice) -> Result<Vec<Program>> {
    let all = programs::PROGRAMS.iter().copied();
    let known: Vec<&str> = all.clone().map(|program| program.name).chain(["java-restarts"]).collect();
    if let Some(unknown) = choice.clients.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("no client {unknown}; there are {}", known.join(", "));
    }
    let wanted =
        |program: &Program| choice.clients.is_empty() || choice.clients.iter().any(|one| one == program.name);
    Ok(all.filter(wanted).collect())
}

fn start(
    program: Program,
    broker: &Broker,
    choice: &Choice,
    built: &Built,
    installed: &Installed,
    log: &Path,
) -> Result<Option<Running>> {
    let sources = paths::workspace()?.join("tests").join("clients");
    let Some(mut command) = program.command(built, installed, &sources)? else { return Ok(None) };
    command.args(["--bootstrap", &broker.address.to_string(), "--topic", program.name]);
    command.args(["--replication", broker.replication()]);
    command.args(choice.scenario.iter().flat_map(|scenario| ["--scenario", scenario]));
    let output = log.with_extension(format!("{}.json", program.name));
    let errors = log.with_extension(format!("{}.log", program.name));
    command.stdin(Stdio::null());
    command.stdout(fs::File::create(&output).with_context(|| output.display().to_string())?);
    command.stderr(fs::File::create(&errors).with_context(|| errors.display().to_string())?);
    Ok(Some(Running { program, child: run::start(&mut command)?, output }))
}

/// The lines of a program that has ended; a scenario it should have told about and did not has failed.
fn told(one: &Running, choice: &Choice) -> Result<Vec<Line>> {
    let text = fs::read_to_string(&one.output).with_context(|| one.output.display().to_string())?;
    let mut lines: Vec<Line> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let (client, version) = match lines.first() {
        Some(line) => (line.client.clone(), line.version.clone()),
        None => (one.program.name.to_owned(), String::new()),
    };
    for scenario in one.program.scenarios.iter().chain([&retention::SCENARIO]) {
        let asked = match &choice.scenario {
            Some(names) => names.split(',').any(|name| name == *scenario),
            None => *scenario != retention::SCENARIO,
        };
        if asked && !lines.iter().any(|line| line.scenario == *scenario) {
            let (client, version, scenario) = (client.clone(), version.clone(), (*scenario).to_owned());
            let detail = "the program ended without a word about it".to_owned();
            lines.push(Line { client, version, scenario, ok: Some(false), detail, seconds: 0.0 });
        }
    }
    Ok(lines)
}
