//! `kafka-version.toml`: what "Kafka" means.

use anyhow::{Context, Result};

use crate::paths;

/// The Kafka version whose messages are spoken.
pub(crate) fn protocol_version() -> Result<String> {
    let path = paths::workspace()?.join("kafka-version.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let table: toml::Table = text.parse().with_context(|| format!("parsing {}", path.display()))?;
    let version =
        table.get("protocol").and_then(|section| section.get("version")).and_then(toml::Value::as_str);
    version.map(str::to_owned).with_context(|| format!("{} has no protocol.version", path.display()))
}
