//! Decisions about changing configuration. Pure.

use std::collections::BTreeMap;

use crate::configs::broker::alterable;
use crate::configs::topic::topic_config;
use crate::configs::{ConfigDef, ConfigKind};
use crate::create::TopicFault;

/// One change of IncrementalAlterConfigs (KIP-339).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a key.
    Set(String),
    /// Back to the default.
    Delete,
    /// Adds words to a list.
    Append(String),
    /// Takes words from a list.
    Subtract(String),
}

/// Whose configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A topic's.
    Topic,
    /// The broker's.
    Broker,
}

impl Scope {
    /// # Errors
    /// When there is no such key, or it is fixed while a broker runs: with Kafka's words and codes.
    fn def(self, name: &str) -> Result<ConfigDef, TopicFault> {
        match self {
            Self::Topic => topic_config(name)
                .copied()
                .ok_or_else(|| self.invalid(format!("Unknown config name: {name}"))),
            Self::Broker => alterable(name)
                .ok_or_else(|| self.invalid(format!("Cannot update these configs dynamically: Set({name})"))),
        }
    }

    /// Kafka answers INVALID_CONFIG for topics and INVALID_REQUEST for brokers (KAFKA-13609).
    fn invalid(self, problem: String) -> TopicFault {
        match self {
            Self::Topic => TopicFault::InvalidConfig(problem),
            Self::Broker => TopicFault::InvalidRequest(problem),
        }
    }
}

/// Applies changes to what is set now; gives what will be set.
///
/// # Errors
/// When a key is unknown or named twice, a value is not legal, or a list operation meets a key that is no list.
pub fn decide_alter(
    scope: Scope,
    now: &BTreeMap<String, String>,
    changes: &[(String, Change)],
) -> Result<BTreeMap<String, String>, TopicFault> {
    let mut next = now.clone();
    for (at, (name, change)) in changes.iter().enumerate() {
        if changes.iter().take(at).any(|(earlier, _)| earlier == name) {
            return Err(TopicFault::InvalidRequest(format!("Error due to duplicate config keys: {name}")));
        }
        let def = scope.def(name)?;
        match change {
            Change::Set(value) => {
                next.insert(name.clone(), value.trim().to_owned());
            }
            Change::Delete => {
                next.remove(name);
            }
            Change::Append(words) | Change::Subtract(words) => {
                if def.kind != ConfigKind::List {
                    return Err(scope.invalid(format!(
                        "Can't APPEND or SUBTRACT to key {name} because its type is not LIST."
                    )));
                }
                let current = next.get(name).map_or(def.default.unwrap_or_default(), String::as_str);
                let adding = matches!(change, Change::Append(_));
                next.insert(name.clone(), edit_list(current, words, adding));
            }
        }
        if let Some(value) = next.get(name) {
            def.check(value).map_err(|fault| scope.invalid(fault.to_string()))?;
        }
    }
    Ok(next)
}

fn edit_list(current: &str, words: &str, adding: bool) -> String {
    let split = |text: &str| -> Vec<String> {
        text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
    };
    let mut list = split(current);
    for word in split(words) {
        let at = list.iter().position(|have| *have == word);
        match (adding, at) {
            (true, None) => list.push(word),
            (false, Some(at)) => {
                list.remove(at);
            }
            _ => {}
        }
    }
    list.join(",")
}

/// Replaces everything that is set, as the old AlterConfigs does.
///
/// # Errors
/// As [`decide_alter`].
pub fn decide_replace(
    scope: Scope,
    configs: &[(String, Option<String>)],
) -> Result<BTreeMap<String, String>, TopicFault> {
    let changes: Vec<_> = configs
        .iter()
        .map(|(name, value)| {
            let change = value.clone().map_or(Change::Delete, Change::Set);
            (name.clone(), change)
        })
        .collect();
    decide_alter(scope, &BTreeMap::new(), &changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, change: Change) -> Vec<(String, Change)> {
        vec![(name.to_owned(), change)]
    }

    #[test]
    fn lists_grow_and_shrink_from_their_default() {
        let none = BTreeMap::new();
        let both =
            decide_alter(Scope::Topic, &none, &one("cleanup.policy", Change::Append("compact".to_owned())));
        let both = both.unwrap();
        assert_eq!(both["cleanup.policy"], "delete,compact");
        let less =
            decide_alter(Scope::Topic, &both, &one("cleanup.policy", Change::Subtract("delete".to_owned())));
        assert_eq!(less.unwrap()["cleanup.policy"], "compact");
        assert!(
            decide_alter(Scope::Topic, &none, &one("retention.ms", Change::Append("1".to_owned()))).is_err()
        );
    }

    #[test]
    fn a_broker_takes_what_topics_default_to_and_nothing_else() {
        let none = BTreeMap::new();
        let set = |name: &str, value: &str| {
            decide_alter(Scope::Broker, &none, &one(name, Change::Set(value.to_owned())))
        };
        assert_eq!(set("log.retention.ms", "5000").unwrap()["log.retention.ms"], "5000");
        assert_eq!(set("message.max.bytes", "5000").unwrap()["message.max.bytes"], "5000");
        assert!(matches!(set("log.retention.ms", "-2"), Err(TopicFault::InvalidRequest(_))));
        for fixed in ["node.id", "auto.create.topics.enable", "listeners", "no.such.key"] {
            let told = format!("Cannot update these configs dynamically: Set({fixed})");
            assert_eq!(set(fixed, "1"), Err(TopicFault::InvalidRequest(told)));
        }
    }

    #[test]
    fn deleting_goes_back_to_the_default_and_unknown_keys_are_refused() {
        let set = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
        assert!(decide_alter(Scope::Topic, &set, &one("retention.ms", Change::Delete)).unwrap().is_empty());
        assert!(decide_alter(Scope::Topic, &set, &one("nope", Change::Delete)).is_err());
        assert!(
            decide_replace(Scope::Broker, &[("log.retention.ms".to_owned(), Some("x".to_owned()))]).is_err()
        );
    }
}
