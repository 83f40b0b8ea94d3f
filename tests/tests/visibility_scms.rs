//! Real deliveries end to end: files through `waybill load` and the Kafka protocol to answers over HTTP, held against
//! a computation of its own from the same file; loaded twice, and rebuilt from the first record.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests of real processes, in real time"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;
use waybill_tests::{Server, free_port, program};

const TOPIC: &str = "scms.deliveries";

fn data() -> Option<PathBuf> {
    let root = std::env::var_os("WAYBILL_TEST_DATA").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let file = root.join("scms/SCMS_Delivery_History_Dataset.csv");
    file.is_file().then_some(file)
}

/// A day as a number, from the file's `2-Jun-06` or `6/2/06`.
fn day(text: &str) -> Option<i64> {
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (day, month, year): (i64, i64, i64) = if text.contains('-') {
        let parts: Vec<&str> = text.split('-').collect();
        let [day, month, year] = parts[..] else { return None };
        (day.parse().ok()?, months.iter().position(|name| *name == month)? as i64 + 1, year.parse().ok()?)
    } else {
        let parts: Vec<&str> = text.split('/').collect();
        let [month, day, year] = parts[..] else { return None };
        (day.parse().ok()?, month.parse().ok()?, year.parse().ok()?)
    };
    Some(civil(2000 + year, month, day))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar.
fn civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `YYYY-MM-DD` of a day's number.
fn iso(day: i64) -> String {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{:02}", of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// One line of an order: promised, delivered, recorded, as days.
type Line = (i64, i64, i64);

fn orders(file: &Path) -> BTreeMap<String, Vec<Line>> {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let names = reader.headers().unwrap().clone();
    let at =
        |name: &str| names.iter().position(|known| known.trim_start_matches('\u{feff}') == name).unwrap();
    let (order, promised) = (at("PO / SO #"), at("Scheduled Delivery Date"));
    let (delivered, recorded) = (at("Delivered to Client Date"), at("Delivery Recorded Date"));
    let mut orders: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for row in reader.records() {
        let row = row.unwrap();
        let line =
            (day(&row[promised]).unwrap(), day(&row[delivered]).unwrap(), day(&row[recorded]).unwrap());
        orders.entry(row[order].to_owned()).or_default().push(line);
    }
    orders
}

struct Visibility {
    child: Child,
    url: String,
    /// Keeps its connection: thousands of questions are asked.
    agent: ureq::Agent,
}

impl Visibility {
    fn start(bootstrap: &str, store: &Path) -> Self {
        let port = free_port().unwrap();
        let mut command = Command::new(program().unwrap());
        command.args(["visibility", "--bootstrap", bootstrap, "--store"]).arg(store);
        command.arg("--topic").arg(format!("{TOPIC}=scms@1"));
        command.arg("--http").arg(format!("127.0.0.1:{port}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self {
            child: command.spawn().unwrap(),
            url: format!("http://127.0.0.1:{port}"),
            agent: ureq::agent(),
        }
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut response = self.agent.get(format!("{}{path}", self.url)).call().ok()?;
        serde_json::from_str(&response.body_mut().read_to_string().ok()?).ok()
    }

    /// The two hashes of all that was read.
    fn hashes(&self) -> (Value, Value) {
        let state = self.get("/v1/state").unwrap();
        (state["content_hash"].clone(), state["log_hash"].clone())
    }

    /// Waits until so many records are projected.
    fn wait_for(&self, records: u64) {
        let patience = Instant::now() + Duration::from_secs(120);
        loop {
            assert!(Instant::now() < patience, "the service did not read {records} records in two minutes");
            let metrics = self.agent.get(format!("{}/metrics", self.url)).call().ok();
            let text = metrics.and_then(|mut response| response.body_mut().read_to_string().ok());
            let projected = |line: &&str| {
                line.starts_with("waybill_visibility_records{") && line.contains("outcome=\"projected\"")
            };
            let text = text.unwrap_or_default();
            let counts = text.lines().filter(projected);
            let sum: u64 = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
            if sum >= records {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Visibility {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn load(bootstrap: &str, file: &Path) {
    let status = Command::new(program().unwrap())
        .args(["load", "--format", "scms", "--bootstrap", bootstrap, "--topic", TOPIC, "--output", "json"])
        .arg(file)
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "not every record was acked");
}

/// What must not change when the same is loaded again.
fn essence(mut answer: Value) -> Value {
    let object = answer.as_object_mut().unwrap();
    for name in ["frontier", "lag_ms", "stale", "sources", "history", "as_of", "evidence"] {
        object.remove(name);
    }
    answer
}

#[test]
fn every_order_is_answered_right_and_loading_twice_changes_nothing() {
    let Some(file) = data() else {
        println!("skipped: the SCMS data is not here");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let settings = ["log.retention.check.interval.ms=1000"];
    let server = Server::start(&folder.path().join("data"), free_port().unwrap(), &settings).unwrap();
    load(&server.bootstrap, &file);
    let loaded = Instant::now();
    let visibility = Visibility::start(&server.bootstrap, &folder.path().join("view.sqlite"));
    let orders = orders(&file);
    let lines: usize = orders.values().map(Vec::len).sum();
    assert_eq!((orders.len(), lines), (6233, 10_324));
    visibility.wait_for(2 * lines as u64);

    let mut answers = BTreeMap::new();
    for (id, lines) in &orders {
        let answer = visibility.get(&format!("/v1/track/{id}")).unwrap();
        let promised = lines.iter().map(|line| line.0).max().unwrap();
        let delivered = lines.iter().map(|line| line.1).max().unwrap();
        let late = lines.iter().map(|line| line.1 - line.0).max().unwrap();
        assert_eq!(answer["promised"], iso(promised), "{id}");
        assert_eq!(answer["delivered"], iso(delivered), "{id}");
        assert_eq!(answer["days_late"], late, "{id}");
        assert_eq!(answer["state"], "delivered", "{id}");
        answers.insert(id, essence(answer));
    }

    // The day before a delivery was recorded, nobody knew of it.
    let mut asked = 0;
    for (id, lines) in
        orders.iter().filter(|(_, lines)| lines.iter().any(|line| line.2 > line.1 + 1)).take(200)
    {
        let last = lines.iter().map(|line| line.2).max().unwrap();
        let before = visibility.get(&format!("/v1/track/{id}?as_of={}", iso(last - 1)));
        if let Some(before) = before {
            assert_eq!(before["delivered"], Value::Null, "{id} as of {}", iso(last - 1));
            assert_ne!(before["state"], "delivered", "{id}");
            asked += 1;
        }
    }
    assert!(asked > 100, "only {asked} orders could be asked as of before");

    // Timestamps of 2006 to 2015 survive the retention checks that have run by now.
    std::thread::sleep(Duration::from_millis(2500).saturating_sub(loaded.elapsed()));
    assert_eq!(kept(&server.bootstrap), 2 * lines as i64);

    // A rebuild from offset 0 is equal to the bit.
    let hashes = visibility.hashes();
    let rebuilt = |records: u64, name: &str| {
        let again = Visibility::start(&server.bootstrap, &folder.path().join(name));
        again.wait_for(records);
        again.hashes()
    };
    assert_eq!(rebuilt(2 * lines as u64, "again.sqlite"), hashes);

    load(&server.bootstrap, &file);
    visibility.wait_for(4 * lines as u64);
    for (id, before) in &answers {
        let after = visibility.get(&format!("/v1/track/{id}")).unwrap();
        assert_eq!(essence(after), *before, "{id}");
    }
    let twice = visibility.hashes();
    assert_eq!(twice.0, hashes.0, "content");
    assert_ne!(twice.1, hashes.1, "log");
    assert_eq!(rebuilt(4 * lines as u64, "twice.sqlite"), twice);
    println!("{} orders right, {asked} as of the day before, none changed by loading twice", orders.len());
}

/// Records between the low and the high watermark of all partitions.
fn kept(bootstrap: &str) -> i64 {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let marks = (0..4).map(|partition| {
        let (low, high) = consumer.fetch_watermarks(TOPIC, partition, Duration::from_secs(10)).unwrap();
        assert_eq!(low, 0);
        high - low
    });
    marks.sum()
}

#[test]
fn days_count_as_the_calendar_does() {
    assert_eq!((civil(1970, 1, 1), civil(2000, 3, 1), day("2-Jun-06")), (0, 11_017, Some(13_301)));
    assert_eq!(iso(13_301), "2006-06-02");
    assert_eq!((day("6/2/06"), day("Date Not Captured")), (Some(13_301), None));
}
