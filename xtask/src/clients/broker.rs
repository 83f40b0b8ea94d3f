//! The broker under test: Waybill, or the Apache Kafka that every scenario is proven against first.

use std::fs;
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
const QUICK_JOIN: &str = "group.initial.rebalance.delay.ms=0";

/// What the clients talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// Apache Kafka, one node.
    Kafka,
    /// This project's broker.
    Waybill,
}

/// A broker on this machine; killed when dropped.
pub(crate) struct Broker {
    /// Which broker this is.
    pub(crate) target: Target,
    /// Its Kafka port.
    pub(crate) address: SocketAddr,
    command: Vec<String>,
    dir: TempDir,
    log: PathBuf,
    child: Option<Child>,
}

impl Broker {
    /// Starts a broker on free ports with fresh data and waits until it accepts connections.
    ///
    /// # Errors
    /// When it is not built or installed, ends at once, or does not answer in time.
    pub(crate) fn start(target: Target, built: &Built, installed: &Installed, log: &Path) -> Result<Self> {
        let dir = tempfile::tempdir().context("a folder for the broker's data")?;
        let address = free_port()?;
        let command = match target {
            Target::Waybill => waybill(built, dir.path(), address)?,
            Target::Kafka => kafka(installed, dir.path(), address, log)?,
        };
        let log = log.with_extension("broker.log");
        let mut broker = Self { target, address, command, dir, log, child: None };
        broker.up()?;
        Ok(broker)
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
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null()).stdout(out).stderr(errors);
        let child = self.child.insert(run::start(&mut command)?);
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = child.try_wait().context("the broker")? {
                bail!("the broker ended at once ({status}):\n{}", run::tail(&self.log, 20));
            }
            if Instant::now() > deadline {
                bail!("the broker does not listen on {}:\n{}", self.address, run::tail(&self.log, 20));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
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

/// A port that was free a moment ago.
fn free_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("a free port")?;
    listener.local_addr().context("the free port")
}

fn waybill(built: &Built, dir: &Path, address: SocketAddr) -> Result<Vec<String>> {
    let program = built.programs.get("waybill").context("the program waybill is not built")?;
    let data = dir.join("data").display().to_string();
    let (listen, http) = (address.to_string(), free_port()?.to_string());
    let args = ["serve", "--data-dir", &data, "--listen", &listen, "--http", &http, "--override", QUICK_JOIN];
    Ok([program.display().to_string()].into_iter().chain(args.map(str::to_owned)).collect())
}

fn kafka(installed: &Installed, dir: &Path, address: SocketAddr, log: &Path) -> Result<Vec<String>> {
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
         {QUICK_JOIN}\n",
        dir.join("data").display()
    );
    fs::write(&properties, text).context("the broker's properties")?;
    fs::write(dir.join("log4j2.properties"), super::programs::LOG4J).context("the broker's log settings")?;
    let java = |class: &str| {
        let log4j = format!("-Dlog4j2.configurationFile={}", dir.join("log4j2.properties").display());
        let classpath = format!("{}/*", jars.display());
        ["java", "-Xmx1G", "-XX:+UseG1GC", &log4j, "-cp", &classpath, class].map(str::to_owned).to_vec()
    };
    let mut format = Command::new("java");
    format.args(java("kafka.tools.StorageTool").into_iter().skip(1));
    format.args(["format", "-t", "AAAAAAAAQACAAAAAAAAAAQ", "-c"]).arg(&properties);
    run::logged(&mut format, log, START_LIMIT)?;
    let mut command = java("kafka.Kafka");
    command.push(properties.display().to_string());
    Ok(command)
}
