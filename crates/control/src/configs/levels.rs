//! A broker's own configuration, by where a value was set: what clients altered on the node wins over what they altered
//! on all of them, and that over file, flags and environment (KIP-226).

use std::collections::BTreeMap;

/// Where a broker's value was set, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Altered on this node.
    Node,
    /// Altered on all nodes.
    AllNodes,
    /// In its file, flags or environment.
    Static,
}

impl Level {
    /// Every level, the strongest first.
    pub const ALL: [Self; 3] = [Self::Node, Self::AllNodes, Self::Static];
}

/// The values set at each level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerConfigs {
    node: BTreeMap<String, String>,
    all_nodes: BTreeMap<String, String>,
    fixed: BTreeMap<String, String>,
}

impl BrokerConfigs {
    /// Values of file, flags and environment alone.
    #[must_use]
    pub fn fixed(fixed: BTreeMap<String, String>) -> Self {
        Self { fixed, ..Self::default() }
    }

    /// What was set at one level.
    #[must_use]
    pub fn at(&self, level: Level) -> &BTreeMap<String, String> {
        match level {
            Level::Node => &self.node,
            Level::AllNodes => &self.all_nodes,
            Level::Static => &self.fixed,
        }
    }

    /// Replaces what was set at one level.
    pub fn set(&mut self, level: Level, configs: BTreeMap<String, String>) {
        match level {
            Level::Node => self.node = configs,
            Level::AllNodes => self.all_nodes = configs,
            Level::Static => self.fixed = configs,
        }
    }

    /// Every value of a key, the one in force first.
    pub fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = (Level, &'a str)> + use<'a> {
        let found = Level::ALL.map(|level| self.at(level).get(key).map(|value| (level, value.as_str())));
        found.into_iter().flatten()
    }

    /// The value in force, unless it is Kafka's default.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next().map(|(_, value)| value)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for BrokerConfigs {
    /// File, flags and environment, for tests.
    fn from(fixed: [(&str, &str); N]) -> Self {
        Self::fixed(fixed.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_level_wins_and_all_are_shown() {
        let mut configs = BrokerConfigs::from([("a", "file"), ("b", "file")]);
        configs.set(Level::AllNodes, BTreeMap::from([("a".to_owned(), "all".to_owned())]));
        configs.set(Level::Node, BTreeMap::from([("a".to_owned(), "node".to_owned())]));
        assert_eq!(
            (configs.get("a"), configs.get("b"), configs.get("c")),
            (Some("node"), Some("file"), None)
        );
        let levels: Vec<_> = configs.all("a").collect();
        assert_eq!(levels, [(Level::Node, "node"), (Level::AllNodes, "all"), (Level::Static, "file")]);
    }
}
