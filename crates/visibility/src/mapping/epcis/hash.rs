//! The GS1 event hash ID, version CBV 2.0: SHA-256 over a pre-hash string that is the same for every serialisation of
//! an event. Fields stand in a fixed order, lists and extensions sorted, identifiers canonical, instants in UTC with
//! milliseconds rounded half up; `eventID`, `recordTime` and `errorDeclaration` are left out.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::gs1::canonical;
use crate::model::digest::hex;

const CBV: &str = "https://ref.gs1.org/cbv/";
const VOC: &str = "https://gs1.org/voc/";

const FIELDS: [&str; 25] = [
    "type",
    "eventTime",
    "eventTimeZoneOffset",
    "certificationInfo",
    "parentID",
    "epcList",
    "inputEPCList",
    "childEPCs",
    "quantityList",
    "childQuantityList",
    "inputQuantityList",
    "outputEPCList",
    "outputQuantityList",
    "action",
    "transformationID",
    "bizStep",
    "disposition",
    "persistentDisposition",
    "readPoint",
    "bizLocation",
    "bizTransactionList",
    "destinationList",
    "sourceList",
    "sensorElementList",
    "ilmd",
];

const METADATA: [&str; 8] = [
    "time",
    "startTime",
    "endTime",
    "deviceID",
    "deviceMetadata",
    "rawData",
    "dataProcessingMethod",
    "bizRules",
];

const REPORT: [&str; 24] = [
    "type",
    "exception",
    "deviceID",
    "deviceMetadata",
    "rawData",
    "dataProcessingMethod",
    "time",
    "microorganism",
    "chemicalSubstance",
    "value",
    "component",
    "stringValue",
    "booleanValue",
    "hexBinaryValue",
    "uriValue",
    "minValue",
    "maxValue",
    "meanValue",
    "sDev",
    "percRank",
    "percValue",
    "uom",
    "coordinateReferenceSystem",
    "bizRules",
];

/// What a document says beside its events: prefixes of its `@context`, fields to be left out of hashes.
#[derive(Debug, Clone, Default)]
pub struct Context {
    namespaces: BTreeMap<String, String>,
    ignored: BTreeSet<String>,
}

impl Context {
    /// Reads a document's `@context`, and `…:ignoreFields` of the document or of its query results.
    #[must_use]
    pub fn of(document: &Value) -> Self {
        let mut context = Self::default();
        for (prefix, namespace) in [
            ("epcis", "https://ref.gs1.org/epcis/"),
            ("cbv", CBV),
            ("gs1", VOC),
            ("cbvmda", "urn:epcglobal:cbv:mda:"),
        ] {
            context.namespaces.insert(prefix.to_owned(), namespace.to_owned());
        }
        context.add(document);
        let results = document.get("epcisBody").and_then(|body| body.get("queryResults"));
        for holder in [Some(document), results].into_iter().flatten() {
            for (name, value) in holder.as_object().into_iter().flatten() {
                if name.ends_with(":ignoreFields") {
                    context.ignored.extend(items(value).filter_map(Value::as_str).map(str::to_owned));
                }
            }
        }
        context
    }

    /// Adds the prefixes of one `@context`, an event's own for instance.
    pub fn add(&mut self, holder: &Value) {
        for entry in holder.get("@context").into_iter().flat_map(items).filter_map(Value::as_object) {
            for (prefix, namespace) in entry {
                if let Some(namespace) = namespace.as_str() {
                    self.namespaces.insert(prefix.clone(), namespace.to_owned());
                }
            }
        }
    }
}

/// A list's items, or the one value that stands for a list.
fn items(value: &Value) -> std::slice::Iter<'_, Value> {
    match value {
        Value::Array(items) => items.iter(),
        one => std::slice::from_ref(one).iter(),
    }
}

/// The hash ID of an event.
#[must_use]
pub fn event_hash(event: &Map<String, Value>, context: &Context) -> String {
    format!("ni:///sha-256;{}?ver=CBV2.0", hex(&Sha256::digest(prehash(event, context).as_bytes())))
}

/// The pre-hash string of an event.
#[must_use]
pub fn prehash(event: &Map<String, Value>, context: &Context) -> String {
    let mut out = String::with_capacity(512);
    for name in FIELDS {
        let Some(value) = event.get(name) else { continue };
        if value.as_array().is_some_and(Vec::is_empty) || value.as_str() == Some("") {
            continue;
        }
        field(name, value, context, &mut out);
    }
    out.push_str(&sorted(extensions(event, context, true)));
    out
}

fn field(name: &str, value: &Value, context: &Context, out: &mut String) {
    let one = |value: String| format!("{name}={value}");
    let text = match name {
        "type" => format!("eventType={}", plain(value)),
        "eventTime" => one(time(value)),
        "certificationInfo" => sorted(items(value).map(|item| one(identifier(item))).collect()),
        "parentID" | "transformationID" => one(identifier(value)),
        "epcList" | "inputEPCList" | "childEPCs" | "outputEPCList" => {
            format!("{name}{}", sorted(items(value).map(|epc| format!("epc={}", identifier(epc))).collect()))
        }
        "quantityList" | "childQuantityList" | "inputQuantityList" | "outputQuantityList" => {
            format!("{name}{}", sorted(items(value).map(quantity).collect()))
        }
        "bizStep" => one(term(value, "BizStep-")),
        "disposition" => one(term(value, "Disp-")),
        "persistentDisposition" => format!("{name}{}", persistent(value)),
        "readPoint" | "bizLocation" => place(name, value, context),
        "bizTransactionList" => typed(name, value, "bizTransaction", "BTT-"),
        "sourceList" => typed(name, value, "source", "SDT-"),
        "destinationList" => typed(name, value, "destination", "SDT-"),
        "sensorElementList" => sensors(value, context),
        "ilmd" => format!("{name}{}", object_extensions(value, context)),
        _ => one(plain(value)),
    };
    out.push_str(&text);
}

fn sorted(mut parts: Vec<String>) -> String {
    parts.sort_unstable();
    parts.concat()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number_text(number),
        other => other.to_string(),
    }
}

/// A number without an exponent or trailing zeros.
fn number_text(number: &serde_json::Number) -> String {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(whole), _, _) => whole.to_string(),
        (None, Some(whole), _) => whole.to_string(),
        // Rust writes the shortest digits that read back, and never an exponent.
        (None, None, Some(float)) => float.to_string(),
        (None, None, None) => number.to_string(),
    }
}

fn identifier(value: &Value) -> String {
    value.as_str().map_or_else(|| plain(value), canonical)
}

/// An instant in UTC with milliseconds, rounded half up; text that is none stays as it is.
fn time(value: &Value) -> String {
    let text = plain(value);
    instant(&text).unwrap_or(text)
}

fn instant(text: &str) -> Option<String> {
    if text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let parsed = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    let rounded = parsed.checked_add_signed(chrono::TimeDelta::microseconds(500))?;
    Some(rounded.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// A vocabulary term as a URI: bare words get the CBV's, URNs and CURIEs of the CBV are written out.
fn term(value: &Value, prefix: &str) -> String {
    let text = plain(value);
    expand(&text, &format!("{CBV}{prefix}"))
}

fn expand(text: &str, base: &str) -> String {
    const URNS: [(&str, &str); 5] =
        [("bizstep:", "BizStep-"), ("disp:", "Disp-"), ("btt:", "BTT-"), ("sdt:", "SDT-"), ("er:", "ER-")];
    if let Some(rest) = text.strip_prefix("urn:epcglobal:cbv:") {
        let known = URNS.iter().find_map(|(urn, name)| Some((name, rest.strip_prefix(urn)?)));
        return known.map_or_else(|| text.to_owned(), |(name, word)| format!("{CBV}{name}{word}"));
    }
    if let Some(rest) = text.strip_prefix("https://ns.gs1.org/cbv/").or_else(|| text.strip_prefix("cbv:")) {
        return format!("{CBV}{rest}");
    }
    match text.strip_prefix("gs1:") {
        Some(rest) => format!("{VOC}{rest}"),
        None if text.contains(':') => text.to_owned(),
        None => format!("{base}{text}"),
    }
}

fn quantity(value: &Value) -> String {
    let mut out = "quantityElement".to_owned();
    if let Some(class) = value.get("epcClass") {
        out.push_str(&format!("epcClass={}", identifier(class)));
    }
    for name in ["quantity", "uom"] {
        if let Some(value) = value.get(name) {
            out.push_str(&format!("{name}={}", plain(value)));
        }
    }
    out
}

fn persistent(value: &Value) -> String {
    ["set", "unset"]
        .into_iter()
        .filter_map(|name| Some((name, value.get(name)?)))
        .map(|(name, list)| {
            sorted(items(list).map(|item| format!("{name}={}", term(item, "Disp-"))).collect())
        })
        .collect()
}

fn place(name: &str, value: &Value, context: &Context) -> String {
    let id = value.get("id").map(identifier).unwrap_or_default();
    format!("{name}id={id}{}", object_extensions(value, context))
}

fn typed(name: &str, value: &Value, of: &str, prefix: &str) -> String {
    let one = |item: &Value| {
        let kind = item.get("type").map(|kind| format!("type={}", term(kind, prefix))).unwrap_or_default();
        format!("{kind}{of}={}", item.get(of).map(identifier).unwrap_or_default())
    };
    format!("{name}{}", sorted(items(value).map(one).collect()))
}

fn sensors(value: &Value, context: &Context) -> String {
    let element = |element: &Value| {
        let mut out = "sensorElement".to_owned();
        if let Some(metadata) = element.get("sensorMetadata") {
            out.push_str(&format!("sensorMetadata{}", sensor_fields(metadata, &METADATA, context)));
        }
        let reports = element.get("sensorReport").into_iter().flat_map(items);
        let reports =
            reports.map(|report| format!("sensorReport{}", sensor_fields(report, &REPORT, context)));
        out.push_str(&sorted(reports.collect()));
        out.push_str(&object_extensions(element, context));
        out
    };
    format!("sensorElementList{}", sorted(items(value).map(element).collect()))
}

fn sensor_fields(holder: &Value, order: &[&str], context: &Context) -> String {
    let mut out = String::new();
    for name in order {
        let Some(value) = holder.get(name) else { continue };
        let text = match *name {
            "time" | "startTime" | "endTime" => time(value),
            "type" | "exception" => expand(&plain(value), VOC),
            "component" => term(value, "Comp-"),
            _ => identifier(value),
        };
        out.push_str(&format!("{name}={text}"));
    }
    out.push_str(&object_extensions(holder, context));
    out
}

fn object_extensions(holder: &Value, context: &Context) -> String {
    holder.as_object().map(|object| sorted(extensions(object, context, false))).unwrap_or_default()
}

/// Fields of other namespaces, each with its namespace written out.
fn extensions(holder: &Map<String, Value>, context: &Context, is_event: bool) -> Vec<String> {
    let mut parts = Vec::new();
    for (name, value) in holder {
        let Some((prefix, local)) = name.split_once(':') else { continue };
        if name == "rdfs:comment" || name.starts_with('@') || (is_event && context.ignored.contains(name)) {
            continue;
        }
        let namespace = context.namespaces.get(prefix).map_or(prefix, String::as_str);
        for item in items(value) {
            parts.push(match item {
                Value::Object(inner) => {
                    format!("{{{namespace}}}{local}{}", sorted(extensions(inner, context, false)))
                }
                Value::String(text) => {
                    let text = instant(text).unwrap_or_else(|| canonical(text));
                    format!("{{{namespace}}}{local}={text}")
                }
                other => format!("{{{namespace}}}{local}={}", plain(other)),
            });
        }
    }
    parts
}
