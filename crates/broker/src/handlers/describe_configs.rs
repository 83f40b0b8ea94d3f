//! DescribeConfigs, for topics, brokers and groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use waybill_control::Image;
use waybill_control::configs::broker::{alterable, broker_config, broker_configs, group_configs};
use waybill_control::configs::topic::TOPIC_CONFIGS;
use waybill_control::configs::{BrokerConfigs, ConfigDef, ConfigKind, Level, Treatment};
use waybill_protocol::ErrorCode;
use waybill_protocol_gen::messages::describe_configs_request::DescribeConfigsResource;
use waybill_protocol_gen::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use waybill_protocol_gen::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use waybill_security::{Action, Authorized, OnDenial, Operation, ResourceType};

use super::errors::Told;
use crate::broker::Broker;
use crate::handler::{Call, Handler};

/// ConfigResource's types.
pub mod resource {
    /// A topic.
    pub const TOPIC: i8 = 2;
    /// A broker, by node id; empty for the default of all.
    pub const BROKER: i8 = 4;
    /// A broker's loggers.
    pub const BROKER_LOGGER: i8 = 8;
    /// Client metrics subscriptions.
    pub const CLIENT_METRICS: i8 = 16;
    /// A group.
    pub const GROUP: i8 = 32;
}

/// Where a value comes from: DescribeConfigs' `ConfigSource`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Set on the topic.
    Topic,
    /// Altered on this broker.
    Broker,
    /// Altered on all brokers.
    AllBrokers,
    /// In the broker's file or flags.
    StaticBroker,
    /// Nowhere.
    Default,
}

impl Source {
    /// The number on the wire.
    #[must_use]
    pub const fn wire(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::Broker => 2,
            Self::AllBrokers => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
        }
    }
}

impl From<Level> for Source {
    fn from(level: Level) -> Self {
        match level {
            Level::Node => Self::Broker,
            Level::AllNodes => Self::AllBrokers,
            Level::Static => Self::StaticBroker,
        }
    }
}

/// A topic key's value in force and where it comes from.
#[must_use]
pub fn resolve(
    def: &ConfigDef,
    set: &BTreeMap<String, String>,
    broker: &BrokerConfigs,
) -> (Option<String>, Source) {
    if let Some(value) = set.get(def.name) {
        return (Some(value.clone()), Source::Topic);
    }
    match def.synonym.and_then(|synonym| broker.all(synonym).next()) {
        Some((level, value)) => (Some(value.to_owned()), level.into()),
        None => (def.default.map(str::to_owned), Source::Default),
    }
}

/// The handler.
pub struct DescribeConfigs;

impl Handler for DescribeConfigs {
    type Request = DescribeConfigsRequest;

    fn authorise(
        broker: &Broker,
        _: &Call,
        request: DescribeConfigsRequest,
    ) -> Result<Authorized<DescribeConfigsRequest>, Box<DescribeConfigsResponse>> {
        Ok(broker.gate.open(request, "each resource is judged by itself"))
    }

    async fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<DescribeConfigsRequest>,
    ) -> DescribeConfigsResponse {
        let request = request.into_inner();
        let image = broker.controller.image();
        let results = request.resources.iter().map(|asked| {
            let mut result = DescribeConfigsResult {
                resource_type: asked.resource_type,
                resource_name: asked.resource_name.clone(),
                ..DescribeConfigsResult::default()
            };
            match describe(&broker, &call, &image, asked) {
                Ok(mut configs) => {
                    if let Some(keys) = &asked.configuration_keys {
                        configs.retain(|config| keys.contains(&config.name));
                    }
                    for config in &mut configs {
                        if !request.include_synonyms {
                            config.synonyms.clear();
                        }
                        if !request.include_documentation {
                            config.documentation = None;
                        }
                    }
                    result.configs = configs;
                }
                Err(told) => {
                    result.error_code = told.code.code();
                    result.error_message = told.message.or_else(|| Some(told.code.message().into()));
                }
            }
            result
        });
        DescribeConfigsResponse { results: results.collect(), ..DescribeConfigsResponse::default() }
    }

    fn throttle(response: &mut DescribeConfigsResponse, ms: i32) {
        response.throttle_time_ms = ms;
    }
}

fn describe(
    broker: &Broker,
    call: &Call,
    image: &Image,
    asked: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, Told> {
    let name = &*asked.resource_name;
    let may = |action| broker.gate.allows(&call.context, action, OnDenial::Audit);
    match asked.resource_type {
        resource::TOPIC => {
            if !may(Action::topic(Operation::DescribeConfigs, name)) {
                return Err(Told::bare(ErrorCode::TopicAuthorizationFailed));
            }
            waybill_control::create::check_name(name).map_err(|fault| Told::from(&fault))?;
            let topic = image.topic(name).ok_or_else(|| Told::bare(ErrorCode::UnknownTopicOrPartition))?;
            Ok(TOPIC_CONFIGS
                .iter()
                .map(|def| topic_row(def, &topic.configs, &image.broker_configs))
                .collect())
        }
        resource::BROKER => {
            if !may(Action::cluster(Operation::DescribeConfigs)) {
                return Err(Told::bare(ErrorCode::ClusterAuthorizationFailed));
            }
            check_node(image, name)?;
            if name.is_empty() {
                return Ok(all_brokers(&image.broker_configs));
            }
            Ok(broker_configs().iter().map(|def| broker_row(def, &image.broker_configs)).collect())
        }
        resource::BROKER_LOGGER => {
            if !may(Action::cluster(Operation::DescribeConfigs)) {
                return Err(Told::bare(ErrorCode::ClusterAuthorizationFailed));
            }
            check_node(image, name)?;
            Ok(Vec::new())
        }
        resource::GROUP => {
            if !may(Action::new(Operation::DescribeConfigs, ResourceType::Group, name)) {
                return Err(Told::bare(ErrorCode::GroupAuthorizationFailed));
            }
            Ok(group_configs().iter().map(|def| row(def, def.default.map(str::to_owned), 5)).collect())
        }
        resource::CLIENT_METRICS => {
            if !may(Action::cluster(Operation::DescribeConfigs)) {
                return Err(Told::bare(ErrorCode::ClusterAuthorizationFailed));
            }
            Ok(Vec::new())
        }
        other => Err(Told::new(ErrorCode::InvalidRequest, format!("Unsupported resource type: {other}"))),
    }
}

/// Checks that a broker resource names this node, or all.
pub(super) fn check_node(image: &Image, name: &str) -> Result<(), Told> {
    if name.is_empty() || name == image.node.to_string() {
        return Ok(());
    }
    let message =
        format!("Unexpected broker id, expected {} or empty string, but received {name}", image.node);
    Err(Told::new(ErrorCode::InvalidRequest, message))
}

fn row(def: &ConfigDef, value: Option<String>, source: i8) -> DescribeConfigsResourceResult {
    let sensitive = def.kind == ConfigKind::Password;
    let documentation = match def.treatment {
        Treatment::Honoured => "Honoured.".to_owned(),
        Treatment::Inert(why) => format!("Taken and shown; nothing depends on it: {why}."),
        Treatment::Refused(why) => format!("Only the default is taken: {why}."),
    };
    DescribeConfigsResourceResult {
        name: def.name.into(),
        value: value.filter(|_| !sensitive).map(Into::into),
        config_source: source,
        is_sensitive: sensitive,
        config_type: def.kind.wire(),
        documentation: Some(documentation.into()),
        ..DescribeConfigsResourceResult::default()
    }
}

fn synonym(name: &str, value: Option<String>, source: Source) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym {
        name: name.into(),
        value: value.map(Into::into),
        source: source.wire(),
        ..DescribeConfigsSynonym::default()
    }
}

fn topic_row(
    def: &ConfigDef,
    set: &BTreeMap<String, String>,
    broker: &BrokerConfigs,
) -> DescribeConfigsResourceResult {
    let (value, source) = resolve(def, set, broker);
    let mut result = row(def, value, source.wire());
    if let Some(value) = set.get(def.name) {
        result.synonyms.push(synonym(def.name, Some(value.clone()), Source::Topic));
    }
    if let Some(key) = def.synonym {
        result.synonyms.extend(set_synonyms(key, broker));
        let default = broker_config(key).and_then(|def| def.default).or(def.default);
        result.synonyms.push(synonym(key, default.map(str::to_owned), Source::Default));
    }
    result
}

/// The values of a broker key that were set, the one in force first.
fn set_synonyms<'a>(
    key: &'a str,
    broker: &'a BrokerConfigs,
) -> impl Iterator<Item = DescribeConfigsSynonym> + 'a {
    broker.all(key).map(move |(level, value)| synonym(key, Some(value.to_owned()), level.into()))
}

fn broker_row(def: &ConfigDef, broker: &BrokerConfigs) -> DescribeConfigsResourceResult {
    let (value, source) = match broker.all(def.name).next() {
        Some((level, value)) => (Some(value), level.into()),
        None => (def.default, Source::Default),
    };
    let mut result = row(def, value.map(str::to_owned), source.wire());
    result.read_only = alterable(def.name).is_none();
    if !result.is_sensitive {
        result.synonyms.extend(set_synonyms(def.name, broker));
        result.synonyms.push(synonym(def.name, def.default.map(str::to_owned), Source::Default));
    }
    result
}

/// What was altered on all brokers: what the resource without a name shows.
fn all_brokers(broker: &BrokerConfigs) -> Vec<DescribeConfigsResourceResult> {
    let set = broker.at(Level::AllNodes).iter();
    let rows = set.filter_map(|(key, value)| {
        let mut result = row(broker_config(key)?, Some(value.clone()), Source::AllBrokers.wire());
        result.synonyms.push(synonym(key, Some(value.clone()), Source::AllBrokers));
        Some(result)
    });
    rows.collect()
}
