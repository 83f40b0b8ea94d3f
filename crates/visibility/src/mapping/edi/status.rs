//! Where shipments are: carriers' status messages (214) and ocean status messages (315).

use super::{Message, Segment, place, subject, when};
use crate::mapping::{Record, Refusal, Teller};
use crate::model::time::When;
use crate::model::{Body, Classifier, Fact, Kind, LinkAction, Located, Milestone, Relation, Subject};

/// Shipment status codes (data element 1650) of the 214: code, words, milestone.
const STATUS: [(&str, &str, Option<Milestone>); 14] = [
    ("AF", "departed from pick-up", Some(Milestone::Depart)),
    ("P1", "departed from terminal", Some(Milestone::Depart)),
    ("X3", "arrived at pick-up", None),
    ("CP", "loaded at pick-up", None),
    ("X1", "arrived at delivery", Some(Milestone::Arrive)),
    ("X4", "arrived at terminal", Some(Milestone::Arrive)),
    ("X6", "en route to delivery", None),
    ("CD", "departed from delivery", None),
    ("D1", "unloaded at delivery", Some(Milestone::Deliver)),
    ("AG", "delivery expected", None),
    ("SD", "delayed", None),
    ("A7", "refused by consignee", None),
    ("NS", "normal", None),
    ("XB", "shipment acknowledged", None),
];

/// Appointment codes (data element 1652).
const APPOINTMENT: [(&str, &str); 4] = [
    ("AA", "pick-up appointment"),
    ("AB", "delivery appointment"),
    ("X5", "arrived at delivery, appointment"),
    ("X9", "delivery appointment asked for"),
];

/// Codes of the 315 (data element 157): code, words, milestone of the shipment.
const OCEAN: [(&str, &str, Option<Milestone>); 14] = [
    ("VA", "vessel arrived", Some(Milestone::Arrive)),
    ("VD", "vessel departed", Some(Milestone::Depart)),
    ("AE", "loaded on vessel", None),
    ("UV", "unloaded from vessel", None),
    ("I", "gated in", None),
    ("OA", "gated out", None),
    ("AL", "loaded on rail", None),
    ("UR", "unloaded from rail", None),
    ("RL", "departed by rail", None),
    ("AR", "arrived by rail", None),
    ("D", "unloaded at delivery", Some(Milestone::Deliver)),
    ("EE", "empty taken out", None),
    ("RD", "empty returned", None),
    ("CT", "customs released", None),
];

/// One LX loop of a 214: its statuses and, where it has one, the delivery order they are of.
#[derive(Default)]
struct Stop<'s> {
    statuses: Vec<&'s Segment>,
    part: Option<Subject>,
    place: Option<Located>,
}

/// 214.
pub(super) fn carrier_status(record: &Record, message: &Message<'_>) -> Result<Vec<Fact>, Refusal> {
    let head = message.first("B10").ok_or_else(|| message.fault("B10 is missing"))?;
    let number = if head.get(2).is_empty() { head.get(1) } else { head.get(2) };
    let shipment = Subject::new(Kind::Shipment, message.need(number, "B1001 and B1002")?);
    let mut teller = message.teller(record);
    let mut stops = vec![Stop::default()];
    for segment in message.segments {
        let Some(stop) = stops.last_mut() else { break };
        match segment.tag.as_str() {
            "LX" => stops.push(Stop::default()),
            "AT7" => stop.statuses.push(segment),
            "MS1" => {
                stop.place = place("", &format!("{} {}", segment.get(1), segment.get(2)), segment.get(3))
            }
            "L11" if segment.get(2) == "DO" => stop.part = subject(Kind::Shipment, segment.get(1)),
            _ => {}
        }
    }
    stops.retain(|stop| !stop.statuses.is_empty());
    if stops.is_empty() {
        return Err(message.fault("AT7 is missing: no status is told"));
    }
    let values = vec![("carrier", head.get(3).to_owned()), ("carrier's reference", head.get(1).to_owned())];
    teller.attributes(&shipment, values);
    let mut deliveries: Vec<Option<When>> = Vec::new();
    for stop in &stops {
        let whose = stop.part.as_ref().unwrap_or(&shipment);
        if let Some(part) = &stop.part {
            teller.link(part, &shipment, Relation::In, LinkAction::Seen, None);
        }
        let mut delivered = None;
        for status in &stop.statuses {
            let told = status_of(&mut teller, message, status, whose, stop.place.as_ref())?;
            delivered = told.or(delivered);
        }
        deliveries.push(delivered.filter(|_| stop.part.is_some()));
    }
    // The whole is delivered once each delivery order in it is.
    let all: Option<Vec<When>> = deliveries.into_iter().collect();
    if let Some(last) = all.and_then(|all| all.into_iter().max_by_key(|when| when.start())) {
        teller.milestone(&shipment, Milestone::Deliver, Classifier::Act, last, None);
    }
    Ok(teller.finish())
}

/// Tells a status; returns when it says that the subject was delivered.
fn status_of(
    teller: &mut Teller,
    message: &Message<'_>,
    segment: &Segment,
    whose: &Subject,
    at: Option<&Located>,
) -> Result<Option<When>, Refusal> {
    let time = when(segment.get(5), segment.get(6), segment.get(7));
    let time = time.ok_or_else(|| message.fault(format!("AT705 '{}' is not a date", segment.get(5))))?;
    let (code, appointment) = (segment.get(1), segment.get(3));
    if code.is_empty() {
        let words = APPOINTMENT.iter().find(|(known, _)| *known == appointment).map(|(_, words)| *words);
        let words = words.ok_or_else(|| message.fault(format!("AT703 {appointment} is not known")))?;
        step(teller, whose, Classifier::Pln, time, words);
        if appointment == "AB" {
            teller.milestone(whose, Milestone::Deliver, Classifier::Est, time, Some("appointment"));
        }
        return Ok(None);
    }
    let found = STATUS.iter().find(|(known, ..)| *known == code);
    let (_, words, milestone) = found.ok_or_else(|| message.fault(format!("AT701 {code} is not known")))?;
    if code == "AG" {
        teller.milestone(whose, Milestone::Deliver, Classifier::Est, time, None);
        return Ok(None);
    }
    step(teller, whose, Classifier::Act, time, words);
    if let Some(milestone) = milestone {
        teller.milestone(whose, *milestone, Classifier::Act, time, None);
    }
    if let Some(at) = at {
        teller.located(whose, time, at.clone());
    }
    Ok((*milestone == Some(Milestone::Deliver)).then_some(time))
}

fn step(teller: &mut Teller, whose: &Subject, classifier: Classifier, time: When, words: &str) {
    let body = Body::Step { step: words.to_owned(), disposition: None };
    teller.tell_with(whose, classifier, Some(time), body, None);
}

/// 315.
pub(super) fn ocean_status(record: &Record, message: &Message<'_>) -> Result<Vec<Fact>, Refusal> {
    let head = message.first("B4").ok_or_else(|| message.fault("B4 is missing"))?;
    let code = message.need(head.get(3), "B403")?;
    let found = OCEAN.iter().find(|(known, ..)| *known == code);
    let (_, words, milestone) = found.ok_or_else(|| message.fault(format!("B403 {code} is not known")))?;
    let time = when(head.get(4), head.get(5), "");
    let time = time.ok_or_else(|| message.fault(format!("B404 '{}' is not a date", head.get(4))))?;
    let reference = |kind: &str| {
        let found = message.segments.iter().find(|segment| segment.tag == "N9" && segment.get(1) == kind);
        found.map_or("", |segment| segment.get(2))
    };
    let number = format!("{}{}{}", head.get(7), head.get(8), head.get(13));
    let container = if reference("EQ").is_empty() { number } else { reference("EQ").to_owned() };
    let container =
        Subject::new(Kind::Container, message.need(&container, "the container (B407, B408, N9 EQ)")?);
    let mut teller = message.teller(record);
    let port = ports(message).find(|port| !head.get(11).is_empty() && port.segment.get(3) == head.get(11));
    let at = port.map_or_else(|| place(head.get(11), "", ""), |port| port.located());
    step(&mut teller, &container, Classifier::Act, time, words);
    let shipment = subject(Kind::Shipment, reference("BN"));
    for subject in std::iter::once(&container).chain(&shipment) {
        if let Some(at) = &at {
            teller.located(subject, time, at.clone());
        }
    }
    if let Some(vessel) =
        message.first("Q2").and_then(|segment| Some((subject(Kind::Vehicle, segment.get(1))?, segment)))
    {
        let (vehicle, segment) = vessel;
        teller.attributes(&vehicle, vec![("name", segment.get(13).to_owned())]);
        let action = match code {
            "AE" => LinkAction::Add,
            "UV" => LinkAction::Remove,
            _ => LinkAction::Seen,
        };
        teller.link(&container, &vehicle, Relation::In, action, Some(time));
    }
    if let Some(shipment) = &shipment {
        teller.link(shipment, &container, Relation::In, LinkAction::Seen, None);
        let values = vec![("bill of lading", reference("BM").to_owned())];
        teller.attributes(shipment, values);
        if let Some(milestone) = milestone {
            teller.milestone(shipment, *milestone, Classifier::Act, time, None);
        }
        for port in ports(message) {
            port.tell(&mut teller, shipment);
        }
    }
    Ok(teller.finish())
}

/// A port of a 315 with its dates: R4 and the DTM behind it.
struct Port<'s> {
    segment: &'s Segment,
    dates: Vec<&'s Segment>,
}

fn ports<'s>(message: &Message<'s>) -> impl Iterator<Item = Port<'s>> {
    let mut ports: Vec<Port<'s>> = Vec::new();
    for segment in message.segments {
        match (segment.tag.as_str(), ports.last_mut()) {
            ("R4", _) => ports.push(Port { segment, dates: Vec::new() }),
            ("DTM", Some(port)) => port.dates.push(segment),
            _ => {}
        }
    }
    ports.into_iter()
}

impl Port<'_> {
    fn located(&self) -> Option<Located> {
        place(self.segment.get(3), self.segment.get(4), self.segment.get(5))
    }

    /// Departure from the port of loading, arrival at the port of discharge, delivery at the place of delivery.
    fn tell(&self, teller: &mut Teller, shipment: &Subject) {
        let milestone = match self.segment.get(1) {
            "L" => Milestone::Depart,
            "D" => Milestone::Arrive,
            "E" => Milestone::Deliver,
            _ => return,
        };
        for date in &self.dates {
            let classifier = match date.get(1) {
                "139" => Classifier::Est,
                "140" => Classifier::Act,
                _ => continue,
            };
            if let Some(time) = when(date.get(2), date.get(3), date.get(4)) {
                teller.milestone(shipment, milestone, classifier, time, None);
                if let (Classifier::Act, Some(at)) = (classifier, self.located()) {
                    teller.located(shipment, time, at);
                }
            }
        }
    }
}
