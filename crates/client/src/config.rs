//! Settings.

use std::fmt;
use std::time::Duration;

use waybill_protocol::framing::DEFAULT_MAX_FRAME;
use waybill_rt::{SharedClock, SharedEntropy, SharedNet};

/// What a client needs from its machine.
#[derive(Clone)]
pub struct Env {
    /// How it connects.
    pub net: SharedNet,
    /// How it tells the time and waits.
    pub clock: SharedClock,
    /// How it spreads its retries.
    pub entropy: SharedEntropy,
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env")
    }
}

/// How a client behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// What brokers see it as.
    pub client_id: String,
    /// How long a connection may take to be made, ApiVersions included.
    pub connect_timeout: Duration,
    /// How long a request may wait for its answer; a connection that lets one pass is given up.
    pub request_timeout: Duration,
    /// How long an operation is tried in all.
    pub operation_timeout: Duration,
    /// Pause before the first retry; doubled each time.
    pub backoff: Duration,
    /// Longest pause between retries.
    pub max_backoff: Duration,
    /// Largest response in bytes.
    pub max_response: usize,
    /// Most requests under way on a connection.
    pub max_in_flight: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            client_id: "waybill".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(60),
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
            max_response: DEFAULT_MAX_FRAME,
            max_in_flight: 64,
        }
    }
}

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// A name or an address.
    pub host: String,
    /// A TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A text is not a list of `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a bootstrap server: expected host:port, as 127.0.0.1:9092")]
pub struct BootstrapError(pub String);

/// Reads a list of `host:port`, separated by commas; IPv6 addresses stand in brackets.
///
/// # Errors
/// [`BootstrapError`] names the first entry that is none, or the whole text when it holds no entry.
pub fn parse_bootstrap(text: &str) -> Result<Vec<Endpoint>, BootstrapError> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let endpoints: Vec<Endpoint> = entries.map(parse_endpoint).collect::<Result<_, _>>()?;
    if endpoints.is_empty() { Err(BootstrapError(text.to_owned())) } else { Ok(endpoints) }
}

fn parse_endpoint(entry: &str) -> Result<Endpoint, BootstrapError> {
    let fault = || BootstrapError(entry.to_owned());
    let (host, port) = entry.rsplit_once(':').ok_or_else(fault)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(fault)?,
        None if host.contains(':') => return Err(fault()),
        None => host,
    };
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(fault)?;
    if host.is_empty() { Err(fault()) } else { Ok(Endpoint { host: host.to_owned(), port }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_lists() {
        let shown = |text| {
            parse_bootstrap(text)
                .map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(shown("127.0.0.1:9092").unwrap(), "127.0.0.1:9092");
        assert_eq!(shown("a:1, b:2,,[::1]:3 ").unwrap(), "a:1 b:2 [::1]:3");
        for bad in ["", " , ", "a", "a:", ":1", "a:0", "a:70000", "::1:9092", "[::1:1", "[]:1"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
