//! What stands around every page: document head, rail, top bar with freshness, bottom bar, keys.

use super::marks::{glyph, sprite};
use super::text::t;
use crate::assets;
use crate::model::{Frame, Freshness};
use crate::time::span;
use maud::{DOCTYPE, Markup, html};

/// Which page is shown, for the rail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Search,
    Order,
    Quarantine,
    Rebuild,
    Neither,
}

/// A page: its frame data, its place, and its main element (with id `main`).
pub(crate) struct Page<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) place: Place,
    pub(crate) title: &'a str,
    pub(crate) main: Markup,
}

/// The whole document.
pub(crate) fn document(p: &Page<'_>) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (t(p.title)) " · Waybill" }
                link rel="icon" type="image/svg+xml" href=(assets::url("mark.svg"));
                script src=(assets::url("theme.js")) {}
                link rel="stylesheet" href=(assets::url("waybill.css"));
                script type="module" src=(assets::url("main.js")) {}
            }
            body {
                a class="skip" href="#main" { "Skip to content" }
                (sprite())
                div class="app" {
                    (rail(p))
                    div class="body" { (top(p)) (p.main) }
                }
                (tabbar(p.place))
                (keys(p.place))
            }
        }
    }
    .into_string()
}

/// What a script swaps in: the freshness and the main element.
pub(crate) fn fragment(p: &Page<'_>) -> String {
    html! { title { (t(p.title)) " · Waybill" } (fresh(&p.frame.freshness)) (clock(p.frame)) (p.main) }
        .into_string()
}

fn mark() -> Markup {
    html! {
        svg viewBox="0 0 20 20" aria-hidden="true" {
            path d="M3 2.5h14v15H3z" fill="none" stroke="currentColor" stroke-width="1.6" {}
            path d="M3 7h14M6.2 10.5h7.6M6.2 13.6h4.4" stroke="currentColor" stroke-width="1.6" fill="none" {}
        }
    }
}

fn rail(p: &Page<'_>) -> Markup {
    let current = |place| (p.place == place).then_some("page");
    html! {
        nav class="rail" aria-label="Main" {
            a class="mark" href="/" { (mark()) "Waybill" }
            p class="h" { "Control tower" }
            ul {
                li { a href="/" aria-current=[current(Place::Search)] { "Search" } }
                @if p.place == Place::Order { li { a href="" aria-current="page" { "Order" } } }
                li { a href="/quarantine" aria-current=[current(Place::Quarantine)] { "Quarantine" } }
                li { a href="/rebuild" aria-current=[current(Place::Rebuild)] { "Rebuild" } }
            }
            @if let Some(v) = &p.frame.viewer { p class="who" { b { (t(&v.name)) } (t(&v.sees)) } }
        }
    }
}

fn top(p: &Page<'_>) -> Markup {
    html! {
        header class="top" {
            @if p.place != Place::Search {
                form class="find" role="search" action="/" {
                    label class="vh" for="find" { "Search any reference" }
                    svg viewBox="0 0 14 14" aria-hidden="true" {
                        circle cx="6" cy="6" r="4.2" fill="none" stroke="currentColor" stroke-width="1.4" {}
                        path d="m9.2 9.2 3.6 3.6" stroke="currentColor" stroke-width="1.4" {}
                    }
                    input #find name="q" autocomplete="off" placeholder="Order, shipment, container, place";
                    kbd aria-hidden="true" { "/" }
                }
            }
            span class="sp" {}
            (fresh(&p.frame.freshness))
            (clock(p.frame))
            button class="btn sm theme js" type="button" { "Dark" }
        }
    }
}

fn clock(frame: &Frame) -> Markup {
    let now = frame.now;
    html! {
        time #clock class="clock" datetime=(now.rfc3339()) title="When this page was answered" {
            (now.day().long()) ", " (now.clock_seconds()) "Z"
        }
    }
}

/// Glyph, words, age; leads to the sources.
fn fresh(f: &Freshness) -> Markup {
    let heard = f.sources.iter().any(|s| s.last_record_time.is_some());
    let (symbol, tone, words, rest) = match f.lag_ms {
        _ if !heard => ("#g-idle", "idle", "Nothing heard yet".to_owned(), String::new()),
        None => ("#g-idle", "idle", "Pinned".to_owned(), ", the answer of a fixed position".to_owned()),
        Some(ms) if f.stale => (
            "#g-risk",
            "risk",
            format!("{} behind", span(i64::try_from(ms).unwrap_or(i64::MAX))),
            " the log".to_owned(),
        ),
        Some(0) => ("#g-live", "ok", "Live".to_owned(), ", at the end of the log".to_owned()),
        Some(ms) => (
            "#g-live",
            "ok",
            "Live".to_owned(),
            format!(", {} behind the log", span(i64::try_from(ms).unwrap_or(i64::MAX))),
        ),
    };
    html! {
        a #fresh class="fresh" href="/#sources" {
            span class=(tone) { (glyph(symbol)) }
            span { b { (words) } span class="long" { (rest) } }
        }
    }
}

fn tabbar(place: Place) -> Markup {
    html! {
        nav class="tabbar" aria-label="Main, bottom" {
            a href="/" aria-current=[(place == Place::Search).then_some("page")] { "Search" }
            @if place == Place::Order { a href="" aria-current="page" { "Order" } }
            a href="/quarantine" aria-current=[(place == Place::Quarantine).then_some("page")] { "Quarantine" }
            a href="/rebuild" aria-current=[(place == Place::Rebuild).then_some("page")] { "Rebuild" }
            button type="button" class="theme js" { "Dark" }
        }
    }
}

fn keys(place: Place) -> Markup {
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            dl class="kv" {
                dt { kbd { "/" } } dd { "search" }
                dt { kbd { "j" } " " kbd { "k" } } dd { "next, previous in the list" }
                dt { kbd { "Enter" } } dd { "open the link in focus" }
                dt { kbd { "o" } } dd { "open the selected subject" }
                @if place == Place::Order {
                    dt { kbd { "[" } " " kbd { "]" } } dd { "previous, next fact" }
                    dt { kbd { "Esc" } } dd { "back to now" }
                }
                @if place == Place::Quarantine {
                    dt { kbd { "r" } " " kbd { "x" } " " kbd { "b" } } dd { "to redrive, to discard, hex or text" }
                }
                @if place == Place::Rebuild {
                    dt { kbd { "Shift" } " " kbd { "P" } " " kbd { "R" } } dd { "to promote, to reject" }
                }
                dt { kbd { "g" } " then " kbd { "h" } " " kbd { "q" } " " kbd { "r" } } dd { "go to Search, Quarantine, Rebuild" }
                dt { kbd { "?" } } dd { "this list" }
            }
            p class="sw" { label { input #letters type="checkbox" checked; " Single-letter keys" } }
            form method="dialog" { button class="btn sm" { "Close" } }
        }
    }
}
