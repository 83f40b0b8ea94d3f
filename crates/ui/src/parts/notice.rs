//! What a form just did, or why it did not.

use super::text::t;
use crate::model::Notice;
use maud::{Markup, html};

/// Spoken by screen readers as soon as it is there.
pub(crate) fn notice(n: &Notice) -> Markup {
    html! {
        div #notice class={ "note wide " (if n.done { "ok" } else { "late" }) } role=(if n.done { "status" } else { "alert" }) {
            b { @if n.done { "Done. " } @else { "Not done. " } } (t(&n.what))
        }
    }
}
