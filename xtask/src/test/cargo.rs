//! Building once, and running what was built.
//!
//! The test programs are started directly, not through `cargo test -p …`: cargo would resolve other features for a
//! part of the workspace than for the whole and build dependencies again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::ledger::Counts;
use crate::paths;
use crate::run::{self, Ended};

/// One built test program.
#[derive(Clone, Debug)]
pub(crate) struct TestProgram {
    /// Folder of its package, relative to the workspace (`crates/wal`, `tests`).
    pub(crate) package: String,
    /// Name of the target inside the package.
    pub(crate) target: String,
    /// The executable.
    pub(crate) path: PathBuf,
}

/// Everything one build gave.
#[derive(Debug, Default)]
pub(crate) struct Built {
    /// Test programs, in byte order of package and target.
    pub(crate) tests: Vec<TestProgram>,
    /// Ordinary programs by name.
    pub(crate) programs: BTreeMap<String, PathBuf>,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    executable: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// A `cargo` command in the workspace.
pub(crate) fn cargo() -> Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::workspace()?).env("CARGO_TERM_COLOR", "never");
    Ok(command)
}

/// Builds every program and test program of the workspace with one set of features.
///
/// # Errors
/// When the build fails; the log says why.
pub(crate) fn build(log: &Path, limit: Duration) -> Result<Built> {
    build_these("ci", &["--workspace", "--bins", "--tests"], log, limit)
}

/// Builds the broker and the client programs written in Rust with a profile, for a run by hand.
///
/// # Errors
/// When the build fails; the log says why.
pub(crate) fn build_programs(profile: &str, log: &Path, limit: Duration) -> Result<Built> {
    build_these(profile, &["-p", "waybill-cli", "-p", "waybill-tests", "--bins"], log, limit)
}

fn build_these(profile: &str, what: &[&str], log: &Path, limit: Duration) -> Result<Built> {
    let messages = log.with_extension("json");
    let mut command = cargo()?;
    command.args(["build", "--profile", profile]).args(what);
    command.arg("--message-format=json-render-diagnostics");
    match run::captured(&mut command, &messages, log, limit)? {
        Ended::Well => parse(&fs::read_to_string(&messages)?, &paths::workspace()?),
        Ended::Badly => bail!("the build failed"),
        Ended::TimedOut => bail!("the build took too long"),
    }
}

fn parse(messages: &str, workspace: &Path) -> Result<Built> {
    let mut built = Built::default();
    for line in messages.lines() {
        let message: Message = serde_json::from_str(line).context("a message of cargo")?;
        let (Some(manifest), Some(path), Some(target), Some(profile)) =
            (message.manifest_path, message.executable, message.target, message.profile)
        else {
            continue;
        };
        let Some(package) = manifest.parent().and_then(|dir| dir.strip_prefix(workspace).ok()) else {
            continue;
        };
        if message.reason != "compiler-artifact" {
            continue;
        }
        if profile.test {
            let package = package.display().to_string();
            built.tests.push(TestProgram { package, target: target.name, path });
        } else {
            built.programs.insert(target.name, path);
        }
    }
    built.tests.sort_by(|a, b| (&a.package, &a.target).cmp(&(&b.package, &b.target)));
    Ok(built)
}

/// Runs test programs one after the other in their packages' folders and counts their tests.
///
/// # Errors
/// When a program can not be started or its log not be read.
pub(crate) fn run_tests(
    tests: &[&TestProgram],
    built: &Built,
    log: &Path,
    limit: Duration,
) -> Result<Counts> {
    let workspace = paths::workspace()?;
    let deadline = Instant::now() + limit;
    let mut counts = Counts::default();
    for test in tests {
        let dir = workspace.join(&test.package);
        let mut command = Command::new(&test.path);
        command.current_dir(&dir).env("CARGO_MANIFEST_DIR", &dir);
        if let Some(waybill) = built.programs.get("waybill") {
            command.env("WAYBILL_BIN", waybill);
        }
        let before = fs::metadata(log).map_or(0, |meta| meta.len());
        let ended = run::logged(&mut command, log, deadline.saturating_duration_since(Instant::now()))?;
        let all = fs::read(log).with_context(|| log.display().to_string())?;
        let own = all.get(usize::try_from(before)?..).unwrap_or_default();
        counts.add(verdict(&test.target, ended, summaries(&String::from_utf8_lossy(own))));
    }
    Ok(counts)
}

/// A program that ended badly without a failed test (a panic outside one, a time-out) is a failure all the same.
fn verdict(target: &str, ended: Ended, mut counts: Counts) -> Counts {
    if ended != Ended::Well && counts.failed == 0 {
        println!(
            "  {target}: {}",
            if ended == Ended::TimedOut { "ran out of time" } else { "ended without a summary" }
        );
        counts.failed = 1;
    }
    counts
}

/// The sum of all `test result:` lines in a log.
pub(crate) fn summaries(text: &str) -> Counts {
    let mut sum = Counts::default();
    for line in text.lines() {
        let Some((_, rest)) = line.split_once("test result: ") else { continue };
        for part in rest.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) =
                (words.next().and_then(|word| word.parse::<u64>().ok()), words.next())
            else {
                continue;
            };
            match what {
                "passed" => sum.passed += number,
                "failed" => sum.failed += number,
                "ignored" => sum.skipped += number,
                _ => {}
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_add_up() {
        let text = "running 3 tests\n\
            test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        assert_eq!(summaries(text), Counts { passed: 6, failed: 2, skipped: 1 });
    }

    #[test]
    fn a_program_that_dies_outside_a_test_counts_as_failed() {
        let counts = verdict("wal", Ended::Badly, Counts { passed: 4, ..Counts::default() });
        assert_eq!(counts, Counts { passed: 4, failed: 1, skipped: 0 });
    }

    #[test]
    fn programs_and_tests_are_told_apart() {
        let messages = r#"{"reason":"compiler-artifact","manifest_path":"/w/crates/wal/Cargo.toml","executable":"/t/wal-1","target":{"name":"waybill_wal"},"profile":{"test":true}}
{"reason":"compiler-artifact","manifest_path":"/w/crates/cli/Cargo.toml","executable":"/t/waybill","target":{"name":"waybill"},"profile":{"test":false}}
{"reason":"compiler-artifact","manifest_path":"/elsewhere/Cargo.toml","executable":null,"target":{"name":"x"},"profile":{"test":false}}
{"reason":"build-finished","success":true}"#;
        let built = parse(messages, Path::new("/w")).expect("messages of cargo");
        assert_eq!(built.tests.len(), 1);
        assert_eq!(built.tests.first().map(|test| test.package.as_str()), Some("crates/wal"));
        assert!(built.programs.contains_key("waybill"));
    }
}
