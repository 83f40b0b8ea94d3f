//! `cloudevents@1`: business events of [`super::events`] in CloudEvents 1.0, in either mode of its Kafka binding.
//!
//! Binary: attributes are headers `ce_…`, the value is the data. Structured: header `content-type` is
//! `application/cloudevents…`, the value holds attributes and `data`. `id` and `source` name the event, `time` is when
//! it happened, and the last word of `type` says what happened where the data do not.

use serde_json::{Map, Value};

use super::{Record, Refusal, events_map};
use crate::model::Fact;

/// Attributes that the standard requires.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

fn fault(what: impl Into<String>) -> Refusal {
    Refusal::new("invalid", what)
}

fn object(value: &[u8], what: &str) -> Result<Object, Refusal> {
    match serde_json::from_slice(value) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(fault(format!("{what} is not an object"))),
        Err(fault) => Err(Refusal::new("not_json", format!("{what}: {fault}"))),
    }
}

/// A JSON object.
type Object = Map<String, Value>;

/// The attributes and the data of a record.
fn read(record: &Record, value: &[u8]) -> Result<(Object, Object), Refusal> {
    let content_type = record.header("content-type").map(String::from_utf8_lossy).unwrap_or_default();
    if content_type.starts_with("application/cloudevents-batch") {
        return Err(Refusal::new("unsupported_type", "batches of CloudEvents: the Kafka binding has none"));
    }
    if content_type.starts_with("application/cloudevents") {
        let mut attributes = object(value, "the event")?;
        return match attributes.remove("data") {
            Some(Value::Object(data)) => Ok((attributes, data)),
            Some(_) => Err(fault("data is not an object")),
            None => Err(fault("has no data")),
        };
    }
    let mut attributes = Map::new();
    for (name, text) in &record.headers {
        if let (Some(name), Some(text)) = (name.strip_prefix("ce_"), text) {
            attributes.insert(name.to_owned(), String::from_utf8_lossy(text).into_owned().into());
        }
    }
    if attributes.is_empty() {
        return Err(fault("has neither ce_ headers nor content-type application/cloudevents"));
    }
    Ok((attributes, object(value, "the data")?))
}

pub(super) fn map(record: &Record, value: &[u8]) -> Result<Vec<Fact>, Refusal> {
    let (attributes, mut data) = read(record, value)?;
    let get = |name: &str| attributes.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    for name in REQUIRED {
        get(name).ok_or_else(|| fault(format!("attribute {name} is missing")))?;
    }
    if get("specversion") != Some("1.0") {
        return Err(Refusal::new("unsupported_type", "only specversion 1.0 is read"));
    }
    let time = get("time").ok_or_else(|| fault("attribute time is missing: when it happened is not told"))?;
    let kind = get("type").and_then(|kind| kind.rsplit('.').next()).unwrap_or_default();
    for (name, text) in [("event_id", get("id")), ("source", get("source")), ("event_time", Some(time))] {
        if let Some(text) = text {
            data.insert(name.to_owned(), text.into());
        }
    }
    data.entry("event").or_insert_with(|| kind.into());
    events_map::map_value(record, Value::Object(data))
}
