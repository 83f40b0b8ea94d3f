//! `waybill track`: where it is, what changed, promise against estimate.

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use crate::output::{Format, json, line};

/// What `waybill track` takes.
#[derive(Debug, Args)]
pub(crate) struct TrackArgs {
    /// An order, shipment, container or anything else that events name.
    id: String,

    /// As it was known then: a day, an instant, or a frontier or checkpoint of an earlier answer.
    #[arg(long, value_name = "TIME")]
    as_of: Option<String>,

    /// As it was then, as known at --as-of.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// The visibility service.
    #[arg(long, env = "WAYBILL_VISIBILITY", value_name = "URL", default_value = "http://127.0.0.1:8090")]
    url: String,
}

/// Asks and prints.
///
/// # Errors
/// When the service does not answer, or does not know the id.
pub(crate) fn run(args: &TrackArgs, format: Format) -> anyhow::Result<()> {
    let answer = ask(args)?;
    match format {
        Format::Json => json(&answer),
        Format::Text => print(&answer),
    }
}

fn ask(args: &TrackArgs) -> anyhow::Result<Value> {
    let url = format!("{}/v1/track/{}", args.url.trim_end_matches('/'), escape(&args.id));
    let mut request = ureq::get(&url).config().http_status_as_error(false).build();
    for (name, value) in [("as_of", &args.as_of), ("at", &args.at)] {
        if let Some(value) = value {
            request = request.query(name, value);
        }
    }
    let mut response = request
        .call()
        .with_context(|| format!("the visibility service at {} does not answer; mend --url", args.url))?;
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string()?;
    let body: Value = serde_json::from_str(&text)
        .with_context(|| format!("{url} answered {status} with something that is not JSON"))?;
    if status == 200 {
        return Ok(body);
    }
    let said = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let parts = [said("title"), said("detail"), said("hint")];
    let told: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
    bail!("{} ({status})", told.join("; "))
}

/// Percent-encodes what may not stand in a path.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn print(answer: &Value) -> anyhow::Result<()> {
    let text = |name: &str| match answer.get(name) {
        None | Some(Value::Null) => "not known".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(place)) => place
            .get("name")
            .or_else(|| place.get("id"))
            .and_then(Value::as_str)
            .unwrap_or("not known")
            .to_owned(),
        Some(other) => other.to_string(),
    };
    line(format_args!("{} {}", text("kind"), text("id")))?;
    for name in ["state", "location", "promised", "estimated", "delivered", "days_late"] {
        line(format_args!("  {:<10} {}", name.replace('_', " "), text(name)))?;
    }
    let settled = if answer.get("final") == Some(&Value::Bool(true)) { "" } else { ", may still change" };
    line(format_args!("  {:<10} {}{settled}", "as of", text("as_of")))?;
    if answer.get("stale") == Some(&Value::Bool(true)) {
        line("  old: the service has not read to the end of the log for more than a minute")?;
    }
    let history = answer.get("history").and_then(Value::as_array);
    for row in history.into_iter().flatten() {
        let cell = |name: &str| row.get(name).map(plain).unwrap_or_default();
        line(format_args!(
            "  told {}  happened {}  {}  ({} {}/{} @ {})",
            cell("record_time"),
            cell("event_time"),
            cell("what"),
            cell("source"),
            cell("topic"),
            cell("partition"),
            cell("offset")
        ))?;
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_slashes_and_colons_stay_one_segment() {
        assert_eq!(escape("urn:epc:id:sgtin:4/5 6"), "urn%3Aepc%3Aid%3Asgtin%3A4%2F5%206");
    }
}
