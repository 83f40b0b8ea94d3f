//! Quarantine: why was it refused, and what becomes of it? `/quarantine`.

use crate::model::{Evidence, Frame, Notice};
use crate::parts::evidence::evidence;
use crate::parts::frame::{self, Page, Place};
use crate::parts::hex::{hex, text};
use crate::parts::marks::{Tone, glyph, status};
use crate::parts::notice::notice;
use crate::parts::text::{cut, encode, t};
use crate::parts::times::{moment, moment_exact};
use crate::time::{Day, Stamp, count, grouped};
use maud::{Markup, html};

/// Everything the Quarantine page shows.
#[derive(Clone, Debug)]
pub struct QuarantineView {
    /// Freshness and clock.
    pub frame: Frame,
    /// What a form just did, or why it did not.
    pub notice: Option<Notice>,
    /// In = projected + held + quarantined + repaired + discarded.
    pub sums: Sums,
    /// Every partition adds up.
    pub conserved: bool,
    /// Records are listed in this state; `None`: those that wait.
    pub state: Option<String>,
    /// Records, by fault: the fault, how many of it there are, and those shown.
    pub groups: Vec<Group>,
    /// More are there than shown.
    pub more: bool,
    /// The record looked at.
    pub detail: Option<Detail>,
}

/// Counts over all partitions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    /// Records read.
    pub taken: u64,
    /// Whose facts count.
    pub projected: u64,
    /// That wait behind a refused one.
    pub held: u64,
    /// Refused.
    pub quarantined: u64,
    /// Replaced by a repaired copy.
    pub repaired: u64,
    /// Given up.
    pub discarded: u64,
}

/// Records with one fault.
#[derive(Clone, Debug)]
pub struct Group {
    /// The fault and the topic, in words.
    pub fault: String,
    /// The records.
    pub rows: Vec<Row>,
}

/// A record in the list.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where it stands.
    pub evidence: Evidence,
    /// What is wrong with it.
    pub what: String,
    /// When it was told.
    pub told: Stamp,
    /// `refused`, `held`, `repairing`, `repaired` or `discarded`.
    pub state: String,
}

/// One record, whole.
#[derive(Clone, Debug)]
pub struct Detail {
    /// The record.
    pub row: Row,
    /// What refused it.
    pub mapping: String,
    /// Its key.
    pub key: Option<String>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its value; `None` where it has none.
    pub value: Option<Vec<u8>>,
    /// The byte of the value at which the fault stands, when it says so.
    pub fault_at: Option<usize>,
    /// Records that wait behind it.
    pub held: u64,
    /// Refused records of its topic with the same fault.
    pub alike: u64,
    /// The word of its fault, by which these are driven again.
    pub code: String,
    /// What was decided: when, who, what, why, what it did.
    pub decisions: Vec<(Stamp, String, String, String, String)>,
    /// The value that is being repaired, as it was sent and refused.
    pub draft: Option<String>,
    /// The value is shown as text.
    pub as_text: bool,
}

/// The whole page.
pub fn document(v: &QuarantineView) -> String {
    frame::document(&page(v))
}

/// What a script swaps in.
pub fn fragment(v: &QuarantineView) -> String {
    frame::fragment(&page(v))
}

fn page(v: &QuarantineView) -> Page<'_> {
    let nothing = v.groups.is_empty();
    let main = html! {
        main #main class="page" data-page="quarantine" {
            div #head class="head" {
                div { h1 { "Quarantine" }
                    p class="lede" { "Records that could not be read. They stop nothing; only later records of the same key wait, where a source is ordered." } }
                div class="acts" { a class="btn" href="/v1/quarantine?state=all&limit=10000" { "Export" } }
            }
            @if let Some(n) = &v.notice { (notice(n)) }
            (equation(v))
            (states(v))
            @if nothing && v.detail.is_none() { (empty(v)) }
            @else {
                div #split class="split" {
                    div class="l" data-list { (list(v)) }
                    div class="r" { @match &v.detail {
                        Some(d) => (detail(d)),
                        None => p class="hint pad" { "Choose a record to see what is wrong with it." },
                    } }
                }
            }
            p #hints class="keys" {
                span { kbd { "j" } " " kbd { "k" } " move" } span { kbd { "Enter" } " open" } span { kbd { "r" } " to redrive" }
                span { kbd { "x" } " to discard" } span { kbd { "b" } " hex or text" }
            }
        }
    };
    Page { frame: &v.frame, place: Place::Quarantine, title: "Quarantine", main }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn equation(v: &QuarantineView) -> Markup {
    let s = &v.sums;
    let more = [
        (s.held, "held"),
        (s.quarantined, "quarantined"),
        (s.repaired, "repaired"),
        (s.discarded, "discarded"),
    ];
    html! {
        div #eq class="eq" role="group" aria-label="Conservation" {
            b { (grouped(signed(s.taken))) } " in " span { "=" } " " b { (grouped(signed(s.projected))) } " projected"
            @for (n, word) in more.iter().filter(|(n, word)| *n > 0 || *word == "quarantined") {
                " " span { "+" } " " b { (grouped(signed(*n))) } " " (word)
            }
            " " (if v.conserved { status(Tone::Ok, "nothing lost") } else { status(Tone::Late, "does not add up") })
            " " span class="hint" { "every partition, when this page was answered" }
        }
    }
}

fn states(v: &QuarantineView) -> Markup {
    let at = v.state.as_deref().unwrap_or_default();
    html! {
        nav #states class="seg" aria-label="Which records" {
            @for (state, words) in [("", "Waiting"), ("repaired", "Repaired"), ("discarded", "Discarded"), ("all", "All")] {
                a href={ "/quarantine" @if !state.is_empty() { "?state=" (state) } } aria-current=[(at == state).then_some("true")] { (words) }
            }
        }
    }
}

fn empty(v: &QuarantineView) -> Markup {
    html! {
        div #empty class="empty" {
            b { @if v.state.is_none() { "No record waits." } @else { "No such record." } }
            span { @if v.state.is_none() { "Every record that was read could be understood, or was decided about." }
                @else { "None is in that state." } }
        }
    }
}

fn path(at: &Evidence) -> String {
    format!("/quarantine/{}/{}/{}", encode(&at.topic), at.partition, at.offset)
}

fn list(v: &QuarantineView) -> Markup {
    let shown = v.detail.as_ref().map(|d| &d.row.evidence);
    html! {
        @for g in &v.groups {
            h2 class="grp" { (t(&g.fault)) ", " (count(g.rows.len() as i64, "record")) }
            ul { @for r in &g.rows { (line(r, shown == Some(&r.evidence), v.frame.now.day())) } }
        }
        @if v.more { p class="hint pad" { "More are there: " a href="/v1/quarantine?state=all&limit=10000" { "all of them" } "." } }
    }
}

fn line(r: &Row, shown: bool, near: Day) -> Markup {
    let symbol = match r.state.as_str() {
        "held" => "#g-hold",
        "repaired" => "#g-ok",
        _ => "#g-cor",
    };
    let today = r.told.day() == near;
    html! {
        li class="li row" data-key=(path(&r.evidence)) aria-current=[shown.then_some("true")] {
            span class=(if r.state == "refused" { "late" } else { "idle" }) { (glyph(symbol)) }
            a class="h" data-open href=(path(&r.evidence)) { (cut(&r.what, 110)) }
            span class="w" { time datetime=(r.told.rfc3339()) { @if today { (r.told.clock()) } @else { (r.told.day().near(near)) } } br; (t(&r.state)) }
            span class="d" { (evidence(&r.evidence)) }
        }
    }
}

fn detail(d: &Detail) -> Markup {
    let at = &d.row.evidence;
    html! {
        h2 class="big2" { (t(&d.row.what)) }
        dl class="kv" {
            dt { "Origin" } dd { (evidence(at)) " " span class="hint" { (moment_exact(d.row.told)) } }
            dt { "State" } dd { (t(&d.row.state)) }
            dt { "Read by" } dd { code { (t(&d.mapping)) } }
            @if let Some(key) = &d.key { dt { "Key" } dd { code { (t(key)) } } }
            @for (name, value) in d.headers.iter().take(12) { dt { (cut(name, 40)) } dd { code { (t(value)) } } }
            dt { "Held behind it" } dd { @if d.held == 0 { "nothing" } @else { (count(signed(d.held), "later record")) " of this key; other keys go on" } }
        }
        (bytes(d))
        (decide(d))
        @if !d.decisions.is_empty() {
            h3 { "Decided" }
            ul { @for (when, who, what, why, outcome) in &d.decisions {
                li class="pad" { time datetime=(when.rfc3339()) { (moment(*when)) } " " (t(who)) ": " b { (t(what)) } ", " (t(outcome))
                    @if !why.is_empty() { span class="m" { (t(why)) } } }
            } }
        }
    }
}

fn bytes(d: &Detail) -> Markup {
    let Some(value) = &d.value else {
        return html! { h3 { "Original bytes" } p class="hint" { "The record has no value." } };
    };
    let here = path(&d.row.evidence);
    html! {
        div class="sh" { h3 { "Original bytes" } span class="hint" { (count(value.len() as i64, "byte")) ", kept as received" } span class="sp" {}
            nav class="seg" aria-label="How the bytes are shown" {
                a href=(here) aria-current=[(!d.as_text).then_some("true")] data-to="b" { "Hex" }
                a href={ (here) "?bytes=text" } aria-current=[d.as_text.then_some("true")] data-to="b" { "Text" }
            } }
        @if d.as_text { (text(value, d.fault_at)) } @else { (hex(value, d.fault_at)) }
    }
}

fn decide(d: &Detail) -> Markup {
    let here = path(&d.row.evidence);
    let may = matches!(d.row.state.as_str(), "refused" | "discarded");
    let readable =
        d.value.as_deref().is_none_or(|value| std::str::from_utf8(value).is_ok() && value.len() <= 20_000);
    let original = d.value.as_deref().and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
    html! {
        div class="sh" { h3 { "Repair" } span class="hint" { "a new record; the original stays" } }
        @if !may {
            p class="hint" { @match d.row.state.as_str() {
                "repaired" => "A repaired copy was read in its place.",
                "repairing" => "A repaired copy is on its way.",
                _ => "It waits behind a refused record of its key; decide about that one.",
            } }
        } @else {
            @if readable {
                form class="form" method="post" action={ (here) "/repair" } {
                    label for="value" { "The value, as it should have been" }
                    textarea #value name="value" rows="8" spellcheck="false" { (raw(d.draft.as_deref().unwrap_or(original))) }
                    label for="why" { "Reason, goes to the audit log" }
                    input #why name="note" autocomplete="off";
                    p { button class="btn pri" { "Publish the repaired record" } }
                }
            } @else { p class="hint" { "It is no text that can be mended here: " code { "waybill quarantine repair" } " takes a file." } }
            div class="acts" {
                form method="post" action={ (here) "/redrive" } { button class="btn" data-to="r" { "Redrive this" } }
                @if d.alike > 1 {
                    form method="post" action={ (here) "/redrive-alike" } { button class="btn" { "Redrive all " (grouped(signed(d.alike))) " with this fault" } }
                }
                form method="post" action={ (here) "/discard" } { button class="btn warn" data-to="x" { "Discard" } }
            }
            p class="hint" { "Redriving maps the record again, with the mapping that its topic has now." }
        }
    }
}

/// Text for a field, whole: escaped by the template, and cleaned of what turns the reading direction around.
fn raw(value: &str) -> String {
    value
        .chars()
        .map(|c| if c == '\n' || c == '\t' || !crate::parts::text::is_unsafe(c) { c } else { '\u{fffd}' })
        .collect()
}
