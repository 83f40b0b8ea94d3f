//! IFTSTA (D.00B): a carrier's status of a container and its booking, with the legs of its journey.

use super::{Message, Segment, day, place, subject};
use crate::mapping::{Record, Refusal, Teller};
use crate::model::time::{When, parse_instant};
use crate::model::{Body, Classifier, Fact, Kind, LinkAction, Located, Milestone, Relation, Subject};

/// A date of C507: `203` is CCYYMMDDHHMM, `102` CCYYMMDD. Times are those of the place, so the day is what is known.
fn time(segment: &Segment) -> Option<When> {
    let text = segment.part(1, 2);
    match segment.part(1, 3) {
        "102" | "203" | "204" => day(text.get(..8)?).map(When::Day),
        "303" => {
            let (date, clock, zone) = (text.get(..8)?, text.get(8..12)?, text.get(12..)?);
            let on = day(date)?;
            let instant = || parse_instant(&format!("{on}T{}:{}:00Z", clock.get(..2)?, clock.get(2..)?));
            if zone == "UTC" { instant().map(When::Instant) } else { Some(When::Day(on)) }
        }
        _ => None,
    }
}

/// LOC: function, UN/LOCODE, name, and the country where it is given apart.
fn located(segment: &Segment) -> Option<Located> {
    place(segment.get(2), segment.part(2, 4), segment.get(3)).or_else(|| place("", segment.part(2, 4), ""))
}

/// What one CNI group tells.
#[derive(Default)]
struct Status<'s> {
    words: String,
    when: Option<When>,
    at: Option<Located>,
    booking: &'s str,
    bill: &'s str,
    container: &'s str,
    vessel: String,
    /// Port function and the dates behind it.
    legs: Vec<(&'s Segment, Vec<&'s Segment>)>,
}

pub(super) fn status(record: &Record, message: &Message<'_>) -> Result<Vec<Fact>, Refusal> {
    let mut teller = message.teller(record);
    let (mut booking, mut bill, mut container) = ("", "", "");
    let mut statuses: Vec<Status<'_>> = Vec::new();
    for segment in message.segments {
        if segment.tag == "STS" {
            let words = [segment.part(3, 4), segment.part(2, 4), segment.get(3), segment.get(2)];
            let words = words.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
            statuses.push(Status {
                words: words.to_lowercase(),
                booking,
                bill,
                container,
                ..Status::default()
            });
            continue;
        }
        let Some(status) = statuses.last_mut() else {
            if segment.tag == "RFF" {
                match segment.part(1, 1) {
                    "BN" => booking = segment.part(1, 2),
                    "BM" => bill = segment.part(1, 2),
                    "EQ" => container = segment.part(1, 2),
                    _ => {}
                }
            }
            continue;
        };
        detail(status, segment);
    }
    if statuses.is_empty() {
        return Err(message.fault("STS is missing: no status is told"));
    }
    for status in &statuses {
        tell(&mut teller, message, status)?;
    }
    Ok(teller.finish())
}

fn detail<'s>(status: &mut Status<'s>, segment: &'s Segment) {
    match segment.tag.as_str() {
        "RFF" => match segment.part(1, 1) {
            "BN" => status.booking = segment.part(1, 2),
            "BM" => status.bill = segment.part(1, 2),
            "EQ" => status.container = segment.part(1, 2),
            _ => {}
        },
        "EQD" if segment.get(1) == "CN" => status.container = segment.get(2),
        "DTM" => match (segment.part(1, 1), status.legs.last_mut()) {
            ("334", _) => status.when = time(segment),
            (_, Some((_, dates))) => dates.push(segment),
            _ => {}
        },
        "LOC" => match segment.get(1) {
            "175" => status.at = located(segment),
            _ => status.legs.push((segment, Vec::new())),
        },
        "TDT" => segment.part(8, 4).clone_into(&mut status.vessel),
        _ => {}
    }
}

fn tell(teller: &mut Teller, message: &Message<'_>, status: &Status<'_>) -> Result<(), Refusal> {
    let container = subject(Kind::Container, status.container);
    let shipment = subject(Kind::Shipment, status.booking).or_else(|| subject(Kind::Shipment, status.bill));
    if container.is_none() && shipment.is_none() {
        return Err(message.fault("names neither a container nor a booking"));
    }
    let when = status.when.ok_or_else(|| message.fault("DTM 334 is missing or no date"))?;
    for subject in container.iter().chain(&shipment) {
        let body = Body::Step { step: status.words.clone(), disposition: None };
        teller.tell_with(subject, Classifier::Act, Some(when), body, None);
        if let Some(at) = &status.at {
            teller.located(subject, when, at.clone());
        }
    }
    let Some(shipment) = &shipment else { return Ok(()) };
    if let Some(container) = &container {
        teller.link(shipment, container, Relation::In, LinkAction::Seen, None);
    }
    let values = vec![("bill of lading", status.bill.to_owned()), ("carried by", status.vessel.clone())];
    teller.attributes(shipment, values);
    for (location, dates) in &status.legs {
        leg(teller, shipment, location, dates);
    }
    Ok(())
}

/// LOC 9 is the port of loading, 11 of discharge, 7 the place of delivery. Of their dates 186 and 178 are actual
/// departure and arrival, 133 and 132 estimated ones.
fn leg(teller: &mut Teller, shipment: &Subject, location: &Segment, dates: &[&Segment]) {
    for date in dates {
        let (milestone, classifier) = match (location.get(1), date.part(1, 1)) {
            ("9", "186") => (Milestone::Depart, Classifier::Act),
            ("9", "133") => (Milestone::Depart, Classifier::Est),
            ("11", "178") => (Milestone::Arrive, Classifier::Act),
            ("11", "132") => (Milestone::Arrive, Classifier::Est),
            ("7", "132") => (Milestone::Deliver, Classifier::Est),
            ("7", "178") => (Milestone::Deliver, Classifier::Act),
            _ => continue,
        };
        let Some(when) = time(date) else { continue };
        teller.milestone(shipment, milestone, classifier, when, None);
        if let (Classifier::Act, Some(at)) = (classifier, located(location)) {
            teller.located(shipment, when, at);
        }
    }
}
