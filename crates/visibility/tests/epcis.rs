//! EPCIS: hash IDs against the published oracle; capture documents taken or refused, each for the reason foreseen.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::path::Path;

use common::{NOW, View, log_of, test_data};
use serde_json::{Value, json};
use waybill_visibility::load::{self, Format, LoadRecord};
use waybill_visibility::mapping::epcis::events_of;
use waybill_visibility::mapping::epcis::hash::{Context, event_hash, prehash};
use waybill_visibility::store::Store;

/// What is wrong with each file of `JSON/Capture/Invalid`, read off by hand: a word of the reason that must be given.
const REASONS: [(&str, &str); 15] = [
    ("Combination_of_events_with_missing_mandatory_fields.json", "eventList[0]: has no action"),
    ("Combination_of_multiple_invalid_fields.json", "bizStep transforming"),
    ("Combination_of_non_standard_bizStep_and_disposition.json", "bizStep transforming"),
    ("EPCISDocument_without_context.json", "@context"),
    ("ObjectEvent_with_ilmd_field_without_namespace.json", "ilmd.materialType has no namespace"),
    ("ObjectEvent_with_invalid_action.json", "action CREATE"),
    ("ObjectEvent_with_invalid_certificationInfo.json", "certificationInfo is not a URI"),
    ("ObjectEvent_with_invalid_eventTime_format.json", "eventTime '22-07-2026'"),
    ("ObjectEvent_with_non_standard_bizStep.json", "bizStep transforming"),
    ("ObjectEvent_with_non_standard_bizStep_in_second_event.json", "eventList[1]: bizStep transforming"),
    ("ObjectEvent_with_non_standard_disposition.json", "disposition in_transport"),
    ("ObjectEvent_with_quantity_as_text.json", "quantityList[0].quantity is not a number"),
    ("ObjectEvent_with_unknown_field_in_quantityList.json", "quantityList[0].weight"),
    ("ObjectEvent_without_action_and_eventTime.json", "has no eventTime"),
    ("ObjectEvent_without_identifier_list.json", "names nothing"),
];

fn json_files(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut files = load::files(&[folder.to_owned()]).unwrap();
    files.retain(|file| file.to_str().unwrap().ends_with(ending));
    files
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn all_hashes_of_the_oracle_come_out() {
    let Some(folder) = test_data("epcis-event-hash-generator/examples") else { return };
    let files = json_files(&folder, ".jsonld");
    assert_eq!(files.len(), 22);
    let mut hashes = 0;
    for file in files {
        let document = read(&file);
        let mut context = Context::of(&document);
        let oracle = std::fs::read_to_string(file.with_extension("hashes")).unwrap();
        let mut expected: Vec<&str> = oracle.split_whitespace().collect();
        let mut got: Vec<String> = Vec::new();
        for event in events_of(&document) {
            context.add(&Value::Object(event.clone()));
            got.push(event_hash(event, &context));
            if !expected.contains(&got.last().unwrap().as_str()) {
                panic!("{}\n{}", file.display(), prehash(event, &context));
            }
        }
        hashes += got.len();
        // The oracle lists events in an order of its own.
        got.sort_unstable();
        expected.sort_unstable();
        assert_eq!(got, expected, "{}", file.display());
    }
    assert_eq!(hashes, 43);
}

fn capture(folders: &[&str]) -> Option<Vec<LoadRecord>> {
    let base = test_data("openepcis-test-resources/2.0/EPCIS/JSON/Capture")?;
    let files = folders.iter().flat_map(|folder| json_files(&base.join(folder), ".json"));
    Some(
        files
            .flat_map(|file| {
                let name = file.file_name().unwrap().to_str().unwrap().to_owned();
                load::frame(Format::Epcis, &name, &std::fs::read(&file).unwrap(), NOW, None)
            })
            .collect(),
    )
}

#[test]
fn valid_documents_are_taken_and_invalid_ones_refused_for_the_reason_foreseen() {
    let Some(valid) = capture(&["Documents", "Events"]) else { return };
    assert_eq!(valid.len(), 43);
    let view = View::whole(&log_of("epcis", 3, &valid));
    view.assert_conserved();
    let refused = view.store.read().unwrap().quarantine(100).unwrap();
    assert!(refused.is_empty(), "{:?}", refused.iter().map(|row| &row.reason).collect::<Vec<_>>());

    let invalid = capture(&["Invalid"]).unwrap();
    assert_eq!(invalid.len(), 15);
    let view = View::whole(&log_of("epcis", 3, &invalid));
    view.assert_conserved();
    let read = view.store.read().unwrap();
    assert_eq!(read.hashes().unwrap().facts, 0, "a record with one bad event tells nothing");
    let refused = read.quarantine(100).unwrap();
    assert_eq!(refused.len(), 15);
    for (name, expected) in REASONS {
        let row = refused.iter().find(|row| row.key.as_deref() == Some(name.as_bytes())).unwrap();
        assert!(
            row.reason.starts_with("invalid: ") && row.reason.contains(expected),
            "{name}: {}",
            row.reason
        );
        let original = invalid.iter().find(|record| record.key.as_deref() == Some(name.as_bytes())).unwrap();
        assert_eq!(row.value.as_deref(), Some(original.value.as_slice()));
    }
}

#[test]
fn captures_twice_or_backwards_are_the_same_facts() {
    let Some(mut records) = capture(&["Documents", "Events"]) else { return };
    let first = View::whole(&log_of("epcis", 3, &records)).hashes();
    records.reverse();
    let copy = records.clone();
    records.extend(copy);
    let again = View::whole(&log_of("epcis", 2, &records)).hashes();
    assert_eq!(again.content_hash, first.content_hash);
    assert_eq!(again.facts, first.facts);
}

fn aggregation(action: &str, time: &str, children: &[&str]) -> Value {
    json!({"@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"], "type": "AggregationEvent",
        "eventTime": time, "eventTimeZoneOffset": "+00:00", "parentID": "urn:epc:id:sscc:4012345.0000000333",
        "childEPCs": children, "action": action, "bizStep": "packing", "readPoint": {"id": "urn:epc:id:sgln:4012345.00011.0"}})
}

fn records(events: &[Value]) -> Vec<LoadRecord> {
    let frame = |event: &Value| load::frame(Format::Epcis, "event", event.to_string().as_bytes(), NOW, None);
    events.iter().flat_map(frame).collect()
}

#[test]
fn containment_follows_adds_and_deletes_and_an_error_declaration_takes_an_event_back() {
    const ITEM: &str = "urn:epc:id:sgtin:4012345.011111.9876";
    let add = aggregation("ADD", "2026-01-01T10:00:00Z", &[ITEM]);
    let empty = aggregation("DELETE", "2026-01-02T10:00:00Z", &[]);
    let view = View::whole(&log_of("epcis", 1, &records(&[add.clone(), empty])));
    // Found by its URN, though facts carry the canonical form.
    let track = view.track(ITEM, None).unwrap();
    assert_eq!(track.answer.subject.id, "https://id.gs1.org/01/04012345111118/21/9876");
    let link = track.links.iter().find(|link| link.held == track.answer.subject).unwrap();
    assert_eq!(link.holder.id, "https://id.gs1.org/00/040123450000003338");
    assert_eq!(link.until.unwrap().to_string(), "2026-01-02T10:00:00Z");

    let mut error = add.clone();
    error["errorDeclaration"] = json!({"declarationTime": "2026-01-03T00:00:00Z", "reason": "did_not_occur"});
    let mut told = records(&[add, error]);
    told[1].timestamp.0 += 1_000;
    let view = View::whole(&log_of("epcis", 1, &told));
    let before = view.track(ITEM, Some(NOW)).unwrap();
    assert!(before.answer.location.is_some() && before.history.iter().all(|line| !line.withdrawn));
    let after = view.track(ITEM, Some(told[1].timestamp)).unwrap();
    assert!(after.answer.location.is_none() && after.links.is_empty());
    assert!(after.history.iter().any(|line| line.withdrawn));
    assert!(after.history.iter().any(|line| line.is_correction && line.what.ends_with("did not occur")));
}
