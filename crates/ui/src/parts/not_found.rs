//! Nothing found: what was looked in, up to when, and what might have been meant.

use super::text::{subject_href, t};
use super::times::moment_exact;
use crate::model::Searched;
use crate::time::grouped;
use maud::{Markup, html};

/// The message, then where it was looked.
pub(crate) fn searched(s: &Searched, message: &str) -> Markup {
    let counts: Vec<String> = s
        .counts
        .iter()
        .map(|(noun, n)| format!("{} {}", grouped(i64::try_from(*n).unwrap_or(i64::MAX)), t(noun)))
        .collect();
    html! {
        div class="empty" {
            b { (message) }
            span {
                @if counts.is_empty() { "Nothing has been told yet. " } @else { "Looked in " (counts.join(", ")) }
                @if !counts.is_empty() {
                    @match s.up_to { Some(at) => { ", told up to " (moment_exact(at)) ". " }, None => ". " }
                }
                @if s.quarantined == 1 { "1 record in quarantine mentions it." }
                @else if s.quarantined > 1 { (grouped(i64::try_from(s.quarantined).unwrap_or(i64::MAX))) " records in quarantine mention it." }
            }
            @if !s.near.is_empty() {
                p {
                    "Did you mean "
                    @for (i, n) in s.near.iter().take(5).enumerate() {
                        @if i > 0 { ", " }
                        a href=(subject_href(&n.id)) { (t(&n.id)) }
                    }
                    "?"
                }
            }
        }
    }
}
