//! Where the labels of a plot stand: beside their mark, not on each other, within the frame.
//!
//! Text does not stretch with the geometry, so places are found for two widths: that of a desktop column and
//! that of a phone. Where they differ the label is written twice and the stylesheet shows one of them. A label
//! without room is left out.

use super::axis::pct;
use maud::{Markup, html};

/// Plot sizes in CSS pixels that labels are placed for.
const WIDE: (f64, f64) = (640.0, 272.0);
const PHONE: (f64, f64) = (300.0, 260.0);
/// Mean width of a character at the label's size, and the height of its line.
const CHAR: f64 = 6.7;
const LINE: f64 = 16.0;
/// Space between a mark and its label.
const AWAY: f64 = 9.0;

/// A label that wants a place beside a point, given in per cent of the plot.
pub(crate) struct Label {
    point: (f64, f64),
    words: String,
    class: &'static str,
    first: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Right,
    Left,
    AboveRight,
    BelowRight,
    AboveLeft,
    BelowLeft,
}

const SIDES: [Side; 6] =
    [Side::Right, Side::AboveRight, Side::BelowRight, Side::AboveLeft, Side::Left, Side::BelowLeft];

/// Left, top, right, bottom.
pub(crate) type Box4 = (f64, f64, f64, f64);

impl Label {
    pub(crate) fn new(point: (f64, f64), words: String, class: &'static str) -> Label {
        Label { point, words, class, first: Side::Right }
    }

    /// Prefers to stand above, to the right.
    pub(crate) fn above(mut self) -> Label {
        self.first = Side::AboveRight;
        self
    }

    /// Prefers to stand at the left.
    pub(crate) fn left(mut self) -> Label {
        self.first = Side::AboveLeft;
        self
    }

    /// Left, top, right, bottom in pixels of a plot of that size.
    fn area(&self, side: Side, size: (f64, f64)) -> Box4 {
        let (x, y) = (self.point.0 / 100.0 * size.0, self.point.1 / 100.0 * size.1);
        let width = self.words.chars().count() as f64 * CHAR;
        let left = match side {
            Side::Right => x + AWAY,
            Side::AboveRight | Side::BelowRight => x + 5.0,
            Side::Left => x - AWAY - width,
            Side::AboveLeft | Side::BelowLeft => x - 5.0 - width,
        };
        let top = match side {
            Side::Right | Side::Left => y - LINE / 2.0,
            Side::AboveRight | Side::AboveLeft => y - LINE - 5.0,
            Side::BelowRight | Side::BelowLeft => y + 6.0,
        };
        (left, top, left + width, top + LINE)
    }

    fn markup(&self, side: Side, only: &str) -> Markup {
        let right = matches!(side, Side::Left | Side::AboveLeft | Side::BelowLeft);
        let away = if matches!(side, Side::Right | Side::Left) { AWAY } else { 5.0 };
        let up = match side {
            Side::Right | Side::Left => -LINE / 2.0,
            Side::AboveRight | Side::AboveLeft => -LINE - 5.0,
            Side::BelowRight | Side::BelowLeft => 6.0,
        };
        let x = if right {
            format!("right:calc({} + {away}px)", pct(100.0 - self.point.0))
        } else {
            format!("left:calc({} + {away}px)", pct(self.point.0))
        };
        html! {
            span class={ "lb " (self.class) (only) }
                style={ (x) ";top:calc(" (pct(self.point.1)) " + " (up) "px)" } { (self.words) }
        }
    }
}

/// What is drawn and should not be written over, in per cent of the plot: left, top, right, bottom.
pub(crate) struct Drawn {
    pub(crate) marks: Vec<Box4>,
    pub(crate) lines: Vec<Box4>,
}

impl Drawn {
    fn pixels(boxes: &[Box4], size: (f64, f64), around: f64) -> Vec<Box4> {
        let (w, h) = (size.0 / 100.0, size.1 / 100.0);
        let grown = |b: &Box4| (b.0 * w - around, b.1 * h - around, b.2 * w + around, b.3 * h + around);
        boxes.iter().map(grown).collect()
    }
}

/// The labels as markup, each where it has room.
pub(crate) fn place(wanted: &[Label], drawn: &Drawn) -> Vec<Markup> {
    let (wide, phone) = (sides(wanted, drawn, WIDE), sides(wanted, drawn, PHONE));
    let mut out = Vec::new();
    for ((label, wide), phone) in wanted.iter().zip(wide).zip(phone) {
        if wide == phone {
            out.extend(wide.map(|side| label.markup(side, "")));
            continue;
        }
        out.extend(wide.map(|side| label.markup(side, " wide2")));
        out.extend(phone.map(|side| label.markup(side, " phone")));
    }
    out
}

/// A side for each label, in the order of their importance; `None` where there is no room. Lines are crossed
/// rather than a label left out, marks and other labels never.
fn sides(wanted: &[Label], drawn: &Drawn, size: (f64, f64)) -> Vec<Option<Side>> {
    let lines = Drawn::pixels(&drawn.lines, size, 0.0);
    let mut taken = Drawn::pixels(&drawn.marks, size, 3.0);
    let mut out = Vec::new();
    for label in wanted {
        let candidates: Vec<Side> = std::iter::once(label.first).chain(SIDES).collect();
        let clear = |b: Box4| !overlaps(b, &lines);
        let free: Vec<Side> =
            candidates.into_iter().filter(|s| fits(label.area(*s, size), size, &taken)).collect();
        let side = free.iter().copied().find(|s| clear(label.area(*s, size))).or(free.first().copied());
        taken.extend(side.map(|s| label.area(s, size)));
        out.push(side);
    }
    out
}

fn fits(b: Box4, size: (f64, f64), taken: &[Box4]) -> bool {
    b.0 >= 2.0 && b.1 >= 0.0 && b.2 <= size.0 && b.3 <= size.1 - 2.0 && !overlaps(b, taken)
}

fn overlaps(b: Box4, taken: &[Box4]) -> bool {
    taken.iter().any(|t| b.0 < t.2 + 3.0 && t.0 < b.2 + 3.0 && b.1 < t.3 && t.1 < b.3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_lie_on_each_other_or_outside() {
        let wanted: Vec<Label> = (0..12)
            .map(|i| Label::new((90.0 - f64::from(i), 50.0 + f64::from(i)), "delivered 11 Mar".into(), ""))
            .collect();
        let drawn = Drawn { marks: vec![(88.0, 50.0, 88.0, 50.0)], lines: vec![(0.0, 55.0, 100.0, 55.0)] };
        for size in [WIDE, PHONE] {
            let sides = sides(&wanted, &drawn, size);
            let areas: Vec<Box4> =
                wanted.iter().zip(sides).filter_map(|(l, s)| Some(l.area(s?, size))).collect();
            assert!(areas.len() > 1 && areas.len() < 12);
            for (i, a) in areas.iter().enumerate() {
                assert!(fits(*a, size, &areas[i + 1..]));
            }
        }
    }
}
