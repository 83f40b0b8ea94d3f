//! Running the clients of a benchmark, and the account of what their broker used meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::measure;
use crate::run::{self, Ended};
use crate::test::cargo::Built;

/// What a client may take.
const LIMIT: Duration = Duration::from_secs(900);

/// Figures by name.
pub(super) type Figures = BTreeMap<String, f64>;

/// The benchmark's own client, to be told what to do.
///
/// # Errors
/// When it is not built.
pub(super) fn command(built: &Built) -> Result<Command> {
    Ok(Command::new(built.programs.get("bench-driver").context("the driver is not built")?))
}

/// Has the benchmark's own client do one thing; gives the figures that it tells.
///
/// # Errors
/// When it fails, takes too long, or tells something else.
pub(super) fn run(
    built: &Built,
    log: &Path,
    broker: SocketAddr,
    verb: &str,
    settings: &[&str],
) -> Result<Figures> {
    let mut command = command(built)?;
    let told = told(command.arg(verb).arg(format!("bootstrap={broker}")).args(settings), log)?;
    let value: Value =
        serde_json::from_str(told.trim()).with_context(|| format!("the driver told {told}"))?;
    let fields = value.as_object().context("the driver tells an object")?;
    Ok(fields.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect())
}

/// Runs a client; gives what it printed.
///
/// # Errors
/// When it fails or takes too long.
pub(super) fn told(command: &mut Command, log: &Path) -> Result<String> {
    let output = log.with_extension("out");
    match run::captured(command, &output, log, LIMIT)? {
        Ended::Well => fs::read_to_string(&output).context("what a client printed"),
        Ended::Badly => bail!("a client failed:\n{}", run::tail(log, 10)),
        Ended::TimedOut => bail!("a client took too long"),
    }
}

/// The account of a broker and of the machine, from its begin to its end.
pub(super) struct Account {
    pid: u32,
    cpu: f64,
    busy: f64,
    began: Instant,
}

impl Account {
    /// # Errors
    /// When the broker is gone.
    pub(super) fn begin(pid: u32) -> Result<Self> {
        let (cpu, busy) = (measure::cpu_seconds(pid)?, measure::busy_seconds()?);
        Ok(Self { pid, cpu, busy, began: Instant::now() })
    }

    /// Adds to a client's figures: the broker's CPU time, also per GiB where the client tells how much there was, how long it took,
    /// and the cores that everything but broker and client used.
    ///
    /// # Errors
    /// When the broker is gone.
    pub(super) fn end(self, figures: &mut Figures) -> Result<()> {
        let wall = self.began.elapsed().as_secs_f64();
        let own = measure::cpu_seconds(self.pid)? - self.cpu;
        let client = figures.get("client_cpu_seconds").copied().unwrap_or_default();
        figures.insert("broker_cpu_seconds".to_owned(), own);
        figures.insert("wall_seconds".to_owned(), wall);
        let others = (measure::busy_seconds()? - self.busy - own - client) / wall;
        figures.insert("other_cores".to_owned(), others);
        if let Some(mib) = figures.get("mib").copied() {
            figures.insert("broker_cpu_per_gib".to_owned(), own / (mib / 1024.0));
        }
        Ok(())
    }
}
