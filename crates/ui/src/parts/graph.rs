//! The containment graph: one column per kind, coarse to fine; a line where one holds the other.

use super::text::{cut, t};
use crate::model::Subject;
use crate::pages::order::LinkRow;
use crate::time::grouped;
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// Columns at most: with more, text does not fit. The table under the graph has everything.
const MAX_COLUMNS: usize = 4;
/// Nodes of a column at most; the last one counts those left out.
const MAX_NODES: usize = 7;
/// Height of a node and the space below it, in pixels.
const SLOT: f64 = 46.0;
/// Height of the line of headings.
const HEAD: f64 = 22.0;

/// Kinds that are drawn first when there are more than fit.
const DRAWN: [&str; 8] = ["order", "shipment", "container", "unit", "pallet", "vehicle", "case", "item"];

/// Kinds from coarse to fine. Kinds not listed come last.
const ORDER: [&str; 12] = [
    "order",
    "line",
    "shipment",
    "vehicle",
    "vessel",
    "flight",
    "container",
    "unit",
    "pallet",
    "case",
    "item",
    "place",
];

struct Node<'a> {
    subject: &'a Subject,
    under: String,
}

struct Column<'a> {
    kind: &'a str,
    nodes: Vec<Node<'a>>,
    hidden: usize,
}

/// The graph as a picture with a sentence; its data stands in the table below it.
pub(crate) fn graph(links: &[LinkRow], own: &Subject) -> Markup {
    let columns = columns(links, own);
    let most = columns.iter().map(|c| c.nodes.len() + usize::from(c.hidden > 0)).max().unwrap_or(1);
    let height = most as f64 * SLOT + HEAD;
    let shape = Shape::of(columns.len(), height);
    let room = if columns.len() <= 3 { 13 } else { 9 };
    html! {
        div class="graph" role="img" aria-label=(spoken(links)) style={ "height:" (height) "px" } {
            svg viewBox={ "0 0 100 " (height) } preserveAspectRatio="none" aria-hidden="true" {
                @for (a, b, ended) in edges(links, &columns) { (edge(a, b, ended, &columns, &shape)) }
            }
            @for (i, c) in columns.iter().enumerate() {
                @let total = c.nodes.len() + usize::from(c.hidden > 0);
                span class="ch" style=(shape.box_style(i, HEAD / 2.0)) { (cut(c.kind, 16)) }
                @for (j, node) in c.nodes.iter().enumerate() {
                    div class={ "nd" @if node.subject == own { " own" } } style=(shape.box_style(i, shape.y(j, total))) {
                        b title=(t(&node.subject.id)) { (shorten(&node.subject.id, room)) }
                        small { (node.under) }
                    }
                }
                @if c.hidden > 0 {
                    div class="nd more" style=(shape.box_style(i, shape.y(c.nodes.len(), total))) {
                        b { "and " (c.hidden) " more" } small { "in the table" }
                    }
                }
            }
        }
        p class="hint" { "Solid: holds now. Dashed: ended." }
    }
}

struct Shape {
    width: f64,
    step: f64,
    height: f64,
}

impl Shape {
    fn of(columns: usize, height: f64) -> Shape {
        let n = columns.max(1) as f64;
        // A fifth of each step is the room for lines.
        let width = if columns <= 1 { 40.0 } else { 100.0 / (n + (n - 1.0) * 0.22) };
        Shape { width, step: width * 1.22, height }
    }

    fn left(&self, column: usize) -> f64 {
        column as f64 * self.step
    }

    fn y(&self, row: usize, rows: usize) -> f64 {
        let slot = (self.height - HEAD) / rows.max(1) as f64;
        HEAD + slot * (row as f64 + 0.5)
    }

    fn box_style(&self, column: usize, y: f64) -> String {
        format!("left:{:.2}%;width:{:.2}%;top:{y:.1}px", self.left(column), self.width)
    }
}

fn columns<'a>(links: &'a [LinkRow], own: &'a Subject) -> Vec<Column<'a>> {
    let ends = || std::iter::once(own).chain(links.iter().flat_map(|l| [&l.holder, &l.held]));
    let mut columns: Vec<Column<'a>> = Vec::new();
    for kind in drawn_kinds(own, ends().map(|s| s.kind.as_str())) {
        let mut seen = BTreeSet::new();
        let of_kind = ends().filter(|s| s.kind == kind && seen.insert(s.id.as_str()));
        let mut nodes: Vec<Node<'a>> = of_kind.map(|s| Node { subject: s, under: String::new() }).collect();
        let hidden = nodes.len().saturating_sub(MAX_NODES);
        nodes.truncate(MAX_NODES);
        for n in &mut nodes {
            n.under = under(n.subject, links);
        }
        columns.push(Column { kind, nodes, hidden });
    }
    settle(&mut columns, links);
    columns
}

/// The kinds that get a column, coarse to fine: the page's own always, then those that say most.
fn drawn_kinds<'a>(own: &'a Subject, all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let rank = |list: &[&str], k: &str| list.iter().position(|x| *x == k).unwrap_or(list.len());
    let mut kinds: Vec<&str> = all.filter(|k| *k != own.kind).collect::<BTreeSet<_>>().into_iter().collect();
    kinds.sort_by_key(|k| rank(&DRAWN, k));
    kinds.truncate(MAX_COLUMNS - 1);
    kinds.push(&own.kind);
    kinds.sort_by_key(|k| rank(&ORDER, k));
    kinds
}

/// Orders each column by where its neighbours to the left stand, so that few lines cross.
fn settle(columns: &mut [Column<'_>], links: &[LinkRow]) {
    let edges = edges(links, columns);
    for i in 1..columns.len() {
        let (left, rest) = columns.split_at_mut(i);
        let Some(column) = rest.first_mut() else { continue };
        let rank = |s: &Subject| -> f64 {
            let rows: Vec<f64> =
                edges.iter().filter_map(|e| other_end(e, s)).filter_map(|o| row_of(left, o)).collect();
            if rows.is_empty() { 2.0 } else { rows.iter().sum::<f64>() / rows.len() as f64 }
        };
        column.nodes.sort_by(|a, b| {
            rank(a.subject).total_cmp(&rank(b.subject)).then_with(|| a.subject.id.cmp(&b.subject.id))
        });
    }
}

fn other_end<'a>(edge: &(&'a Subject, &'a Subject, bool), s: &Subject) -> Option<&'a Subject> {
    match edge {
        (a, b, _) if *b == s => Some(a),
        (a, b, _) if *a == s => Some(b),
        _ => None,
    }
}

/// Position of a subject within its column, from 0 to 1.
fn row_of(columns: &[Column<'_>], s: &Subject) -> Option<f64> {
    columns.iter().find_map(|c| {
        let row = c.nodes.iter().position(|n| n.subject == s)?;
        Some((row as f64 + 0.5) / (c.nodes.len() + usize::from(c.hidden > 0)) as f64)
    })
}

/// Pairs to join, and whether what joins them has ended. What has no column (the lines of an order) joins its
/// neighbours: an order to the shipments that its lines travel in.
fn edges<'a>(links: &'a [LinkRow], columns: &[Column<'a>]) -> BTreeSet<(&'a Subject, &'a Subject, bool)> {
    let drawn = |s: &Subject| columns.iter().position(|c| c.kind == s.kind);
    let mut out = BTreeSet::new();
    let mut through: BTreeMap<&Subject, Vec<(usize, &Subject, bool)>> = BTreeMap::new();
    for l in links {
        let ended = l.to.is_some();
        match (drawn(&l.held), drawn(&l.holder)) {
            (Some(_), Some(_)) => drop(out.insert((&l.holder, &l.held, ended))),
            (None, Some(i)) => through.entry(&l.held).or_default().push((i, &l.holder, ended)),
            (Some(i), None) => through.entry(&l.holder).or_default().push((i, &l.held, ended)),
            (None, None) => {}
        }
    }
    for mut ends in through.into_values() {
        ends.sort();
        for pair in ends.windows(2) {
            if let [(i, a, a_ended), (j, b, b_ended)] = pair
                && i != j
            {
                out.insert((*a, *b, *a_ended || *b_ended));
            }
        }
    }
    // What holds now hides that it held before.
    let now: BTreeSet<_> = out.iter().filter(|e| !e.2).map(|e| (e.0, e.1)).collect();
    out.retain(|e| !e.2 || !now.contains(&(e.0, e.1)));
    out
}

fn edge(one: &Subject, other: &Subject, ended: bool, columns: &[Column<'_>], shape: &Shape) -> Markup {
    let find = |s: &Subject| {
        columns.iter().enumerate().find_map(|(i, c)| {
            let row = c.nodes.iter().position(|n| n.subject == s)?;
            Some((i, shape.y(row, c.nodes.len() + usize::from(c.hidden > 0))))
        })
    };
    let (Some(a), Some(b)) = (find(one), find(other)) else { return html! {} };
    let (left, right) = if a.0 <= b.0 { (a, b) } else { (b, a) };
    if left.0 == right.0 {
        return html! {};
    }
    let (x1, x2) = (shape.left(left.0) + shape.width, shape.left(right.0));
    let middle = (x1 + x2) / 2.0;
    html! {
        path class=[ended.then_some("end")]
            d={ "M" (format!("{x1:.2}")) " " (format!("{:.1}", left.1))
                "C" (format!("{middle:.2} {:.1} {middle:.2} {:.1} {x2:.2} {:.1}", left.1, right.1, right.1)) } {}
    }
}

/// How the subject stands: what it holds now, since when it is held, or when that ended.
fn under(s: &Subject, links: &[LinkRow]) -> String {
    let holds = links.iter().filter(|l| l.holder == *s && l.to.is_none()).count() as i64;
    let held_now = links.iter().find(|l| l.held == *s && l.to.is_none());
    let ended = links.iter().filter(|l| l.held == *s || l.holder == *s).filter_map(|l| l.to);
    match (holds, held_now.map(|l| l.from), ended.max_by_key(|w| w.stamp())) {
        (n, _, _) if n > 0 => format!("holds {}", grouped(n)),
        (_, Some(Some(from)), _) => format!("since {}", from.day().short()),
        (_, Some(None), _) => "held now".to_owned(),
        (_, None, Some(to)) => format!("to {}", to.day().short()),
        _ => String::new(),
    }
}

/// The end of a long id tells more than its beginning.
fn shorten(id: &str, max: usize) -> String {
    let clean = t(id);
    let n = clean.chars().count();
    if n <= max { clean } else { format!("…{}", clean.chars().skip(n + 1 - max).collect::<String>()) }
}

fn spoken(links: &[LinkRow]) -> String {
    let now = links.iter().filter(|l| l.to.is_none());
    let words: Vec<String> =
        now.clone().take(6).map(|l| format!("{} in {}", t(&l.held.id), t(&l.holder.id))).collect();
    let more = now.count().saturating_sub(6);
    match (words.is_empty(), more) {
        (true, _) => "Nothing holds now; the table has what held before.".to_owned(),
        (false, 0) => format!("{}.", words.join(", ")),
        (false, n) => format!("{}, and {n} more; the table has all.", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(kind: &str, id: &str) -> Subject {
        Subject { id: id.into(), kind: kind.into() }
    }

    fn link(held: Subject, holder: Subject) -> LinkRow {
        LinkRow { held, holder, from: None, to: None }
    }

    #[test]
    fn lines_without_a_column_join_the_order_to_its_shipments() {
        let own = subject("order", "PO-1");
        let (line, ship, unit) =
            (subject("line", "PO-1/1"), subject("shipment", "S-1"), subject("container", "C-1"));
        let links = vec![
            link(line.clone(), own.clone()),
            link(line.clone(), ship.clone()),
            link(ship.clone(), unit.clone()),
            link(subject("pallet", "P-1"), unit.clone()),
        ];
        let columns = columns(&links, &own);
        let kinds: Vec<&str> = columns.iter().map(|c| c.kind).collect();
        assert_eq!(kinds, ["order", "shipment", "container", "pallet"]);
        let edges = edges(&links, &columns);
        assert!(edges.contains(&(&own, &ship, false)), "{edges:?}");
        assert_eq!(edges.len(), 3);
    }
}
