//! Who asks, from where, through what.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use waybill_types::TimestampMs;

/// A principal as Kafka writes it: a type and a name, `User:ANONYMOUS` before authentication.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    kind: Arc<str>,
    name: Arc<str>,
}

impl Principal {
    /// The principal of connections that did not authenticate.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::user("ANONYMOUS")
    }

    /// A principal of type `User`.
    #[must_use]
    pub fn user(name: &str) -> Self {
        Self { kind: Arc::from("User"), name: Arc::from(name) }
    }

    /// The type, `User` for all that Kafka makes itself.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name within the type.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

/// The name and version of the client library, as ApiVersions v3 tells them (KIP-511).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientSoftware {
    /// For instance `apache-kafka-java`.
    pub name: Arc<str>,
    /// For instance `4.4.0`.
    pub version: Arc<str>,
}

impl ClientSoftware {
    /// What a client that did not say is called, as in Kafka.
    #[must_use]
    pub fn unknown() -> Self {
        Self { name: Arc::from("unknown"), version: Arc::from("unknown") }
    }
}

/// What every request runs in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Who asks.
    pub principal: Principal,
    /// The name of the listener that the connection came in on.
    pub listener: Arc<str>,
    /// The client id of the request header; empty when there is none.
    pub client_id: Arc<str>,
    /// The client's library.
    pub software: ClientSoftware,
    /// The connection, unique within the process.
    pub connection: Arc<str>,
    /// The peer's address.
    pub peer: IpAddr,
    /// The client's rack, empty when it did not say.
    pub rack: Arc<str>,
    /// When the request was received, by the wall clock.
    pub received: TimestampMs,
}

impl RequestContext {
    /// A context of the process itself: for work that no client asked for, and for tests.
    #[must_use]
    pub fn internal(received: TimestampMs) -> Self {
        Self {
            principal: Principal::anonymous(),
            listener: Arc::from("internal"),
            client_id: Arc::from(""),
            software: ClientSoftware::unknown(),
            connection: Arc::from("internal"),
            peer: IpAddr::from([127, 0, 0, 1]),
            rack: Arc::from(""),
            received,
        }
    }

    /// The peer's host as Kafka shows it in group descriptions: the address behind a slash.
    #[must_use]
    pub fn client_host(&self) -> String {
        format!("/{}", self.peer)
    }
}
