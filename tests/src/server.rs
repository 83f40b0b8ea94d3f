//! The program `waybill serve` as a child process on free ports.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

/// How long a start may take, on a busy machine.
const START: Duration = Duration::from_secs(30);

/// The built program: `WAYBILL_BIN`, else the one beside the running test.
///
/// # Errors
/// When it is not built.
pub fn program() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("WAYBILL_BIN") {
        return Ok(PathBuf::from(path));
    }
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("the test lies in no target folder")?;
    let path = folder.join("waybill");
    if !path.is_file() {
        bail!("{} is not built: run cargo build --profile ci --workspace first", path.display());
    }
    Ok(path)
}

/// A port that was free a moment ago, for servers that must come back on the same one.
///
/// # Errors
/// When there is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A running broker.
pub struct Server {
    child: Child,
    /// `HOST:PORT` of the Kafka listener.
    pub bootstrap: String,
    /// `HOST:PORT` of health and metrics.
    pub http: String,
}

impl Server {
    /// Starts a broker on a folder and port, with Kafka settings, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start; with what it printed.
    pub fn start(data_dir: &Path, port: u16, settings: &[&str]) -> anyhow::Result<Self> {
        Self::start_with(data_dir, port, settings, |_| {})
    }

    /// As [`Self::start`], with more flags and variables.
    ///
    /// # Errors
    /// When it does not start; with what it printed.
    pub fn start_with(
        data_dir: &Path,
        port: u16,
        settings: &[&str],
        more: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Self> {
        let http = free_port()?;
        let mut command = Command::new(program()?);
        command.arg("serve").arg("--data-dir").arg(data_dir);
        more(&mut command);
        command.arg("--listen").arg(format!("127.0.0.1:{port}"));
        command.arg("--http").arg(format!("127.0.0.1:{http}"));
        for setting in settings {
            command.arg("--override").arg(setting);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let log = child.stderr.take().context("no standard error")?;
        let (lines, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // Read to the end, so that the broker never waits for a full pipe.
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let mut printed = String::new();
        loop {
            match told.recv_timeout(START) {
                Ok(line) if line.contains(" ready ") => break,
                Ok(line) => printed.push_str(&format!("{line}\n")),
                Err(_) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    bail!("the broker did not start:\n{printed}");
                }
            }
        }
        let address = |port| format!("127.0.0.1:{port}");
        Ok(Self { child, bootstrap: address(port), http: address(http) })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without warning, as `kill -9` does.
    ///
    /// # Errors
    /// When it can not be waited for.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, as SIGTERM does, and waits until it has. Tells whether it ended well.
    ///
    /// # Errors
    /// When it can not be asked or waited for.
    pub fn stop(mut self) -> anyhow::Result<bool> {
        let asked = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        if !asked.success() {
            bail!("process {} can not be asked to stop", self.child.id());
        }
        Ok(self.child.wait()?.success())
    }

    /// Waits until it ends by itself. Tells whether it ended well; `None` when it still runs after `patience`.
    ///
    /// # Errors
    /// When it can not be asked.
    pub fn ended_within(&mut self, patience: Duration) -> anyhow::Result<Option<bool>> {
        let steps = patience.as_millis() / 20;
        for _ in 0..=steps {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status.success()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(None)
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When it can not be asked.
    pub fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Its resident memory in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
