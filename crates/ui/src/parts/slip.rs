//! The slip chart: across = when we were told, up = the day of delivery.
//!
//! Promise and estimates are steps. Below the dotted diagonal the day has passed: an estimate that crosses it
//! without news turns red by itself, and a delivery told late drops below it by exactly the delay. The
//! geometry stretches in an SVG of 1000 by 1000; marks and labels are HTML at percentages, so one rendering
//! fits every width.

use super::axis::{Axis, day_labels, pct, time_labels};
use super::slip_labels::{Box4, Drawn, Label, place};
use super::text::cut;
use crate::pages::order::{Slip, SlipPoint};
use crate::time::{Day, Stamp, count};
use maud::{Markup, html};

const DAY_MS: i64 = 86_400_000;

/// The chart and its data as known at `at`; `past` draws the moment as a line.
pub(crate) struct Chart<'a> {
    pub(crate) slip: &'a Slip,
    pub(crate) at: Stamp,
    pub(crate) past: bool,
    /// Nothing more was expected at `at`: delivered whole, or cancelled.
    pub(crate) closed: bool,
    /// The same as known now: the frame then ends at the last telling.
    pub(crate) frame_closed: bool,
}

struct Scale {
    x: Axis,
    /// Days as instants; the plot's top is the last day.
    y: Axis,
    /// No line is drawn past this moment.
    end: Stamp,
}

impl Scale {
    fn px(&self, told: Stamp) -> f64 {
        self.x.at(told.0)
    }

    fn py(&self, at: i64) -> f64 {
        100.0 - self.y.at(at)
    }

    fn day(&self, d: Day) -> f64 {
        self.py(d.start().0)
    }
}

/// The section's body. Says so in words when there is nothing to draw.
pub(crate) fn chart(c: &Chart<'_>) -> Markup {
    let known = Slip {
        promises: known(&c.slip.promises, c.at),
        estimates: known(&c.slip.estimates, c.at),
        deliveries: known(&c.slip.deliveries, c.at),
    };
    let Some(scale) = scale(c) else {
        return html! { p class="hint pad" { "No promise, estimate or delivery has been told." } };
    };
    let labels = place(&wanted(c, &known, &scale), &drawn(&known, &scale));
    html! {
        figure class="plot" role="img" aria-label=(spoken(&known, c)) {
            svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true" {
                (ground(&scale))
                (lines(c, &known, &scale))
            }
            @for p in &known.estimates { (mark("mk", p, &scale)) }
            @for p in &known.promises { (mark("mk p", p, &scale)) }
            @for p in &known.deliveries { (mark("mk a", p, &scale)) }
            @if c.past && scale.x.holds(c.at.0) { i class="cur" style={ "left:" (pct(scale.px(c.at))) } {} }
            (axes(&scale))
            @for l in &labels { (l) }
        }
    }
}

fn known(points: &[SlipPoint], at: Stamp) -> Vec<SlipPoint> {
    let mut v: Vec<SlipPoint> = points.iter().filter(|p| p.told <= at).cloned().collect();
    v.sort_by_key(|p| (p.told, p.day));
    v
}

/// The frame is that of everything known now, so that it stands still while one walks through the past.
fn scale(c: &Chart<'_>) -> Option<Scale> {
    let all = || c.slip.promises.iter().chain(&c.slip.estimates).chain(&c.slip.deliveries);
    let mut told: Vec<i64> = all().map(|p| p.told.0).collect();
    told.sort_unstable();
    told.dedup();
    let (first, last) = (*told.first()?, *told.last()?);
    let span = (last - first).max(DAY_MS);
    let until = if c.frame_closed { last } else { c.at.0.clamp(last, last.saturating_add(span * 2)) };
    let second = told.get(1).copied().unwrap_or(first);
    // A first promise told long before anything else would squeeze the rest: start later, keep its line.
    let from = if (second - first) * 2 > until - first && second > first {
        second - (until - second).max(DAY_MS) * 9 / 20
    } else {
        first - span / 25
    };
    let x = Axis { from, to: until + (until - from).max(DAY_MS) / 4 };
    let mut days: Vec<i64> = all().map(|p| p.day.start().0).collect();
    // A delivery told late needs the day of telling on the axis: the drop is the delay.
    days.extend(c.slip.deliveries.iter().filter(|p| lag_days(p) > 0).map(|p| p.told.0));
    let (low, high) = (*days.iter().min()?, *days.iter().max()?);
    let pad = ((high - low) * 14 / 100).max(2 * DAY_MS);
    Some(Scale { x, y: Axis { from: low - pad, to: high + pad }, end: Stamp(c.at.0.min(until)) })
}

fn lag_days(p: &SlipPoint) -> i64 {
    p.told.day().days_after(p.day)
}

/// Grid, the zone of days that have passed, and its diagonal.
fn ground(s: &Scale) -> Markup {
    let (low, high) = (s.px(Stamp(s.y.from)) * 10.0, s.px(Stamp(s.y.to)) * 10.0);
    html! {
        path class="zone" d={ "M" (n(low)) " 1000L" (n(high)) " 0L9999 0V1000Z" } {}
        @for d in grid(s) {
            @let y = n(s.day(d) * 10.0);
            line class="gr" x1="0" x2="1000" y1=(y) y2=(y) {}
        }
        path class="diag" d={ "M" (n(low)) " 1000L" (n(high)) " 0" } {}
    }
}

fn grid(s: &Scale) -> Vec<Day> {
    day_labels(Stamp(s.y.from).day(), Stamp(s.y.to).day(), 5)
}

/// A coordinate: one decimal, kept within what renderers draw exactly.
fn n(v: f64) -> String {
    format!("{:.1}", v.clamp(-99_999.0, 99_999.0))
}

fn lines(c: &Chart<'_>, known: &Slip, s: &Scale) -> Markup {
    let delivered = known.deliveries.last().map(|p| p.told).filter(|_| c.closed);
    let end = delivered.unwrap_or(s.end);
    html! {
        path class="pln" d=(steps(&known.promises, end, s)) {}
        @for (from, to, level, gone) in estimate_runs(&known.estimates, end) {
            path class={ @if gone { "gone" } @else { "est" } }
                d={ "M" (n(s.px(from) * 10.0)) " " (n(s.day(level) * 10.0)) "H" (n(s.px(to) * 10.0)) } {}
        }
        @for w in known.estimates.windows(2) {
            @if let [a, b] = w {
                path class="est" d={ "M" (n(s.px(b.told) * 10.0)) " " (n(s.day(a.day) * 10.0)) "V" (n(s.day(b.day) * 10.0)) } {}
            }
        }
        @for p in known.deliveries.iter().filter(|p| lag_days(p) > 0) {
            path class="gap" d={ "M" (n(s.px(p.told) * 10.0)) " " (n(s.py(p.told.0) * 10.0)) "V" (n(s.day(p.day) * 10.0)) } {}
        }
    }
}

fn steps(points: &[SlipPoint], end: Stamp, s: &Scale) -> String {
    let mut d = String::new();
    for p in points {
        let (x, y) = (n(s.px(p.told) * 10.0), n(s.day(p.day) * 10.0));
        d.push_str(&if d.is_empty() { format!("M{x} {y}") } else { format!("H{x}V{y}") });
    }
    if let Some(last) = points.last() {
        d.push_str(&format!("H{}", n(s.px(end.max(last.told)) * 10.0)));
    }
    d
}

/// Level runs of the estimate: from, to, day, and whether the day had passed without news.
fn estimate_runs(points: &[SlipPoint], end: Stamp) -> Vec<(Stamp, Stamp, Day, bool)> {
    let mut out = Vec::new();
    for (i, p) in points.iter().enumerate() {
        let until = points.get(i + 1).map_or(end, |q| q.told).max(p.told);
        let over = Day(p.day.0 + 1).start().max(p.told);
        if over < until {
            out.push((p.told, over, p.day, false));
            out.push((over, until, p.day, true));
        } else {
            out.push((p.told, until, p.day, false));
        }
    }
    out
}

fn mark(class: &str, p: &SlipPoint, s: &Scale) -> Markup {
    html! {
        @if s.x.holds(p.told.0) {
            i class=(class) style={ "left:" (pct(s.px(p.told))) ";top:" (pct(s.day(p.day))) } {}
        }
    }
}

fn axes(s: &Scale) -> Markup {
    html! {
        @for d in grid(s) { span class="y" style={ "top:" (pct(s.day(d))) } { (d.short()) } }
        @for (i, (at, words)) in time_labels(s.x, 8).into_iter().enumerate() {
            @let x = s.px(at);
            @if x > 2.0 && x < 97.0 {
                span class={ "x" @if i % 2 == 1 { " wide2" } } style={ "left:" (pct(x)) } { (words) }
            }
        }
    }
}

/// The labels one would like, most wanted first; placing drops those without room.
fn wanted(c: &Chart<'_>, k: &Slip, s: &Scale) -> Vec<Label> {
    let near = c.at.day();
    let mut out = Vec::new();
    let at = |p: &SlipPoint| (s.px(p.told).max(0.0), s.day(p.day));
    if let Some(p) = k.deliveries.last() {
        out.push(Label::new(at(p), format!("delivered {}", p.day.near(near)), "ok"));
    }
    if let Some(p) = k.promises.last().filter(|_| k.promises.len() > 1) {
        out.push(Label::new(at(p), format!("promise moved to {}", p.day.near(near)), "").above());
    }
    if let Some(p) = k.estimates.last() {
        let gone = !c.closed && near > p.day;
        if gone {
            let to = (s.px(s.end), s.day(p.day));
            out.push(Label::new(to, "passed, no news".to_owned(), "late"));
        }
        let part = p.part.as_deref().map(|v| format!("estimate, {}:", cut(v, 14)));
        let words = format!("{} {}", part.as_deref().unwrap_or("estimate"), p.day.near(near));
        out.push(Label::new(at(p), words, "est").left());
    }
    if let Some(p) = k.promises.first() {
        out.push(Label::new(at(p), format!("promised {}", p.day.near(near)), "").above());
    }
    if let Some(p) = k.deliveries.last().filter(|p| lag_days(p) > 0) {
        let (x, y) = at(p);
        let middle = (y + s.py(p.told.0)) / 2.0;
        out.push(Label::new((x, middle), format!("told {} d later", lag_days(p)), "ok"));
    }
    let low = s.px(Stamp(s.y.from)).max(0.0);
    if low < 55.0 {
        out.push(Label::new(
            (low + 3.0, 94.0),
            "below the dotted line: the day has passed".to_owned(),
            "axis",
        ));
    }
    out
}

/// Marks and lines, so that labels keep off them.
fn drawn(k: &Slip, s: &Scale) -> Drawn {
    let mut d = Drawn { marks: Vec::new(), lines: Vec::new() };
    for series in [&k.promises, &k.estimates] {
        for (i, p) in series.iter().enumerate() {
            let (x, y) = (s.px(p.told), s.day(p.day));
            let next = series.get(i + 1);
            let to = next.map_or(s.px(s.end), |q| s.px(q.told)).max(x);
            d.lines.push((x, y, to, y));
            if let Some(q) = next {
                let (a, b) = (y.min(s.day(q.day)), y.max(s.day(q.day)));
                d.lines.push((to, a, to, b));
            }
        }
    }
    for p in k.deliveries.iter().filter(|p| lag_days(p) > 0) {
        let (x, a, b) = (s.px(p.told), s.py(p.told.0), s.day(p.day));
        d.lines.push((x, a.min(b), x, a.max(b)));
    }
    let all = k.promises.iter().chain(&k.estimates).chain(&k.deliveries);
    d.marks = all.map(|p| (s.px(p.told), s.day(p.day))).map(|(x, y)| -> Box4 { (x, y, x, y) }).collect();
    d
}

/// The chart as a sentence, for those who do not see it.
fn spoken(k: &Slip, c: &Chart<'_>) -> String {
    let near = c.at.day();
    let mut parts = Vec::new();
    if let (Some(a), Some(b)) = (k.promises.first(), k.promises.last()) {
        parts.push(if k.promises.len() == 1 {
            format!("Promised for {}", a.day.near(near))
        } else {
            let moved = count(k.promises.len() as i64 - 1, "time");
            format!("The promise moved {moved}, from {} to {}", a.day.near(near), b.day.near(near))
        });
    }
    if let (Some(a), Some(b)) = (k.estimates.first(), k.estimates.last()) {
        let gone = if !c.closed && near > b.day { ", which has passed without news" } else { "" };
        parts.push(if k.estimates.len() == 1 {
            format!("Estimated for {}{gone}", a.day.near(near))
        } else {
            let n = k.estimates.len();
            format!("{n} estimates, from {} to {}{gone}", a.day.near(near), b.day.near(near))
        });
    }
    if let Some(p) = k.deliveries.last() {
        let late = if lag_days(p) > 0 {
            format!(", told {} later", count(lag_days(p), "day"))
        } else {
            String::new()
        };
        parts.push(format!(
            "{} told, the last for {}{late}",
            count(k.deliveries.len() as i64, "delivery"),
            p.day.near(near)
        ));
    }
    if parts.is_empty() {
        "Nothing was promised, estimated or delivered yet.".into()
    } else {
        parts.join(". ") + "."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(told: i64, day: i64) -> SlipPoint {
        SlipPoint { told: Stamp(told * DAY_MS), day: Day(day), part: None }
    }

    #[test]
    fn an_estimate_that_passes_without_news_turns_red_from_the_next_day() {
        let runs = estimate_runs(&[p(0, 5), p(3, 8)], Stamp(12 * DAY_MS));
        assert_eq!(
            runs,
            vec![
                (Stamp(0), Stamp(3 * DAY_MS), Day(5), false),
                (Stamp(3 * DAY_MS), Stamp(9 * DAY_MS), Day(8), false),
                (Stamp(9 * DAY_MS), Stamp(12 * DAY_MS), Day(8), true),
            ]
        );
    }

    #[test]
    fn the_frame_stands_still_when_nothing_more_is_expected() {
        let slip = Slip { promises: vec![p(0, 20)], estimates: vec![p(5, 22)], deliveries: vec![p(30, 21)] };
        let at = |t: i64| {
            scale(&Chart {
                slip: &slip,
                at: Stamp(t * DAY_MS),
                past: true,
                closed: false,
                frame_closed: true,
            })
            .unwrap()
        };
        assert_eq!((at(1).x.from, at(1).x.to), (at(40).x.from, at(40).x.to));
        assert_eq!((at(1).y.from, at(1).y.to), (at(40).y.from, at(40).y.to));
        // told nine days late: the drop from the diagonal is nine days of the vertical axis
        let s = at(40);
        let drop = s.day(Day(21)) - s.py(30 * DAY_MS);
        assert!((drop - s.y.at(9 * DAY_MS + s.y.from)).abs() < 0.01);
    }

    #[test]
    fn hostile_times_do_not_break_the_geometry() {
        let slip = Slip {
            promises: vec![SlipPoint { told: Stamp(i64::MIN / 4), day: Day(-90_000_000), part: None }],
            estimates: vec![SlipPoint { told: Stamp(i64::MAX / 4), day: Day(90_000_000), part: None }],
            deliveries: vec![],
        };
        let html =
            chart(&Chart { slip: &slip, at: Stamp(0), past: true, closed: false, frame_closed: false })
                .into_string();
        assert!(!html.contains("NaN") && !html.contains("inf"));
    }
}
