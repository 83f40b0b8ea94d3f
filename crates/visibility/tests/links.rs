//! What travels in what, and when: an order booked whole carries its lines, a link counts for as long as it holds.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{NOW, View, day, event, instant, log_of};
use serde_json::{Value, json};
use waybill_visibility::load::LoadRecord;
use waybill_visibility::model::State;
use waybill_visibility::query::{Question, lists};
use waybill_visibility::store::{Listing, Store};

fn told(id: &str, at: &str, body: Value) -> LoadRecord {
    let mut value = json!({"event_id": id, "event_time": at, "source": "erp"});
    for (name, field) in body.as_object().unwrap() {
        value[name] = field.clone();
    }
    event(id, at, &value)
}

fn place(id: &str) -> Value {
    json!({"id": id, "name": format!("{id} yard")})
}

fn ordered(order: &str, at: &str, promised: &str) -> LoadRecord {
    let line = |number: &str| json!({"line": number, "product": "P", "description": "kit", "quantity": 1, "unit": "pack"});
    let body = json!({"event": "order_placed", "order": order, "customer": "C", "supplier": "S",
        "destination": place("Dar"), "promised": promised, "lines": [line("1"), line("2")]});
    told(&format!("{order}-placed"), at, body)
}

fn booked(shipment: &str, at: &str, orders: &Value) -> LoadRecord {
    let body = json!({"event": "shipment_created", "shipment": shipment, "orders": orders, "mode": "sea",
        "carrier": "K", "origin": place("Hamburg"), "destination": place("Dar"), "estimated": "2026-02-01"});
    told(&format!("{shipment}-booked"), at, body)
}

fn moved(what: &str, shipment: &str, at: &str, place_id: &str) -> LoadRecord {
    let body = json!({"event": what, "shipment": shipment, "place": place(place_id)});
    told(&format!("{shipment}-{what}-{at}"), at, body)
}

fn scanned(
    id: &str,
    at: &str,
    kind: &str,
    object: &str,
    parent: Value,
    action: &str,
    at_place: &str,
) -> LoadRecord {
    let body = json!({"event": "scan", "objects": [{"kind": kind, "id": object}], "parent": parent,
        "action": action, "biz_step": "loading", "place": place(at_place)});
    told(id, at, body)
}

fn view(records: &[LoadRecord]) -> View {
    View::whole(&log_of("events", 2, records))
}

#[test]
fn an_order_booked_whole_is_delivered_with_its_shipment() {
    let mut records = vec![
        ordered("PO-1", "2026-01-01T08:00:00Z", "2026-02-10"),
        booked("SHP-1", "2026-01-02T08:00:00Z", &json!([{"order": "PO-1"}])),
        moved("departed", "SHP-1", "2026-01-05T08:00:00Z", "Hamburg"),
    ];
    let sailing = view(&records);
    let order = sailing.track("PO-1", None).unwrap().answer;
    assert_eq!(order.state, State::InTransit);
    assert!(order.lines.iter().all(|line| line.state == State::InTransit && line.shipments == ["SHP-1"]));
    assert_eq!(order.estimated, Some(day("2026-02-01")));
    let line = sailing.track("PO-1/2", None).unwrap().answer;
    assert_eq!(line.location.unwrap().located.place, "Hamburg");

    records.push(moved("delivered", "SHP-1", "2026-02-13T08:00:00Z", "Dar"));
    let view = view(&records);
    let order = view.track("PO-1", None).unwrap().answer;
    assert_eq!((order.state, order.delivered), (State::Delivered, Some(day("2026-02-13"))));
    assert_eq!(order.days_late, Some(3));
    assert!(order.lines.iter().all(|line| line.delivered == order.delivered && line.days_late == Some(3)));
    for line in ["PO-1/1", "PO-1/2"] {
        assert_eq!(view.track(line, None).unwrap().answer.delivered, order.delivered, "{line}");
    }
    // The other way: the shipment carries the order's lines.
    let shipment = view.track("SHP-1", None).unwrap().answer;
    let carried: Vec<&str> = shipment.lines.iter().map(|line| line.id.as_str()).collect();
    assert_eq!(carried, ["PO-1/1", "PO-1/2"]);
    // Derived rows say the same.
    let read = view.store.read().unwrap();
    for subject in [&order.subject, &shipment.subject] {
        let row = read.derived(subject).unwrap().unwrap();
        assert_eq!((row.state, row.delivered), (State::Delivered, order.delivered), "{subject}");
    }
    assert!(read.list(Listing::OpenOrders { as_of: NOW }).unwrap().is_empty());
}

#[test]
fn lines_told_one_by_one_deliver_the_shipment_of_the_whole_order() {
    let body = json!({"event": "delivered", "shipment": "SHP-1", "place": place("Dar"),
        "lines": [{"order": "PO-1", "line": "1"}, {"order": "PO-1", "line": "2"}]});
    let view = view(&[
        ordered("PO-1", "2026-01-01T08:00:00Z", "2026-02-10"),
        booked("SHP-1", "2026-01-02T08:00:00Z", &json!([{"order": "PO-1"}])),
        told("d", "2026-02-09T08:00:00Z", body),
    ]);
    for id in ["PO-1", "SHP-1"] {
        let answer = view.track(id, None).unwrap().answer;
        assert_eq!((answer.state, answer.days_late), (State::Delivered, Some(-1)), "{id}");
    }
}

#[test]
fn a_shipment_of_its_own_takes_a_line_out_of_its_orders() {
    let mut records = vec![
        ordered("PO-1", "2026-01-01T08:00:00Z", "2026-02-10"),
        booked("SHP-1", "2026-01-02T08:00:00Z", &json!([{"order": "PO-1"}])),
        booked("SHP-2", "2026-01-03T08:00:00Z", &json!([{"order": "PO-1", "lines": ["2"]}])),
        moved("delivered", "SHP-1", "2026-02-09T08:00:00Z", "Dar"),
    ];
    let half = view(&records);
    let order = half.track("PO-1", None).unwrap().answer;
    assert_eq!((order.state, order.delivered), (State::PartiallyDelivered, None));
    assert_eq!(order.lines[0].delivered, Some(day("2026-02-09")));
    assert_eq!((order.lines[1].delivered, &order.lines[1].shipments[..]), (None, &["SHP-2".to_owned()][..]));
    let carried = |view: &View, id: &str| -> Vec<String> {
        view.track(id, None).unwrap().answer.lines.into_iter().map(|line| line.id).collect()
    };
    assert_eq!(carried(&half, "SHP-1"), ["PO-1/1"]);
    assert_eq!(carried(&half, "SHP-2"), ["PO-1/2"]);
    records.push(moved("delivered", "SHP-2", "2026-02-12T08:00:00Z", "Dar"));
    let whole = view(&records).track("PO-1", None).unwrap().answer;
    assert_eq!((whole.delivered, whole.days_late), (Some(day("2026-02-12")), Some(2)));
}

#[test]
fn what_was_taken_out_before_delivery_was_not_delivered_and_what_was_unpacked_after_was() {
    let shipment = json!({"kind": "shipment", "id": "SHP-1"});
    let scan = |id: &str, at: &str, pallet: &str, action: &str| {
        scanned(id, at, "pallet", pallet, shipment.clone(), action, "Hamburg")
    };
    let view = view(&[
        scan("a", "2026-01-01T08:00:00Z", "early", "ADD"),
        scan("b", "2026-01-01T08:00:00Z", "kept", "ADD"),
        scan("c", "2026-01-03T08:00:00Z", "early", "DELETE"),
        moved("departed", "SHP-1", "2026-01-05T08:00:00Z", "Antwerp"),
        moved("delivered", "SHP-1", "2026-01-09T08:00:00Z", "Dar"),
        scanned("d", "2026-01-10T08:00:00Z", "pallet", "kept", shipment.clone(), "DELETE", "Clinic"),
        moved("arrived", "SHP-1", "2026-01-20T08:00:00Z", "Depot"),
    ]);
    let early = view.track("early", None).unwrap().answer;
    assert_ne!(early.state, State::InTransit, "it stayed behind");
    assert_eq!(early.location.unwrap().located.place, "Hamburg");
    let kept = view.track("kept", None).unwrap().answer;
    assert_eq!(kept.location.unwrap().located.place, "Clinic");
}

#[test]
fn a_place_counts_only_while_every_link_up_to_it_holds() {
    let pallet = json!({"kind": "pallet", "id": "P"});
    let container = json!({"kind": "container", "id": "C"});
    let view = view(&[
        // The item leaves the pallet before the pallet goes into the container that sails.
        scanned("a", "2026-01-01T08:00:00Z", "item", "I", pallet.clone(), "ADD", "Plant"),
        scanned("b", "2026-01-02T08:00:00Z", "item", "I", pallet.clone(), "DELETE", "Plant"),
        scanned("c", "2026-01-03T08:00:00Z", "pallet", "P", container.clone(), "ADD", "Port"),
        scanned("d", "2026-01-09T08:00:00Z", "container", "C", Value::Null, "OBSERVE", "Ocean"),
        // A second stay in the same pallet counts like the first.
        scanned("e", "2026-01-01T08:00:00Z", "item", "J", pallet.clone(), "ADD", "Plant"),
        scanned("f", "2026-01-02T08:00:00Z", "item", "J", pallet.clone(), "DELETE", "Plant"),
        scanned("g", "2026-01-04T08:00:00Z", "item", "J", pallet, "ADD", "Port"),
    ]);
    let place = |id: &str| view.track(id, None).unwrap().answer.location.unwrap().located.place;
    assert_eq!(place("I"), "Plant");
    assert_eq!(place("P"), "Ocean");
    assert_eq!(place("J"), "Ocean");
}

#[test]
fn a_late_promise_is_listed_once_for_the_order_not_again_for_its_shipments() {
    let view = view(&[
        ordered("PO-1", "2026-01-01T08:00:00Z", "2026-01-20"),
        booked("SHP-1", "2026-01-02T08:00:00Z", &json!([{"order": "PO-1"}])),
        ordered("PO-2", "2026-01-01T08:00:00Z", "2026-01-21"),
        booked("SHP-2", "2026-01-02T08:00:00Z", &json!([{"order": "PO-2", "lines": ["1", "2"]}])),
    ]);
    let read = view.store.read().unwrap();
    for as_of in ["2026-01-10T00:00:00Z", "2026-01-25T00:00:00Z"] {
        let (_, found) = lists::exceptions(read.as_ref(), &Question::now(), instant(as_of)).unwrap();
        let listed: Vec<(&str, String)> =
            found.iter().map(|each| (each.rule.name(), each.subject.to_string())).collect();
        assert_eq!(listed.len(), 2, "{listed:?}");
        assert!(listed.iter().all(|(_, subject)| subject.starts_with("order ")), "{listed:?}");
    }
    let (_, changes) =
        lists::changes(read.as_ref(), &Question::now(), instant("2025-01-01"), 100, NOW).unwrap();
    let promised: Vec<String> = changes
        .iter()
        .filter(|change| change.what == "promised")
        .map(|change| change.subject.to_string())
        .collect();
    assert_eq!(promised.len(), 2, "{promised:?}");
}
