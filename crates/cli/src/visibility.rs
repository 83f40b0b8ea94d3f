//! `waybill visibility`: the service that answers from topics.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use tokio_util::sync::CancellationToken;
use waybill_rt::{Metrics, RealClock};
use waybill_visibility::alerts::Webhook;
use waybill_visibility::ingest::NamedSource;
use waybill_visibility::load::files;
use waybill_visibility::mapping::{MappingFile, Mappings};
use waybill_visibility::{VisibilityConfig, serve};

use crate::serve::stop;

/// What `waybill visibility` takes.
#[derive(Debug, Args)]
pub(crate) struct VisibilityArgs {
    /// A TOML file whose keys are these flags' names.
    #[arg(long, env = "WAYBILL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// The brokers.
    #[arg(long, env = "WAYBILL_BOOTSTRAP", value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    bootstrap: String,

    /// A topic and the mapping that reads it. Repeatable; without it, topics are found by their records' header. With
    /// `:ordered` behind the mapping, records behind a quarantined one of the same key are held.
    #[arg(
        long = "topic",
        env = "WAYBILL_TOPIC",
        value_name = "NAME=MAPPING[:ordered]",
        value_delimiter = ','
    )]
    topics: Vec<String>,

    /// A file that describes a mapping, or a folder of such files (*.toml). Repeatable.
    #[arg(long = "mapping", env = "WAYBILL_MAPPING", value_name = "FILE", value_delimiter = ',')]
    mappings: Vec<PathBuf>,

    /// Where the view is kept: an SQLite file.
    #[arg(long, env = "WAYBILL_STORE", value_name = "FILE", default_value = "./waybill-visibility.sqlite")]
    store: String,

    /// The view's name, part of its consumer group's.
    #[arg(long, env = "WAYBILL_VIEW", value_name = "NAME", default_value = "main")]
    view: String,

    /// Where the API and the pages are served.
    #[arg(long, env = "WAYBILL_HTTP", value_name = "ADDR", default_value = "127.0.0.1:8090")]
    http: SocketAddr,

    /// Where alerts are posted, as in http://127.0.0.1:9000/alerts. Repeatable; signed with --webhook-secret.
    #[arg(long = "webhook", env = "WAYBILL_WEBHOOK", value_name = "URL", value_delimiter = ',')]
    webhooks: Vec<String>,

    /// What signs them: the receiver knows it too.
    #[arg(long, env = "WAYBILL_WEBHOOK_SECRET", value_name = "SECRET", hide_env_values = true)]
    webhook_secret: Option<String>,

    /// A property of librdkafka, as in security.protocol=SASL_SSL. Repeatable.
    #[arg(long = "property", value_name = "KEY=VALUE")]
    properties: Vec<String>,
}

impl VisibilityArgs {
    fn config(&self) -> anyhow::Result<VisibilityConfig> {
        if self.store.contains("://") {
            bail!("--store {}: only an SQLite file is built so far; name a file", self.store);
        }
        let mut config = VisibilityConfig::new(&self.bootstrap, &self.store);
        config.view.clone_from(&self.view);
        config.http = self.http;
        config.mappings = read_mappings(&self.mappings)?;
        for topic in &self.topics {
            let (name, mapping) = topic
                .split_once('=')
                .with_context(|| format!("--topic {topic}: expected NAME=MAPPING, as in scans=epcis@1"))?;
            let (mapping, ordered) = match mapping.strip_suffix(":ordered") {
                Some(mapping) => (mapping, true),
                None => (mapping, false),
            };
            let mapping =
                config.mappings.find(mapping).map_err(|error| anyhow!("--topic {topic}: {error}"))?;
            config.topics.push(NamedSource { topic: name.to_owned(), mapping, ordered });
        }
        for property in &self.properties {
            let pair = property.split_once('=');
            let (key, value) = pair.with_context(|| format!("--property {property}: expected KEY=VALUE"))?;
            config.kafka.push((key.to_owned(), value.to_owned()));
        }
        for url in &self.webhooks {
            if !url.starts_with("http://") {
                bail!("--webhook {url}: only http:// is built so far; put a proxy that speaks TLS before it");
            }
            let secret = self.webhook_secret.clone().filter(|secret| !secret.is_empty());
            let secret = secret.context("--webhook needs --webhook-secret, which signs what is posted")?;
            config.webhooks.push(Webhook { url: url.clone(), secret });
        }
        Ok(config)
    }
}

/// Reads mapping files and folders of them.
fn read_mappings(paths: &[PathBuf]) -> anyhow::Result<Mappings> {
    let mut mappings = Mappings::default();
    for path in files(paths).context("reading --mapping")? {
        let is_named = paths.contains(&path);
        if is_named || path.extension().is_some_and(|extension| extension == "toml") {
            mappings.add(MappingFile::read(&path)?).with_context(|| format!("reading {}", path.display()))?;
        }
    }
    Ok(mappings)
}

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// When it can not start, or a part of it fails.
pub(crate) async fn run(args: VisibilityArgs) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let running = serve(args.config()?, RealClock::shared(), Metrics::default(), shutdown.clone()).await?;
    tracing::info!(http = %running.addr, "ready");
    tokio::select! {
        signal = stop::signal() => tracing::info!(signal = signal?, "stopping"),
        ended = running.ended() => ended.map_err(|failure| anyhow!("{failure}"))?,
    }
    shutdown.cancel();
    running.ended().await.map_err(|failure| anyhow!("{failure}"))
}
