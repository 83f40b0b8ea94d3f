//! Condition over time: one line, its limits, and what went beyond them.

use super::axis::{Axis, pct, time_labels};
use super::evidence::evidence;
use super::text::t;
use crate::pages::order::Condition;
use crate::time::{Stamp, span};
use maud::{Markup, html};

/// Readings drawn at most; more are thinned to the extremes of equal stretches.
const MAX_POINTS: usize = 240;

/// Chart and sentence. Nothing for a series without readings.
pub(crate) fn condition(c: &Condition) -> Markup {
    let readings: Vec<(Stamp, f64)> = c.readings.iter().copied().filter(|(_, v)| v.is_finite()).collect();
    let (Some(first), Some(last)) = (readings.first(), readings.last()) else { return html! {} };
    let x = Axis { from: first.0.0, to: last.0.0.max(first.0.0 + 60_000) };
    let values = readings.iter().map(|(_, v)| *v).chain(c.low).chain(c.high);
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)));
    let pad = ((high - low) * 0.12).max(0.5);
    let y = |v: f64| 100.0 - (v - low + pad) / (high - low + 2.0 * pad) * 100.0;
    let worst = beyond(c, &readings);
    html! {
        figure class="plot small" role="img" aria-label=(spoken(c, &readings, worst.as_deref())) {
            svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true" {
                @for limit in [c.low, c.high].into_iter().flatten() {
                    line class="limit" x1="0" x2="1000" y1=(format!("{:.1}", y(limit) * 10.0)) y2=(format!("{:.1}", y(limit) * 10.0)) {}
                }
                path class="reading" d=(path(&thin(&readings), x, y)) {}
            }
            @for limit in [c.low, c.high].into_iter().flatten() {
                span class="y" style={ "top:" (pct(y(limit))) } { (limit) " " (t(&c.unit)) }
            }
            @for (at, words) in time_labels(x, 4) {
                @if (4.0..96.0).contains(&x.at(at.0)) { span class="x" style={ "left:" (pct(x.at(at.0))) } { (words) } }
            }
        }
        p class="hint" {
            "Last " (format!("{:.1}", last.1)) " " (t(&c.unit)) ". "
            @if let Some(w) = &worst { span class="late" { (w) } " " }
            @if let Some(e) = &c.evidence { (evidence(e)) }
        }
    }
}

fn path(points: &[(Stamp, f64)], x: Axis, y: impl Fn(f64) -> f64) -> String {
    let mut d = String::new();
    for (i, (at, v)) in points.iter().enumerate() {
        let letter = if i == 0 { 'M' } else { 'L' };
        d.push_str(&format!("{letter}{:.0} {:.0}", x.at(at.0) * 10.0, y(*v) * 10.0));
    }
    d
}

/// Keeps the lowest and the highest reading of each stretch, so that no peak is lost.
fn thin(readings: &[(Stamp, f64)]) -> Vec<(Stamp, f64)> {
    if readings.len() <= MAX_POINTS {
        return readings.to_vec();
    }
    let stretch = readings.len().div_ceil(MAX_POINTS / 2);
    let mut out = Vec::with_capacity(MAX_POINTS);
    for chunk in readings.chunks(stretch) {
        let low = chunk.iter().min_by(|a, b| a.1.total_cmp(&b.1));
        let high = chunk.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let mut pair: Vec<(Stamp, f64)> = [low, high].into_iter().flatten().copied().collect();
        pair.sort_by_key(|(at, _)| *at);
        pair.dedup();
        out.extend(pair);
    }
    out
}

/// The extreme beyond a limit, and for how long the readings were beyond it.
fn beyond(c: &Condition, readings: &[(Stamp, f64)]) -> Option<String> {
    let over = |v: f64| c.high.is_some_and(|h| v > h);
    let under = |v: f64| c.low.is_some_and(|l| v < l);
    let mut ms = 0;
    for w in readings.windows(2) {
        if let [a, b] = w
            && (over(a.1) || under(a.1))
        {
            ms += b.0.since(a.0);
        }
    }
    let top = readings.iter().map(|r| r.1).filter(|v| over(*v)).max_by(f64::total_cmp);
    let bottom = readings.iter().map(|r| r.1).filter(|v| under(*v)).min_by(f64::total_cmp);
    let worst = top.or(bottom)?;
    Some(format!("{worst:.1} {}, {} outside of the limits.", t(&c.unit), span(ms)))
}

fn spoken(c: &Condition, readings: &[(Stamp, f64)], worst: Option<&str>) -> String {
    let n = readings.len();
    let state = worst.map_or_else(|| "all within the limits.".to_owned(), |w| w.to_owned());
    format!("{} of {}, {n} readings: {state}", t(&c.name), t(&c.subject.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_peak() {
        let mut readings: Vec<(Stamp, f64)> = (0..5000).map(|i| (Stamp(i * 60_000), 4.0)).collect();
        readings[3333].1 = 31.4;
        let thinned = thin(&readings);
        assert!(thinned.len() <= MAX_POINTS + 2);
        assert!(thinned.iter().any(|r| r.1 == 31.4));
    }
}
