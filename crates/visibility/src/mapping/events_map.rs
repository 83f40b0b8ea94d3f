//! `events@1` to facts.

use serde_json::error::Category;

use super::events::{
    Action, Arrived, Body as Told, Delivered, Departed, EstimateChanged, Event, Object, ObjectKind,
    OrderCancelled, OrderPlaced, Place, PromiseChanged, Reading, Scan, ShipmentCreated, Withdrawn,
};
use super::{Record, Refusal, Teller};
use crate::model::time::When;
use crate::model::{
    Body, Classifier, Condition, Fact, Kind, LinkAction, Located, Milestone, Relation, Subject,
};

pub(super) fn map(record: &Record, value: &[u8]) -> Result<Vec<Fact>, Refusal> {
    map_event(record, &serde_json::from_slice(value).map_err(|fault| refuse(&fault))?)
}

/// Maps an event that came in another envelope.
pub(super) fn map_value(record: &Record, value: serde_json::Value) -> Result<Vec<Fact>, Refusal> {
    map_event(record, &serde_json::from_value(value).map_err(|fault| refuse(&fault))?)
}

fn map_event(record: &Record, event: &Event) -> Result<Vec<Fact>, Refusal> {
    if event.event_id.is_empty() || event.source.is_empty() {
        return Err(Refusal::new("invalid", "event_id and source must not be empty"));
    }
    let id = event_id(&event.source, &event.event_id);
    let mut teller = Teller::new(record, id, event.source.clone()).for_parties(&event.parties);
    if matches!(event.body, Told::Reading(_)) {
        teller = teller.sampled();
    }
    let when = When::Instant(event.event_time);
    match &event.body {
        Told::OrderPlaced(body) => order_placed(&mut teller, body, when)?,
        Told::PromiseChanged(body) => promise_changed(&mut teller, body)?,
        Told::OrderCancelled(body) => order_cancelled(&mut teller, body, when)?,
        Told::ShipmentCreated(body) => shipment_created(&mut teller, body, when)?,
        Told::EstimateChanged(body) => estimate_changed(&mut teller, body)?,
        Told::Departed(body) => departed(&mut teller, body, when)?,
        Told::Arrived(body) => arrived(&mut teller, body, when)?,
        Told::Delivered(body) => delivered(&mut teller, body, when)?,
        Told::Scan(body) => scan(&mut teller, body, when)?,
        Told::Reading(body) => reading(&mut teller, body, when)?,
        Told::Withdrawn(body) => withdrawn(&mut teller, body, &event.source)?,
    }
    Ok(teller.finish())
}

fn event_id(source: &str, id: &str) -> String {
    format!("{source}:{id}")
}

fn refuse(fault: &serde_json::Error) -> Refusal {
    let detail = fault.to_string();
    match fault.classify() {
        Category::Data if detail.contains("unknown variant") => Refusal::new("unsupported_type", detail),
        Category::Data => Refusal::new("invalid", detail),
        _ => Refusal::new("not_json", detail),
    }
}

fn subject(kind: Kind, id: &str) -> Result<Subject, Refusal> {
    if id.trim().is_empty() {
        return Err(Refusal::new("invalid", format!("the {} has no id", kind.name())));
    }
    Ok(Subject::new(kind, id))
}

fn line_of(order: &str, line: &str) -> Result<Subject, Refusal> {
    subject(Kind::Order, order)?;
    subject(Kind::Line, line)?;
    Ok(Subject::new(Kind::Line, format!("{order}/{line}")))
}

fn located(place: &Place) -> Located {
    Located { place: place.id.clone(), name: Some(place.name.clone()), country: place.country.clone() }
}

fn quantity(amount: f64, unit: &str) -> Result<String, Refusal> {
    if amount.is_finite() && amount >= 0.0 {
        Ok(format!("{amount} {unit}"))
    } else {
        Err(Refusal::new("invalid", format!("a quantity of {amount} is none")))
    }
}

fn order_placed(teller: &mut Teller, body: &OrderPlaced, when: When) -> Result<(), Refusal> {
    let order = subject(Kind::Order, &body.order)?;
    if body.lines.is_empty() {
        return Err(Refusal::new("invalid", "an order needs at least one line"));
    }
    teller.milestone(&order, Milestone::Order, Classifier::Act, when, None);
    teller.milestone(&order, Milestone::Deliver, Classifier::Pln, When::Day(body.promised), None);
    let product = body.lines.first().map(|line| line.description.clone()).unwrap_or_default();
    teller.attributes(
        &order,
        vec![
            ("product", product),
            ("destination", body.destination.name.clone()),
            ("customer", body.customer.clone()),
            ("supplier", body.supplier.clone()),
            ("incoterm", body.incoterm.clone().unwrap_or_default()),
        ],
    );
    for line in &body.lines {
        let part = line_of(&body.order, &line.line)?;
        teller.link(&part, &order, Relation::PartOf, LinkAction::Add, Some(when));
        if let Some(promised) = line.promised {
            teller.milestone(&part, Milestone::Deliver, Classifier::Pln, When::Day(promised), None);
        }
        let amount = quantity(line.quantity, &line.unit)?;
        let values = vec![
            ("product", line.description.clone()),
            ("product id", line.product.clone()),
            ("quantity", amount),
        ];
        teller.attributes(&part, values);
    }
    Ok(())
}

fn promise_changed(teller: &mut Teller, body: &PromiseChanged) -> Result<(), Refusal> {
    let whose = match &body.line {
        Some(line) => line_of(&body.order, line)?,
        None => subject(Kind::Order, &body.order)?,
    };
    let day = When::Day(body.promised);
    teller.milestone(&whose, Milestone::Deliver, Classifier::Pln, day, body.reason.as_deref());
    Ok(())
}

fn order_cancelled(teller: &mut Teller, body: &OrderCancelled, when: When) -> Result<(), Refusal> {
    let order = subject(Kind::Order, &body.order)?;
    teller.milestone(&order, Milestone::Cancel, Classifier::Act, when, body.reason.as_deref());
    Ok(())
}

fn shipment_created(teller: &mut Teller, body: &ShipmentCreated, when: When) -> Result<(), Refusal> {
    let shipment = subject(Kind::Shipment, &body.shipment)?;
    if body.orders.is_empty() {
        return Err(Refusal::new("invalid", "a shipment needs at least one order"));
    }
    for shipped in &body.orders {
        if shipped.lines.is_empty() {
            let order = subject(Kind::Order, &shipped.order)?;
            teller.link(&order, &shipment, Relation::In, LinkAction::Add, Some(when));
        }
        for line in &shipped.lines {
            let part = line_of(&shipped.order, line)?;
            teller.link(&part, &shipment, Relation::In, LinkAction::Add, Some(when));
        }
    }
    for container in &body.containers {
        let container = subject(Kind::Container, container)?;
        teller.link(&shipment, &container, Relation::In, LinkAction::Add, Some(when));
    }
    teller.attributes(
        &shipment,
        vec![
            ("mode", body.mode.clone()),
            ("carrier", body.carrier.clone()),
            ("origin", body.origin.name.clone()),
            ("destination", body.destination.name.clone()),
        ],
    );
    if let Some(planned) = body.planned_departure {
        teller.milestone(&shipment, Milestone::Depart, Classifier::Pln, planned, None);
    }
    if let Some(estimated) = body.estimated {
        teller.milestone(&shipment, Milestone::Deliver, Classifier::Est, estimated, None);
    }
    Ok(())
}

fn estimate_changed(teller: &mut Teller, body: &EstimateChanged) -> Result<(), Refusal> {
    let shipment = subject(Kind::Shipment, &body.shipment)?;
    let reason = body.reason.as_deref();
    teller.milestone(&shipment, Milestone::Deliver, Classifier::Est, body.estimated, reason);
    Ok(())
}

fn departed(teller: &mut Teller, body: &Departed, when: When) -> Result<(), Refusal> {
    let shipment = subject(Kind::Shipment, &body.shipment)?;
    teller.milestone(&shipment, Milestone::Depart, Classifier::Act, when, None);
    teller.located(&shipment, when, located(&body.place));
    if let Some(vehicle) = &body.vehicle {
        teller.attributes(&shipment, vec![("vehicle", vehicle.clone())]);
    }
    Ok(())
}

fn arrived(teller: &mut Teller, body: &Arrived, when: When) -> Result<(), Refusal> {
    let shipment = subject(Kind::Shipment, &body.shipment)?;
    teller.milestone(&shipment, Milestone::Arrive, Classifier::Act, when, None);
    teller.located(&shipment, when, located(&body.place));
    Ok(())
}

fn delivered(teller: &mut Teller, body: &Delivered, when: When) -> Result<(), Refusal> {
    let shipment = subject(Kind::Shipment, &body.shipment)?;
    let signed = body.signed_by.as_ref().map(|name| format!("signed by {name}"));
    if body.lines.is_empty() {
        teller.milestone(&shipment, Milestone::Deliver, Classifier::Act, when, signed.as_deref());
        teller.located(&shipment, when, located(&body.place));
        return Ok(());
    }
    for line in &body.lines {
        let part = line_of(&line.order, &line.line)?;
        let order = Subject::new(Kind::Order, line.order.clone());
        teller.link(&part, &order, Relation::PartOf, LinkAction::Seen, Some(when));
        teller.link(&part, &shipment, Relation::In, LinkAction::Seen, Some(when));
        teller.milestone(&part, Milestone::Deliver, Classifier::Act, when, signed.as_deref());
        teller.located(&part, when, located(&body.place));
        if let Some(amount) = line.quantity {
            teller.attributes(&part, vec![("delivered quantity", quantity(amount, "")?.trim().to_owned())]);
        }
    }
    Ok(())
}

fn object(object: &Object) -> Result<Subject, Refusal> {
    let kind = match object.kind {
        ObjectKind::Item => Kind::Item,
        ObjectKind::Pallet => Kind::Pallet,
        ObjectKind::Container => Kind::Container,
        ObjectKind::Shipment => Kind::Shipment,
    };
    subject(kind, &object.id)
}

fn scan(teller: &mut Teller, body: &Scan, when: When) -> Result<(), Refusal> {
    if body.objects.is_empty() {
        return Err(Refusal::new("invalid", "a scan needs at least one object"));
    }
    let parent = body.parent.as_ref().map(object).transpose()?;
    let action = match body.action {
        Action::Add => LinkAction::Add,
        Action::Observe => LinkAction::Seen,
        Action::Delete => LinkAction::Remove,
    };
    for scanned in &body.objects {
        let part = object(scanned)?;
        if let Some(parent) = &parent {
            teller.link(&part, parent, Relation::In, action, Some(when));
        }
        let step = Body::Step { step: body.biz_step.clone(), disposition: body.disposition.clone() };
        teller.tell_with(&part, Classifier::Act, Some(when), step, None);
        teller.located(&part, when, located(&body.place));
    }
    if let Some(parent) = &parent {
        teller.located(parent, when, located(&body.place));
    }
    Ok(())
}

fn reading(teller: &mut Teller, body: &Reading, when: When) -> Result<(), Refusal> {
    let container = subject(Kind::Container, &body.container)?;
    if !body.temperature_c.is_finite() || body.temperature_c < -273.15 {
        return Err(Refusal::new("invalid", format!("{} °C is no temperature", body.temperature_c)));
    }
    let reading = Condition {
        measure: "temperature".to_owned(),
        value: body.temperature_c,
        unit: "°C".to_owned(),
        low: body.low_c,
        high: body.high_c,
    };
    teller.condition(&container, when, reading);
    if let Some(place) = &body.place {
        teller.located(&container, when, located(place));
    }
    Ok(())
}

fn withdrawn(teller: &mut Teller, body: &Withdrawn, source: &str) -> Result<(), Refusal> {
    let event = subject(Kind::Event, &event_id(source, &body.withdraws))?;
    let correction = Body::Correction { withdraws: event.id.clone(), bound: None };
    teller.tell_with(&event, Classifier::Act, None, correction, body.reason.as_deref());
    Ok(())
}
