//! Rebuild: may the new view take the place of the one that answers? `/rebuild`.

use crate::model::{Frame, Notice, Subject};
use crate::parts::facts::capital;
use crate::parts::frame::{self, Page, Place};
use crate::parts::marks::{Tone, status};
use crate::parts::notice::notice;
use crate::parts::text::{cut, encode, subject_href, t};
use crate::parts::times::moment;
use crate::time::{Stamp, count, grouped, span};
use maud::{Markup, html};

/// Answers that differ shown at most; the rest can be downloaded.
const MAX_ROWS: usize = 60;

/// Everything the Rebuild page shows.
#[derive(Clone, Debug)]
pub struct RebuildView {
    /// Freshness and clock.
    pub frame: Frame,
    /// What a form just did, or why it did not.
    pub notice: Option<Notice>,
    /// The view that answers.
    pub blue: Lane,
    /// The view that is built beside it.
    pub green: Option<Green>,
    /// Another one that is built: the shadow beside a rebuild.
    pub others: Vec<Lane>,
    /// The view that answered before and can again.
    pub kept: Option<Lane>,
    /// What was decided, newest first.
    pub earlier: Vec<Decided>,
    /// Names of checkpoints, newest first.
    pub checkpoints: Vec<String>,
}

/// A view on the axis of offsets.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Its number.
    pub number: u32,
    /// What read which topic: `TOPIC NAME@VERSION`.
    pub mappings: Vec<String>,
    /// Offsets, of all partitions, that it kept of another.
    pub kept: i64,
    /// Offsets, of all partitions, that it has read.
    pub next: i64,
    /// Its log hash, when it was compared.
    pub hash: Option<String>,
    /// It runs beside the one that answers without an end.
    pub shadow: bool,
}

/// The view that is built.
#[derive(Clone, Debug)]
pub struct Green {
    /// Where it stands.
    pub lane: Lane,
    /// From where it is built.
    pub from: String,
    /// When that was asked for.
    pub started: Stamp,
    /// By whom.
    pub started_by: String,
    /// It copies what it keeps.
    pub keeping: bool,
    /// Records read since.
    pub taken: u64,
    /// Records a second.
    pub rate: u64,
    /// Seconds until the end of the log.
    pub seconds_left: Option<u64>,
    /// Records not read yet.
    pub behind: u64,
    /// Milliseconds for which it has been at the end of the log.
    pub held_ms: Option<u64>,
    /// Records a second at most.
    pub throttle: Option<u32>,
    /// What must hold before it may answer: whether it does, in words.
    pub gates: Vec<(bool, String)>,
    /// What differs.
    pub compared: Option<Compared>,
}

/// What a comparison found.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Counts: of what, in the view that answers, in the new one, why they differ.
    pub counts: Vec<(String, u64, u64, String)>,
    /// Orders there are.
    pub orders: u64,
    /// Subjects whose answers differ.
    pub differ: u64,
    /// Records without a reason.
    pub unexplained: u64,
    /// Records that make a difference, by reason.
    pub reasons: Vec<(String, u64)>,
    /// The first record that makes one: where, and why.
    pub first: Option<(String, String)>,
    /// Answers that differ.
    pub answers: Vec<Differs>,
}

/// An answer that differs in one field.
#[derive(Clone, Debug)]
pub struct Differs {
    /// Of what.
    pub subject: Subject,
    /// Which field.
    pub field: String,
    /// What the view that answers says.
    pub blue: Option<String>,
    /// What the new one says.
    pub green: Option<String>,
    /// Why; empty when nothing explains it.
    pub because: String,
}

/// A decision about a view.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Which view.
    pub number: u32,
    /// What: `promote`, `reject`, …
    pub what: String,
    /// When.
    pub at: Stamp,
    /// By whom.
    pub who: String,
    /// Why.
    pub note: String,
    /// What the view is now.
    pub now: String,
}

/// The whole page.
pub fn document(v: &RebuildView) -> String {
    frame::document(&page(v))
}

/// What a script swaps in.
pub fn fragment(v: &RebuildView) -> String {
    frame::fragment(&page(v))
}

fn page(v: &RebuildView) -> Page<'_> {
    let main = html! {
        main #main class="page" data-page="rebuild" {
            (head(v))
            @if let Some(n) = &v.notice { (notice(n)) }
            @if let Some(green) = &v.green {
                (steps(green))
                (lanes(v, green))
            }
            div #cols class="cols" data-group {
                div #left data-group {
                    @match v.green.as_ref() {
                        Some(green) => (compared(green)),
                        None => (begin(v)),
                    }
                }
                div #right data-group {
                    @if let Some(green) = &v.green { (gates(green)) }
                    (back(v))
                    (earlier(v))
                }
            }
            p #hints class="keys" {
                span { kbd { "j" } " " kbd { "k" } " move" }
                span { kbd { "Enter" } " both answers side by side" }
                span { kbd { "Shift" } " " kbd { "P" } " to promote" }
                span { kbd { "Shift" } " " kbd { "R" } " to reject" }
            }
        }
    };
    Page { frame: &v.frame, place: Place::Rebuild, title: "Rebuild", main }
}

fn head(v: &RebuildView) -> Markup {
    let sub = match &v.green {
        Some(green) if green.lane.shadow => {
            format!("view v{}, shadow of v{}", green.lane.number, v.blue.number)
        }
        Some(green) => format!("view v{}, beside v{}", green.lane.number, v.blue.number),
        None => format!("v{} answers", v.blue.number),
    };
    html! {
        div #head class="head" {
            div {
                h1 { "Rebuild" span class="sub" { (sub) } }
                p class="lede" { "A view is built from the log beside the one that answers. Readers stay on that one until
                    the new one is promoted; nothing is sent while it replays." }
            }
            @if let Some(green) = &v.green {
                div class="acts" {
                    form method="post" action={ "/rebuild/" (green.lane.number) "/throttle" } {
                        @if green.throttle.is_some() {
                            button class="btn" name="rate" value="0" { "Half the time" }
                        } @else {
                            button class="btn" name="rate" value="1000" { "Slow down" }
                        }
                    }
                    form method="post" action={ "/rebuild/" (green.lane.number) "/reject" } {
                        button class="btn warn" data-to="R" { "Reject v" (green.lane.number) }
                    }
                    form method="post" action={ "/rebuild/" (green.lane.number) "/promote" } {
                        button class="btn pri" data-to="P" disabled[!may(green)] aria-describedby="gates" {
                            "Promote v" (green.lane.number)
                        }
                    }
                }
            }
        }
    }
}

fn may(green: &Green) -> bool {
    !green.keeping && green.compared.is_some() && green.gates.iter().all(|(holds, _)| *holds)
}

fn steps(green: &Green) -> Markup {
    let caught_up = green.held_ms.is_some();
    let read = format!(
        "{} in this run, {} a second",
        count(signed(green.taken), "record"),
        grouped(signed(green.rate))
    );
    let reading = match (green.keeping, caught_up, green.seconds_left) {
        (true, _, _) => "copying what is kept".to_owned(),
        (_, true, _) => read,
        (_, _, Some(left)) => format!("{read}; {} left", span(signed(left).saturating_mul(1_000))),
        _ => read,
    };
    let held = match green.held_ms {
        Some(ms) => format!("at the end of the log for {}", span(signed(ms))),
        None => format!("{} behind", count(signed(green.behind), "record")),
    };
    let found = match &green.compared {
        Some(c) if c.unexplained > 0 => {
            format!("{} without a reason", count(signed(c.unexplained), "record"))
        }
        Some(c) if c.differ == 0 => "no answer differs".to_owned(),
        Some(c) => format!("{} differ, all explained", count(signed(c.differ), "answer")),
        None => "follows".to_owned(),
    };
    let class = |done: bool| if done { "d" } else { "" };
    html! {
        ol #steps class="steps" {
            li class="d" { b { "Started" } time datetime=(green.started.rfc3339()) { (moment(green.started)) }
                @if !green.started_by.is_empty() { " by " (t(&green.started_by)) } ", from " code { (cut(&green.from, 60)) } }
            li class=(class(caught_up)) { b { "Replayed" } (reading)
                @if let Some(rate) = green.throttle { ", at most " (grouped(i64::from(rate))) } }
            li class=(class(caught_up)) { b { "Caught up" } (held) }
            li class=(class(green.compared.is_some())) { b { "Compared" } (found) }
            li { b { "Promote" } @if may(green) { "waits for you" } @else { "not yet" } }
        }
    }
}

fn lanes(v: &RebuildView, green: &Green) -> Markup {
    let end = v.blue.next.max(green.lane.next.saturating_add(signed(green.behind))).max(1);
    html! {
        div #lanes class="lanes" {
            (lane("Blue", "answers", &v.blue, end, html! { span style="left:8px" { "answers every reader" } }))
            (lane("Green", if green.lane.shadow { "shadow" } else { "new" }, &green.lane, end, html! {
                @if green.lane.kept > 0 { span style="left:8px" { "kept" } }
            }))
            @for other in &v.others { (lane("Beside", if other.shadow { "shadow" } else { "new" }, other, end, html! {})) }
        }
    }
}

fn lane(name: &str, what: &str, lane: &Lane, end: i64, words: Markup) -> Markup {
    let at = |offset: i64| (offset.clamp(0, end) as f64 / end as f64 * 1_000.0).round() / 10.0;
    let (kept, next) = (at(lane.kept), at(lane.next));
    let new = name != "Blue";
    let from = if new { kept } else { 0.0 };
    let says =
        format!("read up to {} of {} offsets, {} kept", grouped(lane.next), grouped(end), grouped(lane.kept));
    html! {
        div class="lane2" {
            div { b { (name) ", v" (lane.number) } span class="m" {
                (what) @for m in lane.mappings.iter().take(3) { ", " (cut(m, 40)) } @if lane.mappings.len() > 3 { ", …" }
            } }
            div class="t" role="img" aria-label=(says) {
                @if new && kept > 0.0 { i style={ "left:0;width:" (kept) "%" } {} }
                i class=[new.then_some("g2")] style={ "left:" (from) "%;width:" (next - from) "%" } {}
                u style={ "left:" (next) "%" } {}
                (words)
            }
            div class="n" {
                @match &lane.hash { Some(hash) => code title=(t(hash)) { (cut(hash, 12)) }, None => span class="hint" { "not compared" } }
                span class="m" { "log hash, offset " (grouped(lane.next)) }
            }
        }
    }
}

fn compared(green: &Green) -> Markup {
    let Some(c) = &green.compared else {
        return html! {
            section #changes class="sec" { header { h2 { "What would change" } }
                p class="hint pad" { "Compared as soon as the new view has caught up." } }
        };
    };
    html! {
        section #changes class="sec" {
            header { h2 { "What would change" } }
            div class="scroll" { table {
                thead { tr { th scope="col" { "Count" } th scope="col" class="n" { "Blue" } th scope="col" class="n" { "Green" }
                    th scope="col" class="n" { "Difference" } th scope="col" { "Reason" } } }
                tbody { @for (what, blue, green, why) in &c.counts {
                    @let by = signed(*green) - signed(*blue);
                    tr { td class="nw" { (capital(&t(what))) } td class="n" { (grouped(signed(*blue))) } td class="n" { (grouped(signed(*green))) }
                        td class="n" { @if by == 0 { "0" } @else { b { @if by > 0 { "+" } @else { "−" } (grouped(by.abs())) } } }
                        td class="hint" { (t(why)) } }
                } }
            } }
        }
        @if !c.reasons.is_empty() {
            section #why class="sec" {
                header { h2 { "Records that make the difference" } }
                ul { @for (name, n) in &c.reasons { li class="pad" { b { (grouped(signed(*n))) } " " (t(name)) } } }
                @if let Some((place, why)) = &c.first { p class="hint" { "The first: " code { (t(place)) } ", " (t(why)) } }
            }
        }
        section #differ class="sec" {
            header { h2 { "Answers that differ" }
                span class="hint" { (grouped(signed(c.differ))) " of what depends on them, " (grouped(signed(c.orders))) " orders in all" }
                span class="sp" {}
                a class="hint" href={ "/v1/views/" (green.lane.number) "/compare" } { "Download all" } }
            @if c.answers.is_empty() { p class="hint pad" { "Every answer is the same." } }
            @else { (answers(green, c)) }
        }
    }
}

fn answers(green: &Green, c: &Compared) -> Markup {
    html! {
        div class="scroll" data-list { table class="stack" {
            thead { tr { th scope="col" { "Subject" } th scope="col" { "Answer" } th scope="col" { "Blue says" }
                th scope="col" { "Green says" } th scope="col" { "Because" } } }
            tbody { @for d in c.answers.iter().take(MAX_ROWS) {
                tr class="row" data-key={ (t(&d.subject.id)) " " (t(&d.field)) } {
                    td { a data-open href=(subject_href(&d.subject.id)) { b { (t(&d.subject.id)) } } span class="m" { (t(&d.subject.kind)) } }
                    td class="nw" data-l="answer" { (t(&d.field)) }
                    td data-l="blue says" { (d.blue.as_deref().map_or_else(|| "nothing".to_owned(), t)) }
                    td data-l="green says" { a href=(side_href(green.lane.number, &d.subject.id)) {
                        b { (d.green.as_deref().map_or_else(|| "nothing".to_owned(), t)) } } }
                    td class="hint" data-l="because" { @if d.because.is_empty() { (status(Tone::Late, "no reason found")) } @else { (t(&d.because)) } }
                }
            } }
        } }
        @if c.answers.len() > MAX_ROWS { p class="hint pad" { "The first " (MAX_ROWS) " are shown." } }
    }
}

/// What the new view says of a subject; ids too long for a path lead to the page itself.
fn side_href(view: u32, id: &str) -> String {
    if id.is_empty() || id.len() > 512 {
        return "/rebuild".to_owned();
    }
    format!("/v1/views/{view}/track/{}", encode(id))
}

fn gates(green: &Green) -> Markup {
    html! {
        section #gates class="sec" {
            header { h2 { "May it be promoted?" } }
            ul { @for (holds, what) in &green.gates {
                li class="pad" { (status(if *holds { Tone::Ok } else { Tone::Late }, if *holds { "yes" } else { "no" })) " " (t(what)) }
            } }
        }
    }
}

fn back(v: &RebuildView) -> Markup {
    html! {
        section #back class="sec" {
            header { h2 { "Going back" } span class="hint" { "after promotion" } }
            p class="hint pad" { "The view that answered before stays for 7 days and keeps up with the log. Going back is one
                switch and takes no rebuild." }
            @match &v.kept {
                Some(kept) => form method="post" action={ "/rebuild/" (kept.number) "/rollback" } {
                    button class="btn" { "Roll back to v" (kept.number) } },
                None => p { button class="btn" type="button" disabled { "Nothing to roll back to" } },
            }
        }
    }
}

fn earlier(v: &RebuildView) -> Markup {
    html! {
        section #earlier class="sec" {
            header { h2 { "Decided" } }
            @if v.earlier.is_empty() { p class="hint pad" { "Nothing was decided yet." } }
            @else { ul { @for d in v.earlier.iter().take(20) {
                li class="pad" { b { "v" (d.number) } " " (t(&d.what)) ", " time datetime=(d.at.rfc3339()) { (moment(d.at)) }
                    @if !d.who.is_empty() { " by " (t(&d.who)) } @if !d.note.is_empty() { ": " (t(&d.note)) }
                    span class="m" { (t(&d.now)) } }
            } } }
        }
    }
}

/// Nothing is built: how to begin.
fn begin(v: &RebuildView) -> Markup {
    html! {
        section #begin class="sec" {
            header { h2 { "Build a view" } }
            div class="empty" { b { "No view is being built." }
                span { "Build one to undo a bad mapping, or to see what a new one would change." } }
            form class="form" method="post" action="/rebuild" {
                label for="from" { "From" }
                input #from name="from" value="start" list="places" autocomplete="off" aria-describedby="from-help";
                datalist #places { option value="start" {} @for name in v.checkpoints.iter().take(50) { option value={ "checkpoint:" (t(name)) } {} } }
                p #from-help class="hint" { "start, an offset, TOPIC/PARTITION:OFFSET, a time, checkpoint:NAME or mapping:NAME@VERSION.
                    What lies below is kept as it was read." }
                label for="mappings" { "Other mappings" }
                input #mappings name="mappings" placeholder="orders=orders@6" autocomplete="off";
                label for="note" { "Why, goes to the audit log" }
                input #note name="note" autocomplete="off";
                p class="acts" { button class="btn pri" { "Build it" } button class="btn" name="shadow" value="true" { "Run as a shadow" } }
            }
            @if v.checkpoints.is_empty() { p class="hint pad" { "No checkpoint yet: " code { "waybill view checkpoint NAME" } " keeps where the view stands." } }
        }
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
