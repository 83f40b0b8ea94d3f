//! Bytes as they were received: in hexadecimal beside their letters, or as text; the faulty one marked.

use super::text::is_unsafe;
use maud::{Markup, html};

/// Bytes to a row.
const ROW: usize = 16;

/// Rows shown, at most.
const MAX_ROWS: usize = 64;

/// Letters of text shown, at most.
const MAX_TEXT: usize = 8_000;

/// The part of `value` that is shown: its beginning, or what stands around the fault.
fn window(value: &[u8], fault: Option<usize>, room: usize) -> (usize, &[u8]) {
    let around = fault.unwrap_or(0).saturating_sub(room / 2) / ROW * ROW;
    let from = if fault.is_some_and(|at| at >= room) { around.min(value.len()) } else { 0 };
    let upto = from.saturating_add(room).min(value.len());
    (from, value.get(from..upto).unwrap_or_default())
}

/// In hexadecimal.
pub(crate) fn hex(value: &[u8], fault: Option<usize>) -> Markup {
    let (from, shown) = window(value, fault, ROW * MAX_ROWS);
    let marked = |at: usize| fault == Some(at);
    html! {
        @if from > 0 { p class="hint" { "From byte " (from) " on." } }
        div class="hex" tabindex="0" role="region" aria-label="Bytes in hexadecimal" {
            div class="o" { @for (n, _) in shown.chunks(ROW).enumerate() { (format!("{:06x}\n", from + n * ROW)) } }
            div { @for (n, row) in shown.chunks(ROW).enumerate() {
                @for (i, byte) in row.iter().enumerate() {
                    @if i == 8 { " " }
                    @if i > 0 { " " }
                    @if marked(from + n * ROW + i) { mark { (format!("{byte:02x}")) } } @else { (format!("{byte:02x}")) }
                }
                "\n"
            } }
            div aria-hidden="true" { @for (n, row) in shown.chunks(ROW).enumerate() {
                @for (i, byte) in row.iter().enumerate() {
                    @let letter = if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '·' };
                    @if marked(from + n * ROW + i) { mark { (letter) } } @else { (letter) }
                }
                "\n"
            } }
        }
        @if from + shown.len() < value.len() { p class="hint" { (value.len() - from - shown.len()) " more bytes follow." } }
    }
}

/// As text, with what can not be shown replaced.
pub(crate) fn text(value: &[u8], fault: Option<usize>) -> Markup {
    let (from, shown) = window(value, fault, MAX_TEXT);
    let clean = |bytes: &[u8]| -> String {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.chars().map(|c| if c == '\n' || c == '\t' || !is_unsafe(c) { c } else { '\u{fffd}' }).collect()
    };
    let at = fault.and_then(|at| at.checked_sub(from)).filter(|at| *at < shown.len());
    html! {
        @if from > 0 { p class="hint" { "From byte " (from) " on." } }
        pre class="raw" tabindex="0" role="region" aria-label="Bytes as text" {
            @match at {
                Some(at) => {
                    (clean(shown.get(..at).unwrap_or_default()))
                    mark { (clean(shown.get(at..=at).unwrap_or_default())) }
                    (clean(shown.get(at + 1..).unwrap_or_default()))
                },
                None => (clean(shown)),
            }
        }
        @if from + shown.len() < value.len() { p class="hint" { (value.len() - from - shown.len()) " more bytes follow." } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faulty_byte_is_marked_wherever_it_stands() {
        let value: Vec<u8> = (0..100_000_u32).map(|n| u8::try_from(n % 251).unwrap_or(0)).collect();
        for at in [0, 7, 8, 1_023, 1_024, 50_000, 99_999] {
            let marked = format!("<mark>{:02x}</mark>", value.get(at).copied().unwrap_or(0));
            let shown = hex(&value, Some(at)).into_string();
            assert!(shown.contains(&marked), "{at}");
            assert!(shown.len() < 20_000, "{}", shown.len());
        }
        assert!(!hex(&value, Some(100_000)).into_string().contains("<mark>"));
        assert!(text(b"a\x00b<", Some(3)).into_string().contains("<mark>&lt;</mark>"));
    }
}
