//! Refused records and what becomes of them: repaired, driven again, discarded; counted once whatever happens.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{NOW, View, instant, log_of};
use proptest::prelude::*;
use serde_json::json;
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};
use waybill_visibility::ingest::memory::MemoryLog;
use waybill_visibility::ingest::{NamedSource, Sources};
use waybill_visibility::load::LoadRecord;
use waybill_visibility::mapping::{MAPPING_HEADER, Mapping, MappingFile, Mappings, Record};
use waybill_visibility::store::{
    Counts, Decision, Outcome, QuarantineRow, RecordId, RowState, Ruled, Ruling, Store,
};

const TOPIC: TopicId = TopicId([7; 16]);

fn value(number: usize, order: &str) -> Vec<u8> {
    let at = "2026-01-01T00:00:00Z";
    json!({"event_id": format!("p{number}"), "event": "promise_changed", "event_time": at, "source": "erp",
        "order": order, "promised": format!("2026-02-{:02}", number + 1)})
    .to_string()
    .into_bytes()
}

fn record(number: usize, order: &str) -> LoadRecord {
    LoadRecord {
        key: Some(order.as_bytes().to_vec()),
        value: value(number, order),
        headers: vec![
            (MAPPING_HEADER.to_owned(), b"events@1".to_vec()),
            ("trace".to_owned(), b"t-1".to_vec()),
        ],
        timestamp: TimestampMs(
            instant("2026-01-01T00:00:00Z").get() + i64::try_from(number).unwrap() * 1_000,
        ),
    }
}

fn broken(number: usize, order: &str) -> LoadRecord {
    LoadRecord { value: b"{\"event\":".to_vec(), ..record(number, order) }
}

fn map(mapping: &Mapping, record: &Record) -> Outcome {
    match mapping.map(record) {
        Ok(facts) => Outcome::Projected(facts),
        Err(refusal) => Outcome::Quarantined(refusal),
    }
}

fn rule(view: &View, offset: i64, decision: Decision) -> Ruled {
    let record = RecordId { topic: TOPIC, partition: PartitionId(0), offset: Offset(offset) };
    let ruling = Ruling { record, decision, who: "User:test".to_owned(), at: NOW, note: "why".to_owned() };
    let ruled = view.store.rule(&[ruling], &|waiting| map(&Mapping::Events, waiting)).unwrap().remove(0);
    view.assert_conserved();
    ruled
}

fn rows(view: &View) -> Vec<QuarantineRow> {
    let mut rows = view.store.read().unwrap().quarantine(1_000).unwrap();
    rows.sort_by_key(|row| row.evidence);
    rows
}

fn states(view: &View) -> Vec<(i64, RowState)> {
    rows(view).iter().map(|row| (row.evidence.offset.get(), row.state)).collect()
}

fn counts(view: &View) -> Counts {
    view.assert_conserved();
    view.store.read().unwrap().counts().unwrap().remove(0)
}

fn sums(view: &View) -> [u64; 6] {
    let counts = counts(view);
    [counts.taken, counts.projected, counts.held, counts.quarantined, counts.repaired, counts.discarded]
}

fn promised(view: &View, order: &str) -> Option<String> {
    view.track(order, None)?.answer.promised.map(|day| day.to_string())
}

fn ordered(log: &MemoryLog) -> View {
    let source = NamedSource { topic: "orders".to_owned(), mapping: Mapping::Events, ordered: true };
    let mut view = View::over(log, Sources::Named(vec![source]));
    view.ingest.drain().unwrap();
    view
}

#[test]
fn a_repaired_record_is_published_with_its_origin_and_counted_once() {
    let log = log_of("orders", 1, &[record(0, "PO-1"), broken(1, "PO-1"), record(2, "PO-2")]);
    let mut view = View::whole(&log);
    assert_eq!(sums(&view), [3, 2, 0, 1, 0, 0]);
    assert_eq!(rule(&view, 1, Decision::Repair(value(1, "PO-1"))), Ruled::Repairing);
    assert_eq!(rule(&view, 1, Decision::Repair(value(9, "PO-1"))), Ruled::Unchanged(RowState::Repairing));
    assert_eq!(rule(&view, 1, Decision::Discard), Ruled::Unchanged(RowState::Repairing));
    assert_eq!(sums(&view), [3, 2, 0, 1, 0, 0], "until the copy is read it waits");
    view.ingest.drain().unwrap();
    assert_eq!(promised(&view, "PO-1").as_deref(), Some("2026-02-02"));
    // Four records in the log, three of them taken for what they are, one replaced.
    assert_eq!(sums(&view), [4, 3, 0, 0, 1, 0]);
    assert_eq!(states(&view), [(1, RowState::Repaired)]);
    let copy = log.records("orders").pop().unwrap();
    let header = |name: &str| copy.header(name).map(|value| String::from_utf8(value.to_vec()).unwrap());
    for (name, expected) in [
        ("waybill-origin-topic", "orders"),
        ("waybill-origin-partition", "0"),
        ("waybill-origin-offset", "1"),
        ("waybill-origin-timestamp", "1767225601000"),
        ("waybill-repaired-by", "User:test"),
        ("waybill-mapping", "events@1"),
        ("trace", "t-1"),
    ] {
        assert_eq!(header(name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!((copy.key.as_deref(), copy.timestamp), (Some(&b"PO-1"[..]), NOW));

    // A copy that is sent twice tells nothing new.
    let (hash, answer) = (view.hashes().content_hash, view.track("PO-1", None).unwrap().answer);
    let again = LoadRecord {
        key: Some(b"PO-1".to_vec()),
        value: copy.value.as_deref().unwrap().to_vec(),
        headers: copy
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.as_deref().unwrap().to_vec()))
            .collect(),
        timestamp: copy.timestamp,
    };
    log.append("orders", &again).unwrap();
    view.ingest.drain().unwrap();
    assert_eq!((view.hashes().content_hash, view.track("PO-1", None).unwrap().answer), (hash, answer));
    assert_eq!(sums(&view), [5, 4, 0, 0, 1, 0]);

    // A rebuild knows of no decision, and comes to the same.
    let rebuilt = View::whole(&log);
    assert_eq!(rebuilt.hashes(), view.hashes());
    assert_eq!(sums(&rebuilt), sums(&view));
    assert_eq!(states(&rebuilt), states(&view));
    let decisions = view.store.read().unwrap().decisions(&rows(&view)[0].id()).unwrap();
    let told: Vec<(&str, &str)> =
        decisions.iter().map(|each| (each.what.as_str(), each.outcome.as_str())).collect();
    assert_eq!(
        told,
        [("repair", "repairing"), ("repair", "unchanged: repairing"), ("discard", "unchanged: repairing")]
    );
}

#[test]
fn a_copy_that_is_refused_too_gives_its_origin_back() {
    let log = log_of("orders", 1, &[broken(1, "PO-1"), record(2, "PO-2")]);
    let mut view = View::whole(&log);
    rule(&view, 0, Decision::Repair(b"{".to_vec()));
    view.ingest.drain().unwrap();
    assert_eq!(states(&view), [(0, RowState::Refused), (2, RowState::Refused)]);
    assert_eq!(sums(&view), [3, 1, 0, 2, 0, 0]);
    rule(&view, 0, Decision::Repair(value(1, "PO-1")));
    rule(&view, 2, Decision::Discard);
    view.ingest.drain().unwrap();
    assert_eq!(sums(&view), [4, 2, 0, 0, 1, 1]);
    assert_eq!(promised(&view, "PO-1").as_deref(), Some("2026-02-02"));
}

#[test]
fn what_waits_behind_a_record_is_released_by_any_decision() {
    let records =
        [broken(1, "PO-1"), record(2, "PO-1"), broken(3, "PO-1"), record(4, "PO-1"), record(5, "PO-2")];
    let log = log_of("orders", 1, &records);
    let mut view = ordered(&log);
    assert_eq!(sums(&view), [5, 1, 3, 1, 0, 0]);
    assert_eq!(rule(&view, 1, Decision::Discard), Ruled::Unchanged(RowState::Held), "its turn will come");
    // Discarded: the next is taken, up to the next that is refused, which now blocks.
    assert_eq!(rule(&view, 0, Decision::Discard), Ruled::Discarded);
    assert_eq!(sums(&view), [5, 2, 1, 1, 0, 1]);
    assert_eq!(states(&view), [(0, RowState::Discarded), (2, RowState::Refused), (3, RowState::Held)]);
    view.ingest.drain().unwrap();
    assert_eq!(promised(&view, "PO-1").as_deref(), Some("2026-02-03"));
    assert_eq!(log.records("orders.quarantine").len(), 2, "it is refused now, and its topic knows");
    // What comes later still waits; the repaired copy itself does not.
    log.append("orders", &record(6, "PO-1")).unwrap();
    view.ingest.drain().unwrap();
    assert_eq!(sums(&view), [6, 2, 2, 1, 0, 1]);
    rule(&view, 2, Decision::Repair(value(3, "PO-1")));
    view.ingest.drain().unwrap();
    assert_eq!(sums(&view), [7, 5, 0, 0, 1, 1]);
    // The order of events, not that of their coming: 6 was told last but for the copy, told when it was repaired.
    assert_eq!(promised(&view, "PO-1").as_deref(), Some("2026-02-04"));
    log.append("orders", &record(7, "PO-2")).unwrap();
    view.ingest.drain().unwrap();
    assert_eq!(sums(&view), [8, 6, 0, 0, 1, 1]);
}

#[test]
fn a_mended_mapping_takes_what_the_old_one_refused() {
    let text = "mapping = \"t@1\"\nformat = \"json\"\nsource = \"s\"\nevent_id = \"{id}\"\n[[fact]]\nwhat = { order = \"{order}\" }\n\
                milestone = \"deliver\"\nclassifier = \"PLN\"\nevent_time = \"{day}\"\n";
    let mended = text.replace("[[fact]]", "[time]\nforms = [\"rfc3339\", \"%d.%m.%Y\"]\n[[fact]]");
    let row = |order: &str, day: &str| LoadRecord {
        key: Some(order.as_bytes().to_vec()),
        value: json!({"id": order, "order": order, "day": day}).to_string().into_bytes(),
        headers: vec![(MAPPING_HEADER.to_owned(), b"t@1".to_vec())],
        timestamp: instant("2026-01-01T00:00:00Z"),
    };
    let log = log_of("orders", 1, &[row("PO-1", "2026-02-01"), row("PO-2", "2.2.2026"), row("PO-3", "soon")]);
    let with = |text: &str| {
        let mut mappings = Mappings::default();
        mappings.add(MappingFile::parse("t.toml", text).unwrap()).unwrap();
        let mut view = View::over(&log, Sources::Discovered);
        view.ingest = view.ingest.with_mappings(mappings.clone());
        view.ingest.drain().unwrap();
        (view, mappings.find("t").unwrap())
    };
    let (mut view, _) = with(text);
    let (expected, mapping) = with(&mended);
    assert_eq!((sums(&view), sums(&expected)), ([3, 1, 0, 2, 0, 0], [3, 2, 0, 1, 0, 0]));
    let redrive = |view: &View, row: &QuarantineRow| {
        rule(view, row.evidence.offset.get(), Decision::Redrive(map(&mapping, &row.record())))
    };
    let refused = rows(&view);
    assert_eq!(redrive(&view, &refused[0]), Ruled::Projected(1));
    let Ruled::StillRefused(reason) = redrive(&view, &refused[1]) else { panic!() };
    assert!(reason.contains("'soon' is a time in none of the forms"), "{reason}");
    assert_eq!(redrive(&view, &refused[0]), Ruled::Unknown, "it is not in quarantine any more");
    view.ingest.drain().unwrap();
    // As if the mended mapping had read everything.
    assert_eq!(sums(&view), sums(&expected));
    assert_eq!(view.hashes(), expected.hashes());
    assert_eq!(promised(&view, "PO-2").as_deref(), Some("2026-02-02"));
    let order = view.track("PO-2", None).unwrap().answer;
    let derived = view.store.read().unwrap().derived(&order.subject).unwrap().unwrap();
    assert_eq!(derived.promised, order.promised, "the derived row follows");
}

/// A decision, by the number of the refused row that it is about.
#[derive(Debug, Clone)]
enum Act {
    Append(u8, bool),
    Discard(usize),
    Redrive(usize),
    Repair(usize, bool),
    Read,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_u8..3, prop::bool::weighted(0.4)).prop_map(|(order, broken)| Act::Append(order, broken)),
        1 => (0_usize..12).prop_map(Act::Discard),
        1 => (0_usize..12).prop_map(Act::Redrive),
        2 => (0_usize..12, prop::bool::weighted(0.8)).prop_map(|(row, good)| Act::Repair(row, good)),
        3 => Just(Act::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever is decided when, each record is in one count, nothing is held for nothing, and every sound record tells.
    #[test]
    fn records_are_conserved_whatever_is_decided(acts in proptest::collection::vec(act(), 1..50), in_order in any::<bool>()) {
        let log = log_of("orders", 1, &[record(0, "PO-9")]);
        let source = NamedSource { topic: "orders".to_owned(), mapping: Mapping::Events, ordered: in_order };
        let mut view = View::over(&log, Sources::Named(vec![source]));
        for (number, act) in acts.iter().enumerate() {
            let number = 1 + number % 25;
            let kept = rows(&view);
            let pick = |row: usize| kept.get(row % kept.len().max(1));
            match act {
                Act::Append(order, bad) => {
                    let order = format!("PO-{order}");
                    log.append("orders", &if *bad { broken(number, &order) } else { record(number, &order) }).unwrap();
                }
                Act::Read => view.ingest.drain().unwrap(),
                Act::Discard(row) => if let Some(row) = pick(*row) {
                    rule(&view, row.evidence.offset.get(), Decision::Discard);
                },
                Act::Redrive(row) => if let Some(row) = pick(*row) {
                    let outcome = map(&Mapping::Events, &row.record());
                    rule(&view, row.evidence.offset.get(), Decision::Redrive(outcome));
                },
                Act::Repair(row, good) => if let Some(row) = pick(*row) {
                    let order = String::from_utf8(row.key.clone().unwrap()).unwrap();
                    let value = if *good { value(number, &order) } else { b"[".to_vec() };
                    rule(&view, row.evidence.offset.get(), Decision::Repair(value));
                },
            }
        }
        // Repairs come back through the log: read until nothing is on its way.
        for _ in 0..3 {
            view.ingest.drain().unwrap();
        }
        let counts = counts(&view);
        prop_assert_eq!(counts.taken, u64::try_from(log.records("orders").len()).unwrap());
        let kept = rows(&view);
        // A repair is on its way only while its copy waits behind another record.
        for row in kept.iter().filter(|row| row.state == RowState::Repairing) {
            let waits = kept.iter().any(|other| other.state == RowState::Held && other.key == row.key);
            prop_assert!(waits, "{:?} was not repaired", row.evidence);
        }
        for row in kept.iter().filter(|row| row.state == RowState::Held) {
            let blocker = kept.iter().any(|other| {
                other.state == RowState::Refused && other.key == row.key && other.evidence.offset < row.evidence.offset
            });
            prop_assert!(blocker, "{:?} waits for nothing", row.evidence);
        }
        // Once all that is refused is discarded, every record that can be read has told.
        loop {
            let refused: Vec<i64> =
                rows(&view).iter().filter(|row| row.state == RowState::Refused).map(|row| row.evidence.offset.get()).collect();
            if refused.is_empty() {
                break;
            }
            for offset in refused {
                rule(&view, offset, Decision::Discard);
            }
        }
        let sound = log.records("orders").iter().filter(|record| Mapping::Events.map(record).is_ok()).count();
        prop_assert_eq!(sums(&view)[1], u64::try_from(sound).unwrap());
        prop_assert_eq!(sums(&view)[2..4].to_vec(), vec![0, 0]);
    }
}
