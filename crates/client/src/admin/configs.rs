//! Configurations: describing and altering them.

use waybill_protocol_gen::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use waybill_protocol_gen::messages::describe_configs_response::DescribeConfigsResourceResult;
use waybill_protocol_gen::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use super::left_out;
use crate::client::{Client, Route};
use crate::error::{ApiError, ClientError};

/// What is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic.
    Topic(String),
    /// A broker; `None` is the default of all.
    Broker(Option<i32>),
    /// A consumer group.
    Group(String),
}

impl ConfigResource {
    /// Its type's id (`ConfigResource.Type`).
    const fn kind(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) => 4,
            Self::Group(_) => 32,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Topic(name) | Self::Group(name) => name.clone(),
            Self::Broker(id) => id.map(|id| id.to_string()).unwrap_or_default(),
        }
    }

    /// A broker tells its own configuration only; everything else is anybody's.
    const fn route(&self) -> Route<'_> {
        match self {
            Self::Broker(Some(id)) => Route::Broker(*id),
            _ => Route::Any,
        }
    }
}

impl std::fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic '{name}'"),
            Self::Broker(Some(id)) => write!(f, "broker {id}"),
            Self::Broker(None) => f.write_str("all brokers"),
            Self::Group(name) => write!(f, "group '{name}'"),
        }
    }
}

/// Where a value comes from (`ConfigEntry.ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on the broker while it ran.
    Broker,
    /// Set for all brokers while they ran.
    DefaultBroker,
    /// From the broker's file.
    StaticBroker,
    /// Nobody set it.
    Default,
    /// Set for the broker's loggers.
    BrokerLogger,
    /// Set for a client's metrics.
    ClientMetrics,
    /// Set on the group.
    Group,
    /// Something that this client does not know.
    Other(i8),
}

impl ConfigSource {
    const fn from_i8(id: i8) -> Self {
        match id {
            1 => Self::Topic,
            2 => Self::Broker,
            3 => Self::DefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            6 => Self::BrokerLogger,
            7 => Self::ClientMetrics,
            8 => Self::Group,
            other => Self::Other(other),
        }
    }

    /// Kafka's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topic => "DYNAMIC_TOPIC_CONFIG",
            Self::Broker => "DYNAMIC_BROKER_CONFIG",
            Self::DefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Self::StaticBroker => "STATIC_BROKER_CONFIG",
            Self::Default => "DEFAULT_CONFIG",
            Self::BrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
            Self::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            Self::Group => "DYNAMIC_GROUP_CONFIG",
            Self::Other(_) => "UNKNOWN",
        }
    }
}

/// One configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its key.
    pub name: String,
    /// Its value; none for secrets.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it can not be altered.
    pub read_only: bool,
    /// Whether its value is secret.
    pub sensitive: bool,
    /// The values that it would have, in order of precedence.
    pub synonyms: Vec<ConfigSynonym>,
    /// What it does.
    pub documentation: Option<String>,
}

/// A value that would hold if no stronger one were set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// Its key, which may be another one.
    pub name: String,
    /// Its value.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
}

/// What is done to a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigOp {
    /// It gets the value.
    Set,
    /// It goes back to its default.
    Delete,
    /// A list gets the value too.
    Append,
    /// A list loses the value.
    Subtract,
}

impl ConfigOp {
    const fn id(self) -> i8 {
        match self {
            Self::Set => 0,
            Self::Delete => 1,
            Self::Append => 2,
            Self::Subtract => 3,
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// The key.
    pub name: String,
    /// What is done.
    pub op: ConfigOp,
    /// The value; none to delete.
    pub value: Option<String>,
}

fn entry(result: DescribeConfigsResourceResult) -> ConfigEntry {
    ConfigEntry {
        name: result.name.to_string(),
        value: result.value.map(|value| value.to_string()),
        source: ConfigSource::from_i8(result.config_source),
        read_only: result.read_only,
        sensitive: result.is_sensitive,
        synonyms: result
            .synonyms
            .into_iter()
            .map(|synonym| ConfigSynonym {
                name: synonym.name.to_string(),
                value: synonym.value.map(|value| value.to_string()),
                source: ConfigSource::from_i8(synonym.source),
            })
            .collect(),
        documentation: result.documentation.map(|text| text.to_string()),
    }
}

impl Client {
    /// Every configuration of a resource, by key.
    ///
    /// # Errors
    /// [`ClientError::Refused`], as with UNKNOWN_TOPIC_OR_PARTITION.
    pub async fn describe_configs(
        &self,
        resource: &ConfigResource,
        documentation: bool,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let build = |version| DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource.kind(),
                resource_name: resource.name().into(),
                configuration_keys: None,
                ..DescribeConfigsResource::default()
            }],
            include_synonyms: true,
            include_documentation: documentation && version >= 3,
            ..DescribeConfigsRequest::default()
        };
        let what = format!("describing the configuration of {resource}");
        let mut entries = self
            .ask(&what, resource.route(), i16::MAX, build, |response| {
                let result = response.results.into_iter().next().ok_or_else(left_out)?;
                ApiError::check(result.error_code, result.error_message.as_ref())?;
                Ok(result.configs.into_iter().map(entry).collect::<Vec<_>>())
            })
            .await?;
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    /// Alters a resource's configuration (KIP-339), all of the changes or none; or only says whether it could.
    ///
    /// # Errors
    /// [`ClientError::Refused`], as with INVALID_CONFIG.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let build = |_version| IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: resource.kind(),
                resource_name: resource.name().into(),
                configs: changes
                    .iter()
                    .map(|change| AlterableConfig {
                        name: change.name.as_str().into(),
                        config_operation: change.op.id(),
                        value: change.value.as_deref().map(Into::into),
                        ..AlterableConfig::default()
                    })
                    .collect(),
                ..AlterConfigsResource::default()
            }],
            validate_only,
            ..IncrementalAlterConfigsRequest::default()
        };
        let what = format!("altering the configuration of {resource}");
        self.ask(&what, resource.route(), i16::MAX, build, |response| {
            let result = response.responses.into_iter().next().ok_or_else(left_out)?;
            ApiError::check(result.error_code, result.error_message.as_ref())
        })
        .await
    }
}
