//! Views built beside the one that serves: kept below a place, read anew above it, compared, promoted, taken back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::{View, event, instant, log_of};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use waybill_rt::{Metrics, RealClock};
use waybill_types::{Offset, PartitionId, TimestampMs};
use waybill_visibility::ingest::memory::MemoryLog;
use waybill_visibility::ingest::{NamedSource, Sources};
use waybill_visibility::load::LoadRecord;
use waybill_visibility::mapping::{Mapping, MappingFile, Mappings};
use waybill_visibility::store::{Counts, Store};
use waybill_visibility::{Running, VisibilityConfig, serve_from};

/// A mapping of one topic; the version decides which field is read as the promise.
fn mapping(version: u32, field: &str) -> String {
    format!(
        "mapping = \"plans@{version}\"\nformat = \"json\"\nsource = \"erp\"\n\n[[fact]]\n\
         what = {{ order = \"{{order}}\" }}\nmilestone = \"deliver\"\nclassifier = \"PLN\"\n\
         event_time = \"{{{field}}}\"\n"
    )
}

struct Service {
    running: Running,
    stop: CancellationToken,
    folder: Option<tempfile::TempDir>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Service {
    async fn over(log: &MemoryLog, topics: Vec<NamedSource>, mappings: Mappings) -> Self {
        Self::within(tempfile::tempdir().unwrap(), log, topics, mappings).await
    }

    async fn within(
        folder: tempfile::TempDir,
        log: &MemoryLog,
        topics: Vec<NamedSource>,
        mappings: Mappings,
    ) -> Self {
        let stop = CancellationToken::new();
        let mut config = VisibilityConfig::new("", folder.path().join("view.db"));
        config.http = ([127, 0, 0, 1], 0).into();
        config.topics = topics;
        config.mappings = mappings;
        let opens = Arc::new(log.clone());
        let running =
            serve_from(config, opens, RealClock::shared(), Metrics::default(), stop.clone()).await.unwrap();
        let service = Self { running, stop, folder: Some(folder) };
        service.caught_up().await;
        service
    }

    /// Until the view that serves has read all there is.
    async fn caught_up(&self) {
        for _ in 0..1_000 {
            let serving = self.running.views.serving().unwrap();
            let counts: u64 = serving.store.read().unwrap().counts().unwrap().iter().map(|c| c.taken).sum();
            if serving.progress.is_caught_up() && counts > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the view does not catch up");
    }

    async fn ask(&self, method: &'static str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("http://127.0.0.1:{}{path}", self.running.addr.port());
        tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let body = body.map(|body| body.to_string()).unwrap_or_default();
            let mut response = match method {
                "GET" => agent.get(&url).call().unwrap(),
                "PUT" => agent.put(&url).send(body.as_bytes()).unwrap(),
                _ => agent.post(&url).send(body.as_bytes()).unwrap(),
            };
            let text = response.body_mut().read_to_string().unwrap();
            (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
        })
        .await
        .unwrap()
    }

    async fn ok(&self, method: &'static str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// Until a view has caught up and was compared.
    async fn compared(&self, number: u64) -> Value {
        for _ in 0..1_000 {
            let view = self.ok("GET", &format!("/v1/views/{number}"), None).await;
            assert_ne!(view["state"], "failed", "{view}");
            let (status, report) = self.ask("GET", &format!("/v1/views/{number}/compare"), None).await;
            if status == 200 && view["stage"] == "caught_up" {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("view {number} is not compared");
    }

    async fn promised(&self, order: &str) -> Value {
        self.ok("GET", &format!("/v1/track/{order}"), None).await["promised"].clone()
    }

    async fn end(mut self) -> tempfile::TempDir {
        self.stop.cancel();
        self.running.ended().await.unwrap();
        self.folder.take().unwrap()
    }
}

fn promise(number: i64, order: &str) -> LoadRecord {
    let told = waybill_visibility::model::time::instant_text(TimestampMs(
        instant("2026-01-01T00:00:00Z").get() + number * 60_000,
    ));
    let value = json!({"event_id": format!("p{number}"), "event": "promise_changed", "event_time": told,
        "source": "erp", "order": order, "promised": format!("2026-02-{:02}", number % 27 + 1)});
    event(order, &told, &value)
}

fn plan(number: i64, order: &str, good: &str, bad: &str) -> LoadRecord {
    let mut record = promise(number, order);
    record.headers.clear();
    record.value = json!({"order": order, "due": good, "ordered": bad}).to_string().into_bytes();
    record
}

fn plans(version: u32, field: &str) -> Mapping {
    Mapping::File(Arc::new(MappingFile::parse("plans", &mapping(version, field)).unwrap()))
}

fn named(mapping: Mapping) -> Vec<NamedSource> {
    vec![NamedSource { topic: "orders".to_owned(), mapping, ordered: false }]
}

/// The ordinary case: a wrong version of a mapping is deployed, found, and undone with two commands.
#[tokio::test]
async fn a_bad_mapping_is_undone_from_a_checkpoint() {
    let log = log_of("orders", 2, &[]);
    for number in 0..20 {
        log.append("orders", &plan(number, &format!("PO-{number}"), "2026-03-01", "2026-01-01")).unwrap();
    }
    let mut mappings = Mappings::default();
    for (version, field) in [(6, "due"), (7, "ordered")] {
        mappings.add(MappingFile::parse("plans", &mapping(version, field)).unwrap()).unwrap();
    }
    let service = Service::over(&log, named(plans(6, "due")), mappings.clone()).await;
    let kept = service.ok("PUT", "/v1/checkpoints/before-7", None).await;
    assert_eq!(kept["mappings"], json!(["orders plans@6"]));
    let state = service.ok("GET", "/v1/state", None).await;
    assert_eq!((&kept["log_hash"], &kept["content_hash"]), (&state["log_hash"], &state["content_hash"]));
    let before = service.ok("GET", "/v1/track/PO-3?as_of=checkpoint:before-7", None).await;

    // The bad version reads what comes from here on.
    let folder = service.end().await;
    for number in 20..40 {
        let order = format!("PO-{}", number % 25);
        log.append("orders", &plan(number, &order, "2026-04-01", "2026-01-02")).unwrap();
    }
    let service = Service::within(folder, &log, named(plans(7, "ordered")), mappings).await;
    assert_eq!(service.promised("PO-3").await, "2026-01-02");
    assert_eq!(service.ok("GET", "/v1/track/PO-3?as_of=checkpoint:before-7", None).await, before);
    let wrong = service.ok("GET", "/v1/state", None).await;

    let request =
        json!({"from": "checkpoint:before-7", "mappings": {"orders": "plans@6"}, "note": "7 is wrong"});
    let view = service.ok("POST", "/v1/rebuild", Some(request)).await;
    assert_eq!((&view["number"], &view["state"], &view["base"]), (&json!(2), &json!("building"), &json!(1)));
    let report = service.compared(2).await;
    assert_eq!(service.promised("PO-3").await, "2026-01-02", "readers stay on the view that serves");
    assert_eq!(report["unexplained"], 0, "{report}");
    assert_eq!(report["by_reason"], json!([{"name": "mapping plans@7 to plans@6", "count": 20}]), "{report}");
    // 20 records, of which orders PO-20 to PO-24 and PO-0 to PO-14 each had one.
    assert_eq!(report["answers_differ"], 20);
    let first = &report["answers"][0];
    assert_eq!(
        (&first["field"], &first["blue"], &first["green"]),
        (&json!("promised"), &json!("2026-01-02"), &json!("2026-04-01")),
    );
    let side_by_side = service.ok("GET", "/v1/views/2/track/PO-3", None).await;
    assert_eq!(side_by_side["promised"], "2026-04-01");
    service.ok("POST", "/v1/views/2/promote?note=found", None).await;
    assert_eq!(service.promised("PO-3").await, "2026-04-01");
    assert_eq!(service.ok("GET", "/v1/track/PO-3?as_of=checkpoint:before-7", None).await, before);

    // An answer of the view that was, under its token: this one can not repeat it, and says so; that one can.
    let token = wrong["frontier"]["token"].as_str().unwrap();
    let (status, problem) = service.ask("GET", &format!("/v1/track/PO-3?as_of=frontier:{token}"), None).await;
    assert_eq!(status, 409, "{problem}");
    let path = format!("/v1/views/1/track/PO-3?as_of=frontier:{token}");
    assert_eq!(service.ok("GET", &path, None).await["promised"], "2026-01-02");

    // And back: one switch.
    log.append("orders", &plan(50, "PO-3", "2026-05-01", "2026-01-03")).unwrap();
    service.ok("POST", "/v1/views/1/rollback?note=no", None).await;
    service.caught_up().await;
    for _ in 0..500 {
        if service.promised("PO-3").await == "2026-01-03" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(service.promised("PO-3").await, "2026-01-03", "the view that was kept has kept up");
    let views = service.ok("GET", "/v1/views", None).await;
    assert_eq!(views["serving"], 1);
    let what: Vec<&str> =
        views["decisions"].as_array().unwrap().iter().map(|each| each["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["rollback", "promote", "rebuild"]);
    assert_eq!(views["views"][0]["state"], "rolled_back");
    assert_eq!(service.ask("POST", "/v1/views/2/promote", None).await.0, 409);
    let folder = service.end().await;
    assert!(!folder.path().join("view.db-v2").exists(), "what is given up is removed");
}

#[tokio::test]
async fn rebuilds_of_one_log_agree_wherever_they_begin() {
    let log = log_of("orders", 3, &[]);
    for number in 0..300 {
        let mut record = promise(number, &format!("PO-{}", number % 40));
        if number % 50 == 7 {
            record.value = b"{\"event\":".to_vec();
        }
        log.append("orders", &record).unwrap();
    }
    let service = Service::over(&log, Vec::new(), Mappings::default()).await;
    service.ok("PUT", "/v1/checkpoints/middle", None).await;
    for number in 300..400 {
        log.append("orders", &promise(number, &format!("PO-{}", number % 60))).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let expected = View::whole(&log).hashes();
    let mut number = 1;
    for from in ["start", "checkpoint:middle", "2026-01-01T03:00:00Z", "60", "orders/1:3", "mapping:events@1"]
    {
        number += 1;
        let view = service.ok("POST", "/v1/rebuild", Some(json!({"from": from}))).await;
        assert_eq!(view["number"], number, "{from}");
        let report = service.compared(number).await;
        assert_eq!(report["unexplained"], 0, "{from}: {report}");
        for side in ["blue", "green"] {
            assert_eq!(report[side]["log_hash"], json!(expected.log_hash), "{from} {side}");
            assert_eq!(report[side]["content_hash"], json!(expected.content_hash), "{from} {side}");
        }
        assert_eq!((&report["subjects"], &report["answers_differ"]), (&json!(0), &json!(0)), "{from}");
        let live = service.running.views.live(u32::try_from(number).unwrap()).unwrap();
        let read = live.store.read().unwrap();
        let counts = read.counts().unwrap();
        assert!(counts.iter().all(Counts::is_conserved), "{from}: {counts:?}");
        assert_eq!(counts.iter().map(|counts| counts.taken).sum::<u64>(), 400, "{from}");
        drop(read);
        let last = if number % 2 == 0 { "promote" } else { "reject" };
        service.ok("POST", &format!("/v1/views/{number}/{last}"), None).await;
        assert_eq!(service.running.hashes().unwrap(), expected, "{from}");
    }
    for bad in ["yesterday", "checkpoint:none", "mapping:none@1", "orders/9:1", "-4"] {
        let (status, problem) = service.ask("POST", "/v1/rebuild", Some(json!({"from": bad}))).await;
        assert_eq!(status, 400, "{bad}: {problem}");
    }
    service.end().await;
}

#[tokio::test]
async fn below_the_log_start_nothing_is_rebuilt_and_what_is_gone_is_said() {
    let log = log_of("orders", 1, &[]);
    for number in 0..20 {
        log.append("orders", &promise(number, &format!("PO-{number}"))).unwrap();
    }
    let service = Service::over(&log, Vec::new(), Mappings::default()).await;
    service.ok("PUT", "/v1/checkpoints/all", None).await;
    let whole = service.running.hashes().unwrap();
    log.forget("orders", PartitionId(0), Offset(12));
    for from in ["start", "5"] {
        let (status, problem) = service.ask("POST", "/v1/rebuild", Some(json!({"from": from}))).await;
        assert_eq!(status, 409, "{problem}");
        assert!(problem["title"].as_str().unwrap().contains("orders/0: records 0 to 11"), "{problem}");
    }
    assert_eq!(service.ok("GET", "/v1/views", None).await["views"].as_array().unwrap().len(), 1);
    // What the view holds below can be kept.
    service.ok("POST", "/v1/rebuild", Some(json!({"from": "checkpoint:all"}))).await;
    let report = service.compared(2).await;
    assert_eq!(report["green"]["log_hash"], json!(whole.log_hash));
    service.ok("POST", "/v1/views/2/reject", None).await;
    // Or given up, when that is said: each difference then has its reason.
    service.ok("POST", "/v1/rebuild", Some(json!({"from": "start", "without_gone": true}))).await;
    let report = service.compared(3).await;
    assert_eq!((&report["unexplained"], &report["answers_differ"]), (&json!(0), &json!(12)), "{report}");
    assert_eq!(
        report["by_reason"],
        json!([{"name": "gone from the log before the new view was built", "count": 12}])
    );
    assert_eq!(report["first"]["offset"], 0);
    service.end().await;
}

#[tokio::test]
async fn a_shadow_runs_beside_and_publishes_nothing() {
    let log = log_of("orders", 1, &[promise(1, "PO-1")]);
    let service = Service::over(&log, Vec::new(), Mappings::default()).await;
    let request = json!({"from": "start", "shadow": true, "rate": 1000, "files": [mapping(9, "ordered")],
        "mappings": {"orders": "plans@9"}});
    service.ok("POST", "/v1/rebuild", Some(request)).await;
    let report = service.compared(2).await;
    // A mapping of other fields refuses the record; nothing of that is told outside.
    assert_eq!(report["unexplained"], 0, "{report}");
    assert!(
        report["by_reason"][0]["name"]
            .as_str()
            .unwrap()
            .starts_with("mapping events@1 to plans@9: plans@9 refuses it"),
        "{report}"
    );
    assert_eq!(
        report["counts"].as_array().unwrap().iter().find(|row| row["what"] == "quarantined").unwrap()["green"],
        1
    );
    assert!(log.records("orders.quarantine").is_empty());
    let view = service.ok("GET", "/v1/views/2", None).await;
    assert_eq!((&view["shadow"], &view["throttle"]), (&json!(true), &json!(1000)));
    service.ok("POST", "/v1/views/2/throttle?rate=50", None).await;
    assert_eq!(service.ok("GET", "/v1/views/2", None).await["throttle"], 50);
    // One shadow and one rebuild fit beside the view that serves.
    assert_eq!(service.ask("POST", "/v1/rebuild", Some(json!({"shadow": true}))).await.0, 409);
    service.ok("POST", "/v1/rebuild", Some(json!({"from": "start"}))).await;
    service.compared(3).await;
    // Only what serves publishes: once the shadow does, its refused record is told.
    service.ok("POST", "/v1/views/2/promote", None).await;
    for _ in 0..500 {
        if !log.records("orders.quarantine").is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(log.records("orders.quarantine").len(), 1);
    service.end().await;
}

#[tokio::test]
async fn what_was_decided_about_records_goes_with_the_view() {
    let log = log_of("orders", 1, &[]);
    for number in 0..4 {
        let mut record = promise(number, "PO-1");
        if number != 3 {
            record.value = b"{\"event\":".to_vec();
        }
        log.append("orders", &record).unwrap();
    }
    let service = Service::over(&log, Vec::new(), Mappings::default()).await;
    let repaired = String::from_utf8(promise(1, "PO-1").value).unwrap();
    service.ok("POST", "/v1/quarantine/orders/0/0/discard?note=noise", None).await;
    let value: Value = serde_json::from_str(&repaired).unwrap();
    service.ok("POST", "/v1/quarantine/orders/0/1/repair", Some(value)).await;
    for _ in 0..500 {
        if service.ok("GET", "/v1/quarantine/orders/0/1", None).await["state"] == "repaired" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let sent = log.records("orders.quarantine").len();
    assert_eq!(sent, 3);
    service.ok("POST", "/v1/rebuild", Some(json!({"from": "start"}))).await;
    service.compared(2).await;
    service.ok("POST", "/v1/views/2/promote", None).await;
    let states = service.ok("GET", "/v1/quarantine?state=all", None).await;
    let mut states: Vec<(String, String)> = states
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["id"].as_str().unwrap().to_owned(), row["state"].as_str().unwrap().to_owned()))
        .collect();
    states.sort();
    let expected = [("orders/0/0", "discarded"), ("orders/0/1", "repaired"), ("orders/0/2", "refused")];
    assert_eq!(states, expected.map(|(id, state)| (id.to_owned(), state.to_owned())));
    let shown = service.ok("GET", "/v1/quarantine/orders/0/0", None).await;
    assert_eq!(shown["decisions"][0]["note"], "noise");
    // What the topic has received is not sent again.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(log.records("orders.quarantine").len(), sent);
    service.end().await;
}

/// Answers under tokens, in their form as JSON but for what is no part of the answer.
fn pinned(view: &View, token: &str) -> BTreeMap<String, String> {
    use waybill_visibility::query::{AsOf, Question, lists, track};
    let question = Question { as_of: AsOf::Frontier(token.parse().unwrap()), ..Question::now() };
    let read = view.store.read().unwrap();
    let mut answers = BTreeMap::new();
    for order in ["PO-0", "PO-1", "PO-2", "C-0", "C-1"] {
        let found = track::track(read.as_ref(), &question, order, None, common::NOW);
        answers.insert(order.to_owned(), format!("{found:?}"));
    }
    let (_, exceptions) = lists::exceptions_page(read.as_ref(), &question, None, 100, common::NOW).unwrap();
    answers.insert("exceptions".to_owned(), format!("{exceptions:?}"));
    let since = TimestampMs(i64::MIN);
    let (_, changes) = lists::changes(read.as_ref(), &question, since, 100, common::NOW).unwrap();
    answers.insert("changes".to_owned(), format!("{changes:?}"));
    let (_, hits) = lists::search(read.as_ref(), &question, "PO", 100, common::NOW).unwrap();
    answers.insert("search".to_owned(), format!("{hits:?}"));
    answers
}

fn anything(number: i64, kind: u8, order: u8, late: u8) -> LoadRecord {
    let told = instant("2026-01-01T00:00:00Z").get() + (number * 10 - i64::from(late)) * 60_000;
    let told = waybill_visibility::model::time::instant_text(TimestampMs(told));
    let (order, container) = (format!("PO-{}", order % 3), format!("C-{}", order % 2));
    let place = json!({"id": "414/1", "name": "Port"});
    let mut value = match kind % 6 {
        0 | 1 => {
            json!({"event": "promise_changed", "order": order, "promised": format!("2026-02-{:02}", number % 27 + 1)})
        }
        2 => {
            json!({"event": "scan", "objects": [{"kind": "container", "id": container}], "action": "OBSERVE", "biz_step": "arriving", "place": place})
        }
        3 => {
            json!({"event": "shipment_created", "shipment": format!("S-{order}"), "orders": [{"order": order}],
            "containers": [container], "mode": "ocean", "carrier": "acme", "origin": place, "destination": place,
            "estimated": format!("2026-03-{:02}", number % 27 + 1)})
        }
        4 => json!({"event": "withdrawn", "withdraws": format!("e{}", number / 2)}),
        _ => json!("broken"),
    };
    if let Some(fields) = value.as_object_mut() {
        fields.insert("event_id".to_owned(), json!(format!("e{number}")));
        fields.insert("event_time".to_owned(), json!(told));
        fields.insert("source".to_owned(), json!("erp"));
    }
    event(&order, &told, &value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever is told, late or not, taken back or driven again, after a token was given: its answers stay.
    #[test]
    fn answers_under_a_token_stay_bit_for_bit(
        records in prop::collection::vec((0..6_u8, 0..3_u8, 0..200_u8), 4..40),
        cuts in prop::collection::vec(0..40_usize, 3),
        drive in any::<bool>(),
    ) {
        use waybill_visibility::query::{Question, settle};
        let log = log_of("orders", 2, &[]);
        let mut view = View::over(&log, Sources::Discovered);
        let mut given: Vec<(String, BTreeMap<String, String>)> = Vec::new();
        for (number, (kind, order, late)) in records.iter().enumerate() {
            log.append("orders", &anything(i64::try_from(number).unwrap(), *kind, *order, *late)).unwrap();
            if cuts.contains(&number) {
                view.ingest.drain().unwrap();
                let token = {
                    let read = view.store.read().unwrap();
                    settle(read.as_ref(), &Question::now(), common::NOW).unwrap().token().to_string()
                };
                given.push((token.clone(), pinned(&view, &token)));
            }
        }
        view.ingest.drain().unwrap();
        if drive {
            common::drive_all(&view);
        }
        for (token, answers) in &given {
            prop_assert_eq!(&pinned(&view, token), answers);
        }
    }
}
