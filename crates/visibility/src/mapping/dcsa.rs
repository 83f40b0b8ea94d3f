//! `dcsa@1`: events of DCSA Track & Trace v3, one a record or a list of them, as its API gives them.
//!
//! Bookings are shipments, equipment is a container, a vessel or truck a vehicle. Planned, estimated and actual stay
//! apart; an event that retracts another takes it back.

use serde::Deserialize;

use super::{Record, Refusal, Teller};
use crate::model::time::{When, parse_instant};
use crate::model::{Body, Classifier, Fact, Kind, LinkAction, Located, Milestone, Relation, Subject};

/// Who tells, where the publisher has no name.
const SOURCE: &str = "dcsa";

/// DCSA's shipmentEventTypeCode in words.
const SHIPMENT: [(&str, &str); 15] = [
    ("RECE", "received"),
    ("DRFT", "drafted"),
    ("PENA", "pending approval"),
    ("PENU", "pending update"),
    ("REJE", "rejected"),
    ("APPR", "approved"),
    ("ISSU", "issued"),
    ("SURR", "surrendered"),
    ("SUBM", "submitted"),
    ("VOID", "void"),
    ("CONF", "confirmed"),
    ("REQS", "requested"),
    ("CMPL", "completed"),
    ("HOLD", "on hold"),
    ("RELS", "released"),
];

/// DCSA's equipmentEventTypeCode in words.
const EQUIPMENT: [(&str, &str); 11] = [
    ("LOAD", "loaded"),
    ("DISC", "discharged"),
    ("GTIN", "gated in"),
    ("GTOT", "gated out"),
    ("STUF", "stuffed"),
    ("STRP", "stripped"),
    ("PICK", "picked up"),
    ("DROP", "dropped off"),
    ("INSP", "inspected"),
    ("RSEA", "resealed"),
    ("RMVD", "removed"),
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    metadata: Metadata,
    payload: Option<Payload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(rename = "eventID")]
    event_id: String,
    event_type: String,
    #[serde(rename = "retractedEventID")]
    retracted: Option<String>,
    publisher: Option<Publisher>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Publisher {
    party_name: Option<String>,
    carrier_code: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Payload {
    event_classifier_code: Option<String>,
    event_date_time: Option<String>,
    shipment_event_type_code: Option<String>,
    equipment_event_type_code: Option<String>,
    transport_event_type_code: Option<String>,
    document_type_code: Option<String>,
    document_reference: Option<String>,
    equipment_reference: Option<String>,
    #[serde(rename = "ISOEquipmentCode")]
    iso_equipment_code: Option<String>,
    empty_indicator_code: Option<String>,
    reason: Option<String>,
    delay_reason_code: Option<String>,
    transport_call: Option<TransportCall>,
    location: Option<Location>,
    related_document_references: Vec<Reference>,
    references: Vec<Reference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TransportCall {
    location: Option<Location>,
    vessel: Option<Vessel>,
    licence_plate: Option<String>,
    rail_car: Option<String>,
    mode_of_transport: Option<String>,
    carrier_export_voyage_number: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Vessel {
    #[serde(rename = "vesselIMONumber")]
    imo: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Location {
    location_name: Option<String>,
    #[serde(rename = "UNLocationCode")]
    un_location_code: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

pub(super) fn map(record: &Record, value: &[u8]) -> Result<Vec<Fact>, Refusal> {
    let is_list = value.trim_ascii_start().first() == Some(&b'[');
    let events: Vec<Event> = if is_list {
        serde_json::from_slice(value).map_err(|fault| refuse(&fault))?
    } else {
        vec![serde_json::from_slice(value).map_err(|fault| refuse(&fault))?]
    };
    let mut facts = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let place = if is_list { format!("[{at}]") } else { "event".to_owned() };
        facts.extend(map_event(record, event, &place)?);
    }
    Ok(facts)
}

fn refuse(fault: &serde_json::Error) -> Refusal {
    Refusal::new(if fault.is_data() { "invalid" } else { "not_json" }, fault.to_string())
}

fn fault(place: &str, what: impl std::fmt::Display) -> Refusal {
    Refusal::new("invalid", format!("{place}: {what}"))
}

fn event_id(id: &str) -> String {
    format!("dcsa:{id}")
}

fn map_event(record: &Record, event: &Event, place: &str) -> Result<Vec<Fact>, Refusal> {
    let metadata = &event.metadata;
    if metadata.event_id.trim().is_empty() {
        return Err(fault(place, "metadata.eventID is empty"));
    }
    let publisher = metadata.publisher.as_ref();
    let source = publisher
        .and_then(|publisher| publisher.party_name.as_deref().or(publisher.carrier_code.as_deref()))
        .unwrap_or(SOURCE);
    let mut teller = Teller::new(record, event_id(&metadata.event_id), source);
    if let Some(retracted) = &metadata.retracted {
        let withdraws = event_id(retracted);
        let subject = Subject::new(Kind::Event, withdraws.clone());
        let correction = Body::Correction { withdraws, bound: None };
        teller.tell_with(&subject, Classifier::Act, None, correction, Some("retracted"));
    }
    let Some(payload) = &event.payload else {
        if metadata.retracted.is_none() {
            return Err(fault(place, "has neither a payload nor a retractedEventID"));
        }
        return Ok(teller.finish());
    };
    let classifier = match payload.event_classifier_code.as_deref() {
        Some("PLN") => Classifier::Pln,
        Some("EST") => Classifier::Est,
        Some("ACT") => Classifier::Act,
        other => {
            return Err(fault(
                place,
                format!("eventClassifierCode {} is none of PLN, EST, ACT", text(other)),
            ));
        }
    };
    let when = payload.event_date_time.as_deref();
    let when = when
        .and_then(parse_instant)
        .ok_or_else(|| fault(place, format!("eventDateTime {} is not an RFC 3339 instant", text(when))))?;
    let mut telling = Telling { teller, payload, classifier, when: When::Instant(when) };
    match metadata.event_type.as_str() {
        "SHIPMENT" => telling.shipment(place)?,
        "EQUIPMENT" => telling.equipment(place)?,
        "TRANSPORT" => telling.transport(place)?,
        other => return Err(Refusal::new("unsupported_type", format!("{place}: events of type {other}"))),
    }
    Ok(telling.teller.finish())
}

fn text(value: Option<&str>) -> &str {
    value.unwrap_or("(missing)")
}

fn words(
    codes: &[(&str, &'static str)],
    code: Option<&str>,
    place: &str,
    name: &str,
) -> Result<&'static str, Refusal> {
    let found = codes.iter().find(|(known, _)| Some(*known) == code).map(|(_, words)| *words);
    found.ok_or_else(|| fault(place, format!("{name} {} is not known", text(code))))
}

fn located(location: &Location) -> Option<Located> {
    let id = location.un_location_code.clone().or_else(|| location.location_name.clone())?;
    let country = location.un_location_code.as_deref().and_then(|code| code.get(..2)).map(str::to_owned);
    Some(Located { place: id, name: location.location_name.clone(), country })
}

struct Telling<'e> {
    teller: Teller,
    payload: &'e Payload,
    classifier: Classifier,
    when: When,
}

impl Telling<'_> {
    fn referred(&self, kind: &str) -> impl Iterator<Item = &str> {
        let all = self.payload.related_document_references.iter().chain(&self.payload.references);
        all.filter(move |reference| reference.kind == kind).map(|reference| reference.value.as_str())
    }

    fn subjects(&self, reference: &str, kind: Kind) -> Vec<Subject> {
        self.referred(reference).map(|id| Subject::new(kind, id)).collect()
    }

    fn place(&self) -> Option<Located> {
        let of_call = self.payload.transport_call.as_ref().and_then(|call| call.location.as_ref());
        of_call.or(self.payload.location.as_ref()).and_then(located)
    }

    fn vehicle(&self) -> Option<(Subject, Vec<(&'static str, String)>)> {
        let call = self.payload.transport_call.as_ref()?;
        let imo = call.vessel.as_ref().and_then(|vessel| vessel.imo.clone());
        let id = imo.or_else(|| call.licence_plate.clone()).or_else(|| call.rail_car.clone())?;
        let name = call.vessel.as_ref().and_then(|vessel| vessel.name.clone());
        let values = vec![
            ("name", name.unwrap_or_default()),
            ("mode", call.mode_of_transport.clone().unwrap_or_default()),
            ("voyage", call.carrier_export_voyage_number.clone().unwrap_or_default()),
        ];
        Some((Subject::new(Kind::Vehicle, id), values))
    }

    /// Bookings with the orders, containers and documents that they are told with.
    fn relate(&mut self) -> Vec<Subject> {
        let shipments = self.subjects("BKG", Kind::Shipment);
        let (orders, containers) = (self.subjects("PO", Kind::Order), self.subjects("EQ", Kind::Container));
        let documents = self.subjects("TRD", Kind::Document);
        for shipment in &shipments {
            for container in &containers {
                self.link(shipment, container, Relation::In);
            }
            for order in &orders {
                self.link(order, shipment, Relation::In);
            }
            for document in &documents {
                self.link(shipment, document, Relation::Named);
            }
        }
        shipments
    }

    /// What is told of in one breath belongs together, whenever that is: without a time of its own.
    fn link(&mut self, part: &Subject, holder: &Subject, relation: Relation) {
        self.teller.link(part, holder, relation, LinkAction::Seen, None);
    }

    fn step(&mut self, subject: &Subject, words: String) {
        let step = match self.classifier {
            Classifier::Act => words,
            Classifier::Est => format!("{words}, expected"),
            Classifier::Pln => format!("{words}, planned"),
        };
        let body = Body::Step { step, disposition: None };
        self.teller.tell_with(
            subject,
            self.classifier,
            Some(self.when),
            body,
            self.payload.reason.as_deref(),
        );
    }

    fn seen(&mut self, subject: &Subject) {
        if self.classifier == Classifier::Act
            && let Some(place) = self.place()
        {
            self.teller.located(subject, self.when, place);
        }
    }

    fn shipment(&mut self, place: &str) -> Result<(), Refusal> {
        let code = self.payload.shipment_event_type_code.as_deref();
        let words = words(&SHIPMENT, code, place, "shipmentEventTypeCode")?;
        let document = self.payload.document_type_code.clone().unwrap_or_default();
        let shipments = self.relate();
        let whose = self.payload.document_reference.as_deref().filter(|id| !id.is_empty());
        if shipments.is_empty() && whose.is_none() {
            return Err(fault(place, "names neither a document nor a booking"));
        }
        for shipment in &shipments {
            self.step(shipment, format!("document {document} {words}"));
        }
        if let Some(id) = whose {
            let subject = Subject::new(if document == "BKG" { Kind::Shipment } else { Kind::Document }, id);
            for shipment in shipments.iter().filter(|shipment| **shipment != subject) {
                self.link(shipment, &subject, Relation::Named);
            }
            self.step(&subject, format!("document {document} {words}"));
        }
        Ok(())
    }

    fn equipment(&mut self, place: &str) -> Result<(), Refusal> {
        let code = self.payload.equipment_event_type_code.as_deref();
        let words = words(&EQUIPMENT, code, place, "equipmentEventTypeCode")?;
        let id = self.payload.equipment_reference.as_deref().filter(|id| !id.trim().is_empty());
        let container =
            Subject::new(Kind::Container, id.ok_or_else(|| fault(place, "has no equipmentReference"))?);
        for shipment in self.relate() {
            self.link(&shipment, &container, Relation::In);
        }
        self.step(&container, words.to_owned());
        self.seen(&container);
        let values = vec![
            ("type", self.payload.iso_equipment_code.clone().unwrap_or_default()),
            ("load", self.payload.empty_indicator_code.clone().unwrap_or_default().to_lowercase()),
        ];
        self.teller.attributes(&container, values);
        if let Some((vehicle, values)) = self.vehicle() {
            self.teller.attributes(&vehicle, values);
            let action = match code {
                Some("LOAD") => LinkAction::Add,
                Some("DISC") => LinkAction::Remove,
                _ => return Ok(()),
            };
            if self.classifier == Classifier::Act {
                self.teller.link(&container, &vehicle, Relation::In, action, Some(self.when));
            }
        }
        Ok(())
    }

    fn transport(&mut self, place: &str) -> Result<(), Refusal> {
        let milestone = match self.payload.transport_event_type_code.as_deref() {
            Some("ARRI") => Milestone::Arrive,
            Some("DEPA") => Milestone::Depart,
            other => {
                return Err(fault(place, format!("transportEventTypeCode {} is not known", text(other))));
            }
        };
        let mut subjects = self.relate();
        if let Some((vehicle, values)) = self.vehicle() {
            self.teller.attributes(&vehicle, values);
            subjects.push(vehicle);
        }
        if subjects.is_empty() {
            return Err(fault(place, "names neither a booking nor a vehicle"));
        }
        let why = self.payload.delay_reason_code.as_deref().or(self.payload.reason.as_deref());
        for subject in &subjects {
            self.teller.milestone(subject, milestone, self.classifier, self.when, why);
            self.seen(subject);
        }
        Ok(())
    }
}
