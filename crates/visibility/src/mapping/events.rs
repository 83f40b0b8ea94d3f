//! `events@1`: JSON business events, one a record, as the topics `orders`, `shipments`, `scans` and `telemetry` of
//! `waybill demo` carry them, and as a partner without a standard of its own may send them.
//!
//! A record's header `waybill-mapping` is `events@1`. Its record time is the Kafka record timestamp: when the source
//! told it. `event_time` is when it happened. The key is the id named first below, so that one thing keeps its order.
//!
//! | topic | key | events |
//! | --- | --- | --- |
//! | orders | order | [`OrderPlaced`], [`PromiseChanged`], [`OrderCancelled`] |
//! | shipments | shipment | [`ShipmentCreated`], [`EstimateChanged`], [`Departed`], [`Arrived`], [`Delivered`] |
//! | scans | first object scanned | [`Scan`] |
//! | telemetry | container | [`Reading`] |
//!
//! [`Withdrawn`] may stand in any of them: it takes back an earlier event of the same source.
//!
//! ```json
//! {"event_id":"erp-000017","event":"order_placed","event_time":"2026-03-02T08:14:00Z","source":"erp",
//!  "parties":["Kilimanjaro Health","Aurora Pharma"],"order":"PO-2026-00017","customer":"Kilimanjaro Health",
//!  "supplier":"Aurora Pharma","destination":{"id":"414/9521141000019","name":"Dar es Salaam central store","country":"TZ"},
//!  "promised":"2026-03-23","lines":[{"line":"1","product":"09521141012345","description":"Amoxicillin 500 mg",
//!  "quantity":1200,"unit":"pack"}]}
//! {"event_id":"tms-000230","event":"estimate_changed","event_time":"2026-03-14T05:00:00Z","source":"tms",
//!  "shipment":"SHP-00231","estimated":"2026-03-26","reason":"port congestion"}
//! ```

use serde::{Deserialize, Serialize};
use waybill_types::TimestampMs;

use crate::model::time::{Day, When, instant};

/// Name and version of this mapping, as the header `waybill-mapping` gives it.
pub const EVENTS: &str = "events@1";

/// One record's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unique among the events of `source`; the same event sent again has the same id.
    pub event_id: String,
    /// When it happened.
    #[serde(with = "instant")]
    pub event_time: TimestampMs,
    /// The system that tells: `erp`, `tms`, `carrier-acme`, `wms-dar`, `logger`.
    pub source: String,
    /// Names of the parties that may see it (customer, supplier, carrier); may be left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parties: Vec<String>,
    /// What happened.
    #[serde(flatten)]
    pub body: Body,
}

/// What happened; the tag is the field `event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Body {
    /// A customer ordered, and a day was promised.
    OrderPlaced(OrderPlaced),
    /// Another day was promised.
    PromiseChanged(PromiseChanged),
    /// The order was called off.
    OrderCancelled(OrderCancelled),
    /// Goods of orders were booked for transport.
    ShipmentCreated(ShipmentCreated),
    /// The carrier expects another day of delivery.
    EstimateChanged(EstimateChanged),
    /// The shipment left a place.
    Departed(Departed),
    /// The shipment came to a place on its way.
    Arrived(Arrived),
    /// The shipment, or some of its lines, was handed over.
    Delivered(Delivered),
    /// Things were seen, packed or unpacked at a place.
    Scan(Scan),
    /// A sensor in a container measured.
    Reading(Reading),
    /// An earlier event is taken back.
    Withdrawn(Withdrawn),
}

/// A place: a port, warehouse, clinic or yard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Its id: a GLN, UN/LOCODE or the source's own.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Country, two letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Latitude in degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    /// Longitude in degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lon: Option<f64>,
}

/// `order_placed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderPlaced {
    /// Order number.
    pub order: String,
    /// Who ordered.
    pub customer: String,
    /// Who supplies.
    pub supplier: String,
    /// Where it is to be delivered.
    pub destination: Place,
    /// The day promised for all lines; a line may have its own.
    pub promised: Day,
    /// Terms of delivery, for example `FCA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoterm: Option<String>,
    /// What was ordered; at least one.
    pub lines: Vec<OrderLine>,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderLine {
    /// Number within the order: `1`, `2`.
    pub line: String,
    /// Product id: a GTIN or the supplier's own.
    pub product: String,
    /// Product in words.
    pub description: String,
    /// How many units.
    pub quantity: f64,
    /// Of what: `pack`, `kg`.
    pub unit: String,
    /// The day promised for this line when it is not the order's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promised: Option<Day>,
}

/// `promise_changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromiseChanged {
    /// Order number.
    pub order: String,
    /// The line it concerns; all of them when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// The day now promised.
    pub promised: Day,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `order_cancelled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderCancelled {
    /// Order number.
    pub order: String,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `shipment_created`: links lines to the shipment and the shipment to its containers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShipmentCreated {
    /// Shipment number (booking, ASN or bill of lading).
    pub shipment: String,
    /// What it carries; at least one order.
    pub orders: Vec<ShippedOrder>,
    /// Containers it travels in: ISO 6346 numbers. None for parcels and trucks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// `sea`, `air`, `road`, `rail`.
    pub mode: String,
    /// Who carries.
    pub carrier: String,
    /// Where it starts.
    pub origin: Place,
    /// Where it ends.
    pub destination: Place,
    /// When it is planned to leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_departure: Option<When>,
    /// First estimate of its delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated: Option<When>,
}

/// An order, or some of its lines, within a shipment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShippedOrder {
    /// Order number.
    pub order: String,
    /// Line numbers; empty means the whole order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

/// `estimate_changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EstimateChanged {
    /// Shipment number.
    pub shipment: String,
    /// When delivery is now expected.
    pub estimated: When,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `departed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Departed {
    /// Shipment number.
    pub shipment: String,
    /// The place it left.
    pub place: Place,
    /// Ship, flight or truck; voyage or plate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle: Option<String>,
}

/// `arrived`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arrived {
    /// Shipment number.
    pub shipment: String,
    /// The place it came to.
    pub place: Place,
}

/// `delivered`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    /// Shipment number.
    pub shipment: String,
    /// Where it was handed over.
    pub place: Place,
    /// Only these lines were delivered; empty means the whole shipment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<DeliveredLine>,
    /// Who signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

/// A line handed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveredLine {
    /// Order number.
    pub order: String,
    /// Line number.
    pub line: String,
    /// How many units arrived, when counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<f64>,
}

/// What a scanned thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// One trade item with a serial number.
    Item,
    /// A case, pallet or other logistic unit (SSCC).
    Pallet,
    /// A container.
    Container,
    /// A shipment.
    Shipment,
}

/// A scanned thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Its id.
    pub id: String,
}

/// What a scan does to containment, in EPCIS words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Action {
    /// The objects were put into the parent, or came into being.
    Add,
    /// They were seen.
    Observe,
    /// They were taken out of the parent, or ceased to be.
    Delete,
}

/// `scan`, after the EPCIS object and aggregation events: what, where, why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scan {
    /// Things scanned; at least one.
    pub objects: Vec<Object>,
    /// What holds them: with `ADD` from now on, with `DELETE` no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Object>,
    /// Whether they were put in, seen or taken out.
    pub action: Action,
    /// CBV business step: `packing`, `loading`, `receiving`, `storing`, `inspecting`, …
    pub biz_step: String,
    /// CBV disposition, for example `damaged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<String>,
    /// Where.
    pub place: Place,
}

/// `reading`: what a logger in a container measured. Limits are those agreed for the goods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Container number.
    pub container: String,
    /// Temperature in degrees Celsius.
    pub temperature_c: f64,
    /// Lowest temperature agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_c: Option<f64>,
    /// Highest temperature agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_c: Option<f64>,
    /// Where the container was, when the logger knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// `withdrawn`: the event was told in error and counts no longer, from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// `event_id` of the event taken back, of the same source.
    pub withdraws: String,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_read_as_documented() {
        let text = r#"{"event_id":"tms-000230","event":"estimate_changed","event_time":"2026-03-14T05:00:00Z","source":"tms",
            "shipment":"SHP-00231","estimated":"2026-03-26","reason":"port congestion"}"#;
        let event: Event = serde_json::from_str(text).unwrap();
        let Body::EstimateChanged(body) = &event.body else { panic!("{event:?}") };
        assert_eq!(body.estimated, When::parse("2026-03-26").unwrap());
        let again: Event = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
        assert_eq!(again, event);
    }
}
