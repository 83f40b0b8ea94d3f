//! Texts with references to fields: `{OrderID}/{ProductID}`.
//!
//! | reference | what it is |
//! |---|---|
//! | `{a}`, `{a.b}`, `{a[0].b}` | a field of the row; a key that itself holds dots wins over a path |
//! | `{.a}` | a field of the element, in a fact with `each` |
//! | `{@key}` | the record's key, as text |
//! | `{@topic}`, `{@record_time}`, `{@header:NAME}` | of the record |
//! | `{@change_time}` | when the source database changed the row |
//! | `{@index}` | the element's number within `each`, from 1 |
//! | `{a?}` | may be missing: then what it stands in is left out |
//! | `{a\|NAME}` | looked up in `[lookup.NAME]`, or counted from 1970: `unix_s`, `unix_ms`, `unix_us`, `unix_ns`, `unix_days` |
//! | `{"PO / SO #"}` | a name with characters of its own |
//!
//! `{{` and `}}` are braces.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::input::Input;
use super::times;
use crate::mapping::Refusal;
use crate::model::time::instant_text;

/// A table of texts for texts.
pub(super) type Lookup = Arc<BTreeMap<String, String>>;

/// The key of a lookup for whatever is not listed.
const OTHERWISE: &str = "*";

/// A text with references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Reference(Reference),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    written: String,
    place: Place,
    is_optional: bool,
    pipe: Option<Pipe>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Field(String),
    Element(String),
    Key,
    Topic,
    RecordTime,
    ChangeTime,
    Header(String),
    Index,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pipe {
    Lookup(String, Lookup),
    Unix(times::Unit),
}

/// What is wrong with a template, and what to write.
pub(super) type Wrong = (String, String);

impl Template {
    /// Reads a template.
    pub(super) fn parse(text: &str, lookups: &BTreeMap<String, Lookup>) -> Result<Self, Wrong> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.push_str(from.get(..1).unwrap_or_default());
                rest = after;
                continue;
            }
            let Some(inside) = from.strip_prefix('{') else {
                return Err((
                    format!("'{text}' closes a brace that is not open"),
                    "write }} for a brace".to_owned(),
                ));
            };
            let (reference, after) = split_reference(inside, text)?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Reference(Reference::parse(reference, lookups)?));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// A text without references.
    pub(super) fn plain(text: &str) -> Self {
        Self { parts: vec![Part::Text(text.to_owned())] }
    }

    /// Whether a reference speaks of the element of `each`.
    pub(super) fn is_of_element(&self) -> bool {
        self.parts.iter().any(|part| {
            matches!(part, Part::Reference(Reference { place: Place::Element(_) | Place::Index, .. }))
        })
    }

    /// Its text for a row; `None` where something that may be missing is.
    ///
    /// # Errors
    /// Something that may not be missing is, or is no text, number or truth value.
    pub(super) fn text(&self, input: &Input<'_>) -> Result<Option<String>, Refusal> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Reference(reference) => match reference.text(input)? {
                    Some(value) => text.push_str(&value),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(text))
    }
}

/// Splits behind the closing brace; within quotes braces are letters.
fn split_reference<'a>(inside: &'a str, whole: &str) -> Result<(&'a str, &'a str), Wrong> {
    let mut quoted = false;
    for (at, letter) in inside.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '}' if !quoted => {
                let (reference, rest) = inside.split_at(at);
                return Ok((reference, rest.get(1..).unwrap_or_default()));
            }
            _ => {}
        }
    }
    Err((format!("'{whole}' opens a brace that is not closed"), "write {{ for a brace".to_owned()))
}

impl Reference {
    fn parse(written: &str, lookups: &BTreeMap<String, Lookup>) -> Result<Self, Wrong> {
        let (name, rest) = match written.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"').unwrap_or(quoted.len());
                (quoted.get(..end).unwrap_or_default(), quoted.get(end + 1..).unwrap_or_default())
            }
            None => written.split_at(written.find(['?', '|']).unwrap_or(written.len())),
        };
        let (is_optional, rest) = match rest.strip_prefix('?') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let pipe = match rest.strip_prefix('|') {
            Some(name) => Some(Pipe::parse(name, lookups)?),
            None if rest.is_empty() => None,
            None => {
                return Err((
                    format!("{{{written}}} can not be read"),
                    "write {field}, {field?} or {field|name}".to_owned(),
                ));
            }
        };
        let place = if written.starts_with('"') { Place::Field(name.to_owned()) } else { place(name)? };
        Ok(Self { written: written.to_owned(), place, is_optional, pipe })
    }

    fn text(&self, input: &Input<'_>) -> Result<Option<String>, Refusal> {
        let found = match &self.place {
            Place::Field(name) => scalar(input.field(name), &self.written)?,
            Place::Element(name) => scalar(input.element_field(name), &self.written)?,
            Place::Key => input.record.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned()),
            Place::Topic => Some(input.record.topic_name.to_string()),
            Place::RecordTime => Some(instant_text(input.record.timestamp)),
            Place::ChangeTime => input.changed.map(str::to_owned),
            Place::Header(name) => {
                input.record.header(name).map(|value| String::from_utf8_lossy(value).into_owned())
            }
            Place::Index => Some(input.index().to_string()),
        };
        let found = found.filter(|text| !input.is_missing(text));
        match (found, &self.pipe) {
            (None, _) if self.is_optional => Ok(None),
            (None, _) => Err(Refusal::new("invalid", format!("{{{}}} is missing", self.written))),
            (Some(text), None) => Ok(Some(text)),
            (Some(text), Some(Pipe::Unix(unit))) => match unit.text(&text) {
                Some(told) => Ok(Some(told)),
                None => Err(Refusal::new(
                    "invalid",
                    format!("{{{}}} is '{text}', not a number of {} since 1970", self.written, unit.words()),
                )),
            },
            (Some(text), Some(Pipe::Lookup(name, table))) => {
                match table.get(&text).or_else(|| table.get(OTHERWISE)) {
                    Some(told) => Ok(Some(told.clone())),
                    None if self.is_optional => Ok(None),
                    None => Err(Refusal::new(
                        "invalid",
                        format!("{{{}}} is '{text}', which is not in lookup.{name}", self.written),
                    )),
                }
            }
        }
    }
}

fn place(name: &str) -> Result<Place, Wrong> {
    if let Some(special) = name.strip_prefix('@') {
        return match special {
            "key" => Ok(Place::Key),
            "topic" => Ok(Place::Topic),
            "record_time" => Ok(Place::RecordTime),
            "change_time" => Ok(Place::ChangeTime),
            "index" => Ok(Place::Index),
            _ => match special.strip_prefix("header:").filter(|header| !header.is_empty()) {
                Some(header) => Ok(Place::Header(header.to_owned())),
                None => Err((
                    format!("{{@{special}}} is nothing that a record has"),
                    "there are @key, @topic, @record_time, @change_time, @index and @header:NAME".to_owned(),
                )),
            },
        };
    }
    let (of_element, path) = match name.strip_prefix('.') {
        Some(path) => (true, path),
        None => (false, name),
    };
    if path.is_empty() {
        return Err(("{} names no field".to_owned(), "write the field's name between the braces".to_owned()));
    }
    Ok(if of_element { Place::Element(path.to_owned()) } else { Place::Field(path.to_owned()) })
}

/// A value as text; `None` for none.
fn scalar(value: Option<&Value>, written: &str) -> Result<Option<String>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(Value::Bool(truth)) => Ok(Some(truth.to_string())),
        Some(Value::Array(_) | Value::Object(_)) => {
            Err(Refusal::new("invalid", format!("{{{written}}} is a list or an object, not a value")))
        }
    }
}

impl Pipe {
    fn parse(name: &str, lookups: &BTreeMap<String, Lookup>) -> Result<Self, Wrong> {
        if let Some(unit) = times::Unit::from_name(name) {
            return Ok(Self::Unix(unit));
        }
        match lookups.get(name) {
            Some(table) => Ok(Self::Lookup(name.to_owned(), Arc::clone(table))),
            None => Err((
                format!("there is no lookup called {name}"),
                format!("add a table [lookup.{name}], or use unix_s, unix_ms, unix_us, unix_ns, unix_days"),
            )),
        }
    }
}
