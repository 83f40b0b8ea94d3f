//! Producing through librdkafka: for whatever must also run against existing, secured Kafka clusters.

use anyhow::{Context, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

/// A client configuration for `bootstrap`, with more properties of librdkafka.
///
/// # Errors
/// When a property is not `KEY=VALUE`.
pub(crate) fn config(bootstrap: &str, properties: &[String]) -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("client.id", "waybill");
    for property in properties {
        let pair = property.split_once('=');
        let (key, value) = pair.with_context(|| format!("--property {property}: expected KEY=VALUE"))?;
        config.set(key, value);
    }
    Ok(config)
}

/// A topic to be made where it is not there.
pub(crate) struct WantedTopic<'a> {
    pub(crate) name: &'a str,
    pub(crate) partitions: i32,
    /// Why its records are kept for ever.
    pub(crate) reason: &'a str,
}

/// Makes a topic that keeps everything, unless it is there. Where the broker does not know Waybill's keys (Apache
/// Kafka), only Kafka's are set. Tells whether it was made.
///
/// # Errors
/// When the broker can not be reached or refuses.
pub(crate) async fn ensure_topic(
    admin: &AdminClient<DefaultClientContext>,
    wanted: &WantedTopic<'_>,
) -> anyhow::Result<bool> {
    let plain =
        NewTopic::new(wanted.name, wanted.partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    let owned = NewTopic::new(wanted.name, wanted.partitions, TopicReplication::Fixed(1))
        .set("retention.ms", "-1")
        .set("waybill.retention.reason", wanted.reason);
    match create(admin, &owned).await? {
        Err(RDKafkaErrorCode::InvalidConfig) => match create(admin, &plain).await? {
            Ok(made) => Ok(made),
            Err(code) => bail!("topic {} can not be made: {code}", wanted.name),
        },
        Ok(made) => Ok(made),
        Err(code) => bail!("topic {} can not be made: {code}", wanted.name),
    }
}

async fn create(
    admin: &AdminClient<DefaultClientContext>,
    topic: &NewTopic<'_>,
) -> anyhow::Result<Result<bool, RDKafkaErrorCode>> {
    let options = AdminOptions::new().request_timeout(Some(std::time::Duration::from_secs(15)));
    let results = admin.create_topics([topic], &options).await.map_err(unreachable)?;
    Ok(match results.into_iter().next() {
        Some(Ok(_)) => Ok(true),
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
        Some(Err((_, code))) => Err(code),
        None => bail!("the broker gave no answer about topic {}", topic.name),
    })
}

/// The time after which a topic deletes records, in ms; `None` when it keeps them.
///
/// # Errors
/// When the broker can not be reached or does not tell.
pub(crate) async fn retention_ms(
    admin: &AdminClient<DefaultClientContext>,
    topic: &str,
) -> anyhow::Result<Option<i64>> {
    let resource = ResourceSpecifier::Topic(topic);
    let described = admin.describe_configs([&resource], &AdminOptions::new()).await.map_err(unreachable)?;
    let described = described.into_iter().next().context("the broker gave no answer")?;
    let described = described.map_err(|code| anyhow::anyhow!("topic {topic}: {code}"))?;
    let value = |name: &str| described.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default();
    if !value("cleanup.policy").split(',').any(|policy| policy.trim() == "delete") {
        return Ok(None);
    }
    Ok(value("retention.ms").parse().ok().filter(|ms| *ms >= 0))
}

fn unreachable(error: KafkaError) -> anyhow::Error {
    anyhow::Error::new(error).context("the broker can not be reached; mend --bootstrap")
}
