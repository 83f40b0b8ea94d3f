//! Change envelopes through mapping files, and ships' positions: answers against computations that share no code with
//! the crate.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{NOW, View, instant, test_data};
use proptest::prelude::*;
use serde_json::{Value, json};
use waybill_types::{TimestampMs, TopicId};
use waybill_visibility::ingest::Sources;
use waybill_visibility::ingest::memory::MemoryLog;
use waybill_visibility::load::{self, Format, LoadRecord};
use waybill_visibility::mapping::{MAPPING_HEADER, Mapping, MappingFile, Mappings, try_file};
use waybill_visibility::model::time::instant_text;
use waybill_visibility::query::{Question, lists};
use waybill_visibility::store::Store;

const ORDERS: &str = include_str!("../../../docs/mappings/erp-orders-cdc.toml");
const TOPIC: &str = "erp.public.orders";
const START: i64 = 1_767_225_600_000;

fn mappings() -> Mappings {
    let mut mappings = Mappings::default();
    mappings.add(MappingFile::parse("orders", ORDERS).unwrap()).unwrap();
    mappings
}

fn view(log: &MemoryLog) -> View {
    let mut view = View::over(log, Sources::Discovered);
    view.ingest = view.ingest.with_mappings(mappings());
    view.ingest.drain().unwrap();
    view.assert_conserved();
    view
}

fn log() -> MemoryLog {
    let log = MemoryLog::new();
    log.create(TopicId([9; 16]), TOPIC, 2);
    log
}

fn reasons(view: &View) -> Vec<String> {
    view.store.read().unwrap().quarantine(100).unwrap().into_iter().map(|row| row.reason).collect()
}

/// A change as the PostgreSQL connector writes it, told `second` seconds after the start.
fn change(id: &str, op: &str, after: Option<Value>, lsn: i64, second: i64) -> LoadRecord {
    let envelope = json!({"before": null, "after": after, "op": op, "ts_ms": START + second * 1_000,
        "source": {"connector": "postgresql", "name": "erp", "schema": "public", "table": "orders", "lsn": lsn,
            "txId": lsn / 10, "ts_ms": START + second * 1_000}});
    record(id, &envelope, second)
}

fn record(id: &str, envelope: &Value, second: i64) -> LoadRecord {
    LoadRecord {
        key: Some(json!({"id": id}).to_string().into_bytes()),
        value: envelope.to_string().into_bytes(),
        headers: vec![(MAPPING_HEADER.to_owned(), b"erp-orders-cdc@1".to_vec())],
        timestamp: TimestampMs(START + second * 1_000),
    }
}

fn row(id: &str, promised: &str, delivered: Option<&str>) -> Option<Value> {
    Some(
        json!({"id": id, "customer": "ACME", "promised_on": promised, "delivered_at": delivered, "status": "open"}),
    )
}

fn promised(view: &View, id: &str, second: Option<i64>) -> Option<String> {
    let as_of = second.map(|second| TimestampMs(START + second * 1_000));
    view.track(id, as_of)?.answer.promised.map(|day| day.to_string())
}

#[test]
fn a_row_says_what_its_last_change_said_and_as_of_before_what_it_said_then() {
    let log = log();
    for record in [
        change("PO-1", "r", row("PO-1", "2026-03-01", None), 100, 0),
        change("PO-1", "u", row("PO-1", "2026-03-09", None), 110, 60),
        change("PO-1", "u", row("PO-1", "2026-03-09", Some("2026-03-10T12:00:00Z")), 120, 120),
        // It was entered wrongly: the row says now that it was not delivered.
        change("PO-1", "u", row("PO-1", "2026-03-09", None), 130, 180),
        change("PO-2", "c", row("PO-2", "2026-04-01", None), 140, 200),
        change("PO-2", "d", None, 150, 260),
    ] {
        log.append(TOPIC, &record).unwrap();
    }
    log.tombstone(TOPIC, json!({"id": "PO-2"}).to_string().as_bytes(), TimestampMs(START + 260_000)).unwrap();
    let view = view(&log);
    assert_eq!(reasons(&view), Vec::<String>::new());
    assert_eq!(promised(&view, "PO-1", Some(30)).as_deref(), Some("2026-03-01"));
    assert_eq!(promised(&view, "PO-1", Some(90)).as_deref(), Some("2026-03-09"));
    let delivered = |second: i64| {
        let answer = view.track("PO-1", Some(TimestampMs(START + second * 1_000))).unwrap().answer;
        answer.delivered.map(|day| day.to_string())
    };
    assert_eq!(delivered(150).as_deref(), Some("2026-03-10"));
    assert_eq!((delivered(90), delivered(200)), (None, None), "the update took it back");
    assert_eq!(promised(&view, "PO-2", Some(230)).as_deref(), Some("2026-04-01"));
    assert_eq!(promised(&view, "PO-2", None), None, "the row is gone");
    let gone = view.track("PO-2", None).unwrap();
    assert!(gone.history.iter().any(|line| line.what.contains("row deleted")), "{:?}", gone.history);
    assert!(gone.history.iter().filter(|line| !line.is_correction).all(|line| line.withdrawn));
    // What was there before anyone listened is no change; what came after is.
    let read = view.store.read().unwrap();
    let (_, changes) =
        lists::changes(read.as_ref(), &Question::now(), TimestampMs(i64::MIN), 100, NOW).unwrap();
    let of: Vec<(&str, Option<&str>, Option<&str>)> = changes
        .iter()
        .rev()
        .filter(|change| change.subject.id == "PO-1")
        .map(|change| (change.what, change.old.as_deref(), change.new.as_deref()))
        .filter(|(what, ..)| *what != "state")
        .collect();
    assert_eq!(
        of,
        [
            ("promised", Some("2026-03-01"), Some("2026-03-09")),
            ("delivered", None, Some("2026-03-10")),
            ("delivered", Some("2026-03-10"), None),
        ]
    );
}

#[test]
fn schemas_say_what_numbers_are_and_may_be_left_out() {
    // 20513 days are 2026-03-01; 1234.50 is 123450 with two digits behind the point.
    let fields = json!([{"field": "id", "type": "string"}, {"field": "customer", "type": "string"},
        {"field": "promised_on", "type": "int32", "name": "io.debezium.time.Date"},
        {"field": "delivered_at", "type": "int64", "name": "io.debezium.time.MicroTimestamp"},
        {"field": "value", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}}]);
    let after = json!({"id": "PO-1", "customer": "ACME", "promised_on": 20513, "delivered_at": 1_772_366_400_000_000_i64, "value": "AeI6"});
    let payload = json!({"before": null, "after": after, "op": "c", "ts_ms": START,
        "source": {"connector": "mysql", "file": "mysql-bin.000003", "pos": 4015, "row": 0, "ts_ms": START}});
    let envelope = json!({"schema": {"type": "struct", "fields": [{"field": "before"}, {"field": "after", "fields": fields}]},
        "payload": payload});
    let mut whole = record("PO-1", &envelope, 0);
    whole.key =
        Some(json!({"schema": {"type": "struct"}, "payload": {"id": "PO-1"}}).to_string().into_bytes());
    let told = log();
    told.append(TOPIC, &whole).unwrap();
    let told = view(&told);
    assert_eq!(reasons(&told), Vec::<String>::new());
    let answer = told.track("PO-1", None).unwrap().answer;
    assert_eq!(answer.promised.unwrap().to_string(), "2026-03-01");
    assert_eq!(answer.delivered.unwrap().to_string(), "2026-03-01");
    assert!(
        answer.attributes.contains(&("value".to_owned(), "1234.50".to_owned())),
        "{:?}",
        answer.attributes
    );

    // The same change without its schema, dates as text: the same event.
    let mut bare = payload;
    bare["after"]["promised_on"] = "2026-03-01".into();
    bare["after"]["delivered_at"] = "2026-03-01T12:00:00Z".into();
    bare["after"]["value"] = "1234.50".into();
    let other = log();
    other.append(TOPIC, &record("PO-1", &bare, 0)).unwrap();
    assert_eq!(view(&other).hashes().content_hash, told.hashes().content_hash);
}

#[test]
fn what_is_no_change_is_refused_for_its_reason() {
    let mut no_key = change("PO-1", "c", row("PO-1", "2026-03-01", None), 1, 0);
    no_key.key = None;
    let mut no_place = json!({"op": "c", "after": {"id": "x"}, "source": {}});
    let no_place_ = record("PO-1", &no_place, 0);
    no_place["source"] = Value::Null;
    let cases = [
        (no_key, "the record has no key"),
        (no_place_, "tells no place in its log"),
        (record("PO-1", &no_place, 0), "has no source"),
        (record("PO-1", &json!({"op": "u", "after": null, "source": {"lsn": 1}}), 0), "has no after"),
        (
            record("PO-1", &json!({"op": "t", "source": {"lsn": 1}}), 0),
            "unsupported_type: changes of kind 't'",
        ),
        (record("PO-1", &json!({"id": 1}), 0), "is no change envelope: has no op"),
        (record("PO-1", &json!([1]), 0), "is no change envelope"),
        (change("PO-1", "c", Some(json!({"id": "PO-1"})), 1, 0), "{promised_on} is missing"),
    ];
    for (record, reason) in cases {
        let log = log();
        log.append(TOPIC, &change("PO-0", "c", row("PO-0", "2026-03-01", None), 1, 0)).unwrap();
        log.append(TOPIC, &record).unwrap();
        let got = reasons(&view(&log));
        assert!(got.len() == 1 && got[0].contains(reason), "{reason}: {got:?}");
    }
    let bad = MappingFile::parse("x.toml", &ORDERS.replace("source =", "event_id = \"{id}\"\nsource ="))
        .unwrap_err();
    assert!(bad.to_string().contains("event_id: is not for changes"), "{bad}");
    // Elsewhere a record without a value is refused.
    let log = log();
    log.append(
        TOPIC,
        &LoadRecord {
            headers: vec![(MAPPING_HEADER.to_owned(), b"events@1".to_vec())],
            ..change("k", "d", None, 1, 0)
        },
    );
    log.tombstone(TOPIC, json!({"id": "k"}).to_string().as_bytes(), TimestampMs(START)).unwrap();
    assert!(reasons(&view(&log)).iter().any(|reason| reason.starts_with("no_value")));
}

/// What each row of a table says after some of its changes, worked out by carrying them out in order.
#[derive(Debug, Clone)]
struct Step {
    row: u8,
    op: u8,
    day: u8,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// However changes are shuffled, repeated and spread over batches, each row says at every moment what a table would
    /// that carried them out in order.
    #[test]
    fn changes_fold_to_the_table(
        steps in proptest::collection::vec((0_u8..4, 0_u8..4, 1_u8..28).prop_map(|(row, op, day)| Step { row, op, day }), 1..24),
        seed in any::<u64>(),
    ) {
        let mut table: BTreeMap<u8, u8> = BTreeMap::new();
        let mut after: Vec<BTreeMap<u8, u8>> = Vec::new();
        let mut records: Vec<(Option<LoadRecord>, u8, i64)> = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let (second, lsn) = (i64::try_from(number).unwrap() * 60, 1_000 + i64::try_from(number).unwrap());
            let id = format!("PO-{}", step.row);
            let there = table.contains_key(&step.row);
            if step.op == 0 && there {
                table.remove(&step.row);
                records.push((Some(change(&id, "d", None, lsn, second)), step.row, second));
                records.push((None, step.row, second));
            } else {
                table.insert(step.row, step.day);
                let op = if there { "u" } else { "c" };
                let promised = format!("2026-03-{:02}", step.day);
                records.push((Some(change(&id, op, row(&id, &promised, None), lsn, second)), step.row, second));
            }
            after.push(table.clone());
        }
        let write = |order: &[usize]| {
            let log = log();
            for at in order {
                match &records[*at] {
                    (Some(record), ..) => { log.append(TOPIC, record).unwrap(); }
                    (None, row, second) => {
                        let key = json!({"id": format!("PO-{row}")}).to_string();
                        log.tombstone(TOPIC, key.as_bytes(), TimestampMs(START + second * 1_000)).unwrap();
                    }
                }
            }
            log
        };
        // The first record names the mapping; a topic that begins with a tombstone is not found.
        let in_order: Vec<usize> = (0..records.len()).collect();
        let mut shuffled: Vec<usize> = in_order.iter().chain(&in_order).copied().collect();
        let mut state = seed | 1;
        shuffled.sort_by_cached_key(|_| { state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); state });
        let first = shuffled.iter().position(|at| records[*at].0.is_some()).unwrap();
        shuffled.swap(0, first);
        let named = |log: &MemoryLog| {
            let mut view = View::over(log, Sources::Named(vec![waybill_visibility::ingest::NamedSource {
                topic: TOPIC.to_owned(), mapping: mappings().find("erp-orders-cdc").unwrap(), ordered: false,
            }]));
            view.ingest.drain().unwrap();
            view
        };
        let (one, other) = (named(&write(&in_order)), named(&write(&shuffled)));
        prop_assert_eq!(one.hashes().content_hash, other.hashes().content_hash);
        for view in [&one, &other] {
            prop_assert_eq!(reasons(view), Vec::<String>::new());
            for (number, table) in after.iter().enumerate() {
                let second = i64::try_from(number).unwrap() * 60 + 30;
                for row in 0..4 {
                    let expected = table.get(&row).map(|day| format!("2026-03-{day:02}"));
                    prop_assert_eq!(promised(view, &format!("PO-{row}"), Some(second)), expected, "row {} at {}", row, second);
                }
            }
        }
    }
}

/// The bits of a payload as text: a decoder of its own.
fn bits(payload: &str) -> String {
    let six = |letter: char| {
        let code = u32::from(letter) - 48;
        if code > 40 { code - 8 } else { code }
    };
    payload.chars().map(|letter| format!("{:06b}", six(letter))).collect()
}

fn unsigned(bits: &str, from: usize, length: usize) -> i64 {
    i64::from_str_radix(&bits[from..from + length], 2).unwrap()
}

fn signed(bits: &str, from: usize, length: usize) -> i64 {
    let number = unsigned(bits, from, length);
    if &bits[from..=from] == "1" { number - (1 << length) } else { number }
}

#[test]
fn ships_are_where_another_decoder_says() {
    let Some(folder) = test_data("ais") else { return };
    let lines = std::fs::read_to_string(folder.join("libais_typeexamples.nmea")).unwrap();
    let oracle = std::fs::read_to_string(folder.join("libais_typeexamples.json")).unwrap();
    let positions = [1, 2, 3, 9, 18, 19, 27];
    let mut seen = BTreeSet::new();
    for (line, expected) in lines.lines().zip(oracle.lines()) {
        let expected: Value = serde_json::from_str(expected).unwrap();
        let kind = expected["type"].as_i64().unwrap();
        let outcome = try_file(&Mapping::Ais, Format::Raw, "ais", line.as_bytes(), NOW).remove(0).outcome;
        let stamp = line.split(',').rev().nth(1).unwrap().parse::<i64>().unwrap() * 1_000;
        let (lat, lon) = (expected["lat"].as_f64(), expected["lon"].as_f64());
        if !positions.contains(&kind) && ![5, 24].contains(&kind) {
            let refusal = outcome.unwrap_err();
            assert_eq!(refusal.to_string(), format!("unsupported_type: line 1: message type {kind}"));
            continue;
        }
        seen.insert(kind);
        if lat.is_some_and(|lat| lat.abs() > 90.0) || lon.is_some_and(|lon| lon.abs() > 180.0) {
            assert!(outcome.unwrap_err().to_string().contains("is no place"), "{line}");
            continue;
        }
        let facts = outcome.unwrap_or_else(|refusal| panic!("{line}: {refusal}"));
        let mmsi = format!("{:09}", expected["mmsi"].as_i64().unwrap());
        assert!(facts.iter().all(|fact| fact.subject.id == mmsi), "{line}");
        let told: Vec<String> = facts.iter().map(|fact| fact.words()).collect();
        if let (Some(lat), Some(lon)) = (lat, lon) {
            let place = told[0]
                .split("geo:")
                .nth(1)
                .unwrap()
                .split(',')
                .take(2)
                .map(|part| part.trim().parse::<f64>().unwrap());
            let place: Vec<f64> = place.collect();
            assert!((place[0] - lat).abs() < 2e-5 && (place[1] - lon).abs() < 2e-5, "{told:?} {lat} {lon}");
            assert!(told[0].ends_with(&instant_text(TimestampMs(stamp))), "{told:?}");
            assert!(facts[0].draft.sampled);
        }
        if let Some(name) = expected["shipname"].as_str() {
            assert!(told.iter().any(|words| words.contains(&format!("name = {name}"))), "{told:?}");
        }
        if let Some(destination) = expected["destination"].as_str() {
            assert!(
                told[0].contains(&format!("destination = {destination}"))
                    && told[0].contains("IMO number = 9383663")
            );
        }
    }
    assert_eq!(seen, BTreeSet::from([1, 2, 3, 5, 9, 18, 24, 27]));
}

#[test]
fn every_sentence_of_a_receiver_is_told_or_refused() {
    let Some(path) = test_data("ais/pyais_nmea_data_sample.txt") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let stamp = instant("2026-01-01T00:00:00Z");
    let (mut log, mut expected) = (Vec::new(), BTreeMap::new());
    let (mut empty, mut parts, mut types) = (0, 0, BTreeMap::<i64, usize>::new());
    for (number, line) in text.lines().enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let told = TimestampMs(stamp.get() + i64::try_from(number).unwrap() * 60_000);
        let mut record = load::frame(Format::Raw, "ais", line.as_bytes(), told, Some(Mapping::Ais)).remove(0);
        record.timestamp = told;
        log.push(record);
        if fields[1] != "1" {
            parts += 1;
        } else if fields[5].is_empty() {
            empty += 1;
        } else {
            let bits = bits(fields[5]);
            let kind = unsigned(&bits, 0, 6);
            *types.entry(kind).or_default() += 1;
            let at = match kind {
                1..=3 => Some(61),
                18 => Some(57),
                _ => None,
            };
            if let Some(at) = at {
                let (lon, lat) = (signed(&bits, at, 28), signed(&bits, at + 28, 27));
                if lon != 181 * 600_000 && lat != 91 * 600_000 {
                    let mmsi = format!("{:09}", unsigned(&bits, 8, 30));
                    expected.insert(mmsi, (lat, lon));
                }
            }
        }
    }
    assert_eq!((log.len(), empty), (898, 100));
    let view = View::whole(&common::log_of("ais", 1, &log));
    view.assert_conserved();
    let reasons = view.store.read().unwrap().quarantine(1_000).unwrap();
    let count = |reason: &str| reasons.iter().filter(|row| row.reason.contains(reason)).count();
    assert_eq!(count("has no payload"), empty);
    assert_eq!(count("send a message's sentences in one record"), parts);
    let known = [1, 2, 3, 5, 9, 18, 19, 24, 27];
    let other: usize = types.iter().filter(|(kind, _)| !known.contains(kind)).map(|(_, count)| count).sum();
    assert_eq!(count("unsupported_type"), other);
    assert_eq!(
        reasons.len(),
        empty + parts + other,
        "{:?}",
        reasons.iter().map(|row| &row.reason).take(5).collect::<Vec<_>>()
    );
    assert!(expected.len() > 100, "{}", expected.len());
    for (mmsi, (lat, lon)) in &expected {
        let seen = view.track(mmsi, None).unwrap().answer.location.unwrap();
        #[allow(clippy::cast_precision_loss, reason = "28 bits fit")]
        let place = format!("geo:{:.5},{:.5}", *lat as f64 / 600_000.0, *lon as f64 / 600_000.0);
        assert_eq!(seen.located.place, place, "{mmsi}");
    }
    // A message in two sentences, in one record: one message, whichever way it is cut.
    let payload = "53eaFL02?;fwTPm7V219E@R1@PE8E<622222221@9hG1A7?@NCPSlm3kc5DhH8888888880";
    let sentence = |number: usize, payload: &str, fill: usize| {
        let body = format!("AIVDM,2,{number},4,B,{payload},{fill}");
        format!("!{body}*{:02X}", body.bytes().fold(0, |sum, byte| sum ^ byte))
    };
    let (first, second) = (sentence(1, &payload[..40], 0), sentence(2, &payload[40..], 2));
    let tried =
        |text: String| try_file(&Mapping::Ais, Format::Raw, "ais", text.as_bytes(), NOW).remove(0).outcome;
    let told = tried(format!("{first}\r\n{second}\n")).unwrap();
    assert!(told[0].words().contains("name = RUTH THERESA"), "{}", told[0].words());
    assert!(told[0].words().contains("destination = BOSTON,USA"), "{}", told[0].words());
    let refusal = tried(format!("{second}\n{first}")).unwrap_err().to_string();
    assert!(refusal.contains("line 1: sentence 2 of 2 without those before it"), "{refusal}");
    let refusal = tried(first.replace("*", "*0")).unwrap_err().to_string();
    assert!(refusal.contains("line 1: the checksum is"), "{refusal}");
}
