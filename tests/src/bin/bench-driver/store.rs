//! An object store for a benchmark: in this process with the latency of a bucket far away, or SeaweedFS on this machine.

use std::io::{self, Read, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use waybill_tests::{LocalS3, Seaweed};

use crate::Settings;

/// Prints the variables that a client needs as a JSON line, then serves until the input ends. `kind=seaweed` is SeaweedFS;
/// else `p50=` and `p99=` give the log-normal latency of each request, in milliseconds.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    if settings.get::<String>("kind")?.as_deref() == Some("seaweed") {
        let seaweed =
            Seaweed::start()?.context("SeaweedFS is not installed: name its program in WAYBILL_WEED")?;
        return serve(&seaweed.variables("waybill-secret"));
    }
    let s3 = LocalS3::start("waybill")?;
    if let (Some(median), Some(p99)) = (settings.get("p50")?, settings.get("p99")?) {
        s3.be_like(Duration::from_millis(median), Duration::from_millis(p99));
    }
    serve(&s3.variables("waybill"))
}

fn serve(variables: &[(&str, String)]) -> Result<()> {
    let fields: serde_json::Map<_, _> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let mut out = io::stdout();
    writeln!(out, "{}", serde_json::Value::Object(fields))?;
    out.flush()?;
    io::stdin().read_to_end(&mut Vec::new()).map(drop).context("the input")
}
