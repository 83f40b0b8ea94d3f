//! Views whose every text is hostile, and long.

use super::views;
use super::{NOW, day, order, search};
use waybill_ui::model::Notice;
use waybill_ui::model::{Evidence, Searched, SourceRow, Subject, Viewer};
use waybill_ui::pages::order::{Incomplete, OrderView};
use waybill_ui::pages::problem::{NotFoundView, ProblemView};
use waybill_ui::pages::quarantine::{QuarantineView, Row};
use waybill_ui::pages::rebuild::{Lane, RebuildView};
use waybill_ui::pages::search::SearchView;

/// Breaks out of text, of attributes in either quotes, of a URL, of a style; turns the reading direction; is long.
pub fn evil() -> String {
    format!(
        "<img src=x onerror=alert(1)>\"' onmouseover='x' style=\"}}</style><script>alert(1)</script>&lt;\u{202e}\0\n{}",
        "w".repeat(4000)
    )
}

fn evil_subject() -> Subject {
    Subject { id: evil(), kind: evil() }
}

fn evil_evidence() -> Evidence {
    Evidence { topic: evil(), partition: -1, offset: i64::MIN, href: Some(format!("javascript:{}", evil())) }
}

pub fn order_view() -> OrderView {
    let mut v = order::view(None);
    frame(&mut v.frame);
    v.subject = evil_subject();
    v.title = Some(evil());
    if let Some(l) = &mut v.answer.location {
        l.place = evil();
        l.source = Some(evil());
    }
    if let Some(p) = &mut v.answer.progress {
        p.noun = evil();
    }
    v.answer_now = Some(v.answer.clone());
    v.moment.as_of = Some(NOW);
    for p in v.slip.promises.iter_mut().chain(&mut v.slip.estimates).chain(&mut v.slip.deliveries) {
        p.part = Some(evil());
    }
    for r in &mut v.timeline {
        r.what = evil();
        r.detail = Some(evil());
        r.subject = Some(evil_subject());
        r.evidence = evil_evidence();
    }
    for l in &mut v.links {
        l.held = evil_subject();
        l.holder = Subject { id: format!("{}x", evil()), kind: evil() };
    }
    for c in &mut v.conflicts {
        c.about = evil();
        for claim in &mut c.claims {
            (claim.says, claim.source, claim.evidence) = (evil(), evil(), evil_evidence());
        }
    }
    for c in &mut v.condition {
        (c.name, c.unit, c.subject, c.evidence) = (evil(), evil(), evil_subject(), Some(evil_evidence()));
        c.readings.push((NOW, f64::NAN));
    }
    for x in &mut v.exceptions {
        (x.rule, x.what, x.evidence) = (evil(), evil(), Some(evil_evidence()));
    }
    v.references = vec![(evil(), evil())];
    v.incomplete = vec![
        Incomplete::Held { count: 1, topic: evil() },
        Incomplete::Silent { topic: evil(), since: None },
        Incomplete::ProvableSince { topic: evil(), since: NOW },
    ];
    v
}

fn frame(f: &mut waybill_ui::model::Frame) {
    f.viewer = Some(Viewer { name: evil(), sees: evil() });
    f.freshness.sources.push(SourceRow {
        topic: evil(),
        last_record_time: None,
        behind: None,
        silent: false,
    });
}

pub fn search_view(results: bool) -> SearchView {
    let mut v = if results { search::results() } else { search::overview() };
    frame(&mut v.frame);
    if results {
        v.query = Some(evil());
    }
    v.examples = vec![evil_subject()];
    v.searched = evil_searched();
    for h in &mut v.results {
        (h.subject, h.matched) = (evil_subject(), evil());
    }
    for r in &mut v.due {
        r.id = evil();
        for field in [&mut r.part, &mut r.what, &mut r.what_more, &mut r.place, &mut r.place_more] {
            *field = Some(evil());
        }
        r.promised = Some(day(-200_000, 1, 1));
        r.estimated = Some(day(200_000, 1, 1));
    }
    for c in &mut v.changes {
        (c.subject, c.what, c.old, c.new, c.evidence) =
            (evil_subject(), evil(), Some(evil()), Some(evil()), evil_evidence());
    }
    v
}

fn evil_searched() -> Searched {
    Searched {
        counts: vec![(evil(), u64::MAX)],
        up_to: Some(NOW),
        quarantined: u64::MAX,
        near: vec![evil_subject()],
    }
}

pub fn not_found() -> NotFoundView {
    let mut f = super::frame();
    frame(&mut f);
    NotFoundView { frame: f, id: evil(), searched: evil_searched() }
}

pub fn problem() -> ProblemView {
    let mut f = super::frame();
    frame(&mut f);
    ProblemView { frame: f, status: 400, title: evil(), detail: Some(evil()), hint: Some(evil()) }
}

pub fn rebuild_view(building: bool) -> RebuildView {
    let mut v = if building { views::compared() } else { views::promoted() };
    frame(&mut v.frame);
    v.notice = Some(Notice { done: false, what: evil() });
    v.checkpoints = vec![evil()];
    let lane = |lane: &mut Lane| {
        lane.mappings = vec![evil(); 5];
        lane.hash = Some(evil());
        (lane.kept, lane.next) = (i64::MIN, i64::MAX);
    };
    lane(&mut v.blue);
    v.kept.iter_mut().for_each(lane);
    for d in &mut v.earlier {
        (d.what, d.who, d.note, d.now) = (evil(), evil(), evil(), evil());
    }
    let Some(g) = &mut v.green else { return v };
    lane(&mut g.lane);
    (g.from, g.started_by) = (evil(), evil());
    (g.taken, g.rate, g.seconds_left, g.behind, g.held_ms) =
        (u64::MAX, u64::MAX, Some(u64::MAX), u64::MAX, Some(u64::MAX));
    g.gates = vec![(true, evil()), (false, evil())];
    if let Some(c) = &mut g.compared {
        c.counts = vec![(evil(), u64::MAX, 0, evil())];
        c.reasons = vec![(evil(), u64::MAX)];
        c.first = Some((evil(), evil()));
        for d in &mut c.answers {
            (d.subject, d.field, d.because) = (evil_subject(), evil(), evil());
            (d.blue, d.green) = (Some(evil()), Some(evil()));
        }
    }
    v
}

pub fn quarantine_view(as_text: bool) -> QuarantineView {
    let mut v = views::quarantine();
    frame(&mut v.frame);
    v.notice = Some(Notice { done: true, what: evil() });
    v.state = Some(evil());
    let row = |row: &mut Row| {
        row.evidence = evil_evidence();
        (row.what, row.state) = (evil(), evil());
    };
    for g in &mut v.groups {
        g.fault = evil();
        g.rows.iter_mut().for_each(row);
    }
    if let Some(d) = &mut v.detail {
        row(&mut d.row);
        d.row.state = "refused".into();
        (d.mapping, d.key, d.code, d.headers) = (evil(), Some(evil()), evil(), vec![(evil(), evil())]);
        d.value = Some(evil().into_bytes());
        d.draft = as_text.then(evil);
        d.as_text = as_text;
        d.decisions = vec![(NOW, evil(), evil(), evil(), evil())];
    }
    v
}
