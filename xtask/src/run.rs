//! Starting other programs: output into a log file, a time limit, the tail shown when one fails.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Exit status zero.
    Well,
    /// Any other exit status, or a signal.
    Badly,
    /// Killed here, because its time was up.
    TimedOut,
}

/// Runs `command` with both outputs appended to `log`, for at most `limit`.
///
/// # Errors
/// When the log can not be written or the program can not be started.
pub(crate) fn logged(command: &mut Command, log: &Path, limit: Duration) -> Result<Ended> {
    let mut file = append(log)?;
    writeln!(file, "$ {command:?}").with_context(|| log.display().to_string())?;
    let errors = file.try_clone().with_context(|| log.display().to_string())?;
    command.stdin(Stdio::null()).stdout(file).stderr(errors);
    let mut child = start(command)?;
    wait(&mut child, limit)
}

/// Runs `command` with its standard output in `stdout` (replaced) and its errors appended to `log`.
///
/// # Errors
/// As [`logged`].
pub(crate) fn captured(command: &mut Command, stdout: &Path, log: &Path, limit: Duration) -> Result<Ended> {
    let mut errors = append(log)?;
    writeln!(errors, "$ {command:?}").with_context(|| log.display().to_string())?;
    let out = File::create(stdout).with_context(|| stdout.display().to_string())?;
    command.stdin(Stdio::null()).stdout(out).stderr(errors);
    let mut child = start(command)?;
    wait(&mut child, limit)
}

/// Starts `command`, naming it when that fails.
///
/// # Errors
/// When the program is not there or can not be run.
pub(crate) fn start(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("start {}", command.get_program().display()))
}

/// The first line a program prints when asked for its version; `None` when it is not there or fails.
pub(crate) fn version(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().next().map(str::to_owned)
}

/// Waits for `child` until `limit`, then kills it.
///
/// # Errors
/// When the operating system can not tell how the child ended.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<Ended> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().context("wait for a program")? {
            return Ok(of(status));
        }
        if Instant::now() >= deadline {
            child.kill().context("kill a program whose time was up")?;
            child.wait().context("wait for a killed program")?;
            return Ok(Ended::TimedOut);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The last `lines` lines of a log, for a reader who wants the reason and not the file.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let Ok(bytes) = fs::read(log) else { return String::new() };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

fn of(status: ExitStatus) -> Ended {
    if status.success() { Ended::Well } else { Ended::Badly }
}

fn append(log: &Path) -> Result<File> {
    if let Some(dir) = log.parent() {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    OpenOptions::new().create(true).append(true).open(log).with_context(|| log.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_never_ends_is_killed_at_its_limit() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let log = dir.path().join("log");
        let ended = logged(Command::new("sleep").arg("60"), &log, Duration::from_millis(50)).expect("sleep");
        assert_eq!(ended, Ended::TimedOut);
    }

    #[test]
    fn output_is_logged_and_the_status_told() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let log = dir.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let ended = logged(&mut command, &log, Duration::from_secs(10)).expect("sh");
        assert_eq!(ended, Ended::Badly);
        assert_eq!(tail(&log, 2), "one\ntwo");
    }

    #[test]
    fn a_missing_program_has_no_version() {
        assert_eq!(version("no-such-program-here", &["--version"]), None);
    }
}
