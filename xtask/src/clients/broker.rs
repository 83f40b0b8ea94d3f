//! The broker under test: Waybill, or the Apache Kafka that every scenario is proven against first.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tempfile::TempDir;

use super::installs::Installed;
use crate::run;
use crate::test::cargo::Built;

/// How long a broker may take until it accepts connections.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The first member of a group need not wait three seconds for a second one here.
pub(crate) const QUICK_JOIN: &str = "group.initial.rebalance.delay.ms=0";

/// The flags of Kafka's start script.
const STOCK: [&str; 8] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];

/// What the clients talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// Apache Kafka, one node.
    Kafka,
    /// This project's broker.
    Waybill,
}

/// Which broker is started, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    /// Which one.
    pub(crate) target: Target,
    /// Kafka broker settings, as KEY=VALUE.
    pub(crate) settings: &'static [&'static str],
    /// Java's flags as Kafka's own start script has them; else less memory.
    pub(crate) stock: bool,
}

impl Spec {
    /// For tests: groups form at once.
    pub(crate) fn quick(target: Target) -> Self {
        Self { target, settings: &[QUICK_JOIN], stock: false }
    }
}

/// A broker on this machine; killed when dropped.
pub(crate) struct Broker {
    /// Which broker this is.
    pub(crate) target: Target,
    /// Its Kafka port.
    pub(crate) address: SocketAddr,
    /// From the start of its process to its first answer.
    pub(crate) ready: Duration,
    command: Vec<String>,
    environment: Vec<(String, String)>,
    /// Where Waybill's metrics are; Kafka has none there.
    http: SocketAddr,
    dir: TempDir,
    log: PathBuf,
    child: Option<Child>,
}

impl Broker {
    /// Starts a broker on free ports with fresh data and waits until it accepts connections.
    ///
    /// # Errors
    /// When it is not built or installed, ends at once, or does not answer in time.
    pub(crate) fn start(spec: Spec, built: &Built, installed: &Installed, log: &Path) -> Result<Self> {
        let dir = tempfile::tempdir().context("a folder for the broker's data")?;
        let (address, http) = (free_port()?, free_port()?);
        let command = match spec.target {
            Target::Waybill => {
                let data = dir.path().join("data").display().to_string();
                waybill(built, address, http, &["--data-dir", &data], spec.settings)?
            }
            Target::Kafka => kafka(spec, installed, dir.path(), address, log)?,
        };
        let mut broker = Self::stopped(spec.target, address, http, command, dir, log);
        broker.up()?;
        Ok(broker)
    }

    /// Starts Waybill on the bucket `waybill` of the store that these variables name, with flags.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub(crate) fn start_on_bucket(
        built: &Built,
        variables: &[(String, String)],
        flags: &[&str],
        log: &Path,
    ) -> Result<Self> {
        let (address, http) = (free_port()?, free_port()?);
        let flags = [&["--storage", "s3://waybill/bench"], flags].concat();
        let command = waybill(built, address, http, &flags, &[])?;
        let dir = tempfile::tempdir().context("a folder for the broker")?;
        let mut broker = Self::stopped(Target::Waybill, address, http, command, dir, log);
        broker.environment = variables.to_vec();
        broker.up()?;
        Ok(broker)
    }

    fn stopped(
        target: Target,
        address: SocketAddr,
        http: SocketAddr,
        command: Vec<String>,
        dir: TempDir,
        log: &Path,
    ) -> Self {
        let (ready, environment, log) = (Duration::ZERO, Vec::new(), log.with_extension("broker.log"));
        Self { target, address, ready, command, environment, http, dir, log, child: None }
    }

    /// What Waybill counts, as its HTTP port tells it.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn metrics(&self) -> Result<String> {
        let mut stream = TcpStream::connect(self.http).context("the broker's HTTP port")?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).context("the broker's HTTP port")?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").context("the broker's HTTP port")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("the broker's metrics")?;
        Ok(answer)
    }

    /// Starts the process again on the same data and the same port.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub(crate) fn up(&mut self) -> Result<()> {
        let (program, args) = self.command.split_first().context("a command")?;
        let out =
            fs::OpenOptions::new().create(true).append(true).open(&self.log).context("the broker's log")?;
        let errors = out.try_clone().context("the broker's log")?;
        let mut command = Command::new(program);
        command
            .args(args)
            .envs(self.environment.clone())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors);
        let began = Instant::now();
        let child = self.child.insert(run::start(&mut command)?);
        let deadline = began + START_LIMIT;
        while !answers(self.address) {
            if let Some(status) = child.try_wait().context("the broker")? {
                bail!("the broker ended at once ({status}):\n{}", run::tail(&self.log, 20));
            }
            if Instant::now() > deadline {
                bail!("the broker does not answer on {}:\n{}", self.address, run::tail(&self.log, 20));
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.ready = began.elapsed();
        Ok(())
    }

    /// The process, for its account.
    ///
    /// # Errors
    /// When it is not running.
    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("the broker is not running")?.id())
    }

    /// Kills the process as a power cut would: it is told nothing.
    ///
    /// # Errors
    /// When the operating system can not.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().context("kill the broker")?;
            child.wait().context("wait for the killed broker")?;
        }
        Ok(())
    }

    /// What topics of this broker can be created with: one node of Apache Kafka refuses more than one replica.
    pub(crate) fn replication(&self) -> &'static str {
        match self.target {
            Target::Kafka => "1",
            Target::Waybill => "3",
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Nothing is left to tell a caller here; a process that is gone already is what is wanted.
        let _ = self.kill();
    }
}

/// Whether a broker answers ApiVersions there: a length, the key 18, version 0, a correlation id, no client id.
fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff])?;
        stream.read_exact(&mut [0; 10])
    };
    ask().is_ok()
}

/// A port that was free a moment ago.
fn free_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("a free port")?;
    listener.local_addr().context("the free port")
}

fn waybill(
    built: &Built,
    address: SocketAddr,
    http: SocketAddr,
    flags: &[&str],
    settings: &[&str],
) -> Result<Vec<String>> {
    let program = built.programs.get("waybill").context("the program waybill is not built")?;
    let (listen, http) = (address.to_string(), http.to_string());
    let args = ["serve", "--listen", &listen, "--http", &http];
    let overrides = settings.iter().flat_map(|setting| ["--override".to_owned(), (*setting).to_owned()]);
    let words = args.iter().chain(flags).map(|word| (*word).to_owned());
    Ok([program.display().to_string()].into_iter().chain(words).chain(overrides).collect())
}

fn kafka(
    spec: Spec,
    installed: &Installed,
    dir: &Path,
    address: SocketAddr,
    log: &Path,
) -> Result<Vec<String>> {
    let jars = installed.java.as_ref().and_then(|java| java.broker.as_ref());
    let jars = jars.context("Apache Kafka's broker is not installed")?;
    let controller = free_port()?;
    let properties = dir.join("server.properties");
    let text = format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@{controller}\n\
         listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
         advertised.listeners=PLAINTEXT://{address}\n\
         inter.broker.listener.name=PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         {}\n",
        dir.join("data").display(),
        spec.settings.join("\n")
    );
    fs::write(&properties, text).context("the broker's properties")?;
    fs::write(dir.join("log4j2.properties"), super::programs::LOG4J).context("the broker's log settings")?;
    let java = |class: &str| {
        let log4j = format!("-Dlog4j2.configurationFile={}", dir.join("log4j2.properties").display());
        let classpath = format!("{}/*", jars.display());
        let mut words = vec!["java"];
        words.extend_from_slice(if spec.stock { &STOCK } else { &["-Xmx1G", "-XX:+UseG1GC"] });
        words.extend([log4j.as_str(), "-cp", &classpath, class]);
        words.into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let mut format = Command::new("java");
    format.args(java("kafka.tools.StorageTool").into_iter().skip(1));
    format.args(["format", "-t", "AAAAAAAAQACAAAAAAAAAAQ", "-c"]).arg(&properties);
    run::logged(&mut format, log, START_LIMIT)?;
    let mut command = java("kafka.Kafka");
    command.push(properties.display().to_string());
    Ok(command)
}
