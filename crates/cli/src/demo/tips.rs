//! What a person who has just started the demo can try.

use std::net::SocketAddr;
use std::path::PathBuf;

use waybill_types::TimestampMs;

use super::generator::Highlights;
use crate::output::line;

/// Where things are, and which order is worth a look.
pub(super) struct Tips {
    pub(super) bootstrap: String,
    pub(super) pages: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) highlights: Option<Highlights>,
    pub(super) folder: Option<PathBuf>,
}

impl Tips {
    /// Prints them.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        let Self { bootstrap, pages, http, highlights, folder } = self;
        line(format_args!(
            "Waybill is running.  Kafka {bootstrap}  pages http://{pages}  health http://{http}"
        ))?;
        match folder {
            Some(folder) => line(format_args!("Data is kept in {}.", folder.display()))?,
            None => line("Data lies in a temporary folder that goes when this ends.")?,
        }
        line("\nFive things to try:")?;
        let (order, before) = match highlights {
            Some(highlights) => (highlights.late_order.as_str(), instant(highlights.day_before)),
            None => ("ID", "YYYY-MM-DD".to_owned()),
        };
        let page = if highlights.is_some() { format!("/orders/{order}") } else { String::new() };
        line(format_args!("  1. the page of a late order      http://{pages}{page}"))?;
        let visibility = format!("--url http://{pages}");
        line(format_args!("  2. the same on the command line  waybill track {order} {visibility}"))?;
        let as_of = format!("--as-of {before}");
        line(format_args!("  3. what was known the day before waybill track {order} {as_of} {visibility}"))?;
        line(format_args!("  4. what needs a decision         curl http://{pages}/v1/exceptions"))?;
        let consumer = "kafka-console-consumer --from-beginning";
        line(format_args!(
            "  5. the events themselves         {consumer} --bootstrap-server {bootstrap} --topic orders"
        ))?;
        line("\nCtrl-C ends it.")
    }
}

/// An instant as the API takes it.
fn instant(at: TimestampMs) -> String {
    let time = chrono::DateTime::from_timestamp_millis(at.get()).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_told_in_utc_with_z() {
        assert_eq!(instant(TimestampMs(1_427_819_100_000)), "2015-03-31T16:25:00Z");
    }
}
