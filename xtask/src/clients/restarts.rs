//! Ten restarts, each a new leader epoch, under one Java consumer that may not reset.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::installs::Java;
use super::matrix::Line;
use super::{Broker, programs};
use crate::run;

/// The scenario's name in the table.
pub(crate) const SCENARIO: &str = "ten-restarts";

const RESTARTS: usize = 10;

/// How long the program may talk to the broker between two kills.
const BETWEEN: Duration = Duration::from_millis(1500);

/// How long the program may take to read what is left.
const REST: Duration = Duration::from_secs(60);

/// Kills and starts the broker ten times under `RestartConsumer` and gives what it says.
///
/// # Errors
/// When a process can not be started or its output not be read.
pub(crate) fn run(broker: &mut Broker, java: &Java, log: &Path, _limit: Duration) -> Result<Line> {
    let output = log.with_extension("java-restarts.json");
    let errors = log.with_extension("java-restarts.log");
    let mut command = programs::java("RestartConsumer", &java.classes.join("client"), &java.client);
    command.args(["--bootstrap", &broker.address.to_string(), "--topic", "java"]);
    command.args(["--replication", broker.replication()]);
    command.stdin(Stdio::piped());
    command.stdout(fs::File::create(&output).with_context(|| output.display().to_string())?);
    command.stderr(fs::File::create(&errors).with_context(|| errors.display().to_string())?);
    let mut child = run::start(&mut command)?;
    // The consumer must have its position before the first kill.
    thread::sleep(BETWEEN * 3);
    for _ in 0..RESTARTS {
        broker.kill()?;
        broker.up()?;
        thread::sleep(BETWEEN);
    }
    // A program that has ended already says so in its line.
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(b"stop\n");
    }
    let ended = run::wait(&mut child, REST)?;
    let text = fs::read_to_string(&output).with_context(|| output.display().to_string())?;
    let line = text.lines().find_map(|line| serde_json::from_str::<Line>(line).ok());
    Ok(line.unwrap_or_else(|| Line {
        client: "kafka-clients (Java)".to_owned(),
        version: String::new(),
        scenario: SCENARIO.to_owned(),
        ok: Some(false),
        detail: format!("the program told nothing ({ended:?}): {}", run::tail(&errors, 5)),
        seconds: 0.0,
    }))
}
