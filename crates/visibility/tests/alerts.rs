//! Alerts under kill -9: none is lost, each is delivered at least once, under one id. And the stream goes on where a
//! client stopped.
//!
//! The service runs in a process of its own: this test's program, started again with an environment variable.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test with real processes, in real time"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{event, log_of};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use waybill_rt::{Metrics, RealClock};
use waybill_visibility::alerts::{Webhook, hook};
use waybill_visibility::ingest::memory::MemoryLog;
use waybill_visibility::{VisibilityConfig, serve_from};

const FOLDER: &str = "WAYBILL_TEST_ALERTS_FOLDER";
const HOOK: &str = "WAYBILL_TEST_ALERTS_HOOK";
const SECRET: &str = "an agreed secret";

/// Orders whose promise has passed.
const OVERDUE: usize = 350;

fn log() -> MemoryLog {
    let log = log_of("orders", 2, &[]);
    for number in 0..OVERDUE + 50 {
        let told = "2020-01-01T00:00:00Z";
        let mut value = json!({"event_id": format!("p{number}"), "event": "promise_changed", "event_time": told,
            "source": "erp", "order": format!("PO-{number}"), "promised": "2020-02-01"});
        if number >= OVERDUE {
            // Others need no decision.
            value["event"] = json!("order_cancelled");
        }
        log.append("orders", &event(&format!("PO-{number}"), told, &value)).unwrap();
    }
    log
}

/// The service, where this program was started to be it.
#[tokio::test]
async fn the_service_as_a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut config = VisibilityConfig::new("", Path::new(&folder).join("view.db"));
    config.http = ([127, 0, 0, 1], 0).into();
    config.webhooks = vec![Webhook { url: std::env::var(HOOK).unwrap(), secret: SECRET.to_owned() }];
    let stop = CancellationToken::new();
    let running = serve_from(config, Arc::new(log()), RealClock::shared(), Metrics::default(), stop);
    let running = running.await.unwrap();
    println!("port {}", running.addr.port());
    running.ended().await.unwrap();
}

struct Process {
    child: Child,
    port: u16,
}

impl Process {
    fn start(folder: &Path, hook: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_service_as_a_process_of_its_own", "--nocapture"])
            .env(FOLDER, folder)
            .env(HOOK, hook)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| line.split_once("port ")?.1.parse().ok());
        Self { child, port: port.expect("the service did not start") }
    }

    /// Reads the stream until `count` events came; returns (number, id) of each.
    fn stream(&self, after: Option<i64>, count: usize) -> Vec<(i64, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let last = after.map(|after| format!("Last-Event-ID: {after}\r\n")).unwrap_or_default();
        write!(stream, "GET /v1/alerts/stream HTTP/1.1\r\nHost: localhost\r\n{last}\r\n").unwrap();
        let mut found = Vec::new();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(data) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).unwrap();
                found.push((event["seq"].as_i64().unwrap(), event["id"].as_str().unwrap().to_owned()));
            }
            if found.len() >= count {
                break;
            }
        }
        found
    }
}

impl Drop for Process {
    /// SIGKILL: the process has no say in it.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Received = Arc<Mutex<Vec<(i64, String, String)>>>;

/// A receiver that refuses every third request, after it has read it, and checks signatures.
fn receiver() -> (String, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/alerts", listener.local_addr().unwrap());
    let received: Received = Arc::default();
    let into = Arc::clone(&received);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let _ = take(stream, number % 3 == 1, &into);
        }
    });
    (url, received)
}

fn take(mut stream: TcpStream, refuse: bool, into: &Received) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.trim().split_once(": ") {
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
    }
    let length: usize = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let signature = headers.get("waybill-signature").cloned().unwrap_or_default();
    let seconds: i64 = signature.trim_start_matches("t=").split(',').next().unwrap().parse().unwrap_or(0);
    let genuine = signature == hook::signature(SECRET, seconds, &body);
    if genuine && !refuse {
        let body: Value = serde_json::from_slice(&body).unwrap();
        for event in body["events"].as_array().unwrap() {
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            into.lock().unwrap().push((event["seq"].as_i64().unwrap(), text("id"), text("subject")));
        }
    }
    let status = if genuine && !refuse { "204 No Content" } else { "503 Service Unavailable" };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

#[test]
fn killed_while_it_tells_it_loses_none_and_keeps_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let (url, received) = receiver();
    for round in 0..8_u64 {
        let process = Process::start(folder.path(), &url);
        std::thread::sleep(Duration::from_millis(300 + round * 130));
        drop(process);
    }
    let process = Process::start(folder.path(), &url);
    let told = || -> BTreeSet<String> {
        received.lock().unwrap().iter().map(|(_, _, subject)| subject.clone()).collect()
    };
    for _ in 0..400 {
        if told().len() >= OVERDUE {
            break;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    let expected: BTreeSet<String> = (0..OVERDUE).map(|number| format!("PO-{number}")).collect();
    assert_eq!(told(), expected, "whose promise has passed, and no other");
    let mut ids: BTreeMap<String, BTreeSet<(i64, String)>> = BTreeMap::new();
    for (seq, id, subject) in received.lock().unwrap().iter() {
        ids.entry(subject.clone()).or_default().insert((*seq, id.clone()));
    }
    assert!(ids.values().all(|of_one| of_one.len() == 1), "one number and one id each, however often told");
    // The stream holds the same, from the beginning and from where a client stopped.
    let all = process.stream(None, OVERDUE);
    let numbers: BTreeSet<(i64, String)> = ids.into_values().flatten().collect();
    assert_eq!(all.iter().cloned().collect::<BTreeSet<_>>(), numbers);
    let half = all[OVERDUE / 2].0;
    assert_eq!(process.stream(Some(half), OVERDUE / 2 - 1), all[OVERDUE / 2 + 1..]);
    let told = received.lock().unwrap().len();
    println!("{OVERDUE} alerts, told {told} times over 9 lives");
}
