//! A broker's configuration, checked once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use waybill_control::configs::broker::broker_config;
use waybill_types::BrokerId;

/// A listening address and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSpec {
    /// The name, `PLAINTEXT` by default.
    pub name: Arc<str>,
    /// The address; port 0 takes a free one.
    pub addr: SocketAddr,
}

/// What clients of a listener are told to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener.
    pub listener: Arc<str>,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigProblem {
    /// A listener on a wildcard address without an advertised one.
    #[error(
        "listener {name} listens on {addr}, which clients can not connect to: \
         say what they can with --advertise {name}=HOST:PORT"
    )]
    Wildcard {
        /// The listener.
        name: Arc<str>,
        /// Its address.
        addr: SocketAddr,
    },
    /// Two listeners of one name.
    #[error("two listeners are named {0}: give each a name of its own with --listen NAME=ADDR")]
    TwiceNamed(Arc<str>),
    /// An advertised address for a listener that is not there.
    #[error("--advertise names listener {0}, but no --listen does")]
    UnknownListener(Arc<str>),
    /// No listener at all.
    #[error("no listener: give one with --listen ADDR")]
    NoListener,
    /// A Kafka configuration that Kafka does not know, or a value it does not take.
    #[error("{0}")]
    Kafka(String),
}

/// A broker's configuration.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// The node id.
    pub node: BrokerId,
    /// Where to listen.
    pub listeners: Vec<ListenerSpec>,
    /// What to advertise, by listener; the bound address where nothing is said.
    pub advertised: Vec<Endpoint>,
    /// The rack.
    pub rack: Option<String>,
    /// Kafka's own keys that were set (`log.retention.ms`, say).
    pub kafka: BTreeMap<String, String>,
    /// Shown as the log directory: where the data lies.
    pub log_dir: String,
    /// Bytes of request frames held at once.
    pub request_bytes: usize,
    /// How long a half-sent frame may take.
    pub frame_timeout: Duration,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: usize,
    /// Bytes of records in responses that clients have not read yet, of all connections together.
    pub response_bytes: usize,
    /// What is told when no listener fits, which does not happen.
    pub fallback_endpoint: Endpoint,
}

impl BrokerConfig {
    /// A configuration with defaults, of one listener.
    ///
    /// # Errors
    /// As [`BrokerConfig::checked`].
    pub fn new(
        node: BrokerId,
        listeners: Vec<ListenerSpec>,
        advertised: Vec<Endpoint>,
        kafka: BTreeMap<String, String>,
        log_dir: String,
    ) -> Result<Self, ConfigProblem> {
        for (key, value) in &kafka {
            let def = broker_config(key);
            let def =
                def.ok_or_else(|| ConfigProblem::Kafka(format!("{key} is not a Kafka broker setting")))?;
            def.check(value).map_err(|fault| ConfigProblem::Kafka(fault.to_string()))?;
        }
        let mut config = Self {
            node,
            listeners,
            advertised,
            rack: kafka.get("broker.rack").cloned(),
            auto_create_topics: true,
            delete_topics: true,
            fetch_max_bytes: 0,
            response_bytes: 64 << 20,
            kafka,
            log_dir,
            request_bytes: 128 << 20,
            frame_timeout: Duration::from_secs(30),
            fallback_endpoint: Endpoint { listener: "".into(), host: "127.0.0.1".to_owned(), port: 0 },
        };
        config.auto_create_topics = config.kafka_bool("auto.create.topics.enable");
        config.delete_topics = config.kafka_bool("delete.topic.enable");
        config.fetch_max_bytes = usize::try_from(config.kafka_number("fetch.max.bytes")).unwrap_or_default();
        config.checked()
    }

    fn checked(self) -> Result<Self, ConfigProblem> {
        if self.listeners.is_empty() {
            return Err(ConfigProblem::NoListener);
        }
        for (at, listener) in self.listeners.iter().enumerate() {
            if self.listeners.iter().take(at).any(|earlier| earlier.name == listener.name) {
                return Err(ConfigProblem::TwiceNamed(Arc::clone(&listener.name)));
            }
            let told = self.advertised.iter().any(|endpoint| endpoint.listener == listener.name);
            if listener.addr.ip().is_unspecified() && !told {
                let name = Arc::clone(&listener.name);
                return Err(ConfigProblem::Wildcard { name, addr: listener.addr });
            }
        }
        let known = |name: &Arc<str>| self.listeners.iter().any(|listener| listener.name == *name);
        match self.advertised.iter().find(|endpoint| !known(&endpoint.listener)) {
            Some(endpoint) => Err(ConfigProblem::UnknownListener(Arc::clone(&endpoint.listener))),
            None => Ok(self),
        }
    }

    /// A Kafka key's value in force: what was set, else Kafka's default.
    #[must_use]
    pub fn kafka_text(&self, key: &str) -> Option<&str> {
        let set = self.kafka.get(key).map(String::as_str);
        set.or_else(|| broker_config(key).and_then(|def| def.default))
    }

    /// A Kafka key's value in force as a number, 0 when it has none.
    #[must_use]
    pub fn kafka_number(&self, key: &str) -> i64 {
        self.kafka_text(key).and_then(|text| text.trim().parse().ok()).unwrap_or_default()
    }

    /// A Kafka key's value in force as a span of milliseconds.
    #[must_use]
    pub fn kafka_ms(&self, key: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.kafka_number(key)).unwrap_or(u64::MAX))
    }

    /// A Kafka key's value in force as true or false.
    #[must_use]
    pub fn kafka_bool(&self, key: &str) -> bool {
        self.kafka_text(key).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str, advertised: Vec<Endpoint>) -> Result<BrokerConfig, ConfigProblem> {
        let listener = ListenerSpec { name: "PLAINTEXT".into(), addr: listen.parse().unwrap() };
        BrokerConfig::new(BrokerId(1), vec![listener], advertised, BTreeMap::new(), String::new())
    }

    #[test]
    fn a_wildcard_is_never_advertised() {
        let problem = config("0.0.0.0:9092", Vec::new()).unwrap_err();
        assert!(problem.to_string().contains("--advertise PLAINTEXT=HOST:PORT"), "{problem}");
        let endpoint =
            Endpoint { listener: "PLAINTEXT".into(), host: "broker.example".to_owned(), port: 9092 };
        assert!(config("0.0.0.0:9092", vec![endpoint.clone()]).is_ok());
        let other = Endpoint { listener: "OTHER".into(), ..endpoint };
        assert!(config("127.0.0.1:9092", vec![other]).is_err());
    }

    #[test]
    fn kafkas_keys_have_kafkas_defaults() {
        let config = config("127.0.0.1:0", Vec::new()).unwrap();
        assert_eq!(config.kafka_number("log.retention.check.interval.ms"), 300_000);
        assert_eq!(config.fetch_max_bytes, 57_671_680);
        assert!(config.auto_create_topics);
        let listener = ListenerSpec { name: "A".into(), addr: "127.0.0.1:0".parse().unwrap() };
        let wrong = BTreeMap::from([("no.such".to_owned(), "1".to_owned())]);
        assert!(BrokerConfig::new(BrokerId(1), vec![listener], Vec::new(), wrong, String::new()).is_err());
    }
}
