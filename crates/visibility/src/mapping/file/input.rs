//! What templates look at: a row, an element within it, and the record that brought it.

use serde_json::Value;

use crate::mapping::Record;

/// One row of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'r> {
    /// The record.
    pub(super) record: &'r Record,
    /// The row: an object.
    pub(super) row: &'r Value,
    /// The element, and its number from 1, of a fact with `each`.
    pub(super) element: Option<(&'r Value, usize)>,
    /// Texts that mean nothing, beside the empty one.
    pub(super) nulls: &'r [String],
    /// When the source database changed the row.
    pub(super) changed: Option<&'r str>,
}

impl<'r> Input<'r> {
    /// A field of the row.
    pub(super) fn field(&self, path: &str) -> Option<&'r Value> {
        find(self.row, path)
    }

    /// A field of the element.
    pub(super) fn element_field(&self, path: &str) -> Option<&'r Value> {
        find(self.element?.0, path)
    }

    /// The element's number.
    pub(super) fn index(&self) -> usize {
        self.element.map_or(0, |(_, index)| index)
    }

    /// Whether a text means that there is none.
    pub(super) fn is_missing(&self, text: &str) -> bool {
        let text = text.trim();
        text.is_empty() || self.nulls.iter().any(|null| null == text)
    }
}

/// The value at `a`, `a.b` or `a[0].b`; a key that is called so whole wins.
pub(super) fn find<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    if !path.contains(['.', '[']) {
        return None;
    }
    let mut here = value;
    for segment in path.split('.') {
        let (name, indices) = segment.split_at(segment.find('[').unwrap_or(segment.len()));
        if !name.is_empty() {
            here = here.get(name)?;
        }
        for index in indices.split('[').skip(1) {
            here = here.get(index.strip_suffix(']')?.parse::<usize>().ok()?)?;
        }
    }
    Some(here)
}

/// A value with its keys in order: equal for equal contents.
pub(super) fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => {
            let mut keys: Vec<&String> = object.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for key in keys {
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                if let Some(value) = object.get(key) {
                    canonical(value, out);
                }
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(list) => {
            out.push('[');
            for value in list {
                canonical(value, out);
                out.push(',');
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}
