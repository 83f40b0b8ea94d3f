//! What is known about an API beside its messages.

use std::fmt;
use std::ops::RangeInclusive;

use thiserror::Error;
use waybill_protocol::wire::Message;

use crate::ApiKey;

/// The facts about one API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiFacts {
    /// Kafka's name, as `Produce`.
    pub name: &'static str,
    /// The oldest version of request and response.
    pub min_version: i16,
    /// The newest version of request and response.
    pub max_version: i16,
    /// The first version in flexible encoding; `i16::MAX` when none is.
    pub flexible_from: i16,
    /// Whether the newest version is not final; a broker does not advertise it.
    pub latest_version_unstable: bool,
    /// Whether brokers serve it to clients.
    pub on_broker: bool,
    /// Whether controllers serve it.
    pub on_controller: bool,
}

/// A message that is a request.
pub trait Request: Message {
    /// The key that stands in the header.
    const KEY: ApiKey;
    /// What answers it, in the same version.
    type Response: Message;
}

/// No API has this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no API has key {0}")]
pub struct UnknownApiKey(pub i16);

impl ApiKey {
    /// Kafka's name, as `Produce`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// All versions of the schema, the unstable newest one included.
    #[must_use]
    pub fn valid_versions(self) -> RangeInclusive<i16> {
        self.facts().min_version..=self.facts().max_version
    }

    /// The versions that may be advertised: those of the schema without an unstable newest one.
    #[must_use]
    pub fn stable_versions(self) -> RangeInclusive<i16> {
        let facts = self.facts();
        facts.min_version..=(facts.max_version - i16::from(facts.latest_version_unstable))
    }

    /// Whether `version` uses the flexible encoding; also answers for versions newer than the schema.
    #[must_use]
    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.facts().flexible_from
    }

    /// The version of the request header in front of `version`.
    #[must_use]
    pub fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// The version of the response header in front of `version`. Always 0 for ApiVersions, so that a client can
    /// read the answer to a version the broker does not know (KIP-511).
    #[must_use]
    pub fn response_header_version(self, version: i16) -> i16 {
        i16::from(self != Self::ApiVersions && self.is_flexible(version))
    }
}

impl TryFrom<i16> for ApiKey {
    type Error = UnknownApiKey;

    fn try_from(key: i16) -> Result<Self, UnknownApiKey> {
        Self::from_i16(key).ok_or(UnknownApiKey(key))
    }
}

impl From<ApiKey> for i16 {
    fn from(key: ApiKey) -> Self {
        key as Self
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
