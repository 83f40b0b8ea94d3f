//! Status and fact marks: a shape, then a word, then a colour. One sprite per document, used by reference.

use crate::model::FactKind;
use maud::{Markup, PreEscaped, html};

/// How something stands; decides shape and colour together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Late,
    Risk,
    Ok,
    Idle,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Tone::Late => "late",
            Tone::Risk => "risk",
            Tone::Ok => "ok",
            Tone::Idle => "idle",
        }
    }

    fn symbol(self) -> &'static str {
        match self {
            Tone::Late => "#g-late",
            Tone::Risk => "#g-risk",
            Tone::Ok => "#g-ok",
            Tone::Idle => "#g-idle",
        }
    }
}

/// A mark by the name of its symbol.
pub(crate) fn glyph(symbol: &str) -> Markup {
    html! { svg class="g" aria-hidden="true" { use href=(symbol) {} } }
}

/// Mark, then word.
pub(crate) fn status(tone: Tone, words: &str) -> Markup {
    html! { span class={ "st " (tone.class()) } { (glyph(tone.symbol())) b { (words) } } }
}

/// Like [`status`] with a mark that says "heard from just now" instead of a check.
pub(crate) fn live(tone: Tone, words: &str) -> Markup {
    let symbol = if tone == Tone::Ok { "#g-live" } else { tone.symbol() };
    html! { span class={ "st " (tone.class()) } { (glyph(symbol)) b { (words) } } }
}

/// The mark and word of a kind of fact.
pub(crate) fn fact_kind(kind: FactKind) -> Markup {
    let (symbol, class, word) = match kind {
        FactKind::Planned => ("#g-pln", "", "planned"),
        FactKind::Estimated => ("#g-est", "est", "estimated"),
        FactKind::Actual => ("#g-act", "", "actual"),
        FactKind::Correction => ("#g-cor", "cor", "correction"),
        FactKind::Derived => ("#g-tmr", "tmr", "derived"),
    };
    html! { span class={ "cls " (class) } { (glyph(symbol)) (word) } }
}

/// The symbols that [`glyph`] refers to; once per document, outside of what is swapped.
pub(crate) fn sprite() -> Markup {
    PreEscaped(SPRITE.to_owned())
}

const SPRITE: &str = concat!(
    r#"<svg class="sprite" width="0" height="0" aria-hidden="true"><defs>"#,
    r#"<symbol id="g-late" viewBox="0 0 12 12"><path d="M6 .8 11.6 11H.4Z" fill="currentColor"/></symbol>"#,
    r#"<symbol id="g-risk" viewBox="0 0 12 12"><path d="M6 .9 11.1 6 6 11.1.9 6Z" fill="none" stroke="currentColor" stroke-width="1.6"/><path d="M6 .9V11.1L.9 6Z" fill="currentColor"/></symbol>"#,
    r#"<symbol id="g-ok" viewBox="0 0 12 12"><path d="m1.6 6.4 3 3.1 5.8-7" fill="none" stroke="currentColor" stroke-width="1.9"/></symbol>"#,
    r#"<symbol id="g-live" viewBox="0 0 12 12"><circle cx="6" cy="6" r="4.4" fill="currentColor"/></symbol>"#,
    r#"<symbol id="g-idle" viewBox="0 0 12 12"><circle cx="6" cy="6" r="4.6" fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="2.3 2"/></symbol>"#,
    r#"<symbol id="g-hold" viewBox="0 0 12 12"><path d="M3.5 1.5v9M8.5 1.5v9" stroke="currentColor" stroke-width="2.2"/></symbol>"#,
    r#"<symbol id="g-pln" viewBox="0 0 12 12"><rect x="1.8" y="1.8" width="8.4" height="8.4" fill="none" stroke="currentColor" stroke-width="1.7"/></symbol>"#,
    r#"<symbol id="g-est" viewBox="0 0 12 12"><circle cx="6" cy="6" r="4.3" fill="none" stroke="currentColor" stroke-width="1.7"/></symbol>"#,
    r#"<symbol id="g-act" viewBox="0 0 12 12"><circle cx="6" cy="6" r="5" fill="currentColor"/></symbol>"#,
    r#"<symbol id="g-cor" viewBox="0 0 12 12"><path d="M2 2l8 8M10 2l-8 8" stroke="currentColor" stroke-width="1.8"/></symbol>"#,
    r#"<symbol id="g-tmr" viewBox="0 0 12 12"><circle cx="6" cy="6" r="4.8" fill="none" stroke="currentColor" stroke-width="1.5"/><path d="M6 3v3.2l2 1.3" fill="none" stroke="currentColor" stroke-width="1.5"/></symbol>"#,
    r#"</defs></svg>"#,
);
