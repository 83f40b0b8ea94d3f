//! The service over HTTP, on a log in memory.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{event, log_of};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use waybill_rt::{Metrics, RealClock};
use waybill_types::{TimestampMs, TopicId};
use waybill_visibility::ingest::memory::MemoryLog;
use waybill_visibility::load::{self, Format};
use waybill_visibility::{Running, VisibilityConfig, serve_from};

struct Service {
    running: Running,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Drop for Service {
    /// A test that fails must not wait for the ingest thread.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Service {
    async fn over(log: &MemoryLog, http: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let mut config = VisibilityConfig::new("", folder.path().join("view.db"));
        config.http = http;
        let running = serve_from(
            config,
            std::sync::Arc::new(log.clone()),
            RealClock::shared(),
            Metrics::default(),
            stop.clone(),
        )
        .await
        .unwrap();
        for _ in 0..400 {
            if running.progress.is_caught_up() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(running.progress.is_caught_up(), "{:?}", running.progress.sources());
        Self { running, stop, _folder: folder }
    }

    async fn start(log: &MemoryLog) -> Self {
        Self::over(log, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Status, headers of interest, body.
    async fn get_with(&self, path: &str, tag: Option<&str>) -> (u16, Option<String>, String) {
        let url = format!("http://127.0.0.1:{}{path}", self.running.addr.port());
        let tag = tag.map(str::to_owned);
        tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut request = agent.get(&url);
            if let Some(tag) = tag {
                request = request.header("if-none-match", tag);
            }
            let mut response = request.call().unwrap();
            let etag = response.headers().get("etag").map(|value| value.to_str().unwrap().to_owned());
            (response.status().as_u16(), etag, response.body_mut().read_to_string().unwrap())
        })
        .await
        .unwrap()
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.get_with(path, None).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let url = format!("http://127.0.0.1:{}{path}", self.running.addr.port());
        let body = body.to_owned();
        tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut response = agent.post(&url).send(body.as_bytes()).unwrap();
            let text = response.body_mut().read_to_string().unwrap();
            (response.status().as_u16(), serde_json::from_str(&text).unwrap())
        })
        .await
        .unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.ended().await.unwrap();
    }
}

fn one_row() -> MemoryLog {
    let file = "ID,PO / SO #,ASN/DN #,Country,PQ First Sent to Client Date,PO Sent to Vendor Date,Scheduled Delivery Date,\
                Delivered to Client Date,Delivery Recorded Date,Item Description\n\
                1,SCMS-4,ASN-8,Côte d'Ivoire,Pre-PQ Process,Date Not Captured,2-Jun-06,5-Jun-06,9-Jun-06,HIV test kit\n";
    log_of("scms", 4, &load::frame(Format::Scms, "f", file.as_bytes(), TimestampMs(0), None))
}

#[tokio::test]
async fn one_scms_row_reaches_the_answer() {
    let service = Service::start(&one_row()).await;
    let now = service.ok("/v1/track/SCMS-4").await;
    let expected = json!({
        "id": "SCMS-4", "kind": "order", "state": "delivered", "promised": "2006-06-02", "estimated": null,
        "delivered": "2006-06-05", "days_late": 3, "final": false, "lag_ms": 0, "stale": false,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&now[field], value, "{field} of {now}");
    }
    assert_eq!(now["location"]["place"], "Côte d'Ivoire");
    assert_eq!(now["lines"][0]["id"], "SCMS-4/1");
    assert_eq!(now["sources"][0]["topic"], "scms");
    assert_eq!(now["sources"][0]["last_record_time"], "2006-06-09T00:00:00Z");
    let told: Vec<(&Value, &Value, &Value)> = now["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (&line["what"], &line["event_time"], &line["record_time"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("promised"), &json!("2006-06-02"), &json!("2006-06-02T00:00:00Z")),
            (&json!("delivered"), &json!("2006-06-05"), &json!("2006-06-09T00:00:00Z")),
        ]
    );
    assert!(now["history"][1]["offset"].is_i64() && now["history"][1]["topic"] == "scms");

    let before = service.ok("/v1/track/SCMS-4?as_of=2006-06-08T23:59:59Z").await;
    assert_eq!((&before["state"], &before["delivered"]), (&json!("ordered"), &Value::Null));
    assert_eq!((&before["days_late"], &before["final"]), (&Value::Null, &json!(true)));
    assert_eq!(before["exceptions"][0]["rule"], "overdue");

    // The shipment is known by its delivery only.
    assert_eq!(service.get("/v1/track/ASN-8?as_of=2006-06-08").await.0, 404);
    assert_eq!(service.ok("/v1/track/ASN-8").await["delivered"], "2006-06-05");

    // A frontier token repeats the answer, and says nothing of now.
    let token = now["frontier"]["token"].as_str().unwrap();
    let first = service.get_with(&format!("/v1/track/SCMS-4?as_of=frontier:{token}"), None).await;
    let again = service.get_with(&format!("/v1/track/SCMS-4?as_of=frontier:{token}"), None).await;
    assert_eq!(first, again);
    let pinned: Value = serde_json::from_str(&first.2).unwrap();
    assert_eq!((&pinned["lag_ms"], &pinned["stale"]), (&Value::Null, &Value::Null));
    assert_eq!(pinned["as_of"], now["as_of"]);
    assert_eq!(service.get_with("/v1/track/SCMS-4?as_of=2006-06-08", first.1.as_deref()).await.0, 200);
    assert_eq!(
        service.get_with(&format!("/v1/track/SCMS-4?as_of=frontier:{token}"), first.1.as_deref()).await.0,
        304
    );
    service.stop().await;
}

#[tokio::test]
async fn errors_are_problems_with_hints() {
    let service = Service::start(&one_row()).await;
    for (path, status) in [
        ("/v1/track/none", 404),
        ("/v1/track/SCMS-4?as_of=yesterday", 400),
        ("/v1/track/SCMS-4?as_of=frontier:xx", 400),
        ("/v1/track/SCMS-4?as_of=checkpoint:none", 400),
        ("/v1/track/SCMS-4?as_of=2006-06-08&at=2006-06-09", 400),
        ("/v1/track/SCMS-4?kind=dragon", 400),
        ("/v1/search?q=x&limit=many", 400),
        ("/v1/changes?since=then", 400),
        ("/nothing", 404),
    ] {
        let (got, body) = service.get(path).await;
        assert_eq!(got, status, "{path}: {body}");
        assert_eq!(body["status"], status, "{path}");
        assert!(body["title"].is_string(), "{path}");
        assert!(path == "/nothing" || body["hint"].is_string(), "{path}: {body}");
    }
    assert_eq!(service.ok("/v1/search?q=nothing+like+it").await, json!([]));
    service.stop().await;
}

#[tokio::test]
async fn lists_health_metrics_and_the_document_are_served() {
    let service = Service::start(&one_row()).await;
    let hits = service.ok("/v1/search?q=ivoire").await;
    assert!(
        hits.as_array().unwrap().iter().any(|hit| hit["id"] == "SCMS-4" && hit["days_late"] == 3),
        "{hits}"
    );
    let hits = service.ok("/v1/search?q=SCMS").await;
    assert_eq!((&hits[0]["id"], &hits[0]["matched"]), (&json!("SCMS-4"), &json!("beginning of id")));
    // The kit was known from the promise on, the place of delivery was not.
    assert_eq!(service.ok("/v1/search?q=kit&as_of=2006-06-03").await[0]["id"], "SCMS-4");
    let changes = service.ok("/v1/changes?since=2006-06-03").await;
    let first = &changes[0];
    assert_eq!(first["record_time"], "2006-06-09T00:00:00Z");
    assert!(
        changes
            .as_array()
            .unwrap()
            .iter()
            .any(|change| change["what"] == "delivered" && change["new"] == "2006-06-05")
    );
    assert_eq!(service.ok("/v1/exceptions").await, json!([]));
    assert_eq!(service.ok("/v1/exceptions?as_of=2006-06-08").await[0]["due"], "2006-06-02");
    let state = service.ok("/v1/state").await;
    assert_eq!(state["content_hash"], json!(service.running.hashes().unwrap().content_hash));
    assert!(state["counts"].as_array().unwrap().iter().all(|counts| counts["conserved"] == true));
    assert_eq!(service.get("/healthz").await.0, 200);
    assert_eq!(service.get("/readyz").await.0, 200);
    let (_, _, metrics) = service.get_with("/metrics", None).await;
    assert!(metrics.contains("waybill_visibility_records{topic=\"scms\""), "{metrics}");
    assert!(metrics.contains("waybill_visibility_partitions_not_conserved 0"), "{metrics}");
    let document = service.ok("/v1/openapi.json").await;
    for path in ["/v1/track/{id}", "/v1/search", "/v1/exceptions", "/v1/changes"] {
        assert!(document["paths"][path]["get"].is_object(), "{path}");
    }
    service.stop().await;
}

#[tokio::test]
async fn addresses_that_are_not_loopback_serve_health_only() {
    let service = Service::over(&one_row(), SocketAddr::from(([0, 0, 0, 0], 0))).await;
    assert_eq!(service.get("/healthz").await.0, 200);
    assert_eq!(service.get("/v1/track/SCMS-4").await.0, 403);
    service.stop().await;
}

#[tokio::test]
async fn a_refused_record_goes_whole_into_the_quarantine_topic() {
    let log = MemoryLog::new();
    log.create(TopicId([3; 16]), "orders", 2);
    let promise = json!({"event_id": "e1", "event": "promise_changed", "event_time": "2026-01-01T00:00:00Z",
        "source": "erp", "order": "PO-1", "promised": "2026-02-01"});
    let good = event("PO-1", "2026-01-01T00:00:01Z", &promise);
    log.append_at("orders", waybill_types::PartitionId(0), &good).unwrap();
    let mut bad = event("PO-2", "2026-01-02T00:00:00Z", &json!({}));
    bad.value = b"{\"event\": \xff".to_vec();
    bad.headers.push(("traceparent".to_owned(), b"00-1".to_vec()));
    log.append_at("orders", waybill_types::PartitionId(1), &bad).unwrap();
    let mut unknown = promise.clone();
    unknown["event"] = json!("teleported");
    log.append_at("orders", waybill_types::PartitionId(1), &event("PO-2", "2026-01-03T00:00:00Z", &unknown))
        .unwrap();

    let service = Service::start(&log).await;
    let rows = service.ok("/v1/quarantine").await;
    assert!(rows[0]["reason"].as_str().unwrap().starts_with("unsupported_type: "), "{rows}");
    assert!(rows[1]["reason"].as_str().unwrap().starts_with("not_json: "), "{rows}");
    for _ in 0..200 {
        if log.records("orders.quarantine").len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let kept = log.records("orders.quarantine");
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0].key.as_deref(), Some(b"orders/1/0".as_slice()));
    assert_eq!(kept[0].value.as_deref(), Some(bad.value.as_slice()));
    let header = |name: &str| kept[0].header(name).map(|value| String::from_utf8_lossy(value).into_owned());
    assert_eq!(header("waybill-origin-topic").as_deref(), Some("orders"));
    assert_eq!(header("waybill-origin-partition").as_deref(), Some("1"));
    assert_eq!(header("waybill-origin-offset").as_deref(), Some("0"));
    assert_eq!(header("waybill-origin-timestamp").as_deref(), Some("1767312000000"));
    assert_eq!(header("waybill-origin-key").as_deref(), Some("PO-2"));
    assert_eq!(header("waybill-mapping").as_deref(), Some("events@1"));
    assert_eq!(header("traceparent").as_deref(), Some("00-1"));
    let counts = service.ok("/v1/state").await["counts"].clone();
    assert_eq!((&counts[1]["taken"], &counts[1]["quarantined"]), (&json!(2), &json!(2)), "{counts}");
    // The quarantine topic is no source of its own.
    assert_eq!(service.ok("/v1/sources").await.as_array().unwrap().len(), 1);
    service.stop().await;
}

#[tokio::test]
async fn a_correction_names_no_page_that_is_not_there() {
    let log = MemoryLog::new();
    log.create(TopicId([3; 16]), "orders", 1);
    for (second, body) in [
        (1, json!({"event_id": "e1", "event": "promise_changed", "order": "PO-1", "promised": "2026-02-01"})),
        (2, json!({"event_id": "e2", "event": "promise_changed", "order": "PO-1", "promised": "2026-02-02"})),
        (3, json!({"event_id": "e3", "event": "withdrawn", "withdraws": "e2", "reason": "typed wrong"})),
    ] {
        let at = format!("2026-01-01T00:00:0{second}Z");
        let mut value = json!({"event_time": at, "source": "erp"});
        value.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        log.append("orders", &event("PO-1", &at, &value)).unwrap();
    }
    let service = Service::start(&log).await;
    let (status, _, html) = service.get_with("/orders/PO-1", None).await;
    assert!(status == 200 && html.contains("typed wrong"), "{html}");
    for link in html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        if link.starts_with("/orders/") {
            assert_eq!(service.get_with(&link.replace("&amp;", "&"), None).await.0, 200, "{link}");
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn pages_show_what_the_api_says() {
    let service = Service::start(&one_row()).await;
    let (status, tag, html) = service.get_with("/orders/SCMS-4", None).await;
    assert_eq!(status, 200, "{html}");
    assert!(html.contains("SCMS-4") && html.contains("HIV test kit") && html.contains("scms/"), "{html}");
    let (again, _, _) = service.get_with("/orders/SCMS-4", tag.as_deref()).await;
    assert_eq!(again, 304, "nothing was read in between");
    let (_, _, past) = service.get_with("/orders/SCMS-4?as_of=2006-06-08T00:00:00Z", None).await;
    let delivered = "5 Jun 2006";
    assert!(html.contains(delivered) && past != html);
    let (status, _, front) = service.get_with("/", None).await;
    assert_eq!(status, 200);
    assert!(front.contains("SCMS-4"), "a change names the order");
    let (_, _, found) = service.get_with("/?q=ivoire", None).await;
    assert!(found.contains("SCMS-4"));
    let (status, _, none) = service.get_with("/orders/SCMS-9", None).await;
    assert!(status == 404 && none.contains("SCMS-9") && none.contains("SCMS-4"), "near ids are named");
    assert_eq!(service.get_with("/orders/SCMS-4?as_of=someday", None).await.0, 400);
    let css = front.split('"').find(|part| part.ends_with(".css")).unwrap().to_owned();
    assert_eq!(service.get_with(&css, None).await.0, 200);
    assert_eq!(service.get_with("/static/none.css", None).await.0, 404);
    service.stop().await;
}

#[tokio::test]
async fn refused_records_are_decided_about_over_http() {
    let promise = |number: usize| {
        json!({"event_id": format!("e{number}"), "event": "promise_changed", "event_time": "2026-01-01T00:00:00Z",
            "source": "erp", "order": format!("PO-{number}"), "promised": "2026-02-01"})
    };
    let log = log_of("orders", 1, &[event("PO-0", "2026-01-01T00:00:00Z", &promise(0))]);
    for number in 1..4 {
        let mut broken = event(&format!("PO-{number}"), "2026-01-01T00:00:01Z", &promise(number));
        broken.value = b"{".to_vec();
        log.append("orders", &broken).unwrap();
    }
    let service = Service::start(&log).await;
    let waiting = service.ok("/v1/quarantine?topic=orders&reason=not_json").await;
    let ids: Vec<&str> = waiting.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["orders/0/3", "orders/0/2", "orders/0/1"]);
    assert_eq!(service.ok("/v1/quarantine?topic=other").await, json!([]));
    assert_eq!(service.get("/v1/quarantine?state=lost").await.0, 400);

    let (status, problem) = service.post("/v1/quarantine/orders/0/1/repair", "{}").await;
    assert!(status == 422 && problem["detail"].as_str().unwrap().starts_with("invalid"), "{problem}");
    let good = promise(1).to_string();
    let (status, done) = service.post("/v1/quarantine/orders/0/1/repair?note=typed%20anew", &good).await;
    assert_eq!((status, &done["outcome"]), (200, &json!("repairing")), "{done}");
    let (status, done) = service.post("/v1/quarantine/orders/0/2/discard?note=a%20test", "").await;
    assert_eq!((status, &done["outcome"]), (200, &json!("discarded")), "{done}");
    let (status, problem) = service.post("/v1/quarantine/orders/0/2/discard", "").await;
    assert_eq!((status, &problem["detail"]), (409, &json!("unchanged: discarded")), "{problem}");
    let (status, done) = service.post("/v1/quarantine/redrive?topic=orders", "").await;
    assert_eq!(status, 200);
    assert!(
        done[0]["done"] == false
            && done[0]["outcome"].as_str().unwrap().starts_with("still refused: not_json")
    );
    assert_eq!(service.post("/v1/quarantine/redrive", "").await.0, 400);
    assert_eq!(service.post("/v1/quarantine/orders/0/0/discard", "").await.0, 404);

    for _ in 0..400 {
        if service.get("/v1/track/PO-1").await.0 == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(service.ok("/v1/track/PO-1").await["promised"], "2026-02-01");
    let shown = service.ok("/v1/quarantine/orders/0/1").await;
    assert_eq!(
        (&shown["state"], &shown["value"], &shown["key"]),
        (&json!("repaired"), &json!("{"), &json!("PO-1"))
    );
    let told: Vec<(&Value, &Value)> =
        shown["decisions"].as_array().unwrap().iter().map(|each| (&each["what"], &each["note"])).collect();
    assert_eq!(told, [(&json!("repair"), &json!("typed anew"))]);
    assert!(shown["decisions"][0]["who"].as_str().unwrap().starts_with("User:"), "{shown}");
    let waiting = service.ok("/v1/quarantine").await;
    assert_eq!(waiting.as_array().unwrap().len(), 1);
    assert_eq!(service.ok("/v1/quarantine?state=all").await.as_array().unwrap().len(), 3);
    let counts = service.ok("/v1/state").await["counts"][0].clone();
    let expected = json!({"taken": 5, "projected": 2, "held": 0, "quarantined": 1, "repaired": 1, "discarded": 1,
        "conserved": true});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&counts[name], value, "{name} of {counts}");
    }
    let (_, _, metrics) = service.get_with("/metrics", None).await;
    assert!(metrics.contains("waybill_visibility_partitions_not_conserved 0"), "{metrics}");
    assert!(
        metrics.lines().any(|line| line.contains("outcome=\"repaired\"") && line.ends_with(" 1")),
        "{metrics}"
    );
    service.stop().await;
}

#[tokio::test]
async fn exceptions_come_in_pages_that_name_the_next() {
    let records: Vec<_> = (0..7)
        .map(|number| {
            let value = json!({"event_id": format!("e{number}"), "event": "promise_changed", "source": "erp",
                "event_time": "2026-01-01T00:00:00Z", "order": format!("PO-{number}"),
                "promised": format!("2026-01-{:02}", 2 + number)});
            event(&format!("PO-{number}"), "2026-01-01T00:00:00Z", &value)
        })
        .collect();
    let service = Service::start(&log_of("orders", 1, &records)).await;
    let url = format!("http://127.0.0.1:{}", service.running.addr.port());
    let mut path = "/v1/exceptions?limit=3&as_of=2026-03-01".to_owned();
    let (mut ids, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let whole = format!("{url}{path}");
        let (items, link) = tokio::task::spawn_blocking(move || {
            let mut response = ureq::get(&whole).call().unwrap();
            let link = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
            let items: Value = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
            (items, link)
        })
        .await
        .unwrap();
        let found = items.as_array().unwrap();
        sizes.push(found.len());
        ids.extend(found.iter().map(|each| each["subject"]["id"].as_str().unwrap().to_owned()));
        let Some(link) = link else { break };
        assert!(
            link.ends_with("; rel=\"next\"") && link.contains("limit=3&as_of=2026-03-01&after="),
            "{link}"
        );
        path = link[1..].split('>').next().unwrap().to_owned();
    }
    let expected: Vec<String> = (0..7).map(|number| format!("PO-{number}")).collect();
    assert_eq!(ids, expected);
    assert_eq!(sizes, [3, 3, 1]);
    assert_eq!(service.get("/v1/exceptions?after=x").await.0, 400);
    service.stop().await;
}
