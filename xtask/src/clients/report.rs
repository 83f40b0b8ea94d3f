//! `docs/compatibility.md`: what was run, with versions, and what came of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use super::matrix::Line;
use super::programs::{SCENARIOS, TOOLS};
use super::{restarts, retention};
use crate::paths;

/// The page, relative to the workspace.
pub(crate) const PAGE: &str = "docs/compatibility.md";

const HEAD: &str = "# Which clients work\n\
    \n\
    Written by `cargo xtask conformance` from a run of each program in `tests/clients/` against one `waybill serve`;\n\
    `cargo xtask test` runs them all again and fails when this page says something else. `cargo xtask\n\
    conformance --target kafka` runs the same programs against Apache Kafka 4.4.0.\n\
    \n\
    yes: works as with Apache Kafka. **no**: does not. A dash: the library does not offer it;\n\
    ten-restarts is run with the Java client alone, out-of-range-retention with it and librdkafka.\n\
    @confluentinc/kafka-javascript is not run: its native part does not come with the package but from elsewhere.\n";

/// What each scenario shows, for a reader who does not want to open the programs.
const MEANING: [(&str, &str); 27] = [
    ("create-topic", "a topic with 3 partitions and replication factor 3"),
    ("codec-none", "1,000 records, acks=all, uncompressed, read back"),
    ("codec-gzip", "the same with gzip"),
    ("codec-snappy", "the same with snappy"),
    ("codec-lz4", "the same with lz4"),
    ("codec-zstd", "the same with zstd"),
    ("idempotent", "1,000 records of an idempotent producer: dense offsets, in order"),
    ("fidelity", "null and empty keys and values, binary values, repeated headers, timestamps"),
    ("group-consume", "a group member reads 1,000 records"),
    ("commit-resume", "a second member goes on where the first committed"),
    ("reset-earliest", "a group without a position starts at the first record"),
    ("reset-latest", "or at the end"),
    ("reset-none", "or is refused"),
    ("reset-duration", "or starts where the last hour began"),
    ("out-of-range", "a position below the first record after DeleteRecords: reset, and refusal"),
    ("offsets-for-times", "offsets by timestamp, first, end"),
    ("rebalance-range", "a second member joins and leaves, everything is revoked"),
    ("rebalance-cooperative", "the same, only what moves is revoked"),
    ("static-membership", "a static member comes back without a rebalance"),
    ("admin-topics", "list and describe topics"),
    ("admin-partitions", "add partitions"),
    ("admin-configs", "describe and alter a topic's configuration"),
    ("admin-delete-records", "delete records below an offset"),
    ("admin-groups", "list, describe and delete groups, read their offsets"),
    ("recreate", "a topic deleted and made again is empty"),
    (retention::SCENARIO, "the same after retention has let records go, on a broker that looks every second"),
    (restarts::SCENARIO, "ten kills and restarts under one consumer without resets: each record once"),
];

/// The page for `lines`.
pub(crate) fn render(lines: &[Line]) -> String {
    let mut text = HEAD.to_owned();
    let mut clients: BTreeMap<&str, &str> = BTreeMap::new();
    for line in lines.iter().filter(|line| !TOOLS.contains(&line.scenario.as_str())) {
        clients.insert(&line.client, &line.version);
    }
    text.push_str("\n## Client libraries\n\n| library | version |\n| --- | --- |\n");
    for (client, version) in &clients {
        let _ = writeln!(text, "| {client} | {version} |");
    }
    text.push_str("\n| scenario | shows |");
    for client in clients.keys() {
        let _ = write!(text, " {client} |");
    }
    text.push_str("\n| --- | --- |");
    text.push_str(&" --- |".repeat(clients.len()));
    text.push('\n');
    for scenario in SCENARIOS.into_iter().chain([retention::SCENARIO, restarts::SCENARIO]) {
        let meaning = MEANING.iter().find(|(name, _)| *name == scenario).map_or("", |(_, meaning)| meaning);
        let _ = write!(text, "| {scenario} | {meaning} |");
        for client in clients.keys() {
            let _ = write!(text, " {} |", cell(lines, client, scenario));
        }
        text.push('\n');
    }
    tools(lines, &mut text);
    text
}

fn tools(lines: &[Line], text: &mut String) {
    let Some(first) = lines.iter().find(|line| TOOLS.contains(&line.scenario.as_str())) else { return };
    let _ = write!(text, "\n## {} {}\n\n| tool | works |\n| --- | --- |\n", first.client, first.version);
    for tool in TOOLS {
        let _ = writeln!(text, "| {tool} | {} |", cell(lines, &first.client, tool));
    }
}

fn cell(lines: &[Line], client: &str, scenario: &str) -> &'static str {
    match lines.iter().find(|line| line.client == client && line.scenario == scenario).map(|line| line.ok) {
        Some(Some(true)) => "yes",
        Some(Some(false)) => "**no**",
        Some(None) | None => "-",
    }
}

/// Whether the page in the repository is what `lines` give.
///
/// # Errors
/// When the page can not be read.
pub(crate) fn holds(lines: &[Line]) -> Result<bool> {
    let page = paths::workspace()?.join(PAGE);
    let written = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    Ok(written == render(lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(client: &str, scenario: &str, ok: Option<bool>) -> Line {
        let (client, scenario) = (client.to_owned(), scenario.to_owned());
        Line { client, version: "1.0".to_owned(), scenario, ok, detail: String::new(), seconds: 0.0 }
    }

    #[test]
    fn every_scenario_has_a_meaning() {
        for scenario in SCENARIOS {
            assert!(MEANING.iter().any(|(name, _)| *name == scenario), "{scenario}");
        }
    }

    #[test]
    fn a_failure_is_told() {
        let page = render(&[line("a", "recreate", Some(false)), line("b", "recreate", None)]);
        assert!(page.contains("| recreate | a topic deleted and made again is empty | **no** | - |"));
    }

    #[test]
    fn tools_stand_in_a_table_of_their_own() {
        let page = render(&[line("tools", "kafka-topics", Some(true))]);
        assert!(page.contains("| kafka-topics | yes |"));
        assert!(!page.contains("| tools | 1.0 |"));
    }
}
