//! The program `waybill serve` as a child process on free ports.
#![allow(clippy::disallowed_methods, reason = "real processes, in real time")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

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
    log: Receiver<String>,
    printed: String,
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
        let mut server = Self::spawn(data_dir, port, settings, more)?;
        if server.wait_for(" ready ", START)? {
            return Ok(server);
        }
        server.child.kill()?;
        server.child.wait()?;
        bail!("the broker did not start:\n{}", server.printed)
    }

    /// As [`Self::start_with`], without waiting for anything.
    ///
    /// # Errors
    /// When there is no program to start.
    pub fn spawn(
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
        let (lines, told) = std::sync::mpsc::channel::<String>();
        std::thread::spawn(move || {
            // Read to the end, so that the broker never waits for a full pipe.
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let address = |port| format!("127.0.0.1:{port}");
        let (bootstrap, http) = (address(port), address(http));
        Ok(Self { child, log: told, printed: String::new(), bootstrap, http })
    }

    /// Waits until it has printed a line with this word since the last line that was waited for; `false` when it ended or was
    /// silent about it for too long.
    ///
    /// # Errors
    /// None in practice.
    pub fn wait_for(&mut self, word: &str, patience: Duration) -> anyhow::Result<bool> {
        let until = Instant::now() + patience;
        loop {
            match self.log.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.printed.push_str(&format!("{line}\n"));
                    if line.contains(word) {
                        return Ok(true);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(false),
            }
        }
    }

    /// What it has printed so far.
    pub fn printed(&mut self) -> &str {
        while let Ok(line) = self.log.try_recv() {
            self.printed.push_str(&format!("{line}\n"));
        }
        &self.printed
    }

    /// Stops its clock, as SIGSTOP does, or lets it go on.
    ///
    /// # Errors
    /// When it can not be signalled.
    pub fn freeze(&self, frozen: bool) -> anyhow::Result<()> {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status()?;
        if !sent.success() {
            bail!("process {} can not be signalled", self.child.id());
        }
        Ok(())
    }

    /// What a path of its HTTP port answers: status and body.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let mut stream = TcpStream::connect(&self.http)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.http)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        let status = head.split_whitespace().nth(1).context("no status")?.parse()?;
        Ok((status, body.to_owned()))
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
