//! Foreign text on a page: cleaned, cut to a length, and links that can not leave the host.
//!
//! Escaping is maud's work. This module removes what escaping does not: control characters, characters that
//! turn the reading direction around, and strings without an end.

/// Longest foreign string a page shows, in characters.
pub(crate) const MAX_CHARS: usize = 160;

/// Longest id, in bytes, that an address carries.
const MAX_PATH_ID: usize = 512;

/// Text as a page may show it: controls and direction overrides become U+FFFD, and what is longer than
/// [`MAX_CHARS`] ends in an ellipsis.
pub(crate) fn t(s: &str) -> String {
    let mut out = String::with_capacity(s.len().min(MAX_CHARS * 4));
    for (i, c) in s.chars().enumerate() {
        if i == MAX_CHARS {
            out.push('…');
            break;
        }
        out.push(if is_unsafe(c) { '\u{fffd}' } else { c });
    }
    out
}

/// Like [`t`], cut at `max` characters.
pub(crate) fn cut(s: &str, max: usize) -> String {
    let mut out: String = t(s);
    if let Some((i, _)) = out.char_indices().nth(max) {
        out.truncate(i);
        out.push('…');
    }
    out
}

pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The page of a subject, `/orders/{id}`. A browser folds `.` and `..` in a path even when they are
/// percent-encoded, an empty segment means another path, and addresses have an end: those ids lead to a search.
pub(crate) fn subject_href(id: &str) -> String {
    match id {
        "" | "." | ".." => format!("/?q={}", encode(id)),
        _ if id.len() > MAX_PATH_ID => format!("/?q={}", encode(&id.chars().take(40).collect::<String>())),
        _ => format!("/orders/{}", encode(id)),
    }
}

/// Percent-encodes everything but RFC 3986 unreserved characters.
pub(crate) fn encode(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for b in s.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// The link if it stays on this host: an absolute path. Anything else (`javascript:`, `//host`) is dropped.
pub(crate) fn local_href(href: &str) -> Option<&str> {
    let mut chars = href.chars();
    let path = chars.next() == Some('/') && !matches!(chars.next(), Some('/' | '\\'));
    (path && !href.chars().any(char::is_control)).then_some(href)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_cleaned_and_cut() {
        assert_eq!(t("a\u{202e}b\0c\n"), "a\u{fffd}b\u{fffd}c\u{fffd}");
        assert_eq!(t(&"é".repeat(500)).chars().count(), MAX_CHARS + 1);
        assert_eq!(cut("Lusaka", 3), "Lus…");
        assert_eq!(cut("Lus", 3), "Lus");
    }

    #[test]
    fn links_stay_on_the_host() {
        assert_eq!(subject_href("A/B c?é"), "/orders/A%2FB%20c%3F%C3%A9");
        assert_eq!(subject_href(".."), "/?q=..");
        assert_eq!(local_href("/v1/records/a/0/1"), Some("/v1/records/a/0/1"));
        for bad in [
            "javascript:alert(1)",
            "//evil.example/x",
            "/\\evil.example",
            "https://evil.example",
            "",
            "/a\nb",
        ] {
            assert_eq!(local_href(bad), None, "{bad:?}");
        }
    }
}
