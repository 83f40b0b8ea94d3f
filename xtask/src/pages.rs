//! The pages in a real browser: the demo is started, headless Chromium drives every page, axe-core judges.
//!
//! Chromium comes from Debian (`apt-get`), the driver from npm at the versions of the lock file. Screenshots stay below
//! `target/xtask/pages/`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::paths;
use crate::run::{self, Ended};
use crate::test::cargo::{Built, summaries};
use crate::test::ledger::Counts;

/// Where Debian puts the browser.
const CHROMIUM: &str = "/usr/bin/chromium";

/// How long the demo may take until its pages answer.
const START: Duration = Duration::from_secs(90);

/// What the driver is told to look at: addresses and an order that is late.
struct Shown {
    base: String,
    order: String,
}

/// The demo as a child process; ended when dropped.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the browser checks. What is not on this machine is a skip for a person and a failure in CI.
///
/// # Errors
/// When something that is there fails.
pub(crate) fn stage(built: &Built, log: &Path, limit: Duration) -> Result<Counts> {
    if let Some(missing) = missing(log)? {
        println!("  skipped: {missing}");
        let counts = Counts::one_failed();
        return Ok(if paths::in_ci() { counts } else { Counts { failed: 0, skipped: 1, ..counts } });
    }
    let driver = driver(log, limit)?;
    let program = built.programs.get("waybill").context("the program waybill was not built")?;
    let (demo, shown) = start(program, log)?;
    let shots = paths::target()?.join("xtask").join("pages");
    let out = log.with_extension("out");
    let mut command = Command::new("node");
    command.arg("run.mjs").arg(&shown.base).arg("--shots").arg(&shots).arg("--order").arg(&shown.order);
    command.current_dir(&driver);
    let ended = run::captured(&mut command, &out, log, limit)?;
    drop(demo);
    let text = fs::read_to_string(&out).context("what the browser checks printed")?;
    fs::OpenOptions::new().append(true).open(log).and_then(|mut log| log.write_all(text.as_bytes()))?;
    let mut counts = closing_line(&text).unwrap_or_else(Counts::one_failed);
    if ended != Ended::Well && counts.failed == 0 {
        counts.failed = 1;
    }
    Ok(counts)
}

/// The counts of a plain `N passed, N failed` line.
fn closing_line(text: &str) -> Option<Counts> {
    let line = text.lines().rev().find(|line| line.contains(" passed, "))?;
    let mut figures = line.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse::<u64>().ok());
    let counts = Counts { passed: figures.next()?, failed: figures.next()?, ..summaries("") };
    Some(counts)
}

/// What is not here and can not be had, if anything.
fn missing(log: &Path) -> Result<Option<&'static str>> {
    if run::version("node", &["--version"]).is_none() || run::version("npm", &["--version"]).is_none() {
        return Ok(Some("node or npm is not on this machine"));
    }
    if !Path::new(CHROMIUM).exists() {
        let limit = Duration::from_secs(300);
        let mut update = Command::new("apt-get");
        update.args(["update", "-q"]);
        let mut install = Command::new("apt-get");
        let packages = ["chromium", "fonts-inter", "fonts-jetbrains-mono"];
        install.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "-y", "-q"]).args(packages);
        let tried = run::logged(&mut update, log, limit).and_then(|_| run::logged(&mut install, log, limit));
        if !matches!(tried, Ok(Ended::Well)) || !Path::new(CHROMIUM).exists() {
            return Ok(Some("chromium is not on this machine and apt-get can not install it"));
        }
    }
    Ok(None)
}

/// The folder with the driver and its packages, installed once a lock file.
fn driver(log: &Path, limit: Duration) -> Result<PathBuf> {
    let sources = paths::workspace()?.join("tests").join("browser");
    let lock = fs::read(sources.join("package-lock.json")).context("tests/browser/package-lock.json")?;
    let sum = lock.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let folder = paths::cache()?.join(format!("browser-{sum:016x}"));
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(&sources)? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            fs::copy(&path, folder.join(name))?;
        }
    }
    let done = folder.join(".complete");
    if !done.exists() {
        let mut install = Command::new("npm");
        install.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder);
        if run::logged(&mut install, log, limit)? != Ended::Well {
            bail!("npm could not install the browser driver");
        }
        fs::write(&done, b"")?;
    }
    Ok(folder)
}

/// Starts the demo and waits until its pages answer.
fn start(program: &Path, log: &Path) -> Result<(Demo, Shown)> {
    let errors = fs::File::create(log.with_extension("demo.log")).context("the demo's log")?;
    let mut command = Command::new(program);
    // Nothing new arrives while the pages are looked at, so that page and API can be compared.
    command.args(["demo", "--seed", "7", "--rate", "0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
    let mut child = run::start(&mut command)?;
    let out = child.stdout.take().context("the demo's output")?;
    let demo = Demo(child);
    let (lines, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    let mut shown = None;
    while shown.is_none() {
        let line = told.recv_timeout(START).context("the demo did not say where its pages are")?;
        shown = line.split_once("/orders/").and_then(|(before, order)| {
            let base = before.rsplit_once("http://").map(|(_, host)| format!("http://{host}"))?;
            Some(Shown { base, order: order.split_whitespace().next()?.to_owned() })
        });
    }
    let shown = shown.context("the demo named no order")?;
    wait_for_the_past(&shown)?;
    Ok((demo, shown))
}

/// Waits until the service has read all that the demo has told, so that pages and API speak of the same.
fn wait_for_the_past(shown: &Shown) -> Result<()> {
    let address = shown.base.trim_start_matches("http://");
    let until = Instant::now() + START;
    let mut steady = 0;
    while steady < 3 {
        if Instant::now() > until {
            bail!("the service had not read the demo's past after {} s", START.as_secs());
        }
        std::thread::sleep(Duration::from_millis(500));
        let tracked = get(address, &format!("/v1/track/{}", shown.order)).is_some();
        let metrics = get(address, "/metrics").unwrap_or_default();
        let behind = metrics.lines().filter(|line| line.starts_with("waybill_visibility_behind_records{"));
        let behind: Vec<&str> = behind.collect();
        // What is read is worked out into lists a moment later.
        let listed = get(address, "/").is_some_and(|page| page.contains("data-open"));
        let read = tracked && listed && !behind.is_empty() && behind.iter().all(|line| line.ends_with(" 0"));
        steady = if read { steady + 1 } else { 0 };
    }
    Ok(())
}

/// The body of a page that answers 200.
fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_is_read() {
        let counts = closing_line("ok a\n12 passed, 3 failed\n").expect("a closing line");
        assert_eq!((counts.passed, counts.failed), (12, 3));
        assert!(closing_line("nothing").is_none());
    }
}
