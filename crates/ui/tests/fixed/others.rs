//! Orders with less in them: old, bare, incomplete.

use super::order::view;
use super::{NOW, at, day, evidence, subject};
use waybill_ui::model::{Answer, FactKind, Location, Progress, State};
use waybill_ui::pages::order::{Incomplete, OrderView, Slip, SlipPoint, Tick, TimelineRow};
use waybill_ui::time::{Stamp, When};

/// An order that was delivered years ago: the strip and the chart end with its records.
pub fn old() -> OrderView {
    let mut v = view(None);
    let told = at(2008, 5, 2, 0, 0);
    v.subject = subject("order", "PO-4");
    v.title = None;
    v.answer = Answer {
        state: State::Delivered,
        location: Some(Location {
            place: "Côte d'Ivoire".into(),
            seen: Some(When::On(day(2008, 4, 30))),
            source: None,
        }),
        promised: Some(day(2008, 5, 5)),
        first_promised: None,
        estimated: None,
        delivered: Some(day(2008, 4, 30)),
        delivered_told: Some(told),
        days_late: Some(-5),
        progress: Some(Progress { done: 1, total: 1, noun: "line".into() }),
        facts: 2,
        sources: 1,
        conflicts: 0,
    };
    let promised = at(2008, 1, 14, 0, 0);
    v.moment.facts_total = 2;
    v.ticks = vec![Tick { told: promised, actual: false }, Tick { told, actual: true }];
    v.slip = Slip {
        promises: vec![SlipPoint { told: promised, day: day(2008, 5, 5), part: None }],
        estimates: vec![],
        deliveries: vec![SlipPoint { told, day: day(2008, 4, 30), part: None }],
    };
    let row = |told, happened, kind, what: &str, offset| TimelineRow {
        told,
        happened: Some(happened),
        kind,
        what: what.into(),
        detail: None,
        subject: None,
        evidence: evidence("orders", 1, offset),
        repeats: 0,
        withdrawn: false,
    };
    v.timeline = vec![
        row(told, When::On(day(2008, 4, 30)), FactKind::Actual, "Delivered", 77),
        row(promised, When::On(day(2008, 5, 5)), FactKind::Planned, "Promise 5 May 2008", 12),
    ];
    (v.links, v.conflicts, v.condition, v.exceptions) = (vec![], vec![], vec![], vec![]);
    v
}

/// Known by name only: every optional thing is missing.
pub fn bare() -> OrderView {
    let mut v = old();
    v.subject = subject("container", "MSKU 123456 7");
    v.answer = Answer {
        state: State::Unknown,
        location: None,
        promised: None,
        first_promised: None,
        estimated: None,
        delivered: None,
        delivered_told: None,
        days_late: None,
        progress: None,
        facts: 1,
        sources: 1,
        conflicts: 0,
    };
    v.slip = Slip::default();
    v.references = vec![];
    v.timeline.truncate(1);
    for row in &mut v.timeline {
        row.what = "Named by a scan".into();
        row.happened = None;
    }
    v.ticks.truncate(1);
    v.moment.facts_total = 1;
    v
}

/// The answer may change: held records, silent sources, history that is gone.
pub fn incomplete() -> OrderView {
    let mut v = view(None);
    v.incomplete = vec![
        Incomplete::Held { count: 3, topic: "scans".into() },
        Incomplete::Silent { topic: "telemetry".into(), since: Some(Stamp(NOW.0 - 76 * 3_600_000)) },
        Incomplete::Silent { topic: "edi".into(), since: None },
        Incomplete::ProvableSince { topic: "orders".into(), since: at(2014, 8, 1, 0, 0) },
        Incomplete::Bounded { subjects: 500 },
    ];
    v
}
