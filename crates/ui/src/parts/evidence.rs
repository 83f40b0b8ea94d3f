//! Evidence: `topic/partition @ offset` in mono, the end of every fact.

use super::text::{cut, local_href, t};
use crate::model::Evidence;
use maud::{Markup, html};

/// The position; a link when the record can be read. Offsets are plain digits because they get pasted.
pub(crate) fn evidence(e: &Evidence) -> Markup {
    let text = html! {
        (cut(&e.topic, 48)) i { "/" } (e.partition) i { " @ " } (e.offset)
    };
    let title = format!("topic {}, partition {}, offset {}", t(&e.topic), e.partition, e.offset);
    match e.href.as_deref().and_then(local_href) {
        Some(href) => html! { a class="ev" href=(href) title={ "Open record: " (title) } { (text) } },
        None => html! { span class="ev" title=(title) { (text) } },
    }
}
