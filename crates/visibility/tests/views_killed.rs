//! The service is killed while a view is built and while one is promoted: nothing is lost, and one view serves.
//!
//! The service runs in a process of its own: this test's program, started again with an environment variable. Its log is
//! in memory and the same at every start.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test with real processes, in real time"
)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::{View, event, instant, log_of};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use waybill_rt::{Metrics, RealClock};
use waybill_types::TimestampMs;
use waybill_visibility::ingest::memory::MemoryLog;
use waybill_visibility::{VisibilityConfig, serve_from};

const FOLDER: &str = "WAYBILL_TEST_VIEWS_FOLDER";

/// Records of the log.
const RECORDS: i64 = 3_000;

fn log() -> MemoryLog {
    let log = log_of("orders", 3, &[]);
    for number in 0..RECORDS {
        let at = instant("2026-01-01T00:00:00Z").get() + number * 60_000;
        let told = waybill_visibility::model::time::instant_text(TimestampMs(at));
        let order = format!("PO-{}", number % 300);
        let value = json!({"event_id": format!("p{number}"), "event": "promise_changed", "event_time": told,
            "source": "erp", "order": order, "promised": format!("2026-02-{:02}", number % 27 + 1)});
        let mut record = event(&order, &told, &value);
        if number % 100 == 7 {
            record.value = b"{".to_vec();
        }
        log.append("orders", &record).unwrap();
    }
    log
}

/// The service, where this program was started to be it.
#[tokio::test]
async fn the_service_as_a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut config = VisibilityConfig::new("", Path::new(&folder).join("view.db"));
    config.http = ([127, 0, 0, 1], 0).into();
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
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_service_as_a_process_of_its_own", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| line.split_once("port ")?.1.parse().ok());
        Self { child, port: port.expect("the service did not start") }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let answer =
            if method == "GET" { agent.get(&url).call() } else { agent.post(&url).send(body.as_bytes()) };
        let mut answer = answer.ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).ok()?))
    }

    fn views(&self) -> Value {
        self.ask("GET", "/v1/views", "").unwrap().1
    }

    /// SIGKILL: the process has no say in it.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Spreads moments of death without a random source: the same at every run, different each time.
fn moment(round: u64, upto: u64) -> Duration {
    Duration::from_micros(round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (upto * 1_000))
}

fn building(views: &Value) -> Option<u64> {
    let views = views["views"].as_array().unwrap();
    views.iter().find(|view| view["state"] == "building").and_then(|view| view["number"].as_u64())
}

#[test]
fn killed_while_it_rebuilds_and_while_it_promotes_it_ends_in_one_view_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let expected = View::whole(&log()).hashes();
    let (mut while_building, mut while_promoting, mut promoted) = (0, 0, 0);
    for round in 0..16_u64 {
        let process = Process::start(folder.path());
        let views = process.views();
        let serving = views["views"].as_array().unwrap().iter().filter(|view| view["state"] == "serving");
        assert_eq!(serving.count(), 1, "{views}");
        if building(&views).is_none() {
            let from = if round % 2 == 0 { "start" } else { "500" };
            let body = json!({"from": from, "rate": 20_000}).to_string();
            let (status, view) = process.ask("POST", "/v1/rebuild", &body).unwrap();
            assert_eq!(status, 200, "{view}");
        }
        let number = building(&process.views()).unwrap();
        if round % 4 < 2 {
            std::thread::sleep(moment(round, 120));
            while_building += 1;
            process.kill();
            continue;
        }
        let caught_up = (0..1_000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            process.ask("GET", &format!("/v1/views/{number}"), "").unwrap().1["stage"] == "caught_up"
        });
        assert!(caught_up, "{}", process.views());
        std::thread::scope(|scope| {
            let promote = scope.spawn(|| process.ask("POST", &format!("/v1/views/{number}/promote"), ""));
            std::thread::sleep(moment(round, 400));
            // The child is killed through its id, while the other thread waits for the answer.
            let id = process.child.id().to_string();
            Command::new("kill").args(["-9", &id]).status().unwrap();
            promoted += usize::from(promote.join().unwrap().is_some_and(|(status, _)| status == 200));
        });
        while_promoting += 1;
    }
    let process = Process::start(folder.path());
    let serving = process.views()["serving"].as_u64().unwrap();
    for _ in 0..1_000 {
        let state = process.ask("GET", "/v1/state", "").unwrap().1;
        if state["log_hash"] == json!(expected.log_hash) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let state = process.ask("GET", "/v1/state", "").unwrap().1;
    assert_eq!(state["log_hash"], json!(expected.log_hash), "view {serving}");
    assert_eq!(state["content_hash"], json!(expected.content_hash));
    let counts = state["counts"].as_array().unwrap();
    assert!(counts.iter().all(|counts| counts["conserved"] == true), "{counts:?}");
    let taken: i64 = counts.iter().map(|counts| counts["taken"].as_i64().unwrap()).sum();
    assert_eq!(taken, RECORDS);
    process.kill();
    println!(
        "killed {while_building} times while building, {while_promoting} while promoting ({promoted} answered); view {serving} serves"
    );
}
