//! The order of the pictures, from its records.

use super::{NOW, at, day, evidence, frame, parts, subject};
use waybill_ui::model::{Answer, FactKind, Location, Progress, State};
use waybill_ui::pages::order::{Moment, OrderView, Slip, SlipPoint, Tick, TimelineRow};
use waybill_ui::time::{Day, Stamp, When};

pub const ID: &str = "PO-256510";

/// What one record says about the fixed order.
#[derive(Clone)]
enum Says {
    Placed(Day),
    Promise(Day),
    Estimate(Day),
    At(&'static str),
    Delivered(&'static str, Day),
    Withdraws(i64),
    Nothing,
}

struct Record {
    told: Stamp,
    happened: When,
    kind: FactKind,
    what: &'static str,
    detail: &'static str,
    part: Option<&'static str>,
    place: (&'static str, i32, i64),
    says: Says,
}

fn records() -> Vec<Record> {
    use FactKind::{Actual, Correction, Derived, Estimated, Planned};
    let r = |told, happened, kind, what, detail, part, place, says| Record {
        told,
        happened,
        kind,
        what,
        detail,
        part,
        place,
        says,
    };
    let on = |y, m, d| When::On(day(y, m, d));
    let t = |m, d, h, min| at(2015, m, d, h, min);
    let a = |m, d, h, min| When::At(at(2015, m, d, h, min));
    let (s2, s3, s4) = (Some("ASN-29092"), Some("ASN-29093"), Some("ASN-29094"));
    vec![
        r(
            at(2014, 8, 19, 13, 0),
            on(2014, 8, 19),
            Actual,
            "Quotation FPQ-14827 sent",
            "ERP",
            None,
            ("orders", 0, 168_850),
            Says::Nothing,
        ),
        r(
            at(2014, 9, 19, 15, 30),
            on(2014, 9, 19),
            Actual,
            "Order placed, promise 25 Feb 2015",
            "ERP",
            None,
            ("orders", 0, 181_006),
            Says::Placed(day(2015, 2, 25)),
        ),
        r(
            t(1, 21, 10, 2),
            on(2015, 3, 11),
            Planned,
            "Promise 25 Feb to 11 Mar",
            "ERP",
            None,
            ("orders", 0, 220_418),
            Says::Promise(day(2015, 3, 11)),
        ),
        r(
            t(2, 26, 10, 2),
            a(2, 26, 10, 0),
            Actual,
            "Dispatch advice for 3 shipments",
            "Maker",
            None,
            ("shipments", 0, 30_117),
            Says::Nothing,
        ),
        r(
            t(2, 27, 3, 20),
            a(2, 27, 3, 5),
            Actual,
            "Packed, 4 pallets into PMC 61207 NH",
            "Matsudo, Japan",
            s4,
            ("scans", 0, 17_230),
            Says::At("Matsudo, Japan"),
        ),
        r(
            t(2, 27, 4, 40),
            on(2015, 3, 10),
            Estimated,
            "First estimate, all shipments",
            "Carrier",
            None,
            ("shipments", 1, 47_551),
            Says::Estimate(day(2015, 3, 10)),
        ),
        r(
            t(3, 5, 9, 0),
            on(2015, 3, 12),
            Estimated,
            "Estimate 10 Mar to 12 Mar",
            "Carrier",
            s4,
            ("shipments", 1, 47_990),
            Says::Estimate(day(2015, 3, 12)),
        ),
        r(
            t(3, 9, 7, 15),
            on(2015, 3, 17),
            Estimated,
            "Estimate 12 Mar to 17 Mar",
            "Carrier",
            s4,
            ("shipments", 1, 48_102),
            Says::Estimate(day(2015, 3, 17)),
        ),
        r(
            t(3, 14, 8, 30),
            on(2015, 3, 21),
            Estimated,
            "Estimate 17 Mar to 21 Mar, offloaded",
            "Carrier",
            s4,
            ("shipments", 1, 48_377),
            Says::Estimate(day(2015, 3, 21)),
        ),
        r(
            t(3, 17, 22, 10),
            a(3, 17, 21, 55),
            Actual,
            "Departed",
            "Tokyo Narita (NRT)",
            s4,
            ("shipments", 1, 48_590),
            Says::At("in the air, NRT to JNB"),
        ),
        r(
            t(3, 18, 6, 12),
            a(3, 18, 6, 10),
            Correction,
            "Declared in error: departure of 17 Mar",
            "Carrier",
            s4,
            ("shipments", 1, 48_611),
            Says::Withdraws(48_590),
        ),
        r(
            t(3, 19, 2, 10),
            a(3, 18, 23, 55),
            Actual,
            "Departed",
            "Tokyo Narita (NRT)",
            s4,
            ("shipments", 1, 48_640),
            Says::At("in the air, NRT to JNB"),
        ),
        r(
            t(3, 19, 16, 12),
            on(2015, 3, 26),
            Estimated,
            "Estimate 21 Mar to 26 Mar, no capacity",
            "Carrier",
            s4,
            ("shipments", 1, 48_655),
            Says::Estimate(day(2015, 3, 26)),
        ),
        r(
            t(3, 20, 5, 50),
            a(3, 20, 4, 35),
            Actual,
            "Arrived",
            "Johannesburg (JNB)",
            s4,
            ("shipments", 1, 48_702),
            Says::At("Johannesburg (JNB)"),
        ),
        r(
            t(3, 21, 9, 41),
            a(3, 20, 11, 10),
            Actual,
            "31.4 °C for 47 min, limit 30 °C",
            "Johannesburg apron (JNB)",
            s4,
            ("telemetry", 5, 771_204),
            Says::Nothing,
        ),
        r(
            t(3, 24, 18, 5),
            a(3, 24, 18, 1),
            Actual,
            "Received, 3 of 4 pallets",
            "LUN cargo shed",
            s4,
            ("scans", 3, 18_422),
            Says::At("LUN cargo shed"),
        ),
        r(
            t(3, 24, 19, 22),
            a(3, 24, 17, 40),
            Actual,
            "Arrived, 4 of 4 pallets",
            "Lusaka airport (LUN)",
            s4,
            ("shipments", 1, 48_907),
            Says::At("Lusaka airport"),
        ),
        r(
            t(3, 28, 6, 0),
            a(3, 28, 6, 0),
            Derived,
            "Missed milestone: no delivery 48 h after 26 Mar",
            "rule no-delivery-48h",
            s4,
            ("shipments", 1, 48_655),
            Says::Nothing,
        ),
        r(
            t(3, 31, 14, 5),
            on(2015, 3, 11),
            Actual,
            "Delivered, 1,364 kits",
            "Medical Stores, Lusaka",
            s2,
            ("shipments", 2, 9_663),
            Says::Delivered("ASN-29092", day(2015, 3, 11)),
        ),
        r(
            t(3, 31, 14, 5),
            on(2015, 3, 11),
            Actual,
            "Delivered, 6,322 kits",
            "Medical Stores, Lusaka",
            s3,
            ("shipments", 2, 9_664),
            Says::Delivered("ASN-29093", day(2015, 3, 11)),
        ),
    ]
}

/// All moments at which something was told, oldest first, without repeats.
pub fn told() -> Vec<Stamp> {
    let mut v: Vec<Stamp> = records().iter().map(|r| r.told).collect();
    v.sort_unstable();
    v.dedup();
    v
}

/// The answer from the records told until `t`.
pub fn answer(t: Stamp) -> Answer {
    let all = records();
    let known: Vec<&Record> = all.iter().filter(|r| r.told <= t).collect();
    let withdrawn: Vec<i64> =
        known.iter().filter_map(|r| if let Says::Withdraws(o) = r.says { Some(o) } else { None }).collect();
    let mut a = Answer {
        state: State::Unknown,
        location: None,
        promised: None,
        first_promised: None,
        estimated: None,
        delivered: None,
        delivered_told: None,
        days_late: None,
        progress: None,
        facts: u32::try_from(known.len()).unwrap_or(0),
        sources: 0,
        conflicts: u32::from(t >= at(2015, 3, 24, 19, 22)),
    };
    let mut done = 0;
    for r in known.iter().filter(|r| !withdrawn.contains(&r.place.2)) {
        match r.says {
            Says::Placed(d) => (a.state, a.promised, a.first_promised) = (State::Ordered, Some(d), Some(d)),
            Says::Promise(d) => a.promised = Some(d),
            Says::Estimate(d) => a.estimated = Some(d),
            Says::At(p) => {
                a.state = State::InTransit;
                a.location = Some(Location {
                    place: p.into(),
                    seen: Some(r.happened),
                    source: Some(r.place.0.into()),
                });
            }
            Says::Delivered(_, d) => {
                done += 1;
                a.state = State::PartiallyDelivered;
                a.days_late = Some(d.days_after(day(2015, 3, 11)));
            }
            Says::Withdraws(_) | Says::Nothing => {}
        }
    }
    let topics: std::collections::BTreeSet<&str> = known.iter().map(|r| r.place.0).collect();
    a.sources = u32::try_from(topics.len()).unwrap_or(0);
    if t >= at(2015, 2, 26, 10, 2) {
        a.progress = Some(Progress { done, total: 3, noun: "shipment".into() });
    }
    a
}

/// The page as of a moment, or now.
pub fn view(as_of: Option<Stamp>) -> OrderView {
    let t = as_of.unwrap_or(NOW);
    let all = records();
    let withdrawn: Vec<i64> = all
        .iter()
        .filter(|r| r.told <= t)
        .filter_map(|r| if let Says::Withdraws(o) = r.says { Some(o) } else { None })
        .collect();
    let mut timeline: Vec<TimelineRow> = all
        .iter()
        .filter(|r| r.told <= t)
        .map(|r| TimelineRow {
            told: r.told,
            happened: Some(r.happened),
            kind: r.kind,
            what: r.what.into(),
            detail: Some(r.detail.into()),
            subject: r.part.map(|p| subject("shipment", p)),
            evidence: evidence(r.place.0, r.place.1, r.place.2),
            repeats: u32::from(r.place.2 == 48_102),
            withdrawn: withdrawn.contains(&r.place.2),
        })
        .collect();
    timeline.reverse();
    OrderView {
        frame: frame(),
        subject: subject("order", ID),
        title: Some("Rapid test kits to Zambia".into()),
        moment: Moment {
            as_of,
            is_final: true,
            facts_total: u32::try_from(all.len()).unwrap_or(0),
            revised: 0,
        },
        answer: answer(t),
        answer_now: as_of.map(|_| answer(NOW)),
        ticks: all.iter().map(|r| Tick { told: r.told, actual: r.kind == FactKind::Actual }).collect(),
        slip: slip(&all),
        timeline,
        all_rows: false,
        links: parts::links(t),
        conflicts: parts::conflicts(t),
        incomplete: Vec::new(),
        condition: parts::condition(t),
        exceptions: parts::exceptions(t),
        references: [
            ("Quotation", "FPQ-14827"),
            ("Project", "110-ZM-T30"),
            ("Supplier", "Aurora Diagnostics"),
            ("Made at", "Aurora Diagnostics, Matsudo"),
            ("Consignee", "Medical Stores, Lusaka"),
            ("Term, mode", "EXW, air"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .to_vec(),
    }
}

fn slip(all: &[Record]) -> Slip {
    let mut s = Slip::default();
    for r in all {
        let part = r.part.map(str::to_owned);
        match r.says {
            Says::Placed(day) | Says::Promise(day) => {
                s.promises.push(SlipPoint { told: r.told, day, part: None })
            }
            Says::Estimate(day) => s.estimates.push(SlipPoint { told: r.told, day, part }),
            Says::Delivered(_, day) => s.deliveries.push(SlipPoint { told: r.told, day, part }),
            _ => {}
        }
    }
    s
}
