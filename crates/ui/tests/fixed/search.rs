//! The overview, and searches with and without matches.

use super::{at, day, evidence, frame, subject};
use waybill_ui::model::{Searched, State};
use waybill_ui::pages::search::{Change, DueRow, Figures, Hit, SearchView};
use waybill_ui::time::Day;

pub fn searched() -> Searched {
    Searched {
        counts: vec![("orders".into(), 6161), ("shipments".into(), 7030), ("containers".into(), 412)],
        up_to: Some(at(2015, 3, 31, 16, 40)),
        quarantined: 3,
        near: vec![subject("order", "PO-256510"), subject("order", "PO-25651")],
    }
}

pub fn overview() -> SearchView {
    SearchView {
        frame: frame(),
        query: None,
        results: vec![],
        more: false,
        searched: searched(),
        examples: vec![
            subject("order", "PO-256510"),
            subject("shipment", "ASN-29094"),
            subject("container", "PMC 61207 NH"),
        ],
        figures: Figures {
            open: Some(220),
            past_promise: Some(1),
            expected_late: Some(43),
            delivered: Some(5941),
            quarantined: Some(19),
        },
        due: due(),
        due_total: 220,
        changes: changes(),
        changes_since: Some(at(2015, 3, 30, 17, 5)),
    }
}

fn due() -> Vec<DueRow> {
    let row = |id: &str,
               part: &str,
               what: &str,
               more: &str,
               place: &str,
               mode: &str,
               p: Option<Day>,
               e: Option<Day>| DueRow {
        id: id.into(),
        part: Some(part.into()),
        what: Some(what.into()),
        what_more: Some(more.into()),
        place: Some(place.into()),
        place_more: Some(mode.into()),
        promised: p,
        estimated: e,
    };
    let d = |m, n| Some(day(2015, m, n));
    vec![
        row(
            "PO-256510",
            "ASN-29094",
            "Rapid test kit, 100 tests",
            "6,314 packs, Aurora Diagnostics",
            "Lusaka",
            "air",
            d(3, 11),
            d(3, 26),
        ),
        row(
            "SO-51070",
            "DN-4185",
            "Nevirapine 200mg",
            "240 packs, regional depot",
            "Lomé",
            "air",
            d(3, 31),
            d(4, 24),
        ),
        row(
            "SO-50711",
            "DN-4200",
            "Abacavir 20mg/ml",
            "2,966 packs, regional depot",
            "Kigali",
            "truck",
            d(4, 6),
            d(4, 20),
        ),
        row(
            "SO-50131",
            "DN-4152",
            "Nevirapine 200mg",
            "1,400 packs, regional depot",
            "Maputo",
            "truck",
            d(3, 31),
            d(4, 10),
        ),
        row(
            "PO-261110",
            "ASN-30364",
            "Lamivudine/Zidovudine 150/300mg",
            "75,816 packs, Meridian Labs",
            "Port-au-Prince",
            "ocean",
            d(3, 31),
            d(3, 31),
        ),
        row(
            "PO-272570",
            "ASN-31045",
            "Lopinavir/Ritonavir 80/20mg/ml",
            "252 packs, Harbour Logistics",
            "Kigali",
            "air",
            d(4, 2),
            None,
        ),
        row(
            "PO-275290",
            "ASN-30748",
            "Sulfadoxine/Pyrimethamine 500/25mg",
            "580 packs, Polder Pharma",
            "Kinshasa",
            "air",
            d(4, 3),
            d(4, 3),
        ),
        row(
            "PO-262980",
            "ASN-30463",
            "Lamivudine/Tenofovir",
            "36,831 packs, Deccan Labs",
            "Port-au-Prince",
            "ocean",
            d(4, 9),
            d(4, 9),
        ),
        row(
            "PO-270751",
            "ASN-31318",
            "Rapid test kit, 20 tests",
            "6,704 packs, Liffey Biotech",
            "Abuja",
            "air",
            d(4, 15),
            d(4, 15),
        ),
        row(
            "SO-50999",
            "DN-4300",
            "Efavirenz 600mg",
            "12,000 packs, regional depot",
            "Accra",
            "ocean",
            None,
            d(4, 20),
        ),
    ]
}

fn changes() -> Vec<Change> {
    let c = |t, id: &str, what: &str, old: Option<&str>, new: &str, e| Change {
        record_time: t,
        subject: subject("order", id),
        what: what.into(),
        old: old.map(Into::into),
        new: Some(new.into()),
        evidence: e,
    };
    vec![
        c(
            at(2015, 3, 31, 14, 5),
            "PO-256510",
            "delivered",
            Some("none of 3"),
            "2 of 3, for 11 Mar",
            evidence("shipments", 2, 9664),
        ),
        c(
            at(2015, 3, 31, 13, 48),
            "SO-50131",
            "estimate",
            Some("3 Apr"),
            "10 Apr",
            evidence("shipments", 4, 51_207),
        ),
        c(
            at(2015, 3, 31, 11, 20),
            "PO-262950",
            "delivered",
            None,
            "30 Mar, on time",
            evidence("shipments", 0, 9661),
        ),
        c(
            at(2015, 3, 31, 9, 2),
            "SO-51070",
            "estimate",
            Some("14 Apr"),
            "24 Apr",
            evidence("shipments", 1, 48_977),
        ),
        c(
            at(2015, 3, 30, 17, 30),
            "SO-50280",
            "promise",
            Some("29 May"),
            "25 Mar",
            evidence("orders", 1, 9640),
        ),
    ]
}

pub fn results() -> SearchView {
    let mut v = overview();
    v.query = Some("2565".into());
    let hit = |kind: &str, id: &str, state, matched: &str, promised, delivered, days_late| Hit {
        subject: subject(kind, id),
        state,
        matched: matched.into(),
        promised,
        delivered,
        days_late,
    };
    v.results = vec![
        hit("order", "PO-256510", State::PartiallyDelivered, "id", Some(day(2015, 3, 11)), None, Some(0)),
        hit(
            "order",
            "PO-256540",
            State::Delivered,
            "id",
            Some(day(2014, 11, 2)),
            Some(day(2014, 12, 1)),
            Some(29),
        ),
        hit("shipment", "ASN-25650", State::InTransit, "reference 2565-A", None, None, None),
    ];
    v.more = true;
    v
}

pub fn no_match() -> SearchView {
    let mut v = overview();
    v.query = Some("PO-25651x".into());
    v
}

pub fn empty() -> SearchView {
    let mut v = overview();
    v.searched = Searched { counts: vec![("orders".into(), 0)], up_to: None, quarantined: 0, near: vec![] };
    (v.due, v.changes, v.examples, v.due_total) = (vec![], vec![], vec![], 0);
    v.changes_since = None;
    v.figures = Figures::default();
    v.frame.freshness.sources = vec![];
    v
}
