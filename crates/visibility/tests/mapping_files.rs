//! Mappings as files: the mapping files under `docs/mappings` on real and made-up feeds, and what is said of faulty ones.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use common::{NOW, View, instant, test_data};
use proptest::prelude::*;
use serde_json::{Value, json};
use waybill_types::TopicId;
use waybill_visibility::ingest::Sources;
use waybill_visibility::ingest::memory::MemoryLog;
use waybill_visibility::load::{self, Format, LoadRecord};
use waybill_visibility::mapping::{Mapping, MappingFile, Mappings, try_file};
use waybill_visibility::model::{Body, State};
use waybill_visibility::query::{Question, lists};
use waybill_visibility::store::Store;

fn documented(name: &str) -> Mapping {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/mappings").join(name);
    mapping(MappingFile::read(&path).unwrap())
}

fn mapping(file: MappingFile) -> Mapping {
    let (mut mappings, name) = (Mappings::default(), file.name().to_owned());
    mappings.add(file).unwrap();
    mappings.find(&name).unwrap()
}

fn parse(text: &str) -> Mapping {
    mapping(MappingFile::parse("test.toml", text).unwrap())
}

/// A view that finds its topics by their header, with these mappings beside those built in.
fn view(topics: &[(&str, Vec<LoadRecord>)], mappings: &[&Mapping]) -> View {
    let log = MemoryLog::new();
    for (number, (topic, records)) in topics.iter().enumerate() {
        log.create(TopicId([u8::try_from(number).unwrap() + 1; 16]), topic, 3);
        for record in records {
            log.append(topic, record).unwrap();
        }
    }
    let mut known = Mappings::default();
    for mapping in mappings {
        let Mapping::File(file) = mapping else { panic!() };
        known.add(MappingFile::clone(file)).unwrap();
    }
    let mut view = View::over(&log, Sources::Discovered);
    view.ingest = view.ingest.with_mappings(known);
    view.ingest.drain().unwrap();
    view.assert_conserved();
    view
}

fn reasons(view: &View) -> Vec<String> {
    view.store.read().unwrap().quarantine(100).unwrap().into_iter().map(|row| row.reason).collect()
}

/// Days since 1970 of `1996-07-04 00:00:00.000`, by counting.
fn days(text: &str) -> Option<i64> {
    let mut parts = text.get(..10)?.split('-').map(|part| part.parse::<i64>().unwrap());
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = |month: i64| match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let years: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    Some(years + (1..month).map(length).sum::<i64>() + day - 1)
}

fn table(file: &[u8]) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(file);
    reader.deserialize().map(|row| row.unwrap()).collect()
}

#[test]
fn northwind_comes_in_through_two_mapping_files() {
    let Some(folder) = test_data("northwind") else { return };
    let (orders, lines) = (documented("northwind-orders.toml"), documented("northwind-lines.toml"));
    let frame = |name: &str, mapping: &Mapping| {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        (load::frame(Format::Csv, name, &bytes, NOW, Some(mapping.clone())), table(&bytes))
    };
    let (order_records, order_rows) = frame("Orders.csv", &orders);
    let (line_records, line_rows) = frame("OrderDetails.csv", &lines);
    let topics = [("orders", order_records), ("lines", line_records)];
    let view = view(&topics, &[&orders, &lines]);
    assert_eq!(reasons(&view), Vec::<String>::new());
    assert_eq!((order_rows.len(), line_rows.len()), (830, 2_155));
    let (mut late, mut open) = (0, BTreeSet::new());
    for row in &order_rows {
        let id = &row["OrderID"];
        let answer = view.track(id, None).unwrap().answer;
        let (promised, shipped) = (days(&row["RequiredDate"]), days(&row["ShippedDate"]));
        let days_late = shipped.zip(promised).map(|(shipped, promised)| shipped - promised);
        assert_eq!(answer.promised.map(|day| i64::from(day.0)), promised, "{id}");
        assert_eq!(answer.delivered.map(|day| i64::from(day.0)), shipped, "{id}");
        // Lines share the order's promise and its delivery, so lateness is that of the whole.
        assert_eq!(
            shipped.and(answer.delivered.zip(answer.promised).map(|(d, p)| d.since(p))),
            days_late,
            "{id}"
        );
        let expected = if shipped.is_some() { State::Delivered } else { State::Ordered };
        assert_eq!(answer.state, expected, "{id}");
        let parts: BTreeSet<&str> = answer.lines.iter().map(|line| line.id.as_str()).collect();
        let of_order: BTreeSet<String> = line_rows
            .iter()
            .filter(|line| line["OrderID"] == *id)
            .map(|line| format!("{id}/{}", line["ProductID"]))
            .collect();
        assert_eq!(parts, of_order.iter().map(String::as_str).collect(), "{id}");
        let carrier = ["Speedy Express", "United Package", "Federal Shipping"]
            [row["ShipVia"].parse::<usize>().unwrap() - 1];
        let attribute = |label: &str| {
            answer.attributes.iter().find(|(known, _)| known == label).map(|(_, value)| value.as_str())
        };
        assert_eq!(attribute("carrier"), Some(carrier), "{id}");
        assert_eq!(attribute("region").unwrap_or_default(), row["ShipRegion"], "{id}");
        late += usize::from(days_late.is_some_and(|days| days > 0));
        if shipped.is_none() {
            open.insert(id.clone());
        }
    }
    assert_eq!((late, open.len()), (37, 21));
    let read = view.store.read().unwrap();
    let (_, found) = lists::exceptions(read.as_ref(), &Question::now(), NOW).unwrap();
    let overdue: BTreeSet<String> = found.iter().map(|each| each.subject.id.clone()).collect();
    assert_eq!(overdue, open, "what was never shipped is overdue, and nothing else");
    let mapped: BTreeMap<String, String> =
        read.sources().unwrap().into_iter().map(|source| (source.name, source.mapping)).collect();
    assert_eq!(mapped["orders"], "northwind-orders@1");
    assert_eq!(mapped["lines"], "northwind-lines@1");
}

#[test]
fn csv_text_and_framed_rows_are_the_same_events() {
    let text = "mapping = \"t@1\"\nformat = \"csv\"\nsource = \"s\"\n[csv]\ndelimiter = \";\"\n[[fact]]\n\
                what = { order = '{\"PO / SO #\"}' }\nmilestone = \"order\"\nevent_time = \"{day}\"\n";
    let with_names = parse(text);
    let with_columns = parse(&text.replace("delimiter", "columns = [\"PO / SO #\", \"day\"]\ndelimiter"));
    let tried = |mapping: &Mapping, format, bytes: &str| {
        let tried = try_file(mapping, format, "t", bytes.as_bytes(), NOW);
        tried.into_iter().flat_map(|each| each.outcome.unwrap()).collect::<Vec<_>>()
    };
    let named =
        tried(&with_names, Format::Raw, "\u{feff}PO / SO #;day\nA-1;2026-01-02\n\"B;2\";2026-01-03\n");
    let framed = tried(&with_names, Format::Csv, "PO / SO #,day\nA-1,2026-01-02\nB;2,2026-01-03\n");
    let bare = tried(&with_columns, Format::JsonLines, "A-1;2026-01-02\n\"B;2\";2026-01-03\n");
    assert_eq!(named, framed);
    assert_eq!(named, bare);
    let told: Vec<String> = named.iter().map(|fact| fact.words()).collect();
    assert_eq!(
        told,
        ["order A-1: milestone order, ACT 2026-01-02", "order B;2: milestone order, ACT 2026-01-03"]
    );
    for (bytes, reason) in [
        ("PO / SO #;day", "not_csv: has no row under the names of its columns"),
        ("PO / SO #;day\nA", "not_csv: line 2 has 1 fields where there are 2 columns"),
        (
            "PO / SO #;day\nA;2026-01-02\n;2026-01-02",
            "invalid: row 2: fact[1] (milestone of order): {\"PO / SO #\"} is missing",
        ),
        ("PO / SO #;day\nA;2.1.2026", "event_time '2.1.2026' is a time in none of the forms of [time]"),
        ("[1]", "not_csv: has no row"),
    ] {
        let refusal =
            try_file(&with_names, Format::Raw, "t", bytes.as_bytes(), NOW).remove(0).outcome.unwrap_err();
        assert!(refusal.to_string().contains(reason), "{reason}: {refusal}");
    }
}

fn telemetry(key: &str, value: &Value, mapping: &Mapping) -> LoadRecord {
    let mut record =
        load::frame(Format::Raw, key, value.to_string().as_bytes(), NOW, Some(mapping.clone())).remove(0);
    record.timestamp = instant("2026-02-01T00:00:00Z");
    record
}

#[test]
fn json_telemetry_is_sampled_and_told_when_it_says() {
    let cold = documented("cold-chain.toml");
    let start = instant("2026-01-01T00:00:00Z").get() / 1_000;
    let mut expected: BTreeMap<i64, f64> = BTreeMap::new();
    let mut records = Vec::new();
    // Every ten seconds a reading, six to a record: of each minute the last is enough.
    for minute in 0..30 {
        let readings: Vec<Value> = (0..6)
            .map(|ten| json!({"at": start + minute * 60 + ten * 10, "celsius": 4.0 + f64::from(i32::try_from(minute * 6 + ten).unwrap()) / 64.0}))
            .collect();
        expected.insert(start + minute * 60 + 50, readings[5]["celsius"].as_f64().unwrap());
        records.push(telemetry(
            "L-7",
            &json!({"container": "MSKU1", "sent": start + minute * 60 + 59, "limits": {"low": 2, "high": 8},
                "site": {"gln": "4012345000009", "name": "Hub Nairobi"}, "readings": readings}),
            &cold,
        ));
    }
    let refused = [
        (
            json!({"container": "MSKU1", "sent": start, "readings": [{"at": start, "celsius": "warm"}]}),
            "invalid: readings[0]: fact[1] (sensor of container): 'warm' is not a number",
        ),
        (
            json!({"container": "MSKU1", "sent": start, "readings": {"at": 1}}),
            "invalid: fact[1] (sensor of container): readings is not a list",
        ),
        (json!({"sent": start, "readings": [{"at": start, "celsius": 1}]}), "{container} is missing"),
        (json!({"container": "MSKU1", "readings": []}), "invalid: record_time: {sent} is missing"),
        (json!({"container": "MSKU1", "sent": start, "readings": []}), "invalid: tells nothing"),
    ];
    let count = records.len() + refused.len() + 1;
    records.extend(refused.iter().map(|(value, _)| telemetry("L-7", value, &cold)));
    records.push(telemetry("L-7", &json!({"type": "hello"}), &cold));
    let view = view(&[("telemetry", records)], &[&cold]);
    let told = reasons(&view);
    for (_, reason) in &refused {
        assert!(told.iter().any(|told| told.contains(reason)), "{reason}: {told:#?}");
    }
    let counts = view.store.read().unwrap().counts().unwrap();
    assert_eq!(counts.iter().map(|counts| counts.taken).sum::<u64>(), u64::try_from(count).unwrap());
    assert_eq!(told.len(), refused.len(), "what is ignored is taken, and tells nothing");

    let track = view.track("MSKU1", None).unwrap();
    let got: BTreeMap<i64, f64> = track
        .readings
        .iter()
        .map(|telling| {
            let Body::Condition(reading) = &telling.fact.draft.body else { panic!() };
            (telling.fact.draft.happened.unwrap().start().get() / 1_000, reading.value)
        })
        .collect();
    assert_eq!(got, expected);
    assert_eq!(track.answer.location.unwrap().located.place, "4012345000009");
    // The record time is the one sent, whatever the record's timestamp: nothing is known before the first minute ends.
    assert!(view.track("MSKU1", Some(instant("2026-01-01T00:00:30Z"))).is_none());
    assert_eq!(view.track("MSKU1", Some(instant("2026-01-01T00:10:00Z"))).unwrap().readings.len(), 10);
}

#[test]
fn a_version_of_its_own_tells_the_same_events_otherwise() {
    let text = "mapping = \"t@1\"\nformat = \"json\"\nsource = \"s\"\nevent_id = \"{id}\"\nevent_time = \"{at}\"\n[[fact]]\n\
                what = { order = \"{order}\" }\nmilestone = \"deliver\"\nclassifier = \"PLN\"\n\
                [[fact]]\nonly = { cancels = true }\nwithdraws = \"{of}\"\n";
    // A condition is on text.
    let fault = MappingFile::parse("t.toml", text).unwrap_err().to_string();
    assert!(fault.contains("line 11, fact[2].only.cancels: is true or false; write {"), "{fault}");
    let text = text.replace("true", "\"true\"").replace("{at}", "{at?}");
    let one = parse(&text);
    let two = parse(&text.replace("t@1", "t@2").replace("deliver", "depart"));
    let mut mappings = Mappings::default();
    for mapping in [&one, &two] {
        let Mapping::File(file) = mapping else { panic!() };
        mappings.add(MappingFile::clone(file)).unwrap();
    }
    assert_eq!(mappings.find("t").unwrap(), two, "the newest version");
    assert_eq!(mappings.find("t@1").unwrap(), one);
    let unknown = mappings.find("t@3").unwrap_err().to_string();
    assert!(unknown.contains("scms@1") && unknown.contains("t@1") && unknown.contains("t@2"), "{unknown}");
    let Mapping::File(other) = parse(&text.replace("deliver", "arrive")) else { panic!() };
    assert!(mappings.add(MappingFile::clone(&other)).unwrap_err().to_string().contains("raise the version"));

    let promise = json!({"id": "a", "order": "PO-1", "at": "2026-03-01"});
    let cancel = json!({"id": "b", "order": "PO-1", "cancels": true, "of": "a"});
    let frame = |value: &Value| {
        load::frame(Format::Raw, "k", value.to_string().as_bytes(), NOW, Some(one.clone())).remove(0)
    };
    let before = view(&[("t", vec![frame(&promise)])], &[&one]);
    assert_eq!(before.track("PO-1", None).unwrap().answer.promised, Some(common::day("2026-03-01")));
    let after = view(&[("t", vec![frame(&promise), frame(&cancel)])], &[&one]);
    assert_eq!(reasons(&after), Vec::<String>::new());
    let track = after.track("PO-1", None).unwrap();
    assert_eq!(track.answer.promised, None, "taken back");
    assert!(track.history.iter().any(|line| line.withdrawn));
    let other = view(&[("t", vec![frame(&json!({"order": "PO-2", "at": "2026-03-01"}))])], &[&one]);
    assert!(reasons(&other)[0].contains("invalid: event_id: {id} is missing"));
}

#[test]
fn faulty_mapping_files_are_refused_by_line_field_and_remedy() {
    let sound = "mapping = \"t@1\"\nformat = \"json\"\nsource = \"s\"\n[[fact]]\nwhat = { order = \"{o}\" }\nmilestone = \"order\"\nevent_time = \"{t}\"\n";
    parse(sound);
    // What is replaced by what, and what is said of it.
    let cases: [(&str, &str, &str); 22] = [
        ("\"t@1\"", "\"t\"", "line 1, mapping: 't' is not NAME@VERSION; write letters"),
        ("\"t@1\"", "\"epcis@7\"", "line 1, mapping: epcis is a built-in mapping; choose another name"),
        (
            "\"json\"",
            "\"xml\"",
            "line 2, format: 'xml' is no format of mapping files; write json, csv or debezium",
        ),
        ("source = \"s\"\n", "", "line 1, source: is missing; name who tells"),
        ("source", "sauce", "line 3, sauce: is not a key of mappings; did you mean source?"),
        (
            "source",
            "personal = [\"x\"]\nsource",
            "line 3, personal: is not a key of mappings; leave the field out",
        ),
        ("[[fact]]", "[fact]", "line 4, fact: is no list; write [[fact]] with two brackets"),
        ("order =", "ordr =", "line 5, fact[1].what.ordr: 'ordr' is no kind of thing; kinds are order, line"),
        ("{ order = \"{o}\" }", "\"{o}\"", "line 5, fact[1].what: is a text; write a kind and its id"),
        ("{ order = \"{o}\" }", "{ order = \"{o}\", line = \"1\" }", "line 5, fact[1].what: names 2 things"),
        (
            "\"order\"",
            "\"ordered\"",
            "line 6, fact[1].milestone: 'ordered' is not known here; write one of order, depart",
        ),
        ("milestone", "mile_stone", "line 4, fact[1]: says nothing; write one of milestone, place, parent"),
        (
            "milestone = \"order\"",
            "milestone = \"order\"\nbiz_step = \"x\"",
            "line 4, fact[1]: says milestone and biz_step",
        ),
        ("event_time = \"{t}\"\n", "", "line 4, fact[1].event_time: is missing; write when it happened"),
        (
            "{t}",
            "{t",
            "line 7, fact[1].event_time: '{t' opens a brace that is not closed; write {{ for a brace",
        ),
        (
            "{t}",
            "{t|cet}",
            "line 7, fact[1].event_time: there is no lookup called cet; add a table [lookup.cet]",
        ),
        ("{t}", "{@age}", "line 7, fact[1].event_time: {@age} is nothing that a record has; there are @key"),
        (
            "{t}",
            "{.t}",
            "line 4, fact[1]: refers to an element ({.field} or {@index}) without a list; add each",
        ),
        (
            "[[fact]]",
            "[time]\nforms = [\"%Q\"]\nzone = \"CET\"\n[[fact]]",
            "line 5, time.forms: '%Q' is no pattern of strftime; write rfc3339",
        ),
        (
            "[[fact]]",
            "[time]\nzone = \"CET\"\n[[fact]]",
            "line 5, time.zone: 'CET' is no offset from UTC; write UTC or an offset",
        ),
        ("[[fact]]", "[csv]\n[[fact]]", "line 4, csv: is only for format = \"csv\"; leave the table out"),
        ("= \"{o}\" }", "= \"{o}\"", "line 6, TOML: missing comma"),
    ];
    for (old, new, said) in cases {
        let error = MappingFile::parse("acme.toml", &sound.replacen(old, new, 1)).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("acme.toml is no mapping:"), "{text}");
        assert!(error.faults.iter().any(|fault| fault.to_string().starts_with(said)), "{said}\n{text}");
        assert!(error.faults.iter().all(|fault| !fault.remedy.is_empty()), "{text}");
    }
    // All faults are told at once, in the order of lines.
    let many =
        MappingFile::parse("acme.toml", "format = \"xml\"\n[[fact]]\nmilestone = \"flown\"\n").unwrap_err();
    let lines: Vec<usize> = many.faults.iter().map(|fault| fault.line).collect();
    assert!(many.faults.len() >= 5 && lines.is_sorted(), "{many}");
    let missing = MappingFile::read(std::path::Path::new("/none/such.toml")).unwrap_err();
    assert!(missing.to_string().contains("/none/such.toml"), "{missing}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_a_mapping_or_its_faults(text in "[a-z@={}\\[\\]\"|?.\n 0-9]{0,200}", cut in 0_usize..700) {
        let sound = include_str!("../../../docs/mappings/cold-chain.toml");
        for text in [text.clone(), sound.chars().take(cut).chain(text.chars()).collect()] {
            if let Err(bad) = MappingFile::parse("any.toml", &text) {
                prop_assert!(!bad.faults.is_empty());
                let lines = text.lines().count().max(1) + 1;
                prop_assert!(bad.faults.iter().all(|fault| (1..=lines).contains(&fault.line)), "{}", bad);
            }
        }
    }

    #[test]
    fn any_bytes_are_facts_or_a_refusal(bytes in proptest::collection::vec(any::<u8>(), 0..300), json in any::<bool>()) {
        let mapping = documented(if json { "cold-chain.toml" } else { "northwind-orders.toml" });
        for tried in try_file(&mapping, Format::Raw, "any", &bytes, NOW) {
            if let Err(refusal) = tried.outcome {
                prop_assert!(!refusal.detail.is_empty());
            }
        }
    }
}
