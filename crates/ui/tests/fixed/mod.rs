//! Fixed views for snapshots, browser tests and pictures: one order of three shipments with everything in it,
//! folded at any moment from its records, and a few others.
#![allow(dead_code, unreachable_pub)]

pub mod hostile;
pub mod order;
pub mod others;
pub mod parts;
pub mod search;
pub mod views;

use waybill_ui::model::{Evidence, Frame, Freshness, SourceRow, Subject};
use waybill_ui::time::{Day, Stamp};

/// 2015-03-31T16:40:12Z: the moment at which the fixed pages are asked.
pub const NOW: Stamp = Stamp(1_427_820_012_000);

pub fn day(year: i64, month: i64, day: i64) -> Day {
    Day::from_civil(year, month, day)
}

pub fn at(year: i64, month: i64, d: i64, hour: i64, minute: i64) -> Stamp {
    Stamp(day(year, month, d).start().0 + (hour * 60 + minute) * 60_000)
}

pub fn subject(kind: &str, id: &str) -> Subject {
    Subject { id: id.into(), kind: kind.into() }
}

pub fn evidence(topic: &str, partition: i32, offset: i64) -> Evidence {
    Evidence { topic: topic.into(), partition, offset, href: None }
}

pub fn frame() -> Frame {
    let source = |topic: &str, ago: i64, behind: u64| SourceRow {
        topic: topic.into(),
        last_record_time: Some(Stamp(NOW.0 - ago * 1000)),
        behind: Some(behind),
        silent: false,
    };
    Frame {
        now: NOW,
        freshness: Freshness {
            lag_ms: Some(240),
            stale: false,
            sources: vec![
                source("orders", 41, 0),
                source("shipments", 2, 0),
                source("scans", 372, 18_204),
                SourceRow {
                    topic: "telemetry".into(),
                    last_record_time: Some(Stamp(NOW.0 - 76 * 3_600_000)),
                    behind: None,
                    silent: true,
                },
            ],
        },
        viewer: None,
    }
}

pub fn stale_frame() -> Frame {
    let mut f = frame();
    f.freshness.lag_ms = Some(192_000);
    f.freshness.stale = true;
    f
}
