//! Kinds of storage, and brokers started on them with a machine that is gone again.

use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use waybill_tests::{LocalS3, Seaweed, Server, free_port};

/// Who may do what in a bucket.
const SECRET: &str = "waybill-secret";

const SETTINGS: [&str; 1] = ["group.initial.rebalance.delay.ms=0"];

/// Where everything durable is.
pub(crate) enum Place {
    /// A storage root.
    Root(TempDir),
    /// A storage root, and a folder for the log's objects.
    RootAndLog(TempDir, TempDir),
    /// A bucket of a server in this process.
    Double(LocalS3),
    /// A bucket of a real server.
    Seaweed(Seaweed),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root(_) => "file://",
            Self::RootAndLog(..) => "file:// and its log",
            Self::Double(_) => "s3:// in the test",
            Self::Seaweed(_) => "s3:// on SeaweedFS",
        })
    }
}

impl Place {
    pub(crate) fn root() -> Self {
        Self::Root(tempfile::tempdir().unwrap())
    }

    pub(crate) fn root_and_log() -> Self {
        Self::RootAndLog(tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap())
    }

    pub(crate) fn double() -> Self {
        Self::Double(LocalS3::start("waybill").unwrap())
    }

    /// `None` where it is not installed. Its port listens before it can write, so a broker is started on it once.
    pub(crate) fn seaweed() -> Option<Self> {
        let place = Self::Seaweed(Seaweed::start().unwrap()?);
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            match place.run("s3://waybill/first", free_port().unwrap(), SECRET, &[]) {
                Ok(_) => return Some(place),
                Err(error) if Instant::now() > until => panic!("{error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(300)),
            }
        }
    }

    pub(crate) fn s3(&self) -> &LocalS3 {
        let Self::Double(s3) = self else { panic!("no server of this process") };
        s3
    }

    fn url(&self) -> String {
        match self {
            Self::Root(folder) | Self::RootAndLog(folder, _) => format!("file://{}", folder.path().display()),
            Self::Double(_) | Self::Seaweed(_) => "s3://waybill/one".to_owned(),
        }
    }

    /// Starts a broker, with an empty folder as its machine. The folder is gone when this returns: nothing may depend on it.
    pub(crate) fn start(&self, port: u16, flags: &[&str]) -> anyhow::Result<Server> {
        self.run(&self.url(), port, SECRET, flags)
    }

    pub(crate) fn start_on(&self, storage: &str) -> anyhow::Result<Server> {
        self.run(storage, free_port()?, SECRET, &[])
    }

    pub(crate) fn start_with_wrong_credentials(&self) -> anyhow::Result<Server> {
        self.run(&self.url(), free_port()?, "wrong", &[])
    }

    /// SeaweedFS refuses to read in a bucket that is not there as one refuses who may not list, and makes it when
    /// something is written.
    pub(crate) fn word_for_a_missing_bucket(&self) -> &'static str {
        if matches!(self, Self::Seaweed(_)) { "s3:ListBucket" } else { "bucket" }
    }

    /// Without the folder for the log's objects.
    pub(crate) fn start_without_log(&self) -> anyhow::Result<Server> {
        let Self::RootAndLog(folder, _) = self else { panic!("its log is not elsewhere") };
        Server::start_with(folder.path(), free_port()?, &[], |command| {
            command.args(["--storage", &self.url()]);
        })
    }

    /// As [`Self::start`], without waiting for anything.
    pub(crate) fn spawn(&self, port: u16, flags: &[&str]) -> anyhow::Result<Server> {
        let machine = tempfile::tempdir()?;
        Server::spawn(machine.path(), port, &SETTINGS, self.command(&self.url(), SECRET, flags))
    }

    fn run(&self, storage: &str, port: u16, secret: &str, flags: &[&str]) -> anyhow::Result<Server> {
        let machine = tempfile::tempdir()?;
        let server =
            Server::start_with(machine.path(), port, &SETTINGS, self.command(storage, secret, flags))?;
        assert_eq!(std::fs::read_dir(machine.path())?.count(), 0, "nothing is kept on the machine");
        Ok(server)
    }

    fn command(&self, storage: &str, secret: &str, flags: &[&str]) -> impl FnOnce(&mut Command) {
        move |command| {
            command.args(["--storage", storage]).args(flags);
            match self {
                Self::Root(_) => command,
                Self::RootAndLog(_, log) => {
                    command.arg("--wal-storage").arg(format!("file://{}", log.path().display()))
                }
                // This server knows only who signs.
                Self::Double(s3) if secret == SECRET => command.envs(s3.variables("waybill")),
                Self::Double(s3) => command.envs(s3.variables("somebody")),
                Self::Seaweed(seaweed) => command.envs(seaweed.variables(secret)),
            };
        }
    }
}
