//! Orders (850), their acknowledgements (855) and ship notices (856).

use super::{Message, Segment, day, subject};
use crate::mapping::{Record, Refusal, Teller};
use crate::model::time::{Day, When};
use crate::model::{Classifier, Fact, Kind, LinkAction, Milestone, Relation, Subject};

/// Qualifiers of dates (data element 374) that say for when delivery is asked or promised.
const DELIVERY: [&str; 6] = ["002", "017", "067", "069", "074", "063"];

/// Pairs of qualifier and value from an element on: product ids.
fn products(segment: &Segment, from: usize) -> Vec<(String, String)> {
    let last = segment.elements.len();
    (from..last)
        .step_by(2)
        .filter_map(|at| {
            let (qualifier, value) = (segment.get(at), segment.get(at + 1));
            (!qualifier.is_empty() && !value.is_empty()).then(|| (qualifier.to_owned(), value.to_owned()))
        })
        .collect()
}

fn product_id(segment: &Segment, from: usize) -> String {
    products(segment, from)
        .first()
        .map(|(qualifier, value)| format!("{qualifier} {value}"))
        .unwrap_or_default()
}

fn amount(quantity: &str, unit: &str) -> String {
    format!("{quantity} {unit}").trim().to_owned()
}

/// 850 and 855: the order, its lines, and the day each is asked or promised for.
pub(super) fn order(record: &Record, message: &Message<'_>) -> Result<Vec<Fact>, Refusal> {
    let (tag, number, date) = if message.kind == "850" { ("BEG", 3, 5) } else { ("BAK", 3, 4) };
    let head = message.first(tag).ok_or_else(|| message.fault(format!("{tag} is missing")))?;
    let order = Subject::new(Kind::Order, message.need(head.get(number), &format!("{tag}03"))?);
    let mut teller = message.teller(record);
    if let (Some(on), "850") = (day(head.get(date)), message.kind.as_str()) {
        teller.milestone(&order, Milestone::Order, Classifier::Act, When::Day(on), None);
    }
    let mut line: Option<Subject> = None;
    let mut names: Vec<(&str, String)> = Vec::new();
    let mut count = 0;
    for segment in message.segments {
        match segment.tag.as_str() {
            "N1" => names.extend(party(segment)),
            "DTM" if DELIVERY.contains(&segment.get(1)) => {
                let on = date_of(message, segment.get(2), "DTM02")?;
                let whose = line.as_ref().unwrap_or(&order);
                teller.milestone(
                    whose,
                    Milestone::Deliver,
                    Classifier::Pln,
                    When::Day(on),
                    Some(asked(message)),
                );
            }
            "PO1" => {
                count += 1;
                let number = segment.get(1).trim_start_matches('0');
                let number = if number.is_empty() { count.to_string() } else { number.to_owned() };
                let part = Subject::new(Kind::Line, format!("{}/{number}", order.id));
                teller.link(&part, &order, Relation::PartOf, LinkAction::Add, None);
                let values = vec![
                    ("quantity", amount(segment.get(2), segment.get(3))),
                    ("product id", product_id(segment, 6)),
                ];
                teller.attributes(&part, values);
                line = Some(part);
            }
            "PID" => {
                if let Some(line) = &line {
                    teller.attributes(line, vec![("product", segment.get(5).to_owned())]);
                }
            }
            "ACK" => {
                if let Some(line) = &line {
                    acknowledged(&mut teller, message, segment, line)?;
                }
            }
            _ => {}
        }
    }
    teller.attributes(&order, names);
    Ok(teller.finish())
}

fn asked(message: &Message<'_>) -> &'static str {
    if message.kind == "850" { "asked for by the buyer" } else { "acknowledged by the seller" }
}

fn date_of(message: &Message<'_>, text: &str, what: &str) -> Result<Day, Refusal> {
    day(text).ok_or_else(|| message.fault(format!("{what} '{text}' is not a date")))
}

/// What the seller says to a line. Senders put the qualifier and its date at different places: they stand side by side.
fn acknowledged(
    teller: &mut Teller,
    message: &Message<'_>,
    segment: &Segment,
    line: &Subject,
) -> Result<(), Refusal> {
    let words = match segment.get(1) {
        "IA" | "AC" => "accepted",
        "IC" => "accepted, changed",
        "IB" => "back-ordered",
        "IR" | "R2" => "rejected",
        "ID" => "deleted",
        other => return Err(message.fault(format!("ACK01 {other} is not known"))),
    };
    teller.attributes(line, vec![("acknowledged", words.to_owned())]);
    for at in 2..segment.elements.len() {
        let (qualifier, date) = (segment.get(at), segment.get(at + 1));
        let milestone = match qualifier {
            "010" | "068" => Milestone::Depart,
            _ if DELIVERY.contains(&qualifier) => Milestone::Deliver,
            _ => continue,
        };
        if let Some(on) = day(date) {
            teller.milestone(line, milestone, Classifier::Pln, When::Day(on), Some(asked(message)));
        }
    }
    Ok(())
}

fn party(segment: &Segment) -> Option<(&'static str, String)> {
    let label = match segment.get(1) {
        "BT" | "BY" | "OB" => "customer",
        "ST" => "destination",
        "SU" | "SF" | "SE" | "VN" => "supplier",
        "SH" => "shipper",
        "CA" => "carrier",
        _ => return None,
    };
    let name = segment.get(2);
    (!name.is_empty()).then(|| (label, name.to_owned()))
}

/// The order, the pallet and the line of a ship notice that a segment belongs to.
#[derive(Default)]
struct Within {
    order: Option<Subject>,
    pallet: Option<Subject>,
    line: Option<Subject>,
    level: String,
    items: usize,
}

/// 856: what is in a shipment: orders, their lines, pallets.
pub(super) fn ship_notice(record: &Record, message: &Message<'_>) -> Result<Vec<Fact>, Refusal> {
    let head = message.first("BSN").ok_or_else(|| message.fault("BSN is missing"))?;
    let shipment = Subject::new(Kind::Shipment, message.need(head.get(2), "BSN02")?);
    let mut teller = message.teller(record);
    let mut values: Vec<(&str, String)> = Vec::new();
    if let Some(on) = day(head.get(3)) {
        values.push(("notice of", on.to_string()));
    }
    let mut within = Within::default();
    let mut whole: Vec<(Subject, usize)> = Vec::new();
    for segment in message.segments {
        match segment.tag.as_str() {
            "HL" => {
                segment.get(3).clone_into(&mut within.level);
                match within.level.as_str() {
                    "O" => within = Within { level: "O".to_owned(), ..Within::default() },
                    "P" | "T" => (within.pallet, within.line) = (None, None),
                    _ => within.line = None,
                }
            }
            "PRF" => {
                within.order = subject(Kind::Order, segment.get(1));
                whole.extend(within.order.clone().map(|order| (order, 0)));
            }
            "MAN" => {
                let pallet = subject(Kind::Pallet, segment.get(2));
                if let Some(pallet) = &pallet {
                    teller.link(pallet, &shipment, Relation::In, LinkAction::Add, None);
                }
                within.pallet = pallet;
            }
            "LIN" => item(&mut teller, segment, &shipment, &mut within, &mut whole),
            "SN1" => quantity(&mut teller, segment, &shipment, &within),
            "PID" => {
                if let Some(line) = &within.line {
                    teller.attributes(line, vec![("product", segment.get(5).to_owned())]);
                }
            }
            "DTM" if within.level == "S" => dates(&mut teller, segment, &shipment),
            "REF" if within.level == "S" => values.extend(reference(segment)),
            "TD3" => {
                let vehicle = subject(Kind::Vehicle, &format!("{}{}", segment.get(2), segment.get(3)));
                if let Some(vehicle) = vehicle {
                    teller.link(&shipment, &vehicle, Relation::In, LinkAction::Add, None);
                }
            }
            "TD5" => values.push(("carrier", segment.get(3).to_owned())),
            "N1" if within.level != "O" => values.extend(party(segment)),
            _ => {}
        }
    }
    // An order without lines of its own in the notice travels whole.
    for (order, lines) in whole {
        if lines == 0 {
            teller.link(&order, &shipment, Relation::In, LinkAction::Add, None);
        }
    }
    teller.attributes(&shipment, values);
    Ok(teller.finish())
}

fn item(
    teller: &mut Teller,
    segment: &Segment,
    shipment: &Subject,
    within: &mut Within,
    whole: &mut [(Subject, usize)],
) {
    within.items += 1;
    let Some(order) = &within.order else { return };
    if let Some((_, lines)) = whole.last_mut() {
        *lines += 1;
    }
    let number = segment.get(1).trim_start_matches('0');
    let number = if number.is_empty() { within.items.to_string() } else { number.to_owned() };
    let line = Subject::new(Kind::Line, format!("{}/{number}", order.id));
    teller.link(&line, order, Relation::PartOf, LinkAction::Seen, None);
    teller.link(&line, shipment, Relation::In, LinkAction::Add, None);
    if let Some(pallet) = &within.pallet {
        teller.link(&line, pallet, Relation::In, LinkAction::Add, None);
    }
    teller.attributes(&line, vec![("product id", product_id(segment, 2))]);
    within.line = Some(line);
}

fn quantity(teller: &mut Teller, segment: &Segment, shipment: &Subject, within: &Within) {
    let whose = within.line.as_ref().or(within.pallet.as_ref()).unwrap_or(shipment);
    teller.attributes(whose, vec![("shipped quantity", amount(segment.get(2), segment.get(3)))]);
}

fn dates(teller: &mut Teller, segment: &Segment, shipment: &Subject) {
    let Some(on) = day(segment.get(2)) else { return };
    let (milestone, classifier) = match segment.get(1) {
        "011" => (Milestone::Depart, Classifier::Act),
        "010" | "068" => (Milestone::Depart, Classifier::Est),
        "017" | "067" => (Milestone::Deliver, Classifier::Est),
        "035" => (Milestone::Deliver, Classifier::Act),
        _ => return,
    };
    teller.milestone(shipment, milestone, classifier, When::Day(on), None);
}

fn reference(segment: &Segment) -> Option<(&'static str, String)> {
    let label = match segment.get(1) {
        "BM" => "bill of lading",
        "CN" => "carrier's reference",
        _ => return None,
    };
    let value = segment.get(2);
    (!value.is_empty()).then(|| (label, value.to_owned()))
}
