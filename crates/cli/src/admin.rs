//! What the administration commands share: how they reach a cluster, how they print, what they advise.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use waybill_client::{Client, ClientConfig, ClientError, Endpoint, Env, parse_bootstrap};
use waybill_protocol::error_code::ErrorCode;
use waybill_rt::{RealClock, RealEntropy, RealNet};

/// How a cluster is reached.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConnectArgs {
    /// Brokers to ask first, as HOST:PORT,HOST:PORT.
    #[arg(
        long,
        env = "WAYBILL_BOOTSTRAP",
        value_name = "LIST",
        default_value = "127.0.0.1:9092",
        global = true
    )]
    bootstrap: String,

    /// Seconds to keep trying.
    #[arg(long, env = "WAYBILL_TIMEOUT", value_name = "SECONDS", default_value_t = 30, global = true)]
    timeout: u64,
}

impl ConnectArgs {
    /// A client of the cluster. Nothing is connected yet.
    ///
    /// # Errors
    /// When --bootstrap is not a list of addresses.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let bootstrap: Vec<Endpoint> = parse_bootstrap(&self.bootstrap)?;
        let timeout = Duration::from_secs(self.timeout.max(1));
        let config = ClientConfig {
            request_timeout: timeout,
            operation_timeout: timeout,
            connect_timeout: timeout.min(ClientConfig::default().connect_timeout),
            ..ClientConfig::default()
        };
        let env = Env { net: Arc::new(RealNet), clock: RealClock::shared(), entropy: RealEntropy::shared() };
        Ok(Client::new(env, config, bootstrap))
    }
}

/// A client's error with what to do about it.
pub(crate) fn advise(error: ClientError) -> anyhow::Error {
    let advice = match &error {
        ClientError::Unreachable { .. } => {
            "start a broker with `waybill serve`, or name another with --bootstrap HOST:PORT"
        }
        ClientError::TimedOut { .. } => {
            "the broker may be overloaded or gone; --timeout SECONDS waits longer"
        }
        ClientError::Decode { .. } => "is this a Kafka port, without TLS?",
        _ => match error.code() {
            Some(ErrorCode::UnknownTopicOrPartition) => "`waybill topic list` shows which topics there are",
            Some(ErrorCode::TopicAlreadyExists) => "--if-not-exists makes that no error",
            Some(ErrorCode::GroupIdNotFound) => "`waybill group list` shows which groups there are",
            Some(ErrorCode::NonEmptyGroup) => "stop its consumers first",
            Some(ErrorCode::GroupSubscribedToTopic) => "stop the consumers that read the topic first",
            Some(ErrorCode::UnknownMemberId | ErrorCode::RebalanceInProgress) => {
                "the group has members; stop its consumers first"
            }
            Some(ErrorCode::InvalidReplicationFactor) => {
                "leave --replication-factor out for the cluster's default"
            }
            _ => return error.into(),
        },
    };
    anyhow::anyhow!("{error}\n  {advice}")
}

/// A table without lines, its columns named.
pub(crate) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(columns.iter().map(|name| name.to_uppercase()));
    table
}

/// A table's text without the blanks at the ends of its lines.
pub(crate) fn text(table: &Table) -> String {
    table.trim_fmt()
}

/// A value, or a dash.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A number of things, in words.
pub(crate) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Numbers with commas between.
pub(crate) fn list(numbers: &[i32]) -> String {
    let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    words.join(",")
}
