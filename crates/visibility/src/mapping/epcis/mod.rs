//! `epcis@1`: EPCIS 2.0 documents and single events in JSON, EPCIS 1.x and 2.0 ones in XML ([`xml`]).
//!
//! An event's id is its hash ID ([`hash`]), so the same event in another serialisation, or sent again, is the same. An
//! event with an error declaration tells nothing but that the event with its hash ID does not count.

pub mod gs1;
pub mod hash;
mod tree;
mod validate;
mod xml;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Record, Refusal, Teller};
use crate::model::digest::hex;
use crate::model::time::{When, parse_instant};
use crate::model::{
    Body, Classifier, Condition, Fact, Kind, LinkAction, Located, Milestone, Relation, Subject,
};
use gs1::{canonical, primary};
use hash::{Context, event_hash};

pub(super) fn map(record: &Record, value: &[u8]) -> Result<Vec<Fact>, Refusal> {
    let document = document(value)?;
    let events = validate::events(&document)?;
    let context = Context::of(&document);
    for (at, event) in events.iter().enumerate() {
        validate::event(event, &format!("eventList[{at}]"))?;
    }
    let mut facts = Vec::new();
    for event in events {
        facts.extend(map_event(record, event, &context));
    }
    Ok(facts)
}

/// A document in JSON or XML, in its JSON form.
///
/// # Errors
/// It is neither, or XML of another kind.
pub fn document(value: &[u8]) -> Result<Value, Refusal> {
    let text = value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value).trim_ascii_start();
    if text.first() == Some(&b'<') {
        return xml::to_json(text);
    }
    serde_json::from_slice(value).map_err(|fault| Refusal::new("not_json", fault.to_string()))
}

/// A vocabulary's term without what says which list it is of.
fn word(term: &str) -> &str {
    const PREFIXES: [&str; 9] = [
        "urn:epcglobal:cbv:bizstep:",
        "urn:epcglobal:cbv:disp:",
        "https://ref.gs1.org/cbv/BizStep-",
        "https://ref.gs1.org/cbv/Disp-",
        "https://ns.gs1.org/cbv/BizStep-",
        "https://ns.gs1.org/cbv/Disp-",
        "cbv:BizStep-",
        "cbv:Disp-",
        "gs1:",
    ];
    PREFIXES.iter().find_map(|prefix| term.strip_prefix(prefix)).unwrap_or(term)
}

/// The events of a capture or query document, or the single event that it is.
#[must_use]
pub fn events_of(document: &Value) -> Vec<&Map<String, Value>> {
    let body = document.get("epcisBody");
    let results =
        body.and_then(|body| body.get("queryResults")).and_then(|results| results.get("resultsBody"));
    let list = body.and_then(|body| body.get("eventList")).or(results.and_then(|body| body.get("eventList")));
    match list.and_then(Value::as_array) {
        Some(list) => list.iter().filter_map(Value::as_object).collect(),
        None => document.as_object().into_iter().collect(),
    }
}

fn map_event(record: &Record, event: &Map<String, Value>, context: &Context) -> Vec<Fact> {
    let id = event_hash(event, context);
    let source = record.topic_name.as_ref();
    if let Some(declaration) = event.get("errorDeclaration") {
        let digest = hex(&Sha256::digest(declaration.to_string().as_bytes()));
        let mut teller = Teller::new(record, format!("{id}#error:{digest}"), source);
        let reason = declaration.get("reason").and_then(Value::as_str);
        let withdrawn = Subject::new(Kind::Event, id.clone());
        let correction = Body::Correction { withdraws: id, bound: None };
        teller.tell_with(&withdrawn, Classifier::Act, None, correction, reason);
        return teller.finish();
    }
    let Some(happened) = text(event, "eventTime").and_then(parse_instant) else { return Vec::new() };
    let mut telling = Telling {
        teller: Teller::new(record, id, source),
        event,
        when: When::Instant(happened),
        action: match text(event, "action") {
            Some("ADD") => LinkAction::Add,
            Some("DELETE") => LinkAction::Remove,
            _ => LinkAction::Seen,
        },
    };
    telling.tell();
    telling.teller.finish()
}

fn text<'e>(event: &'e Map<String, Value>, name: &str) -> Option<&'e str> {
    event.get(name).and_then(Value::as_str)
}

fn subject(id: &str, is_class: bool) -> Subject {
    let id = canonical(id);
    let kind = match primary(&id) {
        Some("00" | "8003") if !is_class => Kind::Pallet,
        Some("401" | "402") => Kind::Shipment,
        Some("414") => Kind::Place,
        Some("253") => Kind::Document,
        _ => Kind::Item,
    };
    Subject { kind, id }
}

/// One event while its facts are told.
struct Telling<'e> {
    teller: Teller,
    event: &'e Map<String, Value>,
    when: When,
    action: LinkAction,
}

impl Telling<'_> {
    fn epcs(&self, name: &str) -> Vec<Subject> {
        let list = self.event.get(name).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(|epc| subject(epc, false)).collect()
    }

    fn classes(&self, name: &str) -> Vec<(Subject, Option<String>)> {
        let list = self.event.get(name).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|item| {
            let class = subject(item.get("epcClass")?.as_str()?, true);
            let unit = item.get("uom").and_then(Value::as_str).unwrap_or("pieces");
            Some((class, item.get("quantity").map(|quantity| format!("{quantity} {unit}"))))
        })
        .collect()
    }

    fn tell(&mut self) {
        let parent = text(self.event, "parentID").map(|parent| subject(parent, false));
        let mut objects: Vec<Subject> = Vec::new();
        for name in ["epcList", "childEPCs", "inputEPCList", "outputEPCList"] {
            objects.extend(self.epcs(name));
        }
        for name in ["quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList"] {
            for (class, quantity) in self.classes(name) {
                self.teller.attributes(&class, vec![("quantity", quantity.unwrap_or_default())]);
                objects.push(class);
            }
        }
        let is_containment =
            matches!(text(self.event, "type"), Some("AggregationEvent" | "AssociationEvent"));
        if let (true, Some(parent)) = (is_containment, &parent) {
            for object in &objects {
                self.teller.link(object, parent, Relation::In, self.action, Some(self.when));
            }
            if objects.is_empty() && self.action == LinkAction::Remove {
                // Without children a DELETE empties the parent: a link to itself says so.
                self.teller.link(parent, parent, Relation::In, LinkAction::Remove, Some(self.when));
            }
        }
        objects.extend(parent);
        objects.sort();
        objects.dedup();
        for object in &objects {
            self.about(object);
        }
        if let Some(first) = objects.first() {
            self.sensors(first);
        }
    }

    fn about(&mut self, object: &Subject) {
        let step = text(self.event, "bizStep").map(word);
        let disposition = text(self.event, "disposition").map(word);
        if step.is_some() || disposition.is_some() {
            let body = Body::Step {
                step: step.unwrap_or("observed").to_owned(),
                disposition: disposition.map(str::to_owned),
            };
            self.teller.tell_with(object, Classifier::Act, Some(self.when), body, None);
        }
        let milestone = match step {
            Some("departing") => Some(Milestone::Depart),
            Some("arriving") => Some(Milestone::Arrive),
            _ => None,
        };
        if let Some(milestone) = milestone {
            self.teller.milestone(object, milestone, Classifier::Act, self.when, None);
        }
        self.lasting(object);
        let place = ["readPoint", "bizLocation"].into_iter().find_map(|name| self.event.get(name));
        if let Some(id) = place.and_then(|place| place.get("id")).and_then(Value::as_str) {
            let located = Located { place: canonical(id), name: None, country: None };
            self.teller.located(object, self.when, located);
        }
        for item in self.event.get("bizTransactionList").and_then(Value::as_array).into_iter().flatten() {
            if let Some(id) = item.get("bizTransaction").and_then(Value::as_str) {
                let document = Subject::new(Kind::Document, canonical(id));
                self.teller.link(object, &document, Relation::Named, self.action, Some(self.when));
            }
        }
    }

    /// Dispositions that stay until they are taken off again.
    fn lasting(&mut self, object: &Subject) {
        let Some(lasting) = self.event.get("persistentDisposition") else { return };
        for (name, verb) in [("set", "from now on"), ("unset", "no longer")] {
            for term in lasting.get(name).and_then(Value::as_array).into_iter().flatten() {
                let Some(term) = term.as_str() else { continue };
                let step = format!("{verb} {}", word(term));
                let body = Body::Step { step, disposition: None };
                self.teller.tell_with(object, Classifier::Act, Some(self.when), body, None);
            }
        }
    }

    fn sensors(&mut self, object: &Subject) {
        for element in self.event.get("sensorElementList").and_then(Value::as_array).into_iter().flatten() {
            let metadata_time = element.get("sensorMetadata").and_then(|metadata| metadata.get("time"));
            for report in element.get("sensorReport").and_then(Value::as_array).into_iter().flatten() {
                let Some(value) = report.get("value").and_then(Value::as_f64) else { continue };
                let name = report.get("type").and_then(Value::as_str).unwrap_or("value");
                let time =
                    report.get("time").or(metadata_time).and_then(Value::as_str).and_then(parse_instant);
                let reading = Condition {
                    measure: name.rsplit([':', '/']).next().unwrap_or(name).to_lowercase(),
                    value,
                    unit: report.get("uom").and_then(Value::as_str).unwrap_or_default().to_owned(),
                    low: None,
                    high: None,
                };
                self.teller.condition(object, time.map_or(self.when, When::Instant), reading);
            }
        }
    }
}
