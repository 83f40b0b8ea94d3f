//! From a record's value to rows: JSON objects, or lines of CSV by the names of their columns.

use serde_json::{Map, Value};

use crate::mapping::Refusal;

/// How CSV text is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Csv {
    /// What parts fields.
    pub(super) delimiter: u8,
    /// The columns; none when the first line of each record names them.
    pub(super) columns: Vec<String>,
}

impl Default for Csv {
    fn default() -> Self {
        Self { delimiter: b',', columns: Vec::new() }
    }
}

/// The JSON objects of a value: one, or a list of them.
pub(super) fn json(value: &[u8]) -> Result<Vec<Value>, Refusal> {
    let rows = match serde_json::from_slice(value) {
        Ok(Value::Array(rows)) => rows,
        Ok(row) => vec![row],
        Err(fault) => return Err(Refusal::new("not_json", fault.to_string())),
    };
    if rows.iter().all(Value::is_object) {
        Ok(rows)
    } else {
        Err(Refusal::new("invalid", "is neither an object nor a list of objects"))
    }
}

/// The rows of CSV text. A row may also come as a JSON object, as `waybill load --format csv` frames it.
pub(super) fn csv(value: &[u8], csv: &Csv) -> Result<Vec<Value>, Refusal> {
    let value = value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value);
    if value.first() == Some(&b'{') {
        return json(value);
    }
    let text = std::str::from_utf8(value).map_err(|fault| {
        Refusal::new("not_csv", format!("is not UTF-8 behind byte {}", fault.valid_up_to()))
    })?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(csv.delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut names = csv.columns.clone();
    let mut rows = Vec::new();
    for (number, row) in reader.records().enumerate() {
        let row = row.map_err(|fault| Refusal::new("not_csv", fault.to_string()))?;
        if names.is_empty() {
            names = row.iter().map(|name| name.trim().to_owned()).collect();
            continue;
        }
        if row.len() != names.len() {
            let what = format!(
                "line {} has {} fields where there are {} columns",
                number + 1,
                row.len(),
                names.len()
            );
            return Err(Refusal::new("not_csv", what));
        }
        let row: Map<String, Value> =
            names.iter().zip(row.iter()).map(|(name, value)| (name.clone(), value.into())).collect();
        rows.push(Value::Object(row));
    }
    if rows.is_empty() {
        let what =
            if csv.columns.is_empty() { "has no row under the names of its columns" } else { "has no row" };
        return Err(Refusal::new("not_csv", what));
    }
    Ok(rows)
}
