//! `cargo xtask bench visibility`: how fast the service takes records in and answers, on one core.
//!
//! The work is done by the example `rates` of the visibility crate, one process a part; it prints a JSON line a figure.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Options, measure};
use crate::paths;
use crate::run::{self, Ended};

/// What the build and each part may take.
const LIMIT: Duration = Duration::from_secs(3600);

/// The parts, each in a process of its own so that one's memory is not another's.
const PARTS: [&str; 4] = ["stages", "rebuild", "latency", "queries"];

/// Aims: part, kind of records, figure, least.
const AIMS: [(&str, &str, &str, f64); 4] = [
    ("rebuild", "telemetry", "records_per_cpu_s", 50_000.0),
    ("rebuild", "scms", "records_per_cpu_s", 25_000.0),
    ("rebuild", "epcis", "records_per_cpu_s", 8_000.0),
    ("latency", "", "p99_ms", 250.0),
];

/// Builds, runs every part, and writes `docs/benchmarks-visibility.md`.
///
/// # Errors
/// When it can not be built or a part fails.
pub(super) fn run(options: &Options) -> Result<bool> {
    let dir = paths::target()?.join("xtask").join("bench");
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let log = dir.join("visibility.log");
    let machine = measure::machine()?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.current_dir(paths::workspace()?).args(["build", "--profile", &options.profile]);
    build.args(["-p", "waybill-visibility", "--example", "rates"]);
    ended(run::logged(&mut build, &log, LIMIT)?, "the build")?;
    let program = paths::target()?.join(&options.profile).join("examples").join("rates");
    let mut lines = Vec::new();
    let mut others = Vec::new();
    for part in PARTS {
        println!("measuring {part}");
        let out = dir.join(format!("visibility-{part}.jsonl"));
        let mut command = Command::new(&program);
        command.arg(part).args(["--orders", &options.orders.to_string()]);
        command.args(["--records", &options.records.to_string()]);
        let (began, busy) = (std::time::Instant::now(), measure::busy_seconds()?);
        ended(run::captured(&mut command, &out, &log, LIMIT)?, part)?;
        let text = fs::read_to_string(&out).with_context(|| out.display().to_string())?;
        let own: f64 = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|line| line.get("process_cpu_s")?.as_f64())
            .sum();
        let wall = began.elapsed().as_secs_f64();
        others.push(format!("{part} {:.2}", ((measure::busy_seconds()? - busy - own) / wall).max(0.0)));
        for line in text.lines() {
            lines.push(serde_json::from_str::<Value>(line).with_context(|| line.to_owned())?);
        }
    }
    let page = render(options, &machine, &others.join(", "), &lines);
    println!("{page}");
    let path = paths::workspace()?.join("docs").join("benchmarks-visibility.md");
    fs::write(&path, page).with_context(|| path.display().to_string())?;
    Ok(true)
}

fn ended(ended: Ended, what: &str) -> Result<()> {
    match ended {
        Ended::Well => Ok(()),
        Ended::Badly => bail!("{what} failed"),
        Ended::TimedOut => bail!("{what} took too long"),
    }
}

fn figure(value: &Value) -> String {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            if number >= 100.0 { format!("{number:.0}") } else { format!("{number:.2}") }
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn render(options: &Options, machine: &str, others: &str, lines: &[Value]) -> String {
    let mut text = format!(
        "# Benchmarks of the visibility service\n\n\
         Written by `cargo xtask bench visibility` (build profile {}; {} records a kind; the big store {} orders of ten\n\
         facts). One process and one thread does all of it; records are made as they are read, so no broker takes part.\n\
         `_per_s` is by the clock, `_per_cpu_s` by the CPU time that the process had: on a busy machine only the latter\n\
         tells. Latency runs from a record's place in the log to a snapshot whose answers rest on it.\n\n\
         Machine: {machine}. Cores that everything else used meanwhile: {others}.\n",
        options.profile, options.records, options.orders
    );
    text.push_str("\n| aim | least, or for ms most | measured |\n| --- | --- | --- |\n");
    for (part, of, name, aim) in AIMS {
        let found = lines.iter().find(|line| {
            line.get("part").and_then(Value::as_str) == Some(part)
                && line.get("of").and_then(Value::as_str).unwrap_or_default() == of
        });
        let measured = found.and_then(|line| line.get(name)).map_or_else(|| "-".to_owned(), figure);
        text.push_str(&format!("| {part} {of} {name} | {aim} | {measured} |\n"));
    }
    for line in lines {
        let Some(figures) = line.as_object() else { continue };
        let told =
            figures.iter().map(|(name, value)| format!("{name} {}", figure(value))).collect::<Vec<_>>();
        text.push_str(&format!("\n- {}", told.join("; ")));
    }
    text.push('\n');
    text
}
