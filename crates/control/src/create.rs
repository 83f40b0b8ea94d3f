//! Decisions about making topics and partitions. Pure.

use std::collections::BTreeMap;

use waybill_types::{TimestampMs, TopicId};

use crate::configs::topic::topic_config;
use crate::image::{Image, Topic};
use crate::settings::TopicSettings;

/// The longest topic name.
pub const MAX_TOPIC_NAME: usize = 249;

/// The most partitions that one topic may have here: each costs memory on its leader.
pub const MAX_PARTITIONS_PER_TOPIC: i32 = 100_000;

/// Why a topic or partition was not made, or a configuration not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicFault {
    /// INVALID_TOPIC_EXCEPTION.
    #[error("{0}")]
    InvalidName(String),
    /// TOPIC_ALREADY_EXISTS.
    #[error("Topic '{0}' already exists.")]
    Exists(String),
    /// UNKNOWN_TOPIC_OR_PARTITION.
    #[error("This server does not host this topic-partition.")]
    Unknown,
    /// UNKNOWN_TOPIC_ID.
    #[error("This server does not host this topic ID.")]
    UnknownId,
    /// INVALID_PARTITIONS.
    #[error("{0}")]
    InvalidPartitions(String),
    /// INVALID_REPLICATION_FACTOR.
    #[error("{0}")]
    InvalidReplicationFactor(String),
    /// INVALID_REPLICA_ASSIGNMENT.
    #[error("{0}")]
    InvalidAssignment(String),
    /// INVALID_CONFIG.
    #[error("{0}")]
    InvalidConfig(String),
    /// INVALID_REQUEST.
    #[error("{0}")]
    InvalidRequest(String),
}

/// A topic that someone asks for. -1 takes the broker's default for partitions and replication factor.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    /// The name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// The replication factor.
    pub replication_factor: i16,
    /// An assignment by hand: partition index and brokers.
    pub assignments: Vec<(i32, Vec<i32>)>,
    /// Configuration; `None` is Kafka's null, refused for topics.
    pub configs: Vec<(String, Option<String>)>,
}

/// Judges a name as Kafka's `Topic.validate`.
///
/// # Errors
/// With Kafka's words.
pub fn check_name(name: &str) -> Result<(), TopicFault> {
    let problem = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        "'.' or '..' is not allowed".to_owned()
    } else if name.len() > MAX_TOPIC_NAME {
        format!("the length of '{name}' is longer than the max allowed length {MAX_TOPIC_NAME}")
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    Err(TopicFault::InvalidName(format!("Topic name is invalid: {problem}")))
}

fn broker_default(image: &Image, key: &str) -> i64 {
    let set = image.broker_configs.get(key);
    let default = crate::configs::broker::broker_config(key).and_then(|def| def.default);
    set.or(default).and_then(|text| text.trim().parse().ok()).unwrap_or(1)
}

/// Decides on a new topic with the fresh id `id`, made now.
///
/// # Errors
/// When it exists, or name, counts, assignment or configuration are not legal.
pub fn decide_create(
    image: &Image,
    new: &NewTopic,
    id: TopicId,
    now: TimestampMs,
) -> Result<Topic, TopicFault> {
    check_name(&new.name)?;
    if image.topic(&new.name).is_some() {
        return Err(TopicFault::Exists(new.name.clone()));
    }
    if let Some(other) = image.colliding(&new.name) {
        return Err(TopicFault::InvalidName(format!(
            "Topic '{}' collides with existing topic: {}",
            new.name, other.name
        )));
    }
    let (partitions, replication_factor) = counts(image, new)?;
    let configs = checked_configs(&new.configs)?;
    let settings = TopicSettings::read(&configs, &image.broker_configs);
    let name = new.name.as_str().into();
    Ok(Topic { name, id, partitions, replication_factor, created_at: now, configs, settings })
}

fn counts(image: &Image, new: &NewTopic) -> Result<(i32, i16), TopicFault> {
    if !new.assignments.is_empty() {
        if new.partitions != -1 || new.replication_factor != -1 {
            return Err(TopicFault::InvalidRequest(
                "A manual partition assignment was specified, but numPartitions or replicationFactor was not -1."
                    .to_owned(),
            ));
        }
        return assigned_counts(image, 0, &new.assignments);
    }
    let partitions = match new.partitions {
        -1 => i32::try_from(broker_default(image, "num.partitions")).unwrap_or(1),
        given => given,
    };
    if partitions <= 0 {
        return Err(TopicFault::InvalidPartitions(
            "Number of partitions was set to an invalid non-positive value.".to_owned(),
        ));
    }
    if partitions > MAX_PARTITIONS_PER_TOPIC {
        return Err(TopicFault::InvalidPartitions(format!(
            "Number of partitions was {partitions}; one topic may have at most {MAX_PARTITIONS_PER_TOPIC}."
        )));
    }
    let replication_factor = match new.replication_factor {
        -1 => i16::try_from(broker_default(image, "default.replication.factor")).unwrap_or(1),
        given => given,
    };
    if replication_factor <= 0 {
        return Err(TopicFault::InvalidReplicationFactor(
            "Replication factor must be larger than 0, or -1 to use the default value.".to_owned(),
        ));
    }
    Ok((partitions, replication_factor))
}

/// Checks an assignment by hand of partitions `first..`: indexes dense, brokers known and distinct.
fn assigned_counts(
    image: &Image,
    first: i32,
    assignments: &[(i32, Vec<i32>)],
) -> Result<(i32, i16), TopicFault> {
    let fault = |problem: String| Err(TopicFault::InvalidAssignment(problem));
    let sorted: BTreeMap<i32, &Vec<i32>> =
        assignments.iter().map(|(index, brokers)| (*index, brokers)).collect();
    if sorted.len() != assignments.len() {
        return fault("Found multiple manual partition assignments for one partition".to_owned());
    }
    let mut factor = None;
    for (at, (index, brokers)) in sorted.iter().enumerate() {
        if i32::try_from(at).ok().map(|at| at.saturating_add(first)) != Some(*index) {
            return fault("partitions should be a consecutive 0-based integer sequence".to_owned());
        }
        if brokers.is_empty() {
            return fault("The manual partition assignment includes an empty replica list.".to_owned());
        }
        if let Some(unknown) = brokers.iter().find(|broker| **broker != image.node.get()) {
            return fault(format!(
                "The manual partition assignment includes broker {unknown}, but no such broker is registered."
            ));
        }
        if brokers.len() > 1 {
            return fault("The manual partition assignment includes the broker more than once.".to_owned());
        }
        factor = Some(i16::try_from(brokers.len()).unwrap_or(i16::MAX));
    }
    Ok((i32::try_from(sorted.len()).unwrap_or(i32::MAX), factor.unwrap_or(1)))
}

/// Judges topic configuration; each key and value must be known and legal.
///
/// # Errors
/// With the first fault.
pub fn checked_configs(configs: &[(String, Option<String>)]) -> Result<BTreeMap<String, String>, TopicFault> {
    let mut checked = BTreeMap::new();
    for (name, value) in configs {
        let Some(def) = topic_config(name) else {
            return Err(TopicFault::InvalidConfig(format!("Unknown topic config name: {name}")));
        };
        let Some(value) = value else {
            return Err(TopicFault::InvalidConfig(format!(
                "Null value not supported for topic configs: {name}"
            )));
        };
        def.check(value).map_err(|fault| TopicFault::InvalidConfig(fault.to_string()))?;
        checked.insert(name.clone(), value.trim().to_owned());
    }
    Ok(checked)
}

/// Decides on growing a topic to `count` partitions; gives the topic as it will be.
///
/// # Errors
/// When the count does not grow, is too large, or the assignment does not fit.
pub fn decide_grow(
    image: &Image,
    topic: &Topic,
    count: i32,
    assignments: Option<&[Vec<i32>]>,
) -> Result<Topic, TopicFault> {
    let name = &topic.name;
    if count == topic.partitions {
        return Err(TopicFault::InvalidPartitions(format!("Topic already has {count} partition(s).")));
    }
    if count < topic.partitions {
        return Err(TopicFault::InvalidPartitions(format!(
            "The topic {name} currently has {} partition(s); {count} would not be an increase.",
            topic.partitions
        )));
    }
    if count > MAX_PARTITIONS_PER_TOPIC {
        return Err(TopicFault::InvalidPartitions(format!(
            "{count} partitions asked for; one topic may have at most {MAX_PARTITIONS_PER_TOPIC}."
        )));
    }
    if let Some(assignments) = assignments {
        let added = count.saturating_sub(topic.partitions);
        if i32::try_from(assignments.len()) != Ok(added) {
            return Err(TopicFault::InvalidAssignment(format!(
                "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            )));
        }
        let numbered: Vec<_> = (topic.partitions..).zip(assignments.iter().cloned()).collect();
        assigned_counts(image, topic.partitions, &numbered)?;
    }
    Ok(Topic { partitions: count, ..topic.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str) -> NewTopic {
        NewTopic { name: name.to_owned(), partitions: 3, replication_factor: 3, ..NewTopic::default() }
    }

    #[test]
    fn names_are_judged_as_kafka_judges_them() {
        for bad in ["", ".", "..", "a b", "ä", &"x".repeat(250)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        for good in ["a", "A.b_c-1", &"x".repeat(249)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn any_replication_factor_is_kept_and_shown() {
        let image = Image::default();
        let topic = decide_create(&image, &new("orders"), TopicId([1; 16]), TimestampMs(0)).unwrap();
        assert_eq!((topic.partitions, topic.replication_factor), (3, 3));
        let mut zero = new("orders");
        zero.replication_factor = 0;
        assert!(matches!(
            decide_create(&image, &zero, TopicId([1; 16]), TimestampMs(0)),
            Err(TopicFault::InvalidReplicationFactor(_))
        ));
    }

    #[test]
    fn a_name_is_taken_once_and_not_by_its_twin() {
        let mut image = Image::default();
        image.put(decide_create(&image, &new("a.b"), TopicId([1; 16]), TimestampMs(0)).unwrap());
        assert_eq!(
            decide_create(&image, &new("a.b"), TopicId([2; 16]), TimestampMs(0)),
            Err(TopicFault::Exists("a.b".to_owned()))
        );
        assert!(matches!(
            decide_create(&image, &new("a_b"), TopicId([2; 16]), TimestampMs(0)),
            Err(TopicFault::InvalidName(_))
        ));
    }

    #[test]
    fn partitions_only_grow() {
        let mut image = Image::default();
        image.node = 1.into();
        let topic = decide_create(&image, &new("t"), TopicId([1; 16]), TimestampMs(0)).unwrap();
        assert!(decide_grow(&image, &topic, 3, None).is_err());
        assert!(decide_grow(&image, &topic, 2, None).is_err());
        assert_eq!(decide_grow(&image, &topic, 5, None).unwrap().partitions, 5);
        assert!(decide_grow(&image, &topic, 5, Some(&[vec![1]])).is_err());
        assert!(decide_grow(&image, &topic, 5, Some(&[vec![1], vec![2]])).is_err());
        assert!(decide_grow(&image, &topic, 5, Some(&[vec![1], vec![1]])).is_ok());
    }

    #[test]
    fn configs_are_judged_before_anything_is_made() {
        let mut bad = new("t");
        bad.configs = vec![("retention.ms".to_owned(), Some("soon".to_owned()))];
        assert!(matches!(
            decide_create(&Image::default(), &bad, TopicId([1; 16]), TimestampMs(0)),
            Err(TopicFault::InvalidConfig(_))
        ));
        bad.configs = vec![("no.such.key".to_owned(), Some("1".to_owned()))];
        assert!(decide_create(&Image::default(), &bad, TopicId([1; 16]), TimestampMs(0)).is_err());
    }
}
