//! What stands beside the answer of the fixed order, as known at a moment.

use super::order::ID;
use super::{at, day, evidence, subject};
use waybill_ui::model::Subject;
use waybill_ui::pages::order::{Claim, Condition, Conflict, ExceptionRow, LinkRow};
use waybill_ui::time::{Stamp, When};

pub fn links(t: Stamp) -> Vec<LinkRow> {
    let unpacked = at(2015, 3, 24, 18, 5);
    let delivered = at(2015, 3, 31, 14, 5);
    let link = |held: Subject, holder: Subject, from: Stamp, told: Stamp, to: Option<(Stamp, When)>| {
        (told <= t).then(|| LinkRow {
            held,
            holder,
            from: Some(When::At(from)),
            to: to.filter(|(told, _)| *told <= t).map(|(_, w)| w),
        })
    };
    let (sent, packed) = (at(2015, 2, 26, 10, 2), at(2015, 2, 27, 3, 20));
    let ship = |n: &str| subject("shipment", n);
    let unit = |n: &str| subject("container", n);
    let pallet = |n: i64| subject("pallet", &format!("3095211410000{n:05}"));
    let mut v = Vec::new();
    for n in ["ASN-29092", "ASN-29093", "ASN-29094"] {
        v.push(link(ship(n), subject("order", ID), at(2015, 2, 26, 10, 0), sent, None));
    }
    let to_11 = Some((delivered, When::On(day(2015, 3, 11))));
    let out = Some((unpacked, When::At(at(2015, 3, 24, 18, 1))));
    let from = at(2015, 2, 27, 3, 5);
    v.push(link(ship("ASN-29092"), unit("AKE 24518 NH"), from, packed, to_11));
    v.push(link(ship("ASN-29093"), unit("AKE 24518 NH"), from, packed, to_11));
    v.push(link(ship("ASN-29094"), unit("PMC 61207 NH"), from, packed, None));
    v.push(link(pallet(31), unit("AKE 24518 NH"), from, packed, to_11));
    for n in 38..41 {
        v.push(link(pallet(n), unit("PMC 61207 NH"), from, packed, out));
    }
    v.push(link(pallet(41), unit("PMC 61207 NH"), from, packed, None));
    v.into_iter().flatten().collect()
}

pub fn conflicts(t: Stamp) -> Vec<Conflict> {
    if t < at(2015, 3, 24, 19, 22) {
        return Vec::new();
    }
    let claim = |says: &str, source: &str, told, used, e| Claim {
        says: says.into(),
        source: source.into(),
        told,
        used,
        evidence: e,
    };
    vec![Conflict {
        about: "How many pallets reached Lusaka?".into(),
        claims: vec![
            claim("3 pallets", "wms-lun", at(2015, 3, 24, 18, 5), true, evidence("scans", 3, 18_422)),
            claim("4 pallets", "carrier", at(2015, 3, 24, 19, 22), false, evidence("shipments", 1, 48_907)),
        ],
    }]
}

pub fn condition(t: Stamp) -> Vec<Condition> {
    if t < at(2015, 3, 21, 9, 41) {
        return Vec::new();
    }
    let start = at(2015, 3, 20, 8, 0);
    let readings = (0..25i32)
        .map(|i| {
            let bump = (-((f64::from(i) - 13.0) / 5.0).powi(2)).exp() * 9.4;
            (Stamp(start.0 + i64::from(i) * 20 * 60_000), 22.0 + bump)
        })
        .collect();
    vec![Condition {
        name: "Temperature".into(),
        subject: subject("container", "PMC 61207 NH"),
        unit: "°C".into(),
        low: Some(2.0),
        high: Some(30.0),
        readings,
        evidence: Some(evidence("telemetry", 5, 771_204)),
    }]
}

pub fn exceptions(t: Stamp) -> Vec<ExceptionRow> {
    if t < at(2015, 3, 28, 6, 0) {
        return Vec::new();
    }
    vec![ExceptionRow {
        rule: "promise_passed".into(),
        what: "ASN-29094 is 20 days past its promise and the last estimate has passed".into(),
        since: Some(at(2015, 3, 12, 0, 0)),
        evidence: Some(evidence("shipments", 1, 48_655)),
    }]
}
