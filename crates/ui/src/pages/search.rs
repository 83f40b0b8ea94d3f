//! Search: where is it, and what changed? The first page, `/`.

use crate::model::{Evidence, Frame, Searched, SourceRow, State, Subject};
use crate::parts::evidence::evidence;
use crate::parts::facts::capital;
use crate::parts::frame::{self, Page, Place};
use crate::parts::marks::{Tone, live, status};
use crate::parts::standing::{lateness, state_words};
use crate::parts::text::{subject_href, t};
use crate::parts::times::{day, moment};
use crate::parts::{not_found, slack};
use crate::time::{Day, Stamp, count, grouped, span};
use maud::{Markup, html};

/// Everything the Search page shows.
#[derive(Clone, Debug)]
pub struct SearchView {
    /// Freshness and clock.
    pub frame: Frame,
    /// The words searched for; `None` shows the overview instead of results.
    pub query: Option<String>,
    /// Matches of `query`, best first, as `GET /v1/search` returns them.
    pub results: Vec<Hit>,
    /// More matches exist than `results` holds.
    pub more: bool,
    /// What was looked in; shown when nothing matched.
    pub searched: Searched,
    /// A few ids that exist, to try.
    pub examples: Vec<Subject>,
    /// Five figures over open orders.
    pub figures: Figures,
    /// Open orders with a promise, least slack first; the page shows the first 12.
    pub due: Vec<DueRow>,
    /// Open orders in all that `due` was taken from.
    pub due_total: u64,
    /// Newest changes first; the page shows the first 12.
    pub changes: Vec<Change>,
    /// `changes` holds what was told after this moment.
    pub changes_since: Option<Stamp>,
}

/// One match: the fields of an item of `GET /v1/search`.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The subject found.
    pub subject: Subject,
    /// Its state.
    pub state: State,
    /// What the words matched, in words ("id", "reference PO-771", "place Lusaka").
    pub matched: String,
    /// The promise that counts.
    pub promised: Option<Day>,
    /// The day of delivery.
    pub delivered: Option<Day>,
    /// Negative when early.
    pub days_late: Option<i64>,
}

/// The figures of the overview. A figure that the service does not count is `None` and reads "not known".
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Orders not delivered and not cancelled.
    pub open: Option<u64>,
    /// Of those, the promise has passed.
    pub past_promise: Option<u64>,
    /// Of those, the estimate lies after the promise and the promise has not passed.
    pub expected_late: Option<u64>,
    /// Orders delivered so far.
    pub delivered: Option<u64>,
    /// Records that could not be read and are kept in quarantine.
    pub quarantined: Option<u64>,
}

/// An open order and its slack.
#[derive(Clone, Debug)]
pub struct DueRow {
    /// The order.
    pub id: String,
    /// Second line under the id, for example its shipment.
    pub part: Option<String>,
    /// What is in it.
    pub what: Option<String>,
    /// Second line under that: quantity, supplier.
    pub what_more: Option<String>,
    /// Where it goes, or was last seen.
    pub place: Option<String>,
    /// Second line under that: mode of transport.
    pub place_more: Option<String>,
    /// The promise that counts.
    pub promised: Option<Day>,
    /// The newest estimate.
    pub estimated: Option<Day>,
}

/// One change: a line of `GET /v1/changes`.
#[derive(Clone, Debug)]
pub struct Change {
    /// When we were told.
    pub record_time: Stamp,
    /// What changed.
    pub subject: Subject,
    /// Which property, in words: "promise", "estimate", "state", "location".
    pub what: String,
    /// What was said before, if anything.
    pub old: Option<String>,
    /// What is said now, if anything.
    pub new: Option<String>,
    /// The record that told it.
    pub evidence: Evidence,
}

/// Rows of the due list and of the changes shown at most.
const MAX_ROWS: usize = 12;

/// The whole page.
pub fn document(v: &SearchView) -> String {
    frame::document(&page(v))
}

/// What a script swaps in.
pub fn fragment(v: &SearchView) -> String {
    frame::fragment(&page(v))
}

fn page(v: &SearchView) -> Page<'_> {
    let main = html! {
        main #main class="page home" data-page="search" {
            h1 #title { "Where is it, and what changed?" }
            (field(v))
            @match &v.query {
                Some(q) if !q.trim().is_empty() => (results(v, q)),
                _ => (overview(v)),
            }
            p #hints class="keys" {
                span { kbd { "/" } " search" } span { kbd { "j" } " " kbd { "k" } " move" }
                span { kbd { "Enter" } " open" } span { kbd { "?" } " all keys" }
            }
        }
    };
    Page { frame: &v.frame, place: Place::Search, title: "Search", main }
}

fn field(v: &SearchView) -> Markup {
    html! {
        form #field class="q" role="search" action="/" {
            label class="vh" for="q" { "Any reference" }
            input #q name="q" value=[v.query.as_deref().map(t)] autocomplete="off"
                placeholder="Order, shipment, container, pallet or place";
            button class="btn pri" { "Search" }
        }
        @if !v.examples.is_empty() && v.query.is_none() {
            p #examples class="hint" {
                "Try "
                @for (i, s) in v.examples.iter().take(4).enumerate() {
                    @if i > 0 { ", " }
                    a href=(subject_href(&s.id)) { (t(&s.id)) }
                }
            }
        }
    }
}

fn overview(v: &SearchView) -> Markup {
    let nothing = v.searched.counts.iter().all(|(_, n)| *n == 0) && v.due.is_empty() && v.changes.is_empty();
    html! {
        @if nothing {
            div #empty class="empty" {
                b { "Nothing has been told yet." }
                span { "No record has arrived from a topic that has a mapping. Send some with "
                    code { "waybill load" } ", or start with " code { "waybill demo" } "." }
            }
        } @else { (figures(&v.figures)) }
        div #cols class="cols" data-group {
            div #left data-group {
                @if !v.due.is_empty() { (due_section(v)) }
                @else if !nothing {
                    section #due class="sec" { header { h2 { "Open orders" } } p class="hint pad" { "No order is open." } }
                }
            }
            div #right data-group { @if !nothing { (changes(v)) } (sources(v)) }
        }
    }
}

fn figures(f: &Figures) -> Markup {
    let plain = |n: Option<u64>| html! { span class="big" { (figure(n)) } };
    let toned = |n: Option<u64>, tone: Tone| match n {
        Some(n) if n > 0 => html! { span class="big" { (status(tone, &figure(Some(n)))) } },
        n => plain(n),
    };
    html! {
        dl #figures class="facts" {
            div { dt { "Open orders" } dd { (plain(f.open)) small { "not delivered, not cancelled" } } }
            div { dt { "Past promise" } dd { (toned(f.past_promise, Tone::Late)) small { "no delivery known" } } }
            div { dt { "Expected after promise" } dd { (toned(f.expected_late, Tone::Risk)) small { "by the newest estimate" } } }
            div { dt { "Delivered" } dd { (plain(f.delivered)) small { "so far" } } }
            div { dt { "In quarantine" } dd { (plain(f.quarantined)) small { "records that could not be read" } } }
        }
    }
}

fn figure(n: Option<u64>) -> String {
    n.map_or_else(|| "not known".to_owned(), |n| grouped(i64::try_from(n).unwrap_or(i64::MAX)))
}

fn due_section(v: &SearchView) -> Markup {
    let more = v.due_total.max(v.due.len() as u64);
    html! {
        section #due class="sec" {
            header {
                h2 { "Open orders" }
                span class="hint" { (count(i64::try_from(more).unwrap_or(i64::MAX), "order")) ", least slack first" }
            }
            (slack::due_table(&v.due, MAX_ROWS, v.frame.now))
        }
    }
}

fn changes(v: &SearchView) -> Markup {
    let near = v.frame.now.day();
    html! {
        section #changes class="sec" {
            header {
                h2 { "Changed" }
                @if let Some(s) = v.changes_since { span class="hint" { "since " (moment(s)) } }
            }
            @if v.changes.is_empty() { p class="hint pad" { "Nothing changed." } }
            @for c in v.changes.iter().take(MAX_ROWS) { (change(c, near)) }
        }
    }
}

fn change(c: &Change, near: Day) -> Markup {
    let today = c.record_time.day() == near;
    html! {
        div class="chg" {
            time datetime=(c.record_time.rfc3339()) title=(moment(c.record_time)) {
                @if today { (c.record_time.clock()) } @else { (c.record_time.day().near(near)) }
            }
            span {
                a href=(subject_href(&c.subject.id)) { b { (t(&c.subject.id)) } }
                " " (t(&c.what)) " "
                @if let Some(o) = &c.old { del { span class="vh" { "was " } (t(o)) } " " }
                @match &c.new { Some(n) => b { (t(n)) }, None => b { "none" } }
                span class="e" { (evidence(&c.evidence)) }
            }
        }
    }
}

fn sources(v: &SearchView) -> Markup {
    let rows = &v.frame.freshness.sources;
    html! {
        section #sources class="sec" {
            header { h2 { "Sources" } span class="hint" { "last heard" } }
            @if rows.is_empty() { p class="hint pad" { "No source yet." } }
            @else {
                div class="scroll" { table {
                    caption class="vh" { "Sources and when they were last heard" }
                    thead class="vh" { tr { th scope="col" { "Source" } th scope="col" { "Last heard" } th scope="col" { "Behind" } } }
                    tbody { @for s in rows { (source(s, v.frame.now)) } }
                } }
            }
        }
    }
}

fn source(s: &SourceRow, now: Stamp) -> Markup {
    let tone = match (s.last_record_time, s.silent, s.behind) {
        (None, _, _) | (_, true, _) => Tone::Idle,
        (_, _, Some(n)) if n > 1000 => Tone::Risk,
        _ => Tone::Ok,
    };
    html! {
        tr {
            td { (live(tone, &t(&s.topic))) }
            td class="n" {
                @match s.last_record_time {
                    Some(at) => time datetime=(at.rfc3339()) title=(moment(at)) { (span(now.since(at))) " ago" },
                    None => "never",
                }
            }
            td class="n" {
                @if s.silent { "silent" } @else {
                    @match s.behind {
                        Some(n) => { (grouped(i64::try_from(n).unwrap_or(i64::MAX))) " behind" },
                        None => "not known",
                    }
                }
            }
        }
    }
}

fn results(v: &SearchView, query: &str) -> Markup {
    if v.results.is_empty() {
        return html! {
            section #results class="sec" {
                header { h2 { "Nothing found" } }
                (not_found::searched(&v.searched, &format!("No order, shipment or unit is called “{}”.", t(query))))
            }
        };
    }
    let n = v.results.len() as i64;
    html! {
        section #results class="sec" {
            header {
                h2 { "Found" }
                span class="hint" { @if v.more { "the first " } (count(n, "match")) ", best first" }
            }
            div class="scroll" data-list { table class="stack" {
                caption class="vh" { "Matches, best first" }
                thead { tr {
                    th scope="col" { "Id" } th scope="col" { "Kind" } th scope="col" { "State" }
                    th scope="col" { "Promise" } th scope="col" { "Delivered" } th scope="col" { "Matched" }
                } }
                tbody { @for h in &v.results { (hit(h)) } }
            } }
            @if v.more { p class="hint pad" { "More match. Add a word or more of the reference." } }
        }
    }
}

fn hit(h: &Hit) -> Markup {
    html! {
        tr class="row" data-key=(t(&h.subject.id)) {
            td { a href=(subject_href(&h.subject.id)) data-open { b { (t(&h.subject.id)) } } }
            td { (t(&h.subject.kind)) }
            td { @match h.days_late {
                Some(n) => { @let l = lateness(n); (status(l.tone, &l.words)) },
                None => (capital(state_words(h.state))),
            } }
            td class="nw" data-l="promise" { @match h.promised { Some(d) => (day(d)), None => "none" } }
            td class="nw" data-l="delivered" { @match h.delivered { Some(d) => (day(d)), None => "not yet" } }
            td class="hint" data-l="matched" { (t(&h.matched)) }
        }
    }
}
