//! Change envelopes of Debezium: what a row of a table was changed to, bare or with its schema.
//!
//! A change is an event `cdc:TOPIC/KEY@VERSION`, where the version is the change's place in the source database's log,
//! in digits that sort. Each change takes back what earlier versions of its row told, so that the order and repetition in
//! which changes come do not matter. A tombstone has no version: it takes back what was told of the row before it.

use serde_json::{Map, Value};

use super::input::canonical;
use super::times::Unit;
use crate::mapping::{Record, Refusal};
use crate::model::fact::ROW_EVENTS;
use crate::model::time::instant_text;
use waybill_types::TimestampMs;

/// What a record says of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    /// `cdc:TOPIC/KEY`.
    pub(super) row_id: String,
    /// Sorts as the changes of a row follow each other.
    pub(super) version: String,
    /// The row as it is now; none when it was deleted.
    pub(super) after: Option<Value>,
    /// The row was there before anyone listened.
    pub(super) is_snapshot: bool,
    /// When the source database changed it, as text.
    pub(super) changed: Option<String>,
}

fn fault(what: impl Into<String>) -> Refusal {
    Refusal::new("invalid", what)
}

/// The row that a record is about, by topic and key.
pub(super) fn row_id(record: &Record) -> Result<String, Refusal> {
    let key = record.key.as_deref().filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| fault("the record has no key: rows can not be told apart; give the table a primary key, or set message.key.columns"))?;
    let text = match serde_json::from_slice::<Value>(key) {
        Ok(value) => {
            let value = without_schema(value).0;
            match value {
                Value::Object(columns) => {
                    let mut columns: Vec<(String, Value)> = columns.into_iter().collect();
                    columns.sort_by(|a, b| a.0.cmp(&b.0));
                    let texts = columns.iter().map(|(name, value)| {
                        let mut text = format!("{name}=");
                        match value {
                            Value::String(plain) => text.push_str(plain),
                            other => canonical(other, &mut text),
                        }
                        text
                    });
                    texts.collect::<Vec<_>>().join(",")
                }
                other => other.to_string(),
            }
        }
        Err(_) => String::from_utf8_lossy(key).into_owned(),
    };
    Ok(format!("{ROW_EVENTS}{}/{text}", record.topic_name))
}

/// The payload, and the schema where the converter writes one.
fn without_schema(value: Value) -> (Value, Option<Value>) {
    match value {
        Value::Object(mut envelope)
            if envelope.contains_key("schema") && envelope.contains_key("payload") =>
        {
            let schema = envelope.remove("schema");
            (envelope.remove("payload").unwrap_or(Value::Null), schema)
        }
        other => (other, None),
    }
}

/// Reads a change.
pub(super) fn read(record: &Record, value: &[u8]) -> Result<Change, Refusal> {
    let value = serde_json::from_slice(value).map_err(|error| Refusal::new("not_json", error.to_string()))?;
    let (payload, schema) = without_schema(value);
    let Value::Object(mut payload) = payload else { return Err(fault("is no change envelope")) };
    let op = payload.get("op").and_then(Value::as_str).map(str::to_owned);
    let after = match (op.as_deref(), payload.remove("after")) {
        (Some("c" | "u" | "r"), Some(Value::Object(row))) => Some(row),
        // MongoDB's connector writes documents as text.
        (Some("c" | "u" | "r"), Some(Value::String(text))) => match serde_json::from_str(&text) {
            Ok(Value::Object(row)) => Some(row),
            _ => return Err(fault("after is a text that is no JSON object")),
        },
        (Some("c" | "u" | "r"), _) => return Err(fault("has no after, which holds the row")),
        (Some("d"), _) => None,
        (Some(other), _) => {
            return Err(Refusal::new("unsupported_type", format!("changes of kind '{other}'")));
        }
        (None, _) => return Err(fault("is no change envelope: has no op")),
    };
    let after = after.map(|row| Value::Object(typed(row, schema.as_ref())));
    let source = payload.get("source").and_then(Value::as_object).ok_or_else(|| fault("has no source"))?;
    let changed = source.get("ts_ms").or_else(|| payload.get("ts_ms")).and_then(Value::as_i64);
    Ok(Change {
        row_id: row_id(record)?,
        version: version(source, changed)?,
        after,
        is_snapshot: op.as_deref() == Some("r"),
        changed: changed.map(|ms| instant_text(TimestampMs(ms))),
    })
}

/// The change's place in the log of its database. A row's changes have ascending ones: PostgreSQL's lsn, MySQL's file,
/// position and row, SQL Server's commit and change LSN, Oracle's scn, MongoDB's seconds and ord. What has none (rows of
/// some snapshots) comes before all that do, by time.
fn version(source: &Map<String, Value>, changed: Option<i64>) -> Result<String, Refusal> {
    let number = |name: &str| match source.get(name)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let text = |name: &str| source.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(lsn) = number("lsn") {
        return Ok(format!("1{lsn:020}"));
    }
    if let (Some(file), Some(position)) = (text("file"), number("pos")) {
        let digits = file.rsplit('.').next().and_then(|digits| digits.parse::<u64>().ok());
        let file = digits.ok_or_else(|| fault(format!("source.file '{file}' ends in no number")))?;
        return Ok(format!("1{file:020}.{position:020}.{:010}", number("row").unwrap_or(0)));
    }
    if let Some(commit) = text("commit_lsn") {
        let change = text("change_lsn").unwrap_or_default();
        return Ok(format!("1{commit}.{change}.{:010}", number("event_serial_no").unwrap_or(0)));
    }
    if let Some(scn) = number("scn") {
        return Ok(format!("1{scn:020}"));
    }
    let Some(ms) = changed.filter(|ms| *ms >= 0) else {
        return Err(fault(
            "source tells no place in its log (lsn, file and pos, commit_lsn, scn) and no ts_ms",
        ));
    };
    match number("ord") {
        Some(ord) => Ok(format!("1{ms:020}.{ord:010}")),
        None => Ok(format!("0{ms:020}")),
    }
}

/// The row with dates, timestamps and decimals as text, where the schema tells which they are.
fn typed(mut row: Map<String, Value>, schema: Option<&Value>) -> Map<String, Value> {
    let fields =
        |schema: &'_ Value| schema.get("fields").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(schema) = schema else { return row };
    let after =
        fields(schema).into_iter().find(|field| field.get("field").and_then(Value::as_str) == Some("after"));
    for field in after.iter().flat_map(fields) {
        let text = |name: &str| field.get(name).and_then(Value::as_str);
        let (Some(column), Some(kind)) = (text("field"), text("name")) else { continue };
        let Some(value) = row.get_mut(column) else { continue };
        let unit = match kind {
            "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date" => Unit::Days,
            "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => Unit::Millis,
            "io.debezium.time.MicroTimestamp" => Unit::Micros,
            "io.debezium.time.NanoTimestamp" => Unit::Nanos,
            "org.apache.kafka.connect.data.Decimal" => {
                let scale = field
                    .pointer("/parameters/scale")
                    .and_then(Value::as_str)
                    .and_then(|text| text.parse().ok());
                if let Some(text) = value.as_str().and_then(|text| decimal(text, scale.unwrap_or(0))) {
                    *value = text.into();
                }
                continue;
            }
            _ => continue,
        };
        if let Some(text) = value.as_i64().and_then(|number| unit.text(&number.to_string())) {
            *value = text.into();
        }
    }
    row
}

/// A decimal of Kafka Connect: an integer in base64, most significant byte first, and how many of its digits stand
/// behind the point. Up to 16 bytes.
fn decimal(base64: &str, scale: usize) -> Option<String> {
    let bytes = base64_bytes(base64)?;
    if bytes.is_empty() || bytes.len() > 16 || scale > 64 {
        return None;
    }
    let start = if bytes.first()? & 0x80 == 0 { 0_i128 } else { -1 };
    let number = bytes.iter().fold(start, |number, byte| (number << 8) | i128::from(*byte));
    let digits = format!("{:0width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    let sign = if number < 0 { "-" } else { "" };
    Some(if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") })
}

fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn decimals_are_read_as_kafka_connect_writes_them() {
        // 12345 and -1 with two digits behind the point; 7 with none.
        assert_eq!(decimal("MDk=", 2).as_deref(), Some("123.45"));
        assert_eq!(decimal("/w==", 2).as_deref(), Some("-0.01"));
        assert_eq!(decimal("Bw==", 0).as_deref(), Some("7"));
        assert_eq!((decimal("", 2), decimal("?", 2)), (None, None));
    }
}
