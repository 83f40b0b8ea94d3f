//! EPCIS 1.x and 2.0 in XML, as the JSON form of the same document: from there on both are one.
//!
//! 1.x keeps newer fields in `extension` and `baseExtension`: they are taken out of them. Elements of other namespaces
//! become `prefix:name`, each namespace under one prefix for the whole document.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value, json};

use super::tree::{Attribute, Element, parse};
use crate::mapping::Refusal;

/// Attributes of sensor reports that are numbers.
const NUMBERS: [&str; 7] = ["value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue"];

/// Names of vocabularies that are written out in XML and short in JSON.
const VOCABULARIES: [&str; 5] = ["bizstep:", "disp:", "btt:", "sdt:", "er:"];

/// The JSON form of a document in XML.
///
/// # Errors
/// It is not well formed, or no EPCIS document, query document or event.
pub(super) fn to_json(bytes: &[u8]) -> Result<Value, Refusal> {
    let root = parse(bytes)?;
    let mut reader = Reader::default();
    let mut document = if root.name == "EPCISDocument" || root.name == "EPCISQueryDocument" {
        reader.document(&root)?
    } else if root.name.ends_with("Event") && is_standard(&root) {
        reader.event(&root, true)?
    } else {
        return Err(Refusal::new("unsupported_type", format!("{} is no EPCIS document or event", root.name)));
    };
    let context: Map<String, Value> =
        reader.prefixes.into_iter().map(|(namespace, prefix)| (prefix, namespace.into())).collect();
    let base = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld";
    document.insert("@context".to_owned(), json!([base, context]));
    Ok(Value::Object(document))
}

/// Of EPCIS, or of no namespace, as EPCIS writes its own elements.
fn is_standard(element: &Element) -> bool {
    element.namespace.is_empty() || element.namespace.starts_with("urn:epcglobal:epcis")
}

/// A vocabulary's term in the short form, when it is one of the CBV's.
fn term(text: &str) -> Value {
    let short = text
        .strip_prefix("urn:epcglobal:cbv:")
        .and_then(|rest| VOCABULARIES.iter().find_map(|vocabulary| rest.strip_prefix(vocabulary)));
    short.unwrap_or(text).into()
}

fn number(text: &str) -> Value {
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    // Text that is no number stays text, and is refused as what it is.
    text.parse::<f64>().ok().and_then(Number::from_f64).map_or_else(|| text.into(), Value::Number)
}

/// Adds a value; a name that comes again makes a list.
fn put(object: &mut Map<String, Value>, name: String, value: Value) {
    match object.get_mut(&name) {
        None => {
            object.insert(name, value);
        }
        Some(Value::Array(list)) => list.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

#[derive(Debug, Default)]
struct Reader {
    /// Namespace to prefix.
    prefixes: BTreeMap<String, String>,
}

impl Reader {
    /// The one prefix of a namespace: the one it was first written with, unless another namespace has that.
    fn qualified(&mut self, namespace: &str, prefix: &str, name: &str) -> String {
        if let Some(known) = self.prefixes.get(namespace) {
            return format!("{known}:{name}");
        }
        let is_taken = |wanted: &str| self.prefixes.values().any(|known| known == wanted);
        let mut wanted = if prefix.is_empty() { "ns".to_owned() } else { prefix.to_owned() };
        while is_taken(&wanted) {
            wanted.push('_');
        }
        self.prefixes.insert(namespace.to_owned(), wanted.clone());
        format!("{wanted}:{name}")
    }

    fn document(&mut self, root: &Element) -> Result<Map<String, Value>, Refusal> {
        let version = root.attribute("schemaVersion").unwrap_or_default();
        let is_first = version == "1" || version.starts_with("1.");
        let mut document = Map::new();
        document.insert("type".to_owned(), root.name.as_str().into());
        // From here on a document of version 1 is as one of version 2.
        document.insert("schemaVersion".to_owned(), if is_first { "2.0" } else { version }.into());
        if let Some(created) = root.attribute("creationDate") {
            document.insert("creationDate".to_owned(), created.into());
        }
        for child in root.children.iter().filter(|child| child.name == "ignoreFields" && !is_standard(child))
        {
            let name = self.qualified(&child.namespace, &child.prefix, &child.name);
            let fields: Vec<Value> = child
                .children
                .iter()
                .map(|field| self.qualified(&field.namespace, &field.prefix, &field.name).into())
                .collect();
            document.insert(name, Value::Array(fields));
        }
        // The body of query results may stand by itself.
        let body = root.child("EPCISBody").or(root.child("resultsBody").map(|_| root));
        let list = |body: Option<&Element>| body.and_then(|body| body.child("EventList").cloned());
        let events = match list(body) {
            Some(events) => events,
            None => {
                let holder = body.and_then(|body| body.child("QueryResults")).or(body);
                let results = holder.and_then(|holder| holder.child("resultsBody"));
                let Some(events) = list(results) else {
                    let what = body.and_then(|body| body.children.first());
                    let what = what.map_or("nothing", |what| what.name.as_str());
                    return Err(Refusal::new(
                        "unsupported_type",
                        format!("EPCISBody: holds {what}, no events"),
                    ));
                };
                events
            }
        };
        let mut found = Vec::new();
        self.events(&events, !is_first, &mut found)?;
        if is_first {
            found.iter_mut().for_each(without_foreign);
        }
        document.insert("epcisBody".to_owned(), json!({ "eventList": found }));
        Ok(document)
    }

    /// The events of a list, those of newer kinds in `extension` included.
    fn events(&mut self, list: &Element, strict: bool, found: &mut Vec<Value>) -> Result<(), Refusal> {
        for child in &list.children {
            if child.name == "extension" && is_standard(child) {
                self.events(child, strict, found)?;
            } else {
                found.push(Value::Object(self.event(child, strict)?));
            }
        }
        Ok(())
    }

    fn event(&mut self, element: &Element, strict: bool) -> Result<Map<String, Value>, Refusal> {
        let mut event = Map::new();
        event.insert("type".to_owned(), element.name.as_str().into());
        let at =
            |name: &str| element.children.iter().position(|child| child.name == name && is_standard(child));
        if strict && at("action").is_some_and(|action| at("eventTime").is_some_and(|time| action < time)) {
            return Err(Refusal::new("invalid", format!("{}: action stands before eventTime", element.name)));
        }
        self.fields(element, &mut event);
        Ok(event)
    }

    fn fields(&mut self, holder: &Element, event: &mut Map<String, Value>) {
        for child in &holder.children {
            if !is_standard(child) {
                let (name, value) = self.extension(child);
                put(event, name, value);
                continue;
            }
            let value = match child.name.as_str() {
                "extension" | "baseExtension" => {
                    self.fields(child, event);
                    continue;
                }
                "epcList" | "childEPCs" | "inputEPCList" | "outputEPCList" => texts(child),
                "quantityList" | "childQuantityList" | "inputQuantityList" | "outputQuantityList" => {
                    child.children.iter().map(quantity).collect()
                }
                "bizTransactionList" | "sourceList" | "destinationList" => {
                    child.children.iter().map(typed).collect()
                }
                "readPoint" | "bizLocation" => self.place(child),
                "persistentDisposition" => persistent(child),
                "sensorElementList" => child.children.iter().map(|sensor| self.sensor(sensor)).collect(),
                "ilmd" => self.object(child),
                "errorDeclaration" => self.declaration(child),
                "bizStep" | "disposition" => term(child.words()),
                _ if child.children.is_empty() => child.words().into(),
                _ => self.object(child),
            };
            put(event, child.name.clone(), value);
        }
    }

    /// An element of another namespace: an object where elements lie in it, else its text.
    fn extension(&mut self, element: &Element) -> (String, Value) {
        let name = self.qualified(&element.namespace, &element.prefix, &element.name);
        let more: Vec<Attribute> =
            element.attributes.iter().filter(|one| is_extension(one)).cloned().collect();
        if element.children.is_empty() && more.is_empty() {
            return (name, element.words().into());
        }
        let mut value = self.object(element);
        if let Value::Object(object) = &mut value {
            for attribute in more {
                let name = self.qualified(&attribute.namespace, &attribute.prefix, &attribute.name);
                put(object, name, attribute.value.trim().into());
            }
        }
        (name, value)
    }

    fn object(&mut self, element: &Element) -> Value {
        let mut object = Map::new();
        for child in &element.children {
            let (name, value) = if is_standard(child) {
                let value = if child.children.is_empty() { child.words().into() } else { self.object(child) };
                (child.name.clone(), value)
            } else {
                self.extension(child)
            };
            put(&mut object, name, value);
        }
        Value::Object(object)
    }

    fn place(&mut self, element: &Element) -> Value {
        let mut place = Map::new();
        for child in &element.children {
            match child.name.as_str() {
                "id" if is_standard(child) => put(&mut place, "id".to_owned(), child.words().into()),
                "extension" if is_standard(child) => {
                    if let Value::Object(more) = self.object(child) {
                        place.extend(more);
                    }
                }
                _ => {
                    let (name, value) = self.extension(child);
                    put(&mut place, name, value);
                }
            }
        }
        Value::Object(place)
    }

    fn declaration(&mut self, element: &Element) -> Value {
        let mut declaration = Map::new();
        for child in &element.children {
            match child.name.as_str() {
                _ if !is_standard(child) => {
                    let (name, value) = self.extension(child);
                    put(&mut declaration, name, value);
                }
                "correctiveEventIDs" => {
                    declaration.insert(child.name.clone(), texts(child));
                }
                "reason" => {
                    declaration.insert(child.name.clone(), term(child.words()));
                }
                _ => put(&mut declaration, child.name.clone(), child.words().into()),
            }
        }
        Value::Object(declaration)
    }

    fn sensor(&mut self, element: &Element) -> Value {
        let mut sensor = Map::new();
        let mut reports = Vec::new();
        for child in &element.children {
            match child.name.as_str() {
                "sensorMetadata" if is_standard(child) => {
                    sensor.insert("sensorMetadata".to_owned(), self.attributes(child));
                }
                "sensorReport" if is_standard(child) => reports.push(self.attributes(child)),
                _ => {
                    let (name, value) = self.extension(child);
                    put(&mut sensor, name, value);
                }
            }
        }
        if !reports.is_empty() {
            sensor.insert("sensorReport".to_owned(), Value::Array(reports));
        }
        Value::Object(sensor)
    }

    fn attributes(&mut self, element: &Element) -> Value {
        let mut object = Map::new();
        for attribute in &element.attributes {
            let name = if attribute.namespace.is_empty() {
                attribute.name.clone()
            } else {
                self.qualified(&attribute.namespace, &attribute.prefix, &attribute.name)
            };
            let value = match attribute.name.as_str() {
                known if NUMBERS.contains(&known) => number(&attribute.value),
                "booleanValue" => match attribute.value.trim() {
                    "true" | "1" => true.into(),
                    "false" | "0" => false.into(),
                    other => other.into(),
                },
                _ => attribute.value.trim().into(),
            };
            object.insert(name, value);
        }
        Value::Object(object)
    }
}

/// Not one that says how to read XML.
fn is_extension(attribute: &Attribute) -> bool {
    !attribute.namespace.is_empty() && !attribute.namespace.starts_with("http://www.w3.org/")
}

/// Version 1 knows no certification: what is written under that name there need not be what version 2 wants.
fn without_foreign(event: &mut Value) {
    let is_uri = |value: &Value| value.as_str().is_some_and(|text| text.contains(':'));
    if let Some(event) = event.as_object_mut()
        && event.get("certificationInfo").is_some_and(|value| !is_uri(value))
    {
        event.shift_remove("certificationInfo");
    }
}

fn texts(list: &Element) -> Value {
    list.children.iter().map(|child| Value::from(child.words())).collect()
}

fn quantity(element: &Element) -> Value {
    let mut quantity = Map::new();
    for child in element.children.iter().filter(|child| !child.words().is_empty()) {
        let value = if child.name == "quantity" { number(child.words()) } else { child.words().into() };
        put(&mut quantity, child.name.clone(), value);
    }
    Value::Object(quantity)
}

fn typed(element: &Element) -> Value {
    let mut typed = Map::new();
    if let Some(kind) = element.attribute("type") {
        typed.insert("type".to_owned(), term(kind.trim()));
    }
    typed.insert(element.name.clone(), element.words().into());
    Value::Object(typed)
}

fn persistent(element: &Element) -> Value {
    let of = |name: &str| -> Vec<Value> {
        let named = element.children.iter().filter(|child| child.name == name);
        named.map(|child| term(child.words())).collect()
    };
    let lists = ["set", "unset"].into_iter().map(|name| (name.to_owned(), Value::Array(of(name))));
    Value::Object(lists.filter(|(_, list)| list.as_array().is_some_and(|list| !list.is_empty())).collect())
}
