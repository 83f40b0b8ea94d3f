//! Axes: positions in per cent of a plot, and where the labels of a time axis stand.

use crate::time::{Day, Stamp};

const HOUR: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR;

/// Maps `from..to` to 0..100 per cent. A range without width is widened by the caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Axis {
    /// Per cent of the way; not clamped.
    pub(crate) fn at(self, v: i64) -> f64 {
        let width = (i128::from(self.to) - i128::from(self.from)).max(1) as f64;
        (i128::from(v) - i128::from(self.from)) as f64 / width * 100.0
    }

    /// The value lies on the axis.
    pub(crate) fn holds(self, v: i64) -> bool {
        (self.from..=self.to).contains(&v)
    }
}

/// Two decimals are a fortieth of a pixel on the widest page.
pub(crate) fn pct(v: f64) -> String {
    format!("{:.2}%", v.clamp(-1000.0, 1000.0))
}

/// Labelled moments of a time axis, at most `max`, on whole hours, days, months or years.
pub(crate) fn time_labels(axis: Axis, max: usize) -> Vec<(Stamp, String)> {
    let span = axis.to.saturating_sub(axis.from).max(1);
    let max = i64::try_from(max.max(2)).unwrap_or(8);
    for step in [HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY_MS, 2 * DAY_MS, 7 * DAY_MS, 14 * DAY_MS] {
        if span / step < max {
            return even(axis, step);
        }
    }
    for months in [1, 2, 3, 6, 12, 24, 60, 120, 600] {
        if span / (months * 30 * DAY_MS) < max {
            return by_months(axis, months);
        }
    }
    Vec::new()
}

fn even(axis: Axis, step: i64) -> Vec<(Stamp, String)> {
    // Weeks start on Monday; 1970-01-05 was one.
    let shift = if step >= 7 * DAY_MS { 4 * DAY_MS } else { 0 };
    let mut out = Vec::new();
    let mut at = (axis.from - shift).div_euclid(step) * step + shift;
    let mut year = None;
    while at <= axis.to {
        if at >= axis.from {
            let day = Stamp(at).day();
            let midnight = at.rem_euclid(DAY_MS) == 0;
            let this_year = Some(day.civil().0);
            let label = match (midnight, year.is_some() && year != this_year) {
                (true, true) => day.long(),
                (true, false) => day.short(),
                (false, _) => Stamp(at).clock(),
            };
            year = this_year;
            out.push((Stamp(at), label));
        }
        at = at.saturating_add(step);
    }
    out
}

fn by_months(axis: Axis, step: i64) -> Vec<(Stamp, String)> {
    let (y, m, _) = Stamp(axis.from).day().civil();
    let mut month = (y * 12 + i64::try_from(m).unwrap_or(1) - 1).div_euclid(step) * step;
    let mut out = Vec::new();
    loop {
        let (year, m) = (month.div_euclid(12), month.rem_euclid(12) + 1);
        let day = Day::from_civil(year, m, 1);
        if day.start().0 > axis.to {
            return out;
        }
        if day.start().0 >= axis.from {
            let label = match (step >= 12, m == 1 || out.is_empty()) {
                (true, _) => year.to_string(),
                (false, true) => format!("{} {year}", day.month_name()),
                (false, false) => day.month_name().to_owned(),
            };
            out.push((day.start(), label));
        }
        month += step;
    }
}

/// Days of a vertical axis, at most `max`, a round number of days apart.
pub(crate) fn day_labels(from: Day, to: Day, max: i64) -> Vec<Day> {
    let span = to.days_after(from).max(1);
    let steps = [1, 2, 5, 10, 20, 30, 60, 90, 180, 365, 730, 1825, 3650, 36_500];
    let step = steps.into_iter().find(|s| span / s < max).unwrap_or(365_000);
    let first = from.0.div_euclid(step) * step + step;
    (0..max).map(|i| Day(first + i * step)).take_while(|d| *d <= to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_few_and_lie_on_the_axis() {
        for span in
            [1, HOUR, 7 * HOUR, DAY_MS, 5 * DAY_MS, 40 * DAY_MS, 220 * DAY_MS, 4000 * DAY_MS, 90_000 * DAY_MS]
        {
            let axis = Axis { from: 1_411_140_540_000, to: 1_411_140_540_000 + span };
            let labels = time_labels(axis, 7);
            assert!(labels.len() <= 8, "{span}: {labels:?}");
            assert!(labels.iter().all(|(s, _)| axis.holds(s.0)));
            if span >= DAY_MS {
                assert!(labels.len() >= 2, "{span}: {labels:?}");
            }
        }
    }

    #[test]
    fn months_name_the_year_where_it_changes() {
        let axis =
            Axis { from: Day::from_civil(2014, 8, 12).start().0, to: Day::from_civil(2015, 3, 31).start().0 };
        let words: Vec<_> = time_labels(axis, 8).into_iter().map(|(_, w)| w).collect();
        assert_eq!(words, ["Sep 2014", "Oct", "Nov", "Dec", "Jan 2015", "Feb", "Mar"]);
    }

    #[test]
    fn days_upward_stay_within() {
        let days = day_labels(Day(100), Day(147), 5);
        assert!(days.len() >= 3 && days.len() <= 5);
        assert!(days.iter().all(|d| *d > Day(100) && *d <= Day(147)));
    }
}
