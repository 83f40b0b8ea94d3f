//! Days and instants as markup: short words to read, the full spelling in `datetime` for machines and tooltips.

use crate::time::{Day, Stamp, When};
use maud::{Markup, html};

/// `11 Mar 2015`.
pub(crate) fn day(d: Day) -> Markup {
    html! { time datetime=(d) { (d.long()) } }
}

/// `11 Mar`; with the year only where it differs from that of `near`.
pub(crate) fn day_near(d: Day, near: Day) -> Markup {
    html! { time datetime=(d) { (d.near(near)) } }
}

/// Day over clock, for a table cell: the day in the first line, `14:05Z` in the second.
pub(crate) fn cell(s: Stamp, near: Day) -> Markup {
    let year =
        if s.day().civil().0 == near.civil().0 { String::new() } else { format!("{} ", s.day().civil().0) };
    html! { time datetime=(s.rfc3339()) { (s.day().short()) span class="m" { (year) (s.clock()) } } }
}

/// Like [`cell`] for what may have no time of day.
pub(crate) fn when_cell(w: When, near: Day) -> Markup {
    match w {
        When::At(s) => cell(s, near),
        When::On(d) if d.civil().0 == near.civil().0 => html! { time datetime=(d) { (d.short()) } },
        When::On(d) => html! { time datetime=(d) { (d.short()) span class="m" { (d.civil().0) } } },
    }
}

/// One line: `24 Mar, 18:01Z`, or the day alone.
pub(crate) fn when_line(w: When, near: Day) -> Markup {
    match w {
        When::At(s) => html! { time datetime=(s.rfc3339()) { (s.day().near(near)) ", " (s.clock()) } },
        When::On(d) => day_near(d, near),
    }
}

/// `31 Mar 2015, 16:40Z`: a moment spelt out.
pub(crate) fn moment(s: Stamp) -> String {
    format!("{}, {}", s.day().long(), s.clock())
}

/// Like [`moment`] to the second where seconds matter.
pub(crate) fn moment_exact(s: Stamp) -> String {
    if s.0.rem_euclid(60_000) == 0 {
        moment(s)
    } else {
        format!("{}, {}Z", s.day().long(), s.clock_seconds())
    }
}
