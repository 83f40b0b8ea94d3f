//! The Rebuild and the Quarantine page in their states.

use super::{NOW, at, evidence, frame, subject};
use waybill_ui::model::Notice;
use waybill_ui::pages::quarantine::{Detail, Group, QuarantineView, Row, Sums};
use waybill_ui::pages::rebuild::{Compared, Decided, Differs, Green, Lane, RebuildView};
use waybill_ui::time::Stamp;

fn lane(number: u32, mapping: &str, kept: i64, next: i64) -> Lane {
    Lane { number, mappings: vec![mapping.into()], kept, next, hash: None, shadow: false }
}

/// Nothing is being built.
pub fn idle() -> RebuildView {
    RebuildView {
        frame: frame(),
        notice: None,
        blue: lane(41, "orders scms@6", 0, 1_204_311),
        green: None,
        others: vec![],
        kept: None,
        earlier: vec![],
        checkpoints: vec!["before-7".into()],
    }
}

/// It copies what it keeps.
pub fn keeping() -> RebuildView {
    let green = Green {
        lane: lane(42, "orders scms@7", 0, 0),
        from: "checkpoint:before-7".into(),
        started: at(2015, 3, 31, 15, 58),
        started_by: "User:ops".into(),
        keeping: true,
        taken: 0,
        rate: 0,
        seconds_left: None,
        behind: 0,
        held_ms: None,
        throttle: None,
        gates: vec![(false, "0 records behind the log".into()), (false, "not compared yet".into())],
        compared: None,
    };
    RebuildView { green: Some(green), ..idle() }
}

/// It reads, slowed down.
pub fn running() -> RebuildView {
    let mut v = keeping();
    if let Some(g) = &mut v.green {
        g.keeping = false;
        (g.lane.kept, g.lane.next, g.behind) = (409_466, 800_000, 404_311);
        (g.taken, g.rate, g.seconds_left, g.throttle) = (390_534, 1_000, Some(404), Some(1_000));
    }
    v
}

/// It has caught up and was compared; everything has a reason.
pub fn compared() -> RebuildView {
    let mut v = running();
    (v.blue.hash, v.kept) = (Some("7c01e2b9aa".into()), None);
    v.earlier = vec![Decided {
        number: 41,
        what: "promote".into(),
        at: at(2015, 3, 12, 9, 0),
        who: "User:ops-south".into(),
        note: "checked".into(),
        now: "serving".into(),
    }];
    if let Some(g) = &mut v.green {
        (g.lane.next, g.behind, g.seconds_left, g.held_ms) = (1_204_311, 0, None, Some(60_000));
        g.lane.hash = Some("a94f03d7bb".into());
        g.gates = vec![
            (true, "at the end of the log for 60 s".into()),
            (true, "every difference has a reason".into()),
        ];
        g.compared = Some(Compared {
            counts: vec![
                ("orders".into(), 6_161, 6_161, String::new()),
                ("facts".into(), 48_704, 49_914, "mapping scms@6 to scms@7".into()),
                ("quarantined".into(), 19, 16, "mapping scms@6 to scms@7".into()),
            ],
            orders: 6_161,
            differ: 2,
            unexplained: 0,
            reasons: vec![("mapping scms@6 to scms@7".into(), 1_210)],
            first: Some(("orders/2 @ 18391".into(), "mapping scms@6 to scms@7".into())),
            answers: vec![
                Differs {
                    subject: subject("order", "SCMS-140"),
                    field: "promised".into(),
                    blue: Some("1970-01-01".into()),
                    green: None,
                    because: "mapping scms@6 to scms@7".into(),
                },
                Differs {
                    subject: subject("order", "SCMS-4"),
                    field: "days_late".into(),
                    blue: Some("13301".into()),
                    green: Some("3".into()),
                    because: "mapping scms@6 to scms@7".into(),
                },
            ],
        });
    }
    v
}

/// Something differs and nothing says why: it can not be promoted.
pub fn unexplained() -> RebuildView {
    let mut v = compared();
    if let Some(g) = &mut v.green {
        g.gates.push((false, "3 records make a difference that nothing explains".into()));
        if let Some(c) = &mut g.compared {
            c.unexplained = 3;
            c.answers.iter_mut().for_each(|d| d.because = String::new());
        }
    }
    v.notice = Some(Notice { done: false, what: "view 42 may not be promoted".into() });
    v
}

/// Promoted: the one before is kept.
pub fn promoted() -> RebuildView {
    let mut v = idle();
    v.notice = Some(Notice { done: true, what: "View 42 answers.".into() });
    v.blue = lane(42, "orders scms@7", 409_466, 1_204_311);
    v.kept = Some(lane(41, "orders scms@6", 0, 1_204_311));
    v.checkpoints = vec![];
    v
}

fn row(topic: &str, partition: i32, offset: i64, what: &str, state: &str) -> Row {
    Row {
        evidence: evidence(topic, partition, offset),
        what: what.into(),
        told: Stamp(NOW.0 - offset * 1_000),
        state: state.into(),
    }
}

/// Records of two faults, one looked at.
pub fn quarantine() -> QuarantineView {
    let first = row("wms.epcis", 2, 18_391, "invalid: quantity is text, not a number at byte 30", "refused");
    let value = b"{\n  \"epcClass\": \"x\",\n  \"quantity\": \"twenty\"\n}\x00\xff".to_vec();
    QuarantineView {
        frame: frame(),
        notice: None,
        sums: Sums {
            taken: 1_204_311,
            projected: 1_204_289,
            held: 3,
            quarantined: 19,
            repaired: 0,
            discarded: 0,
        },
        conserved: true,
        state: None,
        groups: vec![
            Group {
                fault: "invalid, wms.epcis".into(),
                rows: vec![
                    first.clone(),
                    row("wms.epcis", 2, 18_395, "held: behind the refused record at offset 18391", "held"),
                ],
            },
            Group {
                fault: "not_json, orders".into(),
                rows: vec![row("orders", 0, 7, "not_json: ends early", "repaired")],
            },
        ],
        more: true,
        detail: Some(Detail {
            row: first,
            mapping: "epcis@1".into(),
            key: Some("pallet-7".into()),
            headers: vec![("trace".into(), "t-1".into())],
            value: Some(value),
            fault_at: Some(30),
            held: 1,
            alike: 16,
            code: "invalid".into(),
            decisions: vec![(
                NOW,
                "User:ops".into(),
                "redrive".into(),
                "mended".into(),
                "still refused: invalid".into(),
            )],
            draft: None,
            as_text: false,
        }),
    }
}

/// Its bytes as text; it can be mended here.
pub fn quarantine_text() -> QuarantineView {
    let mut v = quarantine();
    if let Some(d) = &mut v.detail {
        d.as_text = true;
        d.value = Some(b"{\"quantity\": \"twenty\"}".to_vec());
        d.draft = Some("{\"quantity\": 20".into());
        d.fault_at = Some(13);
    }
    v.notice = Some(Notice { done: false, what: "this value would be refused too: not_json".into() });
    v
}

/// Nothing waits.
pub fn quarantine_empty() -> QuarantineView {
    let mut v = quarantine();
    (v.groups, v.detail, v.more) = (vec![], None, false);
    v.sums = Sums { taken: 10, projected: 10, ..Sums::default() };
    v
}

/// A record that was decided about; and something does not add up.
pub fn quarantine_decided() -> QuarantineView {
    let mut v = quarantine();
    v.conserved = false;
    v.state = Some("all".into());
    if let Some(d) = &mut v.detail {
        d.row.state = "repaired".into();
        d.value = None;
    }
    v
}
