//! What makes a capture document one: the rules of the EPCIS 2.0 and CBV 2.0 standards that a record must keep to be
//! taken. Each fault names its place.

use serde_json::{Map, Value};

use crate::mapping::Refusal;
use crate::model::time::parse_instant;

/// CBV 2.0, section 7.1.
const BIZ_STEPS: [&str; 41] = [
    "accepting",
    "arriving",
    "assembling",
    "collecting",
    "commissioning",
    "consigning",
    "creating_class_instance",
    "cycle_counting",
    "decommissioning",
    "departing",
    "destroying",
    "disassembling",
    "dispensing",
    "encoding",
    "entering_exiting",
    "holding",
    "inspecting",
    "installing",
    "killing",
    "loading",
    "other",
    "packing",
    "picking",
    "receiving",
    "removing",
    "repackaging",
    "repairing",
    "replacing",
    "reserving",
    "retail_selling",
    "sampling",
    "sensor_reporting",
    "shipping",
    "staging_outbound",
    "stock_taking",
    "stocking",
    "storing",
    "transporting",
    "unloading",
    "unpacking",
    "void_shipping",
];

/// CBV 2.0, section 7.2.
const DISPOSITIONS: [&str; 33] = [
    "active",
    "available",
    "completeness_inferred",
    "completeness_verified",
    "conformant",
    "container_closed",
    "container_open",
    "damaged",
    "destroyed",
    "dispensed",
    "disposed",
    "encoded",
    "expired",
    "in_progress",
    "in_transit",
    "inactive",
    "mismatch_class",
    "mismatch_instance",
    "mismatch_quantity",
    "needs_replacement",
    "no_pedigree_match",
    "non_conformant",
    "non_sellable_other",
    "partially_dispensed",
    "recalled",
    "reserved",
    "retail_sold",
    "returned",
    "sellable_accessible",
    "sellable_not_accessible",
    "stolen",
    "unavailable",
    "unknown",
];

/// CBV 2.0, section 7.4.
const PARTIES: [&str; 3] = ["owning_party", "possessing_party", "location"];

const FIELDS: [&str; 30] = [
    "@context",
    "type",
    "eventID",
    "eventTime",
    "recordTime",
    "eventTimeZoneOffset",
    "errorDeclaration",
    "certificationInfo",
    "parentID",
    "childEPCs",
    "epcList",
    "inputEPCList",
    "outputEPCList",
    "quantityList",
    "childQuantityList",
    "inputQuantityList",
    "outputQuantityList",
    "action",
    "transformationID",
    "bizStep",
    "disposition",
    "persistentDisposition",
    "readPoint",
    "bizLocation",
    "bizTransactionList",
    "sourceList",
    "destinationList",
    "sensorElementList",
    "ilmd",
    "id",
];

fn fault(place: &str, what: &str) -> Refusal {
    Refusal::new("invalid", format!("{place}: {what}"))
}

/// The events of a capture document, or the one event that the record is.
///
/// # Errors
/// The record is no EPCIS 2.0 document or event in JSON.
pub(super) fn events(document: &Value) -> Result<Vec<&Map<String, Value>>, Refusal> {
    let object = document.as_object().ok_or_else(|| fault("document", "is not an object"))?;
    let Some(kind) = object.get("type").and_then(Value::as_str) else {
        return Err(fault("document", "has no type"));
    };
    if !object.contains_key("@context") {
        return Err(fault("document", "has no @context"));
    }
    match kind {
        "EPCISDocument" | "EPCISQueryDocument" => {
            if !object
                .get("schemaVersion")
                .and_then(Value::as_str)
                .is_some_and(|version| version.starts_with("2."))
            {
                return Err(Refusal::new("unsupported_type", "schemaVersion: only 2.x is read"));
            }
            // Who answers a query need not say when the answer was made.
            if kind == "EPCISDocument" || object.contains_key("creationDate") {
                instant_at(object, "creationDate", "document")?;
            }
            let body = document.get("epcisBody");
            let results = body.and_then(|body| body.get("queryResults"));
            let results = results.and_then(|results| results.get("resultsBody"));
            let list = [body, results].into_iter().flatten().find_map(|holder| holder.get("eventList"));
            let list =
                list.and_then(Value::as_array).ok_or_else(|| fault("epcisBody", "has no eventList"))?;
            let as_event = |(at, event): (usize, &'_ Value)| -> Result<(), Refusal> {
                event
                    .as_object()
                    .map(|_| ())
                    .ok_or_else(|| fault(&format!("eventList[{at}]"), "is not an object"))
            };
            list.iter().enumerate().try_for_each(as_event)?;
            Ok(list.iter().filter_map(Value::as_object).collect())
        }
        _ if kind.ends_with("Event") => Ok(vec![object]),
        _ => Err(Refusal::new("unsupported_type", format!("documents of type {kind} are not captured"))),
    }
}

/// Checks one event.
///
/// # Errors
/// The first fault found, with its place.
pub(super) fn event(event: &Map<String, Value>, place: &str) -> Result<(), Refusal> {
    let kind = event.get("type").and_then(Value::as_str).ok_or_else(|| fault(place, "has no type"))?;
    let lists: &[&str] = match kind {
        "ObjectEvent" => &["epcList", "quantityList", "sensorElementList"],
        "AggregationEvent" | "AssociationEvent" => &["parentID", "childEPCs", "childQuantityList"],
        "TransactionEvent" => &["bizTransactionList"],
        "TransformationEvent" => {
            &["inputEPCList", "inputQuantityList", "outputEPCList", "outputQuantityList", "transformationID"]
        }
        _ => return Err(Refusal::new("unsupported_type", format!("{place}: {kind} is no EPCIS event"))),
    };
    if let Some(unknown) = event.keys().find(|name| !name.contains(':') && !FIELDS.contains(&name.as_str())) {
        return Err(fault(place, &format!("{unknown} is no field of an event, and has no namespace")));
    }
    instant_at(event, "eventTime", place)?;
    let offset = event.get("eventTimeZoneOffset").and_then(Value::as_str);
    if !offset.is_some_and(is_offset) {
        return Err(fault(place, "eventTimeZoneOffset is missing or no offset such as +01:00"));
    }
    if kind != "TransformationEvent" {
        let action =
            event.get("action").and_then(Value::as_str).ok_or_else(|| fault(place, "has no action"))?;
        if !["ADD", "OBSERVE", "DELETE"].contains(&action) {
            return Err(fault(place, &format!("action {action} is none of ADD, OBSERVE, DELETE")));
        }
    }
    if !lists.iter().any(|list| event.contains_key(*list)) {
        return Err(fault(place, &format!("names nothing: it needs one of {}", lists.join(", "))));
    }
    vocabulary(event, place)?;
    lists_of(event, place)?;
    details(event, place)
}

fn is_offset(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes, [b'+' | b'-', a, b, b':', c, d] if [a, b, c, d].into_iter().all(u8::is_ascii_digit))
}

fn instant_at(holder: &Map<String, Value>, name: &str, place: &str) -> Result<(), Refusal> {
    let text = holder.get(name).ok_or_else(|| fault(place, &format!("has no {name}")))?;
    let text = text.as_str().ok_or_else(|| fault(place, &format!("{name} is not text")))?;
    match parse_instant(text) {
        Some(_) => Ok(()),
        None => Err(fault(place, &format!("{name} '{text}' is not an RFC 3339 instant"))),
    }
}

/// When an error was declared. Nothing rests on it, so an instant without seconds will do.
fn declared_at(declaration: &Map<String, Value>, place: &str) -> Result<(), Refusal> {
    let text = declaration.get("declarationTime").and_then(Value::as_str).unwrap_or_default();
    let minutes = text.get(..16).zip(text.get(16..)).map(|(minutes, zone)| format!("{minutes}:00{zone}"));
    if minutes.is_some_and(|minutes| parse_instant(&minutes).is_some()) {
        return Ok(());
    }
    instant_at(declaration, "declarationTime", place)
}

/// A term of the standard's list, or a URI of someone else's.
fn term(value: &Value, known: &[&str], place: &str, name: &str) -> Result<(), Refusal> {
    let text = value.as_str().ok_or_else(|| fault(place, &format!("{name} is not text")))?;
    if text.contains(':') || known.contains(&text) {
        return Ok(());
    }
    Err(fault(place, &format!("{name} {text} is neither in the standard's list nor a URI")))
}

fn vocabulary(event: &Map<String, Value>, place: &str) -> Result<(), Refusal> {
    if let Some(step) = event.get("bizStep") {
        term(step, &BIZ_STEPS, place, "bizStep")?;
    }
    if let Some(disposition) = event.get("disposition") {
        term(disposition, &DISPOSITIONS, place, "disposition")?;
    }
    for list in ["sourceList", "destinationList"] {
        for (at, item) in event.get(list).and_then(Value::as_array).into_iter().flatten().enumerate() {
            let kind = item.get("type").ok_or_else(|| fault(place, &format!("{list}[{at}] has no type")))?;
            term(kind, &PARTIES, place, &format!("{list}[{at}].type"))?;
        }
    }
    Ok(())
}

fn lists_of(event: &Map<String, Value>, place: &str) -> Result<(), Refusal> {
    for name in ["epcList", "childEPCs", "inputEPCList", "outputEPCList"] {
        let Some(list) = event.get(name) else { continue };
        let all_text = list.as_array().is_some_and(|items| items.iter().all(Value::is_string));
        if !all_text {
            return Err(fault(place, &format!("{name} is not a list of identifiers")));
        }
    }
    for name in ["quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList"] {
        for (at, item) in event.get(name).and_then(Value::as_array).into_iter().flatten().enumerate() {
            let spot = format!("{name}[{at}]");
            if !item.get("epcClass").is_some_and(Value::is_string) {
                return Err(fault(place, &format!("{spot} has no epcClass")));
            }
            if item.get("quantity").is_some_and(|quantity| !quantity.is_number()) {
                return Err(fault(place, &format!("{spot}.quantity is not a number")));
            }
            let fields = item.as_object().into_iter().flat_map(Map::keys);
            if let Some(unknown) = fields
                .filter(|name| !name.contains(':'))
                .find(|name| !["epcClass", "quantity", "uom"].contains(&name.as_str()))
            {
                return Err(fault(place, &format!("{spot}.{unknown} is no field of a quantity")));
            }
        }
    }
    Ok(())
}

fn details(event: &Map<String, Value>, place: &str) -> Result<(), Refusal> {
    for (name, value) in [("readPoint", event.get("readPoint")), ("bizLocation", event.get("bizLocation"))] {
        if value.is_some_and(|value| !value.get("id").is_some_and(Value::is_string)) {
            return Err(fault(place, &format!("{name} has no id")));
        }
    }
    if let Some(ilmd) = event.get("ilmd") {
        let fields = ilmd.as_object().ok_or_else(|| fault(place, "ilmd is not an object"))?;
        if let Some(bare) = fields.keys().find(|name| !name.contains(':')) {
            return Err(fault(place, &format!("ilmd.{bare} has no namespace")));
        }
    }
    if let Some(certification) = event.get("certificationInfo") {
        let is_uri = |value: &Value| value.as_str().is_some_and(|text| text.contains(':'));
        let all = match certification {
            Value::Array(items) => items.iter().all(is_uri),
            one => is_uri(one),
        };
        if !all {
            return Err(fault(place, "certificationInfo is not a URI, nor a list of them"));
        }
    }
    match event.get("errorDeclaration") {
        Some(Value::Object(declaration)) => declared_at(declaration, place),
        Some(_) => Err(fault(place, "errorDeclaration is not an object")),
        None => Ok(()),
    }
}
