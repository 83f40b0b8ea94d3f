//! `scms@1`: rows of the USAID SCMS delivery history, each as two records: what was promised, and what was delivered.
//!
//! A row is a line of order `PO / SO #` in shipment `ASN/DN #`. The shipment's number stands in the delivery record only:
//! when the promise was made, nobody had it.

use serde::{Deserialize, Serialize};

use super::{Record, Refusal, Teller};
use crate::model::time::{Day, When};
use crate::model::{Classifier, Fact, Kind, LinkAction, Located, Milestone, Relation, Subject};

/// Who tells, in answers.
const SOURCE: &str = "scms";

/// One record's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Row {
    /// The line was ordered for a day.
    Promise(Box<Promise>),
    /// The line was delivered.
    Delivery(Delivery),
}

/// What was known when the line was ordered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// Column `ID`.
    pub id: String,
    /// Column `PO / SO #`.
    pub order: String,
    /// Column `Scheduled Delivery Date`.
    pub promised: Option<Day>,
    /// Column `Project Code`.
    pub project: String,
    /// Column `Country`.
    pub country: String,
    /// Column `Managed By`.
    pub managed_by: String,
    /// Column `Fulfill Via`.
    pub fulfil_via: String,
    /// Column `Vendor`.
    pub vendor: String,
    /// Column `Vendor INCO Term`.
    pub incoterm: String,
    /// Column `Shipment Mode`.
    pub mode: String,
    /// Column `Product Group`.
    pub product_group: String,
    /// Column `Item Description`.
    pub item: String,
    /// Column `Brand`.
    pub brand: String,
    /// Column `Manufacturing Site`.
    pub site: String,
    /// Column `Line Item Quantity`.
    pub quantity: String,
    /// Column `Unit of Measure (Per Pack)`.
    pub per_pack: String,
    /// Column `Line Item Value`, in US dollars.
    pub value_usd: String,
}

/// What was recorded of its delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Column `ID`.
    pub id: String,
    /// Column `PO / SO #`.
    pub order: String,
    /// Column `ASN/DN #`.
    pub shipment: String,
    /// Column `Delivered to Client Date`.
    pub delivered: Day,
    /// Column `Country`.
    pub country: String,
    /// Column `Weight (Kilograms)`.
    pub weight_kg: String,
    /// Column `Freight Cost (USD)`.
    pub freight_usd: String,
    /// Column `Line Item Insurance (USD)`.
    pub insurance_usd: String,
}

/// The id of a line: its order's, and the row's.
#[must_use]
pub fn line_id(order: &str, row: &str) -> String {
    format!("{order}/{row}")
}

pub(super) fn map(record: &Record, value: &[u8]) -> Result<Vec<Fact>, Refusal> {
    let row: Row = serde_json::from_slice(value).map_err(|fault| {
        Refusal::new(if fault.is_data() { "invalid" } else { "not_json" }, fault.to_string())
    })?;
    let (id, order) = match &row {
        Row::Promise(promise) => (&promise.id, &promise.order),
        Row::Delivery(delivery) => (&delivery.id, &delivery.order),
    };
    if id.is_empty() || order.is_empty() {
        return Err(Refusal::new("invalid", "a row needs an id and an order"));
    }
    let line = Subject::new(Kind::Line, line_id(order, id));
    let order = Subject::new(Kind::Order, order.clone());
    match row {
        Row::Promise(promise) => map_promise(record, &promise, &line, &order),
        Row::Delivery(delivery) => Ok(map_delivery(record, &delivery, &line, &order)),
    }
}

fn map_promise(
    record: &Record,
    row: &Promise,
    line: &Subject,
    order: &Subject,
) -> Result<Vec<Fact>, Refusal> {
    let day = row.promised.ok_or_else(|| Refusal::new("invalid", "a promise needs its day"))?;
    let mut teller = Teller::new(record, format!("scms:{}:promise", row.id), SOURCE);
    teller.link(line, order, Relation::PartOf, LinkAction::Add, None);
    teller.milestone(line, Milestone::Deliver, Classifier::Pln, When::Day(day), None);
    teller.attributes(
        line,
        vec![
            ("product", row.item.clone()),
            ("brand", row.brand.clone()),
            ("quantity", row.quantity.clone()),
            ("per pack", row.per_pack.clone()),
            ("value, US dollars", row.value_usd.clone()),
            ("made at", row.site.clone()),
        ],
    );
    teller.attributes(
        order,
        vec![
            ("product", row.item.clone()),
            ("product group", row.product_group.clone()),
            ("destination", row.country.clone()),
            ("vendor", row.vendor.clone()),
            ("mode", row.mode.clone()),
            ("incoterm", row.incoterm.clone()),
            ("fulfilled via", row.fulfil_via.clone()),
            ("managed by", row.managed_by.clone()),
            ("project", row.project.clone()),
        ],
    );
    Ok(teller.finish())
}

fn map_delivery(record: &Record, row: &Delivery, line: &Subject, order: &Subject) -> Vec<Fact> {
    let mut teller = Teller::new(record, format!("scms:{}:delivery", row.id), SOURCE);
    let when = When::Day(row.delivered);
    teller.link(line, order, Relation::PartOf, LinkAction::Add, None);
    if !row.shipment.is_empty() {
        let shipment = Subject::new(Kind::Shipment, row.shipment.clone());
        teller.link(line, &shipment, Relation::In, LinkAction::Add, None);
        let weight =
            vec![("weight, kg", row.weight_kg.clone()), ("freight, US dollars", row.freight_usd.clone())];
        teller.attributes(&shipment, weight);
    }
    teller.milestone(line, Milestone::Deliver, Classifier::Act, when, None);
    if !row.country.is_empty() {
        let located = Located { place: row.country.clone(), name: Some(row.country.clone()), country: None };
        teller.located(line, when, located);
    }
    teller.attributes(line, vec![("insurance, US dollars", row.insurance_usd.clone())]);
    teller.finish()
}
