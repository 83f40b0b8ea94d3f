//! Partners' own formats: DCSA Track & Trace, X12, EDIFACT. What each file says was read off by hand.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;

use common::{NOW, View, day, log_of, test_data};
use proptest::prelude::*;
use serde_json::{Value, json};
use waybill_visibility::load::{self, Format, LoadRecord};
use waybill_visibility::mapping::Mapping;
use waybill_visibility::model::{Classifier, Kind, Milestone, State, Subject};
use waybill_visibility::store::Store;

fn record(name: &str, mapping: Mapping, bytes: &[u8]) -> LoadRecord {
    load::frame(Format::Raw, name, bytes, NOW, Some(mapping)).remove(0)
}

fn view(records: &[LoadRecord]) -> View {
    let view = View::whole(&log_of("partners", 2, records));
    view.assert_conserved();
    view
}

fn reasons(view: &View) -> Vec<String> {
    view.store.read().unwrap().quarantine(100).unwrap().into_iter().map(|row| row.reason).collect()
}

fn edi(name: &str) -> Option<View> {
    let path = test_data(&format!("apimeister-edi/{name}"))?;
    let view = view(&[record(name, Mapping::Edi, &std::fs::read(path).unwrap())]);
    assert_eq!(reasons(&view), Vec::<String>::new(), "{name}");
    Some(view)
}

/// The day of a milestone that counts.
fn milestone(
    view: &View,
    kind: Kind,
    id: &str,
    milestone: Milestone,
    classifier: Classifier,
) -> Option<String> {
    let read = view.store.read().unwrap();
    let tellings = read.tellings(&Subject::new(kind, id)).unwrap();
    let of = tellings.iter().filter(|telling| {
        telling.fact.milestone() == Some(milestone) && telling.fact.draft.classifier == classifier
    });
    let days: BTreeSet<String> = of.map(|telling| telling.fact.draft.happened.unwrap().to_string()).collect();
    days.into_iter().next_back()
}

fn attribute(view: &View, id: &str, label: &str) -> Option<String> {
    let answer = view.track(id, None)?.answer;
    answer.attributes.into_iter().find(|(known, _)| known == label).map(|(_, value)| value)
}

fn dcsa_events(file: &str) -> Option<Vec<Value>> {
    let path = test_data(&format!("dcsa/{file}"))?;
    let examples: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    Some(examples.as_object().unwrap().values().cloned().collect())
}

#[test]
fn dcsa_events_are_told_planned_estimated_and_actual() {
    for file in ["tnt_v3_tnt_examples.json", "tnt_v3_tnt_v3.0.0-Beta-1_examples.json"] {
        let Some(examples) = dcsa_events(file) else { return };
        let records: Vec<LoadRecord> = examples
            .iter()
            .map(|example| record("example", Mapping::Dcsa, example.to_string().as_bytes()))
            .collect();
        let view = view(&records);
        assert_eq!(reasons(&view), Vec::<String>::new(), "{file}");
        // Booking ABC123059 carries container APZU4812090; its arrival is estimated for 2022-11-12 07:41 +08:30.
        let booking = view.track("ABC123059", None).unwrap();
        assert_eq!(booking.answer.subject.kind, Kind::Shipment);
        assert!(
            booking.links.iter().any(|link| link.holder.id == "APZU4812090" && link.held.id == "ABC123059")
        );
        assert!(booking.links.iter().any(|link| link.holder.id == "85943567" && link.held.id == "ABC123059"));
        let arrival =
            |classifier| milestone(&view, Kind::Shipment, "ABC123059", Milestone::Arrive, classifier);
        assert_eq!(arrival(Classifier::Est).as_deref(), Some("2022-11-11T23:11:00Z"));
        assert_eq!(arrival(Classifier::Act), None);
        assert_ne!(booking.answer.state, State::InTransit, "nothing has moved yet");
        let told: Vec<String> =
            booking.history.iter().map(|line| format!("{} {}", line.subject, line.what)).collect();
        assert!(told.iter().any(|line| line.contains("document TRD issued")), "{told:?}");
        // The container was dropped off at Amsterdam.
        let container = view.track("APZU4812090", None).unwrap();
        let seen = container.answer.location.unwrap();
        assert_eq!((seen.located.place.as_str(), seen.located.country.as_deref()), ("NLRAM", Some("NL")));
        assert_eq!(seen.seen.unwrap().to_string(), "2019-11-11T23:11:00Z");
        assert_eq!(attribute(&view, "1234nf932", "mode").as_deref(), Some("TRUCK"));
    }
}

fn dcsa(id: &str, kind: &str, payload: Option<Value>, retracts: Option<&str>) -> LoadRecord {
    let mut event = json!({"metadata": {"eventID": id, "eventType": kind, "eventCreatedDateTime": "2026-01-01T00:00:00Z",
        "publisher": {"carrierCode": "MSC", "carrierCodeListProvider": "SMDG"}, "publisherRole": "CA"}});
    if let Some(payload) = payload {
        event["payload"] = payload;
    }
    if let Some(retracted) = retracts {
        event["metadata"]["retractedEventID"] = retracted.into();
    }
    record(id, Mapping::Dcsa, event.to_string().as_bytes())
}

fn departure(when: &str) -> Value {
    json!({"eventClassifierCode": "ACT", "eventDateTime": when, "transportEventTypeCode": "DEPA",
        "transportCall": {"modeOfTransport": "VESSEL", "vessel": {"vesselIMONumber": "9321483", "name": "King"},
            "location": {"UNLocationCode": "DEHAM", "locationName": "Hamburg"}},
        "relatedDocumentReferences": [{"type": "BKG", "value": "B1"}], "references": [{"type": "EQ", "value": "C1"}]})
}

#[test]
fn a_retracted_dcsa_event_counts_no_longer() {
    let told = dcsa("e1", "TRANSPORT", Some(departure("2026-01-02T10:00:00+01:00")), None);
    let before = view(std::slice::from_ref(&told)).track("B1", None).unwrap().answer;
    assert_eq!((before.state, before.location.unwrap().located.place.as_str()), (State::InTransit, "DEHAM"));
    let after = view(&[told, dcsa("e2", "TRANSPORT", None, Some("e1"))]).track("B1", None).unwrap();
    assert_eq!((after.answer.state, after.answer.location), (State::Unknown, None));
    assert!(after.history.iter().any(|line| line.withdrawn));
}

#[test]
fn dcsa_events_that_are_none_are_refused_for_their_reason() {
    let mut payload = departure("2026-01-02T10:00:00+01:00");
    payload["transportEventTypeCode"] = "FLEW".into();
    let mut late = departure("yesterday");
    late["eventClassifierCode"] = "PLN".into();
    let mut unsure = departure("2026-01-02T10:00:00Z");
    unsure["eventClassifierCode"] = "REQ".into();
    let cases = [
        (
            dcsa("a", "TRANSPORT", Some(payload), None),
            "invalid: event: transportEventTypeCode FLEW is not known",
        ),
        (dcsa("b", "TRANSPORT", Some(late), None), "eventDateTime yesterday is not an RFC 3339 instant"),
        (dcsa("c", "TRANSPORT", Some(unsure), None), "eventClassifierCode REQ is none of PLN, EST, ACT"),
        (
            dcsa("d", "IOT", Some(departure("2026-01-02T10:00:00Z")), None),
            "unsupported_type: event: events of type IOT",
        ),
        (dcsa("e", "TRANSPORT", None, None), "has neither a payload nor a retractedEventID"),
        (record("f", Mapping::Dcsa, b"[{"), "not_json"),
        (record("g", Mapping::Dcsa, b"{}"), "missing field `metadata`"),
    ];
    for (record, reason) in cases {
        let got = reasons(&view(&[record]));
        assert!(got.len() == 1 && got[0].contains(reason), "{reason}: {got:?}");
    }
}

#[test]
fn purchase_orders_tell_lines_and_the_day_asked_for() {
    // name, order, ordered, asked for, lines, a line's quantity and product
    let cases = [
        ("x12/004010_850.edi", "A99999-01", "1997-02-14", "1997-12-19", 7, "7", "1 CA", "MINI CHIPS LSS"),
        (
            "x12/v005010_850_test_1.edi",
            "05832797OD000ZZZ04269",
            "2011-08-23",
            "2011-09-13",
            4,
            "2",
            "10 EA",
            "",
        ),
        (
            "x12/v005010_850_test_2.edi",
            "17148217OD000BIN16484",
            "2018-03-08",
            "2018-03-10",
            1,
            "1",
            "1 EA",
            "BLOWER MOTOR ASSY",
        ),
        ("x12/v005010_850_test_3.edi", "01422073OP000", "2011-08-22", "2011-09-13", 3, "3", "3 EA", ""),
        (
            "x12/v005010_850_test_4.edi",
            "03095725OP000",
            "2019-07-09",
            "2019-07-29",
            5,
            "4",
            "1 EA",
            "HEAVY DUTY RADIATOR",
        ),
    ];
    for (name, order, ordered, asked, lines, line, quantity, product) in cases {
        let Some(view) = edi(name) else { return };
        let answer = view.track(order, None).unwrap().answer;
        assert_eq!((answer.state, answer.promised), (State::Ordered, Some(day(asked))), "{name}");
        assert_eq!(answer.lines.len(), lines, "{name}");
        assert_eq!(
            milestone(&view, Kind::Order, order, Milestone::Order, Classifier::Act).as_deref(),
            Some(ordered)
        );
        let line = format!("{order}/{line}");
        assert_eq!(attribute(&view, &line, "quantity").as_deref(), Some(quantity), "{name}");
        assert_eq!(attribute(&view, &line, "product").unwrap_or_default(), product, "{name}");
    }
    let Some(view) = edi("x12/v005010_855_test_1.edi") else { return };
    assert_eq!(attribute(&view, "801222/1", "acknowledged").as_deref(), Some("accepted"));
    assert_eq!(
        milestone(&view, Kind::Line, "801222/1", Milestone::Depart, Classifier::Pln).as_deref(),
        Some("2015-02-05")
    );
}

#[test]
fn ship_notices_tell_what_is_in_a_shipment() {
    let Some(view) = edi("x12/004060_856.edi") else { return };
    let shipment = view.track("829716", None).unwrap().answer;
    assert_eq!(shipment.state, State::InTransit);
    let lines: Vec<&str> = shipment.lines.iter().map(|line| line.id.as_str()).collect();
    assert_eq!(lines, ["99999817/1", "99999817/2"]);
    assert_eq!(attribute(&view, "99999817/2", "product").as_deref(), Some("RED WIDGET"));
    assert_eq!(attribute(&view, "99999817/2", "shipped quantity").as_deref(), Some("6 EA"));
    assert_eq!(attribute(&view, "829716", "bill of lading").as_deref(), Some("999999-001"));

    // Two orders on a pallet each, in a trailer.
    let view = edi("x12/v004010_856_test_11.edi").unwrap();
    let shipment = view.track("01140824", None).unwrap();
    assert_eq!(shipment.answer.lines.len(), 4);
    let pallet = view.track("00000010012378945698", None).unwrap();
    let held: BTreeSet<&str> = pallet
        .links
        .iter()
        .filter(|link| link.holder.id == "00000010012378945698")
        .map(|link| link.held.id.as_str())
        .collect();
    assert_eq!(held, BTreeSet::from(["2288115555/1", "2288115555/2"]));
    assert!(shipment.links.iter().any(|link| link.holder == Subject::new(Kind::Vehicle, "ABCD07213567")));

    let view = edi("x12/v004010_856_test_16.edi").unwrap();
    assert_eq!(view.track("DR3469500", None).unwrap().answer.lines[0].shipments, ["222253"]);
    for name in ["1", "10", "12", "13", "14"] {
        let view = edi(&format!("x12/v004010_856_test_{name}.edi")).unwrap();
        assert!(view.hashes().facts > 0, "{name}");
    }
    let view = edi("x12/v004010_856_test_10.edi").unwrap();
    assert_eq!(view.track("SHIPMENT ID", None).unwrap().answer.lines[0].id, "0123456789/1");
}

#[test]
fn carrier_status_is_told_for_each_delivery_order_and_the_whole() {
    let Some(view) = edi("x12/v004010_214_test_1.edi") else { return };
    for (part, delivered, appointment) in [
        ("99997666", "2011-12-22", "2011-12-22"),
        ("99990835", "2011-12-19", "2011-12-18"),
        ("99991280", "2011-12-19", "2011-12-18"),
    ] {
        let answer = view.track(part, None).unwrap().answer;
        assert_eq!(answer.delivered, Some(day(delivered)), "{part}");
        assert_eq!(answer.estimated, Some(day(appointment)), "{part}");
    }
    assert_eq!(view.track("99948782", None).unwrap().answer.delivered, Some(day("2011-12-22")));

    // Two transaction sets on one shipment: it left on the first of March, and was unloaded in the afternoon.
    let view = edi("x12/v004010_214_test_2.edi").unwrap();
    let answer = view.track("1234567", None).unwrap().answer;
    assert_eq!((answer.state, answer.delivered), (State::Delivered, Some(day("2006-03-01"))));
    assert_eq!(
        milestone(&view, Kind::Shipment, "1234567", Milestone::Depart, Classifier::Act).as_deref(),
        Some("2006-03-01")
    );
}

#[test]
fn ocean_status_is_told_with_its_ports() {
    let Some(view) = edi("x12/v004010_315_test_3.edi") else { return };
    let booking = view.track("2BUE013415", None).unwrap().answer;
    assert_eq!(booking.state, State::InTransit);
    let of = |milestone_, classifier| milestone(&view, Kind::Shipment, "2BUE013415", milestone_, classifier);
    assert_eq!(of(Milestone::Depart, Classifier::Act).as_deref(), Some("2022-10-25"));
    assert_eq!(of(Milestone::Arrive, Classifier::Est).as_deref(), Some("2022-11-30"));
    assert_eq!(of(Milestone::Arrive, Classifier::Act).as_deref(), Some("2022-11-14"));
    let container = view.track("TCKU7248999", None).unwrap().answer;
    let seen = container.location.unwrap().located;
    assert_eq!((seen.place.as_str(), seen.name.as_deref()), ("MAPTM", Some("APM TERMINALS TANGER MED")));
    assert_eq!(attribute(&view, "9633999", "name").as_deref(), Some("CAP SAN MALEAS"));

    let view = edi("x12/v004010_315_test_4.edi").unwrap();
    let of = |milestone_, classifier| milestone(&view, Kind::Shipment, "2SOL008733", milestone_, classifier);
    assert_eq!(of(Milestone::Depart, Classifier::Act).as_deref(), Some("2022-11-03"));
    assert_eq!(of(Milestone::Arrive, Classifier::Act).as_deref(), Some("2022-11-20"));
    assert_eq!(of(Milestone::Deliver, Classifier::Est).as_deref(), Some("2022-11-25"));
    let container = view.track("MRSU4371639", None).unwrap();
    assert!(container.history.iter().any(|line| line.what.contains("unloaded from vessel")));

    let view = edi("x12/004010_315.edi").unwrap();
    assert_eq!(view.track("1NAN910141", None).unwrap().answer.state, State::InTransit);
}

#[test]
fn iftsta_is_told_with_its_legs() {
    for name in
        ["d00b_iftsta.edi", "d00b_iftsta_test_1.edi", "d00b_iftsta_test_2.edi", "d00b_iftsta_test_3.edi"]
    {
        let Some(view) = edi(&format!("edifact/{name}")) else { return };
        let of =
            |milestone_, classifier| milestone(&view, Kind::Shipment, "24O4023815", milestone_, classifier);
        assert_eq!(of(Milestone::Depart, Classifier::Act).as_deref(), Some("2022-11-09"), "{name}");
        assert_eq!(of(Milestone::Arrive, Classifier::Act).as_deref(), Some("2022-11-17"), "{name}");
        assert_eq!(of(Milestone::Deliver, Classifier::Est).as_deref(), Some("2022-11-21"), "{name}");
        let booking = view.track("24O4023815", None).unwrap();
        assert_eq!(booking.answer.estimated, Some(day("2022-11-21")));
        assert_eq!(booking.answer.location.unwrap().located.name.as_deref(), Some("SYRACUSE"));
        assert!(booking.links.iter().any(|link| link.holder.id == "TRHU4561222"));
        let told = |part: &str| booking.history.iter().any(|line| line.what.contains(part));
        assert!(told("rail departed from in-transit locat"), "{:?}", booking.history);
    }
}

#[test]
fn other_interchanges_and_broken_ones_are_refused_for_their_reason() {
    let Some(folder) = test_data("apimeister-edi") else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let mut cut = read("x12/v004010_214_test_1.edi");
    cut.truncate(400);
    let mut date = String::from_utf8(read("x12/v004010_214_test_1.edi")).unwrap();
    date = date.replace("20111222*0745", "20111322*0745");
    let code = String::from_utf8(read("x12/004010_315.edi")).unwrap().replace("B4***VA", "B4***QQ");
    let cases: [(Vec<u8>, &str); 10] = [
        (read("x12/004010_310.edi"), "unsupported_type: X12 transaction set 310"),
        (read("x12/005010_824.edi"), "unsupported_type: X12 transaction set 824"),
        (read("x12/005010_837.edi"), "unsupported_type: X12 transaction set 837"),
        (read("edifact/d04b_baplie.edi"), "unsupported_type: EDIFACT message BAPLIE"),
        (read("edifact/d95b_coprar.edi"), "unsupported_type: EDIFACT message COPRAR"),
        (cut, "not_edi: a transaction set has no SE"),
        (date.into_bytes(), "invalid: 214: AT705 '20111322' is not a date"),
        (code.into_bytes(), "invalid: 315: B403 QQ is not known"),
        (b"{}".to_vec(), "not_edi: begins with none of"),
        (b"UNH+1+IFTSTA:D:00B:UN'UNT+1+1'".to_vec(), "invalid: IFTSTA: STS is missing"),
    ];
    for (bytes, reason) in cases {
        let got = reasons(&view(&[record("bad", Mapping::Edi, &bytes)]));
        assert!(got.len() == 1 && got[0].starts_with(reason), "{reason}: {got:?}");
    }
}

fn cloud(headers: &[(&str, &str)], value: &Value) -> LoadRecord {
    let mut record = record("c", Mapping::CloudEvents, value.to_string().as_bytes());
    record.headers.extend(headers.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())));
    record
}

#[test]
fn cloud_events_are_read_in_both_modes() {
    let data = json!({"order": "PO-1", "promised": "2026-02-01"});
    let binary = [
        ("ce_specversion", "1.0"),
        ("ce_id", "7"),
        ("ce_source", "/erp"),
        ("ce_type", "com.example.promise_changed"),
        ("ce_time", "2026-01-01T00:00:00Z"),
        ("content-type", "application/json"),
    ];
    let structured = json!({"specversion": "1.0", "id": "7", "source": "/erp", "type": "com.example.promise_changed",
        "time": "2026-01-01T00:00:00Z", "datacontenttype": "application/json", "data": data});
    let mode = [("content-type", "application/cloudevents+json; charset=utf-8")];
    let (one, other) = (view(&[cloud(&binary, &data)]), view(&[cloud(&mode, &structured)]));
    for view in [&one, &other] {
        assert_eq!(view.track("PO-1", None).unwrap().answer.promised, Some(day("2026-02-01")));
    }
    // The same event, however it is wrapped.
    assert_eq!(one.hashes().content_hash, other.hashes().content_hash);
    let both = view(&[cloud(&binary, &data), cloud(&mode, &structured)]).hashes();
    assert_eq!((both.content_hash, both.facts, both.tellings), (one.hashes().content_hash, 1, 2));

    let without = |name: &str| {
        let headers: Vec<(&str, &str)> = binary.into_iter().filter(|(known, _)| *known != name).collect();
        reasons(&view(&[cloud(&headers, &data)]))
    };
    assert!(without("ce_id")[0].contains("attribute id is missing"));
    assert!(without("ce_time")[0].contains("attribute time is missing"));
    assert!(reasons(&view(&[cloud(&[], &data)]))[0].contains("has neither ce_ headers"));
    let mut unknown = structured.clone();
    unknown["type"] = "com.example.teleported".into();
    assert!(reasons(&view(&[cloud(&mode, &unknown)]))[0].starts_with("unsupported_type"));
    let batch = [("content-type", "application/cloudevents-batch+json")];
    assert!(reasons(&view(&[cloud(&batch, &structured)]))[0].starts_with("unsupported_type"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_facts_or_a_refusal(bytes in proptest::collection::vec(any::<u8>(), 0..300), head in 0_usize..5) {
        let mut text = [&b"ISA*00* *00* *ZZ*A *ZZ*B *110913*2201*|*00501*7*0*P*:~"[..], b"UNA:+.? '", b"UNH+1+IFTSTA'", b"[{", b""][head].to_vec();
        text.extend(bytes);
        for mapping in Mapping::ALL {
            let log = log_of("partners", 1, &[record("any", mapping.clone(), &text)]);
            let _ = mapping.map(&log.records("partners")[0]);
        }
    }
}
