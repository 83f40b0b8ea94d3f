//! Which crate may know which.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::test::cargo;

/// Crates of this workspace that each one may depend on directly; `types` and `rt` are open to all above them.
const MAY_KNOW: [(&str, &[&str]); 16] = [
    ("types", &[]),
    ("rt", &["types"]),
    ("protocol", &["types", "rt"]),
    ("protocol-gen", &["types", "rt", "protocol"]),
    ("client", &["types", "rt", "protocol", "protocol-gen"]),
    ("store", &["types", "rt"]),
    ("meta", &["types", "rt", "store"]),
    ("wal", &["types", "rt", "store"]),
    ("storage", &["types", "rt", "protocol", "wal", "meta", "store"]),
    ("coordinator", &["types", "rt", "protocol", "protocol-gen"]),
    ("control", &["types", "rt", "protocol", "protocol-gen", "storage", "wal", "meta", "store"]),
    ("security", &["types", "rt"]),
    ("ui", &["types", "rt"]),
    (
        "broker",
        &[
            "types",
            "rt",
            "protocol",
            "protocol-gen",
            "client",
            "store",
            "meta",
            "wal",
            "storage",
            "coordinator",
            "control",
            "security",
            "ui",
        ],
    ),
    ("visibility", &["types", "rt", "client", "ui", "security"]),
    ("xtask", &["protocol", "protocol-gen"]),
];

/// Third-party crates that are one crate's business, and the crates whose business they are.
const KEPT_IN: [(&str, &[&str]); 6] = [
    ("slatedb", &["meta"]),
    ("redb", &["meta"]),
    ("rusqlite", &["visibility"]),
    ("rdkafka", &["visibility", "cli", "tests"]),
    ("axum", &["broker", "visibility", "cli"]),
    ("getrandom", &["rt"]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

/// Every dependency that points the wrong way.
///
/// # Errors
/// When cargo can not be asked.
pub(crate) fn check() -> Result<Vec<String>> {
    let mut command = cargo::cargo()?;
    command.args(["metadata", "--format-version", "1", "--no-deps"]);
    let output = command.output().context("start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("what cargo metadata printed")?;
    Ok(judge(&metadata.packages))
}

fn judge(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        let name = short(&package.name);
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind.is_none()) {
            if let Some(wrong) = wrong(name, &dependency.name) {
                found.push(wrong);
            }
        }
    }
    found
}

fn wrong(package: &str, dependency: &str) -> Option<String> {
    if let Some((_, homes)) = KEPT_IN.iter().find(|(name, _)| *name == dependency) {
        return (!homes.contains(&package))
            .then(|| format!("{package} depends on {dependency}, which belongs to {}", homes.join(", ")));
    }
    let own = dependency.strip_prefix("waybill-")?;
    if matches!(package, "cli" | "tests") || (package == "testkit" && own != "cli") {
        return None;
    }
    match MAY_KNOW.iter().find(|(name, _)| *name == package) {
        Some((_, may)) if may.contains(&own) => None,
        Some(_) => Some(format!("{package} may not know {own}")),
        None => Some(format!("{package} has no place in the table of layers")),
    }
}

fn short(name: &str) -> &str {
    name.strip_prefix("waybill-").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_may_not_know_the_broker() {
        assert!(wrong("visibility", "waybill-broker").is_some());
        assert!(wrong("visibility", "waybill-client").is_none());
    }

    #[test]
    fn the_table_has_no_cycle() {
        for (index, (name, may)) in MAY_KNOW.iter().enumerate() {
            for known in *may {
                let below = MAY_KNOW.iter().position(|(other, _)| other == known);
                assert!(
                    below.is_some_and(|below| below < index),
                    "{name} knows {known}, which stands above it"
                );
            }
        }
    }

    #[test]
    fn a_store_stays_behind_its_trait() {
        assert!(wrong("broker", "redb").is_some());
        assert!(wrong("meta", "redb").is_none());
    }

    #[test]
    fn a_crate_outside_the_table_is_noticed() {
        assert!(wrong("newcomer", "waybill-types").is_some());
    }
}
